"""Studies: their table, their records made and found again, and what tables, figures and sentences make of them."""

import json
import os
import shutil
import subprocess
from dataclasses import fields, replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rifr import cli, presets, recipes, splits, storage
from rifr.errors import SettingError
from rifr.evaluation import evaluate
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.identification import Identification
from rifr.report import claims, figures, records, studies, studies_record, studies_tables
from rifr.report.studies_plan import LOW, TEACHER, Difference, Study, Variant
from rifr.report.studies_tables import Recorded
from rifr.report.style import NETWORKS
from rifr.training import trainer

STUDY = Study(
    "tiny",
    "A tiny study",
    "Does it help?",
    "It does, if the difference is positive.",
    (Variant("plain", ("hr+lr", TEACHER)), Variant("long teacher", (TEACHER, "proposed"), {"teacher_epochs": 2})),
    (
        Difference("it helps", (("long teacher", "proposed"),), (("plain", "hr+lr"),)),
        Difference(
            "it helps more than a teacher does",
            (("long teacher", "proposed"), ("plain", TEACHER)),
            (("plain", "hr+lr"), ("long teacher", TEACHER)),
        ),
    ),
    minutes=1,
    base="smoke",
    changes={
        "train_people": 6,
        "train_images": 4,
        "probe_people": 4,
        "probe_images": 3,
        "distractor_people": 100,
        "widths": (112, 20, 16),
        "resamples": 50,
        "epochs": 1,
        "batch_size": 8,
    },
)


@pytest.mark.parametrize("plan", studies.STUDIES.values(), ids=studies.STUDIES)
def test_a_study_of_the_table_is_decided_by_networks_that_it_trains_on_the_same_faces(plan):
    of_training = {field.name for field in fields(presets.Training)}
    labels = [variant.label for variant in plan.variants]
    assert len(set(labels)) == len(labels) and plan.question and plan.criterion and 0 < plan.minutes <= 120
    for variant in plan.variants:
        assert set(variant.changes) <= of_training, "other faces for one of the variants"
        presets.get(plan.preset(), variant.changes)
        assert all(name == TEACHER or recipes.get(name) for name in variant.recipes)
    for difference in plan.differences:
        assert len(difference.plus) == len(difference.minus) in (1, 2)
        assert {*difference.plus, *difference.minus} <= set(plan.cells)
    claims = [difference.claim for difference in plan.differences]
    assert len(set(claims)) == len(claims)
    assert set(studies_record.LOW_WIDTHS) <= set(plan.preset().widths) and max(plan.preset().widths) == 112
    assert plan.preset(["train_people=7"]).train_people == 7


def counted(hits_at) -> Identification:
    """A result with these hits of each person, out of six."""
    hits = np.asarray(hits_at)
    people = np.arange(len(hits))
    return Identification(people, np.full(len(hits), 6), hits[:, None], people, people, 0, 9)


def test_a_difference_of_differences_is_resampled_over_people_as_one_number_each():
    draw = np.random.default_rng(0)
    hits = {(name, width): draw.integers(0, 7, 30) for name in "abcd" for width in (25, 16)}
    outcome = Outcome({("P1", name, width): counted(value) for (name, width), value in hits.items()}, 300)
    found = studies_record.contrast(outcome, "P1", ["a", "b"], ["c", "d"], [25, 16])
    each = sum(hits["a", w] + hits["b", w] - hits["c", w] - hits["d", w] for w in (25, 16)) / 2 / 6  # (people,)
    weights = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), size=300)
    ends = np.quantile(weights @ each / 30, [0.025, 0.975])
    assert (found.estimate, found.low, found.high) == pytest.approx((each.mean(), *ends))
    alone = studies_record.contrast(outcome, "P1", ["a"], [], [25])
    told = outcome.table().set_index(["network", "width"]).loc[("a", 25)]
    assert [alone.percent().estimate, alone.percent().low] == pytest.approx([told.rank1, told.low])
    pair = studies_record.contrast(outcome, "P1", ["a"], ["b"], [16]).percent()
    (row,) = outcome.difference("a", "b").query("width == 16").itertuples()
    assert (pair.estimate, pair.low, pair.high) == pytest.approx((row.difference, row.low, row.high))


@pytest.mark.slow
def test_a_record_holds_what_the_library_measures_after_each_seed_and_is_found_again(
    tmp_path, store_folder, monkeypatch
):
    out, written = tmp_path / "study.json", []
    write = records.write
    monkeypatch.setattr(records, "write", lambda path, record: written.append(record) or write(path, record))
    studies_record.make(STUDY, [3, 1], ["distractor_people=90"], out, progress=False)
    record = json.loads(out.read_text())
    assert [each["provenance"]["seeds"] for each in written] == [[3], [3, 1]]
    assert record["provenance"]["study"] == studies_record.about(STUDY)
    assert record["provenance"]["faces"]["distractors"] == 90 and "distractor" in record["provenance"]["command"]
    assert set(record["provenance"]["training_seconds"]) == {
        "plain, hr+lr", "plain, teacher", "long teacher, teacher", "long teacher, proposed"
    }  # fmt: skip
    assert len(list(store_folder.glob("runs/hr-only*/record.json"))) == 4, "two teachers of each seed"

    preset = STUDY.preset(["distractor_people=90"])
    faces = splits.face_splits(preset, 1, progress=False)
    longer = presets.get(preset, teacher_epochs=2)
    trained = {
        "hr+lr": trainer.find("hr+lr", preset, 1, faces.train),
        "proposed": trainer.find("proposed", longer, 1, faces.train),
        "teacher": trainer.find("hr-only", preset, 1, faces.train),
        "long": trainer.find("hr-only", presets.get(preset, epochs=2), 1, faces.train),
    }
    table = evaluate.identify(trained, faces, preset, progress=False).table().set_index(["protocol", "network"])
    rows = pd.DataFrame(record["rows"])
    rows = rows[rows.seed == 1]
    assert set(rows.measure) == {"rank1", "tpr", "accuracy", "right", "entropy", "difference"}

    def rank1(network, protocol="P1"):
        """At 112 px, and the mean of the two small widths."""
        part = table.loc[(protocol, network)].set_index("width").rank1
        return np.array([part[112], (part[20] + part[16]) / 2])

    def told(protocol, **where):
        part = rows[(rows.protocol == protocol) & rows["at"].isin([112, LOW])]
        for column, value in where.items():
            part = part[part[column] == value]
        return part.sort_values("at", key=lambda at: at == LOW).value.to_numpy(float)

    for protocol in ("P1", "P2"):
        found = told(protocol, measure="rank1", variant="long teacher", network="proposed")
        assert found == pytest.approx(rank1("proposed", protocol), abs=1e-3)
    gain = rank1("proposed") - rank1("hr+lr")
    assert told("P1", claim="it helps") == pytest.approx(gain, abs=1e-3)
    of_teacher = rank1("long") - rank1("teacher")
    assert told("P1", claim="it helps more than a teacher does") == pytest.approx(gain - of_teacher, abs=1e-3)
    (entropy,) = rows[(rows.measure == "entropy") & (rows.variant == "long teacher")].value
    assert entropy == pytest.approx(evaluate.teacher_entropy(trained["long"], faces.train)["entropy"], abs=1e-3)

    monkeypatch.setattr(evaluate, "identify", None)  # whatever would measure again fails
    studies_record.make(STUDY, [3, 1], ["distractor_people=90"], out, progress=False)
    assert json.loads(out.read_text())["rows"] == record["rows"]


def test_the_teachers_rows_say_how_many_photos_it_was_asked_about(monkeypatch):
    told = {"right": 0.9, "entropy": 0.4, "most": 1.0, "photos": 1000}
    monkeypatch.setattr(studies_record.trainer, "fit", lambda *arguments, **named: None)
    monkeypatch.setattr(evaluate, "teacher_entropy", lambda *_: told)
    known = SimpleNamespace(history=[{"accuracy": 0.5}])
    faces = SimpleNamespace(train=range(10_000))
    trained = dict.fromkeys(STUDY.cells, known)
    rows = studies_record._training_rows(STUDY, STUDY.preset(), 0, faces, trained)
    assert {(row["measure"], row["n"]) for row in rows} == {("accuracy", 10_000), ("right", 1000), ("entropy", 1000)}


def test_a_study_is_measured_anew_where_the_claims_choose_other_small_widths(monkeypatch):
    pack, sources = SimpleNamespace(checksum=""), []
    faces = SimpleNamespace(train=pack, probes=pack, distractors=pack)
    monkeypatch.setattr(splits, "face_splits", lambda *arguments, **named: faces)
    monkeypatch.setattr(studies_record, "_trained", lambda *arguments: {})
    monkeypatch.setattr(storage, "sources_digest", lambda *modules: sources.extend(modules) or "")
    monkeypatch.setattr(storage, "found_or_made", lambda *arguments: [])
    studies_record.measured(STUDY, STUDY.preset(), 0)
    assert {claims, studies_record} <= set(sources)


def test_a_study_is_refused_before_anything_is_trained(store_folder, capsys):
    with pytest.raises(SettingError, match="teacher, length"):
        studies.get("strength")
    with pytest.raises(SettingError, match="once"):
        studies_record.make(STUDY, [1, 1])
    assert cli.main(["record", "--study", "strength"]) == 1 and "no study" in capsys.readouterr().err
    assert cli.main(["record", "--study", "teacher", "--preset", "smoke"]) == 1
    assert "--preset" in capsys.readouterr().err
    assert cli.main(["record", "--study", "teacher", "--set", "epoch=3"]) == 1 and "epochs" in capsys.readouterr().err
    assert not store_folder.exists()


def test_the_help_of_record_lists_the_studies(capsys):
    with pytest.raises(SystemExit):
        cli.main(["record", "--help"])
    said = capsys.readouterr().out
    assert all(f"  {name}" in said and plan.title in said for name, plan in studies.STUDIES.items())


@pytest.mark.parametrize(
    "words, command",
    [
        ("STUDY=teacher", "rifr record --study teacher"),
        ("STUDY=length SEEDS=4", "rifr record --study length --seeds 4"),
        ("", "rifr record"),
        ("PRESET=rendered SEEDS=0", "rifr record --seeds 0 --preset rendered"),
    ],
)
def test_make_record_makes_the_record_that_is_named(words, command):
    if not shutil.which("make"):
        pytest.skip("there is no make here")
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # not of the make above
    command_line = ["make", "--dry-run", "record", *words.split()]
    done = subprocess.run(command_line, cwd=storage.checkout(), env=alone, capture_output=True, text=True)
    assert done.stdout.replace("\\\n", " ").split()[-len(command.split()) :] == command.split(), done.stderr


CLAIMS = ("more helps", "less helps", "nothing helps")


def recorded(values, low=None) -> Recorded:
    """A record of three claims: `values` (seeds, claims) at 112 px, and minus that for small faces."""
    rows = []
    for seed, line in enumerate(np.asarray(values, float)):
        for at, sign in ((112, 1), (LOW, -1)):
            row = {"seed": seed, "protocol": "P1", "at": at, "n": 10}
            for claim, value in zip(CLAIMS, sign * line, strict=True):
                ends = {"low": value - 9, "high": value + 9}
                rows.append({**row, "measure": "difference", "claim": claim, "value": value, **ends})
            for place, (variant, network) in enumerate((("plain", "hr+lr"), ("long", "teacher"), ("long", "proposed"))):
                rate = 50 + seed + 10 * place + sign
                cell = {"measure": "rank1", "variant": variant, "network": network, "value": rate}
                rows.append({**row, **cell, "low": rate - 1, "high": rate + 1})
        for variant, network in (("plain", "hr+lr"), ("long", "teacher"), ("long", "proposed")):
            cell = {"seed": seed, "protocol": "", "at": "", "variant": variant, "network": network, "n": 10}
            rows.append({**cell, "measure": "accuracy", "value": 90.0 + seed})
        rows.append({**cell, "network": "teacher", "measure": "right", "value": 80.0 + seed})
        rows.append({**cell, "network": "teacher", "measure": "entropy", "value": 0.5})
    rows += [{**row, "protocol": "P2", "value": 0.0} for row in rows if row["protocol"] == "P1"]
    about = {
        "date": "2026-01-01T00:00",
        "command": "python -m rifr record --study tiny",
        "commit": "abc",
        "processor": "one",
        "cores": 2,
        "seeds": list(range(len(values))),
        "study": {"name": "tiny", "title": "Tiny", "question": "Is it?", "criterion": "If so.", "claims": list(CLAIMS)},
        "preset": {"name": "mini", "training": {"network": "thin", "epochs": 4}},
        "training_seconds": {"plain, hr+lr": 3600, "long, proposed": 1800},
        "faces": {"probes": 20, "probe_people": 5, "distractors": 7, "train": 100, "train_people": 10},
    }
    return Recorded(about, pd.DataFrame(rows).astype({"value": float}))


VALUES = [[3.0, -2.0, 1.0], [4.0, -3.0, -1.0], [3.5, -2.5, 0.5]]


def test_differences_have_students_interval_over_seeds_and_of_one_seed_its_own():
    table = recorded(VALUES).differences().set_index(["claim", "at"])
    for claim, seeds in zip(CLAIMS, np.transpose(VALUES), strict=True):
        expected = stats.ttest_1samp(seeds, 0).confidence_interval(0.95)
        row = table.loc[(claim, 112)]
        assert [row.difference, row.low, row.high] == pytest.approx([seeds.mean(), *expected])
    one = recorded(VALUES[:1]).differences().set_index(["claim", "at"]).loc[("more helps", LOW)]
    assert (one.low, one.difference, one.high) == (-12, -3, 6)


def test_each_claim_is_answered_as_its_interval_does_for_large_and_small_faces_apart():
    table = studies_tables.decisions(recorded(VALUES)).set_index("expected")
    assert table["112 px"].str.partition(":")[0].tolist() == ["yes", "no", "undecided"]
    assert table["mean of 25, 20 and 16 px"].str.partition(":")[0].tolist() == ["no", "yes", "undecided"]
    assert table.loc["more helps", "112 px"].startswith("yes: +3.5 (+2.3 to +4.7)")
    said = studies_tables.sentence(recorded(VALUES))
    assert "Of 6 comparisons 4 are decided" in said and "0.3 of 6" in said
    half = np.ptp(stats.ttest_1samp([1, -1, 0.5], 0).confidence_interval(0.95)) / 2
    assert f"an undecided one does not show equality: half of its interval is {half:.1f} points on average" in said
    assert "Of 6 comparisons 0 are decided" in studies_tables.sentence(recorded(VALUES[:1]))


def test_two_records_of_one_network_say_how_far_they_are_apart_where_other_commits_made_them():
    def named(record, title, commit, changes, shift=0.0):
        about = record.provenance
        variants = [{"label": "plain", "recipes": ["hr+lr"], "changes": changes}]
        provenance = about | {"commit": commit, "study": about["study"] | {"title": title, "variants": variants}}
        return Recorded(provenance, record.rows.assign(value=record.rows.value + shift * (record.rows.seed == 1)))

    first = named(recorded(VALUES), "One", "abc", {})
    other = named(recorded(VALUES), "Two", "def", {"temperature": 4.0}, shift=2.5)  # of which HR+LR knows nothing
    said = studies_tables.between_records([first, other])
    assert "up to 2.5 points of rank-1 (HR+LR, 112 px, seed 1: *One* and *Two*)" in said
    assert studies_tables.between_records([first, named(recorded(VALUES), "Two", "abc", {}, shift=2.5)]) == ""
    assert (
        studies_tables.between_records([first, named(recorded(VALUES), "Two", "def", {"epochs": 9}, shift=2.5)]) == ""
    )
    assert studies_tables.between_records([first, recorded(VALUES)]) == studies_tables.between_records([]) == ""


def test_the_tables_and_the_figure_show_each_network_of_each_variant():
    record = recorded(VALUES)
    table = studies_tables.networks(record)
    assert table.variant.tolist() == ["plain", "long", "long"]
    assert table.network.tolist() == ["HR+LR", "HR-only (teacher)", "proposed"]
    assert table["rank-1 (%), 112 px"].iloc[2].startswith("72.0 (")
    assert table["training photos right (%)"].tolist() == ["91.0"] * 3
    assert "81.0 % and 0.50 nats (long)" in studies_tables.teachers(record)
    asked = record.rows[record.rows.measure.isin(["right", "entropy"])]
    both = replace(record, rows=pd.concat([record.rows, asked.assign(variant="plain")]))
    assert studies_tables.teachers(both).count("81.0 %") == 1 and "plain" in studies_tables.teachers(both)
    assert "1.5 hours" in studies_tables.provenance(record) and "3 seeds" in studies_tables.setting(record)

    rank1 = record.rank1().assign(place=lambda table: table["at"].map(studies_tables.place_name))
    figure = figures.studies.by_variant(rank1)
    large = figure.axes[0]
    assert [tick.get_text() for tick in large.get_yticklabels()] == ["plain", "long"]
    marks = {bars.get_label(): bars.lines[0].get_xydata() for bars in large.containers}
    assert marks["proposed"][0, 0] == 72.0 and round(marks["proposed"][0, 1]) == 1
    assert marks["HR+LR"][0, 0] == 52.0 and round(marks["HR+LR"][0, 1]) == 0
    teacher = "HR-only (teacher)"
    assert marks[teacher][0, 1] < marks["proposed"][0, 1], "two networks of a variant stand beside each other"
    (line,) = (bars.lines[0] for bars in large.containers if bars.get_label() == teacher)
    assert line.get_color() == NETWORKS["hr-only"]["color"] != line.get_markerfacecolor()
    plt.close("all")


def test_studies_with_a_record_are_shown_and_of_others_nothing_is(tmp_path, monkeypatch):
    monkeypatch.setenv("RIFR_RECORDS", str(tmp_path))
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    studies_tables.display_all()
    assert shown == [] and studies_tables.read("teacher") is None
    record = recorded(VALUES)
    rows = json.loads(record.rows.to_json(orient="records"))
    records.write(tmp_path / "study_length.json", {"provenance": record.provenance, "rows": rows})
    studies_tables.display_all()
    assert len(shown) == 5 and "Is it?" in shown[0].data and "If so." in shown[0].data
    assert "Rank-1 of each network" in shown[1].caption and "Of 6 comparisons 4" in shown[4].data
    assert shown[4].data.startswith("**What it decides.** *Yes,* at 112 px alone: more helps")


@pytest.mark.parametrize("plan", studies.STUDIES.values(), ids=studies.STUDIES)
def test_a_record_of_the_book_is_whole_and_its_criterion_the_one_of_the_table(plan):
    record = studies_tables.read(plan.name)
    if record is None:
        pytest.skip("this study has not been recorded here")
    assert (records.folder() / f"study_{plan.name}.json").stat().st_size < 1_000_000
    assert record.about == json.loads(json.dumps(studies_record.about(plan)))
    rate = record.rows[record.rows.measure == "rank1"].set_index(["seed", "protocol", "at", "variant", "network"]).value
    measured = set(zip(*(rate.index.get_level_values(name) for name in ("seed", "variant", "network"))))
    assert measured == {(seed, *cell) for seed in record.provenance["seeds"] for cell in plan.cells}
    differences = {difference.claim: difference for difference in plan.differences}
    for row in record.rows[record.rows.measure == "difference"].itertuples():
        plus, minus = (
            sum(rate[(row.seed, row.protocol, row.at, *cell)] for cell in side)
            for side in (differences[row.claim].plus, differences[row.claim].minus)
        )
        assert row.value == pytest.approx(plus - minus, abs=0.01)


def test_a_study_without_a_record_is_listed_with_its_question_and_criterion(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "folder", lambda: tmp_path)
    waiting = studies_tables.without_record()
    assert [*waiting.study] == [*studies.STUDIES] and [*waiting.question] == [
        row.question for row in studies.STUDIES.values()
    ]
    (tmp_path / f"{studies_record.record_name(studies.get('length'))}.json").write_text(
        '{"provenance": {}, "rows": [{"value": 1}]}'
    )
    assert "length" not in [*studies_tables.without_record().study]
