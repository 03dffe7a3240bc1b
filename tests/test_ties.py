"""The one rule for equal scores, in every protocol: who tells nobody apart never scores better than chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rifr.evaluation.protocols import identification, open_set, pairs, scface, tinyface, verification

PEOPLE, PHOTOS = 20, 3
IDENTITIES = np.repeat(np.arange(PEOPLE), PHOTOS)


def identify(rows, others):
    return identification.evaluate(rows, rows, IDENTITIES, others).rank1, 1 / len(others)


def search(rows, others):
    run = open_set.evaluate(rows, rows, IDENTITIES, others)
    return 1 - run.fnir_at(0.5), 0.5


def verify(rows, others):
    run = verification.evaluate(rows, rows, IDENTITIES, others)
    return max(run.tpr_at(0.1) - 0.1, run.tpr_at(0.5) - 0.5), 0


def decide(rows, others):
    count = len(rows) // 2
    return pairs.evaluate(rows[:count], rows[count : 2 * count], np.arange(count) % 2 == 0, folds=3).accuracy, 0.5


def tiny(metric):
    def rank(rows, others):
        ids = np.r_[np.arange(PEOPLE), np.full(len(others), tinyface.DISTRACTOR)]
        run = tinyface.evaluate(rows, IDENTITIES, np.concatenate([rows[:PEOPLE], others]), ids, metric)
        return max(run.rank1, run.mean_ap - 0.1), 1 / len(ids)

    return rank


def surveil(rows, others):
    return scface.evaluate(rows, IDENTITIES, rows[::PHOTOS], np.arange(PEOPLE)).rank1, 1 / PEOPLE


PROTOCOLS = {
    "identification": identify,
    "open set": search,
    "verification": verify,
    "pairs": decide,
    "TinyFace, cosine": tiny("cosine"),
    "TinyFace, Euclidean": tiny("euclidean"),
    "SCface": surveil,
}


@pytest.mark.parametrize("name", PROTOCOLS)
@settings(max_examples=25, deadline=None)
@given(
    numbers=st.integers(1, 600),
    dtype=st.sampled_from([np.float32, np.float64]),
    scaled=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_network_that_tells_nobody_apart_never_scores_better_than_chance(name, numbers, dtype, scaled, seed):
    rng = np.random.default_rng(seed)
    rows = np.tile(rng.standard_normal(numbers), (PEOPLE * PHOTOS + 700, 1))
    if scaled and name != "TinyFace, Euclidean":  # where lengths count, they tell photos apart
        rows *= rng.uniform(0.1, 10, (len(rows), 1))
    rows = rows.astype(dtype)
    score, chance = PROTOCOLS[name](rows[: PEOPLE * PHOTOS], rows[PEOPLE * PHOTOS :])
    assert score <= chance


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("numbers", [3, 128, 513])
def test_an_impostor_equal_to_a_genuine_pair_is_never_told_from_it_by_rounding(numbers, dtype):
    rng = np.random.default_rng(numbers)
    probe, mate = rng.standard_normal((2, numbers))
    rows = np.stack([probe, mate])
    others = mate * rng.uniform(0.1, 10, (5000, 1))
    given_rows = rows.astype(dtype), rows.astype(dtype), np.array([0, 0]), others.astype(dtype)
    # Of 10,000 impostor pairs the mate's own, at a cosine of one, beat the genuine pair; the probe's equal it.
    assert verification.evaluate(*given_rows).tpr_at([0.5, 0.9999]).tolist() == [0, 0]
    assert identification.evaluate(*given_rows).rank1 == 0


def test_photos_at_one_distance_may_keep_the_gallerys_order_as_in_tinyfaces_own_code():
    rows = np.ones((4, 8), np.float32)
    ids = np.array([7, tinyface.DISTRACTOR, 7, tinyface.DISTRACTOR])
    assert tinyface.evaluate(rows[:1], [7], rows, ids, ties="gallery").mate_ranks.tolist() == [1, 3]
    assert tinyface.evaluate(rows[:1], [7], rows, ids).mate_ranks.tolist() == [3, 4]
