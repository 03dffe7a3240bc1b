"""Tables against the protocols called by hand, on runs trained in a second."""

import weakref

import numpy as np
import pandas as pd
import pytest

from rifr import degrade, presets, splits
from rifr.errors import SettingError
from rifr.evaluation import embed, evaluate, geometry
from rifr.evaluation.protocols import identification, open_set, verification
from rifr.splits import FaceSplits
from rifr.training import parallel, trainer
from tests.helpers import TINY, easy_faces


@pytest.fixture
def trained(tmp_path, store_folder):
    faces = FaceSplits(
        easy_faces(tmp_path / "train"),
        easy_faces(tmp_path / "probes", 5, 4, seed=1),
        easy_faces(tmp_path / "distractors", 12, 1, seed=2),
    )
    plan = presets.get(TINY, widths=(112, 16), epochs=1)
    return faces, plan, trainer.fit_all(["hr-only", "lr-only"], plan, 0, faces.train, progress=False)


def test_the_table_is_the_protocol_at_each_width(trained):
    faces, plan, runs = trained
    outcome = evaluate.identify(runs, faces, plan, progress=False)
    table = outcome.table()
    assert len(table) == 2 * 2 * 2 and set(table.people) == {5} and set(table.trials) == {5 * 4 * 3}
    embedder = runs["lr-only"].embedder()

    def embedded(pack, width):
        images = degrade.to_width(np.asarray(pack.images), width)
        return embedder(images) + embedder(images[:, :, ::-1])

    low, high, strangers = embedded(faces.probes, 16), embedded(faces.probes, 112), embedded(faces.distractors, 112)
    expected = identification.evaluate(low, high, faces.probes.identities, strangers).rank1
    row = table[(table.protocol == "P2") & (table.network == "lr-only") & (table.width == 16)].iloc[0]
    assert row.rank1 == pytest.approx(100 * expected) and row.low <= row.rank1 <= row.high


def test_differences_are_paired_and_change_sign_with_the_order(trained):
    faces, plan, runs = trained
    outcome = evaluate.identify(runs, faces, plan, progress=False)
    one, other = outcome.difference("hr-only", "lr-only"), outcome.difference("lr-only", "hr-only")
    np.testing.assert_allclose(one.difference, -other.difference)
    table = outcome.table().set_index(["protocol", "width", "network"]).rank1
    for row in one.itertuples():
        key = (row.protocol, row.width)
        assert row.difference == pytest.approx(table[(*key, "hr-only")] - table[(*key, "lr-only")])


def test_the_cmc_is_the_protocols_own_and_begins_at_rank_1(trained):
    faces, plan, runs = trained
    outcome = evaluate.identify(runs, faces, plan, progress=False, ranks=3)
    cmc, table = outcome.cmc(), outcome.table()
    assert len(cmc) == 3 * len(table)
    np.testing.assert_allclose(cmc[cmc["rank"] == 1].rate.to_numpy(), table.rank1.to_numpy())
    one = cmc[(cmc.protocol == "P1") & (cmc.network == "hr-only") & (cmc.width == 16)]
    np.testing.assert_allclose(one.rate, 100 * outcome.results["P1", "hr-only", 16].cmc([1, 2, 3]))
    assert (one.low <= one.rate).all() and (one.rate <= one.high).all()


def test_the_column_rank1_holds_no_other_rank(trained):
    faces, plan, runs = trained
    outcome = evaluate.identify(runs, faces, plan, progress=False, ranks=5)
    for at in ([5], [1, 5], (0.001,)):
        with pytest.raises(SettingError, match="column rank1 holds rank 1"):
            outcome.table(at=at)
    pd.testing.assert_frame_equal(outcome.table(at=[1]), outcome.table())
    one, other = (outcome.results["P1", name, 16] for name in runs)
    row = outcome.difference(*runs, at=5).query("protocol == 'P1' and width == 16").iloc[0]
    assert row.difference == pytest.approx(100 * (one.cmc(5) - other.cmc(5)))


def test_verification_is_the_protocol_at_each_width_and_flags_what_the_pairs_cannot_resolve(trained):
    faces, plan, runs = trained
    outcome = evaluate.verify(runs, faces, plan, progress=False)
    table = outcome.table(at=(0.05, 1e-6))
    assert table[table.fpr == 1e-6][["tpr", "low", "high"]].isna().all(axis=None) and len(table) == 2 * 2 * 2 * 2
    low, high = (evaluate.features(runs["lr-only"], faces.probes, width, progress=False) for width in (16, 112))
    strangers = evaluate.features(runs["lr-only"], faces.distractors, 112, progress=False)
    expected = verification.evaluate(low, high, faces.probes.identities, strangers).tpr_at(0.05)
    row = table[
        (table.protocol == "P2") & (table.network == "lr-only") & (table.width == 16) & (table.fpr == 0.05)
    ].iloc[0]
    assert row.tpr == pytest.approx(100 * expected) and row.low <= row.tpr <= row.high
    assert (row.genuine, row.impostor, row.people) == (5 * 6, 20 * 19 // 2 - 30 + 20 * 12, 5)
    compared = outcome.difference("hr-only", "lr-only", 0.05)
    one = compared[(compared.protocol == "P2") & (compared.width == 16)].iloc[0]
    other = table[
        (table.protocol == "P2") & (table.network == "hr-only") & (table.width == 16) & (table.fpr == 0.05)
    ].iloc[0]
    assert one.difference == pytest.approx(other.tpr - row.tpr) and one.low <= one.difference <= one.high
    curve = outcome.curve("P2", "lr-only", 16)
    assert curve.fpr.iloc[0] == 0 and curve.tpr.iloc[-1] == 1 and curve[curve.fpr <= 0.05].tpr.max() == expected


def test_open_set_searches_have_the_probes_width_on_both_sides(trained):
    faces, plan, runs = trained
    table = evaluate.open_set(runs, faces, plan, progress=False).table(at=(0.25, 0.01))
    assert table[table.fpir == 0.01].fnir.isna().all() and set(table.unknown) == {12} and set(table.mated) == {5 * 3}
    low, high = (evaluate.features(runs["lr-only"], faces.probes, width, progress=False) for width in (16, 112))
    strangers = evaluate.features(runs["lr-only"], faces.distractors, 16, progress=False)
    expected = open_set.evaluate(low, high, faces.probes.identities, strangers).fnir_at(0.25)
    row = table[
        (table.protocol == "P2") & (table.network == "lr-only") & (table.width == 16) & (table.fpir == 0.25)
    ].iloc[0]
    assert row.fnir == pytest.approx(100 * expected) and row.low <= row.fnir <= row.high


def test_features_are_stored_and_not_computed_twice(trained, monkeypatch):
    faces, _, runs = trained
    first = evaluate.features(runs["hr-only"], faces.probes, 16, progress=False)
    monkeypatch.setattr(embed, "embed", None)
    assert isinstance(first, np.memmap)  # on disk until it is used
    np.testing.assert_array_equal(evaluate.features(runs["hr-only"], faces.probes, 16, progress=False), first)


def test_all_that_the_protocols_need_can_be_embedded_before(trained, monkeypatch):
    faces, plan, runs = trained
    monkeypatch.setattr(splits, "face_splits", lambda preset, seed, *roots, progress: faces)
    evaluate.store_features([(name, plan, 0) for name in runs], progress=False)
    monkeypatch.setattr(embed, "embed", None)
    assert len(evaluate.identify(runs, faces, plan, progress=False).table()) == 2 * 2 * 2


@pytest.mark.parametrize("preset, workers", [("smoke", 1), ("mini", None)])
def test_few_faces_are_embedded_in_this_process(preset, workers, monkeypatch):
    asked = []
    monkeypatch.setattr(parallel, "run", lambda calls, workers: asked.append((len(calls), workers)))
    evaluate.store_features([(name, presets.get(preset), 0) for name in ("hr-only", "hr+lr")])
    assert asked == [(2, workers)]


def test_features_of_one_width_at_a_time_are_held(tmp_path, store_folder, monkeypatch):
    faces = easy_faces(tmp_path / "probes", 3, 2), easy_faces(tmp_path / "distractors", 4, 1, seed=2)
    held: list[tuple[int, weakref.ref]] = []
    most: list[set[int]] = []

    def one(embedder, pack, width, *_):
        alive = {other for other, made in held if made() is not None}
        most.append(alive | {width})
        computed = np.random.default_rng([width, len(pack)]).standard_normal((len(pack), 8)).astype(np.float32)
        held.append((width, weakref.ref(computed)))
        return computed

    monkeypatch.setattr(evaluate, "features", one)
    for measure in (evaluate.identify, evaluate.verify, evaluate.open_set):
        measure({"mine": one, "yours": one}, faces, "smoke", (112, 60, 30, 16), False)
    assert max(map(len, most)) == 2 and all(112 in widths for widths in most)


def test_a_network_that_is_not_there_is_named_beside_those_that_are(trained):
    faces, plan, runs = trained
    for outcome in (measure(runs, faces, plan, [16], False) for measure in (evaluate.identify, evaluate.verify)):
        with pytest.raises(SettingError, match=r"'hr_only'.*hr-only, lr-only"):
            outcome.difference("hr_only", "lr-only")
        with pytest.raises(SettingError, match="'mine'"):
            outcome.difference("lr-only", "mine")


def test_one_person_has_rates_and_no_intervals(tmp_path, store_folder):
    def colours(images):
        return images[:, ::28, ::28].reshape(len(images), -1).astype(np.float32)

    faces = easy_faces(tmp_path / "probes", 1, 4), easy_faces(tmp_path / "distractors", 12, 1, seed=2)
    for measure, at, rate in (
        (evaluate.identify, None, "rank1"),
        (evaluate.verify, [0.1], "tpr"),
        (evaluate.open_set, [0.1], "fnir"),
    ):
        table = measure({"mine": colours}, faces, "smoke", (16,), False).table(at)
        assert table[rate].between(0, 100).all() and table[["low", "high"]].isna().all(axis=None)


def test_angles_are_means_over_people(trained):
    faces, plan, runs = trained
    table = evaluate.angles(runs, faces, plan, progress=False)
    high, low = (evaluate.features(runs["hr-only"], faces.probes, width, progress=False) for width in (112, 16))
    row = table[(table.network == "hr-only") & (table.width == 16) & (table.kind == "same photo")].iloc[0]
    expected = geometry.by_person(geometry.same_image(high, low), faces.probes.identities).mean()
    assert row.angle == pytest.approx(expected) and row.low <= row.angle <= row.high
    assert (table[(table.width == 112) & (table.kind == "same photo")].angle < 0.1).all()
    same = evaluate._mean_angle(np.zeros(8), plan)  # one photo twice: an angle of 0, not a rate that nobody reached
    assert (same["low"], same["angle"], same["high"]) == (0, 0, 0)
    one, two = runs.values()
    paired = evaluate.angle_difference(one, two, faces, 16, plan, progress=False)
    both = table[(table.width == 16) & (table.kind == "same photo")].angle
    assert paired.estimate == pytest.approx(both.iloc[0] - both.iloc[1]) and paired.low < paired.estimate < paired.high
    assert evaluate.angle_difference(one, one, faces, 16, plan, progress=False).percent().high == 0
    toward = evaluate.angles_to_teacher(runs, runs["hr-only"], faces, plan, progress=False)
    assert toward[(toward.network == "hr-only") & (toward.width == 112)].angle.item() < 0.1


def test_the_teachers_softmax_is_summarised(trained):
    faces, _, runs = trained
    found = evaluate.teacher_entropy(runs["hr-only"], faces.train)
    assert 0 < found["right"] <= 1 and 0 < found["entropy"] < found["most"] == pytest.approx(np.log(6))
    few, p = evaluate.teacher_entropy(runs["hr-only"], faces.train, photos=5), []
    which = np.linspace(0, len(faces.train) - 1, 5).astype(int)
    for photo in faces.train.images[which]:
        logits = runs["hr-only"].embedder("cpu")(photo[None]) @ runs["hr-only"].softmax().numpy().T
        p.append(np.exp(logits[0]) / np.exp(logits[0]).sum())
    assert few["photos"] == 5 and found["photos"] == len(faces.train)
    assert few["right"] == pytest.approx(
        np.mean([q[label] for q, label in zip(p, faces.train.labels[which])]), abs=1e-5
    )
    assert few["entropy"] == pytest.approx(np.mean([-(q * np.log(q)).sum() for q in p]), abs=1e-5)
    assert trainer.run_key(runs["hr-only"].recipe, TINY.training, 0, faces.train, None) != runs["hr-only"].key
