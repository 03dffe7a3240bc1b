"""Tables, sentences and figures of chapters 10 to 12."""

from dataclasses import fields
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rifr import recipes
from rifr.evaluation import metrics
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.tinyface import TinyFace
from rifr.report import errata, figures, paper, text
from rifr.report.show import show

matplotlib.use("Agg")


def search_table(**changes) -> pd.DataFrame:
    row = {
        "network": "proposed",
        "rank1": 50.0,
        "low": 40.0,
        "high": 60.0,
        "rank20": 80.0,
        "rank50": 90.0,
        "mean_ap": 30.0,
        "mean_ap_step": 35.0,
        "probes": 16,
        "people": 8,
        "gallery": 40,
        "distractors": 24,
    }
    return pd.DataFrame([row | {"network": name} for name in recipes.RECIPES]).assign(**changes)


def test_our_rows_of_table_1_have_intervals_over_people_for_every_rank_and_for_map():
    ranks = [[1, 3], [2, 60], [30], [1], [7, 8], [1, 2], [400], [21]]  # of the mates of each probe, two probes a person
    ends = np.cumsum([len(one) for one in ranks])
    result = TinyFace(np.repeat([5, 6, 7, 8], 2), np.concatenate(ranks), ends, gallery=500, distractors=480)
    shown = text.small_faces.tinyface_table(Outcome({("proposed",): result}, 400, ("network",)), ["proposed"])
    (row,) = shown.to_dict("records")
    assert row["rank-1"].startswith("37.5 (") and row["rank-20"].startswith("62.5 (")
    assert row["rank-50"].startswith("87.5 (") and row["network"] == "proposed"
    precisions = [metrics.average_precision_of_ranks(np.array(one)) for one in ranks]
    assert row["mAP"].startswith(f"{100 * np.mean(precisions):.1f} (")
    found = result.mean_ap_interval(resamples=4000)
    by_person = np.reshape(precisions, (4, 2)).mean(1)
    draws = by_person[np.random.default_rng(1).integers(4, size=(20_000, 4))].mean(1)
    assert [found.low, found.high] == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.02)


def test_fewer_people_in_the_gallery_are_compared_distance_by_distance():
    rows = [(name, at, value) for name, value in (("hr+lr", 40.0), ("proposed", 50.0)) for at in (1, 2)]
    table = pd.DataFrame(rows, columns=["network", "distance", "rank1"]).assign(people=130)
    fewer = table.assign(people=80, rank1=[44.0, 40.0, 60.0, 52.0])
    sentence = text.small_faces.of_fewer_people(table, fewer)
    assert "80 instead of 130" in sentence and "+7.0 points at d1, +1.0 points at d2" in sentence


def test_the_papers_tables_hold_every_row_and_never_two_protocols_in_one_column():
    assert [row.method for row in paper.TABLE_1] == ["RPCN", "VGGFace", "CentreFace", "CSRI", "C-T", "Proposed"]
    shown = {people: text.small_faces.reported_scface(paper.TABLE_2, people) for people in (130, 80, None)}
    assert sum(map(len, shown.values())) == len(paper.TABLE_2) == 8
    assert list(shown[130].method) == ["Proposed"] and set(shown[130]["probes per distance"]) == {650}
    assert list(shown[80].method) == ["DCR-FT", "FAN-FT"] and set(shown[80]["probes per distance"]) == {400}
    assert "people" not in shown[None] and set(shown[None].fits) == {"80 people"}


def test_the_papers_averages_are_the_means_of_their_rows_but_for_one():
    wrong = [row.method for row in paper.TABLE_2 if abs((row.d1 + row.d2 + row.d3) / 3 - row.average) > 0.1]
    assert wrong == ["LDMS"]


def test_the_people_of_a_row_are_those_whose_probes_its_figures_can_be():
    for row in paper.TABLE_2 + paper.SCFACE_ELSEWHERE:
        decimals = max(len(f"{value:g}".partition(".")[2]) for value in (row.d1, row.d2, row.d3))
        if row.people:
            assert all(errata.possible_counts(value, 5 * row.people, decimals) for value in (row.d1, row.d2, row.d3))


def test_every_figure_of_the_tables_stands_in_the_papers_text(real_data):
    printed_paper = real_data.parent / "reference" / "paper.txt"
    if not printed_paper.exists():
        pytest.skip("needs the paper's sentence beside the real faces")
    lines = [line.split("\t") for line in printed_paper.read_text().splitlines()]
    printed = {tuple(float(one) for one in line[1:]) for line in lines if len(line) == 5 and line[1][0].isdigit()}
    for row in paper.TABLE_1:
        assert (row.rank1, row.rank20, row.rank50, row.mean_ap) in printed
    for row in paper.TABLE_2:
        assert (row.d1, row.d2, row.d3, row.average) in printed
    assert len(printed) == len(paper.TABLE_1) + len(paper.TABLE_2)


def test_a_page_says_at_once_whether_it_was_built_on_a_surrogate():
    for name, told in text.small_faces.SHORT.items():
        sentence = text.small_faces.notice(name, "")
        assert "stand-in" in sentence and f"rendered-{name}" in sentence and f"-p {name}_root" in sentence
        real = text.small_faces.notice(name, "/data")
        assert "stand-in" not in real and told in real
        assert "stand-in" in text.small_faces.faces_of(name, "") and text.small_faces.faces_of(name, "/data") == told
        assert text.small_faces.comparable(name, "").startswith("No figure of this run may be compared")
    assert text.small_faces.comparable("scface", "/data", people=80).endswith("DCR-FT, FAN-FT.")
    assert text.small_faces.comparable("scface", "/data", people=130).endswith(": Proposed.")
    assert text.small_faces.comparable("scface", "/data", people=77).endswith(": none.")


def differences(*values) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "protocol": "P1",
                "network": "proposed",
                "other": "hr+lr",
                "width": width,
                "distance": 1,
                "difference": d,
                "low": low,
                "high": high,
            }
            for width, d, low, high in values
        ]
    )


@pytest.mark.parametrize(
    "values, said",
    [
        ([(20, -9, -12, -6), (16, -3, -8, 2)], "of 2 comparisons 1 decides for a loss."),
        ([(20, -9, -12, -6), (16, 3, 1, 8)], "of 2 comparisons 1 decides for a loss and 1 for a gain."),
        ([(20, -9, -12, 6)], "in none of 1 comparisons does the interval exclude zero."),
    ],
)
def test_what_is_lost_is_counted_by_what_its_intervals_decide(values, said):
    sentence = text.small_faces.lost(differences(*values), "proposed")
    assert (
        sentence.startswith("**proposed**, camera minus bicubic: " + said)
        and f"{values[0][1]:+.1f} at 20 px" in sentence
    )


def test_what_is_won_back_is_counted_and_listed():
    sentence = text.small_faces.won_back(differences((20, 4, 1, 7)), "proposed, camera", "proposed")
    assert "of 1 comparisons 1 decides for a gain" in sentence and sentence.endswith(" at 20 px +4.0 (+1.0 to +7.0).")


def test_guessing_is_right_once_in_the_gallery_over_the_mates():
    table = pd.DataFrame({"gallery": [1800], "probes": [300]})
    assert "one right photo in the gallery of 1,800: guessing would be right once in 1,800" in text.small_faces.chance(
        table
    )
    said = text.small_faces.chance(table, 2.0)
    assert "2 right photos" in said and "once in 900 times. One of 300 probes is 0.33 points." in said


def test_a_verdict_names_who_is_ahead_and_decides_nothing_across_zero():
    say = text.small_faces.against_by_distance
    assert say(differences((20, 5, 1, 9)), "proposed", "hr+lr") == (
        "Proposed against HR+LR, paired by person: ahead at d1. In points: d1 +5.0 (+1.0 to +9.0)."
    )
    assert ": behind at d1. In points: d1 -5.0 (" in say(differences((20, -5, -9, -1)), "proposed", "hr+lr")
    several = differences((20, 5, -1, 9), (20, 6, 1, 9), (20, 7, 1, 9)).assign(distance=[1, 2, 3])
    assert ": ahead at d2 and d3; not decided at d1. In points: d1 +5.0" in say(several, "proposed", "hr+lr")


def film_table() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "network": name,
                "distance": d,
                "metres": metres,
                "rank1": 50.0 + 10 * d,
                "low": 45.0 + 10 * d,
                "high": 54.0 + 10 * d,
                "probes": 650,
                "people": 130,
                "gallery": 130,
            }
            for name in ("hr-only", "proposed")
            for d, metres in ((1, 4.2), (2, 2.6), (3, 1.0))
        ]
    )


def test_our_rows_of_table_2_hold_each_distance_with_n():
    shown = text.small_faces.scface_table(film_table())
    assert list(shown.columns) == ["network", "d1 (4.20 m)", "d2 (2.60 m)", "d3 (1.00 m)", "avg.", "probes"]
    assert shown["d1 (4.20 m)"][0] == "60.0 (55.0–64.0)" and set(shown["avg."]) == {"70.0"}
    assert set(shown.probes) == {"650 of 130"}
    said = text.small_faces.by_distance(film_table(), "proposed")
    assert "80.0 % (75.0 to 84.0) at 1.00 m and 60.0 % (55.0 to 64.0) at 4.20 m." in said


def curves() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"protocol": protocol, "network": name, "width": width, "rank1": 40.0, "low": 30.0, "high": 50.0}
            for protocol in ("P1", "P2")
            for name in ("hr-only", "proposed")
            for width in (16, 20, 112)
        ]
    )


@pytest.mark.parametrize(
    "draw, arguments",
    [
        (figures.small_faces.rank1_by_network, [search_table()]),
        (figures.small_faces.rank1_by_distance, [film_table()]),
        (
            figures.small_faces.differences,
            [pd.DataFrame({"what": ["a", "b"], "difference": [1, -2], "low": [0, -3], "high": [2, 1]})],
        ),
        (figures.small_faces.bicubic_and_camera, [curves(), curves()[lambda rows: rows.width < 100]]),
        (figures.small_faces.as_they_come, [[np.zeros((6 + n, 5, 3), np.uint8) for n in range(11)]]),
    ],
)
def test_every_figure_is_drawn_on_both_pages(draw, arguments):
    shown = show(draw, *arguments, alt="a", caption="c")
    assert shown.light[:4] == shown.dark[:4] == b"\x89PNG" and shown.light != shown.dark


def test_the_comparison_of_kinds_shows_the_widths_of_the_camera_alone():
    figure = figures.small_faces.bicubic_and_camera(curves(), curves()[lambda rows: rows.width < 100])
    assert isinstance(figure, Figure)
    left = figure.axes[0]
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["20", "16"]
    assert left.get_xlabel() and left.get_ylabel()


def test_the_fields_of_a_reported_row_are_numbers_in_per_cent():
    for row in [*paper.TABLE_1, *paper.TINYFACE_ELSEWHERE, *paper.TABLE_2, *paper.SCFACE_ELSEWHERE]:
        values = [getattr(row, one.name) for one in fields(row) if one.name not in ("method", "people", "source")]
        assert all(value is None or 0 < value <= 100 for value in values)


def test_what_others_published_names_a_reference_and_the_paper_is_above_all_who_trained_on_its_set():
    references = (Path(__file__).resolve().parent.parent / "book" / "references.bib").read_text()
    for row in [*paper.TINYFACE_ELSEWHERE, *paper.SCFACE_ELSEWHERE]:
        assert f"{{{row.source},\n" in references, f"{row.method} has no entry in references.bib"
    casia = paper.casia_on_tinyface()
    assert [row.rank1 for row in casia] == [56.20, 59.44] and casia[-1].rank1 < paper.TABLE_1[-1].rank1
