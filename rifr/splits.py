"""The faces of one experiment: people to train on, probes, distractors. Nobody is in two of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rifr import faces as rendered
from rifr import packs, presets, storage
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.readers import folder as folder_reader

FEWEST_TO_TRAIN = 5
"""Images that a person in a folder must have to be trained on."""


@dataclass(frozen=True)
class FaceSplits:
    """train: several images of each of K people; probes: several of each; distractors: people with one image each.

    `excluded` names the probe people who were left out of the other two.
    """

    train: FacePack
    probes: FacePack
    distractors: FacePack
    excluded: tuple[str, ...] = ()

    def describe(self) -> str:
        """One sentence for captions: what the faces are and how many."""
        return (
            f"{self.train.manifest['source']}: {len(self.train):,} images of {len(self.train.people):,} people to "
            f"train on; {len(self.probes):,} probes of {len(self.probes.people)} people among "
            f"{len(self.distractors):,} distractors"
        )


def face_splits(
    preset: str | Preset = "",
    seed: int = 0,
    train_faces: str = "",
    probe_faces: str = "",
    distractor_faces: str = "",
    progress: bool = True,
) -> FaceSplits:
    """The three packs of an experiment, found in the store or made.

    Without folders, the preset's rendered people. A folder holds a folder per person of aligned 112x112 images, or is
    itself a face pack. From folders: to train on, people with at least 5 images; as probes, all people with at least
    two; as distractors, people with a single one. Probe people are left out of the other two. Raises ValueError when
    nobody is left, or when only some of the three are given.
    """
    preset = presets.get(preset)
    given = {"train_faces": train_faces, "probe_faces": probe_faces, "distractor_faces": distractor_faces}
    if any(given.values()) and not all(given.values()):
        missing = [name for name, value in given.items() if not value]
        raise ValueError(f"real faces need all three folders; not given: {', '.join(missing)}.")
    if all(given.values()):
        return _from_folders(*map(Path, given.values()), progress)
    sizes = {
        "train": (preset.train_people, preset.train_images),
        "probe": (preset.probe_people, preset.probe_images),
        "distractor": (preset.distractor_people, 1),
    }
    made = FaceSplits(
        *(
            rendered_pack(rendered.RenderSpec(split, people, images, seed=seed), progress)
            for split, (people, images) in sizes.items()
        )
    )
    packs.require_disjoint(train=made.train, probes=made.probes, distractors=made.distractors)
    return made


def probe_splits(
    probe_faces: str | Path, distractor_faces: str | Path, progress: bool = True
) -> tuple[FacePack, FacePack]:
    """Probes and distractors from folders (or packs), for scoring an embedder that is trained already."""
    probes = _folder_pack(Path(probe_faces), {"fewest": 2}, progress)
    return probes, _folder_pack(Path(distractor_faces), {"most": 1, "exclude": probes.people}, progress)


def rendered_pack(spec: rendered.RenderSpec, progress: bool = True) -> FacePack:
    """The pack of a rendering specification, found in the store or rendered."""
    key = storage.digest(spec, storage.sources_digest(rendered))
    path = storage.root() / "packs" / f"rendered-{spec.split}-{spec.people}x{spec.images_per_person}-{key[:12]}"
    return rendered.render(spec, path, progress=progress and sys.stderr.isatty())  # a notebook is none


def _from_folders(train: Path, probe: Path, distractor: Path, progress: bool) -> FaceSplits:
    probes = _folder_pack(probe, {"fewest": 2}, progress)
    train_pack = _folder_pack(train, {"fewest": FEWEST_TO_TRAIN, "exclude": probes.people}, progress)
    distractors = _folder_pack(
        distractor, {"most": 1, "exclude": sorted({*probes.people, *train_pack.people})}, progress
    )
    made = FaceSplits(train_pack, probes, distractors)
    left_out = {name for pack in (train_pack, distractors) for name in pack.manifest["spec"].get("excluded", [])}
    packs.require_disjoint(train=made.train, probes=made.probes, distractors=made.distractors)
    return FaceSplits(train_pack, probes, distractors, tuple(sorted(left_out & set(probes.people))))


def _folder_pack(folder: Path, options: dict, progress: bool) -> FacePack:
    if (folder / "manifest.json").exists():
        pack = FacePack.open(folder)
        keep = [name not in options.get("exclude", ()) for name in pack.identities]
        return pack if all(keep) else pack.take(keep)
    listing = sorted(
        (str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns) for file in folder.glob("*/*")
    )
    key = storage.digest(str(folder.resolve()), listing, options, storage.sources_digest(folder_reader))
    path = storage.root() / "packs" / f"folder-{folder.name}-{key[:12]}"
    with storage.lock(path):
        if not path.exists():
            folder_reader.read(folder, path, progress=progress, **options)
    return FacePack.open(path)
