"""Figures show the numbers they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from rifr import figures
from tests.test_narrate import DILEMMA, outcome


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_curve_a_network_with_its_band_and_the_papers_marks():
    table = outcome(DILEMMA).table()
    axes = figures.rank1_by_width(table, "P1").axes[0]
    curves = {line.get_label(): line for line in axes.lines if len(line.get_xdata()) > 1 and line.get_linestyle() != "None"}
    rows = table[table.network == "hr-only"].sort_values("width")
    np.testing.assert_allclose(curves["HR-only"].get_ydata(), rows.rank1)
    assert set(curves) == {"HR-only", "LR-only", "HR+LR"} and len(axes.collections) == 3
    marks = [tuple(point) for line in axes.lines if line.get_linestyle() == "None" for point in line.get_xydata()]
    assert (20, 25.0) in marks and (100, 77.64) in marks and (20, 50.65) not in marks


def test_differences_stand_at_their_values():
    compared = outcome(DILEMMA).difference("lr-only", "hr-only")
    axes = figures.differences({"lr-only": compared}, "P1", "hr-only").axes[0]
    heights = axes.containers[0].lines[0].get_ydata(orig=False)
    np.testing.assert_allclose(heights, compared.sort_values("width").difference)


def test_a_sheet_has_a_picture_for_each_photo():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 112, 112, 3), dtype=np.uint8)
    figure = figures.faces_at_widths(images, [112, 20, 16])
    assert len(figure.axes) == 6 and figure.axes[1].get_title() == "20 px"
    np.testing.assert_array_equal(figure.axes[4].images[0].get_array(), images[1, 1])


def test_histograms_show_the_share_of_photos():
    values = np.repeat([0.0, 10.0], [30, 70])
    axes = figures.attribute_histograms({"yaw (degrees)": values}).axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    assert heights[0] == pytest.approx(30) and heights[-1] == pytest.approx(70) and sum(heights) == pytest.approx(100)


def test_labels_of_near_widths_do_not_run_into_one_another():
    table = outcome({("hr-only", width): 0.5 for width in (112, 100, 60, 20)}).table()
    labels = [label.get_text() for label in figures.rank1_by_width(table, "P1").axes[0].get_xticklabels()]
    assert sorted(labels, key=int) == ["20", "60", "112"]
