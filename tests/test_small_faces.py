"""Tables I and II, and the comparison of shrunk faces with a camera's, are the rankings done by hand."""

from dataclasses import replace
from pathlib import Path

import cv2
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from rifr import camera, landmarks, presets
from rifr.errors import SettingError
from rifr.evaluation import metrics, small_faces
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols import identification
from rifr.faces import surrogates
from rifr.readers import scface as scface_reader
from rifr.readers.scface import ScfaceSets
from rifr.report import figures, text
from rifr.splits import FaceSplits
from rifr.training import trainer
from tests import set_trees
from tests.helpers import easy_faces, other_code

matplotlib.use("Agg")

FEW = presets.get("smoke", tiny_people=4, tiny_distractors=6, surveillance_people=4)


def colours(images: np.ndarray) -> np.ndarray:
    """An embedder that knows no person: the colours of nine fields of the face."""
    return images[:, 20:110, 11:101].reshape(-1, 3, 30, 3, 30, 3).mean(axis=(2, 4)).reshape(len(images), -1)


def greys(images: np.ndarray) -> np.ndarray:
    return images[:, ::16, ::16].mean(axis=3).reshape(len(images), -1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store with both surrogates, and the packs that are read from them."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("store")
        patch.setenv("RIFR_STORE", str(folder))
        yield (
            small_faces.tiny_faces(surrogates.tinyface(FEW, progress=False), progress=False),
            small_faces.filmed_faces(surrogates.scface(FEW, progress=False), progress=False),
        )


def test_figure_1_has_one_person_per_row_from_each_of_three_sets(tmp_path):
    set_trees.tinyface_tree(tmp_path / "tiny")
    set_trees.scface_tree(tmp_path / "scface")
    set_trees.save(tmp_path / "scface/surveillance_cameras_distance_1/cam_1/002_cam1_1.jpg", 40, 30)
    probes = easy_faces(tmp_path / "probes", people=2, images=3)
    rows = small_faces.one_person_each(probes, tmp_path / "tiny", tmp_path / "scface", width=20, count=3)
    own = np.asarray(probes.images)[probes.identities == probes.identities[0]]
    assert [len(shots) for shots in rows.values()] == [3, 2, 3]  # person 1 of the small tree has two photos
    for shrunk, face in zip(rows["synthetic"], own, strict=True):
        assert np.array_equal(shrunk, cv2.resize(face, (20, 20), interpolation=cv2.INTER_CUBIC))
    decoded = np.asarray(Image.open(tmp_path / "tiny/Testing_Set/Gallery_Match/1_8.jpg"))
    assert any(np.array_equal(shot, decoded) for shot in rows["TinyFace"])
    last = tmp_path / "scface/surveillance_cameras_distance_3/cam_5/001_cam5_3.jpg"
    assert np.array_equal(rows["SCface"][-1], np.asarray(Image.open(last)))
    figure = figures.small_faces.one_person_per_row(rows)
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 8 and shown[0].get_ylabel() == "synthetic" and shown[3].get_title("left") == "10 × 12"
    plt.close(figure)


def test_table_1_is_the_ranking_done_by_hand(place):
    tiny, _ = place
    outcome = small_faces.search({"colours": colours}, tiny, FEW, progress=False)
    row = outcome.table().iloc[0]

    packs = [tiny.probes, tiny.gallery, tiny.distractors]
    unit = []
    for pack in packs:
        images = np.asarray(pack.images)
        summed = colours(images) + colours(images[:, :, ::-1])
        unit.append(summed / np.linalg.norm(summed, axis=1, keepdims=True))
    scores = unit[0] @ np.concatenate(unit[1:]).T
    hits, ids = [], tiny.gallery.attributes["id"]
    for score, person in zip(scores, tiny.probes.attributes["id"], strict=True):
        best = max(score[: len(ids)][ids == person])
        hits.append((score > best).sum() == 0)
    assert row.rank1 == pytest.approx(100 * np.mean(hits))
    assert (row.probes, row.people, row.gallery, row.distractors) == (8, 4, 14, 6)
    assert row.low <= row.rank1 <= row.high and row.rank20 == row.rank50 == 100
    assert row.mean_ap <= row.mean_ap_step


def test_table_2_is_the_ranking_done_by_hand_at_each_distance(place):
    _, filmed = place
    outcome = small_faces.surveillance({"colours": colours, "greys": greys}, filmed, FEW, progress=False)
    table = outcome.table().set_index(["network", "distance"])
    assert list(table.loc["colours"].metres) == [4.2, 2.6, 1.0] and set(table.probes) == {20}
    for distance in (1, 2, 3):
        rows = filmed.probes.attributes["distance"] == distance
        images, mugshots = np.asarray(filmed.probes.images[rows]), np.asarray(filmed.mugshots.images)
        probe, gallery = (colours(one) + colours(one[:, :, ::-1]) for one in (images, mugshots))
        probe, gallery = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (probe, gallery))
        found = filmed.mugshots.identities[(probe @ gallery.T).argmax(axis=1)]
        assert table.rank1["colours", distance] == pytest.approx(100 * (found == filmed.probes.identities[rows]).mean())
    compared = outcome.difference("colours", "greys").set_index("distance").difference
    for distance in (1, 2, 3):
        expected = table.rank1["colours", distance] - table.rank1["greys", distance]
        assert compared[distance] == pytest.approx(expected)


def test_fewer_people_of_scface_are_alone_in_gallery_and_probes(place):
    _, filmed = place
    some = ["002", "004"]
    found = small_faces.surveillance({"colours": colours}, filmed, FEW, progress=False, people=some).table()
    alone = ScfaceSets(
        *(pack.take(np.flatnonzero(np.isin(pack.identities, some))) for pack in (filmed.mugshots, filmed.probes))
    )
    expected = small_faces.surveillance({"colours": colours}, alone, FEW, progress=False).table()
    assert set(found.people) == set(found.gallery) == {2} and found.rank1.tolist() == expected.rank1.tolist()
    eighty = small_faces.eighty_of(filmed)
    assert set(eighty) == {f"{n:03d}" for n in scface_reader.eighty()} & {"001", "002", "003", "004"}


def test_people_that_scface_does_not_have_are_named(place):
    with pytest.raises(SettingError, match="no mugshot is of '998', '999'"):
        small_faces.surveillance({"colours": colours}, place[1], FEW, progress=False, people=["002", "999", "998"])


def test_the_caption_of_a_readers_scface_counts_what_no_listed_points_have_aligned(place, tmp_path):
    _, filmed = place
    pack = easy_faces(tmp_path / "faces")
    faces = FaceSplits(pack, pack, pack)
    assert "not aligned" not in text.small_faces.scface_setting(FEW, 0, filmed, faces, "")
    part = np.arange(len(filmed.probes)) >= 3
    probes = replace(filmed.probes, attributes=filmed.probes.attributes | {"by_points": part})
    said = text.small_faces.scface_setting(FEW, 0, replace(filmed, probes=probes), faces, "mine")
    assert " mugshots (3 frames have no points in all.txt: resized, not aligned); " in said


def test_paired_differences_on_tinyface_are_differences_of_its_rows(place):
    tiny, _ = place
    outcome = small_faces.search(
        {
            "proposed": colours,
            "proposed, tight": greys,
            "proposed, camera": greys,
            "proposed, camera and tight": colours,
            "proposed, all three": greys,
        },
        tiny,
        FEW,
        progress=False,
    )
    rate = outcome.table().set_index("network").rank1
    row = outcome.difference("proposed", "proposed, camera").iloc[0]
    assert row.difference == pytest.approx(rate["proposed"] - rate["proposed, camera"])
    assert row.low <= row.difference <= row.high
    effects = small_faces.effects(outcome, outcome)
    for measure, part in effects.groupby("measure"):
        of = part.set_index("what").difference
        first, second = (outcome.results[name,] for name in ("proposed, camera", "proposed"))
        by_hand = {
            "rank-1": first.rank1 - second.rank1,
            "rank-20": first.rank(20) - second.rank(20),
            "mAP": first.mean_ap - second.mean_ap,
        }
        for what in (
            "camera-like training",
            "tight crops, the paper's recipe",
            "wrong landmarks in training on top of both",
        ):
            assert of[what] == pytest.approx(100 * by_hand[measure])
        assert of["both together"] == of["alignment, for proposed"] == 0
    assert set(effects.measure) == set(small_faces.MEASURES)
    said = text.small_faces.effects(effects)
    assert said.count("- **") == 10 and "**both together:** rank-1 not decided, 0.0 (0.0 to 0.0); rank-20 not" in said
    against = small_faces.against(outcome, "proposed, tight", ["proposed", "proposed, camera"])
    by_hand = outcome.results["proposed, tight",].mean_ap - outcome.results["proposed",].mean_ap
    of = against.set_index(["what", "measure"]).difference
    assert of["proposed", "mAP"] == pytest.approx(100 * by_hand) and set(of["proposed, camera"]) == {0}
    lines = text.small_faces.against(against, "proposed").splitlines()
    assert lines[-1].startswith("- **Proposed minus proposed, camera:** rank-1 not decided, 0.0") and len(lines) == 4
    early = text.small_faces.found_early(outcome, "proposed")
    result = outcome.results["proposed",]
    assert f"Of {result.n} probes" in early and f"has {(result.best_ranks == 1).sum()} at rank 1" in early
    assert f"and {(result.best_ranks <= 20).sum()} by rank 20" in early


@pytest.mark.parametrize("file", ["readers/images.py", "readers/tinyface.py", "align.py", "similarity.py"])
def test_packs_are_other_ones_where_pictures_are_decoded_or_aligned_otherwise(tmp_path, monkeypatch, file):
    before = small_faces._key(tmp_path, "a")
    other_code(monkeypatch, file)
    assert small_faces._key(tmp_path, "a") != before


def test_packs_are_kept_by_aligner_and_root_and_found_again(place, monkeypatch):
    tiny, _ = place
    folder = Path(tiny.probes.images.filename).parents[2]
    monkeypatch.setenv("RIFR_STORE", str(folder.parent))
    root = surrogates.tinyface(FEW, progress=False)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("manifest.json")}
    small_faces.tiny_faces(root, progress=False)
    small_faces.filmed_faces(surrogates.scface(FEW, progress=False), progress=False)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("manifest.json")} == before

    def blacken(picture):
        return np.zeros((112, 112, 3), np.uint8)

    with pytest.raises(SettingError, match="key"):
        small_faces.tiny_faces(root, blacken, progress=False)
    blacken.key = "black"
    black = small_faces.tiny_faces(root, blacken, progress=False)
    assert not np.asarray(black.probes.images).any() and np.asarray(tiny.probes.images).any()


def fake_faces(folder) -> FaceSplits:
    return FaceSplits(
        *(
            easy_faces(folder / str(seed), people, images, seed)
            for seed, people, images in ((0, 2, 2), (1, 4, 3), (2, 9, 1))
        )
    )


def test_identification_from_a_camera_differs_from_chapter_7_in_how_faces_were_made_small_alone(tmp_path):
    faces = fake_faces(tmp_path)
    outcome = small_faces.identify_by_camera({"colours": colours}, faces, FEW, [16], seed=3, progress=False)
    small = [small_faces.camera_pack(pack, 16, 3) for pack in (faces.probes, faces.distractors)]
    assert np.array_equal(
        small[0].images, camera.simulate_camera(np.asarray(faces.probes.images), 16, np.random.default_rng([3, 16, 12]))
    )
    assert small[0].checksum not in (faces.probes.checksum, small_faces.camera_pack(faces.probes, 20, 3).checksum)

    def both(images):
        return colours(np.asarray(images)) + colours(np.asarray(images)[:, :, ::-1])

    for protocol, gallery, strangers in (
        ("P1", small[0].images, small[1].images),
        ("P2", faces.probes.images, faces.distractors.images),
    ):
        expected = identification.evaluate(
            both(small[0].images), both(gallery), faces.probes.identities, both(strangers)
        )
        table = outcome.table()
        assert table[table.protocol == protocol].rank1.item() == pytest.approx(100 * expected.rank1)


def test_a_change_pairs_the_same_people_of_two_outcomes():
    draw, trials, nobody = np.random.default_rng(0), np.full(6, 6), np.zeros(0, int)
    hits = [draw.integers(0, 7, 6) for _ in range(2)]
    to, of = (identification.Identification(np.arange(6), trials, h[:, None], nobody, nobody, 0, 9) for h in hits)
    key, narrow = ("P1", "proposed", 20), ("P1", "proposed", 16)
    row = Outcome({key: to}, 200).change(Outcome({key: of}, 200)).iloc[0]
    expected = metrics.interval(hits[0], trials, other_hits=hits[1], resamples=200)
    assert (row.difference, row.low, row.high) == pytest.approx(
        [100 * one for one in (expected.estimate, expected.low, expected.high)]
    )
    assert Outcome({key: to}, 200).change(Outcome({narrow: of}, 200)).empty


def test_a_landmark_network_that_is_trained_again_makes_other_packs(place, monkeypatch):
    tiny, _ = place
    folder = Path(tiny.probes.images.filename).parents[2]
    monkeypatch.setenv("RIFR_STORE", str(folder.parent))
    root = surrogates.tinyface(FEW, progress=False)
    plan = replace(FEW, landmarks=replace(FEW.landmarks, people=2, images=4, epochs=1, channels=4, batch_size=4))
    places = []
    for seed in (0, 1):
        run = landmarks.fit("wing+lr", plan, seed, progress=False)
        places.append(Path(small_faces.tiny_faces(root, run.aligner(), False).probes.images.filename))
    assert places[0] != places[1]


def test_variants_are_the_proposed_student_with_other_fields_and_its_own_teacher(tmp_path, store_folder):
    faces = fake_faces(tmp_path)
    plan = presets.get("smoke", epochs=1, batch_size=4, embedding=8)
    runs = small_faces.fit_variants(plan, 0, faces, progress=False)
    proposed = trainer.fit("proposed", plan, 0, faces.train, progress=False)
    assert list(runs) == ["proposed, tight", "proposed, camera", "proposed, camera and tight", "proposed, all three"]
    assert {run.record["teacher"] for run in runs.values()} == {proposed.record["teacher"]}
    for name, run in runs.items():
        changed = {key for key, value in run.record["training"].items() if value != proposed.record["training"][key]}
        assert changed == set(small_faces.VARIANTS[name]) and run.recipe.name == "proposed"
    assert len(list((store_folder / "runs").glob("hr-only*/record.json"))) == 1


def test_a_line_up_shows_a_mugshot_above_frames_of_the_same_person(place):
    _, filmed = place
    shown = small_faces.line_up(filmed, 3)
    assert shown.shape == (4, 3, 112, 112, 3) and shown.dtype == np.uint8
    for column, name in enumerate(("001", "002", "003")):
        own = filmed.probes.images[filmed.probes.identities == name]
        assert all(any(np.array_equal(shown[row, column], image) for image in own) for row in (1, 2, 3))
        assert np.array_equal(shown[0, column], filmed.mugshots.images[column])
