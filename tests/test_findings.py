"""What the front page says was found beside the claims is as measurement and records have it."""

import re

import pandas as pd
from scipy import stats

from rifr.report import studies_tables, study_tables, text


def test_training_for_a_camera_is_said_by_distance_with_a_link_to_its_chapter():
    rows = [(1, 12.0, 8.0, 16.0), (3, 1.0, -2.0, 4.0)]
    said = text.findings.camera(pd.DataFrame(rows, columns=["distance", "difference", "low", "high"]))
    assert (
        "(scface.ipynb)" in said and "ahead at d1; not decided at d3. In points: d1 +12.0 (+8.0 to +16.0), d3" in said
    )


def test_margins_stand_against_the_proposed_network_as_the_record_has_them():
    rows = [
        {"seed": 0, "measure": "rank1 group", "protocol": "P1", "network": "proposed", "other": name, "at": at}
        | {"value": value, "low": value - 1, "high": value + 2, "n": 60}
        for name, at, value in (("arcface", "112 px", -8.0), ("arcface", "25–16 px", -0.5), ("adaface", "112 px", 3.0))
    ]
    record = study_tables.Study({"seeds": [0]}, pd.DataFrame(rows))
    said = text.findings.margins(record)
    assert (
        "at 112 px ArcFace +8.0 (+6.0 to +9.0), AdaFace -3.0 (-5.0 to -2.0); at 25–16 px ArcFace +0.5 (-1.5 to" in said
    )
    assert "(methods.ipynb), one seed)" in said
    assert (
        ": of 3 comparisons 1 decides for the proposed network and 1 for the margin. The proposed network has a plain"
        in said
    )
    assert text.findings.margins(None) == ""


def test_a_longer_training_is_said_of_both_halves_and_of_the_whole_as_the_study_has_them():
    record = studies_tables.read("length")
    said = text.findings.longer(record)
    assert "all six for 32 epochs of 3,000 photos" in said and "3 seeds" in said
    rows = record.rows[(record.rows.protocol == "P1") & (record.rows.measure == "rank1") & (record.rows["at"] == 112)]
    rates = rows[rows.variant == "32 epochs"].groupby("network").value.mean()
    for name, called in (("shared-only", "shared softmax only is"), ("kl-only", "KL only"), ("proposed", "proposed")):
        assert f"{called} {rates[name] - rates['hr+lr']:+.1f} points at 112 px (" in said
    assert text.findings.longer(None) == ""


def test_photographs_say_what_the_records_pairs_say_of_the_proposed_network():
    record = study_tables.read()
    said = text.findings.photographs(record)
    rates = record.rows[record.rows.measure == "pairs"].pivot_table(
        index=["seed", "at"], columns="network", values="value"
    )
    decided = 0
    for other in ("hr-only", "hr+lr"):
        for width, gaps in (rates["proposed"] - rates[other]).groupby("at"):
            low, high = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
            decided += low > 0 or high < 0
            assert f"{gaps.mean():+.1f} ({low:+.1f} to {high:+.1f}) at {width} px" in said
    assert f"of 4 comparisons {decided} decide" in said and f"{record.seeds} seeds)" in said
    alone = study_tables.Study({**record.provenance, "seeds": [0]}, record.rows[record.rows.seed == 0])
    assert text.findings.photographs(alone) == text.findings.photographs(None) == ""


def test_a_start_from_the_teacher_says_what_sharing_brings_before_and_after():
    record = studies_tables.read("start")
    said = text.findings.started(record)
    rows = record.rows[(record.rows.protocol == "P1") & (record.rows.measure == "rank1") & (record.rows["at"] == 112)]
    rates = rows.groupby(["variant", "network"]).value.mean()
    new, teacher = "new weights", "student starts as its teacher"
    for start, words in ((new, "with new weights"), (teacher, "where both start as the teacher")):
        gap = rates[start, "shared-only"] - rates[start, "hr+lr"]
        assert re.search(rf"{re.escape(f'{gap:+.1f}')} points at 112 px [^;]*? {words}", said)
    assert f"HR+LR by {rates[teacher, 'hr+lr'] - rates[new, 'hr+lr']:+.1f} points" in said
    assert text.findings.started(None) == ""
