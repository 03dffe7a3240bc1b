"""The living page: trained networks that run in the reader's browser, and the faces that they are asked about.

    show(living.page(trained, faces))

Two files of JavaScript are written, which the book's extension copies beside the pages. One holds onnxruntime-web,
which is fetched as the faces' assets are; the other the networks (ONNX), the faces, and the features of the gallery.
Both are plain scripts that carry their bytes as text: a page that is opened from disk may fetch nothing. The page's
own code is `book/_static/living.js`.
"""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from rifr import degrade, storage
from rifr.align import FACE_SIZE, TEMPLATE
from rifr.errors import DataError, RifrError, StorageError
from rifr.evaluation.protocols.embeddings import unit_rows
from rifr.faces import tarballs
from rifr.faces.tarballs import Package
from rifr.landmarks import CROP_SCALE, INPUT, LandmarkRun
from rifr.report.style import label
from rifr.splits import FaceSplits
from rifr.training.runs import Run

KIND = "living"
"""The folder of both files, in the user's cache and in the store."""

RUNTIME = Package(
    name="onnxruntime-web",
    version="1.23.2",
    file="onnxruntime-web-1.23.2.tgz",
    integrity="sha512-T09JUtMn+CZLk3mFwqiH0lgQf+4S7+oYHHtk6uhaYAAJI95bTcKi5bOOZYwORXfS/RLZCjDDEXGWIuOCAFlEjg==",
    megabytes=26,
    licence="MIT",
)
"""onnxruntime by Microsoft for browsers, with its compiled code for one thread."""

PARTS = {
    "main": "dist/ort.wasm.min.mjs",
    "glue": "dist/ort-wasm-simd-threaded.mjs",
    "compiled": "dist/ort-wasm-simd-threaded.wasm",
}
"""What of the package is used."""

SHOWN = ("hr-only", "hr+lr", "shared-only", "proposed")
"""The networks of the page."""

SINGLE = np.dtype("<f4")
"""Of the arrays that the page reads."""

WIDTHS = (8, 10, 12, 16, 20, 25, 30, 40, 60, FACE_SIZE)
"""The steps of the slider, in pixels."""

PEOPLE, OTHERS = 20, 60
"""Whose photos are searched for, and how many others stand in the gallery beside theirs."""


def page(trained: Mapping[str, Run], faces: FaceSplits, finder: LandmarkRun, progress: bool = True) -> Living:
    """The page's place in a notebook, with both files written.

    Parameters
    ----------
    trained
        Runs by recipe; those of `SHOWN` are taken.
    faces
        Probes and distractors to choose the page's faces from.
    finder
        The landmark network, which finds the five points of a reader's picture.
    """
    try:
        files = [runtime(progress).name, content(trained, faces, finder).name]
    except RifrError as error:  # no network, say: the book is whole without this page
        return Living((), str(error))
    return Living(tuple(files))


class Living:
    """What a notebook displays: a place that `living.js` fills, or why it stays empty.

    Parameters
    ----------
    files
        Names of the files that the page loads.
    missing
        Why there are none.
    """

    def __init__(self, files: tuple[str, ...], missing: str = ""):
        self.files, self.missing = files, missing

    def _repr_html_(self) -> str:
        if self.missing:
            return f"<p>The networks cannot be shown in this page: {html.escape(self.missing)}</p>"
        said = "The networks run where scripts are allowed, in the built book: <code>make book</code>."
        return f'<div class="rifr-living" data-rifr-files="{" ".join(self.files)}"><p>{said}</p></div>'

    def __repr__(self) -> str:
        return f"[living page: {self.missing or ', '.join(self.files)}]"


# the two files --------------------------------------------------------------------------------------------------------


def runtime(progress: bool = True) -> Path:
    """onnxruntime-web as a script that sets `rifrRuntime`: found in the user's cache, or fetched (26 MB, once).

    Raises
    ------
    DataError, StorageError
        Where the package cannot be had, is not the pinned one, or cannot be kept.
    """

    def make(path: Path) -> None:
        wanted = {(RUNTIME.name, part) for part in PARTS.values()}
        members = tarballs.read_members(lambda *member: member in wanted, progress, [RUNTIME])
        if absent := wanted - members.keys():
            raise DataError(f"{RUNTIME} lacks {', '.join(sorted(part for _, part in absent))}")
        parts = {name: members[RUNTIME.name, part] for name, part in PARTS.items()}
        script = {name: parts[name].decode() for name in ("main", "glue")}
        script["compiled"] = _text(gzip.compress(parts["compiled"], 9, mtime=0))
        _write(path, "rifrRuntime", script)

    folder = storage.user_cache() / KIND
    name, key = f"{RUNTIME.name}-{RUNTIME.version}", storage.digest(RUNTIME.integrity, PARTS, _code())
    return storage.found_or_made(str(folder), name, key, make, Path, ".js")


def content(trained: Mapping[str, Run], faces: FaceSplits, finder: LandmarkRun, plan: Plan | None = None) -> Path:
    """Networks, faces and the gallery's features as a script that sets `rifrFaces`, found in the store or made."""
    plan = plan or Plan()
    runs = {name: trained[name] for name in SHOWN if name in trained}
    packs = [faces.probes.checksum, faces.distractors.checksum]
    found_by = {name: run.path.name for name, run in [*runs.items(), ("finder", finder)]}
    key = storage.digest(found_by, packs, plan, _code())

    def make(path: Path) -> None:
        _write(path, "rifrFaces", told(runs, choose(faces, plan), finder, plan.widths))

    return storage.found_or_made(KIND, "faces", key, make, Path, ".js")


@dataclass(frozen=True)
class Plan:
    """How many `people` are searched for, how many `others` stand in the gallery, and the `widths` of the slider."""

    people: int = PEOPLE
    others: int = OTHERS
    widths: tuple[int, ...] = WIDTHS


@dataclass(frozen=True)
class Chosen:
    """The page's faces.

    Attributes
    ----------
    probes, gallery
        (P, 112, 112, 3) and (G, 112, 112, 3) uint8 RGB.
    right
        (P,) where in the gallery each probe's person is.
    """

    probes: np.ndarray
    gallery: np.ndarray
    right: np.ndarray


def choose(faces: FaceSplits, plan: Plan) -> Chosen:
    """Two photos of each of some probe people, evenly spaced: the first is in the gallery, the other is the probe.
    Beside them in the gallery, distractors, evenly spaced."""
    person = np.asarray(faces.probes.identities)
    names = np.asarray(faces.probes.people)[_evenly(len(faces.probes.people), plan.people)]
    first, second = np.array([np.flatnonzero(person == name)[:2] for name in names]).T
    others = faces.distractors.images[_evenly(len(faces.distractors), plan.others)]
    gallery = np.concatenate([np.asarray(faces.probes.images[first]), np.asarray(others)])
    return Chosen(np.asarray(faces.probes.images[second]), gallery, np.arange(len(names)))


def _evenly(count: int, wanted: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(wanted, count)).astype(int)


def told(runs: Mapping[str, Run], faces: Chosen, finder: LandmarkRun, widths: Sequence[int]) -> dict[str, Any]:
    """All that the page knows: see the keys. Arrays are base64 of little-endian float32."""
    networks = []
    for name, run in runs.items():
        embed = run.embedder("cpu")
        at = {width: embed(degrade.to_width(faces.gallery, width)) for width in widths}
        gallery = {width: unit_rows("the gallery", rows, SINGLE).numpy() for width, rows in at.items()}
        networks.append(
            {
                "name": name,
                "label": label(name),
                "onnx": _text(to_onnx(run.network())),
                "gallery": {width: _text(rows.tobytes()) for width, rows in gallery.items()},
            }
        )
    return {
        "side": FACE_SIZE,
        "template": TEMPLATE.tolist(),
        "widths": list(widths),
        "networks": networks,
        "finder": {"onnx": _text(to_onnx(finder.network(), INPUT)), "side": INPUT, "scale": CROP_SCALE},
        "probes": [_picture(image, ".png") for image in faces.probes],
        "right": faces.right.tolist(),
        "gallery": [_picture(image, ".jpg") for image in faces.gallery],
    }


def to_onnx(network: nn.Module, side: int = FACE_SIZE) -> bytes:
    """The network, from "x" (1, 3, side, side) in [-1, 1] to "z" (1, ...), as an ONNX file.

    By PyTorch's earlier exporter: the later one needs a further package and half a minute.
    """
    file: Any = io.BytesIO()  # the earlier exporter writes to files, too
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the earlier one, and that the shape of the input is checked
        torch.onnx.export(
            network.cpu().eval(),
            (torch.zeros(1, 3, side, side),),
            file,
            input_names=["x"],
            output_names=["z"],
            dynamo=False,
        )
    return file.getvalue()


def _picture(image: np.ndarray, kind: str) -> str:
    """An RGB image as the address of its own data; a probe's loses nothing, for the networks see it."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 85] if kind == ".jpg" else []
    data = cv2.imencode(kind, image[:, :, ::-1], quality)[1].tobytes()
    return f"data:image/{'jpeg' if kind == '.jpg' else 'png'};base64,{_text(data)}"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _code() -> str:
    return storage.sources_digest(sys.modules[__name__])


def _write(path: Path, name: str, value: dict[str, Any]) -> None:
    """`window.<name> = <value>`, atomically; "</" is broken up, in case the script is pasted into a page."""
    text = f"window.{name}={json.dumps(value)};\n".replace("</", "<\\/")
    storage.atomic_write(path, text)


def copied(built: Path) -> list[str]:
    """Copy the files that built pages (HTML) name to `_static/living` beside them; returns the names of all.

    Raises
    ------
    StorageError
        For a file that is gone since the page was executed, whose output is still stored.
    """
    names = set()
    for file in built.glob("*.html"):
        for marked in file.read_text(encoding="utf-8").split('data-rifr-files="')[1:]:
            names |= set(marked.split('"', 1)[0].split())
    for old in (built / "_static" / KIND).glob("*.js"):  # of an earlier build
        if old.name not in names:
            old.unlink()
    for name in sorted(names):
        target, kept = built / "_static" / KIND / name, (storage.user_cache() / KIND, storage.root() / KIND)
        place = next((folder / name for folder in kept if (folder / name).exists()), None)
        if place is None:
            raise StorageError(
                f"{name}, which a page loads, is neither in {kept[0]} nor in {kept[1]}, where its execution put it: "
                "forget the stored outputs of cells (make clean), then build again (make book)"
            )
        if not target.exists():
            storage.atomic_write(target, place.read_bytes())
    return sorted(names)
