"""What holds of every protocol whatever the embeddings: no order of rows and no length of an embedding matters."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rifr.doctor import pairs as face_pairs
from rifr.errors import DataError
from rifr.evaluation import calibration, geometry, metrics
from rifr.evaluation.metrics import Interval
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols import identification, open_set, pairs, scface, tinyface, verification

seeds = st.integers(0, 2**32 - 1)
whole_numbers = settings(max_examples=30, deadline=None)


def world(rng):
    """A few people with several photos of differing noise, and photos of others."""
    identities = rng.permutation(np.r_[0, 0, 1, 1, rng.integers(0, 6, rng.integers(1, 15))])
    numbers = rng.integers(2, 12)
    probes, gallery = rng.standard_normal((2, 7, numbers))[:, identities]
    noise = rng.uniform(0.2, 1.5)
    probes, gallery = (rows + noise * rng.standard_normal(rows.shape) for rows in (probes, gallery))
    return probes, gallery, identities, rng.standard_normal((rng.integers(1, 30), numbers))


def to_one(rows):
    return rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))


@whole_numbers
@given(seeds)
def test_identification_is_the_loop_over_trials_in_any_order_and_at_any_length(seed):
    rng = np.random.default_rng(seed)
    probes, gallery, identities, others = world(rng)
    unit = [to_one(rows) for rows in (probes, gallery, others)]
    ranks = np.zeros(8, int)
    for i, person in enumerate(identities):
        for j, other in enumerate(identities):
            if i != j and person == other:
                ranks += np.arange(1, 9) > sum(unit[0][i] @ far >= unit[0][i] @ unit[1][j] for far in unit[2])
    order, scale = rng.permutation(len(probes)), rng.uniform(0.1, 10, (len(probes), 1))
    run = identification.evaluate(probes, gallery, identities, others, ranks=8)
    moved = identification.evaluate((probes * scale)[order], 7 * gallery[order], identities[order], others[::-1], 8)
    assert run.hits_at.sum(axis=0).tolist() == ranks.tolist()
    assert np.array_equal(run.hits_at, moved.hits_at) and np.array_equal(run.hits_by_probe[order], moved.hits_by_probe)


@whole_numbers
@given(seeds)
def test_open_set_is_the_loop_over_searches_in_any_order_and_at_any_length(seed):
    rng = np.random.default_rng(seed)
    probes, gallery, identities, others = world(rng)
    people, first, photos = np.unique(identities, return_index=True, return_counts=True)
    enrolled = {person: row for person, row, count in zip(people, first, photos) if count > 1}
    best, mated = [], []
    for row, person in [*zip(to_one(probes), identities), *((row, None) for row in to_one(others))]:
        scores = {other: row @ to_one(gallery)[place] for other, place in enrolled.items()}
        if person not in enrolled:
            best.append(max(scores.values()))
        elif not np.array_equal(row, to_one(probes)[enrolled[person]]):
            mated.append(scores[person] if scores[person] == max(scores.values()) else -np.inf)
    run = open_set.evaluate(probes, gallery, identities, others)
    for fpir in {1 / len(best), 0.5, 1.0}:
        if fpir >= 1 / len(best):
            bar = np.sort([*best, -np.inf])[::-1][int(fpir * len(best) + 1e-9)]
            assert run.fnir_at(fpir) == pytest.approx(np.mean(np.array(mated) <= bar))
    # Who is enrolled is the first photo of a person: only whole people may change places.
    order, scale = np.argsort(rng.permutation(7)[identities], kind="stable"), rng.uniform(0.1, 10, (len(probes), 1))
    moved = open_set.evaluate((probes * scale)[order], gallery[order] / 3, identities[order], 2 * others[::-1])
    assert np.array_equal(run.fpir, moved.fpir) and np.array_equal(run.fnir, moved.fnir)


@whole_numbers
@given(seeds)
def test_tinyface_is_the_sorted_list_in_any_order_and_the_cosine_at_any_length(seed):
    rng = np.random.default_rng(seed)
    probes, gallery, identities, others = world(rng)
    rows, ids = np.concatenate([gallery, others]), np.r_[identities, np.full(len(others), tinyface.DISTRACTOR)]
    for metric in ("euclidean", "cosine"):
        run = tinyface.evaluate(probes, identities, rows, ids, metric)
        expected = []
        for probe, person in zip(probes, identities):
            away = ((rows - probe) ** 2).sum(axis=1) if metric == "euclidean" else -to_one(rows) @ probe
            expected += (np.flatnonzero(ids[np.argsort(away)] == person) + 1).tolist()
        assert run.mate_ranks.tolist() == expected
        order, other_order = rng.permutation(len(rows)), rng.permutation(len(probes))
        scale = rng.uniform(0.1, 10, (len(rows), 1)) if metric == "cosine" else 3
        probe_scale = 1 if metric == "cosine" else 3
        moved = tinyface.evaluate(
            probe_scale * probes[other_order], identities[other_order], (scale * rows)[order], ids[order], metric
        )
        assert np.array_equal(moved.best_ranks, run.best_ranks[other_order])
        assert moved.mean_ap == pytest.approx(run.mean_ap)


@whole_numbers
@given(seeds)
def test_scface_is_the_loop_over_people_in_any_order_and_at_any_length(seed):
    rng = np.random.default_rng(seed)
    probes, gallery, identities, _ = world(rng)
    run = scface.evaluate(probes, identities, gallery, identities)
    for probe, person, rank in zip(probes, identities, run.best_ranks):
        scores = to_one(gallery) @ probe
        best = {other: scores[identities == other].max() for other in identities}
        assert rank == sum(score >= best[person] for score in best.values())
    order, other_order = rng.permutation(len(probes)), rng.permutation(len(probes))
    scale = rng.uniform(0.1, 10, (len(probes), 1))
    moved = scface.evaluate(
        (probes * scale)[order], identities[order], (gallery / scale)[other_order], identities[other_order]
    )
    assert np.array_equal(moved.best_ranks, run.best_ranks[order])


@whole_numbers
@given(seeds)
def test_pairs_are_decided_as_by_a_loop_over_thresholds_in_any_order_and_at_any_length(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(9, 40))
    first = rng.standard_normal((count, 6))
    same, fold = rng.random(count) < 0.5, rng.permutation(np.arange(count) % 3)
    second = np.where(same[:, None], first, rng.standard_normal((count, 6))) + 0.8 * rng.standard_normal((count, 6))
    run = pairs.evaluate(first, second, same, fold)
    away = ((to_one(first) - to_one(second)) ** 2).sum(axis=1)
    for number in range(3):
        inside = fold == number
        right = [((away[~inside] < step / 100) == same[~inside]).sum() for step in range(400)]
        threshold = np.argmax(right) / 100
        assert run.correct[number] == ((away[inside] < threshold) == same[inside]).sum()
    order, scale = rng.permutation(count), rng.uniform(0.1, 10, (count, 1))
    moved = pairs.evaluate((first * scale)[order], second[order] * 5, same[order], fold[order])
    assert np.array_equal(moved.right, run.right[order])


def results(seed):
    """A result of each protocol, and what its rate is asked at."""
    rng = np.random.default_rng(seed)
    identities = np.repeat(np.arange(12), 3)
    rows = np.random.default_rng(0).standard_normal((12, 8))[identities] + rng.standard_normal((36, 8))
    others = rng.standard_normal((50, 8))
    return {
        "identification": (identification.evaluate(rows, rows, identities, others, 5), (5,)),
        "open set": (open_set.evaluate(rows, rows, identities, others), (0.1,)),
        "verification": (verification.evaluate(rows, rows, identities, others), (0.05,)),
        "TinyFace": (tinyface.evaluate(rows[::3], identities[::3], rows[1::3], identities[1::3]), (2,)),
        "SCface": (scface.evaluate(rows[::3], identities[::3], rows[1::3], identities[1::3]), (2,)),
        "pairs": (pairs.evaluate(rows[:18], rows[18:], np.arange(18) % 2, 3), ()),
    }


@pytest.mark.parametrize("name", results(0))
def test_every_result_has_an_interval_and_a_paired_difference(name):
    (one, at), (other, _) = results(1)[name], results(2)[name]
    nothing, apart = one.difference(one, *at), one.difference(other, *at, seed=5)
    assert nothing == Interval(0, 0, 0)
    back = other.difference(one, *at, seed=5)
    assert [back.low, back.estimate, back.high] == pytest.approx([-apart.high, -apart.estimate, -apart.low])
    wide, narrow = one.interval(*at, level=0.99), one.interval(*at, level=0.5)
    assert wide.low <= narrow.low <= narrow.estimate <= narrow.high <= wide.high and wide.low < wide.high
    if name != "pairs":  # whose accuracy is a mean over folds, and whose interval is over all pairs
        assert apart.estimate == pytest.approx(one.interval(*at).estimate - other.interval(*at).estimate)


@pytest.mark.parametrize("name", results(0))
def test_results_on_other_photos_are_not_compared(name):
    rng, identities = np.random.default_rng(3), np.repeat(np.arange(10), 2)
    rows, others = rng.standard_normal((20, 8)), rng.standard_normal((30, 8))
    fewer = {
        "identification": identification.evaluate(rows, rows, identities, others, 5),
        "open set": open_set.evaluate(rows, rows, identities, others),
        "verification": verification.evaluate(rows, rows, identities, others),
        "TinyFace": tinyface.evaluate(rows, identities, rows, identities),
        "SCface": scface.evaluate(rows, identities, rows, identities),
        "pairs": pairs.evaluate(rows, rows[::-1], identities % 2, 3),
    }[name]
    one, at = results(1)[name]
    with pytest.raises(DataError, match="same"):
        one.difference(fewer, *at)


PROTOCOLS_OF_PHOTOS = {"identification": identification, "open set": open_set, "verification": verification}
PROTOCOLS_OF_LISTS = {"TinyFace": tinyface, "SCface": scface}
UNKNOWN_PEOPLE = {
    "nan": np.array([1, 1, np.nan, np.nan]),
    "None": [None, "a", "a", None],
    "nan beside text": ["a", "a", np.nan, np.nan],
    "no date": np.array(["2026-01-01", "2026-01-01", "NaT", "NaT"], "datetime64[D]"),
}


@pytest.mark.parametrize("unknown", UNKNOWN_PEOPLE.values(), ids=UNKNOWN_PEOPLE)
@pytest.mark.parametrize("name", [*PROTOCOLS_OF_PHOTOS, *PROTOCOLS_OF_LISTS])
def test_an_unknown_identity_is_nobody_and_is_refused(name, unknown):
    rows, others = np.random.default_rng(0).standard_normal((2, 4, 8))
    protocol = (PROTOCOLS_OF_PHOTOS | PROTOCOLS_OF_LISTS)[name]
    given = (rows, rows, unknown, others) if name in PROTOCOLS_OF_PHOTOS else (rows, unknown, rows, unknown)
    with pytest.raises(DataError, match="whole numbers"):
        protocol.evaluate(*given)


@pytest.mark.parametrize("unknown", UNKNOWN_PEOPLE.values(), ids=UNKNOWN_PEOPLE)
def test_angles_calibration_and_drawn_pairs_refuse_an_unknown_identity_too(unknown):
    rows = np.random.default_rng(0).standard_normal((4, 8))
    for measure in (
        lambda: geometry.same_person(rows, rows, unknown),
        lambda: geometry.separation(rows, rows, unknown),
        lambda: geometry.by_person(rows[:, 0], unknown),
        lambda: calibration.calibrate(rows, np.arange(4), unknown),
        lambda: face_pairs.draw(unknown),
    ):
        with pytest.raises(DataError, match="leave out the photos of unknown people"):
            measure()


def test_text_in_an_array_of_objects_is_text_as_a_column_of_a_table_has_it():
    rows, others = np.random.default_rng(0).standard_normal((2, 4, 8))
    text = np.array(["b", "a", "a", "b"])
    for protocol in PROTOCOLS_OF_PHOTOS.values():
        one, other = (protocol.evaluate(rows, rows, ids, others) for ids in (text, pd.Series(list(text), dtype=object)))
        assert one.difference(other, 1) == Interval(0, 0, 0)
    column = text.astype(object)
    found = scface.evaluate(rows, column, rows[:2], column[:2])
    assert np.array_equal(found.best_ranks, scface.evaluate(rows, text, rows[:2], text[:2]).best_ranks)


def test_an_empty_list_of_others_is_nobody_in_the_probes_precision():
    rows, identities = np.random.default_rng(0).standard_normal((6, 8)), np.array([0, 0, 1, 1, 2, 3])
    for protocol in PROTOCOLS_OF_PHOTOS.values():
        for precise in (rows, rows.astype(np.float32)):
            one, other = (protocol.evaluate(precise, precise, identities, none) for none in ([], precise[:0]))
            assert one.interval(1) == other.interval(1) and one.difference(other, 1) == Interval(0, 0, 0)
    found = verification.evaluate(rows.astype(np.float32), rows.astype(np.float32), identities, [])
    assert found.genuine_scores.dtype == np.float32


def test_doubles_are_computed_in_double_precision_in_either_order_of_bytes():
    rng, identities = np.random.default_rng(0), np.repeat(np.arange(5), 2)
    rows, others = rng.standard_normal((10, 8)), rng.standard_normal((20, 8))
    turned = [array.astype(">f8") for array in (rows, others)]
    for protocol in PROTOCOLS_OF_PHOTOS.values():
        one, other = (protocol.evaluate(a, a, identities, b) for a, b in ((rows, others), turned))
        assert one.interval(1) == other.interval(1)
    scores = [verification.evaluate(a, a, identities, b).genuine_scores for a, b in ((rows, others), turned)]
    assert scores[1].dtype == np.float64 and np.array_equal(*scores)


def test_a_rate_of_nothing_or_all_is_as_sure_as_its_people_are_many_under_every_protocol():
    identities = np.repeat(np.arange(6), 2)
    rows = np.eye(16)[identities] + 0.01 * np.random.default_rng(0).standard_normal((12, 16))
    others = np.eye(16)[8:]
    wilson = metrics.wilson_interval(6, 6)
    for found, at in [
        (identification.evaluate(rows, rows, identities, others), 1),
        (verification.evaluate(rows, rows, identities, others), 0.01),
        (tinyface.evaluate(rows[::2], identities[::2], rows[1::2], identities[1::2]), 1),
        (scface.evaluate(rows[::2], identities[::2], rows[1::2], identities[1::2]), 1),
    ]:
        assert found.interval(at) == wilson and found.difference(found, at) == Interval(0, 0, 0)
    assert open_set.evaluate(rows, rows, identities, others).interval(0.2) == metrics.wilson_interval(0, 6)
    assert verification.evaluate(rows, rows, identities, others).interval(1) == Interval(1, 1, 1)  # whoever they are


def test_the_tpr_of_one_persons_pairs_has_no_interval_however_many_have_one_photo():
    rows = np.random.default_rng(0).standard_normal((6, 8))
    found = verification.evaluate(rows, rows, np.array([0, 0, 1, 2, 3, 4]), rows[:0])
    with pytest.raises(DataError, match="two photos needs at least two, not 1"):
        found.interval(0.5)
    (row,) = Outcome({("P1", "a", 112): found}, 50).table([0.5]).itertuples()
    assert row.people == 1 and row.tpr == 100 * found.tpr_at(0.5) and np.isnan([row.low, row.high]).all()
