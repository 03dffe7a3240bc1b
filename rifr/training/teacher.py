"""The frozen teacher: its outputs are computed once for every photo and its mirror image, and looked up."""

from __future__ import annotations

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from rifr.packs import FacePack
from rifr.training.runs import Run

IMAGES_AT_ONCE = 256


class TeacherOutputs:
    """The teacher's features of every photo and of its mirror image; each process computes an equal part of them.

    Called with photo numbers (B,) and which of them are mirrored (B,), gives z_teacher (B, D) and its softmax
    q_pre (B, K) at `temperature`.

    Parameters
    ----------
    teacher, faces
        The run, and the photos whose outputs are kept.
    temperature
        Divides the logits.
    fabric
        Names the device and the processes.
    """

    def __init__(self, teacher: Run, faces: FacePack, temperature: float, fabric: Fabric, progress: bool = True):
        embedder = teacher.embedder(fabric.device)
        count = -(-len(faces) // fabric.world_size)
        ours = np.arange(fabric.global_rank * count, (fabric.global_rank + 1) * count).clip(max=len(faces) - 1)
        parts = []
        for start in tqdm(
            range(0, count, IMAGES_AT_ONCE),
            desc="teacher's outputs",
            unit_scale=IMAGES_AT_ONCE,
            unit="image",
            leave=False,
            disable=None if progress else True,
        ):
            images = np.asarray(faces.images[ours[start : start + IMAGES_AT_ONCE]])
            parts.append(np.stack([embedder(images), embedder(images[:, :, ::-1])]))
        features = torch.from_numpy(np.concatenate(parts, axis=1)).to(fabric.device)  # (2, N / processes, D)
        if fabric.world_size > 1:
            features = torch.cat(list(fabric.all_gather(features)), dim=1)[:, : len(faces)]
        self.features = features  # (2, N, D)
        self.softmax = teacher.softmax().to(fabric.device)  # (K, D)
        self.temperature = temperature

    def __call__(self, which: np.ndarray, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        z_teacher = self.features[mirrored.long(), torch.from_numpy(which).to(mirrored.device)]
        return z_teacher, (z_teacher @ self.softmax.T / self.temperature).softmax(dim=1)
