"""Tables against the protocols called by hand, on runs trained in a second."""

import numpy as np
import pytest

from rifr import degrade, presets
from rifr.evaluation import evaluate, geometry
from rifr.evaluation.protocols import identification, open_set, verification
from rifr.splits import FaceSplits
from rifr.training import trainer
from tests.helpers import TINY, easy_faces


@pytest.fixture
def trained(tmp_path, store_folder):
    faces = FaceSplits(
        easy_faces(tmp_path / "train"),
        easy_faces(tmp_path / "probes", 5, 4, seed=1),
        easy_faces(tmp_path / "distractors", 12, 1, seed=2),
    )
    plan = presets.get(TINY, widths=(112, 16), epochs=1)
    return faces, plan, evaluate.fit_all(["hr-only", "lr-only"], plan, 0, faces, progress=False)


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
    np.testing.assert_allclose(one.rate, 100 * outcome.found["P1", "hr-only", 16].cmc([1, 2, 3]))
    assert (one.low <= one.rate).all() and (one.rate <= one.high).all()


def test_verification_is_the_protocol_at_each_width_and_flags_what_the_pairs_cannot_resolve(trained):
    faces, plan, runs = trained
    outcome = evaluate.verify(runs, faces, plan, progress=False)
    table = outcome.table(fprs=(0.05, 1e-6))
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
    table = evaluate.watch(runs, faces, plan, progress=False).table(fpirs=(0.25, 0.01))
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
    monkeypatch.setattr(evaluate.embed, "embed", None)
    np.testing.assert_array_equal(evaluate.features(runs["hr-only"], faces.probes, 16, progress=False), first)


def test_angles_are_means_over_people(trained):
    faces, plan, runs = trained
    table = evaluate.angles(runs, faces, plan, progress=False)
    high, low = (evaluate.features(runs["hr-only"], faces.probes, width, progress=False) for width in (112, 16))
    row = table[(table.network == "hr-only") & (table.width == 16) & (table.kind == "same photo")].iloc[0]
    expected = geometry.by_person(geometry.same_image(high, low), faces.probes.identities).mean()
    assert row.angle == pytest.approx(expected) and row.low <= row.angle <= row.high
    assert (table[(table.width == 112) & (table.kind == "same photo")].angle < 0.1).all()
    toward = evaluate.angles_to_teacher(runs, runs["hr-only"], faces, plan, progress=False)
    assert toward[(toward.network == "hr-only") & (toward.width == 112)].angle.item() < 0.1


def test_the_teachers_softmax_is_summarised(trained):
    faces, _, runs = trained
    found = evaluate.teacher_entropy(runs["hr-only"], faces.train)
    assert 0 < found["right"] <= 1 and 0 < found["entropy"] < found["most"] == pytest.approx(np.log(6))
    assert trainer.run_key(runs["hr-only"].recipe, TINY.training, 0, faces.train, None) != runs["hr-only"].key
