"""One trial in pictures, against cosines and ranks computed one by one."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from rifr import degrade
from rifr.errors import DataError, SettingError
from rifr.evaluation.one_probe import misses, nearest_widths, one_probe
from rifr.report import figures, text
from rifr.splits import FaceSplits
from tests.helpers import TINY, easy_faces

WIDTHS = [112, 30, 16]


def fine(images: np.ndarray) -> np.ndarray:
    """Features that hang on single pixels, which small faces lose: differences of neighbours."""
    return np.diff(images[:, 40:60, 40:60].astype(np.float32), axis=1).reshape(len(images), -1)


def coarse(images: np.ndarray) -> np.ndarray:
    """Features that shrinking hardly changes: the means of large blocks, without the mean of all."""
    blocks = images.astype(np.float32).reshape(len(images), 7, 16, 7, 16, 3).mean((2, 4)).reshape(len(images), -1)
    return blocks - blocks.mean(1, keepdims=True)


def speckled(path, people: int, images: int, seed: int):
    """Photos of a person share a fine pattern of their own, so that `fine` finds them until they are shrunk."""
    pack = easy_faces(path, people, images, seed)
    rng = np.random.default_rng(seed)
    specks = {name: rng.integers(-60, 60, (112, 112, 3)) for name in pack.people}
    shots = np.stack([np.asarray(pack.images[row]) + specks[name] for row, name in enumerate(pack.identities)])
    return type(pack).write(
        path.parent / f"{path.name}-speckled",
        shots.clip(0, 255).astype(np.uint8),
        pack.identities.tolist(),
        source="patterns",
        licence="CC0",
    )


@pytest.fixture
def faces(tmp_path):
    probes, strangers = speckled(tmp_path / "probes", 4, 3, 1), speckled(tmp_path / "distractors", 40, 1, 2)
    return FaceSplits(strangers, probes, strangers)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def feature(embedder, pack, row: int, width: int) -> np.ndarray:
    image = degrade.to_width(np.asarray(pack.images[[row]]), width)
    return (embedder(image) + embedder(image[:, :, ::-1]))[0].astype(np.float64)


def naive(embedder, faces, probe: int, joined: int, width: int) -> tuple[float, list[float]]:
    """The right cosine and those of all distractors, one after the other."""
    searched = feature(embedder, faces.probes, probe, width)
    wrong = [cosine(searched, feature(embedder, faces.distractors, row, 112)) for row in range(len(faces.distractors))]
    return cosine(searched, feature(embedder, faces.probes, joined, 112)), wrong


def test_cosines_and_ranks_are_those_computed_one_by_one(faces):
    embedders = {"hr-only": fine, "proposed": coarse}
    trial = one_probe(embedders, faces, TINY, WIDTHS)
    assert trial.widths == WIDTHS and len(trial.answers) == 6
    for (network, width), answer in trial.answers.items():
        right, wrong = naive(embedders[network], faces, trial.probe, trial.joined, width)
        assert answer.right == pytest.approx(right, abs=1e-5)
        assert answer.best_wrong == pytest.approx(max(wrong), abs=1e-5)
        assert answer.wrong == int(np.argmax(wrong)) and answer.rank == 1 + sum(other >= right for other in wrong)
        np.testing.assert_array_equal(trial.wrong_images[network, width], faces.distractors.images[answer.wrong])


def test_the_trial_is_the_first_that_the_choosing_network_finds_large_and_misses_small(faces):
    trial = one_probe({"hr-only": fine}, faces, TINY, WIDTHS)
    identities = faces.probes.identities.tolist()
    trials = [
        (probe, joined)
        for probe, person in enumerate(identities)
        for joined, other in enumerate(identities)
        if person == other and probe != joined
    ]

    def hit(probe: int, joined: int, width: int) -> bool:
        right, wrong = naive(fine, faces, probe, joined, width)
        return right > max(wrong)

    lost = [pair for pair in trials if hit(*pair, 112) and not hit(*pair, 16)]
    assert lost and (trial.probe, trial.joined) == lost[0] and trial.lost
    assert "finds at 112 px and misses at 16 px." in text.recognition.chosen(trial)
    assert trial.answers["hr-only", 112].rank == 1 < trial.answers["hr-only", 16].rank


def test_where_no_trial_is_lost_the_first_of_all_stands_in(faces):
    trial = one_probe({"hr-only": coarse}, faces, TINY, [112])
    assert (trial.probe, trial.joined, trial.lost) == (0, 1, False)
    assert "there is none" in text.recognition.chosen(trial)


def test_the_figure_shows_the_probe_as_the_networks_get_it_and_frames_the_higher_cosine(faces):
    trial = one_probe({"hr-only": fine, "proposed": coarse}, faces, TINY, WIDTHS)
    figure = figures.recognition.one_probe(trial)
    photo = np.asarray(faces.probes.images[[trial.probe]])
    assert len(figure.axes) == 3 * 5 and 96 * figure.get_figwidth() <= 290  # CSS pixels beside a phone's margins
    for line, width in enumerate(WIDTHS):
        probe, right, wrong = figure.axes[5 * line : 5 * line + 3]
        np.testing.assert_array_equal(probe.images[0].get_array(), degrade.to_width(photo, width)[0])
        np.testing.assert_array_equal(right.images[0].get_array(), faces.probes.images[trial.joined])
        answer = trial.answers["hr-only", width]
        assert right.get_xlabel() == f"{answer.right:.2f}\nrank {answer.rank}"
        assert wrong.get_xlabel() == f"{answer.best_wrong:.2f}"
        framed = [any(spine.get_visible() for spine in axes.spines.values()) for axes in (right, wrong)]
        assert framed == [answer.right > answer.best_wrong, answer.right <= answer.best_wrong]
    plt.close(figure)


def test_widths_are_the_nearest_that_were_measured():
    assert nearest_widths([112, 100, 60, 40, 30, 25, 20, 16]) == [112, 30, 16]
    assert nearest_widths([112, 40, 20, 16]) == [112, 40, 16]
    assert nearest_widths([16]) == [16]


def test_what_makes_no_trial_is_refused(faces):
    with pytest.raises(SettingError, match="chosen_by"):
        one_probe({"mine": coarse}, faces, TINY)
    with pytest.raises(DataError, match="two photos"):
        one_probe({"hr-only": coarse}, FaceSplits(faces.train, faces.distractors, faces.train), TINY)
    nobody = faces.distractors.take(np.array([], int))
    with pytest.raises(DataError, match="no distractors"):
        one_probe({"hr-only": coarse}, FaceSplits(faces.train, faces.probes, nobody), TINY)


def test_misses_are_the_first_of_each_person_by_cosines_computed_one_by_one(faces):
    width, expected = 16, {}
    for probe, person in enumerate(faces.probes.identities):
        for joined in np.flatnonzero(faces.probes.identities == person):
            if joined != probe and person not in expected:
                right, others = naive(fine, faces, probe, joined, width)
                if right <= max(others):
                    expected[person] = (probe, joined, int(np.argmax(others)), right, max(others))
    assert len(expected) > 1
    found = misses(fine, faces, "smoke", width, count=99)
    assert [(one.probe, one.joined, one.wrong) for one in found] == [row[:3] for row in expected.values()]
    cosines = [(one.right, one.best_wrong) for one in found]
    assert np.allclose(cosines, [row[3:] for row in expected.values()], atol=1e-6)
    assert misses(fine, faces, "smoke", width, count=1) == found[:1]
    probe, right, answer = found[1].images
    np.testing.assert_array_equal(probe, degrade.to_width(faces.probes.images[[found[1].probe]], width)[0])
    np.testing.assert_array_equal(right, faces.probes.images[found[1].joined])
    np.testing.assert_array_equal(answer, faces.distractors.images[found[1].wrong])
    figure = figures.recognition.misses(found, width)
    below = [panel.get_xlabel() for panel in figure.axes[len(found) :]]
    assert below == [f"{one:.2f}" for of_all in zip(*cosines, strict=True) for one in of_all]
    plt.close(figure)
    with pytest.raises(DataError, match="no distractors"):
        misses(fine, replace(faces, distractors=faces.distractors.take(np.zeros(0, int))))
