"""Stored runs: a trained network with what made it, found again by what made it.

store/runs/<recipe>-<preset>-s<seed>-<key>/
    weights.safetensors    network.* and softmax.weight (K, D)
    record.json            configuration, faces, history by epoch, versions, time

While it is trained, `<folder>.partial.pt` beside it holds what the last finished epoch left.
"""

from __future__ import annotations

import datetime
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import rifr
from rifr import devices, networks, recipes, storage
from rifr.errors import DataError
from rifr.packs import FacePack
from rifr.recipes import Recipe


@dataclass(frozen=True)
class StoredRun:
    """A trained network on disk.

    Attributes
    ----------
    path
        Its folder.
    record
        What made it, and how its training went.
    """

    path: Path
    record: dict[str, Any]

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a stored run; FileNotFoundError where there is none, DataError where its record cannot be read."""
        path = Path(path)
        try:
            return cls(path, json.loads((path / "record.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} holds no finished run: train it first.") from None
        except ValueError as error:  # no JSON, or no text
            raise DataError(
                f"{path / 'record.json'} is damaged ({error}): delete the folder and train again."
            ) from error

    @property
    def name(self) -> str:
        """The recipe's name: with `key`, what stored features are found by."""
        return self.record["recipe"]

    @property
    def key(self) -> str:
        """What made it: with it, stored things that it made are found again."""
        return self.record["key"]

    @property
    def seed(self) -> int:
        return self.record["seed"]

    @property
    def preset(self) -> str:
        return self.record["preset"]

    @property
    def history(self) -> list[dict[str, float]]:
        """One row per epoch."""
        return self.record["history"]

    def weights(self) -> dict[str, Tensor]:
        """All tensors of the run by name, on the CPU."""
        try:
            return load_file(self.path / "weights.safetensors")
        except Exception as error:
            raise DataError(
                f"{self.path / 'weights.safetensors'} cannot be read ({error}): delete the folder and train again."
            ) from error


@dataclass(frozen=True)
class Run(StoredRun):
    """A trained face network on disk."""

    @property
    def recipe(self) -> Recipe:
        return recipes.get(self.record["recipe"])

    def softmax(self) -> Tensor:
        """The softmax layer `w` (K, D)."""
        return self.weights()["softmax.weight"]

    def network(self) -> nn.Module:
        """The trained network in evaluation mode, on the CPU."""
        training, prefix = self.record["training"], "network."
        network = networks.build(training["network"], training["embedding"], training["dropout"])
        network.load_state_dict(
            {name.removeprefix(prefix): value for name, value in self.weights().items() if name.startswith(prefix)}
        )
        return network.eval()

    def embedder(self, device: torch.device | str | None = None) -> Callable[[np.ndarray], np.ndarray]:
        """A function from (N, 112, 112, 3) uint8 RGB to features (N, D) float32, on a GPU where there is one."""
        device = device or devices.device()
        network = networks.channels_last(self.network(), device)

        @torch.inference_mode()
        def features(images: np.ndarray) -> np.ndarray:
            return network(networks.to_input(torch.from_numpy(np.array(images)).to(device))).cpu().numpy()

        return features


class Progress:
    """The finished epochs of a run that is being trained, kept on disk: the same training goes on from the last one.

    Parameters
    ----------
    path
        Where the run will lie.
    parts
        What an epoch changes, by name: each has `state_dict` and `load_state_dict`.
    """

    def __init__(self, path: Path, parts: Mapping[str, Any]):
        self.file, self.parts = storage.checkpoint_path(path), parts
        self.epoch, self.seconds, self.history = 0, 0.0, list[dict[str, float]]()

    def read(self) -> dict[str, Any] | None:
        """What the last finished epoch left, on the CPU; None where none has been finished, DataError where it is
        damaged."""
        if not self.file.exists():
            return None
        try:
            return torch.load(self.file, map_location="cpu", weights_only=True)
        except PermissionError:
            raise
        except Exception as error:  # what damaged files raise is not specified
            raise DataError(f"{self.file} is damaged: delete it, and training starts anew.") from error

    def resume(self, saved: dict[str, Any] | None) -> None:
        """Go on from what `read` gave."""
        if saved:
            for name, part in self.parts.items():
                part.load_state_dict(saved[name])
            self.epoch, self.seconds, self.history = saved["epoch"], saved["seconds"], saved["history"]

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Adds the seconds that the block takes."""
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began

    def finish(self, row: dict[str, float]) -> None:
        """An epoch is finished; `row` is its line of the history."""
        self.epoch += 1
        self.history.append({"epoch": self.epoch, **row})

    def write(self) -> None:
        """Keep what has been reached."""
        states = {name: part.state_dict() for name, part in self.parts.items()}
        states |= {"epoch": self.epoch, "seconds": self.seconds, "history": self.history}
        storage.atomic_write(self.file, lambda file: torch.save(states, file))

    def write_run(self, path: Path, weights: Mapping[str, Tensor], faces: FacePack, record: dict[str, Any]) -> None:
        """Write the finished run: its weights, and its record with what is the same for every kind of network."""
        about = {name: faces.manifest.get(name) for name in ("source", "licence", "spec")}
        record = record | {
            "faces": about | {"images": len(faces), "people": len(faces.people), "checksum": faces.checksum},
            "history": self.history,
            "seconds": round(self.seconds, 1),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "threads": torch.get_num_threads(),
            "versions": {"rifr": rifr.__version__, "torch": torch.__version__, "python": platform.python_version()},
        }
        with storage.atomic_directory(path) as folder:
            save_file(
                {name: value.cpu().contiguous() for name, value in weights.items()}, folder / "weights.safetensors"
            )
            storage.atomic_write(folder / "record.json", storage.readable_json(record))
        self.file.unlink(missing_ok=True)


def folder() -> Path:
    """Where runs are stored."""
    return storage.root() / "runs"


def stored() -> list[Run]:
    """Every finished run in the store, oldest first."""
    return [Run.open(path) for path in storage.stored("runs") if (path / "record.json").exists()]
