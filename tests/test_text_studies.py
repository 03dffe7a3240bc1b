"""What chapter 9 says of its studies: which claims are decided, and a paragraph for each that follows its numbers."""

import math
from typing import Any

import pandas as pd
import pytest

from rifr import presets
from rifr.evaluation.metrics import Interval
from rifr.report import studies, studies_record, studies_tables, study_tables, text
from rifr.report.studies_plan import LOW
from rifr.report.studies_tables import Recorded
from tests.helpers import easy_faces

NOISE = (0.3, -0.3, 0.0)
"""What the three seeds add to a rate, times a number of its network: differences of two are decided, none of zero."""


def recorded(name: str, rates: dict[tuple[str, str], float], right: float = 86.3) -> Recorded:
    """A record of a study whose networks have these rates, 50 where none is given, and 10 less on small faces."""
    plan = studies.get(name)
    rows: list[dict[str, Any]] = []
    for seed, noise in enumerate(NOISE):
        value = {}
        for n, (variant, network) in enumerate(plan.cells):
            cell = {"seed": seed, "variant": variant, "network": network, "n": 10}
            for at in (112, LOW):
                own = rates.get((variant, network), 50.0) + noise * math.sin(n + 1) - 10 * (at == LOW)
                value[variant, network, at] = own
                rows.append({**cell, "measure": "rank1", "protocol": "P1", "at": at, "value": own})
                rows.append({**cell, "measure": "rank1", "protocol": "P2", "at": at, "value": 0.0})
            rows.append({**cell, "measure": "accuracy", "protocol": "", "at": "", "value": 99.0})
            rows += [
                {**cell, "network": "teacher", "measure": measure, "protocol": "", "at": "", "value": number}
                for measure, number in (("right", right), ("entropy", 0.5))
            ]
        for one in plan.differences:
            for at in (112, LOW):
                gap = sum(value[*cell, at] for cell in one.plus) - sum(value[*cell, at] for cell in one.minus)
                row = {"seed": seed, "measure": "difference", "protocol": "P1", "at": at, "claim": one.claim, "n": 10}
                rows.append({**row, "value": gap})
    about = {"seeds": [0, 1, 2], "study": studies_record.about(plan), "faces": {"train": 3000, "train_people": 250}} | {
        "preset": {"training": {"epochs": 4}}
    }
    return Recorded(about, pd.DataFrame(rows).assign(low=float("nan"), high=float("nan")))


def said(name: str, rates: dict[tuple[str, str], float], **kind: float) -> str:
    return text.studies.what_they_say([recorded(name, rates, **kind)])


def test_the_claims_of_a_study_stand_in_groups_by_answer_and_by_place():
    record = recorded("batch", {("64 photos a batch", "hr+lr"): 40.0, ("32 photos a batch", "hr-only"): 55.0})
    both = "at 112 px and on small faces:"
    assert text.studies.decided(record) == (  # of a price on large faces, those alone
        "**What it decides.** *Yes,* at 112 px: with as many photos a step, HR-only is above HR+LR; with as many "
        f"images a step (32), HR-only is above HR+LR. *No, the reverse,* {both} counting photos favours HR+LR (64 "
        "photos, not 32). *Open* at 112 px: with as many images a step (64), HR-only is above HR+LR. *Open* "
        f"{both} counting photos favours HR+LR (32 photos, not 16)."
    )
    rows = record.rows.copy()
    rows.loc[rows["at"] == LOW, "value"] = 0.0
    answers = text.studies.decided(Recorded(record.provenance, rows))
    assert "*No, the reverse,* at 112 px alone: counting photos favours" in answers


def test_a_gap_says_where_it_is_decided():
    rates = {("64 photos a batch", "hr+lr"): 40.0}
    record = recorded("batch", rates)
    wide, plain = [("64 photos a batch", "hr+lr")], [("32 photos a batch", "hr+lr")]
    found = record.minus(wide, plain)
    assert [one.estimate for one in found.values()] == pytest.approx([-10, -10]) and list(found) == [112, LOW]
    one = found[112]
    ends = f"({one.low:+.1f} to {one.high:+.1f})"
    assert text.studies.gap(found) == f"-10.0 points at 112 px {ends} and -10.0 on small faces {ends}"
    assert text.studies.gap({112: one}) == f"-10.0 points at 112 px {ends}"
    same = record.minus(plain, plain)
    assert text.studies.gap({112: same[112]}) == "0.0 points at 112 px (open)"


def test_a_price_is_decided_by_each_count_of_a_step_apart():
    assert "decided with none of these counts" in said("batch", {}) and "not told apart" in said("batch", {})
    pays = said("batch", {("32 photos a batch", "hr-only"): 60.0})
    assert "decided with 32 photos each and 32 images each." in pays and "+10.0 (32 photos each: " in pays
    assert "0.0 (64 images each: " in pays and text.studies.batch(None) == ""


def test_the_gain_of_sharing_is_explained_by_the_change_beyond_which_it_brings_nothing_decided():
    plain, _, start, _ = (variant.label for variant in studies.get("softmax").variants)
    rates = {(plain, "shared-only"): 58.0, (start, "hr+lr"): 58.0}
    words = said("softmax", rates)
    assert "more than the faster layer and the teacher's frozen layer" in words
    assert "beyond the teacher's start is open" in words and "looks like a beginning" in words
    assert "no proof" not in words, "the start's own gain is decided here"
    assert "explains" not in said("softmax", {(plain, "shared-only"): 58.0})
    assert "to bring more" not in said("softmax", {}) and "0.0 points at 112 px" in said("softmax", {})


def test_what_sharing_brings_from_the_teachers_start_is_told_from_what_it_brings_with_new_weights():
    started = "student starts as its teacher"
    gains = {(started, "shared-only"): 58.0, (started, "proposed"): 55.0, ("new weights", "shared-only"): 60.0}
    words = said("start", gains)
    assert (
        "Shared softmax only minus HR+LR is +10.0 points at 112 px (" in words
        and "with the teacher's; the first minus the second: +2.0" in words
    )
    assert "sharing brings more than the teacher's axes, which all four start with: of 4 comparisons 4 decide" in words
    assert "brings anything where all four start with the teacher's axes is not seen: in none" in said("start", {})
    lost = said("start", {(started, "kl-only"): 60.0})
    assert "sharing costs something: of 4 comparisons 2 decide for a loss." in lost
    heavy = said("start", {("teacher's term × 4", "proposed"): 40.0})
    assert (
        "four times it changes shared softmax only by 0.0 points" in heavy and "and proposed by -10.0 points" in heavy
    )
    assert "A quarter of the teacher's term changes" in heavy and heavy.endswith(
        "of 8 comparisons 2 decide for a loss."
    )


def test_a_temperature_is_set_beside_how_sure_the_teacher_is():
    hot = {("temperature 4", name): 45.0 for name in ("kl-only", "proposed")}
    words = said("temperature", hot)
    assert "of 12 comparisons 8 decide for a loss" in words
    sure = said("temperature", {("temperature 0.83", "proposed"): 55.0})
    assert "One of 0.83 changes KL only by 0.0 points at 112 px (" in sure and "and proposed by +5.0 points at" in sure
    assert "This one is not" in words and "86.3 % on average" in words and "(student.ipynb)" in words
    assert "This one is not" not in said("temperature", hot, right=99.0)


def test_wrong_names_show_what_soft_targets_and_sharing_mend():
    _, smooth, noisy = (variant.label for variant in studies.get("targets").variants)
    wrong = {(noisy, "hr+lr"): 40.0, (noisy, "kl-only"): 45.0, (noisy, "shared-only"): 45.0, (noisy, "proposed"): 45.0}
    words = said("targets", wrong)
    assert (
        "KL only minus HR+LR changes by +5.0 points" in words
        and "where the softmax layer is the student's own" in words
    )
    assert "Sharing helps against them as well" in words and "softmax says beyond it is seen to help" in words
    assert "So soft targets" not in said("targets", wrong | {(noisy, "kl-only"): 40.0})
    assert "softmax says beyond it is seen to help" not in said("targets", {(smooth, "hr+lr"): 55.0})


def test_learning_curves_tell_speed_from_more_and_where_the_premise_holds():
    rates = {("2 epochs", "proposed"): 40.0, ("4 epochs", "hr-only"): 55.0, ("32 epochs", "shared-only"): 55.0}
    words = said("length", rates | {("32 epochs", "proposed"): 55.0})
    assert "more than speed, decided at 112 px and on small faces; by this comparison it is open whether" in words
    assert "after the longest no cost is seen" in words and "-10.0 (2 epochs: " in words
    assert "250 people of 12 photos the paper's premise (C3) holds, decided, after 4 epochs; after 32 epochs" in words
    assert "more than speed" not in said("length", {}) and "after none of these" in said("length", {})
    assert "a part of it was speed." in said("length", rates | {("2 epochs", "shared-only"): 70.0})


def test_chapter_3_hears_of_its_premise_what_the_learning_curves_say():
    record = recorded("length", {(f"{n} epochs", "hr-only"): 55.0 for n in (4, 32)})
    assert text.studies.premise(record).endswith("(C3) holds, decided, after 4 epochs and 32 epochs.")
    assert text.studies.premise(record) in text.studies.what_they_say([record])
    assert text.studies.premise(None) == ""


@pytest.mark.parametrize(
    "short, long, verdict",
    [
        (40.0, 55.0, "a part of what they cost came from a teacher that had not finished"),
        (50.0, 55.0, "they do better with a finished teacher; with a teacher of 2 epochs no cost is seen"),
        (50.0, 45.0, "but more"),
        (50.0, 50.0, "does not decide"),
    ],
)
def test_a_longer_teacher_says_whether_soft_targets_cost_less(short, long, verdict):
    rates = {("teacher of 2 epochs", "proposed"): short, ("teacher of 16 epochs", "proposed"): long}
    assert verdict in said("teacher", rates)


def test_claims_after_longer_trainings_are_those_of_the_last_variants():
    short, long = "teacher of 2 epochs", "teacher of 16 epochs"
    rates = {(long, "proposed"): 58.0, (long, "teacher"): 61.0, (short, "proposed"): 30.0}
    teacher, length = recorded("teacher", rates), recorded("length", {("32 epochs", "proposed"): 53.0})
    table = text.studies.after_longer_trainings([teacher, None, length])
    at_112 = table[table.faces == "at 112 px"].set_index("claim")
    assert at_112.loc["C6", long].startswith("+8.0 (") and at_112.loc["C6", "32 epochs"].startswith("+3.0 (")
    assert at_112.loc["C7", long].startswith("-3.0 (") and at_112.loc["C3", long] == "–"
    assert table.claim.tolist() == sorted(table.claim, key=lambda name: int(name[1:]))
    assert not set(table[table.faces != "at 112 px"].claim) & {"C3", "C7"}
    assert "-3.0 points at 112 px (" in text.studies.taught_longer(teacher, "C7")
    assert text.studies.taught_longer(teacher, "C3") == text.studies.taught_longer(None, "C6") == ""


def test_the_price_of_each_setting_is_a_row_with_its_photos_epochs_and_seeds(tmp_path):
    faces, plan = easy_faces(tmp_path / "faces"), presets.get("smoke", epochs=7)
    larger, length = study_tables.read("resnet34"), studies_tables.read("length")
    build, over_seeds = Interval(-3.0, -2.0, -1.0), Interval(-1.0, 1.0, 3.0)
    table = text.studies.price_by_setting(build, plan, faces, (larger, over_seeds), larger, [None, length])
    assert table[""].tolist() == ["this build", "the record", "ResNet-34", *5 * ["Learning curves"]]
    assert table.epochs.tolist() == ["7", "12", "12", "2", "4", "8", "16", "32"] and table.seeds.tolist()[-1] == "3"
    price = table["HR+LR minus HR-only, 112 px"].tolist()
    assert price[:2] == ["-2.0 (-3.0 to -1.0)", "+1.0 (-1.0 to +3.0)"]
    rates = length.rank1()[lambda rows: (rows["at"] == 112) & (rows.variant == "32 epochs")].set_index("network").value
    assert price[-1].startswith(f"{rates['hr+lr'] - rates['hr-only']:+.1f} (")
    assert table["people × photos"].tolist()[-1] == "250 × 12" and table.network[2] == "resnet34"


def test_which_mechanism_does_the_work_needs_three_studies():
    three = [recorded(name, {}) for name in ("length", "teacher", "targets")]
    assert text.studies.in_short(three).count("\n") == 4 and text.studies.in_short(three[:2]) == ""
    rows = studies_tables.read("length").rows
    rates = rows[
        (rows.variant == "32 epochs") & (rows.measure == "rank1") & (rows.protocol == "P1") & (rows["at"] == 112)
    ]
    gained = rates.groupby("network").value.mean()["shared-only"] - rates.groupby("network").value.mean()["hr+lr"]
    said_of = text.studies.in_short(studies_tables.recorded())
    assert f"\n\n- **Sharing alone** brings HR+LR {gained:+.1f} points at 112 px (" in said_of


def test_the_answer_says_what_sharing_brings_from_the_teachers_start():
    four = [recorded(name, {}) for name in ("length", "teacher", "targets")]
    four.append(recorded("start", {("student starts as its teacher", "shared-only"): 47.0}))
    assert "start as their teacher** brings HR+LR -3.0 points at 112 px (" in text.studies.in_short(four)


def test_what_helps_is_what_some_comparison_decides_for_and_none_against():
    nothing = [recorded(name, {}) for name in ("length", "teacher", "targets")]
    assert "cost nowhere: **none of them**. Sharing the softmax layer: in none" in text.studies.in_short(nothing)
    ends = [(f"teacher of {n} epochs", "shared-only") for n in (2, 4, 8, 16)]
    rates = dict.fromkeys(ends, 55.0) | {("32 epochs", "kl-only"): 45.0}
    some = [recorded("length", rates), recorded("teacher", rates), nothing[2]]
    said_of = text.studies.in_short(some)
    assert "cost nowhere: **sharing the softmax layer**. Sharing the softmax layer: of 4 comparisons 2" in said_of
    assert "soft targets alone: of 4 comparisons 2 decide for a loss" in said_of
    assert "soft targets beside it: of 4 comparisons 2 decide for a loss" in said_of


def test_every_study_has_a_paragraph_and_one_without_a_record_none():
    assert set(text.studies.SAYS) == set(studies.STUDIES)
    assert text.studies.what_they_say([]) == ""
    views = said("views", {("teacher sees the view", "shared-only"): 62.0}, right=62.3)
    assert "Shared softmax only minus HR+LR is +12.0 points at 112 px (" in views and "sees the view, -12.0" in views
    assert "this teacher gives the right class 62.3 % on average" in views
    both = text.studies.what_they_say([recorded("views", {}), recorded("teacher", {})])
    assert both.count("**\n\n- ") == 2 and both.startswith("**What the teacher is shown**\n\n- ")
    assert "nan" not in both and "none of 6 comparisons" in both


@pytest.mark.parametrize("record", studies_tables.recorded(), ids=lambda record: record.about["name"])
def test_a_computed_difference_of_a_recorded_study_is_the_recorded_one(record):
    table = record.differences().set_index(["claim", "at"])
    for one in studies.get(record.about["name"]).differences:
        for at, interval in list(record.minus(one.plus, one.minus).items())[: 1 if one.on_large else None]:
            row = table.loc[(one.claim, at)]
            found = (interval.estimate, interval.low, interval.high)
            assert found == pytest.approx((row.difference, row.low, row.high), abs=0.02)
