"""Identification beside the public evaluators' way, and beside the bare matrix product: `identification.py [--small]`.

Three sizes of the paper's protocol: rank-1 in P1 and P2 at twelve widths, the CMC at ranks 1 to 100, and rank-1 among
MegaFace's million, streamed from a memory map of half precision.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from harness import SEED, Row, Side, main, measure

from rifr.evaluation.protocols import identification

NEAR = 1 / 1.3  # of the bare product's time
AGREE = 1e-5  # share of trials that rounding may decide otherwise: two libraries' products differ in the last bits
CHUNK = 8192  # distractors of the memory map in memory at a time


def photos_of(people: int, photos: int) -> np.ndarray:
    """(photos,) identities, as even as can be."""
    return np.arange(photos) % people


def at_width(identities: np.ndarray, distractors: int, dimensions: int, noise: float, seed: int) -> tuple:
    """(N, D) features of photos around their people's centres, and (K, D) of distractors; `noise` is the width's."""
    centres = np.random.default_rng(SEED).standard_normal((identities.max() + 1, dimensions), np.float32)
    draw = np.random.default_rng([SEED, seed])
    photos = centres[identities] + np.float32(noise) * draw.standard_normal((len(identities), dimensions), np.float32)
    return photos, draw.standard_normal((distractors, dimensions), np.float32)


def make_widths(people: int, photos: int, distractors: int, widths: int, ranks: int, dimensions: int = 512) -> tuple:
    """A list of (probes, gallery, distractors): P1 and P2 at each width, the first of which is high resolution."""
    identities = photos_of(people, photos)
    features = [
        at_width(identities, distractors, dimensions, noise, number)
        for number, noise in enumerate(np.linspace(1.2, 2.8, widths))
    ]
    sides = [
        (low, gallery, others) for low, strangers in features for gallery, others in ((low, strangers), features[0])
    ]
    return sides[:1] if ranks > 1 else sides, identities, ranks


def ours(sides: list, identities: np.ndarray, ranks: int) -> np.ndarray:
    """(sides, ranks) hits."""
    found = [
        identification.evaluate(probes, gallery, identities, distractors, ranks=ranks, ties="hit")
        for probes, gallery, distractors in sides
    ]
    return np.array([one.hits_at.sum(axis=0) for one in found])


def evaluator(sides: list, identities: np.ndarray, ranks: int) -> np.ndarray:
    """The same by the full score matrix: for each rank a partition, and a loop over the ordered trials."""
    hits = np.zeros((len(sides), ranks), np.int64)
    for side, (probes, gallery, distractors) in enumerate(sides):
        probes, gallery, distractors = (
            array / np.linalg.norm(array, axis=1, keepdims=True) for array in (probes, gallery, distractors)
        )
        scores = probes @ distractors.T  # (N, K)
        own = probes @ gallery.T  # (N, N)
        for rank in range(1, ranks + 1):
            bar = np.partition(scores, -rank, axis=1)[:, -rank]
            hits[side, rank - 1] = count_trials(own, bar, identities)
    return hits


def count_trials(own: np.ndarray, bar: np.ndarray, identities: np.ndarray) -> int:
    hits = 0
    for person in np.unique(identities):
        photos = np.flatnonzero(identities == person)
        for joined in photos:
            for probe in photos:
                if probe != joined and own[probe, joined] >= bar[probe]:
                    hits += 1
    return hits


def bare_product(sides: list, identities: np.ndarray, ranks: int) -> None:
    """The matrix products that identification cannot do without, in its own blocks, and nothing else."""
    people = [torch.from_numpy(np.flatnonzero(identities == person)) for person in np.unique(identities)]
    room = torch.empty(identification.ROWS, identification.COLUMNS)
    for side in sides:
        probes, gallery, distractors = map(torch.from_numpy, side)
        multiply(probes, distractors, room)
        for photos in people:
            probes[photos] @ gallery[photos].T


def multiply(probes: torch.Tensor, distractors: torch.Tensor, room: torch.Tensor) -> None:
    for block in distractors.split(identification.COLUMNS):
        for part in probes.split(identification.ROWS):
            torch.matmul(part, block.T, out=room[: len(part), : len(block)])


def hits(inputs: tuple, answer: np.ndarray) -> np.ndarray:
    return answer


def nothing(inputs: tuple, answer: None) -> None:
    """A bare product answers nothing."""


def write_million(path: Path, rows: int, dimensions: int = 512) -> None:
    """(rows, D) half precision, made and written in pieces."""
    draw = np.random.default_rng([SEED, 1])
    file = np.lib.format.open_memmap(path, "w+", np.float16, (rows, dimensions))
    for start in range(0, rows, CHUNK):
        part = file[start : start + CHUNK]
        part[:] = draw.standard_normal(part.shape, np.float32)
    file.flush()


def make_million(path: str, people: int, photos: int) -> tuple:
    identities = photos_of(people, photos)
    distractors = np.load(path, mmap_mode="r")
    probes, _ = at_width(identities, 0, distractors.shape[1], 1.8, 0)
    return probes, identities, distractors


def ours_million(probes: np.ndarray, identities: np.ndarray, distractors: np.ndarray) -> np.ndarray:
    """(people,) hits."""
    return identification.evaluate(probes, probes, identities, distractors, ranks=1, ties="hit").hits


def product_million(probes: np.ndarray, identities: np.ndarray, distractors: np.ndarray) -> None:
    room = torch.empty(identification.ROWS, identification.COLUMNS)
    for start in range(0, len(distractors), CHUNK):
        multiply(
            torch.from_numpy(probes), torch.from_numpy(distractors[start : start + CHUNK].astype(np.float32)), room
        )


def first_people(inputs: tuple, answer: np.ndarray) -> np.ndarray:
    """Hits of the first two people: there is time to count them by the definition."""
    return answer[:2]


def by_definition(inputs: tuple, answer: None) -> np.ndarray:
    probes, identities, distractors = inputs
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    photos = np.flatnonzero(identities < 2)
    bar = np.full(len(probes), -np.inf)
    for start in range(0, len(distractors), CHUNK):
        block = distractors[start : start + CHUNK].astype(np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
        bar[photos] = np.maximum(bar[photos], (probes[photos] @ block.T).max(axis=1))
    own = probes @ probes.T
    return np.array([count_trials(own, np.where(identities == person, bar, np.inf), identities) for person in (0, 1)])


def rows(small: bool = False) -> list[Row]:
    return [*rank1(small), cmc(small), million(small)]


def rank1(small: bool) -> list[Row]:
    tiny = {"people": 4, "photos": 30, "distractors": 200, "widths": 2, "ranks": 1}
    size = tiny if small else {"people": 80, "photos": 3530, "distractors": 10_000, "widths": 12, "ranks": 1}
    one = measure(Side(make_widths, ours, hits), size, tiny, 2)
    other = measure(Side(make_widths, evaluator, hits), size, tiny, 1)
    bare = measure(Side(make_widths, bare_product, nothing), size, tiny, 2)
    agree, note = same_hits(one.summary, other.summary, size)
    what, text = "identification, rank-1 in P1 and P2", sizes(size, f"{size['widths']} widths")
    rival = "evaluator: score matrix, a partition a rank, a loop over trials"
    return [
        Row(what, text, one.seconds, rival, other.seconds, 3, one.peak_mib, other.peak_mib, agree, note=note),
        Row(
            what,
            text,
            one.seconds,
            "the bare matrix product",
            bare.seconds,
            NEAR,
            one.peak_mib,
            bare.peak_mib,
            None,
            note="The product of the same blocks: probes with distractors, and each person's photos with one another.",
        ),
    ]


def cmc(small: bool) -> Row:
    tiny = {"people": 4, "photos": 30, "distractors": 200, "widths": 1, "ranks": 10}
    size = tiny if small else {"people": 80, "photos": 3530, "distractors": 10_000, "widths": 1, "ranks": 100}
    one = measure(Side(make_widths, ours, hits), size, tiny, 3)
    other = measure(Side(make_widths, evaluator, hits), size, tiny, 1)
    agree, note = same_hits(one.summary, other.summary, size)
    return Row(
        f"identification, CMC at ranks 1 to {size['ranks']}",
        sizes(size, "one width"),
        one.seconds,
        "the same evaluator, its score matrix made once, called for each rank",
        other.seconds,
        30,
        one.peak_mib,
        other.peak_mib,
        agree,
        note=note,
    )


def million(small: bool) -> Row:
    size = {"people": 80, "photos": 3530, "distractors": 1_000_000}
    size = {"people": 4, "photos": 30, "distractors": 10_000} if small else size
    with tempfile.TemporaryDirectory() as folder:
        path, few = Path(folder) / "million.npy", Path(folder) / "few.npy"
        write_million(path, size["distractors"])
        write_million(few, 500)
        full = {"path": str(path), "people": size["people"], "photos": size["photos"]}
        tiny = {"path": str(few), "people": 4, "photos": 30}
        one = measure(Side(make_million, ours_million, first_people), full, tiny, 2)
        bare = measure(Side(make_million, product_million, by_definition), full, tiny, 2)
    apart = int(np.abs(one.summary - bare.summary).max())
    return Row(
        "identification, rank-1 from a memory map",
        sizes(size, "half precision on disk"),
        one.seconds,
        "the bare matrix product from the same file",
        bare.seconds,
        0.5,
        one.peak_mib,
        bare.peak_mib,
        apart <= 1,
        "2 GiB",
        one.peak_mib <= 2048,
        f"Two people's hits ({one.summary[0]:,} and {one.summary[1]:,}) counted anew by the definition: {apart} "
        "apart at most. The peak includes the pages of the file that are held.",
    )


def same_hits(found: np.ndarray, expected: np.ndarray, size: dict) -> tuple[bool, str]:
    """Whether the hits are equal up to rounding, and a note that says how far apart they are."""
    _, counts = np.unique(photos_of(size["people"], size["photos"]), return_counts=True)
    trials, apart = int((counts * (counts - 1)).sum()), int(np.abs(found - expected).max())
    return (
        apart <= max(1, AGREE * trials),
        f"Hits among {trials:,} trials differ by {apart} at most (rounding of equal scores).",
    )


def sizes(size: dict, rest: str) -> str:
    return f"{size['photos']:,} probes of {size['people']} people, {size['distractors']:,} distractors, 512-d, {rest}"


if __name__ == "__main__":
    sys.exit(main(rows, __doc__))
