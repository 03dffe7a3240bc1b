"""Trials of P2 in pictures: the probe as the networks get it, the right photo and the best wrong one.

The trial of `one_probe` is chosen by a rule that knows one network's hits and misses and no picture: the first that it
finds at the largest width and misses at the smallest. Trials stand in the order of the probes, and those of one probe
in the order of its person's other photos. `misses` takes the first that a network misses, one of each person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rifr import degrade, presets
from rifr.align import FACE_SIZE
from rifr.errors import DataError, SettingError
from rifr.evaluation.embed import Embedder
from rifr.evaluation.evaluate import features
from rifr.evaluation.protocols.embeddings import computing_dtype, unit_rows
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.splits import FaceSplits

__all__ = ["Answer", "Miss", "OneProbe", "misses", "nearest_widths", "one_probe"]

WIDTHS = (FACE_SIZE, 30, 16)


@dataclass(frozen=True)
class Answer:
    """What one network says of the probe at one width.

    Attributes
    ----------
    network, width
        Which network, and the probe's width in pixels.
    right, best_wrong
        The cosine of the probe and the right photo, and the highest one among the distractors.
    rank
        Of the right photo: 1 where no distractor scores as high.
    wrong
        The row of the best distractor.
    """

    network: str
    width: int
    right: float
    best_wrong: float
    rank: int
    wrong: int


@dataclass(frozen=True)
class OneProbe:
    """A trial of P2 at several widths for several networks.

    Attributes
    ----------
    probe, joined
        The rows, among the probes, of the photo that is searched for and of the right one in the gallery.
    lost
        Whether the choosing network finds it at the largest width and misses it at the smallest; False where no trial
        is of this kind, and the first trial of all stands in for it.
    answers
        By network and width, the largest first.
    probe_images
        (widths, 112, 112, 3) uint8, as the networks get them.
    right_image
        (112, 112, 3) uint8.
    wrong_images
        By network and width, (112, 112, 3) uint8.
    """

    probe: int
    joined: int
    lost: bool
    answers: dict[tuple[str, int], Answer]
    probe_images: np.ndarray
    right_image: np.ndarray
    wrong_images: dict[tuple[str, int], np.ndarray]

    @property
    def widths(self) -> list[int]:
        """The probe's widths, the largest first."""
        return list(dict.fromkeys(width for _, width in self.answers))


def nearest_widths(known: Sequence[int], wanted: Sequence[int] = WIDTHS) -> list[int]:
    """For each wanted width the nearest of those that have been measured, each once, the largest first."""
    return sorted({known[int(np.abs(np.log(np.divide(known, to))).argmin())] for to in wanted}, reverse=True)


def one_probe(
    embedders: Mapping[str, Embedder],
    faces: FaceSplits,
    preset: str | Preset = "",
    widths: Sequence[int] = WIDTHS,
    chosen_by: str = "hr-only",
) -> OneProbe:
    """The first trial of P2 that one network finds at the largest width and misses at the smallest.

    Parameters
    ----------
    embedders
        Runs, ONNX files or functions by name.
    faces
        Probes and distractors.
    preset
        Says whether mirror images are added.
    widths
        Of the probe, in pixels.
    chosen_by
        The network whose hits and misses choose the trial.

    Raises
    ------
    SettingError
        Where `chosen_by` is none of the embedders.
    DataError
        Where nobody has two photos, or there is no distractor.
    """
    if chosen_by not in embedders:
        raise SettingError(
            f"chosen_by is {chosen_by!r}, which is no embedder here: choose one of {', '.join(embedders)}."
        )
    _require_strangers(faces)
    mirror, widths = presets.get(preset).mirror, sorted(widths, reverse=True)

    def unit(name: str, pack: FacePack, width: int) -> np.ndarray:
        return _unit(embedders[name], pack, width, mirror)

    probes = {(name, width): unit(name, faces.probes, width) for name in embedders for width in widths}
    gallery = {name: unit(name, faces.probes, FACE_SIZE) for name in embedders}
    strangers = {name: unit(name, faces.distractors, FACE_SIZE) for name in embedders}
    ends = [probes[chosen_by, width] for width in (widths[0], widths[-1])]
    probe, joined, lost = _first_lost(ends, gallery[chosen_by], strangers[chosen_by], faces.probes.identities)

    answers, wrong_images = {}, {}
    for (name, width), rows in probes.items():
        right, others = float(rows[probe] @ gallery[name][joined]), strangers[name] @ rows[probe]
        wrong = int(others.argmax())
        rank = 1 + int((others >= right).sum())
        answers[name, width] = Answer(name, width, right, float(others[wrong]), rank, wrong)
        wrong_images[name, width] = np.asarray(faces.distractors.images[wrong])
    photo = np.asarray(faces.probes.images[[probe]])
    shown = np.concatenate([degrade.to_width(photo, width) for width in widths])
    right_image = np.asarray(faces.probes.images[joined])
    return OneProbe(probe, joined, lost, answers, shown, right_image, wrong_images)


@dataclass(frozen=True)
class Miss:
    """A trial of P2 that is missed.

    Attributes
    ----------
    probe, joined, wrong
        The rows of probe and right photo among the probes, and of the answer among the distractors.
    right, best_wrong
        Their cosines with the probe.
    images
        (3, 112, 112, 3) uint8: the probe as the network gets it, the right photo, the answer.
    """

    probe: int
    joined: int
    wrong: int
    right: float
    best_wrong: float
    images: np.ndarray = field(compare=False, repr=False)


def misses(
    embedder: Embedder, faces: FaceSplits, preset: str | Preset = "", width: int = 16, count: int = 6
) -> list[Miss]:
    """The first trials of P2 that a network misses at a width, one of each person; fewer where it misses fewer.

    Raises
    ------
    DataError
        Where there is no distractor.
    """
    _require_strangers(faces)
    mirror, identities = presets.get(preset).mirror, faces.probes.identities
    probes, gallery = (_unit(embedder, faces.probes, of, mirror) for of in (width, FACE_SIZE))
    strangers = _unit(embedder, faces.distractors, FACE_SIZE, mirror)
    found: dict[str, Miss] = {}
    for probe, person in enumerate(identities.tolist()):
        if person in found or len(found) == count:
            continue
        others = strangers @ probes[probe]
        wrong = int(others.argmax())
        for joined in np.flatnonzero(identities == person).tolist():
            right = float(probes[probe] @ gallery[joined])
            if joined != probe and right <= others[wrong]:
                large, joining, answer = (
                    np.asarray(pack.images[row])
                    for pack, row in ((faces.probes, probe), (faces.probes, joined), (faces.distractors, wrong))
                )
                images = np.stack([degrade.to_width(large[None], width)[0], joining, answer])
                found[person] = Miss(probe, joined, wrong, right, float(others[wrong]), images)
                break
    return list(found.values())


def _require_strangers(faces: FaceSplits) -> None:
    if not len(faces.distractors):
        raise DataError("there are no distractors, so that no face of the gallery is wrong: give some.")


def _unit(embedder: Embedder, pack: FacePack, width: int, mirror: bool) -> np.ndarray:
    """(N, D) features of length one."""
    rows = features(embedder, pack, width, mirror, progress=False)
    return unit_rows("features", rows, computing_dtype(rows)).numpy()


def _first_lost(
    ends: Sequence[np.ndarray], gallery: np.ndarray, strangers: np.ndarray, identities: np.ndarray
) -> tuple[int, int, bool]:
    """The first trial that the first of two sets of probes finds and the second misses, else the first of all."""
    first: tuple[int, int, bool] | None = None
    for probe, person in enumerate(identities):
        best = [float((strangers @ rows[probe]).max()) for rows in ends]
        for joined in np.flatnonzero(identities == person):
            if joined == probe:
                continue
            first = first or (probe, int(joined), False)
            large, small = (float(rows[probe] @ gallery[joined]) > top for rows, top in zip(ends, best, strict=True))
            if large and not small:
                return probe, int(joined), True
    if first is None:
        raise DataError("nobody has two photos among the probes, so that there is no trial: give more photos.")
    return first
