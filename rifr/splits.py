"""The three splits of one experiment: people to train on, probes, distractors. Nobody is in two of them.

People are compared by their names, however these are spelled (`packs.name_key`). Where one split has names and another
label numbers, nothing can be compared, and the splits say so (`FaceSplits.comparison`); who is in both can then be
given as a list (`exclude`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rifr import faces as rendered
from rifr import packs, presets, storage
from rifr.errors import DataError, SettingError, first_few
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.readers import folder as folder_reader
from rifr.storage.rows import Rows

__all__ = [
    "CountedSplit",
    "FaceSplits",
    "LeftOut",
    "ProbeSplits",
    "counted_splits",
    "face_splits",
    "probe_splits",
    "rendered_pack",
]

MIN_IMAGES_TO_TRAIN = 5
"""Images that a person in a folder or pack must have to be trained on."""
MIN_IMAGES_OF_PROBE = 2
"""Each photo of a probe person is searched for in a gallery that holds another one."""
LIMITS = {"probes": (MIN_IMAGES_OF_PROBE, None), "train": (MIN_IMAGES_TO_TRAIN, None), "distractors": (1, 1)}
"""The least images of a person whom a split takes, and the most of them that it takes."""
TEST_SEED = 0
"""Of the rendered people who are probes and distractors: the same ones, whichever people a network was trained on."""

PROBES, TRAINED = "people who are probes", "people who are trained on"
LISTED = "people on the list to leave out"
UNUSABLE = "files that cannot be used"
NO_IMAGES = "other files and folders, which are no images"
UNKNOWN = "names that nobody here has"


@dataclass(frozen=True)
class LeftOut:
    """What a split does not take of the faces that were given.

    Attributes
    ----------
    split, reason
        Which split, and why.
    names, images
        Whom, or which files; and how many images (of `NO_IMAGES` and `UNKNOWN`: names).
    """

    split: str
    reason: str
    names: tuple[str, ...]
    images: int

    def __str__(self) -> str:
        what = {NO_IMAGES: "names left out", UNKNOWN: "names passed over"}.get(self.reason, "images left out")
        return f"{self.split}: {self.images:,} {what} ({self.reason}): {first_few(self.names)}"


@dataclass(frozen=True)
class CountedSplit:
    """What a split takes: images and people, with `left_out` as in `FaceSplits`; `wrong`: why nobody is left."""

    images: int
    people: int
    left_out: tuple[LeftOut, ...] = ()
    wrong: str = ""


class _Splits:
    """What splits say of the packs that they are made of, and of what was left out of these."""

    left_out: tuple[LeftOut, ...]

    @property
    def excluded(self) -> tuple[str, ...]:
        """The people who were left out of a split because they are in another one or on a list of such people."""
        return _in_another_split(self.left_out)

    @property
    def comparison(self) -> str:
        """A sentence: whose names were compared, and whose cannot be (`packs.require_disjoint`)."""
        return packs.require_disjoint(**{name: pack for name, pack in vars(self).items() if name != "left_out"})


@dataclass(frozen=True)
class FaceSplits(_Splits):
    """The people of an experiment in three parts.

    Attributes
    ----------
    train
        Several images of each of K people.
    probes
        Several images of each of some other people.
    distractors
        One image of each person.
    left_out
        Split by split and with names, what was given and not taken.
    """

    train: FacePack
    probes: FacePack
    distractors: FacePack
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class ProbeSplits(_Splits):
    """Probes and distractors for an embedder that is trained already, with `left_out` as in `FaceSplits`."""

    probes: FacePack
    distractors: FacePack
    left_out: tuple[LeftOut, ...] = ()


def face_splits(
    preset: str | Preset = "",
    seed: int = 0,
    train_faces: str | Path | None = None,
    probe_faces: str | Path | None = None,
    distractor_faces: str | Path | None = None,
    progress: bool = True,
    exclude: str | Path | Iterable[str | int] = (),
) -> FaceSplits:
    """The three packs of an experiment, found in the store or made.

    Parameters
    ----------
    preset, seed
        Sizes and seed of the rendered people, where no folders are given.
    train_faces, probe_faces, distractor_faces : str or Path
        All three or none. Each holds a folder per person of aligned 112x112 images, or is a face pack; the same rules
        hold for both: people with at least 5 images are trained on, people with at least two are probes, and of each
        other person the first image is a distractor. Probe people are left out of the other two, and people to train
        on of the distractors.
    progress : bool
        Show progress bars.
    exclude : file or iterable of str or int
        People to leave out of training and distractors besides, because they are probes under another name: a list, or
        a text file with a name or label number a line.

    Raises
    ------
    SettingError
        When only some of the three are given.
    DataError
        When nobody is left in a split, when a split has one person under two spellings of a name, or when nobody on the
        list of `exclude` is there.
    """
    preset = presets.get(preset)
    given = {"train_faces": train_faces, "probe_faces": probe_faces, "distractor_faces": distractor_faces}
    if any(given.values()):
        missing = [name for name, folder in given.items() if not folder]
        if missing:
            raise SettingError(f"real faces need all three folders; not given: {', '.join(missing)}.")
        paths = [Path(folder) for folder in given.values() if folder]
        return _given_splits(paths[0], paths[1], paths[2], exclude, progress)
    sizes = {
        "train": (preset.train_people, preset.train_images),
        "probe": (preset.probe_people, preset.probe_images),
        "distractor": (preset.distractor_people, 1),
    }
    train, probes, distractors = (
        rendered_pack(
            rendered.RenderSpec(split, people, images, seed=seed if split == "train" else TEST_SEED), progress
        )
        for split, (people, images) in sizes.items()
    )
    packs.require_disjoint(train=train, probes=probes, distractors=distractors)
    return FaceSplits(train, probes, distractors)


def probe_splits(
    probes: str | Path | FacePack,
    distractors: str | Path | FacePack,
    progress: bool = True,
    exclude: str | Path | Iterable[str | int] = (),
) -> ProbeSplits:
    """Probes and distractors, by the rules of `face_splits`, for an embedder trained already.

    Parameters
    ----------
    probes, distractors
        Packs, or folders with a folder per person.
    exclude
        People, or a file that lists them, who are left out of the distractors.
    """
    listed = _listed(exclude)
    probe_pack, left_out = _select("probes", probes, {}, progress)
    leave = {PROBES: probe_pack.people, LISTED: listed}
    others, left_out_of_others = _select("distractors", distractors, leave, progress)
    left_out += left_out_of_others
    return ProbeSplits(probe_pack, others, (*left_out, *_not_there(listed, left_out)))


def rendered_pack(spec: rendered.RenderSpec, progress: bool = True) -> FacePack:
    """The pack of a rendering specification, found in the store or rendered."""
    return storage.found_or_made(
        "packs",
        f"rendered-{spec.split}-{spec.people}x{spec.images_per_person}",
        rendered.key(spec),
        lambda path: rendered.render(spec, path, progress=progress and sys.stderr.isatty()),  # a notebook is none
        FacePack.open,
    )


def _given_splits(
    train: Path, probes: Path, distractors: Path, exclude: str | Path | Iterable[str | int], progress: bool
) -> FaceSplits:
    listed = _listed(exclude)
    probe_pack, left_out = _select("probes", probes, {}, progress)
    leave = {PROBES: probe_pack.people, LISTED: listed}
    train_pack, left_out_of_train = _select("train", train, leave, progress)
    leave = {TRAINED: train_pack.people, **leave}
    others, left_out_of_others = _select("distractors", distractors, leave, progress)
    left_out += left_out_of_train + left_out_of_others
    unknown = _not_there(listed, left_out)
    return FaceSplits(_on_disk(train_pack), probe_pack, others, (*left_out, *unknown))


def counted_splits(
    train: Mapping[str, int], probes: Mapping[str, int], distractors: Mapping[str, int]
) -> dict[str, CountedSplit]:
    """What `face_splits` takes of three folders or packs, from the number of images of each person alone."""
    counted, taken = dict[str, CountedSplit](), dict[str, list[str]]()
    for split, images in (("probes", probes), ("train", train), ("distractors", distractors)):
        people, count = np.array(list(images)), np.array(list(images.values()), np.int64)
        leave = {reason: taken[other] for reason, other in ((TRAINED, "train"), (PROBES, "probes")) if other in taken}
        try:
            keep, left_out = _take_people(split, people, count, leave)
        except DataError as error:
            taken[split], counted[split] = [], CountedSplit(0, 0, wrong=str(error))
            continue
        taken[split] = people[keep].tolist()
        number = int(np.minimum(count[keep], LIMITS[split][1] or count.max(initial=0)).sum())
        wrong = "" if taken[split] else _nobody(split, len(people), left_out)
        counted[split] = CountedSplit(number, len(taken[split]), tuple(left_out), wrong)
    return counted


def _select(
    split: str, given: str | Path | FacePack, leave: dict[str, list[str]], progress: bool
) -> tuple[FacePack, list[LeftOut]]:
    """The part of a folder or pack that a split takes, and what it does not take.

    `leave` has the names of people to leave out, by the reason for it (the last reason counts). Of the other people,
    those with as many images as `LIMITS` has at least are taken, with as many as it has at most.
    """
    pack = given if isinstance(given, FacePack) else folder_reader.open_pack(given, progress)
    people, person, count = np.unique(pack.identities, return_inverse=True, return_counts=True)
    taken, left_out = _take_people(split, people, count, leave)
    keep = taken[person]
    max_images = LIMITS[split][1]
    if max_images is not None:
        order = np.argsort(person, kind="stable")
        place = np.empty(len(person), np.int64)  # of each image among those of its person
        place[order] = np.arange(len(person)) - np.repeat(np.cumsum(count) - count, count)
        extra = keep & (place >= max_images)
        if extra.any():
            several = tuple(np.unique(pack.identities[extra]).tolist())
            left_out.append(LeftOut(split, f"beyond the first {max_images} of a person", several, int(extra.sum())))
        keep &= ~extra
    spec = pack.manifest.get("spec", {})
    for reason, kind in ((UNUSABLE, "skipped"), (NO_IMAGES, "left_out")):
        if spec.get(kind):
            left_out.append(LeftOut(split, reason, tuple(spec.get(f"{kind}_files", ())), spec[kind]))
    if not keep.any():
        raise DataError(_nobody(split, len(people), left_out))
    return (pack if keep.all() else pack.take(keep)), left_out


def _take_people(
    split: str, people: np.ndarray, count: np.ndarray, leave: dict[str, list[str]]
) -> tuple[np.ndarray, list[LeftOut]]:
    """(N,) which of N people, with `count` images each, a split takes by the rules of `_select`; and whom it leaves."""
    min_images = LIMITS[split][0]
    keys = [packs.name_key(name) for name in people.tolist()]
    few = f"people with fewer than {min_images} images"
    reasons = np.where(count < min_images, few, "").astype(object)
    for reason, names in leave.items():
        excluded = {packs.name_key(name) for name in names}
        reasons[[key in excluded for key in keys]] = reason
    _require_one_spelling(split, [(key, name) for key, name, out in zip(keys, people.tolist(), reasons) if not out])
    left_out = [
        LeftOut(split, reason, tuple(people[reasons == reason].tolist()), int(count[reasons == reason].sum()))
        for reason in (*leave, few)
        if (reasons == reason).any()
    ]
    return reasons == "", left_out


def _nobody(split: str, people: int, left_out: Iterable[LeftOut]) -> str:
    reasons_given = "".join(f"\n  {entry}" for entry in left_out)
    return (
        f"nobody is left of the {people} people in {split}. People to train on have at least {MIN_IMAGES_TO_TRAIN} "
        f"images, probe people at least {MIN_IMAGES_OF_PROBE}, distractors one, and nobody is in two of "
        f"them.{reasons_given}"
    )


def _require_one_spelling(split: str, people: list[tuple[str, str]]) -> None:
    """DataError where two people of a split, each a key and a name, have one key: they would count as impostors."""
    spelled: dict[str, list[str]] = {}
    for key, name in people:
        spelled.setdefault(key, []).append(name)
    several = [" and ".join(names) for names in spelled.values() if len(names) > 1]
    if several:
        raise DataError(
            f"{split} hold one person under two names, or two under one: {first_few(several)}. Give a person's images "
            "one name, and two people names that differ in more than capitals, accents and signs between words"
        )


def _on_disk(pack: FacePack) -> FacePack:
    """A part that is in memory as a pack of the store, where other processes can open it."""
    if isinstance(pack.images, (np.memmap, Rows)):
        return pack
    path = storage.root() / "packs" / f"part-{pack.checksum[:16]}"
    with storage.lock(path):
        if path.exists():
            return FacePack.open(path)
        about: dict[str, Any] = {name: pack.manifest.get(name) for name in ("source", "licence", "spec")}
        return FacePack.write(path, pack.images, pack.identities, pack.landmarks, pack.attributes, **about)


def _listed(exclude: str | Path | Iterable[str | int]) -> list[str]:
    """The names of a list or of the lines of a text file; what follows a # is a remark."""
    if not isinstance(exclude, (str, Path)):
        return [str(name) for name in exclude]
    if not str(exclude):
        return []
    path = Path(exclude)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no list of people, a text file with a name a line: {error}") from error
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def _not_there(listed: list[str], left_out: list[LeftOut]) -> list[LeftOut]:
    """The names on the list to leave out that nobody has who was left out; DataError where these are all of them."""
    there = {packs.name_key(name) for entry in left_out if entry.reason == LISTED for name in entry.names}
    unknown = [name for name in listed if packs.name_key(name) not in there]
    if listed and len(unknown) == len(listed):
        raise DataError(
            f"nobody of the {len(listed)} people on the list to leave out is in these faces ({first_few(listed)}): "
            "write the names as the folders or packs have them"
        )
    return [LeftOut("the list to leave out", UNKNOWN, tuple(unknown), len(unknown))] if unknown else []


def _in_another_split(left_out: Iterable[LeftOut]) -> tuple[str, ...]:
    return tuple(sorted({name for entry in left_out if entry.reason in (PROBES, LISTED) for name in entry.names}))
