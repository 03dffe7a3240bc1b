"""The six networks of the paper as six rows of one table (sections III and IV-A)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rifr.errors import SettingError

LR_WIDTHS = (20, 16)
"""The low-resolution face widths of section III-A, in pixels."""


@dataclass(frozen=True)
class Recipe:
    """What a network is trained on, and towards.

    high, low  whether a batch holds each photo at 112 px, and at one of the low widths
    targets    "hard": the true class, eq. (1); "soft": the frozen teacher's softmax, eq. (2)
    shared     whether the teacher's features go through the student's softmax layer too, eq. (3)
    """

    name: str
    label: str
    high: bool
    low: bool
    targets: Literal["hard", "soft"]
    shared: bool

    @property
    def needs_teacher(self) -> bool:
        """Whether it learns from the HR-only network."""
        return self.targets == "soft" or self.shared


RECIPES = {
    recipe.name: recipe
    for recipe in [
        #       name           label                  high   low    targets shared
        Recipe("hr-only",     "HR-only",              True,  False, "hard", False),
        Recipe("lr-only",     "LR-only",              False, True,  "hard", False),
        Recipe("hr+lr",       "HR+LR",                True,  True,  "hard", False),
        Recipe("kl-only",     "KL only",              True,  True,  "soft", False),
        Recipe("shared-only", "shared softmax only",  True,  True,  "hard", True),
        Recipe("proposed",    "proposed",             True,  True,  "soft", True),
    ]
}  # fmt: skip
TEACHER = "hr-only"
BASELINES = ("hr-only", "lr-only", "hr+lr")


def get(name: str) -> Recipe:
    """The recipe of that name; SettingError lists the names there are."""
    if name not in RECIPES:
        raise SettingError(f"no recipe is called {name!r}: choose one of {', '.join(RECIPES)}.")
    return RECIPES[name]
