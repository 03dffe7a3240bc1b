"""Impostor scores, counted among the genuine ones without being kept: the part of verification that takes time.

Tens of millions of scores, or billions with a million distractors, are made a block at a time. Each finds the genuine
scores next to it by the step it lies in, of many equal steps from the least to the highest genuine score: a step
without a genuine score just counts, and in the few others the place is found by bisection. The highest scores are kept
with the two people they belong to.
"""

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch

from rifr.evaluation.protocols.identification import _unit

__all__ = ["TAIL", "count_impostors", "estimate_cut"]

ROWS = 1024  # probes in a block of scores
COLUMNS = 4096  # gallery photos or distractors in a block of scores
STEPS = 2**20  # at most; more would not stay in the processor's cache
STEPS_PER_VALUE = 16  # so that few steps hold a genuine score
TAIL = 2_000_000  # the highest scores kept: compacted to at most this many when twice as many are held


def estimate_cut(
    probes: torch.Tensor, gallery: torch.Tensor, person: np.ndarray, distractors: np.ndarray, share: float
) -> float:
    """The score above which about `share` of the impostor scores lie, from a sample of half a million of them."""
    rng = np.random.default_rng(0)

    def some(size: int, wanted: int) -> np.ndarray:
        return np.sort(rng.permutation(size)[:wanted])

    rows, others = some(len(probes), 512), some(len(probes), 1024)
    far = some(len(distractors), 1024 * len(distractors) // (len(distractors) + len(probes) // 2))
    others = others[: 1024 - len(far)] if len(far) < 1024 else others[:0]
    near = (probes[rows] @ gallery[others].T).numpy()
    scores = [near[person[rows][:, None] != person[others]]]
    if len(far):
        block = _unit("distractors", distractors[far], probes.numpy().dtype)
        scores.append((probes[rows] @ block.T).numpy().ravel())
    return float(np.quantile(np.concatenate(scores), 1 - share))


def count_impostors(
    probes: torch.Tensor,
    gallery: torch.Tensor,
    person: np.ndarray,
    people: int,
    distractors: np.ndarray,
    pairs: str,
    values: np.ndarray,
    cut: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Impostor scores counted between and at the genuine `values`, (2 V + 1,); those from `cut`; and their two people.

    probes, gallery: (N, D) of length one; person: (N,) uint32 below `people`; values: (V,) distinct, ascending.
    """
    dtype = values.dtype
    threads = torch.get_num_threads()
    steps = min(STEPS, STEPS_PER_VALUE * len(values))
    scale = dtype.type((steps - 1) / max(values[-1] - values[0], 1e-6))
    top = dtype.type(steps - 1)
    held_in = _steps(values, values[0], scale, top)
    starts = np.searchsorted(held_in, np.arange(steps + 1)).astype(np.uint32)
    counters = np.zeros((threads, steps), np.int64)
    counters[:, held_in] = -1
    bins = np.zeros((threads, 2 * len(values) + 1), np.int64)
    size = min(ROWS, len(probes)) * min(COLUMNS, max(len(probes), len(distractors)))
    room = torch.empty(size, dtype=probes.dtype)
    # Pages of these that no score is written to take no memory.
    held = np.empty(size, dtype), np.empty(size, np.uint32), np.empty(size, np.uint32)
    tail, cut = [], dtype.type(cut)

    def count(part: int, rows: np.ndarray, scores: np.ndarray, block_people: np.ndarray, ahead: int, mixed: bool):
        first, last = rows[0], rows[-1] + 1
        space = slice(first * scores.shape[1], last * scores.shape[1])
        kept = tuple(array[space] for array in held)
        number = _drop(
            scores[first:last],
            row_people[first:last],
            block_people,
            ahead + first,
            mixed,
            values,
            starts,
            scale,
            top,
            counters[part],
            bins[part],
            cut,
            *kept,
        )
        return tuple(array[:number].copy() for array in kept)

    with ThreadPoolExecutor(threads) as pool:
        for mixed, others in ((True, gallery), (False, distractors)):
            for column in range(0, len(others), COLUMNS):
                block = others[column : column + COLUMNS]
                if mixed:
                    block_people = person[column : column + COLUMNS]
                else:
                    block = _unit("distractors", block, dtype, first=column)
                    block_people = np.arange(people + column, people + column + len(block), dtype=np.uint32)
                for row in range(0, len(probes), ROWS):
                    part, row_people = probes[row : row + ROWS], person[row : row + ROWS]
                    # Where each pair is made once, only columns to the right of a row's own are its.
                    skip = max(0, row + 1 - column) if mixed and pairs == "first" else 0
                    if skip >= len(block):
                        break
                    ahead = row + 1 - column - skip if mixed and pairs == "first" else -len(probes) - len(block)
                    shape = len(part), len(block) - skip
                    scores = room[: shape[0] * shape[1]].view(shape)
                    torch.matmul(part, block[skip:].T, out=scores)
                    shares = [rows for rows in np.array_split(np.arange(shape[0]), threads) if len(rows)]
                    tail += pool.map(
                        lambda at: count(*at, scores.numpy(), block_people[skip:], ahead, mixed), enumerate(shares)
                    )
                    if sum(len(found[0]) for found in tail) > 2 * TAIL:
                        tail, cut = _compact(tail)
    scores, first, second = (np.concatenate(arrays) for arrays in zip(*tail))
    bins, counters = bins.sum(axis=0), np.maximum(counters, 0).sum(axis=0)
    np.add.at(bins, 2 * starts[:-1], counters)  # a step without genuine scores lies between two of them
    return bins, scores, np.stack([first, second])


def _compact(tail: list[tuple]) -> tuple[list[tuple], np.floating]:
    """At most TAIL of the highest scores with their pairs, equal scores all or none; and the new cut."""
    arrays = [np.concatenate(part) for part in zip(*tail)]
    beaten = np.partition(arrays[0], len(arrays[0]) - TAIL - 1)[len(arrays[0]) - TAIL - 1]
    above = arrays[0] > beaten
    return [tuple(array[above] for array in arrays)], np.nextafter(beaten, beaten.dtype.type(np.inf))


@numba.njit(nogil=True, cache=True)
def _steps(scores, lowest, scale, top):
    """The step each score lies in; a higher score never lies in a lower one, however the arithmetic rounds."""
    found = np.empty(len(scores), np.uint32)
    zero = lowest - lowest
    for x in range(len(scores)):
        found[x] = np.int32(min(max((scores[x] - lowest) * scale, zero), top))
    return found


@numba.njit(nogil=True, cache=True)
def _drop(
    scores, row_people, people, ahead, mixed, values, starts, scale, top, counters, bins, cut, kept, first, second
):
    """Count a block of scores, and put those from `cut` and their two people in `kept`, `first`, `second`.

    counters: (steps,) for steps without a genuine score, -1 in the others; bins: (2 V + 1,) for scores in these.
    Row r begins at column ahead + r; where `mixed`, pairs of one person are passed over. Returns how many were kept.
    Indices are unsigned: signed ones might be negative, and Numba would look at each for that.
    """
    one, number = np.uint64(1), np.uint64(0)
    for row in range(len(scores)):
        line, own = scores[row], row_people[row]
        steps = _steps(line, values[0], scale, top)
        for x in range(np.uint64(max(0, ahead + row)), np.uint64(len(line))):
            if mixed and people[x] == own:
                continue
            score, step = line[x], np.uint64(steps[x])
            if counters[step] >= 0:
                counters[step] += 1
            else:
                low, end = np.uint64(starts[step]), np.uint64(starts[step + one])
                high = end
                while low < high:
                    middle = (low + high) >> one
                    if values[middle] < score:
                        low = middle + one
                    else:
                        high = middle
                place = low + low
                if low < end and values[low] == score:
                    place += one
                bins[place] += 1
            if score >= cut:
                kept[number], first[number], second[number] = score, own, people[x]
                number += one
    return number
