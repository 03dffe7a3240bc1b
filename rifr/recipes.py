"""The six networks of the paper as six rows of one table (sections III and IV-A)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from rifr.errors import SettingError

if TYPE_CHECKING:
    from rifr.presets import Training

LR_WIDTHS = (20, 16)
"""The low-resolution face widths of section III-A, in pixels."""


@dataclass(frozen=True)
class Recipe:
    """What a network is trained on, and towards.

    Attributes
    ----------
    uses_hr, uses_lr
        Whether a batch holds each photo at 112 px, and at the low widths.
    targets
        "hard": the true class, eq. (1); "soft": the frozen teacher's softmax, eq. (2).
    shared
        Whether the teacher's features go through the student's softmax layer too, eq. (3).
    """

    name: str
    label: str
    uses_hr: bool
    uses_lr: bool
    targets: Literal["hard", "soft"]
    shared: bool

    @property
    def needs_teacher(self) -> bool:
        """Whether it learns from the HR-only network."""
        return self.targets == "soft" or self.shared

    def needs_teacher_run(self, training: Training) -> bool:
        """Whether the HR-only network is trained before it: to learn from, or only to start from its weights."""
        return self.needs_teacher or (
            self.uses_hr and self.uses_lr and "teacher" in (training.student_start, training.softmax_start)
        )

    def relevant(self, training: Training) -> Training:
        """The configuration with every field that this recipe does not use at its default.

        It is what a run is trained with and found by: a sweep over a field retrains only the networks that use it.
        """
        unused = ["teacher_epochs"]  # its teacher's key says it
        if not self.uses_lr:
            unused += ["low_per_photo", "low_kind"]
        if not (self.uses_hr and self.uses_lr):
            unused += ["student_start", "softmax_start"]
        if not self.needs_teacher:
            unused += ["temperature"]
        if self.targets == "soft":
            unused += ["label_smoothing"]
        if not (self.needs_teacher and training.augment):
            unused += ["teacher_sees"]
        if not self.shared:
            unused += ["teacher_weight"]
        return replace(training, **{name: getattr(type(training), name) for name in unused})


RECIPES = {
    recipe.name: recipe
    for recipe in [
        #       name           label                  hr     lr     targets shared
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
