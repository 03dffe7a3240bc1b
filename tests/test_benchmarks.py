"""The rivals of the benchmarks give the library's answers, and the page of speeds says what the record holds."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rifr import machine, presets, recipes
from rifr.evaluation import metrics
from rifr.report import records
from rifr.training import process_group, trainer
from rifr.training.batches import RankBatch
from rifr.training.student import Student, recipe_loss
from rifr.training.teacher import TeacherOutputs
from tests.helpers import easy_faces

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))  # scripts, not a package: they import each other by name

import bootstrap  # noqa: E402
import degradation  # noqa: E402
import harness  # noqa: E402
import identification  # noqa: E402
import kernels  # noqa: E402
import rates  # noqa: E402
import roc  # noqa: E402
import speeds  # noqa: E402
import tinyface_scoring  # noqa: E402
import training  # noqa: E402

LIGHT = """
import numpy as np

def numbers(count):
    return (np.arange(count),)

def hold(values):  # 200 MiB for a moment
    return np.ones(200 * 2**17).sum() + values

def fail(values):
    raise ValueError("no such luck")

def total(inputs, answer):
    return float(answer.sum() - inputs[0].sum())
"""


@pytest.fixture
def light(tmp_path, monkeypatch):
    """A module that another process loads faster than this one."""
    (tmp_path / "light_side.py").write_text(LIGHT)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("light_side")
    del sys.modules["light_side"]


def row(**changes) -> harness.Row:
    fields = {
        "what": "counting",
        "size": "ten",
        "ours_seconds": 2.0,
        "rival": "`by hand`",
        "rival_seconds": 8.0,
        "reach": 3,
        "peak_ours_mib": 100.0,
        "peak_rival_mib": 2000.0,
        "agree": True,
    }
    return harness.Row(**{**fields, **changes})


def test_a_side_is_measured_in_a_process_of_its_own_with_the_memory_of_its_work(light):
    found = harness.measure(harness.Side(light.numbers, light.hold, light.total), {"count": 3}, {"count": 1}, repeats=2)
    assert found.summary == pytest.approx(3 * 200 * 2**17)
    assert 190 < found.added_mib < 260 and found.peak_mib > found.added_mib
    assert 0 < found.seconds < 5


def test_a_side_that_fails_says_where(light):
    with pytest.raises(RuntimeError, match=r"fail failed(.|\n)*no such luck"):
        harness.measure(harness.Side(light.numbers, light.fail, light.total), {"count": 3})


def test_a_row_reaches_its_aim_by_time_answer_and_memory_together():
    assert row().ratio == 4 and row().shortfalls == []
    assert row(reach=5).shortfalls == ["4.00 times as fast, not 5"]
    assert row(agree=False).shortfalls == ["the answers differ"]
    assert row(memory_aim="1 GiB", memory_met=False).shortfalls == ["memory is not 1 GiB"]
    assert row(agree=None, memory_met=True).shortfalls == []
    assert "PASS" in str(row()) and "SHORT OF REACH" in str(row(reach=5))


def test_the_evaluator_counts_our_hits_at_every_rank():
    inputs = identification.make_widths(people=5, photos=33, distractors=300, widths=3, ranks=1, dimensions=24)
    assert len(inputs[0]) == 6
    found, expected = identification.ours(*inputs), identification.evaluator(*inputs)
    assert np.array_equal(found, expected) and len(np.unique(found)) > 3
    deep = identification.make_widths(people=5, photos=33, distractors=300, widths=1, ranks=40, dimensions=24)
    found = identification.ours(*deep)
    assert np.array_equal(found, identification.evaluator(*deep)) and found[0, 0] < found[0, 39]


def test_the_million_is_the_same_from_its_file_by_the_definition(tmp_path):
    identification.write_million(tmp_path / "few.npy", 700, dimensions=16)
    inputs = identification.make_million(str(tmp_path / "few.npy"), people=4, photos=40)
    assert inputs[2].dtype == np.float16 and np.std(inputs[2]) == pytest.approx(1, abs=0.05)
    found = identification.ours_million(*inputs)
    assert np.array_equal(found[:2], identification.by_definition(inputs, None))
    assert 0 < found[0] < 90
    assert identification.product_million(*inputs) is None


def test_hits_may_differ_by_rounding_alone():
    size = {"people": 80, "photos": 3530}
    assert identification.same_hits(np.array([100]), np.array([101]), size)[0]
    agree, note = identification.same_hits(np.array([100]), np.array([110]), size)
    assert not agree and "152,240 trials differ by 10" in note


def test_our_roc_is_scikit_learns():
    probes, distractors, identities = roc.make(people=6, photos=60, distractors=400, dimensions=20)
    inputs = probes.astype(float), distractors.astype(float), identities  # in single precision near-equal scores swap
    found, expected = roc.our_curve(inputs, roc.ours(*inputs)), roc.curve(inputs, roc.all_scores(*inputs))
    assert found[0] == pytest.approx(expected[0], abs=1e-9) and found[1] == pytest.approx(expected[1], abs=1e-9)
    assert len(np.unique(expected[0])) > 20


@pytest.mark.parametrize("block", ["whole", "blocks"])
def test_tinyface_scores_are_those_of_the_sorted_matrix(block, monkeypatch):
    monkeypatch.setattr(tinyface_scoring, "ROOM", 0 if block == "whole" else 2**60)
    monkeypatch.setattr(tinyface_scoring, "BLOCK", 7)
    inputs = tinyface_scoring.make(probes=40, people=12, match=30, distractors=200, dimensions=64)
    found = tinyface_scoring.ours(*inputs)
    assert found == pytest.approx(tinyface_scoring.sort_all(*inputs), abs=1e-9)
    assert 0 < found[0] < found[4] <= 1


def test_the_rivals_average_precision_by_hand():
    # Mates at ranks 1 and 4: (1 + 1) / 2 / 2 + (1/3 + 2/4) / 2 / 2, and (1 + 2/4) / 2 by steps.
    precisions = tinyface_scoring.of_one_probe(np.array([True, False, False, True]))[-2:]
    assert precisions == pytest.approx([0.5 + 5 / 24, 0.75])


def test_the_bootstrap_over_trial_lists_gives_our_interval():
    inputs = bootstrap.make(people=9, photos=14, resamples=60)
    assert bootstrap.resample_trials(*inputs) == pytest.approx(bootstrap.ours(*inputs), abs=1e-12)
    found = metrics.interval(inputs[0], inputs[1], resamples=60)
    assert bootstrap.ours(*inputs) == (found.low, found.estimate, found.high)


def test_degraded_images_are_opencvs_to_one_level():
    inputs = degradation.make(images=20, width=20)
    answer = degradation.one_by_one(*inputs)
    assert degradation.apart(inputs, answer) == 0
    answer[7, 3, 3, 1] ^= 4
    assert degradation.apart(inputs, answer) == 4


def test_the_published_step_has_the_trainers_loss(tmp_path, store_folder):
    pack, recipe, mini = easy_faces(tmp_path / "pack", people=3, images=4), recipes.get("proposed"), presets.get("mini")
    training_of = presets.get("mini", batch_size=4, epochs=1)
    teacher = trainer.fit("hr-only", training_of, faces=pack, progress=False)
    student = Student(mini.training, 3).eval()
    loader = training.DataLoader(training.Photos(pack), 6)
    high, low, labels = next(iter(loader))
    assert high.shape == low.shape == (6, 3, 112, 112) and labels.tolist() == pack.labels[:6].tolist()
    assert high.abs().max() <= 1 and not torch.equal(high, low)
    theirs = training.loss_of(student, teacher.network(), teacher.softmax(), high, low)
    looked_up = TeacherOutputs(teacher, pack, mini.training.temperature, process_group.fabric(), progress=False)
    mirrored = torch.tensor(
        [not torch.equal(image, training.as_input(plain)) for image, plain in zip(high, pack.images[:6])]
    )
    ours = recipe_loss(
        recipe,
        mini.training,
        student(torch.cat([high, low])),
        student.softmax.weight,
        labels,
        looked_up(RankBatch(np.arange(6), torch.empty(0), torch.empty(0), mirrored, labels)),
    )
    assert theirs.item() == pytest.approx(ours.item(), rel=1e-5)


def a_record(*rows: harness.Row, small: bool = False) -> dict:
    return json.loads(json.dumps(speeds.as_record(list(rows), speeds.provenance(), small)))


def test_the_record_is_found_again_and_knows_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.setenv("RIFR_RECORDS", str(tmp_path))
    assert records.read("speed") is None
    record = a_record(row())
    records.write(records.folder() / "speed.json", record)
    assert records.read("speed") == record
    about = record["provenance"]
    assert (
        about["cores"] == machine.available_cores()
        and about["processor"]
        and about["versions"]["numpy"] == np.__version__
    )
    assert record["rows"][0]["ratio"] == 4 and record["rows"][0]["shortfalls"] == []
    caption = records.speed_caption(record)
    assert about["date"][:10] in caption and about["processor"] in caption and "Small cases" not in caption
    assert "Small cases" in records.speed_caption(a_record(row(), small=True))


def test_a_long_record_is_smaller_and_has_the_same_rows_in_the_same_order(tmp_path, monkeypatch):
    monkeypatch.setenv("RIFR_RECORDS", str(tmp_path))
    kinds = [{"measure": "rank1", "value": 1.5, "n": 7}, {"measure": "claim", "at": "é", "low": None}, {"n": 0}]
    record = {"provenance": {"seeds": [0]}, "rows": [kinds[i % 7 % 3] | {"seed": i} for i in range(200)]}
    path = records.folder() / "mine.json"
    records.write(path, record)
    plain = path.stat().st_size
    assert records.read("mine") == record
    monkeypatch.setattr(records, "LONG", 1000)
    records.write(path, record)
    again = records.read("mine")
    assert again == record and [[*row] for row in again["rows"]] == [[*row] for row in record["rows"]]
    assert [*json.loads(path.read_text())["rows"][0]] == ["columns", "rows"] and "é" in path.read_text("utf-8")
    alike = {"provenance": {}, "rows": [kinds[0] | {"seed": i} for i in range(200)]}
    records.write(path, alike)
    assert path.stat().st_size < 0.6 * plain and records.read("mine") == alike
    assert all(file.stat().st_size < 1_000_000 for file in (ROOT / "book" / "records").iterdir()), (
        "small records alone are kept"
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": []}'])
def test_a_damaged_record_is_named(tmp_path, monkeypatch, text):
    monkeypatch.setenv("RIFR_RECORDS", str(tmp_path))
    (tmp_path / "speed.json").write_text(text)
    with pytest.raises(ValueError, match=r"speed\.json .* make it again"):
        records.read("speed")


def test_without_the_variable_records_are_beside_the_chapters(monkeypatch):
    monkeypatch.delenv("RIFR_RECORDS", raising=False)
    assert records.folder() == ROOT / "book" / "records"


def test_the_table_has_a_line_for_each_row():
    other = row(what="drawing", agree=None, peak_rival_mib=None, reach=9, memory_aim="1 GiB", ours_seconds=0.0123)
    table = records.speed_table(a_record(row(), other))
    assert table["What"].tolist() == ["counting", "drawing"]
    assert table["Same answer"].tolist() == ["yes", "–"] and table["Time"][1].startswith("12.3\u00a0ms / ")
    assert table["MiB"].tolist() == ["100 / 2,000", "100"] and len(table.columns) == 7
    assert table["Aim"].tolist() == ["reached", "reached"] and table["Rival"][0] == "by hand"


def test_the_sentence_names_the_rows_that_miss_their_aim_and_only_those():
    assert "make benchmarks" in records.speed_sentence(None)
    assert records.speed_sentence(a_record(row(), row())) == "All 2 rows reach their aims."
    one_short = records.speed_sentence(a_record(row(), row(what="drawing", reach=5), row()))
    assert one_short == (
        "2 of 3 rows reach their aims. Short of them: drawing, beside `by hand` (4.00 times as fast, not 5)."
    )
    none = records.speed_sentence(a_record(row(what="drawing", agree=False)))
    assert none == "No row of 1 reaches its aim: drawing, beside `by hand` (the answers differ)."
    plain, told = records.speed_notes(a_record(row(), row(note="Slowly.", memory_aim="1 GiB"))).splitlines()
    assert plain == f"- **counting**, beside `by hand`: {row().size}."
    assert told == f"{plain} Slowly. Memory aims at 1 GiB."


def test_what_a_gpu_does_is_told_with_its_peak_and_what_overflowed_as_such():
    record = {
        "provenance": {"device": "A card", "peak_tflops": 801.2, "times": 3, "commit": "c", "date": "2026-11-27T14"}
        | {"versions": {"torch": "2.11.0"}},
        "rows": [
            {"mode": "compiled", "rows": 256, "milliseconds": 21.17, "host": 2.0, "images": 12091, "share": 0.326}
        ],
    }
    (line,) = records.gpu_table(record).to_dict("records")
    assert (line["rows"], line["images/s"], line["share"]) == (256, 12091, "33 %")
    assert "A card" in records.gpu_sentence(record) and "801 TFLOP/s" in records.gpu_sentence(record)
    assert "3 times (the median)" in records.gpu_sentence(record) and records.gpu_sentence(None) == ""
    tried = [
        {"learning_rate": 0.1, "warmup": 0.0, "clip_norm": 0.0, "loss": None, "accuracy": None, "ended": "nan"},
        {"learning_rate": 0.1, "warmup": 0.1, "clip_norm": 5.0, "loss": 0.9221, "accuracy": 0.762, "ended": ""},
    ]
    table = records.rates_table({"rows": tried})
    assert table.loss.tolist() == ["not finite", "0.922"] and table.right.tolist() == ["–", "76.2 %"]
    assert table["warm-up"].tolist() == ["none", "10 %"]


def test_the_step_of_the_gpu_scripts_runs_without_a_gpu(tmp_path, store_folder):
    for mode in ("as PyTorch runs it", "convolutions alone"):
        row = kernels.measured(mode, 2, torch.device("cpu"), 1e12, 1, 1)
        assert row["images"] == round(2000 / row["milliseconds"]) and row["share"] > 0
    small = ["network=thin", "embedding=32", "precision=32-true", "compile=False", "batch_size=8"]
    small += ["train_people=4", "train_images=8", "probe_people=2", "distractor_people=4"]
    row = rates.tried(small, {"learning_rate": 1e12})
    assert row["loss"] is None and "loss is" in row["ended"]


def test_make_benchmarks_runs_every_script_of_the_table():
    scripts = {path.stem for path in (ROOT / "tests" / "benchmarks").glob("*.py")}
    assert scripts == {
        *speeds.SCRIPTS,
        "harness",
        "speeds",
        "yardsticks",
        "dlib_network",
        "detector",
        "real_faces",
        "gpu",
        "worlds",
        "ingredients",
        "kernels",
        "rates",
    }
    assert "tests/benchmarks/speeds.py" in (ROOT / "Makefile").read_text()


@pytest.mark.slow
def test_the_row_of_a_gpu_is_made_of_the_same_two_sides():
    row = training.on_a_gpu(small=True)
    assert row.ours_seconds > 0 and row.rival_seconds > 0 and row.reach == 3.0
    assert "images a second" in row.note and "no bf16 matrix peak" in row.note  # there is no GPU to ask
