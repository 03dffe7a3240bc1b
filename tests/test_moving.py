"""Figures that move: what their frames show, and the slider over them."""

import itertools
import re

import numpy as np
import pytest
from matplotlib.patches import StepPatch

from rifr import degrade
from rifr.report import figures, states, two_dim
from rifr.report.frames import frames
from rifr.report.style import NETWORKS
from rifr.splits import FaceSplits
from tests.helpers import easy_faces
from tests.test_living import in_browser, needs_browser


@pytest.fixture
def faces(tmp_path):
    train, probes, distractors = (easy_faces(tmp_path / name, 6, 4, seed) for seed, name in enumerate("abc"))
    return FaceSplits(train, probes, distractors.take(np.arange(0, 24, 4)))


def means(images):
    """A network that sees nine patches of a picture."""
    return (
        images[:, :111, :111].reshape(len(images), 3, 37, 3, 37, 3).mean(axis=(2, 4)).reshape(len(images), -1) - 127.5
    )


def unit(images):
    rows = means(images)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_scores_are_those_of_all_genuine_pairs_and_of_probes_with_distractors(faces):
    found = states.scores(means, faces, 16, mirror=False)
    probes, strangers = (unit(degrade.to_width(np.asarray(p.images), 16)) for p in (faces.probes, faces.distractors))
    names = faces.probes.identities
    genuine = [
        (float(probes[i] @ probes[j]), names[i])
        for i, j in itertools.combinations(range(len(names)), 2)
        if names[i] == names[j]
    ]
    assert len(genuine) == 6 * 6 and np.allclose(found.genuine, sorted(score for score, _ in genuine), atol=1e-5)
    for person, name in enumerate(np.unique(names)):
        own = sorted(score for score, of in genuine if of == name)
        assert np.allclose(found.genuine[found.people == person], own, atol=1e-5)
    impostor = [float(a @ b) for a in probes for b in strangers]
    assert np.allclose(found.impostor, sorted(impostor), atol=1e-5)


@pytest.mark.parametrize("fpr", [0.5, 0.25, 0.1, 0.0])
def test_a_threshold_accepts_at_most_its_share_of_impostors_and_the_next_lower_one_more(fpr):
    rng = np.random.default_rng(int(100 * fpr))
    found = states.Scores(
        *(np.sort(rng.uniform(-1, 1, n)).astype(np.float32) for n in (30, 200)), rng.permutation(np.arange(30) % 7)
    )
    at = found.at_fpr(fpr)
    accepted = np.mean(found.impostor >= np.float32(at))
    assert found.rates(at)[1] == pytest.approx(accepted) and accepted <= fpr
    assert np.mean(found.impostor >= found.impostor[found.impostor < at].max()) > fpr
    assert found.rates(at)[0] == pytest.approx(np.mean(found.genuine >= np.float32(at)))
    shares = [np.mean(found.genuine[found.people == person] >= np.float32(at)) for person in range(7)]
    macro = np.average(shares, weights=np.bincount(found.people))
    tpr = found.tpr(at)
    assert tpr.estimate == pytest.approx(macro) and tpr.low <= macro <= tpr.high and min(shares) <= tpr.low


def test_the_plane_is_that_of_the_features_at_112_px_for_every_width(faces):
    found = states.planes({"hr-only": means}, faces, (16, 112), mirror=False, people=3)
    first = np.isin(faces.probes.labels, [0, 1, 2])
    high, low = (unit(degrade.to_width(np.asarray(faces.probes.images)[first], width)) for width in (112, 16))
    middle = high.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((high - middle).T))
    for k, axis in enumerate((-1, -2)):
        for rows, plane in ((high, found[16]["hr-only"].high), (low, found[16]["hr-only"].low)):
            expected = (rows - middle) @ vectors[:, axis]
            assert min(np.abs(plane[:, k] - expected).max(), np.abs(plane[:, k] + expected).max()) < 1e-4
    assert np.allclose(found[112]["hr-only"].low, found[16]["hr-only"].high)
    assert np.array_equal(found[16]["hr-only"].people, faces.probes.labels[first])


def test_the_figures_of_the_frames_are_drawn(faces):
    found = states.scores(means, faces, 112, mirror=False)
    at = found.at_fpr(0.1)
    above, below = figures.moving.threshold(found, at, "proposed").axes
    tpr, fpr = found.tpr(at).percent(), found.rates(at)[1]
    filled = [patch.get_data() for patch in above.patches if isinstance(patch, StepPatch)]
    accepted = [float(np.mean(pairs >= at)) for pairs in (found.impostor, found.genuine)]
    assert [float(part.values @ np.diff(part.edges)) for part in filled] == pytest.approx(accepted)
    assert {float(part.edges[0]) for part in filled} == {at}
    assert above.get_title() == f"proposed: pairs right of {at:.2f} are accepted"
    colors = [line.get_color() for line in above.lines if line.get_label().endswith("pairs")]
    assert len(colors) == 2 and not {look["color"] for look in NETWORKS.values()} & set(colors)
    assert below.get_title() == f"TPR {tpr.estimate:.1f} % ({tpr.low:.1f} to {tpr.high:.1f}) at an FPR of {fpr:.2g}"
    seen = states.planes({"hr-only": means, "proposed": means}, faces, (16,), mirror=False)
    panels = figures.moving.features_by_width(seen[16], 0.9).axes
    assert [axes.get_title() for axes in panels] == ["HR-only", "proposed"] and panels[0].get_xlim() == (-0.9, 0.9)
    of = two_dim.teacher(0)
    descent = two_dim.plot_features(of, [two_dim.train("proposed", of, seeds=1, steps=2)], reach=5.0)
    assert descent.axes[0].get_ylim() == (-5, 5)


def drawn(height):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(1, 1))
    axes.plot([0, height])
    return figure


def test_without_scripts_one_frame_is_seen(tmp_path):
    shown = frames(drawn, {"one": (1,), "two & a half": (2.5,)}, label="Height", alt="A line,", caption="Lines.")
    text = shown._repr_html_()
    assert text.count('class="rifr-frame"') == 2 and re.findall(r'data-title="([^"]*)" hidden', text) == ["one"]
    assert 'alt="A line, two &amp; a half."' in text and 'data-label="Height"' in text
    assert shown._repr_png_() == shown.shown["two & a half"].light
    with pytest.raises(ValueError, match="no frame is called 'three': there are one"):
        frames(drawn, {"one": (1,)}, label="Height", start="three", alt="A line,", caption="Lines.")
    with pytest.raises(ValueError, match="there are none"):
        frames(drawn, {}, label="Height", alt="A line,", caption="Lines.")


@needs_browser
def test_the_slider_shows_the_frame_that_it_is_at(tmp_path):
    shown = frames(drawn, {str(n): (n,) for n in range(3)}, label="Height", start="1", alt="A line,", caption="Lines.")
    found = in_browser(
        tmp_path,
        (),
        """const input = document.querySelector(".rifr-frames input"), found = [];
        const seen = () => [...document.querySelectorAll(".rifr-frame")].filter((one) => !one.hidden)
          .map((one) => one.dataset.title);
        found.push([seen(), document.querySelector(".rifr-frames output").textContent]);
        input.value = 2;
        input.dispatchEvent(new Event("input"));
        found.push([seen(), document.querySelector(".rifr-frames output").textContent]);
        return found;""",
        body=shown._repr_html_() + '<script src="_static/frames.js"></script>',
    )
    assert found == [[["1"], "1"], [["2"], "2"]]
