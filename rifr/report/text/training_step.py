"""One training step in numbers: how strongly each term of the loss pulls on the softmax layer and on the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from torch import Tensor
from torch.nn import functional as F

from rifr import recipes
from rifr.report.style import label
from rifr.report.text import verdicts

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


def learnt(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Accuracy on the training photos in the first and in the last epoch, and what sharing and soft targets do to both.

    histories: those of `Run.history` by recipe.
    """
    ends = {name: tuple(100 * history[n]["accuracy"] for n in (0, -1)) for name, history in histories.items()}
    numbers = "; ".join(f"{label(name)} {first:.1f} and {last:.1f} %" for name, (first, last) in ends.items())
    text = f"Right on the training photos in the first and in the last epoch: {numbers}."
    changes = {
        "Sharing the softmax layer, with hard and with soft targets": (
            ("shared-only", "hr+lr"),
            ("proposed", "kl-only"),
        ),
        "Soft targets, without and with sharing": (("kl-only", "hr+lr"), ("proposed", "shared-only")),
    }
    for change, pairs in changes.items():
        if all(name in ends for pair in pairs for name in pair):
            first, last = ([ends[one][n] - ends[other][n] for one, other in pairs] for n in (0, 1))
            text += f" {change}: {_both(first)} in the first epoch, {_both(last)} in the last."
    return f"{text} One training each; what is known of training photos need not help with new people."


def _both(gaps: Sequence[float]) -> str:
    """ "+3.1 and +12.0 points"; of the two networks that differ in one thing."""
    return f"{' and '.join(f'{verdicts.signed(gap)}' for gap in gaps)} points"


def low_widths(widths: np.ndarray | None) -> str:
    """ "16, 20, 20 and 16 px": the width of each photo, in order; `widths` is None where each comes at all of them."""
    if widths is None:
        return " and ".join(f"{width} px" for width in recipes.LR_WIDTHS)
    *first, last = (str(width) for width in widths)
    return f"{', '.join(first)} and {last} px" if first else f"{last} px"
