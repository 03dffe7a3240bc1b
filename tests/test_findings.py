"""What the front page says was found beside the claims is as measurement and records have it."""

from dataclasses import replace

import pandas as pd

from rifr.report import studies_tables, study_tables, text


def test_training_for_a_camera_is_said_by_distance_with_a_link_to_its_chapter():
    rows = [(1, 12.0, 8.0, 16.0), (3, 1.0, -2.0, 4.0)]
    said = text.findings.camera(pd.DataFrame(rows, columns=["distance", "difference", "low", "high"]))
    assert (
        "(scface.ipynb)" in said and "at d1 proposed, camera is ahead of proposed by 12.0 points (8.0 to 16.0)" in said
    )
    assert "at d3 the run does not decide" in said


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
    assert said.endswith(": of 3 comparisons 1 for the proposed network and 1 for the margin.")
    assert text.findings.margins(None) == ""


def test_sharing_alone_after_a_long_training_is_said_for_large_and_for_small_faces():
    record = studies_tables.read("length")
    said = text.findings.sharing(record)
    of_claim = record.rows[record.rows.claim == text.findings.LONG]
    means = of_claim[of_claim.protocol == "P1"].groupby("at").value.mean()
    assert (
        "(ablation.ipynb)): at 112 px " in said
        and f"{means[112]:.1f} points" in said
        and f"{means['25-16']:.1f}" in said
    )
    assert text.findings.sharing(replace(record, rows=record.rows[record.rows.claim != text.findings.LONG])) == ""
    assert text.findings.sharing(None) == ""


def test_the_whole_method_with_a_finished_teacher_is_said_for_large_and_for_small_faces():
    record = studies_tables.read("teacher")
    said = text.findings.teacher(record)
    rows = record.rows[(record.rows.claim == text.findings.TAUGHT) & (record.rows.protocol == "P1")]
    means = rows.groupby("at").value.mean()
    assert (
        f"proposed is ahead of HR+LR by {means[112]:.1f} points" in said and f"by {means['25-16']:.1f} points" in said
    )
    assert text.findings.teacher(replace(record, rows=record.rows[record.rows.claim != text.findings.TAUGHT])) == ""
    assert text.findings.teacher(None) == ""
