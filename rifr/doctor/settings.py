"""How a network may be given its photos, and the settings that are tried beside the declared one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Self

import cv2
import numpy as np
import torch

from rifr import devices, networks, storage
from rifr.align import FACE_SIZE
from rifr.evaluation.onnx import Network, Onnx
from rifr.packs import FacePack
from rifr.training.runs import Run

__all__ = [
    "PLACEMENTS",
    "SCALINGS",
    "PixelRun",
    "Reads",
    "Setting",
    "each_face",
    "moved",
    "pixel_settings",
    "placement_settings",
]

Numbers = float | tuple[float, float, float]

SCALINGS: dict[str, tuple[Numbers, Numbers]] = {
    "[0, 255]": (0.0, 1.0),
    "[0, 1]": (0.0, 255.0),
    "[-1, 1]": (127.5, 127.5),
    "ImageNet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
"""Mean and scale in grey levels (three: red, green, blue) of the scalings in use: (grey level - mean) / scale."""
NEAR = 0.01
"""Two scalings that put black and white this close to each other, in shares of their range, are one: 127.5 and 128."""
AS_IT_IS = "as it is"
SHIFT, ZOOM = 8, 1.25
PLACEMENTS: dict[str, tuple[float, float, float]] = {
    "closer": (ZOOM, 0, 0),
    "wider": (1 / ZOOM, 0, 0),
    "left": (1, -SHIFT, 0),
    "right": (1, SHIFT, 0),
    "up": (1, 0, -SHIFT),
    "down": (1, 0, SHIFT),
}
"""What is done to a photo: enlarged about its centre by a factor, then moved right and down by so many pixels of 112.

A shift by 8 is the one between the usual template's 112x112 and its 96x112 form."""
WORDS = {"closer": f"enlarged {ZOOM:g} x", "wider": f"shrunk {ZOOM:g} x"} | {
    name: f"moved {SHIFT} px {name}" for name in ("left", "right", "up", "down")
}
"""By placement, what a table calls it."""


@dataclass(frozen=True)
class PixelRun:
    """A trained network of this library that is given its pixels in some other way than it was trained with.

    Attributes
    ----------
    run
        It was trained on RGB in [-1, 1].
    channels, mean, scale
        As `rifr.evaluation.onnx.Onnx` has them.
    """

    run: Run
    channels: str = "RGB"
    mean: Numbers = 127.5
    scale: Numbers = 127.5

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def key(self) -> str:
        """A digest of the network and of how it is given its pixels."""
        return storage.digest(self.run.key, "pixels", self.channels, self.mean, self.scale)

    def embedder(self) -> Network:
        """A function from (N, 112, 112, 3) uint8 RGB to features (N, D) float32."""
        device = devices.device()
        network = networks.channels_last(self.run.network(), device)
        mean, scale = (np.asarray(value, np.float32) for value in (self.mean, self.scale))

        @torch.inference_mode()
        def features(images: np.ndarray) -> np.ndarray:
            pixels = (images.astype(np.float32) - mean) / scale
            if self.channels == "BGR":
                pixels = pixels[..., ::-1]
            given = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
            return network(given.permute(0, 3, 1, 2)).cpu().numpy()

        return features


Reads = Onnx | PixelRun
"""A network of which it can be said how it wants its pixels."""


@dataclass(frozen=True)
class Setting:
    """One way of giving a network its photos.

    Attributes
    ----------
    channels
        "RGB" or "BGR".
    mean, scale
        The network gets (grey level - mean) / scale.
    placement
        A key of `PLACEMENTS`, or "as it is".
    mirror
        Whether the mirror image's features are added.
    """

    channels: str
    mean: Numbers
    scale: Numbers
    placement: str = AS_IT_IS
    mirror: bool = True

    @classmethod
    def declared(cls, embedder: Reads, mirror: bool) -> Self:
        """What is said of a network."""
        return cls(embedder.channels, embedder.mean, embedder.scale, AS_IT_IS, mirror)

    @property
    def scaling(self) -> str:
        """The scaling's name, else its numbers."""
        for name, (mean, scale) in SCALINGS.items():
            if _alike((self.mean, self.scale), (mean, scale)):
                return name
        return f"mean {_written(self.mean)}, scale {_written(self.scale)}"

    @property
    def options(self) -> dict[str, str]:
        """The options of the command that say it, by what they are about."""
        numbers = f"--mean {_written(self.mean)} --scale {_written(self.scale)}"
        return {"channels": f"--channels {self.channels}", "scaling": numbers}

    def changes(self, other: Setting) -> tuple[str, ...]:
        """In what it differs from another: of "channels", "scaling", "placement" and "mirror"."""
        fields = ("channels", "scaling", "placement", "mirror")
        return tuple(name for name in fields if getattr(self, name) != getattr(other, name))

    def said(self, other: Setting) -> str:
        """Only that in which it differs from another: "BGR, [0, 1]"."""
        words = {
            "channels": self.channels,
            "scaling": self.scaling,
            "placement": f"photos {WORDS.get(self.placement, self.placement)}",
            "mirror": "mirror image added" if self.mirror else "no mirror image",
        }
        return ", ".join(words[name] for name in self.changes(other)) or "as declared"

    def embedder(self, embedder: Reads) -> Reads:
        """The network as it is given its pixels here."""
        return replace(embedder, channels=self.channels, mean=self.mean, scale=self.scale)


def pixel_settings(declared: Setting) -> list[Setting]:
    """Every other channel order and scaling, and both at once."""
    own = declared.mean, declared.scale
    scalings = [own, *(scaling for scaling in SCALINGS.values() if not _alike(scaling, own))]
    orders = [declared.channels, "BGR" if declared.channels == "RGB" else "RGB"]
    all_of_them = [
        replace(declared, channels=order, mean=mean, scale=scale) for (mean, scale), order in product(scalings, orders)
    ]
    return all_of_them[1:]


def placement_settings(base: Setting) -> list[Setting]:
    """The same pixels of photos that are enlarged, shrunk or moved; and mirror images added or left out."""
    return [*(replace(base, placement=name) for name in PLACEMENTS), replace(base, mirror=not base.mirror)]


def moved(pack: FacePack, placement: str) -> FacePack:
    """A pack's faces enlarged, shrunk or moved, black where nothing is known; in memory."""
    if placement == AS_IT_IS:
        return pack
    zoom, right, down = PLACEMENTS[placement]
    centre = (FACE_SIZE - 1) / 2
    matrix = np.array([[zoom, 0, (1 - zoom) * centre + right], [0, zoom, (1 - zoom) * centre + down]])
    return each_face(
        pack, f"placed {PLACEMENTS[placement]}", lambda face: cv2.warpAffine(face, matrix, face.shape[1::-1])
    )


def each_face(pack: FacePack, how: str, change: Callable[[np.ndarray], np.ndarray]) -> FacePack:
    """A pack with every picture changed, under a checksum of its own."""
    images = np.stack([change(np.ascontiguousarray(face)) for face in pack.images])
    checksum = storage.digest(pack.checksum, how)
    return replace(pack, images=images, manifest={**pack.manifest, "checksum": checksum})


def _alike(one: tuple[Numbers, Numbers], other: tuple[Numbers, Numbers]) -> bool:
    """Whether two scalings put black and white at the same numbers, or nearly."""
    ends = [
        np.stack([(level - np.broadcast_to(mean, 3)) / np.broadcast_to(scale, 3) for level in (0, 255)])
        for mean, scale in (one, other)
    ]  # (2, 3) each
    return bool(np.abs(ends[0] - ends[1]).max() <= NEAR * np.ptp(ends[1], axis=0).min())


def _written(numbers: Numbers) -> str:
    return " ".join(f"{number:g}" for number in np.atleast_1d(numbers))
