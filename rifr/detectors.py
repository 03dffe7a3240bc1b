"""Faces found in pictures by OpenCV's YuNet, and whole folders aligned: `python -m rifr align DIR OUT --model FILE`.

YuNet's model is a file of its own (`face_detection_yunet_*.onnx` in OpenCV's zoo of models): nothing here fetches it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from rifr import align, storage
from rifr.readers.folder import ENDINGS

__all__ = ["Aligned", "Detection", "Yunet", "align_folder", "main_face"]

OUTPUTS = {"cls_8", "obj_8", "bbox_8", "kps_8"}
START = 320  # pixels: the side of the input that a network is opened with


@dataclass(frozen=True)
class Detection:
    """One face: box (4,) x, y, width, height in pixels; landmarks (5, 2); score from 0 to 1."""

    box: np.ndarray
    landmarks: np.ndarray
    score: float


class Yunet:
    """OpenCV's face detector, from its ONNX file: called with a picture, it gives the faces, the surest first.

    least: the score from which a face counts.
    Raises FileNotFoundError for a missing file and ValueError for one that is no such detector.
    """

    def __init__(self, model: str | Path, least: float = 0.6):
        self.model = Path(model)
        if not self.model.is_file():
            raise FileNotFoundError(f"{self.model} does not exist: give the path of YuNet's ONNX file")
        if not 0 < least < 1:
            raise ValueError(f"the least score lies between 0 and 1, not {least}")
        with tempfile.TemporaryDirectory() as folder:
            file = _frozen(self.model, Path(folder) / "frozen.onnx")
            try:
                self._detector = cv2.FaceDetectorYN.create(str(file), "", (START, START), least, 0.3, 50)
            except cv2.error as error:
                raise ValueError(f"{self.model} is no face detector that OpenCV can run: {error}") from error

    def __call__(self, picture: np.ndarray) -> list[Detection]:
        """The faces in a picture (h, w, 3) uint8 RGB."""
        height, width = picture.shape[:2]
        self._detector.setInputSize((width, height))
        found = self._detector.detect(np.ascontiguousarray(picture[:, :, ::-1]))[1]
        rows = [] if found is None else found
        return [
            Detection(row[:4].astype(float), row[4:14].reshape(5, 2).astype(float), float(row[14]))
            for row in sorted(rows, key=lambda row: -row[14])
        ]

    def main_landmarks(self, picture: np.ndarray) -> np.ndarray | None:
        """The landmarks (5, 2) of the picture's main face; None without a face."""
        found = main_face(self(picture), picture.shape[:2])
        return None if found is None else found.landmarks


def _frozen(model: Path, out: Path) -> Path:
    """The network itself, or where its file leaves the input's size open, one with a size written in: OpenCV 4 refuses
    the first kind, and takes the second at any size."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        outputs, shape = {one.name for one in session.get_outputs()}, session.get_inputs()[0].shape
        if not outputs >= OUTPUTS:
            raise ValueError(
                f"{model} is no face detector like YuNet of 2023: its outputs are {', '.join(sorted(outputs))}"
            )
        if not any(isinstance(size, str) for size in shape):
            return model
        for name, size in zip(shape, (1, 3, START, START)):
            if isinstance(name, str):
                options.add_free_dimension_override_by_name(name, size)
        options.optimized_model_filepath = str(out)
        onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except (
        states.InvalidProtobuf,
        states.InvalidGraph,
        states.InvalidArgument,
        states.Fail,
        states.NotImplemented,
    ) as error:
        raise ValueError(f"{model} is no ONNX network: {error}") from error
    return out


def main_face(detections: list[Detection], size: tuple[int, int]) -> Detection | None:
    """Whom a picture (height, width) is of: the largest face, less what it lies off the middle; None without a face."""
    middle = np.array([size[1], size[0]]) / 2

    def weight(found: Detection) -> float:
        centre = found.box[:2] + found.box[2:] / 2
        return float(found.box[2] * found.box[3] - 2 * np.square(centre - middle).sum())

    return max(detections, key=weight, default=None)


@dataclass
class Aligned:
    """What became of a folder: pictures aligned, files without a face, files that cannot be read, files kept from
    before."""

    aligned: int = 0
    kept: int = 0
    not_found: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.aligned:,} faces aligned" + (f", {self.kept:,} kept from before" if self.kept else "")]
        for what, files in (("no face found in", self.not_found), ("cannot be read:", self.unreadable)):
            if files:
                lines.append(
                    f"{what} {len(files)} files: {', '.join(files[:10])}" + (", ..." if len(files) > 10 else "")
                )
        return "\n".join(lines)


def align_folder(
    folder: str | Path, out: str | Path, find: Callable[[np.ndarray], np.ndarray | None], progress: bool = True
) -> Aligned:
    """Align the pictures of a folder per person into `out`, the same tree of 112x112 PNG files.

    find: (h, w, 3) uint8 RGB -> the main face's landmarks (5, 2), or None where there is no face. Each file is written
    whole or not at all, and one that is there already is kept: an interrupted run goes on. `rifr.readers.folder` (or
    `python -m rifr prepare`) makes a pack of the result.

    Raises FileNotFoundError for a missing folder, ValueError for one without pictures and where two pictures would
    become one file.
    """
    folder, out = Path(folder), Path(out)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist: give a folder that holds a folder for each person")
    files = sorted(
        file for file in folder.glob("*/*") if file.suffix.lower() in ENDINGS and not file.name.startswith(".")
    )
    if not files:
        raise ValueError(
            f"{folder} holds no pictures: it should hold a folder for each person, with .jpg or .png files"
        )
    targets: dict[Path, Path] = {}
    for file in files:
        target = out / file.parent.name / f"{file.stem}.png"
        if target in targets:
            raise ValueError(f"{file} and {targets[target].name} would both become {target.name}: rename one")
        targets[target] = file
    done = Aligned()
    for target, file in tqdm(
        targets.items(), desc=f"aligning {folder.name}", unit="picture", disable=None if progress else True
    ):
        if target.exists():
            done.kept += 1
            continue
        name = f"{file.parent.name}/{file.name}"
        try:
            with Image.open(file) as image:
                picture = np.asarray(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            done.unreadable.append(name)
            continue
        landmarks = find(picture)
        if landmarks is None:
            done.not_found.append(name)
            continue
        face = Image.fromarray(align.face(picture, landmarks))
        storage.atomic_write(target, lambda out_file, face=face: face.save(out_file, format="PNG"))
        done.aligned += 1
    return done
