"""What a step of training sees: photos read ahead from the pack, mirrored, changed anew, and brought to low widths.

Photos travel as uint8: a face is 37 KiB then, and degradation has whole grey levels to work on. The pack is a memory
map that a thread reads ahead. Bicubic versions are made on the device; what is drawn anew (`rifr.augment`) and what
cameras and tight crops do (`rifr.camera`), both on the CPU, is done in the thread, so that a GPU does not wait for it.

Order, mirroring and widths are drawn for the whole batch from the epoch's generator; each photo's changes and camera
have generators of their own. So what a photo looks like depends neither on the number of processes nor on
`micro_batch`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rifr import augment, camera, degrade, devices
from rifr.errors import SettingError
from rifr.packs import FacePack
from rifr.presets import Training
from rifr.recipes import LR_WIDTHS, Recipe

READ_AHEAD = {"cpu": 1, "cuda": 8}
"""Batches that are prepared while the device works, a thread each."""


@dataclass(frozen=True)
class RankBatch:
    """What one process takes of a batch: n photos, V views of each.

    Attributes
    ----------
    which
        (n,) the photos' numbers in the pack.
    photos
        (n, 112, 112, 3) uint8: mirrored where `mirrored` says so, and changed anew.
    views
        (V, n, 112, 112, 3) uint8: the photos at 112 px and/or at low widths, cropped tightly where that is asked for.
    mirrored
        (n,) booleans.
    labels
        (n,) class numbers.
    """

    which: np.ndarray
    photos: Tensor
    views: Tensor
    mirrored: Tensor
    labels: Tensor

    def part(self, start: int, count: int) -> RankBatch:
        """`count` photos from `start` on."""
        cut = slice(start, start + count)
        return RankBatch(self.which[cut], self.photos[cut], self.views[:, cut], self.mirrored[cut], self.labels[cut])

    def to(self, device: torch.device) -> RankBatch:
        """The same on a device."""
        on_device = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("photos", "views", "mirrored", "labels")
        }
        return replace(self, **on_device)


@dataclass(frozen=True)
class Views:
    """How a recipe shows each photo.

    Called with `images` (n, 112, 112, 3) uint8 and what was drawn for them, gives (V, n, 112, 112, 3) uint8 on the same
    device: the photos at 112 px where the recipe uses them, then their low-resolution versions.

    Attributes
    ----------
    recipe
        Says whether photos are shown at 112 px, at low widths or both.
    training
        Says which low widths, and how they are made.
    """

    recipe: Recipe
    training: Training

    @property
    def count(self) -> int:
        """V: how many images a photo gives."""
        both = self.training.low_per_photo == "both"
        return self.recipe.uses_hr + self.recipe.uses_lr * (len(LR_WIDTHS) if both else 1)

    @property
    def by_camera(self) -> bool:
        """Whether `rifr.camera` or `rifr.augment` changes the views, which they do on the CPU."""
        changes = self.training.tight_crops or self.training.landmark_error
        return bool(changes) or (self.recipe.uses_lr and self.training.low_kind != "bicubic")

    def changed(self, images: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """The photos (n, 112, 112, 3) as they are shown this time; of each photo's generator `augment` has a part."""
        strength = self.training.augment
        draws = (np.random.default_rng([seed, 1]) for seed in seeds)
        return np.stack([augment.changed(image, strength, draw) for image, draw in zip(images, draws, strict=True)])

    def widths(self, photos: int, draw: np.random.Generator) -> np.ndarray | None:
        """(photos,) the low width of each, in pixels: each width for half of them, to within one.

        None where no single one is drawn: the recipe has no low widths, or each photo comes at both.
        """
        if not self.recipe.uses_lr or self.training.low_per_photo == "both":
            return None
        return np.asarray(LR_WIDTHS)[draw.permutation(photos) % len(LR_WIDTHS)]

    def __call__(self, images: Tensor, widths: np.ndarray | None, seeds: np.ndarray | None = None) -> Tensor:
        draws = [np.random.default_rng(seed) for seed in seeds] if seeds is not None else []
        views = [images] if self.recipe.uses_hr else []
        if self.recipe.uses_lr:
            each = LR_WIDTHS if widths is None else [widths]
            views += [self._low(images, np.broadcast_to(width, len(images)), draws) for width in each]
        shown = torch.stack(views)  # (V, n, 112, 112, 3)
        for photo, draw in enumerate(draws if self.training.tight_crops else []):
            for view in np.flatnonzero(draw.random(len(shown)) < self.training.tight_crops):
                shown[view, photo] = torch.from_numpy(camera.tight(shown[view, photo][None].numpy(), draw)[0])
        error = self.training.landmark_error
        for photo, draw in enumerate(draws if error else []):
            for image in shown[:, photo]:
                image.copy_(torch.from_numpy(augment.misaligned(image.numpy(), error, draw)))
        return shown

    def _low(self, images: Tensor, widths: np.ndarray, draws: list[np.random.Generator]) -> Tensor:
        """(n, 112, 112, 3) uint8 at low widths (n,), bicubic or as a camera gives them."""
        low = torch.empty_like(images)
        if self.training.low_kind != "bicubic":
            for image, width, draw, target in zip(images, widths, draws, low, strict=True):
                target.copy_(torch.from_numpy(camera.simulate_camera(image[None].numpy(), int(width), draw)[0]))
            return low
        for width in np.unique(widths):
            rows = devices.on_device(np.flatnonzero(widths == width), images.device)
            low[rows] = degrade.to_width(images[rows].permute(0, 3, 1, 2), int(width)).permute(0, 2, 3, 1)
        return low


def shown_labels(labels: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """(N,) the class of each photo in training: a share `noise` of them, fixed by the seed, have another person's.

    Another one is drawn among the people of all photos, each as likely; one person alone keeps its name.
    """
    people, wrong = np.unique(labels), round(noise * len(labels))
    if not wrong or len(people) == 1:
        return labels
    draw = np.random.default_rng([seed, 0, 2])
    which = draw.permutation(len(labels))[:wrong]
    shown = labels.copy()
    place = np.searchsorted(people, labels[which])
    shown[which] = people[(place + draw.integers(1, len(people), wrong)) % len(people)]
    return shown


def epoch_order(
    photos: int, batch_size: int, draw: np.random.Generator, labels: np.ndarray | None = None, together: int = 1
) -> np.ndarray:
    """(steps, B) the photos of each batch, each sorted: neighbours on disk are read together.

    Parameters
    ----------
    photos, batch_size
        N and B.
    draw
        The epoch's generator.
    labels
        (N,) whose photo each is; needed where `together` is more than one.
    together
        How many photos of a person lie in one batch.

    Raises
    ------
    SettingError
        Where a batch does not hold whole groups.
    """
    if batch_size % together:
        raise SettingError(
            f"a batch of {batch_size} holds no whole groups of {together} photos of a person: choose a batch_size that "
            f"is a multiple of {together}."
        )
    order, steps = draw.permutation(photos), photos // batch_size
    if together == 1:
        return np.sort(order[: steps * batch_size].reshape(steps, batch_size), axis=1)
    assert labels is not None
    return _in_groups(order, labels, (steps, batch_size), together, draw)


def _in_groups(
    order: np.ndarray, labels: np.ndarray, shape: tuple[int, int], together: int, draw: np.random.Generator
) -> np.ndarray:
    """(steps, B) of the photos in `order` (N,), as many as there are in groups of `together` photos of a person.

    A person's photos that fill no group, and those beyond the last whole batch, are spread over the batches singly.
    They stand behind the groups, so that a piece or a process's share of a batch cuts no group apart.
    """
    steps, batch_size = shape
    order = order[np.argsort(labels[order], kind="stable")]  # by person, each person's by chance
    people = labels[order]
    place = np.arange(len(order)) - np.searchsorted(people, people)  # among the person's own
    grouped = place < np.bincount(people)[people] // together * together
    groups = np.sort(draw.permutation(order[grouped].reshape(-1, together)), axis=1)
    singles = draw.permutation(order[~grouped])
    count = min(len(groups), steps * batch_size // together)
    held = np.bincount(np.arange(count) * steps // max(count, 1), minlength=steps)  # groups in each batch
    groups_of = np.split(groups, held.cumsum())[:steps]
    singles_of = np.split(singles, (batch_size - held * together).cumsum())[:steps]
    pairs = zip(groups_of, singles_of, strict=True)
    return np.stack([np.append(whole[whole[:, 0].argsort()], np.sort(alone)) for whole, alone in pairs])


def batches(
    faces: FacePack,
    order: np.ndarray,
    views: Views,
    draw: np.random.Generator,
    camera_draw: np.random.Generator,
    device: torch.device,
    ranks: tuple[int, int] = (0, 1),
    classes: np.ndarray | None = None,
) -> Iterator[RankBatch]:
    """This process's photos of each batch, on its device.

    Parameters
    ----------
    faces
        The training pack.
    order
        (steps, B) photo numbers, from `epoch_order`.
    views
        How each photo is shown.
    draw, camera_draw
        The epoch's generators: of mirroring and widths, and of what is changed anew and what cameras do.
    device
        Where the photos go.
    ranks
        This process's number, and how many there are.
    classes
        (N,) of the photos, from `shown_labels`; None: those of the pack.
    """
    labels, size = torch.from_numpy(faces.labels if classes is None else classes), order.shape[1]
    ours = slice(ranks[0], None, ranks[1])

    def read(
        which: np.ndarray, mirrored: np.ndarray, widths: np.ndarray | None, seeds: np.ndarray | None
    ) -> tuple[RankBatch, np.ndarray | None]:
        images = np.array(faces.images[which])
        images[mirrored] = images[mirrored][:, :, ::-1]
        if views.training.augment:
            assert seeds is not None
            images = views.changed(images, seeds)
        photos = torch.from_numpy(images)
        shown = views(photos, widths, seeds) if views.by_camera else photos[None][:0]
        if device.type == "cuda":
            photos, shown = photos.pin_memory(), shown.pin_memory()
        return RankBatch(which, photos, shown, torch.from_numpy(mirrored), labels[which]), widths

    def drawn(which: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
        mirrored = draw.random((size,)) < (0.5 if views.training.flip else 0.0)
        widths = views.widths(size, draw)
        seeds = camera_draw.integers(2**63, size=(size,))[ours] if views.by_camera or views.training.augment else None
        return which[ours], mirrored[ours], None if widths is None else widths[ours], seeds

    ahead = READ_AHEAD[device.type]
    with ThreadPoolExecutor(ahead) as pool:
        coming = deque(pool.submit(read, *drawn(which)) for which in order[:ahead])
        for step in range(len(order)):
            batch, widths = coming.popleft().result()
            if step + ahead < len(order):
                coming.append(pool.submit(read, *drawn(order[step + ahead])))
            batch = batch.to(device)
            yield batch if views.by_camera else replace(batch, views=views(batch.photos, widths))
