"""What the data scripts share: the estimate, finding a finished pack, and what is said in the end.

A script says what a look at its tree counts (`survey`), and which reader makes the packs (`make`). Nothing downloads.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import trees

from rifr import storage
from rifr.align import FACE_SIZE
from rifr.errors import DataError, RifrError, SettingError
from rifr.packs import FacePack
from rifr.presets import PRESETS
from rifr.readers import archive
from rifr.readers.images import first_few
from rifr.storage import interrupts

SHOWN = 5  # names that are printed; the rest is counted
DIRECTIONS = "dry_run", "again", "strict", "root", "out", "training"  # options that do not change what a pack holds


@dataclass(frozen=True)
class Count:
    """What was counted, and how many of it the published set has; None where nobody published that."""

    what: str
    found: int
    expected: int | None = None

    @property
    def differs(self) -> bool:
        return self.expected is not None and self.found != self.expected

    def __str__(self) -> str:
        sentence = f"{self.what}: {self.found:,}"
        if self.expected is None:
            return sentence
        if self.expected == self.found:
            return f"{sentence}, as expected"
        kind = "missing" if self.found < self.expected else "extra"
        return f"{sentence}, {abs(self.expected - self.found):,} {kind} (expected {self.expected:,})"


@dataclass
class Survey:
    """A look at a tree.

    counts   of files, people or photos against the published ones
    packs    the (images, people) that each pack should hold, by its folder in --out ("": --out itself)
    images   how many the packs will hold at most; copies: how often they lie on the disk while they are made
    wrong    further sentences on what is not as published; notes: on what is
    """

    counts: list[Count]
    packs: Mapping[str, tuple[int | None, int | None]]
    images: int
    side: int = FACE_SIZE
    copies: float = 1
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return self.images * self.side**2 * 3


def run(
    name: str,
    doc: str,
    survey: Callable,
    make: Callable,
    add_options: Callable | None = None,
    arguments: list[str] | None = None,
    marks: Callable = lambda options: set(),
    rooted: bool = True,
    resumes: bool = False,
) -> int:
    """Run a script; returns the exit status. Errors that a user can mend are one line, without a traceback.

    survey: (tree, options) -> Survey; make: (root, options) -> the packs by their folders in --out
    marks: options -> names by which the root is known within an archive; rooted: whether there is a tree at all
    resumes: whether `make` itself finds those of its packs that are finished, and refuses others
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if rooted:
        parser.add_argument(
            "root",
            type=Path,
            metavar="ROOT",
            help="the set's folder, or an archive of it: " + ", ".join(archive.ENDINGS),
        )
    parser.add_argument("--out", type=Path, required=True, help="folder of the pack or packs")
    parser.add_argument("--dry-run", action="store_true", help="look, count and estimate; write nothing")
    parser.add_argument("--again", action="store_true", help="make the pack anew where there is one")
    parser.add_argument("--strict", action="store_true", help="exit status 1 where counts are not the expected ones")
    if add_options:
        add_options(parser)
    options = parser.parse_args(arguments)
    try:
        with interrupts.stoppable():
            tree = trees.look(options.root, marks(options)) if rooted else None
            return _run(name, tree, options, survey(tree, options), make, resumes)
    except KeyboardInterrupt:
        print("\nstopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
        return 130
    except (RifrError, OSError) as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def add_aligner(parser: argparse.ArgumentParser) -> None:
    """The options of sets whose photos are not aligned."""
    parser.add_argument(
        "--aligner",
        choices=("landmarks", "none"),
        default="landmarks",
        help="landmarks (default): by the landmark network, which is trained at its first use; "
        "none: the whole photo becomes the face",
    )
    parser.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        default=os.environ.get("RIFR_PRESET") or "mini",
        help="of the landmark network (default $RIFR_PRESET, else mini)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the landmark network (default 0)")


def aligner(options: argparse.Namespace) -> Callable:
    """The aligner that the options name; the landmark network is trained where it is not stored."""
    if options.aligner == "none":
        from rifr import align

        return align.resized
    from rifr import landmarks

    return landmarks.fit("wing+lr", options.preset, options.seed).aligner()


def add_on_bad(parser: argparse.ArgumentParser, default: str = "skip") -> None:
    parser.add_argument(
        "--on-bad",
        choices=("skip", "refuse"),
        default=default,
        help=f"images that are corrupt or of another size: leave out, or stop (default {default})",
    )


def names(those: list[str]) -> str:
    """The first few of many names."""
    return first_few(those, SHOWN)


def place_of(out: Path, part: str) -> Path:
    """The folder of one of a script's packs."""
    return out / part if part else out


def _run(
    name: str, tree: trees.Tree | None, options: argparse.Namespace, survey: Survey, make: Callable, resumes: bool
) -> int:
    if tree and options.out.resolve().is_relative_to(tree.path.resolve()):
        raise SettingError(f"--out {options.out} lies in the set itself, {tree.path}: give a folder outside of it")
    if tree and not survey.images:
        raise DataError(f"{tree.path} holds no image where this set has them: give the folder that --help shows")
    print("\n".join(map(str, [*survey.counts, *survey.notes, *survey.wrong])))
    if options.dry_run:
        print(_estimate(tree, options.out, survey)[1])
        print("dry run: nothing was written")
        return int(options.strict and _deviates(survey.counts, survey.wrong))
    with storage.lock(options.out):
        packs = _make(name, tree, options, survey, make, resumes)
    counts = list(survey.counts)
    for part, pack in packs.items():
        counts += _report(options.out, part, pack, survey.packs.get(part, (None, None)))
    return int(options.strict and _deviates(counts, survey.wrong))


def _make(
    name: str, tree: trees.Tree | None, options: argparse.Namespace, survey: Survey, make: Callable, resumes: bool
) -> dict[str, FacePack]:
    """The packs, found or made. A note beside them says from what they were begun, and whether they are finished."""
    note = options.out.with_name(options.out.name + ".made.json")
    key = _key(name, tree, options)
    begun = _read(note)
    same = begun.get("key") == key
    places = {part: place_of(options.out, part) for part in survey.packs}
    there = all(part in begun["packs"] and (place / "manifest.json").is_file() for part, place in places.items())
    if same and there and not options.again:
        packs = {part: FacePack.open(place) for part, place in places.items()}
        if all(pack.checksum == begun["packs"][part] for part, pack in packs.items()):
            print(f"found {options.out}, made before from the same files and options (--again makes it anew)")
            return packs
    for place in places.values():
        _may_replace(place, options.again or same or resumes)
    fits, sentence = _estimate(tree, options.out, survey)
    if not fits:
        raise OSError(sentence)
    root = tree.unpacked(options.out) if tree else None
    _note(note, name, key, {})
    packs = make(root, options)
    _note(note, name, key, {part: pack.checksum for part, pack in packs.items()})
    return packs


def _key(name: str, tree: trees.Tree | None, options: argparse.Namespace) -> str:
    """What the packs are made from: the files' paths and sizes, and the options, of lists their contents."""
    chosen = {
        option: storage.file_digest(value) if isinstance(value, Path) and value.is_file() else str(value)
        for option, value in vars(options).items()
        if option not in DIRECTIONS
    }
    return storage.digest(name, chosen, sorted(tree.files.items()) if tree else None)


def _note(note: Path, name: str, key: str, packs: dict[str, str]) -> None:
    storage.atomic_write(note, storage.readable_json({"script": name, "key": key, "packs": packs}))


def _read(note: Path) -> dict:
    """The note on the packs; an unreadable one says as little as none."""
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
        return {"key": content["key"], "packs": dict(content["packs"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"key": None, "packs": {}}


def _may_replace(place: Path, ours: bool) -> None:
    """Refuse what is in the way: a folder that is no pack is never replaced, and a pack of something else on demand."""
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not (place / "manifest.json").is_file():
        raise SettingError(f"{place} is there and is no face pack: give another --out")
    if not ours:
        raise SettingError(
            f"{place} holds a pack that was made from other files, by other options or elsewhere: give "
            "another --out, or --again to replace it"
        )


def _estimate(tree: trees.Tree | None, out: Path, survey: Survey) -> tuple[bool, str]:
    """Whether the packs fit on the disk, and a sentence on it."""
    free, packed = archive.free_disk(out), 0
    if tree and not tree.folder and not storage.place(*trees.unpacked(tree.path, out)).exists():
        packed = sum(tree.files.values())
    need = int(survey.bytes * survey.copies) + packed
    made = f", {_size(need)} while it is made" + (" and unpacked" if packed else "") if need > survey.bytes else ""
    fits = need <= free
    return fits, (
        f"disk: {survey.images:,} images take {_size(survey.bytes)}{made}; {_size(free)} are free at {out}: "
        + ("it fits" if fits else "it does not fit, make room or give another --out")
    )


def _size(count: int) -> str:
    power = min(3, max(1, (len(str(count)) - 1) // 3))
    return f"{count / 1000**power:.1f} {('kB', 'MB', 'GB')[power - 1]}"


def _deviates(counts: list[Count], wrong: list[str]) -> bool:
    return bool(wrong) or any(count.differs for count in counts)


def _report(out: Path, part: str, pack: FacePack, expected: tuple[int | None, int | None]) -> list[Count]:
    """Print what a pack holds and what was left out of it, and return its counts."""
    spec, people = pack.manifest["spec"], len(pack.people)
    print(f"{place_of(out, part)}: {len(pack):,} images of {people:,} people")
    for what in ("skipped", "absent", "missing", "left_out"):
        if spec.get(what):
            listed = spec[f"{what}_files"]
            print(
                f"  {spec[what]:,} {what.replace('_', ' ')}: {'; '.join(listed[:SHOWN])}"
                + ("; ..." if spec[what] > SHOWN else "")
            )
    if spec.get("noise_excluded"):
        print(f"  {spec['noise_excluded']:,} left out as noise")
    where = f" in {part}" if part else " in the pack"
    counts = [
        Count(f"{what}{where}", found, wanted)
        for what, found, wanted in zip(("images", "people"), (len(pack), people), expected)
    ]
    print("".join(f"  {count}\n" for count in counts if count.expected is not None), end="")
    return counts
