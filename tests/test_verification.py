import numpy as np
import pytest

from rifr.evaluation.protocols import _impostors, verification
from rifr.evaluation.protocols.embeddings import tie_margin
from rifr.evaluation.protocols.verification import evaluate


def all_scores(probes, gallery, identities, distractors, pairs):
    """Every pair's score with its two people, pair by pair as the protocol is worded: distractor d is person -1 - d."""

    def cosine(a, b):
        return a @ b / (np.sqrt(a @ a) * np.sqrt(b @ b))

    found = []
    for i, person in enumerate(identities):
        for j, other in enumerate(identities):
            if i < j or (pairs == "both" and i != j):
                found.append((cosine(probes[i], gallery[j]), person, other))
        found += [(cosine(probes[i], d), person, -1 - k) for k, d in enumerate(distractors)]
    scores, first, second = map(np.array, zip(*found))
    return scores, first, second


def roc_by_sorting(scores, genuine):
    """(points, 2) impostor and genuine pairs accepted at each distinct score, from (0, 0); points on a line dropped."""
    points = [(0, 0)] + [
        (int((scores[~genuine] >= t).sum()), int((scores[genuine] >= t).sum())) for t in np.unique(scores)[::-1]
    ]
    return corners(points)


def corners(points):
    kept = []
    for point in points:
        while len(kept) > 1 and (
            (kept[-1][0] - kept[-2][0]) * (point[1] - kept[-1][1])
            == (kept[-1][1] - kept[-2][1]) * (point[0] - kept[-1][0])
        ):
            kept.pop()
        kept.append(tuple(point))
    return kept


def counted(found):
    points = np.stack([found.fpr * found.impostor, found.tpr * found.genuine], axis=1)
    return corners(np.rint(points).astype(int))


def genuine_behind(scores, genuine, dtype):
    """Genuine scores lowered by the margin within which scores are equal: equal scores count against the network."""
    return scores - np.where(genuine, tie_margin(16, dtype), 0)


def faces(seed=0, noise=1.2, distractors=60, dtype=np.float64):
    rng = np.random.default_rng(seed)
    identities = np.array([3, 1, 3, 3, 7, 2, 2, 3, 1, 2, 9, 3, 2])
    centres = rng.standard_normal((10, 16))
    probes, gallery = (centres[identities] + noise * rng.standard_normal((len(identities), 16)) for _ in range(2))
    return probes.astype(dtype), gallery.astype(dtype), identities, rng.standard_normal((distractors, 16)).astype(dtype)


def signs(seed=1):
    # Signs in 16 dimensions: all norms are 4 and all cosines exact, so that equal scores are equal.
    rng = np.random.default_rng(seed)
    centres = rng.choice([-1.0, 1.0], (4, 16))
    identities = rng.permutation(np.repeat([0, 1, 2, 3], [5, 6, 1, 4]))
    probes, gallery = (centres[identities] * rng.choice([1.0, -1.0], (16, 16), p=[0.7, 0.3]) for _ in range(2))
    return probes, gallery, identities, rng.choice([-1.0, 1.0], (40, 16))


@pytest.mark.parametrize("pairs", ["first", "both"])
@pytest.mark.parametrize("distractors", [60, 1, 0])
@pytest.mark.parametrize("same_width", [True, False])
def test_the_roc_is_that_of_all_scores_sorted(same_width, distractors, pairs):
    probes, gallery, identities, others = faces(distractors=distractors)
    gallery = probes if same_width else gallery
    found = evaluate(probes, gallery, identities, others, pairs=pairs)
    scores, first, second = all_scores(probes, gallery, identities, others, pairs)
    genuine = first == second
    assert (found.genuine, found.impostor) == (genuine.sum(), (~genuine).sum())
    assert counted(found) == (
        roc_by_sorting(scores, genuine)
        if not (same_width and pairs == "both")
        else counted_twice(probes, identities, others)
    )


def counted_twice(probes, identities, others):
    """In P1 a pair scores the same both ways, but for rounding: the ROC of the rounded scores."""
    scores, first, second = all_scores(probes, probes, identities, others, "both")
    return roc_by_sorting(scores.round(9), first == second)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pairs", ["first", "both"])
def test_an_impostor_that_scores_as_high_as_a_genuine_pair_is_accepted_before_it(pairs, dtype):
    for seed in range(5):
        probes, gallery, identities, others = signs(seed)
        found = evaluate(*(array.astype(dtype) for array in (probes, gallery)), identities, others.astype(dtype), pairs)
        scores, first, second = all_scores(probes, gallery, identities, others, pairs)
        assert len(np.unique(scores)) < 18
        assert counted(found) == roc_by_sorting(genuine_behind(scores, first == second, dtype), first == second)


def test_the_roc_is_that_of_scikit_learn():
    curves = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    for sets in (faces(), signs()):
        found = evaluate(*sets)
        scores, first, second = all_scores(*sets, "first")
        behind = genuine_behind(scores, first == second, np.float64)
        fpr, tpr, _ = curves.roc_curve(first == second, behind, drop_intermediate=False)
        points = np.stack([np.rint(fpr * found.impostor), np.rint(tpr * found.genuine)], axis=1).astype(int)
        assert counted(found) == corners(points)


@pytest.mark.parametrize("sets", [faces(noise=1.8), signs()])
def test_tpr_at_is_the_best_of_all_thresholds(sets):
    found = evaluate(*sets)
    scores, first, second = all_scores(*sets, "first")
    genuine = first == second
    wanted = [1 / found.impostor, 0.003, 0.01, 7 / found.impostor, 0.07, 0.29, 0.5, 1.0]
    for fpr in wanted:
        rates = [((scores[~genuine] >= t).mean(), (scores[genuine] >= t).mean()) for t in np.append(scores, np.inf)]
        best = max(accepted for refused, accepted in rates if refused <= fpr)
        assert found.tpr_at(fpr) == pytest.approx(best)
        threshold = found.threshold_at(fpr) - 1e-12
        assert (scores[genuine] >= threshold).mean() == pytest.approx(best)
        assert (scores[~genuine] >= threshold).mean() <= fpr
        own = [(scores[genuine & (first == person)] >= threshold).mean() for person in np.unique(first[genuine])]
        assert found.tpr_macro_at(fpr) == pytest.approx(np.mean(own))
    assert found.tpr_at(wanted).tolist() == [found.tpr_at(fpr) for fpr in wanted]
    assert found.tpr_macro_at([0.01, 0.5]).tolist() == [found.tpr_macro_at(0.01), found.tpr_macro_at(0.5)]
    assert found.tpr_at(1) == 1 and found.fpr[0] == found.tpr[0] == 0 and found.fpr[-1] == found.tpr[-1] == 1


def test_where_every_impostor_beats_every_genuine_pair_nothing_is_accepted():
    probes = np.array([[1.0, 0], [0, 1.0], [1.0, 0.1]])
    found = evaluate(probes, probes, np.array([0, 0, 1]), np.array([[1.0, 1.0]]))
    assert found.tpr_at(0.5) == 0 and found.threshold_at(0.5) == np.inf and found.tpr_macro_at(0.5) == 0
    assert found.tpr_at(1.0) == 1 and found.threshold_at(1.0) == pytest.approx(0)


def test_an_fpr_that_the_pairs_do_not_resolve_is_refused():
    found = evaluate(*faces())
    assert found.impostor == 13 * 12 // 2 - 17 + 13 * 60
    assert found.min_resolvable_fpr == 1 / 841
    found.tpr_at(found.min_resolvable_fpr)
    for ask in (found.tpr_at, found.threshold_at, found.tpr_macro_at, found.interval):
        with pytest.raises(ValueError, match=r"0.00119"):
            ask(0.001)
        for fpr in (0, -0.1, 1.01, np.nan):
            with pytest.raises(ValueError, match="above 0"):
                ask(fpr)


@pytest.mark.parametrize("pairs", ["first", "both"])
def test_the_blocks_and_steps_do_not_show(monkeypatch, pairs):
    for sets in (faces(), signs()):
        whole = evaluate(*sets, pairs=pairs)
        with monkeypatch.context() as patch:
            patch.setattr(_impostors, "ROWS", 3)
            patch.setattr(_impostors, "COLUMNS", 7)
            patch.setattr(_impostors, "MAX_STEPS", 3)
            blocks = evaluate(*sets, pairs=pairs)
        assert counted(blocks) == counted(whole)
        assert blocks.genuine + blocks.impostor == whole.genuine + whole.impostor
        both = [
            sorted(zip(run.top_impostor_scores.round(9), *run.top_impostor_people.tolist())) for run in (whole, blocks)
        ]
        assert both[0] == both[1] and len(both[0]) == whole.impostor


def test_the_tail_holds_the_highest_impostor_scores_with_their_people(monkeypatch):
    sets = faces(distractors=400)
    scores, first, second = all_scores(*sets, "first")
    number = {person: n for n, person in enumerate(np.unique(sets[2]))}
    pairs = sorted(
        (score, tuple(sorted((number[a], number[b] if b >= 0 else 5 - 1 - b))))
        for score, a, b in zip(scores, first, second)
        if a != b
    )
    monkeypatch.setattr(verification, "MIN_TOP_SCORES", 100)
    estimated = evaluate(*sets, interval_fpr=0.02)
    monkeypatch.setattr(_impostors, "MAX_TOP_SCORES", 300)  # compacted when twice as many are held
    monkeypatch.setattr(_impostors, "COLUMNS", 50)
    compacted = evaluate(*sets, interval_fpr=1.0)
    assert (
        0.04 * len(pairs) < len(estimated.top_impostor_scores) < 0.16 * len(pairs)
        and 300 <= len(compacted.top_impostor_scores) <= 600
    )
    for found in (estimated, compacted):
        kept = sorted(zip(found.top_impostor_scores, map(tuple, np.sort(found.top_impostor_people.T).tolist())))
        assert [people for _, people in kept] == [people for _, people in pairs[-len(kept) :]]
        assert [score for score, _ in kept] == pytest.approx([score for score, _ in pairs[-len(kept) :]])
        assert found.tpr_at(0.01) == evaluate(*sets).tpr_at(0.01)


def test_half_precision_distractors_on_disk_are_streamed(tmp_path):
    probes, gallery, identities, distractors = faces(dtype=np.float32)
    np.save(tmp_path / "d.npy", distractors.astype(np.float16))
    half = np.load(tmp_path / "d.npy", mmap_mode="r")
    expected = evaluate(probes, gallery, identities, np.asarray(half, np.float32))
    found = evaluate(probes, gallery, identities, half)
    assert found.genuine_scores.dtype == np.float32
    assert np.array_equal(found.fpr, expected.fpr) and np.array_equal(found.tpr, expected.tpr)


def test_what_does_not_fit_is_refused():
    probes, gallery, identities, distractors = faces()
    for wrong, said in [
        ((probes, gallery[:-1], identities, distractors), "a row"),
        ((probes, gallery, identities[:-1], distractors), "an entry"),
        ((probes, gallery, identities, distractors[:, 1:]), "distractors"),
        ((probes, gallery, np.arange(13), distractors), "no genuine pair"),
        ((probes, gallery, np.zeros(13, int), distractors[:0]), "no impostor pair"),
        ((probes * np.nan, gallery, identities, distractors), "13 embeddings in probes"),
        ((probes, gallery, identities, distractors, "all"), "pairs"),
        ((probes, gallery, identities, distractors, "first", 2), "interval_fpr is an FPR"),
    ]:
        with pytest.raises(ValueError, match=said):
            evaluate(*wrong)


def resampled_tpr(sets, pairs, fpr, people_drawn, distractors_drawn):
    """TPR at `fpr` of an explicit resample: each draw is a new person, never paired with another draw of the same."""
    probes, gallery, identities, distractors = sets
    scores, first, second = all_scores(probes, gallery, identities, distractors, pairs)
    genuine, impostor = [], []
    for x, a in enumerate(people_drawn):
        genuine.append(scores[(first == a) & (second == a)])
        for y, b in enumerate(people_drawn):
            if x != y and a != b and (x < y):
                impostor.append(scores[((first == a) & (second == b)) | ((first == b) & (second == a))])
        impostor += [scores[(first == a) & (second == -1 - d)] for d in distractors_drawn]
    genuine, impostor = np.concatenate(genuine), np.concatenate(impostor)
    thresholds = np.append(genuine, np.inf)
    return max((genuine >= t).mean() for t in thresholds if (impostor >= t).mean() <= fpr)


def without_a_genuine_pair(people):
    """The first seed that draws only people with a single photo: 7 and 9 of the faces, 2 of the signs."""
    single = [7, 9] if 9 in people else [2]
    return next(
        seed
        for seed in range(10**5)
        if np.isin(people[np.random.default_rng(seed).integers(len(people), size=len(people))], single).all()
    )


@pytest.mark.parametrize("pairs", ["first", "both"])
@pytest.mark.parametrize("make", [lambda: faces(noise=1.8, distractors=20), signs])
def test_a_resample_is_the_people_drawn_again_with_a_threshold_of_their_own(make, pairs):
    sets = make()
    found = evaluate(*sets, pairs=pairs)
    people = np.unique(sets[2])
    for seed in [0, 1, 2, 3, without_a_genuine_pair(people)]:
        for fpr in (0.02, 0.1, 1.0):
            rng = np.random.default_rng(seed)
            drawn = people[rng.integers(len(people), size=len(people))]
            far = rng.integers(len(sets[3]), size=len(sets[3]))
            if not np.isin(drawn, [3, 1, 2, 0] if 9 in people else [0, 1, 3]).any():
                with pytest.raises(ValueError, match="none of 1 resamples"):
                    found.interval(fpr, resamples=1, seed=seed)
                continue
            expected = resampled_tpr(sets, pairs, fpr, drawn, far)
            one = found.interval(fpr, resamples=1, seed=seed)
            assert one.low == one.high == pytest.approx(expected)
            assert one.estimate == found.tpr_at(fpr)


def test_the_interval_does_not_depend_on_how_much_is_drawn_at_a_time(monkeypatch):
    probes, gallery, identities, _ = faces(noise=1.8)
    found = evaluate(probes, gallery, identities, np.empty((0, 16)))  # one stream: no distractors are drawn
    whole = found.interval(0.05, resamples=300)
    monkeypatch.setattr(verification, "MAX_WEIGHTS", 35)
    assert found.interval(0.05, resamples=300) == whole
    assert whole.low < whole.estimate < whole.high


def test_the_difference_of_a_network_from_itself_is_nothing_and_from_a_worse_one_is_paired():
    good, bad = evaluate(*faces(noise=0.9)), evaluate(*faces(noise=2.5))
    none = good.difference(good, 0.05)
    assert (none.low, none.estimate, none.high) == (0, 0, 0)
    apart = good.difference(bad, 0.05)
    assert apart.estimate == good.tpr_at(0.05) - bad.tpr_at(0.05)
    assert apart.decided and apart.low <= apart.estimate <= apart.high
    back = bad.difference(good, 0.05)
    assert (back.low, back.high) == pytest.approx((-apart.high, -apart.low))


def test_runs_that_do_not_belong_together_make_no_difference():
    probes, gallery, identities, distractors = faces()
    found = evaluate(probes, gallery, identities, distractors)
    for other in (
        evaluate(probes, gallery, identities, distractors[:-1]),
        evaluate(probes, gallery, identities, distractors, pairs="both"),
        evaluate(probes, gallery, identities[::-1], distractors),
    ):
        with pytest.raises(ValueError, match="same photos"):
            found.difference(other, 0.1)
    with pytest.raises(ValueError, match="at least two, not 1"):
        evaluate(probes, gallery, np.zeros(13, int), distractors).interval(0.1)
    with pytest.raises(ValueError, match="level lies between"):
        found.interval(0.1, level=1)


def test_an_interval_beyond_the_kept_tail_is_refused(monkeypatch):
    monkeypatch.setattr(verification, "MIN_TOP_SCORES", 10)
    found = evaluate(*faces(distractors=400), interval_fpr=0.005)
    with pytest.raises(ValueError, match="evaluate with a higher interval_fpr"):
        found.interval(0.3)


def test_an_interval_that_no_interval_fpr_would_reach_names_how_many_scores_are_kept_at_most(monkeypatch):
    for module, name in (
        (verification, "MIN_TOP_SCORES"),
        (verification, "MAX_TOP_SCORES"),
        (_impostors, "MAX_TOP_SCORES"),
    ):
        monkeypatch.setattr(module, name, 40)
    found = evaluate(*faces(distractors=400), interval_fpr=1)
    with pytest.raises(ValueError, match="no more than about 40 are ever kept: ask for an FPR well below") as refused:
        found.interval(0.5)
    assert f"below {40 / found.impostor:.2g}" in str(refused.value) and "interval_fpr" not in str(refused.value)


def test_the_interval_covers_the_rate_of_a_larger_population():
    rng = np.random.default_rng(3)

    def people(count, photos=4, distractors=200):
        identities = np.repeat(np.arange(count), photos)
        probes = rng.standard_normal((count, 12))[identities] + 0.7 * rng.standard_normal((len(identities), 12))
        return probes, probes, identities, rng.standard_normal((distractors, 12))

    truth = evaluate(*people(900, distractors=1000)).tpr_at(0.01)
    held = [evaluate(*people(40)).interval(0.01, resamples=200, seed=seed) for seed in range(60)]
    assert 0.85 <= np.mean([one.low <= truth <= one.high for one in held]) <= 1
    assert np.mean([one.high - one.low for one in held]) < 0.3
