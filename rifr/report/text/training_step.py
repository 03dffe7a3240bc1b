"""One training step in numbers: how strongly each term of the loss pulls on the softmax layer and on the features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import Tensor
from torch.nn import functional as F

from rifr import recipes

ALONG = 60.0
"""Degrees between two gradients below which they are said to pull the same way, and 180 minus which above, apart."""


def gradient_table(of_student: Tensor, of_teacher: Tensor, z_gradient: Tensor, views: Sequence[str]) -> pd.DataFrame:
    """The norms of a step's gradients, one row each.

    Parameters
    ----------
    of_student, of_teacher
        (K, D) the gradients of the two terms of eq. (3) with respect to w_shared.
    z_gradient
        (V B, D) that of the loss with respect to the student's features, one block of B rows per view.
    views
        What the V views are called.
    """
    rows = [
        ("w_shared", "the student's term", of_student),
        ("w_shared", "the teacher's term", of_teacher),
        ("w_shared", "both", of_student + of_teacher),
        *[
            (f"z_student, {view}", "the student's term", part)
            for view, part in zip(views, z_gradient.chunk(len(views)), strict=True)
        ],
    ]
    return pd.DataFrame(
        [
            {"gradient with respect to": by, "of": term, "norm": f"{gradient.norm().item():.2g}"}
            for by, term, gradient in rows
        ]
    )


def pulls(of_student: Tensor, of_teacher: Tensor, z_gradient: Tensor, lengths: tuple[float, float]) -> str:
    """Which term pulls harder on w_shared, whether both pull one way, and what is left for the features.

    Parameters
    ----------
    of_student, of_teacher, z_gradient
        As for `gradient_table`.
    lengths
        The mean lengths of the student's and of the teacher's features.
    """
    student, teacher = of_student.norm().item(), of_teacher.norm().item()
    features = z_gradient.norm().item()
    if not teacher:
        return "The teacher's term has no weight here: w_shared is moved by the student's alone."
    stronger, weaker = ("teacher", "student") if teacher > student else ("student", "teacher")
    ratio = max(student, teacher) / min(student, teacher)
    cosine = F.cosine_similarity(of_student.flatten(), of_teacher.flatten(), dim=0).item()
    angle = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    if angle < ALONG:
        way = f"They pull much the same way ({angle:.0f}° apart)"
    elif angle > 180 - ALONG:
        way = f"They pull against each other ({angle:.0f}° apart)"
    else:
        way = f"They pull in directions that have little to do with each other ({angle:.0f}° apart)"
    return (
        f"In this step the {stronger}'s term pulls on w_shared {ratio:.1f} times as hard as the {weaker}'s "
        f"(mean length of the features: student {lengths[0]:.2g}, teacher {lengths[1]:.2g}). {way}. "
        f"On the student's features the gradient is {features:.2g} in all, "
        + ("smaller" if features < student else "no smaller")
        + " than what the same term sends to the layer."
    )


def low_widths(widths: np.ndarray | None) -> str:
    """ "16, 20, 20 and 16 px": the width of each photo, in order; `widths` is None where each comes at all of them."""
    if widths is None:
        return " and ".join(f"{width} px" for width in recipes.LR_WIDTHS)
    *first, last = (str(width) for width in widths)
    return f"{', '.join(first)} and {last} px" if first else f"{last} px"
