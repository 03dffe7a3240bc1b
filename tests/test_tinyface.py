import importlib.util

import numpy as np
import pytest
from scipy.io import loadmat
from scipy.spatial.distance import cdist

from rifr.evaluation.metrics import average_precision, interval
from rifr.evaluation.protocols import tinyface
from rifr.evaluation.protocols.tinyface import evaluate


def literally(probes, probe_ids, gallery, gallery_ids, metric="euclidean"):
    """The official way: the full distance matrix, sorted. Best ranks, and both average precisions, of each probe."""
    distances = cdist(np.float64(probes), np.float64(gallery), metric)
    best, trapezoid, step = [], [], []
    for row, identity in zip(distances, probe_ids):
        found = gallery_ids[np.argsort(row, kind="stable")] == identity
        area, hits, old_recall, old_precision = 0.0, 0, 0.0, 1.0
        for rank, hit in enumerate(found, start=1):
            hits += hit
            recall, precision = hits / found.sum(), hits / rank
            area += (recall - old_recall) * (old_precision + precision) / 2
            old_recall, old_precision = recall, precision
        best.append(np.flatnonzero(found)[0] + 1)
        trapezoid.append(area)
        step.append(np.mean([found[: i + 1].mean() for i in np.flatnonzero(found)]))
    return np.array(best), np.array(trapezoid), np.array(step)


def faces(seed=0, dtype=np.float64, probes=40, mates=30, distractors=200, noise=1.2):
    """Several probes and mates a person, the mates scattered among the distractors, features of differing lengths."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((11, 12))
    gallery_ids = np.concatenate([np.arange(11), rng.integers(0, 11, mates - 11), np.full(distractors, -100)])
    rng.shuffle(gallery_ids)
    gallery = np.vstack([centres, np.zeros(12)])[np.where(gallery_ids < 0, 11, gallery_ids)]
    gallery = gallery + noise * rng.standard_normal(gallery.shape)
    probe_ids = rng.integers(0, 11, probes)
    queries = centres[probe_ids] + noise * rng.standard_normal((probes, 12))
    lengths = rng.uniform(0.7, 1.4, (mates + distractors, 1))
    return queries.astype(dtype), probe_ids, (gallery * lengths).astype(dtype), gallery_ids


def assert_literal(sets, metric="euclidean", found=None):
    found = evaluate(*sets, metric=metric) if found is None else found
    best, trapezoid, step = literally(*sets, metric=metric)
    assert np.array_equal(found.best_ranks, best)
    assert found.average_precisions() == pytest.approx(trapezoid)
    assert found.average_precisions("step") == pytest.approx(step)
    assert found.mean_ap == pytest.approx(trapezoid.mean()) and found.mean_ap_step == pytest.approx(step.mean())
    assert found.cmc([1, 5, 20]) == pytest.approx([np.mean(best <= rank) for rank in (1, 5, 20)])
    assert found.rank(5) == np.mean(best <= 5)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_rank_and_average_precision_is_that_of_the_sorted_matrix(metric, dtype, seed):
    assert_literal(faces(seed, dtype), metric)


def test_the_two_metrics_differ_unless_the_features_have_length_one():
    probes, probe_ids, gallery, gallery_ids = faces()
    one, other = (evaluate(probes, probe_ids, gallery, gallery_ids, metric) for metric in ("euclidean", "cosine"))
    assert not np.array_equal(one.mate_ranks, other.mate_ranks)
    unit = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    same = evaluate(probes, probe_ids, unit, gallery_ids)  # the length of a probe changes no order
    assert np.array_equal(same.mate_ranks, other.mate_ranks)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_at_equal_distance_the_gallerys_order_stays(dtype):
    # Whole numbers: products and squares are exact, and many distances are equal.
    rng = np.random.default_rng(3)
    gallery_ids = rng.permutation(np.r_[np.arange(8).repeat(5), np.full(100, -100)])
    sets = (
        rng.integers(-1, 2, (30, 4)).astype(dtype),
        rng.integers(0, 8, 30),
        rng.integers(-1, 2, (140, 4)).astype(dtype),
        gallery_ids,
    )
    assert_literal(sets, found=evaluate(*sets, ties="gallery"))
    signs = tuple(rng.choice([-1, 1], (n, 4)).astype(dtype) for n in (30, 140))
    assert np.array_equal(
        evaluate(signs[0], sets[1], signs[1], gallery_ids, "cosine", "gallery").mate_ranks,
        evaluate(signs[0], sets[1], signs[1], gallery_ids, ties="gallery").mate_ranks,
    )


def test_average_precision_is_scikit_learns_where_it_is_installed():
    if importlib.util.find_spec("sklearn") is None:
        pytest.skip("needs scikit-learn, which the project itself does not")
    from sklearn.metrics import average_precision_score

    probes, probe_ids, gallery, gallery_ids = faces()
    expected = [average_precision_score(gallery_ids == i, -row) for i, row in zip(probe_ids, cdist(probes, gallery))]
    assert evaluate(probes, probe_ids, gallery, gallery_ids).average_precisions("step") == pytest.approx(expected)


def test_all_mates_ahead_of_all_distractors_is_perfect():
    gallery = np.array([[9.0, 9], [0, 1], [8, 8], [0, 2]])
    found = evaluate(np.zeros((1, 2)), [5], gallery, [-100, 5, -100, 5])
    assert found.mate_ranks.tolist() == [1, 2] and found.mean_ap == found.mean_ap_step == found.rank(1) == 1
    assert (found.gallery, found.distractors) == (4, 2)
    found = evaluate(np.zeros((1, 2)), [5], gallery, [5, -100, 5, -100])
    assert found.mate_ranks.tolist() == [3, 4] and found.rank(2) == 0 and found.rank(3) == 1
    assert found.mean_ap == average_precision(np.array([False, False, True, True]))


def test_the_blocks_do_not_show(monkeypatch):
    sets = faces(dtype=np.float32)
    whole = evaluate(*sets).mate_ranks
    monkeypatch.setattr(tinyface, "MAX_SCORE_BYTES", 7 * 230 * 8)
    monkeypatch.setattr(tinyface, "COLUMNS", 32)
    assert np.array_equal(evaluate(*sets).mate_ranks, whole)
    monkeypatch.setattr(tinyface, "MAX_SCORE_BYTES", 1)
    assert np.array_equal(evaluate(*sets).mate_ranks, whole)


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.uint64, np.int32])
def test_ids_may_be_integers_of_any_kind(kind):
    probes, probe_ids, gallery, gallery_ids = faces()
    whole = evaluate(probes, probe_ids, gallery, gallery_ids).mate_ranks
    gallery_kind = kind if np.issubdtype(kind, np.signedinteger) else np.int16
    found = evaluate(probes, probe_ids.astype(kind), gallery, gallery_ids.astype(gallery_kind))
    assert np.array_equal(found.mate_ranks, whole)


def test_a_half_precision_gallery_on_disk_is_streamed_and_left_as_it_is(tmp_path):
    probes, probe_ids, gallery, gallery_ids = faces(dtype=np.float32)
    np.save(tmp_path / "g.npy", gallery.astype(np.float16))
    half = np.load(tmp_path / "g.npy", mmap_mode="r")
    for metric in ("euclidean", "cosine"):
        assert_literal(
            (probes, probe_ids, np.array(half), gallery_ids),
            metric,
            evaluate(probes, probe_ids, half, gallery_ids, metric),
        )
        before = gallery.copy()
        evaluate(probes, probe_ids, gallery, gallery_ids, metric)
        assert np.array_equal(gallery, before)


def test_the_interval_draws_the_probes_people():
    sets = faces(probes=200)
    found = evaluate(*sets)
    hits = [np.sum(found.best_ranks[sets[1] == person] <= 3) for person in np.unique(sets[1])]
    trials = [np.sum(sets[1] == person) for person in np.unique(sets[1])]
    assert found.interval(rank=3, seed=4) == interval(hits, trials, seed=4)
    assert found.difference(found, rank=3).estimate == 0
    with pytest.raises(ValueError, match="same probes"):
        found.difference(evaluate(*faces(probes=40)))


def test_the_published_lists_give_every_probe_a_mate(real_data):
    lists = real_data / "tinyface_lists"
    gallery_ids = loadmat(lists / "gallery_match_img_ID_pairs.mat")["gallery_ids"].ravel()
    probe_ids = loadmat(lists / "probe_img_ID_pairs.mat")["probe_ids"].ravel()
    rng = np.random.default_rng(0)
    probes, gallery = (rng.standard_normal((len(ids), 4), np.float32) for ids in (probe_ids, gallery_ids))
    found = evaluate(probes, probe_ids, gallery, gallery_ids)
    assert (len(found.best_ranks), found.gallery, found.distractors) == (3728, 4443, 0)
    assert len(found.mate_ranks) == sum(np.sum(gallery_ids == identity) for identity in probe_ids)


def test_what_does_not_fit_is_refused():
    probes, probe_ids, gallery, gallery_ids = faces()
    with pytest.raises(ValueError, match="gallery"):
        evaluate(probes, probe_ids, gallery[:, 1:], gallery_ids)
    with pytest.raises(ValueError, match="probe_ids"):
        evaluate(probes, probe_ids[1:], gallery, gallery_ids)
    with pytest.raises(ValueError, match="gallery_ids"):
        evaluate(probes, probe_ids, gallery, gallery_ids.astype(float))
    with pytest.raises(ValueError, match="metric"):
        evaluate(probes, probe_ids, gallery, gallery_ids, metric="dot")
    with pytest.raises(ValueError, match="nothing to rank"):
        evaluate(probes[:0], probe_ids[:0], gallery, gallery_ids)
    with pytest.raises(ValueError, match="-100"):
        evaluate(probes, np.full(40, -100), gallery, gallery_ids)
    lonely = probe_ids.copy()
    lonely[[4, 9]] = 77
    with pytest.raises(ValueError, match=r"4 \(id 77\), 9 \(id 77\);"):
        evaluate(probes, lonely, gallery, gallery_ids)
    gallery[6] = 0
    evaluate(probes, probe_ids, gallery, gallery_ids)  # a distance to zero is a distance
    with pytest.raises(ValueError, match=r"gallery .* rows 6;"):
        evaluate(probes, probe_ids, gallery, gallery_ids, metric="cosine")
    probes[3, 0] = np.inf
    with pytest.raises(ValueError, match=r"probes .* rows 3;"):
        evaluate(probes, probe_ids, gallery, gallery_ids)


@pytest.mark.parametrize("ties", ["miss", "gallery"])
def test_features_far_from_the_origin_are_ranked_as_by_double_precision_distances(ties):
    # Norms of 50, distances of a hundredth: a product in single precision is off by more than they differ.
    rng = np.random.default_rng(11)
    centre = 50 * np.ones(64) / 8
    gallery_ids = rng.permutation(np.r_[np.arange(30), np.full(300, -100)])
    gallery = (centre + 1e-3 * rng.standard_normal((330, 64))).astype(np.float32)
    probes = (centre + 1e-3 * rng.standard_normal((40, 64))).astype(np.float32)
    probe_ids = rng.integers(0, 30, 40)
    distances = cdist(np.float64(probes), np.float64(gallery))
    mates = np.argsort(gallery_ids, kind="stable")[300:][probe_ids]
    ranks = 1 + (distances < distances[np.arange(40), mates][:, None]).sum(axis=1)
    assert np.array_equal(evaluate(probes, probe_ids, gallery, gallery_ids, ties=ties).best_ranks, ranks)
