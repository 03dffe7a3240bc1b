"""The one place where a device is chosen."""

from __future__ import annotations

import torch

__all__ = ["device", "generators"]


def device() -> torch.device:
    """A CUDA GPU where there is one, else the CPU; never Apple's MPS, which lacks float64 and operations."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def generators(of: torch.device) -> list[int]:
    """The GPUs whose random generators `torch.random.fork_rng` has to put back besides the CPU's."""
    return [torch.cuda.current_device() if of.index is None else of.index] if of.type == "cuda" else []
