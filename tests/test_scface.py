import numpy as np
import pytest

from rifr.evaluation.metrics import interval
from rifr.evaluation.protocols.scface import evaluate


def literally(probes, probe_ids, gallery, gallery_ids):
    """Ranks probe by probe and person by person."""
    ranks = []
    for probe, own in zip(np.float64(probes), probe_ids):
        best = {}
        for mugshot, person in zip(np.float64(gallery), gallery_ids):
            cosine = probe @ mugshot / (np.linalg.norm(probe) * np.linalg.norm(mugshot))
            best[person] = max(cosine, best.get(person, -2))
        ranks.append(1 + sum(score >= best[own] for person, score in best.items() if person != own))
    return np.array(ranks)


def faces(seed=0, people=20, cameras=5, mugshots=1, noise=1.5, dtype=np.float32):
    """Several probes a person in mixed order, embeddings of differing lengths."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people, 16))
    probe_ids = rng.permutation(np.repeat(np.arange(people), cameras))
    gallery_ids = rng.permutation(np.repeat(np.arange(people), mugshots))
    probes = centres[probe_ids] + noise * rng.standard_normal((len(probe_ids), 16))
    probes *= rng.uniform(0.5, 2, (len(probe_ids), 1))
    gallery = centres[gallery_ids] + noise / 2 * rng.standard_normal((len(gallery_ids), 16))
    gallery *= rng.uniform(0.5, 2, (len(gallery_ids), 1))
    return probes.astype(dtype), probe_ids, gallery.astype(dtype), gallery_ids


@pytest.mark.parametrize("mugshots", [1, 3])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("seed", [0, 1])
def test_ranks_are_those_of_a_plain_loop(seed, dtype, mugshots):
    sets = faces(seed, mugshots=mugshots, dtype=dtype)
    found, ranks = evaluate(*sets), literally(*sets)
    assert np.array_equal(found.best_ranks, ranks)
    assert np.array_equal(found.hits, ranks == 1) and found.hits.dtype == bool
    assert found.rank1 == np.mean(ranks == 1) and 0.2 < found.rank1 < 1
    assert (found.n, found.people, found.gallery_people) == (100, 20, 20)
    assert found.cmc([1, 3, 20]) == pytest.approx([np.mean(ranks <= rank) for rank in (1, 3, 20)])
    assert found.cmc(1) == found.rank1 and found.cmc(20) == 1


def test_ids_may_be_text_or_integers_of_any_kind():
    probes, probe_ids, gallery, gallery_ids = faces()
    expected = evaluate(probes, probe_ids, gallery, gallery_ids).best_ranks
    text = [np.array([f"{i:03d}" for i in ids]) for ids in (probe_ids, gallery_ids)]
    assert np.array_equal(evaluate(probes, text[0], gallery, text[1]).best_ranks, expected)
    mixed = evaluate(probes, probe_ids.astype(np.uint8), gallery, gallery_ids.astype(np.int64))
    assert np.array_equal(mixed.best_ranks, expected)


def test_people_without_probes_are_in_the_gallery_all_the_same():
    probes, probe_ids, gallery, gallery_ids = faces()
    few = probe_ids < 4
    found = evaluate(probes[few], probe_ids[few], gallery, gallery_ids)
    assert (found.n, found.people, found.gallery_people) == (20, 4, 20)
    assert np.array_equal(found.best_ranks, literally(probes, probe_ids, gallery, gallery_ids)[few])


def test_the_best_of_several_mugshots_counts_and_a_person_takes_one_rank():
    angle = np.deg2rad([0, 80, 10, 20, 30])
    gallery = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = evaluate(np.array([[1.0, 0.0]] * 2), ["a", "c"], gallery, ["a", "a", "b", "b", "c"])
    assert found.best_ranks.tolist() == [1, 3]  # "b" is ahead of "c" with two mugshots, as one person


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("probes, people", [(650, 131), (13, 33), (1, 130)])
def test_a_tie_with_a_wrong_person_is_a_miss(dtype, probes, people):
    rng = np.random.default_rng(people)
    gallery = rng.standard_normal((people, 512)).astype(dtype)
    gallery[-1] = gallery[0]  # two people with one mugshot
    shots = gallery[0] + 2 * rng.standard_normal((probes, 512)).astype(dtype)
    found = [evaluate(shots, np.full(probes, own), gallery, np.arange(people)) for own in (0, people - 1)]
    assert np.array_equal(found[0].best_ranks, found[1].best_ranks)
    assert found[0].rank1 == 0 and found[0].cmc(2) > 0.9
    ids = np.r_[np.arange(people - 1), 0]  # one person with it twice
    assert evaluate(shots, np.zeros(probes, int), gallery, ids).rank1 == found[0].cmc(2)


def test_a_network_that_tells_nobody_apart_scores_nothing():
    probes, probe_ids, gallery, gallery_ids = faces()
    found = evaluate(np.ones_like(probes), probe_ids, np.ones_like(gallery), gallery_ids)
    assert found.rank1 == 0 and set(found.best_ranks) == {20}


def test_the_interval_draws_the_probes_people_and_is_paired():
    sets, others = faces(), faces(noise=2.5)
    found = evaluate(*sets)
    other = evaluate(others[0], sets[1], others[2], sets[3])
    people = np.unique(sets[1])
    hits, other_hits = ([np.sum(one.hits[sets[1] == person]) for person in people] for one in (found, other))
    trials = [np.sum(sets[1] == person) for person in people]
    assert found.interval() == interval(hits, trials, resamples=2000, seed=0, level=0.95)
    assert found.interval(resamples=500, seed=3, level=0.8) == interval(hits, trials, resamples=500, seed=3, level=0.8)
    assert found.difference(other) == interval(hits, trials, other_hits)
    assert found.difference(other).estimate == pytest.approx(found.rank1 - other.rank1)
    with pytest.raises(ValueError, match="same probes"):
        found.difference(evaluate(*faces(seed=1)))


def test_what_does_not_fit_is_refused():
    probes, probe_ids, gallery, gallery_ids = faces()
    with pytest.raises(ValueError, match="gallery"):
        evaluate(probes, probe_ids, gallery[:, 1:], gallery_ids)
    with pytest.raises(ValueError, match="probe_ids"):
        evaluate(probes, probe_ids[1:], gallery, gallery_ids)
    with pytest.raises(ValueError, match="gallery_ids"):
        evaluate(probes, probe_ids, gallery, gallery_ids.astype(float))
    with pytest.raises(ValueError, match="both as"):
        evaluate(probes, probe_ids, gallery, gallery_ids.astype(str))
    with pytest.raises(ValueError, match="floating-point"):
        evaluate(probes.astype(int), probe_ids, gallery, gallery_ids)
    with pytest.raises(ValueError, match="nothing to rank"):
        evaluate(probes[:0], probe_ids[:0], gallery, gallery_ids)
    lonely = probe_ids.copy()
    lonely[[4, 9]] = 77
    with pytest.raises(ValueError, match=r"4 \(id 77\), 9 \(id 77\);"):
        evaluate(probes, lonely, gallery, gallery_ids)
    gallery[6] = 0
    with pytest.raises(ValueError, match=r"gallery .* rows 6;"):
        evaluate(probes, probe_ids, gallery, gallery_ids)
    probes[[3, 8], 0] = np.inf, np.nan
    with pytest.raises(ValueError, match=r"probes .* rows 3, 8;"):
        evaluate(probes, probe_ids, gallery, gallery_ids)
