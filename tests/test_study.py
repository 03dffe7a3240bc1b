"""The multi-seed study: made, found again and read; intervals over seeds, and sentences that follow from them."""

import json
import os
import shlex
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rifr import cli, presets, splits
from rifr.evaluation import evaluate
from rifr.faces import faceset
from rifr.report import study, study_tables, text
from rifr.report.show import html_table, tabs
from rifr.report.study_tables import Study
from rifr.training import trainer

TINY = replace(
    presets.get("smoke"),
    name="tiny",
    train_people=6,
    train_images=4,
    probe_people=4,
    probe_images=3,
    distractor_people=100,
    widths=(112, 16),
    tiny_people=3,
    tiny_distractors=6,
    surveillance_people=3,
    resamples=50,
    training=replace(presets.get("smoke").training, epochs=1, batch_size=8),
    landmarks=replace(
        presets.get("smoke").landmarks, people=6, images=2, test_people=2, test_images=1, epochs=1, batch_size=4
    ),
)


@pytest.fixture
def pairs(tmp_path):
    """Five pairs of a kind over four people, in LFW's form."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for person in "ABCD":
        (tmp_path / "faces" / person).mkdir(parents=True)
        for number in (1, 2):
            shot = Image.fromarray(draw.integers(0, 256, (112, 112, 3), np.uint8))
            shot.save(tmp_path / "faces" / person / f"{person}_{number:04d}.png")
    lines = ["10\t1"]
    for fold in range(10):
        lines += [f"{'ABCD'[fold % 4]}\t1\t2", f"{'ABCD'[fold % 4]}\t1\t{'BCDA'[fold % 4]}\t2"]
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    return str(tmp_path / "pairs.txt"), str(tmp_path / "faces")


def test_the_command_in_a_record_makes_that_record(tmp_path, monkeypatch):
    lists = str(tmp_path / "lists" / "pairs.txt"), str(tmp_path / "my faces")
    words = study.command("laptop", [0, 2], ["csri"], ["epochs=16", "widths=[112, 16]"], *lists)
    assert str(tmp_path) not in words
    asked = {}
    monkeypatch.setattr(study, "make", lambda *arguments, **named: asked.update(named, arguments=arguments))
    assert cli.main(shlex.split(words)[3:]) == 0
    assert asked["arguments"][:5] == ("laptop", [0, 2], ["csri"], "pairs.txt", "my faces")
    assert asked["changes"] == ["epochs=16", "widths=[112, 16]"]
    assert study.command("laptop", [0], study.ORDER) == "python -m rifr record --preset laptop --seeds 0"
    monkeypatch.setenv("RIFR_METHODS", os.pathsep.join((str(tmp_path / "mine.py"), "other.py")))
    readers = f"RIFR_METHODS={shlex.quote(os.pathsep.join(('mine.py', 'other.py')))} "
    assert study.command("laptop", [0], study.ORDER) == f"{readers}python -m rifr record --preset laptop --seeds 0"


@pytest.mark.slow
def test_a_record_holds_what_the_library_measures_and_is_found_again(tmp_path, store_folder, pairs, monkeypatch):
    out = tmp_path / "large.json"
    study.make(replace(TINY, resamples=60), [3, 1], ["proposed", "hr-only"], *pairs, out, False, ["resamples=50"])
    record = json.loads(out.read_text())
    rows = pd.DataFrame(record["rows"])
    assert record["provenance"]["networks"] == ["hr-only", "proposed"] and record["provenance"]["seeds"] == [3, 1]
    of_rates = {"rank1", "tpr", "tinyface", "tinyface map", "scface", "pairs"}
    assert set(rows.measure) == of_rates | {"rank1 difference", "rank1 group", "claim"}
    assert record["provenance"]["command"].endswith("--set resamples=50 --pairs pairs.txt --images faces")
    assert set(rows.seed) == {1, 3} and out.stat().st_size < 100_000

    faces = splits.face_splits(TINY, 1, progress=False)
    trained = trainer.fit_all(["hr-only", "proposed"], TINY, 1, faces.train, progress=False)
    outcome = evaluate.identify(trained, faces, TINY, progress=False)
    of_one = rows[rows.seed == 1]
    for told in outcome.table().itertuples():
        (row,) = of_one[
            (of_one.measure == "rank1")
            & (of_one.network == told.network)
            & (of_one["at"] == told.width)
            & (of_one.protocol == told.protocol)
        ].itertuples()
        assert (row.value, row.low, row.high, row.n) == pytest.approx(
            (told.rank1, told.low, told.high, told.trials), abs=1e-3
        )
    (row,) = of_one[
        (of_one.measure == "rank1 difference") & (of_one["at"] == 16) & (of_one.protocol == "P2")
    ].itertuples()
    told = outcome.difference("proposed", "hr-only").query("protocol == 'P2' and width == 16").iloc[0]
    assert (row.network, row.other, row.value) == ("proposed", "hr-only", pytest.approx(told.difference, abs=1e-3))
    last = [
        trainer.fit("proposed", TINY, seed, splits.face_splits(TINY, seed, progress=False).train, False).history[-1]
        for seed in (1, 3)
    ]
    told = record["provenance"]["training_accuracy"]["proposed"]
    assert told == pytest.approx((last[0]["accuracy"] + last[1]["accuracy"]) / 2, abs=1e-4)
    assert record["provenance"]["training_seconds"]["hr-only"] == round(
        sum(
            trainer.find("hr-only", TINY, seed, splits.face_splits(TINY, seed, progress=False).train).record["seconds"]
            for seed in (1, 3)
        )
    )

    monkeypatch.setattr(evaluate, "identify", None)  # whatever would measure again fails
    study.make(TINY, [3, 1], ["proposed", "hr-only"], *pairs, out, progress=False)
    again = json.loads(out.read_text())
    assert again["rows"] == record["rows"]


def test_a_record_is_refused_before_anything_is_trained(tmp_path, store_folder, capsys):
    with pytest.raises(ValueError, match="each once"):
        study.make(TINY, [1, 1])
    with pytest.raises(ValueError, match="belong together"):
        study.make(TINY, [1], pairs="pairs.txt")
    assert cli.main(["record", "--preset", "huge", "--out", str(tmp_path / "large.json")]) == 1
    assert "no preset is called 'huge'" in capsys.readouterr().err
    assert not store_folder.exists() or not list(store_folder.glob("runs/*"))


def recorded(values, seeds=None, **changes):
    """A record of one comparison: `values` (seeds, widths) of proposed minus hr+lr under P1, minus that under P2."""
    values = np.asarray(values, float)
    rows = [
        {
            "seed": seed,
            "measure": "rank1 difference",
            "protocol": protocol,
            "network": "proposed",
            "other": "hr+lr",
            "at": width,
            "value": sign * value,
            "low": sign * value - 9,
            "high": sign * value + 9,
            "n": 10,
        }
        for seed, line in enumerate(values)
        for width, value in zip((112, 16), line, strict=True)
        for protocol, sign in (("P1", 1), ("P2", -1))
    ]
    about = {
        "seeds": list(range(len(values))),
        "preset": {"name": "laptop", "training": {"network": "thin"}},
        "date": "2026",
        "faces": {"probes": 1, "probe_people": 1, "distractors": 1, "train": 1, "train_people": 1},
    }
    return Study(about, pd.DataFrame(rows))


def test_a_record_of_other_rendered_faces_says_so():
    study = recorded([[1.0, 2.0], [2.0, 2.5]])
    assert "of an earlier version" in study_tables.setting(study)
    study.provenance["faces"]["source"] = faceset.SOURCE
    assert "of an earlier version" not in study_tables.setting(study)


def test_two_intervals_decide_only_where_they_do_not_meet():
    study, rates = recorded([[0.0, 0.0]]), {(112, "a"): (90, 88, 91), (112, "b"): (94, 93, 95)}
    rates |= {(16, "a"): (50, 45, 55), (16, "b"): (44, 40, 47)}
    rows = [
        {"seed": 0, "measure": "rank1", "protocol": "P1", "network": name, "other": "", "at": width, "n": 10}
        | dict(zip(("value", "low", "high"), numbers, strict=True))
        for (width, name), numbers in rates.items()
    ]
    table = replace(study, rows=pd.DataFrame(rows)).apart("a", "b").set_index("width")
    assert table.loc[112, ["difference", "low", "high"]].tolist() == [-4, 88 - 95, 91 - 93]
    assert table.loc[16, ["difference", "low", "high"]].tolist() == [6, 45 - 47, 55 - 40]
    assert text.recognition.of_intervals(None, "a", "b") == ""


def test_two_networks_are_compared_beyond_rank_1_where_their_intervals_part():
    study = recorded([[0.0, 0.0]])
    rates = {
        ("tpr", "P1", "112 px, 0.0001", "a"): (75, 73, 78),
        ("tpr", "P1", "112 px, 0.0001", "b"): (83, 81, 85),
        ("tpr", "P1", "112 px, 0.001", "a"): (90, 89, 91),
        ("tpr", "P1", "112 px, 0.001", "b"): (91, 90, 92),
        ("tpr", "P2", "112 px, 0.0001", "a"): (1, 0, 2),
        ("tpr", "P2", "112 px, 0.0001", "b"): (1, 0, 2),
        ("tinyface", "", "", "a"): (9.6, 6, 13),
        ("tinyface", "", "", "b"): (3, 1, 7),
        ("scface", "", 1, "a"): (45, 40, 51),
        ("scface", "", 1, "b"): (21, 16, 26),
        ("scface", "", 2, "a"): (70, 60, 80),
    }
    rows = [
        {"seed": 0, "measure": measure, "protocol": protocol, "network": name, "other": "", "at": at, "n": 10}
        | dict(zip(("value", "low", "high"), numbers, strict=True))
        for (measure, protocol, at, name), numbers in rates.items()
    ]
    said = text.recognition.beyond_rank1(replace(study, rows=pd.DataFrame(rows)), "a", "b")
    assert said.endswith(
        "overlap: in verification (TPR at an FPR of 0.0001) behind at 112 px, 75.0 against 83.0 %. On TinyFace's "
        "stand-in not told apart, 9.6 against 3.0 %. On SCface's ahead at d1, 45.0 against 21.0 %."
    )
    assert text.recognition.beyond_rank1(replace(study, rows=pd.DataFrame(rows[:1])), "a", "b") == ""
    assert text.recognition.beyond_rank1(None, "a", "b") == ""


def test_the_record_of_resnet_34_is_of_the_networks_that_the_chapter_compares():
    record = study_tables.read("resnet34")
    if record is None:
        pytest.skip("no GPU has recorded anything here")
    assert record.provenance["preset"]["training"]["network"] == "resnet34"
    said = text.recognition.of_intervals(record, "hr+lr", "hr-only")
    rate = record.rank1().query("protocol == 'P1'").set_index(["network", "width"])
    first, second = rate.loc["hr+lr", 112], rate.loc["hr-only", 112]
    behind, ahead = first.high < second.low, first.low > second.high
    assert ("behind at 112" in said or "behind from 112" in said) == behind
    assert ("ahead at 112" in said or "ahead from 112" in said) == ahead
    assert f"HR+LR {100 * record.provenance['training_accuracy']['hr+lr']:.1f} %" in said


VALUES = [[1.0, 2.0], [2.0, 2.5], [1.5, 3.5], [0.5, 2.0]]


def test_an_interval_over_seeds_is_students_and_of_one_seed_its_own():
    table = recorded(VALUES).difference("proposed", "hr+lr").query("protocol == 'P1'").set_index("width")
    for width, seeds in zip((112, 16), np.transpose(VALUES), strict=True):
        expected = stats.ttest_1samp(seeds, 0).confidence_interval(0.95)
        assert table.loc[width, ["difference", "low", "high"]].tolist() == pytest.approx([seeds.mean(), *expected])
    one = recorded(VALUES[:1]).difference("proposed", "hr+lr").iloc[0]
    assert (one.low, one.difference, one.high) == (-8, 1, 10)


def test_what_a_record_has_of_one_seed_among_several_has_no_interval_beside_those_over_seeds():
    record = recorded(VALUES)
    cut = record.rows[(record.rows.seed == 0) | (record.rows["at"] == 112)]  # stopped within the second seed
    table = replace(record, rows=cut).difference("proposed", "hr+lr").set_index(["protocol", "width"])
    large, small = table.loc[("P1", 112)], table.loc[("P1", 16)]
    assert np.isfinite([large.low, large.high]).all() and np.isnan([small.low, small.high]).all()
    assert (small.difference, small.seeds) == (2.0, 1) and text.verdicts.sign(small) == 0
    assert text.verdicts.span(small) == "+2.0 points"
    rates = cut.assign(measure="rank1", value=50.0)
    shown = text.recognition.rank1_table(replace(record, rows=rates).rank1(), "P1")
    assert shown.columns.tolist() == ["face width", "proposed"]  # a row for each width: small ones are seen on a phone
    assert shown.to_numpy().tolist() == [["112 px", "50.0"], ["16 px", "50.0"]]


def test_tables_of_a_record_have_the_order_of_a_builds_whatever_its_own():
    names = ["proposed", "arcface", "lr-only", "hr-only"]
    row = {"seed": 0, "value": 50.0, "low": 49.0, "high": 51.0, "n": 5}
    rows = [
        row | {"network": name, "protocol": protocol} | of
        for name in names
        for protocol in ("P2", "P1")
        for of in ({"measure": "rank1", "at": 16}, {"measure": "tpr", "at": "25 px, 0.001"})
    ]
    record = Study({"seeds": [0], "faces": {"probe_people": 3}}, pd.DataFrame(rows))
    table = study_tables.tpr(record, 25)
    assert table.protocol.tolist() == ["P1"] * 4 + ["P2"] * 4 and "TPR (%) at FPR 0.001" in table
    assert table.network.tolist() == ["HR-only", "LR-only", "proposed", "ArcFace"] * 2
    assert study_tables.tpr(record, 25, ["hr-only", "proposed"]).network.tolist() == ["HR-only", "proposed"] * 2
    assert record.rank1().network.tolist() == ["hr-only", "lr-only", "proposed", "arcface"] * 2
    assert record.rank1(["proposed", "hr-only"]).network.tolist() == ["proposed", "hr-only"] * 2


def test_a_rates_interval_stays_between_nothing_and_all():
    rows = pd.DataFrame(
        [
            {
                "seed": seed,
                "measure": "rank1",
                "protocol": "P1",
                "network": "proposed",
                "at": 16,
                "value": value,
                "low": 0,
                "high": 0,
                "n": 5,
            }
            for seed, value in enumerate((99.0, 100.0))
        ]
    )
    row = Study({"seeds": [0, 1], "faces": {"probe_people": 3}}, rows).rank1().iloc[0]
    assert (row.rank1, row.high, row.people) == (99.5, 100.0, 6) and row.low < 99
    shared = {"seeds": [0, 1], "faces": {"probe_people": 3, "one_test_set": True}}
    assert Study(shared, rows).rank1().iloc[0].people == 3


def test_real_faces_are_spoken_of_as_far_as_they_were_scored():
    assert "No record of it is here" in study_tables.validity(None)
    rows = [
        {
            "seed": seed,
            "measure": "pairs",
            "protocol": "",
            "network": name,
            "at": at,
            "value": value + seed / 10,
            "low": 0,
            "high": 0,
            "n": 6000,
        }
        for seed in range(3)
        for name, at, value in (("hr-only", 112, 75.0), ("proposed", 112, 74.0), ("hr-only", 16, 60.0))
    ]
    record = replace(recorded(VALUES[:3]), rows=pd.DataFrame(rows))
    said = study_tables.validity(record)
    assert "at 112 px HR-only gets 75.1 %" in said and "proposed, the last, 74.1 %" in said
    assert "All of them are above chance" in said
    assert study_tables.pairs(record).iloc[0]["both photos at 16 px"].startswith("60.1 (")
    assert study_tables.elsewhere(record).data == html_table(study_tables.pairs(record)).data  # all that it has
    rows = pd.DataFrame(rows).assign(value=lambda rows: rows.value - 25)
    assert "Not all of them are above chance" in study_tables.validity(replace(record, rows=rows))
    said = study_tables.validity(replace(record, rows=rows[(rows.seed == 0) | (rows.network == "hr-only")]))
    assert "the last, 49.0 %. Whether all of them are above chance, more seeds will tell" in said


def test_tabs_hold_all_contents_and_one_alone_has_none():
    first, second = (html_table(pd.DataFrame({"a": [number]})) for number in (1, 2))
    page = tabs({"This build": first, "Record <5>": second}).data
    assert page.count('type="radio"') == 2 and page.count(" checked") == 1 and page.index("<td>1") < page.index("<td>2")
    assert "Record &lt;5&gt;" in page
    assert tabs({"This build": first}).data == first.data
    assert study_tables.beside(first, None, None).data == first.data
    record = replace(recorded(VALUES), provenance={**recorded(VALUES).provenance, "networks": ["proposed"]})
    assert study_tables.beside(first, record, None, ["proposed", "hr+lr"]).data == first.data
    assert "Record: laptop, 4 seeds" in study_tables.beside(first, record, lambda record: second, ["proposed"]).data


def test_the_books_own_record_is_whole():
    record = study_tables.read()
    if record is None:
        pytest.skip("no study has been recorded here")
    measured = record.rows.groupby(["seed", "network"]).size()
    seeds, networks = record.provenance["seeds"], record.provenance["networks"]
    assert set(measured.index) == {(seed, network) for seed in seeds for network in networks}
    rates = record.rows[~record.rows.measure.str.contains("difference")]
    assert rates.value.between(0, 100).all()
    where = ["seed", "protocol", "at"]
    rate = record.rows[record.rows.measure == "rank1"].set_index([*where, "network"]).value
    for row in record.rows[record.rows.measure == "rank1 difference"].itertuples():
        place = row.seed, row.protocol, row.at
        assert row.value == pytest.approx(rate[(*place, row.network)] - rate[(*place, row.other)], abs=0.01)
