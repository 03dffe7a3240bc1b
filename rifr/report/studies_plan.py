"""What a study is: recipes under several changes of a preset, and the differences that it is decided by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rifr.recipes import RECIPES

if TYPE_CHECKING:
    from rifr.presets import Preset

Cell = tuple[str, str]
"""A network of a study: the label of a variant and the name of a recipe."""

TEACHER = "teacher"
"""Among the recipes of a variant: the HR-only network from which its students learn."""

ALL_SIX = tuple(RECIPES)

LOW = "25-16"
"""The place of a study that is the mean over the small widths."""


@dataclass(frozen=True)
class Variant:
    """Recipes under changes of the preset's training.

    Attributes
    ----------
    label
        What tables call it.
    recipes
        Names of `rifr.recipes.RECIPES`, and `TEACHER`.
    changes
        Fields of `rifr.presets.Training`; the faces are those of the study.
    """

    label: str
    recipes: tuple[str, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """What a study is decided by: rank-1 of the networks `plus` minus that of as many others, `minus`.

    Attributes
    ----------
    claim
        What is expected, and holds if the difference is positive.
    plus, minus
        One network each; two each for a difference of differences.
    on_large
        Whether it is expected on large faces alone.
    """

    claim: str
    plus: tuple[Cell, ...]
    minus: tuple[Cell, ...]
    on_large: bool = False


@dataclass(frozen=True)
class Study:
    """A question, how it is decided, and what is trained for it.

    Attributes
    ----------
    name, title
        In commands and file names; at the head of its section.
    question, criterion
        In words, fixed before the result is known; they are kept with the record.
    variants, differences
        What is trained, and what decides.
    minutes
        For three seeds on two cores, estimated: in training an image takes 2.2 ms, the tests of a network 25 s.
    base, changes
        A preset and what the study changes in it, such as the number of people.
    seeds
        Unless others are asked for.
    stand_ins
        Whether the stand-ins for TinyFace and SCface are measured, too.
    """

    name: str
    title: str
    question: str
    criterion: str
    variants: tuple[Variant, ...]
    differences: tuple[Difference, ...]
    minutes: int
    base: str = "mini"
    changes: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    stand_ins: bool = False

    def preset(self, changes: Sequence[str] = ()) -> Preset:
        """The preset of the study, changed further by `changes` as `presets.get` takes them."""
        from rifr import presets

        return presets.get(presets.get(self.base, self.changes), changes)

    def variant(self, label: str) -> Variant:
        return next(variant for variant in self.variants if variant.label == label)

    @property
    def cells(self) -> list[Cell]:
        """All of its networks, by variant."""
        return [(variant.label, recipe) for variant in self.variants for recipe in variant.recipes]
