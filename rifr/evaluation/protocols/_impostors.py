"""Impostor scores, counted among the genuine ones without being kept: the part of verification that takes time.

Tens of millions of scores, or billions with a million distractors, are made a block at a time. Each finds its place
among the genuine scores by the step it lies in, of many equal steps from the least to the highest genuine score, and by
bisection in that step. The highest scores are kept with the two people they belong to.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numba
import numpy as np
import torch

from rifr.evaluation.protocols.embeddings import unit_rows

__all__ = ["MAX_TOP_SCORES", "count_impostors", "estimate_threshold"]

ROWS = 1024  # probes in a block of scores
COLUMNS = 4096  # gallery photos or distractors in a block of scores
MAX_STEPS = 2**20  # more would not stay in the processor's cache
STEPS_PER_VALUE = 16  # so that few steps hold a genuine score
MAX_TOP_SCORES = 2_000_000  # compacted to at most this many when twice as many are held

TopScores = tuple[np.ndarray, np.ndarray, np.ndarray]  # scores, and the two people of each


class _Block(NamedTuple):
    """Some probes against some gallery photos or distractors: row r begins at column max(0, ahead + r)."""

    probes: torch.Tensor
    others: torch.Tensor
    row_people: np.ndarray
    people: np.ndarray
    ahead: int


def estimate_threshold(
    probes: torch.Tensor, gallery: torch.Tensor, person: np.ndarray, distractors: np.ndarray, share: float
) -> float:
    """The score above which about `share` of the impostor scores lie, from a sample of half a million of them."""
    rng = np.random.default_rng(0)

    def sample(size: int, wanted: int) -> np.ndarray:
        return np.sort(rng.permutation(size)[:wanted])

    rows, others = sample(len(probes), 512), sample(len(probes), 1024)
    far = sample(len(distractors), 1024 * len(distractors) // (len(distractors) + len(probes) // 2))
    others = others[: 1024 - len(far)] if len(far) < 1024 else others[:0]
    near = (probes[rows] @ gallery[others].T).numpy()
    scores = [near[person[rows][:, None] != person[others]]]
    if len(far):
        block = unit_rows("distractors", distractors[far], probes.numpy().dtype)
        scores.append((probes[rows] @ block.T).numpy().ravel())
    return float(np.quantile(np.concatenate(scores), 1 - share))


def count_impostors(
    probes: torch.Tensor,
    gallery: torch.Tensor,
    person: np.ndarray,
    distractors: np.ndarray,
    pairs: str,
    values: np.ndarray,
    threshold: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Impostor scores counted by how many of the `values` they reach, and those from `threshold` with their people.

    Parameters
    ----------
    probes, gallery
        (N, D) rows of length one.
    person
        (N,) uint32, from 0.
    distractors
        (K, D) embeddings of any length.
    values
        (V,) distinct, ascending.

    Returns
    -------
    counts, scores, people
        (V + 1,) int64; (T,) in no order; (2, T), distractor d counting as person P + d.
    """
    dtype, threads = values.dtype, torch.get_num_threads()
    steps = min(MAX_STEPS, STEPS_PER_VALUE * len(values))
    scale = dtype.type((steps - 1) / max(values[-1] - values[0], 1e-6))
    last_step = dtype.type(steps - 1)
    starts = np.searchsorted(_steps(values, values[0], scale, last_step), np.arange(steps + 1)).astype(np.uint32)
    counts = np.zeros((threads, len(values) + 1), np.int64)
    size = min(ROWS, len(probes)) * min(COLUMNS, max(len(probes), len(distractors)))
    buffer = torch.empty(size, dtype=probes.dtype)
    # Pages of these that no score is written to take no memory.
    kept = np.empty(size, dtype), np.empty(size, np.uint32), np.empty(size, np.uint32)
    top: list[TopScores] = []
    least = dtype.type(threshold)

    def count(thread: int, rows: slice, scores: np.ndarray, block: _Block) -> TopScores:
        space = slice(rows.start * scores.shape[1], rows.stop * scores.shape[1])
        part = tuple(array[space] for array in kept)
        number = _count(
            scores[rows],
            block.row_people[rows],
            block.people,
            block.ahead + rows.start,
            values,
            starts,
            scale,
            last_step,
            counts[thread],
            least,
            part,
        )
        return part[0][:number].copy(), part[1][:number].copy(), part[2][:number].copy()

    with ThreadPoolExecutor(threads) as pool:
        for block in _blocks(probes, gallery, person, distractors, pairs):
            scores = buffer[: len(block.probes) * len(block.others)].view(len(block.probes), len(block.others))
            torch.matmul(block.probes, block.others.T, out=scores)
            bounds = np.linspace(0, len(scores), threads + 1).astype(int)
            jobs = [
                pool.submit(count, thread, slice(begin, end), scores.numpy(), block)
                for thread, (begin, end) in enumerate(pairwise(bounds))
            ]
            top += [job.result() for job in jobs]
            if sum(len(part[0]) for part in top) > 2 * MAX_TOP_SCORES:
                top, least = _compact(top)
    kept_scores, first, second = (np.concatenate(arrays) for arrays in zip(*top))
    return counts.sum(axis=0), kept_scores, np.stack([first, second])


def _blocks(
    probes: torch.Tensor, gallery: torch.Tensor, person: np.ndarray, distractors: np.ndarray, pairs: str
) -> Iterator[_Block]:
    """All pairs of two probes, each once where `pairs` is "first", then all of a probe and a distractor."""
    rows = range(0, len(probes), ROWS)
    for column in range(0, len(gallery), COLUMNS):
        others, people = gallery[column : column + COLUMNS], person[column : column + COLUMNS]
        for row in rows:
            # Where each pair is made once, only columns to the right of a row's own are its.
            skip = max(0, row + 1 - column) if pairs == "first" else 0
            ahead = row + 1 - column - skip if pairs == "first" else -len(probes)
            if skip < len(others):
                yield _Block(probes[row : row + ROWS], others[skip:], person[row : row + ROWS], people[skip:], ahead)
    number = person.max() + 1
    for column in range(0, len(distractors), COLUMNS):
        others = unit_rows("distractors", distractors[column : column + COLUMNS], probes.numpy().dtype, column)
        people = np.arange(number + column, number + column + len(others), dtype=np.uint32)
        for row in rows:
            yield _Block(probes[row : row + ROWS], others, person[row : row + ROWS], people, -len(probes))


def _compact(top: list[TopScores]) -> tuple[list[TopScores], Any]:
    """At most MAX_TOP_SCORES of the scores with their people, equal scores all or none; and the least to keep now."""
    scores, first, second = (np.concatenate(part) for part in zip(*top))
    beaten = np.partition(scores, len(scores) - MAX_TOP_SCORES - 1)[len(scores) - MAX_TOP_SCORES - 1]
    above = scores > beaten
    return [(scores[above], first[above], second[above])], np.nextafter(beaten, beaten.dtype.type(np.inf))


@numba.njit(nogil=True, cache=True)
def _steps(scores: Any, lowest: Any, scale: Any, last: Any) -> Any:
    """The step each score lies in; a higher score never lies in a lower one, however the arithmetic rounds."""
    steps = np.empty(len(scores), np.uint32)
    zero = lowest - lowest
    for x in range(len(scores)):
        steps[x] = np.int32(min(max((scores[x] - lowest) * scale, zero), last))
    return steps


@numba.njit(nogil=True, cache=True)
def _count(
    scores: Any,
    row_people: Any,
    people: Any,
    ahead: Any,
    values: Any,
    starts: Any,
    scale: Any,
    last_step: Any,
    counts: Any,
    least: Any,
    kept: Any,
) -> Any:
    """Count a block of impostor scores, and put those from `least` and their people in `kept`; returns how many.

    starts: (steps + 1,) the first of the values in each step or after it.
    Indices are unsigned: signed ones might be negative, and Numba would look at each for that.
    """
    one, number = np.uint64(1), np.uint64(0)
    kept_scores, first, second = kept
    for row in range(len(scores)):
        line, own = scores[row], row_people[row]
        steps = _steps(line, values[0], scale, last_step)
        for x in range(np.uint64(max(0, ahead + row)), np.uint64(len(line))):
            if people[x] == own:
                continue
            score, step = line[x], np.uint64(steps[x])
            low, high = np.uint64(starts[step]), np.uint64(starts[step + one])
            while low < high:
                middle = (low + high) >> one
                if values[middle] <= score:
                    low = middle + one
                else:
                    high = middle
            counts[low] += 1
            if score >= least:
                kept_scores[number], first[number], second[number] = score, own, people[x]
                number += one
    return number
