import numpy as np
import pytest

from rifr.evaluation.protocols import identification
from rifr.evaluation.protocols.identification import evaluate


def by_definition(probes, gallery, identities, distractors, rank):
    """Hits and trials of each person, trial by trial, as the protocol is worded."""

    def cosine(a, b):
        return a @ b / (np.sqrt(a @ a) * np.sqrt(b @ b))

    counts = {}
    for i, person in enumerate(identities):
        scores = sorted((cosine(probes[i], d) for d in distractors), reverse=True)
        for j, other in enumerate(identities):
            if other == person and j != i:
                hit = len(scores) < rank or cosine(probes[i], gallery[j]) >= scores[rank - 1]
                hits, trials = counts.get(person, (0, 0))
                counts[person] = (hits + hit, trials + 1)
    people = sorted(counts)
    return people, np.array([counts[p][0] for p in people]), np.array([counts[p][1] for p in people])


def faces(seed=0, noise=1.2, dtype=np.float64):
    rng = np.random.default_rng(seed)
    identities = np.array([3] * 5 + [1] * 2 + [7] + [2] * 4 + [9])
    centres = rng.standard_normal((10, 16))
    probes, gallery = (centres[identities] + noise * rng.standard_normal((len(identities), 16)) for _ in range(2))
    return probes.astype(dtype), gallery.astype(dtype), identities, rng.standard_normal((230, 16)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("same_width", [True, False])
def test_every_rank_equals_the_loop_over_trials(same_width, dtype):
    probes, gallery, identities, distractors = faces(dtype=dtype)
    gallery = probes if same_width else gallery
    found = evaluate(probes, gallery, identities, distractors, ranks=240)
    for rank in (1, 2, 3, 10, 50, 230, 231, 240):
        people, hits, trials = by_definition(probes, gallery, identities, distractors, rank)
        assert found.people.tolist() == people
        assert np.array_equal(found.hits_at[:, rank - 1], hits)
        assert np.array_equal(found.trials_per_person, trials)
        assert found.cmc(rank) == pytest.approx(hits.sum() / trials.sum())
        assert found.cmc(rank, average="macro") == pytest.approx(np.mean(hits / trials))
    assert 0 < found.rank1 < 1
    assert found.rank1 == found.cmc(1) and found.rank1_macro == found.cmc(1, "macro")
    assert found.trials == 5 * 4 + 2 + 4 * 3
    assert found.single_photo == 2 and found.distractors == 230


def test_hits_by_probe_are_the_loop_over_one_photos_trials():
    probes, gallery, identities, distractors = faces()
    found = evaluate(probes, gallery, identities, distractors)
    unit = [array / np.linalg.norm(array, axis=1, keepdims=True) for array in (probes, gallery, distractors)]
    for i, person in enumerate(identities):
        others = [j for j in np.flatnonzero(identities == person) if j != i]
        hits = sum(unit[0][i] @ unit[1][j] >= max(unit[2] @ unit[0][i]) for j in others)
        assert (found.hits_by_probe[i], found.trials_by_probe[i]) == (hits, len(others))
    assert found.hits_by_probe.sum() == found.hits.sum() > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("numbers, distractors", [(3, 5), (128, 700), (513, 4100)])
def test_a_network_that_tells_nobody_apart_finds_nobody_however_its_products_are_rounded(numbers, distractors, dtype):
    one = np.random.default_rng(numbers).standard_normal(numbers).astype(dtype)
    same = np.tile(one, (distractors, 1))
    outcome = evaluate(same[:5], same[:5], np.array([0, 0, 1, 1, 1]), same, ranks=5)
    assert outcome.cmc([1, 5]).tolist() == [0, 0]


def test_equal_scores_are_hits_where_the_public_evaluators_are_asked_for():
    # Signs in 16 dimensions: all norms are 4 and all cosines exact, so that equal scores are equal.
    rng = np.random.default_rng(1)
    identities = np.repeat([0, 1, 2], 6)
    probes = rng.choice([-1.0, 1.0], (18, 16))
    distractors = rng.choice([-1.0, 1.0], (40, 16))
    for dtype in (np.float32, np.float64):
        found = evaluate(
            probes.astype(dtype), probes.astype(dtype), identities, distractors.astype(dtype), ranks=30, ties="hit"
        )
        for rank in range(1, 31):
            assert np.array_equal(
                found.hits_at[:, rank - 1], by_definition(probes, probes, identities, distractors, rank)[1]
            )


def test_the_blocks_do_not_show(monkeypatch):
    probes, gallery, identities, distractors = faces()
    whole = {ranks: evaluate(probes, gallery, identities, distractors, ranks=ranks).hits_at for ranks in (1, 7, 300)}
    monkeypatch.setattr(identification, "ROWS", 3)
    monkeypatch.setattr(identification, "COLUMNS", 64)
    for ranks, hits in whole.items():
        assert np.array_equal(evaluate(probes, gallery, identities, distractors, ranks=ranks).hits_at, hits)


def test_counting_fewer_ranks_gives_the_same_first_ranks():
    sets = faces()
    assert np.array_equal(evaluate(*sets, ranks=1).hits_at, evaluate(*sets, ranks=50).hits_at[:, :1])


def test_the_order_of_rows_changes_nothing():
    probes, gallery, identities, distractors = faces()
    rng = np.random.default_rng(5)
    order = rng.permutation(len(probes))
    shuffled = evaluate(probes[order], gallery[order], identities[order], rng.permutation(distractors))
    assert np.array_equal(shuffled.hits_at, evaluate(probes, gallery, identities, distractors).hits_at)


def test_identities_may_be_words_and_embeddings_of_any_length():
    probes, gallery, identities, distractors = faces()
    words = np.array([f"person {i}" for i in identities])
    found = evaluate(probes * 5, gallery * np.arange(1, 14)[:, None], words, distractors * 0.01)
    assert found.people.tolist() == ["person 1", "person 2", "person 3"]
    assert np.array_equal(found.hits_at, evaluate(probes, gallery, identities, distractors).hits_at)


def test_without_distractors_every_trial_hits():
    probes, gallery, identities, _ = faces()
    for none in (np.empty((0, 16)), np.empty((0, 0))):
        assert evaluate(probes, gallery, identities, none, ranks=3).cmc([1, 2, 3]).tolist() == [1, 1, 1]


def test_half_precision_distractors_on_disk_are_streamed(tmp_path):
    probes, gallery, identities, distractors = faces(dtype=np.float32)
    np.save(tmp_path / "d.npy", distractors.astype(np.float16))
    half = np.load(tmp_path / "d.npy", mmap_mode="r")
    expected = evaluate(probes, gallery, identities, np.asarray(half, np.float32))
    assert np.array_equal(evaluate(probes, gallery, identities, half).hits_at, expected.hits_at)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_embeddings_without_a_direction_are_named(bad):
    probes, gallery, identities, distractors = faces()
    distractors[[4, 77]] = bad
    with pytest.raises(ValueError, match=r"distractors .* rows 4, 77"):
        evaluate(probes, gallery, identities, distractors)
    probes[2] = bad
    with pytest.raises(ValueError, match=r"probes .* rows 2;"):
        evaluate(probes, gallery, identities, distractors)


def test_what_does_not_fit_is_refused():
    probes, gallery, identities, distractors = faces()
    with pytest.raises(ValueError, match="a row"):
        evaluate(probes, gallery[:-1], identities, distractors)
    with pytest.raises(ValueError, match="an entry"):
        evaluate(probes, gallery, identities[:-1], distractors)
    with pytest.raises(ValueError, match="distractors"):
        evaluate(probes, gallery, identities, distractors[:, 1:])
    with pytest.raises(ValueError, match="nothing to identify"):
        evaluate(probes, gallery, np.arange(len(probes)), distractors)
    with pytest.raises(ValueError, match="from 1, not 0"):
        evaluate(probes, gallery, identities, distractors, ranks=0)
    with pytest.raises(ValueError, match="from 1 to 5 here, not 6"):
        evaluate(probes, gallery, identities, distractors, ranks=5).cmc(6)
