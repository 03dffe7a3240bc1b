"""Stored runs: a trained network with what made it, found again by what made it.

store/runs/<recipe>-<preset>-s<seed>-<key>/
    weights.safetensors    network.* and softmax.weight (K, D)
    record.json            configuration, faces, history by epoch, versions, time
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from rifr import networks, recipes, storage
from rifr.recipes import Recipe


@dataclass(frozen=True)
class Run:
    """A trained network on disk. `record` is its provenance; `history` its epochs, each a dictionary."""

    path: Path
    record: dict[str, Any]

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Open a stored run; FileNotFoundError where there is none, ValueError where the record cannot be read."""
        path = Path(path)
        try:
            record = json.loads((path / "record.json").read_text())
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} holds no finished run: train it with `python -m rifr train`.") from None
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path / 'record.json'} is damaged ({error}): delete the folder and train again."
            ) from error
        return cls(path, record)

    @property
    def recipe(self) -> Recipe:
        return recipes.get(self.record["recipe"])

    @property
    def name(self) -> str:
        """The recipe's name: with `key`, what stored features are found by."""
        return self.recipe.name

    @property
    def seed(self) -> int:
        return self.record["seed"]

    @property
    def preset(self) -> str:
        return self.record["preset"]

    @property
    def key(self) -> str:
        return self.record["key"]

    @property
    def history(self) -> list[dict[str, float]]:
        return self.record["history"]

    def weights(self) -> dict[str, Tensor]:
        """All tensors of the run by name, on the CPU."""
        try:
            return load_file(self.path / "weights.safetensors")
        except Exception as error:
            raise ValueError(
                f"{self.path / 'weights.safetensors'} cannot be read ({error}): delete the folder and train again."
            ) from error

    def softmax(self) -> Tensor:
        """The softmax layer `w` (K, D)."""
        return self.weights()["softmax.weight"]

    def network(self) -> nn.Module:
        """The trained network in evaluation mode, on the CPU."""
        network = build(self.record["training"])
        prefix = "network."
        state = {name.removeprefix(prefix): value for name, value in self.weights().items() if name.startswith(prefix)}
        network.load_state_dict(state)
        return network.eval()

    def embedder(self, device: str | None = None) -> Callable[[np.ndarray], np.ndarray]:
        """A function from (N, 112, 112, 3) uint8 RGB to features (N, D) float32, on a GPU where there is one."""
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        network = self.network().to(device, memory_format=torch.channels_last)

        @torch.inference_mode()
        def features(images: np.ndarray) -> np.ndarray:
            return network(to_input(torch.from_numpy(np.array(images)).to(device))).cpu().numpy()

        return features


def build(training: dict[str, Any]) -> nn.Module:
    """The network that a training configuration describes."""
    name = training["network"]
    if name not in networks.NETWORKS:
        raise ValueError(f"no network is called {name!r}: choose one of {', '.join(networks.NETWORKS)}.")
    return networks.NETWORKS[name](embedding=training["embedding"], dropout=training["dropout"])


def to_input(images: Tensor) -> Tensor:
    """(N, 112, 112, 3) uint8 -> the network's input (N, 3, 112, 112) in [-1, 1], channels last in memory."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def folder() -> Path:
    """Where runs are stored."""
    return storage.root() / "runs"


def stored() -> list[Run]:
    """Every finished run in the store, oldest first."""
    return [Run.open(path) for path in storage.stored("runs") if (path / "record.json").exists()]
