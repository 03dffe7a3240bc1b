"""What a step of training is fed: photos read ahead from the pack, mirrored, at their widths, and what the teacher says.

Photos travel as uint8 and stay so on the device until the last moment: a face is 37 KiB then, and degradation has whole
grey levels to work on. The pack is a memory map, read by one thread a batch ahead: however large it is, no process
copies more of it than two batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from rifr import camera, degrade
from rifr.packs import FacePack
from rifr.presets import Training
from rifr.recipes import LR_WIDTHS, Recipe
from rifr.training.runs import Run, to_input


@dataclass(frozen=True)
class Share:
    """What one process takes of a batch: n photos on its device.

    which (n,) their numbers in the pack; images (n, 112, 112, 3) uint8, mirrored where `mirrored` (n,) says so; labels
    (n,); width_of (n,) the place of each photo's low width in `LR_WIDTHS`, None where no single one is drawn.
    """

    which: np.ndarray
    images: Tensor
    mirrored: Tensor
    labels: Tensor
    width_of: np.ndarray | None

    def part(self, start: int, count: int) -> Share:
        """`count` photos from `start` on."""
        cut = slice(start, start + count)
        return Share(
            self.which[cut],
            self.images[cut],
            self.mirrored[cut],
            self.labels[cut],
            None if self.width_of is None else self.width_of[cut],
        )


def batches(
    faces: FacePack, order: np.ndarray, recipe: Recipe, training: Training, draw: np.random.Generator, fabric: Fabric
) -> Iterator[Share]:
    """This process's share of each batch in `order` (steps, B), photo numbers; drawn for the whole batch."""
    device, labels = fabric.device, torch.from_numpy(faces.labels)
    ours = slice(fabric.global_rank, None, fabric.world_size)

    def read(which: np.ndarray) -> Tensor:
        photos = torch.from_numpy(faces.images[which])
        return photos.pin_memory() if device.type == "cuda" else photos

    with ThreadPoolExecutor(1) as pool:
        order = np.sort(order, axis=1)[:, ours] if len(order) else order  # neighbours on disk are read together
        coming = pool.submit(read, order[0])
        for step, which in enumerate(order):
            images = coming.result()
            if step + 1 < len(order):
                coming = pool.submit(read, order[step + 1])
            images = images.to(device, non_blocking=True)
            mirrored = torch.from_numpy(draw.random(training.batch_size) < (0.5 if training.flip else 0.0))[ours].to(
                device
            )
            width_of = widths_of(training.batch_size, recipe, training, draw)
            yield Share(
                which,
                torch.where(mirrored[:, None, None, None], images.flip(2), images),
                mirrored,
                labels[which].to(device, non_blocking=True),
                None if width_of is None else width_of[ours],
            )


def widths_of(photos: int, recipe: Recipe, training: Training, draw: np.random.Generator) -> np.ndarray | None:
    """(B,) the place in `LR_WIDTHS` of the width to which each photo is brought: each for half of them, to within one.

    None where the recipe has no low widths, or each photo comes at both.
    """
    one_each = recipe.low and training.low_per_photo == "one"
    return draw.permutation(photos) % len(LR_WIDTHS) if one_each else None


def batch_of(
    images: Tensor, width_of: np.ndarray | None, recipe: Recipe, training: Training, draw: np.random.Generator
) -> Tensor:
    """The student's batch: the photos at 112 px and/or their low-resolution versions, one after the other.

    (B, 112, 112, 3) uint8 -> (R, 3, 112, 112) in [-1, 1]. `width_of` as from `widths_of`. `low_kind` says how photos are
    brought down; `tight_crops` is the share of the rows that are tight crops; `draw` is for these two.
    """
    photos = images.permute(0, 3, 1, 2)
    parts = [photos] if recipe.high else []
    if recipe.low and width_of is None:
        parts += [_low(photos, width, training, draw) for width in LR_WIDTHS]
    elif recipe.low:
        low = torch.empty_like(photos)
        for number, width in enumerate(LR_WIDTHS):
            rows = torch.from_numpy(np.flatnonzero(width_of == number)).to(images.device)
            if len(rows):
                low[rows] = _low(photos[rows], width, training, draw)
        parts.append(low)
    batch = torch.cat(parts).permute(0, 2, 3, 1)  # (R, 112, 112, 3)
    if training.tight_crops:  # no draw where there are none: the other draws stay as they were
        rows = torch.from_numpy(np.flatnonzero(draw.random(len(batch)) < training.tight_crops)).to(batch.device)
        batch[rows] = _by_camera(camera.tight, batch[rows], draw)
    return to_input(batch)


def _low(photos: Tensor, width: int, training: Training, draw: np.random.Generator) -> Tensor:
    """(n, 3, 112, 112) uint8 at a low width, bicubic or as a camera gives them."""
    if training.low_kind == "bicubic":
        return degrade.to_width(photos, width)
    return _by_camera(camera.simulate_camera, photos.permute(0, 2, 3, 1), width, draw).permute(0, 3, 1, 2)


def _by_camera(change: Callable[..., np.ndarray], images: Tensor, *arguments: Any) -> Tensor:
    """A change of `rifr.camera`, which works on the CPU, to (n, 112, 112, 3) uint8 on any device."""
    return torch.from_numpy(change(images.cpu().numpy(), *arguments)).to(images.device)


class TeacherOutputs:
    """The frozen teacher's features of every photo and of its mirror image, computed once, a share by each process.

    Called with photo numbers (B,) and which of them are mirrored (B,), gives z_teacher (B, D) and q_pre (B, K).
    """

    def __init__(self, teacher: Run, faces: FacePack, training: Training, fabric: Fabric, progress: bool):
        embedder = teacher.embedder(str(fabric.device))
        size, share = 256, -(-len(faces) // fabric.world_size)
        ours = np.arange(fabric.global_rank * share, (fabric.global_rank + 1) * share).clip(max=len(faces) - 1)
        parts = []
        for start in tqdm(
            range(0, share, size),
            desc="teacher's outputs",
            unit_scale=size,
            unit="image",
            leave=False,
            disable=None if progress else True,
        ):
            images = np.asarray(faces.images[ours[start : start + size]])
            parts.append(np.stack([embedder(images), embedder(images[:, :, ::-1])]))
        features = torch.from_numpy(np.concatenate(parts, axis=1)).to(fabric.device)  # (2, N / processes, D)
        if fabric.world_size > 1:
            features = torch.cat(list(fabric.all_gather(features)), dim=1)[:, : len(faces)]
        self.features = features  # (2, N, D)
        self.softmax = teacher.softmax().to(fabric.device)  # (K, D)
        self.temperature = training.temperature

    def __call__(self, which: np.ndarray, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        z_teacher = self.features[mirrored.long(), torch.from_numpy(which).to(mirrored.device)]
        return z_teacher, (z_teacher @ self.softmax.T / self.temperature).softmax(dim=1)
