"""Figures show the numbers they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from rifr.evaluation.step_order import ORDERS
from rifr.report import figures
from rifr.report.style import text_color
from tests.test_text_recognition import DILEMMA, outcome


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_curve_a_network_with_its_band_and_the_papers_marks():
    table = outcome(DILEMMA).table()
    axes = figures.recognition.rank1_by_width(table, "P1").axes[0]
    curves = {
        line.get_label(): line for line in axes.lines if len(line.get_xdata()) > 1 and line.get_linestyle() != "None"
    }
    rows = table[table.network == "hr-only"].sort_values("width")
    np.testing.assert_allclose(curves["HR-only"].get_ydata(), rows.rank1)
    assert set(curves) == {"HR-only", "LR-only", "HR+LR"} and len(axes.collections) == 3
    marks = [tuple(point) for line in axes.lines if line.get_linestyle() == "None" for point in line.get_xydata()]
    assert (20, 25.0) in marks and (100, 77.64) in marks and (20, 50.65) not in marks


def legend(figure) -> list[str]:
    return [entry.get_text() for entry in figure.legends[0].get_texts()]


def test_the_legend_speaks_of_the_paper_only_where_a_mark_of_the_paper_is_drawn():
    paper = "the paper's, on its faces"
    known, own = outcome(DILEMMA).table(), outcome({("mine", 112): 0.9, ("mine", 20): 0.5}).table()
    assert paper in legend(figures.recognition.rank1_by_width(known, "P1"))
    assert legend(figures.recognition.rank1_by_width(own, "P1")) == ["mine"]
    rates = roc_table()
    assert paper in legend(figures.recognition.tpr_by_width(rates, "P1"))
    assert paper not in legend(figures.recognition.tpr_by_width(rates[rates.fpr == 1e-3], "P1"))
    assert paper not in legend(figures.recognition.tpr_by_width(rates.assign(network="mine"), "P1"))
    curve = pd.DataFrame({"fpr": [0, 1e-4, 1], "tpr": [0, 0.2, 1]})
    for curves, least in (({"mine": curve}, 1e-5), ({"hr-only": curve}, 1e-3), ({"kl-only": curve}, 1e-5)):
        assert paper not in legend(figures.recognition.roc(curves, least, "P2", 25))
    assert paper in legend(figures.recognition.roc({"hr-only": curve}, 1e-5, "P2", 25))


def test_a_mark_of_the_paper_that_one_panel_alone_has_is_in_the_legend():
    table = roc_table()
    reversed_order = pd.concat([table[table.fpr == 1e-4], table[table.fpr == 1e-3]])
    assert "the paper's, on its faces" in legend(figures.recognition.tpr_by_width(reversed_order, "P1"))


def test_differences_stand_at_their_values():
    compared = outcome(DILEMMA).difference("lr-only", "hr-only")
    axes = figures.recognition.differences({"lr-only": compared}, "P1", "hr-only").axes[0]
    heights = axes.containers[0].lines[0].get_ydata(orig=False)
    np.testing.assert_allclose(heights, compared.sort_values("width").difference)


def test_a_sheet_has_a_picture_for_each_photo():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 112, 112, 3), dtype=np.uint8)
    figure = figures.recognition.faces_at_widths(images, [112, 20, 16])
    assert len(figure.axes) == 6 and figure.axes[1].get_title() == "20 px"
    np.testing.assert_array_equal(figure.axes[4].images[0].get_array(), images[1, 1])


def test_histograms_show_the_share_of_photos():
    values = np.repeat([0.0, 10.0], [30, 70])
    axes = figures.recognition.attribute_histograms({"yaw (degrees)": values}).axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    assert heights[0] == pytest.approx(30) and heights[-1] == pytest.approx(70) and sum(heights) == pytest.approx(100)


def test_labels_of_near_widths_do_not_run_into_one_another():
    table = outcome({("hr-only", width): 0.5 for width in (112, 100, 60, 20)}).table()
    labels = [label.get_text() for label in figures.recognition.rank1_by_width(table, "P1").axes[0].get_xticklabels()]
    assert sorted(labels, key=int) == ["20", "60", "112"]


def roc_table() -> pd.DataFrame:
    rows = [
        {"protocol": "P1", "network": network, "width": width, "fpr": fpr, "tpr": tpr, "low": tpr - 2, "high": tpr + 2}
        for network, tpr in (("hr-only", 30.0), ("proposed", 50.0))
        for width in (112, 25)
        for fpr in (1e-3, 1e-4)
    ]
    return pd.DataFrame(rows)


def marks(axes) -> set:
    return {tuple(point) for line in axes.lines if line.get_linestyle() == "None" for point in line.get_xydata()}


def test_a_roc_is_drawn_through_its_own_points_beside_the_papers():
    curves = {
        name: pd.DataFrame({"fpr": [0, 1e-4, 1e-2, 1], "tpr": [0, 0.2, 0.6, 1]}) for name in ("hr-only", "proposed")
    }
    axes = figures.recognition.roc(curves, 1e-5, "P2", 25).axes[0]
    line = next(line for line in axes.lines if line.get_label() == "HR-only")
    np.testing.assert_allclose(line.get_ydata(), [0, 20, 60, 100])
    assert marks(axes) == {(1e-4, 52.0), (1e-4, 60.0)} and axes.get_xlim() == (1e-5, 1)
    assert (
        marks(figures.recognition.roc(curves, 1e-3, "P2", 25).axes[0]) == set()
    )  # the axis does not reach the paper's FPR
    assert marks(figures.recognition.roc(curves, 1e-5, "P2", 40).axes[0]) == set()


def test_true_positive_rates_have_a_panel_a_fpr_and_the_papers_marks_where_they_belong():
    left, right = figures.recognition.tpr_by_width(roc_table(), "P1").axes
    assert left.get_title().endswith("0.001") and right.get_title().endswith("0.0001")
    assert marks(left) == set() and marks(right) == {(25, 30.0), (25, 50.0)}


def test_embedders_of_a_readers_own_get_styles_of_their_own():
    table = outcome({("mine", 112): 0.9, ("yours", 112): 0.6, ("hr-only", 112): 0.7}).table()
    axes = figures.recognition.rank1_of_both(table).axes[0]
    drawn = {line.get_label(): (line.get_color(), line.get_marker()) for line in axes.lines}
    assert {"mine", "yours", "HR-only"} <= set(drawn) and len(
        {drawn[name] for name in ("mine", "yours", "HR-only")}
    ) == 3


def test_a_cmc_has_the_narrowest_width_unless_told_otherwise():
    rows = [
        {
            "protocol": protocol,
            "network": "mine",
            "width": width,
            "rank": rank,
            "rate": width / 2 + rank,
            "low": 0,
            "high": 100,
        }
        for protocol in ("P1", "P2")
        for width in (112, 16)
        for rank in (1, 2, 3)
    ]
    narrow, wide = figures.recognition.cmc(pd.DataFrame(rows)), figures.recognition.cmc(pd.DataFrame(rows), 112)
    assert narrow.axes[0].lines[0].get_ydata().tolist() == [9, 10, 11] and len(narrow.axes) == 2
    assert wide.axes[1].lines[0].get_ydata().tolist() == [57, 58, 59]


def test_the_window_around_a_face_at_the_edge_stays_within_the_picture():
    picture = np.zeros((100, 80, 3), np.uint8)
    face = np.array([[60.0, 10], [74, 10], [67, 18], [61, 25], [73, 25]])  # near the upper right corner
    whole = np.array([[30.0, 45], [44, 45], [37, 53], [31, 60], [43, 60]])
    sheet = figures.alignment.points_on_faces([[picture, picture]], [[face, whole]], [[face, whole]], (30, 16))
    for axes in sheet.axes[:2]:
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert left >= -0.5 and right <= 79.5 and top >= -0.5 and bottom <= 99.5
        assert right - left == bottom - top
    assert sheet.axes[1].get_xlim()[0] < 30 and sheet.axes[1].get_xlim()[1] > 44


def test_the_legend_of_kinds_that_all_networks_share_is_in_no_networks_colour():
    kinds = ("same photo", "same person", "other people")
    rows = [
        (name, width, kind, 30.0, 29.0, 31.0)
        for name in ("hr-only", "lr-only")
        for kind in kinds
        for width in (112, 16)
    ]
    table = pd.DataFrame(rows, columns=["network", "width", "kind", "angle", "low", "high"])
    figure = figures.recognition.angles_by_width(table, ["hr-only", "lr-only"])
    lines = figure.legends[0].get_lines()
    assert legend(figure) == list(kinds) and [line.get_linestyle() for line in lines] == ["-", "--", ":"]
    assert {line.get_color() for line in lines} == {text_color()} and {line.get_marker() for line in lines} == {"None"}


def test_no_panel_of_a_common_scale_from_zero_cuts_what_another_shows():
    rows = [
        (name, width, order, value, value - 5, value + 5)
        for name, value in (("hr-only", 10.0), ("proposed", 60.0))
        for order in ORDERS
        for width in (112, 16)
    ]
    orders = pd.DataFrame(rows, columns=["network", "width", "order", "rank1", "low", "high"])
    angles = orders.rename(columns={"rank1": "angle"}).assign(kind="same photo")
    camera = orders.assign(protocol=[{"hr-only": "P1", "proposed": "P2"}[name] for name in orders.network])
    for figure in (
        figures.alignment.orders_by_width(orders),
        figures.recognition.angles_by_width(angles, ["hr-only", "proposed"]),
        figures.small_faces.bicubic_and_camera(camera, camera),
    ):
        low, high = figure.axes[0].get_ylim()
        assert low == 0 and high > 65 and figure.axes[1].get_ylim() == (low, high)
