"""The MegaFace devkit's feature files, one an image, and its result file.

    feature    4 int32: rows, columns, 4, 5; then rows x columns float32. A vector has one column. Little-endian.
    result     JSON; "cmc" holds the ranks, counted from 0, and the recall at each

So its programs can score our embeddings, and we can score theirs.
"""

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rifr import storage
from rifr.readers.megaface import _check_paths

__all__ = ["read", "read_all", "read_result", "write", "write_all", "write_result"]

HEADER = struct.Struct("<4i")
FLOAT32 = (4, 5)  # bytes of a number, and OpenCV's code for its type


def read(path: str | Path) -> np.ndarray:
    """(D,) float32, or (rows, columns) float32 where the file holds a matrix of more than one column.

    Raises FileNotFoundError, and ValueError, which names the file, for another header, for a file that is shorter or
    longer than its header says, and for values that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: write the features of all images first")
    content = path.read_bytes()
    if len(content) < HEADER.size:
        raise ValueError(f"{path} has {len(content)} bytes, fewer than the {HEADER.size} of a header: write it again")
    rows, columns, *kind = HEADER.unpack_from(content)
    if rows < 1 or columns < 1 or tuple(kind) != FLOAT32:
        raise ValueError(
            f"{path} begins with {rows}, {columns}, {kind[0]}, {kind[1]}, wanted the numbers of rows and "
            "columns, 4 and 5: it is no feature file of the MegaFace devkit"
        )
    expected = HEADER.size + 4 * rows * columns
    if len(content) != expected:
        wrong = "cut short" if len(content) < expected else "too long"
        raise ValueError(
            f"{path} is {wrong}: it has {len(content)} bytes, and {rows} x {columns} numbers take "
            f"{expected}. Write it again"
        )
    values = np.frombuffer(content, "<f4", offset=HEADER.size).astype(np.float32).reshape(rows, columns)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{path} holds values that are not finite ({np.sum(~np.isfinite(values))} of {values.size}): "
            "look at its image"
        )
    return values[:, 0] if columns == 1 else values


def write(path: str | Path, vector: np.ndarray) -> None:
    """Write a (D,) vector, or a (rows, columns) matrix, as float32; whole or not at all.

    Raises ValueError for other shapes, for what is empty or not real numbers, and for values that are not finite.
    """
    vector = np.asarray(vector)
    if vector.ndim not in (1, 2) or not vector.size or vector.dtype.kind not in "fiu":
        raise ValueError(f"{path}: a feature is (D,) or (rows, columns) numbers, not {vector.shape} {vector.dtype}")
    with np.errstate(over="ignore"):
        values = vector.astype("<f4")
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: the feature has values that are not finite as float32: look at its image")
    rows, columns = (*vector.shape, 1)[:2]
    storage.atomic_write(Path(path), HEADER.pack(rows, columns, *FLOAT32) + values.tobytes())


def read_all(root: str | Path, relative_paths: Sequence[str], suffix: str = "") -> np.ndarray:
    """(N, D) float32: the features of images, in the order of their paths.

    An image's feature lies at `<root>/<its path><suffix>`; the devkit's suffix is such as "_mynetwork.bin".

    Raises FileNotFoundError where features are missing (how many, and the first), and ValueError for no paths, paths
    that lead out of `root` or stand there twice, what `read` refuses, matrices, and features of differing lengths.
    """
    files = _files(root, relative_paths, suffix)
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(files)} features are missing in {root}, the first "
            f"{missing[0]}: write them all, and give the suffix with which they were written"
        )
    features: np.ndarray | None = None
    for row, file in enumerate(files):
        feature = read(file)
        if feature.ndim != 1:
            raise ValueError(
                f"{file} holds a matrix of {feature.shape[0]} x {feature.shape[1]} numbers, not the one "
                "vector of an image: write its feature again"
            )
        if features is None:
            features = np.empty((len(files), len(feature)), np.float32)
        if len(feature) != features.shape[1]:
            raise ValueError(
                f"{file} has {len(feature)} numbers, and {files[0]} {features.shape[1]}: "
                "write all features with one network"
            )
        features[row] = feature
    return features


def write_all(root: str | Path, relative_paths: Sequence[str], features: np.ndarray, suffix: str = "") -> None:
    """Write (N, D) features, a file each, at `<root>/<the image's path><suffix>`; folders are made.

    Raises ValueError for no paths, paths that lead out of `root` or stand there twice, more or fewer features than
    paths, and, before any is written, for features that are not finite (which).
    """
    files = _files(root, relative_paths, suffix)
    features = np.asanyarray(features)
    if features.ndim != 2 or len(features) != len(files) or not features.size or features.dtype.kind not in "fiu":
        raise ValueError(
            f"features are ({len(files)}, D) numbers, a row for each path, not {features.shape} {features.dtype}"
        )
    for file, feature in zip(files, features):
        with np.errstate(over="ignore"):
            if not np.isfinite(feature.astype(np.float32)).all():
                raise ValueError(f"{file}: the feature has values that are not finite as float32: look at its image")
    for file, feature in zip(files, features):
        write(file, feature)


def write_result(path: str | Path, ranks: Sequence[int], recall: Sequence[float]) -> None:
    """Write identification as the devkit does; whole or not at all.

    ranks: counted from 1, as everywhere in the library, and ascending (the file counts from 0); recall: the share of
    trials that hit at each.

    Raises ValueError where they are no such numbers, or differ in length.
    """
    ranks, recall = np.asarray(ranks).tolist(), np.asarray(recall).tolist()
    wrong = _wrong_curve(ranks, recall, first=1)
    if wrong:
        raise ValueError(f"{path}: {wrong}")
    storage.atomic_write(Path(path), json.dumps({"cmc": [[int(rank) - 1 for rank in ranks], recall]}) + "\n")


def read_result(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """(R,) int64 ranks, counted from 1, and (R,) float64 recall at each, of a result file (which counts from 0).

    Raises FileNotFoundError, and ValueError, which names the file, for one that holds no such numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give the path of a result file, such as the devkit writes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error}): write it again") from error
    curve = content.get("cmc") if isinstance(content, dict) else None
    if not (isinstance(curve, list) and len(curve) == 2 and all(isinstance(part, list) for part in curve)):
        raise ValueError(f'{path} holds no "cmc" of a list of ranks and a list of recall: write it again')
    wrong = _wrong_curve(*curve, first=0)
    if wrong:
        raise ValueError(f"{path}: {wrong}. Write it again")
    return np.array(curve[0]).astype(np.int64) + 1, np.array(curve[1], np.float64)


def _wrong_curve(ranks: list, recall: list, first: int) -> str | None:
    """What is wrong with the ranks, counted from `first`, or with the recall at them."""
    if not isinstance(ranks, list) or not isinstance(recall, list) or len(ranks) != len(recall) or not ranks:
        return "ranks and recall are lists of one or more numbers, as many in each"
    for rank, before in zip(ranks, [first - 1, *ranks]):
        if not _is_number(rank) or not before < rank < 1 << 31 or rank != int(rank):
            return f"rank {rank!r} should be a whole number from {first} on, and the ranks should ascend"
    for share in recall:
        if not _is_number(share) or not 0 <= share <= 1:
            return f"recall {share!r} should be a share from 0 to 1"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _files(root: str | Path, relative_paths: Sequence[str], suffix: str) -> list[Path]:
    if isinstance(relative_paths, str) or not len(relative_paths):
        raise ValueError(f"relative_paths is a list of one or more paths, not {relative_paths!r}")
    if any(mark in suffix for mark in "/\\\0"):
        raise ValueError(f'suffix is the end of a file\'s name, such as "_mynetwork.bin", not {suffix!r}')
    _check_paths([str(path) for path in relative_paths], "relative_paths")
    return [Path(root) / f"{path}{suffix}" for path in relative_paths]
