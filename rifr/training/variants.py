"""Recipes under other presets, each run by a name of its own: networks of a chapter that are no row of its recipes."""

from __future__ import annotations

from collections.abc import Mapping

from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.training import parallel, trainer
from rifr.training.parallel import Call
from rifr.training.runs import Run

__all__ = ["calls", "fit"]


def fit(table: Mapping[str, tuple[str, Preset]], seed: int, faces: FacePack, progress: bool = True) -> dict[str, Run]:
    """The runs by name, found or trained; `table` has a recipe and a preset for each."""
    parallel.run(calls(table, seed, faces, progress))
    return {name: trainer.fit(recipe, preset, seed, faces, progress) for name, (recipe, preset) in table.items()}


def calls(table: Mapping[str, tuple[str, Preset]], seed: int, faces: FacePack, progress: bool = True) -> list[Call]:
    """The trainings that `fit` still needs besides their teachers'; none where they are too short for processes."""
    return [
        call
        for recipe, preset in table.values()
        for call in trainer.calls([recipe], preset, seed, faces, progress)
        if call.keywords["recipe"] == recipe
    ]
