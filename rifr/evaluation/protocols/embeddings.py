"""What all protocols are given: checked embeddings and identities; and the one rule for equal scores.

Equal scores count against the network in every protocol, so that a network that tells nobody apart never scores better
than chance. Products of equal embeddings differ by rounding, so scores within `tie_margin` of each other are equal:

    identification    a distractor that scores as high as the joined photo stands before it
    open set          so does another person on the list; a non-mated search as good as a mated one is the better
    verification      an impostor pair that scores as high as a genuine one is accepted with it
    pairs             a genuine pair is that much further apart, an impostor pair that much nearer
    TinyFace          a photo of somebody else at the same distance stands before the mate
    SCface            so does another person

Public evaluators have other rules. Two are available for parity: `ties="hit"` (identification, the MegaFace
evaluators': the joined photo stands first) and `ties="gallery"` (TinyFace's: photos keep the gallery's order).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rifr.errors import DataError, SettingError, first_few

__all__ = [
    "as_embeddings",
    "as_identities",
    "as_ids",
    "as_photos",
    "computing_dtype",
    "one_of",
    "refuse_unequal_sizes",
    "refuse_unmatched",
    "refuse_wrong_rows",
    "tie_margin",
    "unit_rows",
    "whole_number_from_1",
]


def tie_margin(numbers: int, dtype: np.dtype) -> float:
    """The most by which two cosines of unit vectors of so many numbers differ and still count as equal.

    Rounding errors of a sum of D products grow as the root of D: twice that, 5e-6 at 512 numbers in float32.
    """
    return 2 * float(np.finfo(dtype).eps) * numbers**0.5


def computing_dtype(*arrays: np.ndarray) -> np.dtype:
    """float64 if an array is (in either order of bytes), else float32."""
    double = any(array.dtype.kind == "f" and array.dtype.itemsize >= 8 for array in arrays)
    return np.dtype(np.float64 if double else np.float32)


def as_embeddings(name: str, array: np.ndarray) -> np.ndarray:
    """The array (rows, numbers) as it is, memory maps included; DataError for another shape or kind of number."""
    array = np.asanyarray(array)
    if array.ndim != 2 or (array.dtype.kind != "f" and array.size):
        raise DataError(f"{name} are floating-point embeddings (rows, numbers), not {array.dtype} {array.shape}")
    return array


def as_identities(name: str, identities: np.ndarray | Sequence) -> np.ndarray:
    """Whole numbers or text, as an array; DataError for another kind, which can hold an unknown: that is nobody."""
    array = _numbers_or_text(identities)
    if array.dtype.kind not in "iuSU" and array.size:
        raise DataError(
            f"{name} are whole numbers or text, not {array.dtype}: leave out the photos of unknown people (nan, None), "
            "and convert the others with .astype(int) or .astype(str)"
        )
    return array


def _numbers_or_text(identities: np.ndarray | Sequence) -> np.ndarray:
    """As an array; of objects where not all of them are text."""
    array = np.asarray(identities)
    if array.dtype.kind == "O" or (array.dtype.kind == "U" and not isinstance(identities, np.ndarray)):
        objects = np.asarray(identities, dtype=object)  # beside text, NumPy makes text of nan
        array = objects.astype(str) if all(isinstance(one, str) for one in objects.flat) else objects
    return array


def as_ids(name: str, ids: np.ndarray | Sequence, rows: np.ndarray, text: bool = False) -> np.ndarray:
    """(rows,) int64, or text as it is where `text` may be; DataError for another shape or kind."""
    ids = _numbers_or_text(ids)
    if ids.shape != (len(rows),) or ids.dtype.kind not in ("iuU" if text else "iu"):
        kinds = "whole numbers or text" if text else "whole numbers"
        raise DataError(f"{name} are {kinds}, one for each of {len(rows)} embeddings, not {ids.dtype} {ids.shape}")
    return ids if ids.dtype.kind == "U" else ids.astype(np.int64)


def as_photos(
    probes: np.ndarray, gallery: np.ndarray, identities: np.ndarray | Sequence, others: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Photos as probes and in the gallery, their identities, and the photos of other people, called `name`; checked."""
    probes, gallery = as_embeddings("probes", probes), as_embeddings("gallery", gallery)
    others = np.asanyarray(others)
    if others.shape == (0,):  # an empty list
        others = others.reshape(0, 0).astype(probes.dtype)
    others, identities = as_embeddings(name, others), as_identities("identities", identities)
    if identities.shape != (len(probes),) or probes.shape != gallery.shape:
        raise DataError(
            "probes and gallery hold a row, and identities an entry, for each photo: found shapes "
            f"{probes.shape}, {gallery.shape} and {identities.shape}"
        )
    if len(others):
        refuse_unequal_sizes(name, others, probes)
    return probes, gallery, identities, others


def unit_rows(
    name: str, rows: np.ndarray, dtype: np.dtype, first: int = 0, remedy: str = "leave them out"
) -> torch.Tensor:
    """The rows at length one. A zero row has no direction and is refused; `first` is the number of the first row."""
    tensor = torch.from_numpy(np.array(rows, dtype))
    lengths = torch.linalg.vector_norm(tensor, dim=1, keepdim=True)
    wrong = ~((lengths > 0) & torch.isfinite(lengths)).numpy().ravel()
    refuse_wrong_rows(name, wrong, "not finite, or zero", first, remedy)
    return tensor.div_(lengths)


def refuse_wrong_rows(name: str, wrong: np.ndarray, what: str, first: int = 0, remedy: str = "leave them out") -> None:
    """DataError that names the rows where `wrong` (rows,) is true."""
    rows = np.flatnonzero(wrong) + first
    if len(rows):
        listed = first_few([str(row) for row in rows])
        raise DataError(f"{len(rows)} embeddings in {name} are {what}: rows {listed}; look at these images or {remedy}")


def refuse_unequal_sizes(name: str, rows: np.ndarray, probes: np.ndarray) -> None:
    """DataError where the embeddings have other sizes than the probes'."""
    if rows.shape[1] != probes.shape[1]:
        raise DataError(
            f"{name} have {rows.shape[1]} numbers an embedding, probes {probes.shape[1]}: "
            "embed both with the same network"
        )


def refuse_unmatched(probe_ids: np.ndarray, gallery_ids: np.ndarray) -> None:
    """DataError that names the probes whose id is not in the gallery, or ids of two kinds."""
    if probe_ids.dtype.kind != gallery_ids.dtype.kind:
        raise DataError(
            f"probe_ids are {probe_ids.dtype} and gallery_ids {gallery_ids.dtype}: give both as numbers or both as text"
        )
    if not len(probe_ids) or not len(gallery_ids):
        raise DataError(f"there are {len(probe_ids)} probes and {len(gallery_ids)} gallery photos: nothing to rank")
    unmatched = np.flatnonzero(~np.isin(probe_ids, gallery_ids))
    if len(unmatched):
        listed = first_few([f"{row} (id {probe_ids[row]})" for row in unmatched])
        raise DataError(
            f"{len(unmatched)} probes have no mate in the gallery: probes {listed}; "
            "leave them out, and see that the ids of both lists mean the same people"
        )


def one_of(name: str, value: str, *allowed: str) -> None:
    """SettingError where an argument is not one of those allowed."""
    if value not in allowed:
        raise SettingError(f"{name} is one of {', '.join(map(repr, allowed))}, not {value!r}")


def whole_number_from_1(name: str, value: object) -> int:
    """The number; SettingError where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise SettingError(f"{name} is a whole number from 1, not {value!r}")
    return int(value)
