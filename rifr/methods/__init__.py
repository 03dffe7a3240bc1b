"""Other methods for faces of low resolution, each as a loss and a row of `rifr.recipes.OTHERS`.

Nothing of the trainer is a method's own: a loss gets the features of a batch, and a row says what the batch shows, what
was trained before, and which fields of the preset belong to the method. Some are another network
(`trunks`, `superresolution`).

    RIFR_METHODS=mine.py rifr train --recipe mine

adds the losses and the rows of a reader's own file.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from rifr.errors import SettingError
from rifr.methods import adaptation, coupled, distances, distillation, margins, metric, superresolution, trunks
from rifr.methods.base import LOSSES, Loss, Step, loss

__all__ = [
    "LOSSES",
    "Loss",
    "Step",
    "adaptation",
    "coupled",
    "distances",
    "distillation",
    "get",
    "load",
    "loss",
    "margins",
    "metric",
    "readers_files",
    "sources",
    "superresolution",
    "trunks",
]


PREFIX = "rifr_method_"
"""Of the names of modules that readers' files become."""


def get(name: str) -> type[Loss]:
    """The loss of that name; SettingError lists the names there are."""
    if name not in LOSSES:
        raise SettingError(f"no loss is called {name!r}: choose one of {', '.join(LOSSES)}.")
    return LOSSES[name]


def sources(name: str) -> list[ModuleType]:
    """The modules of a loss, of those it is made from, and of what they take from others: other code, another result.

    Of what they take that of this package counts, and what lies beside a reader's file; a file that takes the package
    takes all of it.
    """
    kinds = [kind for kind in get(name).__mro__ if issubclass(kind, Loss)]
    of_kinds = dict.fromkeys(kind.__module__ for kind in kinds)
    own = [*of_kinds, *dict.fromkeys(found.__name__ for module in of_kinds for found in _beside(module))]
    used = {_module(value) for module in own for value in vars(sys.modules[module]).values()}
    used |= {module for module in sys.modules if __name__ in used and _is_ours(module)}
    return [sys.modules[module] for module in own + sorted(used - {*own}) if module in own or _is_ours(module)]


def of_readers() -> list[ModuleType]:
    """The modules of the files that `load` has run, and what they import from beside them."""
    loaded = [name for name in sys.modules if name.startswith(PREFIX)]
    return [sys.modules[name] for name in loaded] + [found for name in loaded for found in _beside(name)]


def _beside(module: str) -> list[ModuleType]:
    """The other modules in the folder of a reader's file, by name."""
    if not module.startswith(PREFIX):
        return []
    folder = Path(sys.modules[module].__file__ or "").parent
    files = {name: getattr(found, "__file__", None) for name, found in [*sys.modules.items()]}
    near = [name for name, file in files.items() if file and Path(file).parent == folder]
    return [sys.modules[name] for name in sorted(near) if not name.startswith((PREFIX, "__main__"))]


def _module(value: object) -> str:
    """Where a value in a module comes from: a module is its own place."""
    return value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or ""


def _is_ours(module: str) -> bool:
    return module.startswith(f"{__name__}.")


def readers_files() -> list[str]:
    """The readers' files that RIFR_METHODS names."""
    return list(filter(None, os.environ.get("RIFR_METHODS", "").split(os.pathsep)))


def load(file: str | Path) -> ModuleType:
    """Run a reader's own file, which adds losses (`loss`) and rows (`rifr.recipes.add`); SettingError where it is not.

    A file that was loaded before is not run again.
    """
    path = Path(file).resolve()
    name = f"{PREFIX}{path.stem}"
    while name in sys.modules and sys.modules[name].__file__ != str(path):
        name += "_"  # another file of that name: each is a module of its own
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SettingError(f"{path}, named by RIFR_METHODS, is no Python file: name one that adds a method.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


for _file in readers_files():
    load(_file)
