"""The pictures of chapter 6: what landmark networks learn from, and what they are measured on.

    learnt, measured = landmarks.pictures("mini")

Rendered faces loose in scenes, or photos of WIDER FACE; never the same people in both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rifr import faces as rendered
from rifr import presets, splits, storage
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.readers import images, text, wider_face


def to_learn(preset: Preset, seed: int, progress: bool) -> FacePack:
    """The rendered pictures that a preset's networks learn from."""
    size = preset.landmarks
    return scenes("landmarks", size.people, size.images, size.scene, seed, progress)


def scenes(split: str, people: int, images: int, side: int, seed: int = 0, progress: bool = True) -> FacePack:
    """Rendered pictures with a face loose in each, found in the store or rendered.

    Parameters
    ----------
    split, people, images, seed
        As in `rifr.faces.RenderSpec`.
    side
        Of the pictures, in pixels.
    """
    return splits.rendered_pack(rendered.RenderSpec(split, people, images, seed=seed, size=side, scenes=True), progress)


def pictures(
    preset: str | Preset = "", seed: int = 0, wider_root: str | Path = "", progress: bool = True
) -> tuple[FacePack, FacePack]:
    """What landmark networks learn from, and what they are measured on: scenes with landmarks, of other people.

    Parameters
    ----------
    preset, seed
        Of the rendered pictures.
    wider_root
        The folder of WIDER FACE, whose train split is taken instead; a tenth of its photos is held out.
    """
    preset = presets.get(preset)
    if not wider_root:
        return to_learn(preset, seed, progress), held_out_scenes(preset, seed, progress)
    side = preset.landmarks.test_scene
    root = Path(wider_root)
    sources = storage.sources_digest(wider_face, images, text)
    key = storage.digest(str(root.resolve()), storage.folder_digest(root / "train"), side, sources)

    def pack(part: Literal["most", "held out"]) -> FacePack:
        def make(path: Path) -> None:
            wider_face.read(wider_root, path, side=side, part=part, progress=progress)

        return storage.found_or_made("packs", f"wider-{part.replace(' ', '-')}", key, make, FacePack.open)

    return pack("most"), pack("held out")


def held_out_scenes(preset: str | Preset = "", seed: int = 0, progress: bool = True) -> FacePack:
    """The rendered pictures that chapter 6 measures on: other people than those of any training set."""
    size = presets.get(preset).landmarks
    return scenes("landmark-test", size.test_people, size.test_images, size.test_scene, seed, progress)
