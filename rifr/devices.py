"""The one place where a device is chosen."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["device", "generators", "on_device"]


def device() -> torch.device:
    """A CUDA GPU where there is one, else the CPU; never Apple's MPS, which lacks float64 and operations."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """The array as a tensor on a device; for a GPU from pinned memory, so that nobody waits for what it is doing."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def generators(of: torch.device) -> list[int]:
    """The GPUs whose random generators `torch.random.fork_rng` has to put back besides the CPU's."""
    return [torch.cuda.current_device() if of.index is None else of.index] if of.type == "cuda" else []
