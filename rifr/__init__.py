"""rifr: resolution-invariant face recognition after Khalid et al. (2020), with everything it reports measured.

The doors, each loaded when it is first asked for:

    FacePack, RenderSpec, render      faces on disk; rendered people
    to_width                          faces, as an array or a tensor, at a face width
    fit                               a network of the paper, found or trained: a Run
    embed                             features of faces by a Run, a callable or an ONNX file
    identify, verify, score           P1 and P2 of several embedders; any embedder on one's own faces
    evaluation                        protocols as pure functions of arrays, metrics with intervals
    presets, recipes, losses, networks    sizes; the networks as rows; eqs. (1) to (4); Fig. 2
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rifr import evaluation, losses, networks, presets, recipes
    from rifr.degrade import to_width
    from rifr.evaluation.embed import embed
    from rifr.evaluation.evaluate import identify, verify
    from rifr.evaluation.score import score
    from rifr.faces import RenderSpec, render
    from rifr.packs import FacePack
    from rifr.training.trainer import fit

_DOORS = {
    "FacePack": "rifr.packs",
    "RenderSpec": "rifr.faces",
    "embed": "rifr.evaluation.embed",
    "fit": "rifr.training.trainer",
    "identify": "rifr.evaluation.evaluate",
    "render": "rifr.faces",
    "score": "rifr.evaluation.score",
    "to_width": "rifr.degrade",
    "verify": "rifr.evaluation.evaluate",
}
_MODULES = ("evaluation", "losses", "networks", "presets", "recipes")

__all__ = [
    "FacePack",
    "RenderSpec",
    "embed",
    "evaluation",
    "fit",
    "identify",
    "losses",
    "networks",
    "presets",
    "recipes",
    "render",
    "score",
    "to_width",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        return getattr(import_module(_DOORS[name]), name)
    if name in _MODULES:
        return import_module(f"rifr.{name}")
    raise AttributeError(f"module 'rifr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
