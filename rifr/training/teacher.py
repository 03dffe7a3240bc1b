"""The frozen teacher: its outputs are looked up for every photo and its mirror image, or computed in the step."""

from __future__ import annotations

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from rifr import devices, networks
from rifr.bars import progress_bar
from rifr.packs import FacePack
from rifr.training.batches import RankBatch
from rifr.training.runs import Run

IMAGES_AT_ONCE = 256


class TeacherOutputs:
    """The teacher's features of every photo and of its mirror image; each process computes an equal part of them.

    Called with a batch of B photos, looks up z_teacher (B, D) and its softmax q_pre (B, K) at `temperature`, of the
    photos as they are in the pack.

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
        for start in progress_bar(
            range(0, count, IMAGES_AT_ONCE),
            desc="teacher's outputs",
            unit_scale=IMAGES_AT_ONCE,
            unit="image",
            leave=False,
            show=progress,
        ):
            images = np.asarray(faces.images[ours[start : start + IMAGES_AT_ONCE]])
            parts.append(np.stack([embedder(images), embedder(images[:, :, ::-1])]))
        features = torch.from_numpy(np.concatenate(parts, axis=1)).to(fabric.device)  # (2, N / processes, D)
        if fabric.world_size > 1:
            features = torch.cat(list(fabric.all_gather(features)), dim=1)[:, : len(faces)]
        self.features = features  # (2, N, D)
        self.softmax = teacher.softmax().to(fabric.device)  # (K, D)
        self.temperature = temperature

    def __call__(self, batch: RankBatch) -> tuple[Tensor, Tensor]:
        z_teacher = self.features[batch.mirrored.long(), devices.on_device(batch.which, batch.mirrored.device)]
        return z_teacher, (z_teacher @ self.softmax.T / self.temperature).softmax(dim=1)


class TeacherInStep:
    """The teacher itself, asked in each step about the photos as they are shown this time.

    Called with a batch of B photos, gives z_teacher (B, D) and its softmax q_pre (B, K) at `temperature`.

    Parameters
    ----------
    teacher
        The run.
    temperature
        Divides the logits.
    fabric
        Names the device and the precision.
    """

    def __init__(self, teacher: Run, temperature: float, fabric: Fabric):
        self.network = networks.channels_last(teacher.network(), fabric.device)
        self.softmax = teacher.softmax().to(fabric.device)  # (K, D)
        self.temperature, self.fabric = temperature, fabric

    @torch.no_grad()
    def __call__(self, batch: RankBatch) -> tuple[Tensor, Tensor]:
        with self.fabric.autocast():
            z_teacher = self.network(networks.to_input(batch.photos)).float()
        return z_teacher, (z_teacher @ self.softmax.T / self.temperature).softmax(dim=1)
