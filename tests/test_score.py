"""Scores against the protocols called by hand, and what they say of how they were made."""

import dataclasses
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from rifr import presets, splits, storage
from rifr.errors import SettingError
from rifr.evaluation import embed, evaluate
from rifr.evaluation import score as scoring
from rifr.evaluation.protocols import _impostors, identification, open_set, pairs, verification
from rifr.evaluation.scorecard import COLUMNS
from rifr.readers import pairs as pair_list
from rifr.report.figures import scores
from rifr.training import trainer
from tests.helpers import easy_faces, onnx_file, photos

PLAN = presets.get("smoke", resamples=50)
WEIGHTS = np.random.default_rng(5).standard_normal((14 * 14 * 3, 6)).astype(np.float32)


def mine(images):
    return (images[:, ::8, ::8].reshape(len(images), -1) / 127.5 - 1) @ WEIGHTS


@pytest.fixture
def folders(tmp_path, store_folder):
    for i in range(4):
        photos(tmp_path / "probes", f"probe{i}", 4)
    for i in range(12):
        photos(tmp_path / "crowd", f"single{i:02d}", 1)
    photos(tmp_path / "crowd", "probe2", 1, seed=1)
    onnx_file(tmp_path / "net.onnx", ["n", 3, 112, 112])
    return tmp_path


def strangers(path):
    """Distractors whose names are not those of easy_faces' probes."""
    crowd = easy_faces(path, 20, 1, seed=2)
    return dataclasses.replace(crowd, identities=np.array([f"other-{i}" for i in range(20)]))


def by_hand(pack, width, network=mine):
    return embed.embed(network, pack.images, width)


def test_the_table_says_why_a_rate_has_no_interval(tmp_path, store_folder, monkeypatch):
    crowd = strangers(tmp_path / "d")
    asked = {"measures": ["roc"], "widths": (112,), "fprs": (0.5,), "preset": PLAN, "progress": False}
    alone = str(scoring.score(mine, easy_faces(tmp_path / "one", 1, 4), crowd, **asked))
    assert "[one person: no interval]" in alone and "too few" not in alone
    for module, name in (
        (verification, "MIN_TOP_SCORES"),
        (verification, "MAX_TOP_SCORES"),
        (_impostors, "MAX_TOP_SCORES"),
    ):
        monkeypatch.setattr(module, name, 40)
    five = str(scoring.score(mine, easy_faces(tmp_path / "five", 5, 4), crowd, **asked))
    assert "[too few scores kept: no interval]" in five and "one person" not in five


def test_each_measure_is_its_protocol(tmp_path, store_folder):
    faces, crowd = easy_faces(tmp_path / "p", 5, 4, seed=1), strangers(tmp_path / "d")
    score = scoring.score(
        mine,
        faces,
        crowd,
        measures=["cmc", "roc"],
        widths=(112, 16),
        ranks=3,
        fprs=(0.01, 1e-9),
        preset=PLAN,
        progress=False,
    )
    low, high, who = by_hand(faces, 16), by_hand(faces, 112), faces.identities
    assert list(score.table.columns) == COLUMNS and score.measures == ["cmc", "roc"]

    def row(measure, at, protocol="P2", width=16):
        table = score.table
        (one,) = table[
            (table.measure == measure)
            & np.isclose(table["at"], at, rtol=1e-9, atol=0)
            & (table.protocol == protocol)
            & (table.width == width)
        ].itertuples()
        return one

    found = identification.evaluate(low, high, who, by_hand(crowd, 112), ranks=3)
    assert row("cmc", 3).value == pytest.approx(100 * found.cmc(3)) and row("cmc", 1).trials == found.trials
    found = verification.evaluate(low, high, who, by_hand(crowd, 112))
    assert row("roc", 0.01).value == pytest.approx(100 * found.tpr_at(0.01))
    assert (row("roc", 0.01).trials, row("roc", 0.01).impostors) == (found.genuine, found.impostor)
    assert np.isnan(row("roc", 1e-9).value) and "too few pairs" in str(score)
    low_gallery = identification.evaluate(low, low, who, by_hand(crowd, 16), ranks=3)
    assert row("cmc", 2, "P1").value == pytest.approx(100 * low_gallery.cmc(2))
    with pytest.raises(ValueError, match=r"'rank1'.*cmc, roc"):
        scores.draw(score, "rank1")


def test_a_high_fpr_has_its_interval_and_beyond_the_kept_scores_its_rate_alone(tmp_path, store_folder, monkeypatch):
    def dim(images):  # sees too little to be always right
        return mine(images)[:, :2]

    monkeypatch.setattr(verification, "MIN_TOP_SCORES", 1)
    faces = easy_faces(tmp_path / "p", 5, 4, seed=1), strangers(tmp_path / "d")
    options = {"measures": ["roc"], "widths": (16,), "fprs": (0.3,), "preset": PLAN, "progress": False}
    found = scoring.score(dim, *faces, **options).table.iloc[0]
    assert 0 < found.low < found.high <= 100 and found.low <= found.value <= found.high
    monkeypatch.setattr(verification, "MAX_TOP_SCORES", 2)
    alone = scoring.score(dim, *faces, **options).table.iloc[0]
    assert alone.value == found.value and np.isnan([alone.low, alone.high]).all()


def test_the_watch_list_is_its_protocol(tmp_path, store_folder):
    faces, crowd = easy_faces(tmp_path / "p", 5, 4, seed=1), strangers(tmp_path / "d")
    score = scoring.score(
        mine, faces, crowd, measures=["open-set"], widths=(16,), fpirs=(0.1, 1e-9), preset=PLAN, progress=False
    )
    table = score.table
    assert table[table["at"] == 1e-9].value.isna().all() and "too few searches" in str(score)
    low, high = by_hand(faces, 16), by_hand(faces, 112)
    for protocol, gallery in (("P1", low), ("P2", high)):
        found = open_set.evaluate(low, gallery, faces.identities, by_hand(crowd, 16))
        row = table[table.protocol == protocol].iloc[0]
        assert row.value == pytest.approx(100 * found.fnir_at(0.1)) and row["at"] == 0.1
        assert (row.trials, row.impostors) == (found.mated, found.unknown)


def test_several_embedders_stand_side_by_side_and_the_table_is_that_of_results(folders):
    score = scoring.score(
        {"mine": mine, "net": folders / "net.onnx"},
        folders / "probes",
        folders / "crowd",
        widths=(112, 16),
        preset=PLAN,
        progress=False,
    )
    found = splits.probe_splits(folders / "probes", folders / "crowd", progress=False)
    pair = found.probes, found.distractors
    expected = evaluate.identify({"mine": mine, "net": embed.Onnx(folders / "net.onnx")}, pair, PLAN, (112, 16), False)
    table = expected.table().rename(columns={"rank1": "value"})
    pd.testing.assert_frame_equal(score.table[table.columns], table, check_dtype=False)
    assert len(score.table) == 8 and set(score.table.impostors) == {12}
    assert score.faces() == (
        "16 probes of 4 people, 12 distractors; No name is in both probes and distractors; "
        "distractors: 1 images left out (people who are probes): probe2"
    )


def test_what_is_left_out_is_counted_and_named_in_print_and_in_the_file(folders):
    (folders / "probes" / "probe0" / "bad.png").write_bytes(b"no image")
    photos(folders / "probes", "lonely", 1)
    photos(folders / "crowd", "often", 3)
    score = scoring.score(mine, folders / "probes", folders / "crowd", widths=(112,), preset=PLAN, progress=False)
    score.save(folders / "found.json")
    entries = json.loads((folders / "found.json").read_text())["provenance"]["left out"]
    left_out = {(entry["split"], entry["images"]): entry["names"] for entry in entries}
    assert left_out["distractors", 2] == ["often"]
    for word in ("probe0/bad.png", "lonely", "often", "probe2"):
        assert word in score.faces() and word in str(entries)
    assert set(score.table.impostors) == {13}, "the first photo of a distractor is taken"


def test_of_a_stored_run_the_file_says_how_and_on_whom_it_was_trained(folders):
    run = trainer.fit("hr-only", "smoke", 0, easy_faces(folders / "known", 8, 8), False)
    found = scoring.score(run, folders / "probes", folders / "crowd", widths=20, preset=PLAN, progress=False)
    made = found.provenance["embedders"]["hr-only"]
    assert made["training"] == run.record["training"] and made["faces"]["people"] == 8 and made["key"] == run.key
    assert set(found.table.width) == {20}, "one width needs no list"


def test_one_protocol_at_ones_own_widths(folders):
    score = scoring.score(
        mine, folders / "probes", folders / "crowd", protocols=["p2"], widths=(30, 30, 20), preset=PLAN, progress=False
    )
    assert set(score.table.protocol) == {"P2"} and score.table.width.tolist() == [30, 20]
    assert "30 px" in str(score) and "P2 mine" in str(score)


def test_the_file_says_what_was_measured_and_with_what(folders):
    net = embed.Onnx(folders / "net.onnx", channels="BGR")
    score = scoring.score(
        [net],
        folders / "probes",
        folders / "crowd",
        widths=(20,),
        measures=("rank1", "roc"),
        fprs=(1e-7,),
        preset=PLAN,
        progress=False,
    )
    score.save(folders / "found.json")
    score.save(folders / "found.csv")
    text = (folders / "found.json").read_text()
    assert str(folders) not in text, "no absolute path"
    found = json.loads(text)
    made = found["provenance"]
    assert made["embedders"]["net"] == {
        "file": "net.onnx",
        "sha256": storage.file_digest(folders / "net.onnx"),
        "layout": "auto",
        "channels": "BGR",
        "mean": 127.5,
        "scale": 127.5,
        "size": None,
    }
    assert made["distractors"]["excluded"] == ["probe2"] and made["probes"]["people"] == 4
    assert made["intervals"]["resamples"] == 50 and {"rifr", "numpy", "torch", "onnxruntime"} <= set(made["versions"])
    assert [row["value"] for row in found["results"]][:2] == score.table.value.tolist()[:2]
    assert [row["value"] for row in found["results"]][2:] == [None, None], "what cannot be resolved has no value"
    pd.testing.assert_frame_equal(pd.read_csv(folders / "found.csv"), score.table, check_dtype=False)


def test_options_of_a_file_make_other_features(folders):
    plain, swapped = (
        scoring.score(
            embed.Onnx(folders / "net.onnx", channels=channels),
            folders / "probes",
            folders / "crowd",
            widths=(112,),
            preset=PLAN,
            progress=False,
        )
        for channels in ("RGB", "BGR")
    )
    stored = sorted((storage.root() / "features").glob("net-112px-*.npy"))
    assert len(stored) == 4 and not np.array_equal(np.load(stored[0]), np.load(stored[1]))
    assert plain.provenance["embedders"] != swapped.provenance["embedders"]


@pytest.fixture
def listed(folders):
    lines = ["2\t3"]
    for fold in range(2):
        lines += [f"probe{fold}\t{i}\t{i + 1}" for i in (1, 2, 3)]
        lines += [f"probe{fold}\t{i}\tprobe{fold + 2}\t{i}" for i in (1, 2, 3)]
    (folders / "pairs.txt").write_text("\n".join(lines) + "\n")
    return folders


def test_pairs_are_scored_at_each_width_with_the_first_photo_alone_degraded_under_p2(listed):
    score = scoring.score(
        mine, pairs=listed / "pairs.txt", images=listed / "probes", widths=(112, 12), preset=PLAN, progress=False
    )
    read = pair_list.read(listed / "pairs.txt", listed / "probes")
    high, low = by_hand(read.photos, 112), by_hand(read.photos, 12)
    for protocol, second in (("P1", low), ("P2", high)):
        expected = pairs.evaluate(low[read.first], second[read.second], read.same, read.folds)
        row = score.table[(score.table.protocol == protocol) & (score.table.width == 12)].iloc[0]
        assert (row.value, row["std"]) == pytest.approx((100 * expected.accuracy, 100 * expected.std))
        assert row.low <= row.value <= row.high and row.trials == 12 and row.measure == "pairs"
    assert score.faces() == "12 pairs of 14 photos in 2 folds" and "accuracy on pairs" in str(score)


def test_pairs_whose_photo_is_missing_are_left_out_and_named_when_asked(listed):
    (listed / "probes" / "probe0" / "probe0_0001.png").unlink()
    given = {"pairs": listed / "pairs.txt", "images": listed / "probes", "widths": (112,), "preset": PLAN}
    with pytest.raises(OSError, match="missing"):
        scoring.score(mine, **given, progress=False)
    score = scoring.score(mine, **given, on_missing="leave out", folds=5, progress=False)
    assert set(score.table.trials) == {10} and len(score.provenance["pairs"]["left out"]) == 2
    assert score.provenance["pairs"]["folds"] == 5 and "2 pairs left out" in score.faces()
    for folds, balanced in ((1, True), (2, False)):
        score = scoring.score(mine, **given, on_missing="leave out", folds=folds, progress=False)
        assert score.provenance["pairs"]["balanced"] is balanced
        assert ("divide each kind of pair by itself" in score.faces()) is balanced


def test_pairs_that_remain_keep_the_folds_of_their_list(listed):
    given = {"pairs": listed / "pairs.txt", "images": listed / "probes", "widths": (112,), "preset": PLAN}
    for number in (1, 2):  # of the first fold two pairs of six are left, one of each kind
        (listed / "probes" / "probe0" / f"probe0_{number:04d}.png").unlink()
    score = scoring.score(mine, **given, on_missing="leave out", progress=False)
    read = pair_list.read(listed / "pairs.txt", listed / "probes", "leave out")
    features = by_hand(read.photos, 112)
    expected = pairs.evaluate(features[read.first], features[read.second], read.same, np.array([0, 0, *[1] * 6]))
    assert set(score.table.trials) == {8} and score.provenance["pairs"]["folds"] == 2
    assert set(score.table.value) == {100 * expected.accuracy} and set(score.table["std"]) == {100 * expected.std}
    for number in (3, 4):
        (listed / "probes" / "probe0" / f"probe0_{number:04d}.png").unlink()
    with pytest.raises(SettingError, match="at least two folds"):
        scoring.score(mine, **given, on_missing="leave out", progress=False)


def test_figures_are_written_one_a_measure(folders):
    score = scoring.score(
        mine,
        folders / "probes",
        folders / "crowd",
        measures=("rank1", "cmc", "roc"),
        widths=(112, 16),
        ranks=5,
        fprs=(0.01,),
        preset=PLAN,
        progress=False,
    )
    written = scores.save(score, folders / "drawn.png")
    assert [path.name for path in written] == ["drawn-rank1.png", "drawn-cmc.png", "drawn-roc.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    assert [axes.get_title() for axes in scores.draw(score, "rank1").axes] == ["P1: LR-LR", "P2: LR-HR"]
    (axes,) = scores.draw(score, "roc", protocol="P2", width=112).axes
    assert axes.get_title() == "P2: LR-HR, 112 px"
    curve = verification.evaluate(*[score_side(folders, 112)[i] for i in (0, 0, 1, 2)])
    assert np.allclose(score.curves["P2", "mine", 112].tpr, curve.tpr)
    plt.close("all")


def test_a_figure_of_what_has_none_is_refused(listed):
    given = {"widths": (112,), "preset": PLAN, "progress": False}
    watch = scoring.score(mine, listed / "probes", listed / "crowd", measures=["open-set"], **given)
    pairs_alone = scoring.score(mine, pairs=listed / "pairs.txt", images=listed / "probes", **given)
    for score, name in ((watch, "open-set"), (pairs_alone, "pairs")):
        with pytest.raises(SettingError, match=f"no figure of {name}: measure one of rank1, cmc, roc"):
            scores.save(score, listed / "drawn.png")
    assert not (listed / "drawn.png").exists()


def score_side(folders, width):
    found = splits.probe_splits(folders / "probes", folders / "crowd", progress=False)
    probes, crowd = found.probes, found.distractors
    return by_hand(probes, width), probes.identities, by_hand(crowd, width)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"protocols": ["p3"]}, "no protocol is called 'p3': choose of P1, P2"),
        ({"measures": ["auc"]}, "no measure is called 'auc': choose of rank1, cmc, roc, open-set"),
        ({"measures": []}, "no measure was chosen"),
        ({"widths": (400,)}, "4 to 112"),
        ({"fprs": (0,)}, "a FPR is a share above 0"),
        ({"ranks": 0}, "ranks is a whole number from 1"),
        ({"distractors": ""}, "belong together"),
        ({"probes": "", "distractors": ""}, "nothing to score on"),
        ({"probes": "probes", "distractors": "probes"}, "(?s)nobody is left .* distractors"),
        ({"probes": "empty"}, "empty .*should hold a folder for each person"),
        ({"distractors": "known"}, "(?s)nobody is left .* distractors"),
        ({"probes": "nowhere"}, "nowhere does not exist"),
        ({"embedders": []}, "there is no embedder"),
        ({"embedders": [mine, mine]}, "two embedders are called 'mine'"),
        ({"embedders": "net.pt"}, "can run foreign code"),
        ({"embedders": "flat.onnx"}, "wanted one input"),
        ({"pairs": "pairs.txt"}, "say where they lie"),
        ({"images": "probes", "folds": 5, "on_missing": "leave out"}, "leave out images and folds and on_missing"),
    ],
)
def test_what_does_not_fit_is_said_with_what_to_do(folders, monkeypatch, change, words):
    (folders / "empty").mkdir()
    photos(folders / "known", "probe1", 1)
    onnx_file(folders / "flat.onnx", ["n", 37632])
    monkeypatch.chdir(folders)
    monkeypatch.setattr(embed, "embed", None)  # before anything is embedded
    given = {"embedders": mine, "probes": "probes", "distractors": "crowd"} | change
    with pytest.raises((ValueError, OSError), match=words):
        scoring.score(given.pop("embedders"), given.pop("probes"), given.pop("distractors"), progress=False, **given)


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for folder in ("r50", "r100"):
        (tmp_path / folder).mkdir()
        onnx_file(tmp_path / folder / "model.onnx", ["n", 3, 112, 112])
    assert list(scoring.named([tmp_path / "r50" / "model.onnx", str(tmp_path / "r100" / "model.onnx"), mine])) == [
        "r50/model",
        "r100/model",
        "mine",
    ]


def test_packs_lose_the_distractors_who_are_probes(tmp_path, store_folder):
    faces, crowd = easy_faces(tmp_path / "p", 3, 3), easy_faces(tmp_path / "d", 6, 1, seed=4)
    score = scoring.score(mine, faces, crowd, widths=(112,), preset=PLAN, progress=False)
    assert score.provenance["distractors"]["excluded"] == faces.people and set(score.table.impostors) == {3}


def test_endings_name_what_can_be_written(folders):
    score = scoring.score(mine, folders / "probes", folders / "crowd", widths=(112,), preset=PLAN, progress=False)
    with pytest.raises(ValueError, match=r"one of .json, .csv"):
        score.save(folders / "found.xlsx")
    with pytest.raises(ValueError, match=r"one of .png, .svg, .pdf"):
        scores.save(score, folders / "found.json")
