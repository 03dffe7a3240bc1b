"""Tables I and II, the comparison of shrunk faces with a camera's, and what may be said of them."""

from dataclasses import fields, replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rifr import camera, landmarks, presets, recipes
from rifr.errors import SettingError
from rifr.evaluation import metrics, small_faces
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols import identification
from rifr.faces import surrogates
from rifr.report import errata, figures, paper, text
from rifr.report.show import show
from rifr.splits import FaceSplits
from rifr.training import trainer
from tests.helpers import easy_faces

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


def test_paired_differences_on_tinyface_are_differences_of_its_rows(place):
    tiny, _ = place
    outcome = small_faces.search(
        {"proposed": colours, "proposed, camera": greys, "proposed, camera and tight": colours},
        tiny,
        FEW,
        progress=False,
    )
    rate = outcome.table().set_index("network").rank1
    row = outcome.difference("proposed", "proposed, camera").iloc[0]
    assert row.difference == pytest.approx(rate["proposed"] - rate["proposed, camera"])
    assert row.low <= row.difference <= row.high
    effects = small_faces.effects(outcome, outcome).set_index("what")
    assert effects.difference["camera-like training"] == pytest.approx(-row.difference)
    assert effects.difference["both together"] == effects.difference["alignment, for proposed"] == 0
    said = text.small_faces.effects(effects.reset_index())
    assert said.count("\n") == 4 and "**both together:** not decided (+0.0" in said


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
    assert list(runs) == ["proposed, camera", "proposed, camera and tight"]
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


def test_our_rows_of_table_1_hold_six_networks_n_and_intervals():
    shown = text.small_faces.tinyface_table(search_table())
    assert len(shown) == 6 and set(shown["rank-1"]) == {"50.0 (40.0–60.0)"}
    assert (set(shown.probes), set(shown.gallery)) == ({"16 of 8"}, {"40"})


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
        assert "surrogate" in sentence and f"rendered-{name}" in sentence and f"-p {name}_root" in sentence
        real = text.small_faces.notice(name, "/data")
        assert "surrogate" not in real and told in real
        assert "surrogate" in text.small_faces.faces_of(name, "") and text.small_faces.faces_of(name, "/data") == told
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
        ([(20, -9, -12, -6), (16, -3, -8, 2)], "of 2 comparisons 1 for a loss."),
        ([(20, -9, -12, -6), (16, 3, 1, 8)], "of 2 comparisons 1 for a loss and 1 for a gain."),
        ([(20, -9, -12, 6)], "none of 1 comparisons is decided."),
    ],
)
def test_what_is_lost_is_counted_by_what_its_intervals_decide(values, said):
    sentence = text.small_faces.lost(differences(*values), "proposed")
    assert (
        sentence.startswith("**proposed**, camera minus bicubic: " + said)
        and f"{values[0][1]:+.1f} at 20 px" in sentence
    )


def test_what_is_won_back_stands_beside_what_was_lost():
    gain, change = differences((20, 4, 1, 7)), differences((20, -9, -12, -6))
    sentence = text.small_faces.won_back(gain, change, "proposed, camera", "proposed")
    assert (
        "of 1 comparisons 1 for a gain" in sentence
        and "+4.0 (+1.0 to +7.0), where proposed had changed by -9.0" in sentence
    )


def test_a_verdict_names_who_is_ahead_and_decides_nothing_across_zero():
    say = text.small_faces.against_by_distance
    assert "at d1 proposed is ahead of HR+LR by 5.0 points" in say(differences((20, 5, 1, 9)), "proposed", "hr+lr")
    assert "at d1 HR+LR is ahead of proposed by 5.0 points" in say(differences((20, -5, -9, -1)), "proposed", "hr+lr")
    assert "does not decide between proposed and HR+LR (+5.0 points, -1.0 to +9.0)" in say(
        differences((20, 5, -1, 9)), "proposed", "hr+lr"
    )


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
        values = [getattr(row, one.name) for one in fields(row) if one.name not in ("method", "people")]
        assert all(value is None or 0 < value <= 100 for value in values)
    low, high = paper.CASIA_ON_TINYFACE
    assert low < high < paper.TABLE_1[-1].rank1
