"""Faces found in pictures by OpenCV's YuNet.

YuNet's model is a file of its own (`face_detection_yunet_*.onnx` in OpenCV's zoo of models): nothing here fetches it.
`rifr.landmarks.align_folder` aligns whole folders by it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rifr import storage
from rifr.errors import DataError, SettingError

__all__ = ["Detection", "Yunet", "main_face"]

OUTPUTS = {"cls_8", "obj_8", "bbox_8", "kps_8"}
START = 320  # pixels: the side of the input that a network is opened with
SEARCH_SIDE = 640
"""YuNet knows faces of about 10 to 300 px: a picture whose longer side is larger is searched at this size first."""
SEARCH_STEP = 3
"""Where nothing is found there, it is searched at a size so many times as large, and so on up to its own."""


@dataclass(frozen=True)
class Detection:
    """One face.

    Parameters
    ----------
    box
        (4,) x, y, width, height in pixels.
    landmarks
        (5, 2) in pixels, ordered as in `rifr.align`.
    score
        From 0 to 1.
    """

    box: np.ndarray
    landmarks: np.ndarray
    score: float


class Yunet:
    """OpenCV's face detector: called with a picture, it gives the faces, the surest first.

    Parameters
    ----------
    model
        YuNet's ONNX file.
    score_threshold
        The score from which a face counts.

    Raises
    ------
    FileNotFoundError
        For a missing file.
    DataError
        For a file that is no such detector.
    SettingError
        For a threshold that is not between 0 and 1.
    """

    def __init__(self, model: str | Path, score_threshold: float = 0.6):
        self.model = Path(model)
        if not self.model.is_file():
            raise FileNotFoundError(f"{self.model} does not exist: give the path of YuNet's ONNX file")
        if not 0 < score_threshold < 1:
            raise SettingError(f"the least score lies between 0 and 1, not {score_threshold}")
        self.score_threshold = score_threshold
        with tempfile.TemporaryDirectory() as folder:
            file = _frozen(self.model, Path(folder) / "frozen.onnx")
            try:
                self._detector = cv2.FaceDetectorYN.create(str(file), "", (START, START), score_threshold, 0.3, 50)
            except cv2.error as error:
                raise DataError(f"{self.model} is no face detector that OpenCV can run: {error}") from error

    @property
    def key(self) -> str:
        """What decides its landmarks: the file's content, the threshold and the code that searches."""
        code = storage.sources_digest(sys.modules[__name__])
        return storage.digest("yunet", storage.file_digest(self.model), float(self.score_threshold), code)

    def __call__(self, picture: np.ndarray) -> list[Detection]:
        """Find the faces in a picture.

        A large picture is averaged down to `SEARCH_SIDE` pixels first, where large faces are found; one in which none
        is found is searched at larger sizes, up to its own, for small ones.

        Parameters
        ----------
        picture
            (h, w, 3) uint8 RGB of any size.

        Returns
        -------
        list of Detection
            In the picture's own pixels, ordered by falling score; empty without a face.
        """
        for search_side in _search_sides(max(picture.shape[:2])):
            detections = self._search(picture, search_side)
            if detections:
                return detections
        return []

    def main_landmarks(self, picture: np.ndarray) -> np.ndarray | None:
        """The landmarks (5, 2) of the picture's main face; None without a face."""
        main = main_face(self(picture), picture.shape[:2])
        return None if main is None else main.landmarks

    def _search(self, picture: np.ndarray, search_side: int) -> list[Detection]:
        """The faces found with the picture's longer side brought down to `search_side` pixels."""
        height, width = picture.shape[:2]
        scale = min(1.0, search_side / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if scale < 1:
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        self._detector.setInputSize(size)
        faces = self._detector.detect(np.ascontiguousarray(picture[:, :, ::-1]))[1]
        rows = np.empty((0, 15)) if faces is None else faces.astype(float)
        rows = rows[np.isfinite(rows).all(axis=1) & (rows[:, 2:4] > 0).all(axis=1)]
        ratio = np.array([width, height]) / size  # of the picture to what was searched, x and y
        return [
            Detection(
                np.concatenate([_scaled(row[:2], ratio), row[2:4] * ratio]),
                _scaled(row[4:14].reshape(5, 2), ratio),
                float(row[14]),
            )
            for row in sorted(rows, key=lambda row: -row[14])
        ]


def _search_sides(longer: int) -> Iterator[int]:
    """The sizes at which a picture is searched, by its longer side in pixels: rising, the last its own."""
    side = SEARCH_SIDE
    while side < longer:
        yield side
        side *= SEARCH_STEP
    yield longer


def _scaled(points: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Points of a resized picture in the picture that is `ratio` (x, y) as large; (0, 0) is a pixel's centre."""
    return (points + 0.5) * ratio - 0.5


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
            raise DataError(
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
        raise DataError(f"{model} is no ONNX network: {error}") from error
    return out


def main_face(detections: list[Detection], size: tuple[int, int]) -> Detection | None:
    """The face that a picture of this (height, width) is of: the largest, minus what it lies off the middle.

    None without a face.
    """
    middle = np.array([size[1], size[0]]) / 2

    def weight(face: Detection) -> float:
        centre = face.box[:2] + face.box[2:] / 2
        return float(face.box[2] * face.box[3] - 2 * np.square(centre - middle).sum())

    return max(detections, key=weight, default=None)
