"""Hard galleries: identification among distractors who are like the probe's person, beside as many at random.

Tone, age and gender are the same in all photos of a person and survive at 16 px. Among distractors who share them a
network needs what is left.

    hard      each probe meets the n distractors nearest to it in tone, age and gender, each of the three divided by its
              standard deviation over all distractors (Euclidean distance)
    random    it meets n drawn without replacement. The mean over all draws needs no drawing: where b of D distractors
              stand before the right photo, a draw holds none of them with the chance C(D - b, n) / C(D, n)
    larger    the same with more of them: so many that rank-1 on the largest faces, averaged over the networks, is
              nearest to that of the hard galleries. What differs from these is likeness, not how hard a gallery is.

Trials, scores and ties are those of `protocols.identification`; only the distractors differ. A hit in a random gallery
is that chance, so that its counts are no whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rifr import presets
from rifr.align import FACE_SIZE
from rifr.errors import DataError, SettingError
from rifr.evaluation import evaluate, metrics
from rifr.evaluation.embed import Embedder
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.embeddings import as_photos, computing_dtype, tie_margin, unit_rows
from rifr.evaluation.protocols.identification import Identification
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.splits import FaceSplits, ProbeSplits

__all__ = [
    "ATTRIBUTES",
    "EXPECTED",
    "WIDTHS",
    "Galleries",
    "Nearest",
    "Trials",
    "gap_changes",
    "identify",
    "known",
    "nearest",
    "trials",
]

ATTRIBUTES = ("tone", "age", "gender")
EXPECTED = (("hr-only", "lr-only"), ("hr-only", "hr+lr"))
"""Pairs of which the first should gain among alike distractors at 112 px, where it has seen most."""
WIDTHS = (FACE_SIZE, 20)
ROWS = 1024  # probes in a block of scores


@dataclass(frozen=True)
class Nearest:
    """The distractors nearest to each probe.

    Attributes
    ----------
    rows
        (N, n) their rows, the nearest first.
    apart, apart_of_all
        By attribute, in its own unit: the mean difference between a probe and its nearest, and all distractors.
    distractors
        How many there are in all.
    """

    rows: np.ndarray
    apart: dict[str, float]
    apart_of_all: dict[str, float]
    distractors: int

    @property
    def size(self) -> int:
        """Distractors of a gallery."""
        return self.rows.shape[1]


@dataclass(frozen=True)
class Galleries:
    """The same trials in all kinds of gallery: `hard.change(random)` is what likeness costs each network.

    Attributes
    ----------
    hard, random, larger
        As the module's head defines them.
    near
        Who is in the hard galleries.
    larger_size
        Distractors of a larger gallery.
    """

    hard: Outcome[Identification]
    random: Outcome[Identification]
    larger: Outcome[Identification]
    near: Nearest
    larger_size: int


@dataclass(frozen=True)
class Trials:
    """The trials of one network at one width under one protocol.

    Attributes
    ----------
    identities
        (N,) of the photos.
    probe
        (T,) the photo that each trial searches for.
    found
        (T,) whether the right photo stands first in the hard gallery.
    before
        (T,) how many of all distractors stand before it.
    size, distractors
        Of a hard gallery, and of all.
    """

    identities: np.ndarray
    probe: np.ndarray
    found: np.ndarray
    before: np.ndarray
    size: int
    distractors: int

    def hard(self) -> Identification:
        """Hits at rank 1 in the hard galleries."""
        return self._counted(self.found.astype(float), self.size)

    def random(self, size: int) -> Identification:
        """Hits at rank 1 in random galleries of a size: the mean over all draws."""
        return self._counted(_chances(self.distractors, size)[self.before], size)

    def _counted(self, hits: np.ndarray, size: int) -> Identification:
        names, person, photos = np.unique(self.identities, return_inverse=True, return_counts=True)
        several = photos > 1
        by_person = np.bincount(person[self.probe], hits, len(names))[several]
        return Identification(
            names[several],
            photos[several] * (photos[several] - 1),
            by_person[:, None],
            np.bincount(self.probe, hits, len(person)),
            photos[person] - 1,
            int((~several).sum()),
            size,
        )


def known(faces: FaceSplits | ProbeSplits) -> bool:
    """Whether tone, age and gender of all probes and distractors are known."""
    return not _unknown(faces.probes) and not _unknown(faces.distractors)


def nearest(probes: FacePack, distractors: FacePack, size: int) -> Nearest:
    """The `size` distractors nearest to each probe in tone, age and gender.

    Raises
    ------
    DataError
        For packs that do not have the three attributes of every photo.
    SettingError
        For a size that is not from 1 to the number of distractors.
    """
    if not 1 <= size <= len(distractors):
        raise SettingError(f"size is {size!r}: of {len(distractors)} distractors take from 1 to all.")
    for name, pack in {"probes": probes, "distractors": distractors}.items():
        if missing := _unknown(pack):
            raise DataError(f"the {name} lack {' and '.join(missing)} of some photos: take rendered faces.")
    of_probes, of_distractors = (
        np.stack([pack.attributes[key] for key in ATTRIBUTES], axis=1).astype(np.float64)
        for pack in (probes, distractors)
    )
    known, photo = np.unique(of_probes, axis=0, return_inverse=True)  # a person's photos share theirs
    apart = np.abs(known[:, None] - of_distractors)  # (people, D, attributes)
    scale = of_distractors.std(axis=0)
    squares = ((apart / np.where(scale > 0, scale, 1)) ** 2).sum(axis=2)
    rows = np.argsort(squares, axis=1, kind="stable")[:, :size]
    of_nearest, of_all = (
        dict(zip(ATTRIBUTES, values.mean(axis=1)[photo].mean(axis=0).tolist(), strict=True))
        for values in (np.take_along_axis(apart, rows[:, :, None], axis=1), apart)
    )
    return Nearest(rows[photo], of_nearest, of_all, len(distractors))


def trials(
    probes: np.ndarray, gallery: np.ndarray, identities: np.ndarray, distractors: np.ndarray, rows: np.ndarray
) -> Trials:
    """Every trial in its hard gallery and against all distractors.

    Parameters
    ----------
    probes, gallery, identities, distractors
        As `protocols.identification.evaluate` takes them.
    rows
        (N, n) the distractors of each probe's hard gallery.

    Raises
    ------
    DataError
        As `protocols.identification.evaluate`.
    """
    probes, gallery, identities, distractors = as_photos(probes, gallery, identities, distractors, "distractors")
    dtype = computing_dtype(probes, gallery, distractors)
    given = {"probes": probes, "gallery": gallery, "distractors": distractors}
    searching, joined, others = (unit_rows(name, array, dtype) for name, array in given.items())
    person = np.unique(identities, return_inverse=True)[1]
    first, second = np.nonzero((person[:, None] == person) & ~np.eye(len(person), dtype=bool))
    if not len(first):
        raise DataError(f"no person has two photos among {len(probes)}: nothing to identify")
    right = (searching[first] * joined[second]).sum(dim=1).numpy()
    bar = right - dtype.type(tie_margin(probes.shape[1], dtype))
    found, before = np.zeros(len(bar), bool), np.zeros(len(bar), int)
    starts = np.searchsorted(first, np.arange(len(searching) + 1))  # where the trials of each probe begin
    for start in range(0, len(searching), ROWS):
        scores = (searching[start : start + ROWS] @ others.T).numpy()
        best = np.take_along_axis(scores, rows[start : start + ROWS], axis=1).max(axis=1)
        scores.sort(axis=1)
        for probe, (line, rival) in enumerate(zip(scores, best, strict=True), start):
            own = slice(starts[probe], starts[probe + 1])
            found[own] = rival < bar[own]
            before[own] = len(line) - np.searchsorted(line, bar[own])
    return Trials(identities, first, found, before, rows.shape[1], len(others))


def identify(
    embedders: Mapping[str, Embedder],
    faces: FaceSplits | ProbeSplits,
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    size: int | None = None,
    progress: bool = True,
) -> Galleries:
    """P1 and P2 of several networks in hard, random and larger galleries.

    Parameters
    ----------
    embedders, faces, preset, widths, progress
        As for `evaluate.identify`.
    size
        Distractors of a hard gallery; None: a tenth of all.

    Raises
    ------
    DataError
        Where tone, age and gender are not `known`.
    """
    preset = presets.get(preset, widths=widths)
    near = nearest(faces.probes, faces.distractors, max(1, len(faces.distractors) // 10) if size is None else size)
    measured = evaluate.by_protocol(
        lambda side: trials(side.probes, side.gallery, side.identities, side.distractors, near.rows),
        embedders,
        faces,
        preset,
        progress,
    )
    largest = [of for (protocol, _, width), of in measured.items() if (protocol, width) == ("P1", max(preset.widths))]
    larger = _as_hard(largest)
    hard, random, more = (
        Outcome({key: count(of) for key, of in measured.items()}, preset.resamples)
        for count in (Trials.hard, lambda of: of.random(near.size), lambda of: of.random(larger))
    )
    return Galleries(hard, random, more, near, larger)


def gap_changes(galleries: Galleries, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Whether networks are further apart in hard galleries than in those of the other kinds, paired by person.

    Returns
    -------
    DataFrame
        A row per pair, protocol, width and `kind` ("random" or "larger"): `network`, `other`; `hard` and `easy`, the
        first's rank-1 minus the second's in hard galleries and in those of the kind, in points; `difference`, the one
        minus the other, with low and high. At 112 px P1 stands for both protocols.
    """
    hard, rows = galleries.hard, []
    for network, other in pairs:
        for protocol, name, width in hard.results:
            if name != network or (protocol, width) == ("P2", FACE_SIZE):
                continue
            at = {"network": network, "other": other, "protocol": protocol, "width": width}
            for kind, easy in {"random": galleries.random, "larger": galleries.larger}.items():
                one, two, three, four = (
                    outcome.results[protocol, who, width] for outcome in (hard, easy) for who in (network, other)
                )
                terms = [(1, one.hits), (-1, two.hits), (-1, three.hits), (1, four.hits)]
                change = metrics.contrast(terms, one.trials_per_person, hard.resamples)
                gaps = {"hard": 100 * (one.rank1 - two.rank1), "easy": 100 * (three.rank1 - four.rank1)}
                rows.append(at | {"kind": kind} | gaps | change.row("difference"))
    return pd.DataFrame(rows)


def _unknown(pack: FacePack) -> list[str]:
    """The attributes that a pack does not have of every photo."""
    return [name for name in ATTRIBUTES if not np.isfinite(pack.attributes.get(name, np.nan)).all()]


def _as_hard(measured: Sequence[Trials]) -> int:
    """The size of random gallery at which rank-1, averaged over networks, is nearest to that of the hard galleries."""
    hard, distractors = np.mean([of.hard().rank1 for of in measured]), measured[0].distractors

    def above(size: int) -> float:
        return float(np.mean([of.random(size).rank1 for of in measured]) - hard)

    low, high = 1, distractors  # the rate falls as galleries grow
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if above(middle) <= 0 else (middle + 1, high)
    return min((size for size in (low - 1, low) if size), key=lambda size: abs(above(size)))


def _chances(distractors: int, drawn: int) -> np.ndarray:
    """(D + 1,) the chance that of b = 0 ... D distractors none is among those drawn."""
    b = np.arange(distractors)
    return np.cumprod(np.concatenate([[1.0], (distractors - drawn - b).clip(0) / (distractors - b)]))
