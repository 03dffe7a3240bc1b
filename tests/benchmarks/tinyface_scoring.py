"""TinyFace's scoring beside a sort of the full matrix: `tinyface_scoring.py [--small]`."""

import sys

import numpy as np
from harness import SEED, Row, Side, main, measure

from rifr.evaluation.protocols import tinyface

RANKS = np.array([1, 5, 10, 20, 50])
ROOM = 14 * 2**30  # bytes that the rival needs for all probes at once
BLOCK = 512  # probes at a time where the machine has less


def make(probes: int, people: int, match: int, distractors: int, dimensions: int = 512) -> tuple:
    """Features and identities of probes and gallery; distractors are nobody, -100."""
    draw = np.random.default_rng(SEED)
    centres = draw.standard_normal((people, dimensions), np.float32)
    probe_ids, match_ids = np.arange(probes) % people, np.arange(match) % people
    gallery_ids = np.append(match_ids, np.full(distractors, -100))
    features = np.empty((probes, dimensions), np.float32), np.empty((len(gallery_ids), dimensions), np.float32)
    for rows, ids in zip(features, (probe_ids, gallery_ids)):  # in place: the peak shall be the scoring's own
        draw.standard_normal(out=rows, dtype=np.float32)
        rows *= np.where(ids < 0, np.float32(2.2), np.float32(2))[:, None]
        rows[ids >= 0] += centres[ids[ids >= 0]]
    return features[0], probe_ids, features[1], gallery_ids


def ours(probes: np.ndarray, probe_ids: np.ndarray, gallery: np.ndarray, gallery_ids: np.ndarray) -> np.ndarray:
    found = tinyface.evaluate(probes, probe_ids, gallery, gallery_ids, metric="euclidean")
    return np.array([*(found.rank(int(rank)) for rank in RANKS), found.mean_ap, found.mean_ap_step])


def sort_all(probes: np.ndarray, probe_ids: np.ndarray, gallery: np.ndarray, gallery_ids: np.ndarray) -> np.ndarray:
    """CMC at RANKS and both mean average precisions, from `np.argsort` of all distances."""
    block = len(probes) if free_memory() > ROOM else BLOCK
    length, measures = (gallery**2).sum(axis=1), []
    for start in range(0, len(probes), block):
        part = probes[start : start + block]
        distances = length - 2 * (part @ gallery.T)  # squared, but for the probe's own length
        for order, person in zip(np.argsort(distances, axis=1), probe_ids[start : start + block]):
            measures.append(of_one_probe(gallery_ids[order] == person))
    return np.mean(measures, axis=0)


def of_one_probe(found: np.ndarray) -> list[float]:
    """Hits at RANKS, trapezoid and step average precision of a ranked list, the first as TinyFace's own code has it."""
    at = np.flatnonzero(found)
    trapezoid = step = recall = 0.0
    for number, place in enumerate(at):
        before = number / place if place else 1.0
        precision, new = (number + 1) / (place + 1), (number + 1) / len(at)
        trapezoid += (new - recall) * (before + precision) / 2
        step += (new - recall) * precision
        recall = new
    return [*(at[0] < RANKS), trapezoid, step]


def free_memory() -> int:
    """Bytes that are free on this machine; 0 where it does not tell."""
    try:
        with open("/proc/meminfo") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 0


def measures(inputs: tuple, answer: np.ndarray) -> np.ndarray:
    return answer


def rows(small: bool = False) -> list[Row]:
    tiny = {"probes": 40, "people": 20, "match": 35, "distractors": 300}
    size = tiny if small else {"probes": 3728, "people": 2569, "match": 4443, "distractors": 153_428}
    one = measure(Side(make, ours, measures), size, tiny, 2)
    whole = free_memory() > ROOM
    other = measure(Side(make, sort_all, measures), size, tiny, 1)
    apart = float(np.abs(one.summary - other.summary).max())
    gallery = (size["match"] + size["distractors"]) * 512 * 4 / 2**20
    note = "" if whole else f" Too little memory for the whole: the rival sorts {BLOCK} probes at a time."
    return [
        Row(
            "TinyFace: CMC and mAP",
            f"{size['probes']:,} probes, gallery of {size['match'] + size['distractors']:,}, 512-d",
            one.seconds,
            "`np.argsort` of the full matrix",
            other.seconds,
            5,
            one.peak_mib,
            other.peak_mib,
            apart <= 1.5 / size["probes"],
            "1 GiB beyond libraries, the gallery included",
            one.added_mib + gallery <= 1024,
            f"CMC and both mAP are {apart:.0e} apart at most; one probe counts {1 / size['probes']:.0e}. Beyond "
            f"libraries: {one.added_mib + gallery:,.0f} MiB, the gallery's {gallery:.0f} included.{note}",
        )
    ]


if __name__ == "__main__":
    sys.exit(main(rows, __doc__))
