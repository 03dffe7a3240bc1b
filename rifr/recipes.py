"""The six networks of the paper as six rows of one table (sections III and IV-A), and those of other methods."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

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
    loss
        Of another method: a name in `rifr.methods.LOSSES`, in place of equations (1) to (3); "" for the paper's.
    teacher
        Whether that loss compares with the teacher's features and softmax.
    start
        The recipe whose trained network and softmax layer it goes on from, as in fine-tuning; "" for none.
    changes
        Fields of `rifr.presets.Training`, each with the value that belongs to the method.
    together
        How many photos of a person lie in one batch, for a loss that compares photos; 1: as chance has it.
    """

    name: str
    label: str
    uses_hr: bool
    uses_lr: bool
    targets: Literal["hard", "soft"]
    shared: bool
    loss: str = ""
    teacher: bool = False
    start: str = ""
    changes: tuple[tuple[str, Any], ...] = ()
    together: int = 1

    def __post_init__(self) -> None:
        if self.start and self.start != TEACHER and self.needs_teacher:
            raise SettingError(
                f"the recipe {self.name!r} goes on from {self.start!r} and learns from {TEACHER!r}: one network is "
                "trained before another, so leave out start or teacher."
            )

    @property
    def needs_teacher(self) -> bool:
        """Whether it learns from the HR-only network."""
        return self.targets == "soft" or self.shared or self.teacher

    def earlier(self, training: Training) -> str:
        """The recipe that is trained before it, to learn from or to start from its weights; "" for none."""
        used = self.relevant(training)
        starts = "teacher" in (used.student_start, used.softmax_start)
        return self.start or (TEACHER if self.needs_teacher or starts else "")

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
        if self.loss:
            unused += ["temperature", "label_smoothing"]
        if unknown := [name for name, _ in self.changes if not hasattr(type(training), name)]:
            raise SettingError(
                f"the recipe {self.name!r} changes {', '.join(map(repr, unknown))}, which no training has: "
                "choose among the fields of rifr.presets.Training."
            )
        own = {name: getattr(type(training), name) for name in unused} | dict(self.changes)
        if self.start:
            own |= {"student_start": "teacher", "softmax_start": "teacher"}
        return replace(training, **own)


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


OTHERS: dict[str, Recipe] = {}
"""The recipes of other methods, as `rifr.methods` and a reader's own files add them."""


def add(recipe: Recipe) -> Recipe:
    """Make a recipe of another method known by its name; SettingError where another one has it."""
    if (RECIPES | OTHERS).get(recipe.name, recipe) != recipe:
        raise SettingError(f"a recipe is called {recipe.name!r} already: choose another name.")
    if not re.fullmatch(r"[\w.+-]+", recipe.name):  # it stands in the names of files
        raise SettingError(f"a recipe's name is letters, digits, '-', '+', '.' and '_', not {recipe.name!r}.")
    OTHERS[recipe.name] = recipe
    return recipe


def get(name: str) -> Recipe:
    """The recipe of that name; SettingError lists the names there are."""
    if name not in RECIPES | OTHERS:
        import_module("rifr.methods")  # adds those of other methods
    known = RECIPES | OTHERS
    if name not in known:
        raise SettingError(f"no recipe is called {name!r}: choose one of {', '.join(known)}.")
    return known[name]
