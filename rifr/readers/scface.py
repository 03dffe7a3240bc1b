"""SCface's own tree into two face packs: a mugshot of each person, and what five surveillance cameras saw of them.

    mugshot_frontal_cropped_all/001_frontal.JPG                  or mugshot_frontal_original_all/001_frontal.jpg
    surveillance_cameras_distance_1/cam_1/001_cam1_1.jpg         or surveillance_cameras_all/001_cam1_1.jpg
    all.txt                                                      optional: landmarks, anywhere below the root

Distance 1 is 4.20 m, 2 is 2.60 m and 3 is 1.00 m. Cameras 6, 7 and 8 are infra-red and not read. Capitals do not
matter.

A line of all.txt is `001_cam1_1 lx ly rx ry nx ny mx my`: the left eye, the right eye (as seen), the nose and the
centre of the mouth, in pixels. Photos that it lists are aligned by these points, all others by an aligner. Its points
for the mugshots are taken for those of the cropped copies, as the set's other users take them (it has a list of points
mugshot_frontal_cropped.txt, too). So the cropped copy goes first; an original has the same name and other pixels, and
is never aligned by points.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rifr import align
from rifr.bars import progress_bar
from rifr.errors import DataError, SettingError
from rifr.packs import FacePack
from rifr.readers.images import BadImages, first_few, is_image, named_and_counted
from rifr.readers.text import read_text
from rifr.readers.tinyface import aligned, aligner_name
from rifr.readers.writing import Origin, align_photos

__all__ = ["CAMERAS", "METRES", "PEOPLE", "ScfaceSets", "eighty", "points", "read"]

PEOPLE = 130
METRES = {1: 4.20, 2: 2.60, 3: 1.00}
CAMERAS = (1, 2, 3, 4, 5)
CROPPED, ORIGINAL, FLAT = "mugshot_frontal_cropped_all", "mugshot_frontal_original_all", "surveillance_cameras_all"
LICENCE = "as the owner of the images states"


@dataclass(frozen=True)
class ScfaceSets:
    """Packs of aligned faces; identities are "001" to "130".

    Attributes
    ----------
    mugshots
        With `file`, `size` (N, 2) the photo's height and width, `by_points` (N,) bool: aligned by listed points.
    probes
        With these and `distance` int8 (1, 2, 3), `metres` float32 (4.20, 2.60, 1.00), `camera` int8 (1 to 5).
    """

    mugshots: FacePack
    probes: FacePack


def read(
    root: str | Path,
    out: str | Path,
    aligner: align.Aligner | None = None,
    points_path: str | Path | None = None,
    people: str | Iterable[int] = "all",
    on_bad: str = "skip",
    licence: str = LICENCE,
    progress: bool = True,
) -> ScfaceSets:
    """Write the packs out/mugshots and out/probes of the set at `root`; packs that are there are replaced.

    Probes that the set should hold (3 distances, 5 cameras) and does not are counted and named in the manifest, which
    also says how many photos were aligned by points and how many by the aligner.

    Parameters
    ----------
    root
        SCface's own tree.
    out
        The folder of the two packs.
    aligner
        For photos without listed points; by default `rifr.align.resized`, which does not align.
    points_path
        The list of points; by default the all.txt below `root`, if there is one.
    people
        "all", or subject numbers such as `eighty()`.
    on_bad
        "skip" leaves corrupt probes out and names them in the manifest; "refuse" raises at the first. A corrupt mugshot
        always raises, for its person could not be found: leave the person out by `people`.
    licence
        What the manifests say of it.
    progress
        Whether to show a progress bar.

    Raises
    ------
    FileNotFoundError
        For missing folders, a missing list, and people without a mugshot.
    SettingError
        For wrong options.
    DataError
        For what `points` refuses, for two photos of one name, a photo in the folder of another distance or outside of
        which all its points lie, where nobody is left, and for corrupt photos.
    """
    root, out = Path(root), Path(out)
    bad = BadImages(on_bad)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder: give the one that holds SCface's {CROPPED}")
    folders = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    mugshots, probes = _mugshots(root, folders), _probes(root, folders)
    chosen = _chosen(people, mugshots, probes, root)
    points_path = _points_path(root) if points_path is None else Path(points_path)
    listed = {} if points_path is None else points(points_path)

    cells = [(person, camera, distance) for person in chosen for distance in METRES for camera in CAMERAS]
    missing = [_stem(*cell) for cell in cells if cell not in probes]
    cells = [cell for cell in cells if cell in probes]
    if not cells:
        raise DataError(f"nobody is left: the {len(chosen)} people have no probe in {root}. Name others by people=")
    shots, seen = [mugshots[person] for person in chosen], [probes[cell] for cell in cells]
    cropped = [path for path in shots if path.parent.name.lower() == CROPPED]
    by_file = {path: listed[path.stem.lower()] for path in [*cropped, *seen] if path.stem.lower() in listed}
    by = align.resized if aligner is None else aligner

    bad_mugshots = BadImages("skip")
    faces, attributes, _ = _align(shots, by_file, by, root, bad_mugshots, "mugshots", progress)
    if bad_mugshots.lines:
        raise DataError(
            f"{len(bad_mugshots.lines)} mugshots in {root} are corrupt, the first: {bad_mugshots.lines[0]}. Mend them, "
            "or leave their people out by people="
        )
    probe_faces, probe_attributes, good = _align(seen, by_file, by, root, bad, "probes", progress)
    person, camera, distance = np.array(cells)[good].T
    probe_attributes |= {
        "distance": distance.astype(np.int8),
        "camera": camera.astype(np.int8),
        "metres": np.array([METRES[one] for one in distance], np.float32),
    }

    spec = {
        "reader": "scface",
        "people": chosen,
        "aligner": aligner_name(by),
        "on_bad": on_bad,
        "points": None if points_path is None else points_path.name,
    }
    origin = Origin(f"photos in SCface's tree at {root.resolve().name}", licence, spec)
    kinds = {"cropped": len(cropped), "original": len(shots) - len(cropped), **_aligned_by(attributes)}
    counts = {**_aligned_by(probe_attributes), **named_and_counted("missing", missing), **bad.spec()}
    return ScfaceSets(
        origin.write(out / "mugshots", faces, _names(chosen), attributes, part="mugshots", **kinds),
        origin.write(out / "probes", probe_faces, _names(person), probe_attributes, part="probes", **counts),
    )


def _names(people: Iterable[int]) -> list[str]:
    return [f"{person:03d}" for person in people]


def eighty(seed: int = 0) -> tuple[int, ...]:
    """80 of the 130 subject numbers, drawn at random and sorted, for `read(people=...)`.

    Much of the literature tunes on 50 people and tests on the other 80 (400 probes a distance). Its splits are random
    and unpublished, so that this is one like them and none of them: say the seed, and expect figures to differ from
    split to split.
    """
    chosen = np.random.default_rng(seed).permutation(PEOPLE)[:80] + 1
    return tuple(int(number) for number in np.sort(chosen))


def points(path: str | Path) -> dict[str, np.ndarray]:
    """The four points (4, 2) float64 of each photo in a list such as all.txt, by the photo's name in small letters.

    Fields are separated by tabs or spaces; empty lines and those that begin with # are passed over.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    DataError
        For lines that are not a name and eight finite numbers and for a name that is listed twice, by the lines'
        numbers.
    """
    by_name: dict[str, np.ndarray] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(read_text(path, "give the path of SCface's all.txt").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, *fields = line.split()
        values = _numbers(fields)
        if values is None or len(values) != 8:
            raise DataError(
                f"{path}, line {number}: {line!r} is not a photo's name and eight numbers (the left eye, "
                "the right eye, the nose, the centre of the mouth). Mend or remove it"
            )
        stem = re.sub(r"\.(jpe?g|png)$", "", name.lower())
        if stem in by_name:
            raise DataError(f"{path}: {name} is on line {lines[stem]} and on line {number}. Remove one of them")
        by_name[stem], lines[stem] = values.reshape(4, 2), number
    return by_name


def _numbers(fields: list[str]) -> np.ndarray | None:
    try:
        values = np.array([float(field) for field in fields])
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def _photos(folder: Path) -> dict[str, Path]:
    """Photos below a folder, by their names in small letters without the ending."""
    photos: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if not is_image(path) or not path.is_file():
            continue
        stem = path.stem.lower()
        if stem in photos:
            raise DataError(f"{photos[stem]} and {path} are two photos of one name: remove one of them")
        photos[stem] = path
    return photos


def _mugshots(root: Path, folders: dict[str, Path]) -> dict[int, Path]:
    """Each person's mugshot, the cropped copy where there is one."""
    if CROPPED not in folders and ORIGINAL not in folders:
        raise FileNotFoundError(f"{root} holds neither {CROPPED} nor {ORIGINAL}: give the root of SCface's own tree")
    mugshots = {}
    for name in (ORIGINAL, CROPPED):
        for stem, path in _photos(folders[name]).items() if name in folders else ():
            if match := re.fullmatch(r"(\d{3})_frontal", stem):
                mugshots[int(match[1])] = path
    return mugshots


def _probes(root: Path, folders: dict[str, Path]) -> dict[tuple[int, int, int], Path]:
    """Photos by (person, camera, distance), from the distances' folders and, where one is missing, the flat one."""
    flat, probes = None, {}
    for distance in METRES:
        name = f"surveillance_cameras_distance_{distance}"
        if name in folders:
            photos = _photos(folders[name])
        elif FLAT in folders:
            photos = flat = _photos(folders[FLAT]) if flat is None else flat
        else:
            raise FileNotFoundError(f"{root} holds neither {name} nor {FLAT}: unpack SCface again, whole")
        for stem, path in photos.items():
            match = re.fullmatch(r"(\d{3})_cam([1-5])_(\d)", stem)
            if match and int(match[3]) == distance:
                probes[int(match[1]), int(match[2]), distance] = path
            elif match and name in folders:
                raise DataError(
                    f"{path} is named as a photo at distance {match[3]} and lies in the folder of "
                    f"distance {distance}: put it where it belongs"
                )
    return probes


def _chosen(people: str | Iterable[int], mugshots: dict[int, Path], probes: dict, root: Path) -> list[int]:
    """The subject numbers, ascending; each has a mugshot."""
    if isinstance(people, str) and people != "all":
        raise SettingError(f'people is "all" or a list of subject numbers, not the text {people!r}')
    seen = {person for person, _, _ in probes}
    chosen = sorted({*mugshots, *seen} if isinstance(people, str) else {int(person) for person in people})
    if not chosen:
        raise DataError(f"nobody is left of the {len({*mugshots, *seen})} people in {root}: name at least one")
    without = [f"{person:03d}" for person in chosen if person not in mugshots]
    if without:
        raise FileNotFoundError(
            f"{len(without)} people have no mugshot in {root}: {first_few(without)}. Leave them out by people=, or "
            "unpack SCface again"
        )
    return chosen


def _points_path(root: Path) -> Path | None:
    lists = sorted(path for path in root.rglob("*") if path.name.lower() == "all.txt")
    if len(lists) > 1:
        raise DataError(
            f"{root} holds {len(lists)} lists of points ({lists[0]}, {lists[1]}): say which, by points_path="
        )
    return lists[0] if lists else None


def _align(
    files: list[Path],
    listed: dict[Path, np.ndarray],
    aligner: align.Aligner,
    root: Path,
    bad: BadImages,
    name: str,
    progress: bool,
) -> tuple[np.ndarray, dict[str, np.ndarray], list[int]]:
    """Faces (n, 112, 112, 3), their attributes, and which of the files they are."""
    faces: list[np.ndarray] = []
    names = [file.relative_to(root).as_posix() for file in files]
    photos = progress_bar(list(zip(files, names, strict=True)), desc=f"aligning {name}", unit="photo", show=progress)
    good, sizes = align_photos(photos, lambda photo, file: _face(photo, file, listed, aligner), faces.append, bad)
    if not good:
        raise DataError(f"nobody is left: all {len(bad.lines)} {name} are corrupt{bad.first()}")
    by_points = np.array([files[row] in listed for row in good])
    return np.stack(faces), {"file": np.array(names)[good], "size": sizes, "by_points": by_points}, good


def _face(photo: np.ndarray, file: Path, listed: dict[Path, np.ndarray], aligner: align.Aligner) -> np.ndarray:
    if file not in listed:
        return aligned(photo, file, aligner)
    four = listed[file]
    height, width = photo.shape[:2]
    if not np.any((four >= -0.5) & (four < [width - 0.5, height - 0.5]), axis=0).all():
        raise DataError(
            f"{file} is {width}x{height} pixels, and all of its listed points lie outside: "
            f"{four.tolist()}. The list is of other photos"
        )
    try:
        return align.face(photo, four)
    except ValueError as error:
        raise DataError(f"{file} cannot be aligned by its listed points: {error}") from error


def _aligned_by(attributes: dict[str, np.ndarray]) -> dict[str, int]:
    by_points = int(attributes["by_points"].sum())
    return {"aligned_by_points": by_points, "aligned_by_aligner": len(attributes["by_points"]) - by_points}


def _stem(person: int, camera: int, distance: int) -> str:
    return f"{person:03d}_cam{camera}_{distance}"
