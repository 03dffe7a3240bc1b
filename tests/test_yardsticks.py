"""The yardsticks of rendered faces say what a count by hand says, with any judge; dlib's file as dlib reads it."""

import json
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

import rifr
from rifr import align
from rifr.errors import DataError
from rifr.evaluation import metrics
from rifr.evaluation.metrics import Interval
from rifr.evaluation.protocols import pairs
from rifr.packs import FacePack
from rifr.readers import pairs as pair_list
from tests.helpers import TINY, easy_faces, photos

sys.path.insert(0, str(Path(__file__).resolve().parent / "benchmarks"))  # scripts, not a package

import dlib_network
import yardsticks


def people(count: int = 12, each: int = 5, spread: float = 1.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (N, 8), person by person around a centre of their own, and identities in an order of no meaning."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0.3, 1, (count, 8)).repeat(each, 0)
    identities = np.array([f"p{(7 * person) % count:02d}" for person in range(count)]).repeat(each)
    order = rng.permutation(len(identities))
    return (centres + rng.normal(0, spread, centres.shape))[order], identities[order]


def lengths_one(embeddings: np.ndarray) -> np.ndarray:
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def scores(embeddings: np.ndarray, identities: np.ndarray) -> tuple[np.ndarray, ...]:
    """The cosine of every pair, and whether it shows one person."""
    unit = lengths_one(embeddings)
    listed = [(unit[i] @ unit[j], identities[i] == identities[j]) for i, j in combinations(range(len(unit)), 2)]
    return tuple(np.array(column) for column in zip(*listed))


def judge(faces: np.ndarray) -> np.ndarray:
    """A naive embedding: the mean colours of 7 x 7 fields, less grey."""
    return faces.reshape(len(faces), 7, 16, 7, 16, 3).mean(axis=(2, 4)).reshape(len(faces), -1) - 128


@pytest.mark.parametrize("spread", [0.05, 0.8, 1.5])
def test_the_accuracy_is_that_of_the_best_of_all_thresholds(spread):
    embeddings, identities = people(spread=spread)
    cosines, same = scores(embeddings, identities)
    tried = [((cosines[same] >= t).mean() + (cosines[~same] < t).mean()) / 2 for t in [*cosines, 2.0]]
    found = yardsticks.balanced_accuracy(embeddings, identities)
    assert found.estimate == pytest.approx(max(tried), abs=1e-9)
    assert found.low <= found.estimate <= found.high + 1e-3 and found.high <= 1
    assert found.high - found.low > 0.01
    if spread < 0.1:  # every pair is right in every resample: Wilson's of the people, who all hit
        sure = metrics.wilson_interval(*2 * [len(np.unique(identities))])
        assert found.low == pytest.approx((sure.low + 1 - 1 / (~same).sum()) / 2)


def test_the_interval_of_the_accuracy_holds_that_of_a_larger_draw_of_people_as_often_as_it_says():
    truth = yardsticks.balanced_accuracy(*people(count=400), resamples=2).estimate
    intervals = [yardsticks.balanced_accuracy(*people(count=25, seed=seed), resamples=400) for seed in range(1, 41)]
    held = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    assert 0.8 <= held <= 1


def test_mean_cosines_are_those_over_all_pairs():
    embeddings, identities = people()
    keep = np.ones(len(identities), bool)
    keep[np.flatnonzero(identities == "p03")[1:]] = False  # one photo: no pair of one person
    keep[np.flatnonzero(identities == "p04")[:2]] = False
    embeddings, identities = embeddings[keep], identities[keep]
    cosines, same = scores(embeddings, identities)
    found = yardsticks.mean_cosines(embeddings, identities)
    assert [one.estimate for one in found] == pytest.approx([cosines[same].mean(), cosines[~same].mean()], abs=1e-12)


def test_the_interval_of_the_cosine_between_people_is_that_of_drawing_people_with_all_their_pairs():
    embeddings, identities = people(count=40, each=3)
    unit = lengths_one(embeddings)
    names = np.unique(identities)
    sums = np.array([[unit[identities == a].sum(0) @ unit[identities == b].sum(0) for b in names] for a in names])
    rng, means = np.random.default_rng(5), []
    for _ in range(4000):
        weight = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        both = np.outer(weight, weight) * (1 - np.eye(len(names)))
        means.append((both * sums).sum() / (9 * both.sum()))
    low, high = np.quantile(means, [0.025, 0.975])
    found = yardsticks.mean_cosines(embeddings, identities)[1]
    assert found.high - found.low == pytest.approx(high - low, rel=0.15)


def test_a_reading_has_rank_1_among_the_distractors_at_each_width(tmp_path):
    pack = easy_faces(tmp_path / "easy", people=6, images=6)
    noise = np.kron(np.random.default_rng(3).normal(0, 110, (36, 7, 7, 3)), np.ones((1, 16, 16, 1)))
    images = (pack.images + noise).clip(0, 255).astype(np.uint8)
    probes = FacePack.write(tmp_path / "p", images, pack.identities, source="noise", licence="CC0")
    others = easy_faces(tmp_path / "others", people=60, images=1, seed=8)
    found = yardsticks.measure("naive", judge, "hard", probes, others, (112, 16), resamples=200, progress=False)
    for width in (112, 16):
        unit, far = (lengths_one(judge(rifr.to_width(faces.images, width))) for faces in (probes, others))
        hits = [
            unit[i] @ unit[j] > (far @ unit[i]).max()
            for i in range(len(unit))
            for j in range(len(unit))
            if i != j and probes.identities[i] == probes.identities[j]
        ]
        assert found.rank1[width].estimate == pytest.approx(np.mean(hits))
        assert 0.1 < np.mean(hits) < 0.9
    cosines, same = scores(judge(probes.images), probes.identities)
    assert found.same.estimate == pytest.approx(cosines[same].mean(), abs=1e-6)
    row, record = found.row(), found.record()
    assert row["faces"] == "hard (36 of 6, 60 others)" and "rank-1, 16 px" in row
    assert record["rank1_16"][1] == found.rank1[16].estimate and record["accuracy"][1] == found.accuracy.estimate


def test_an_aim_that_is_missed_is_named():
    interval = Interval(0.9, 0.95, 1.0)
    reading = yardsticks.Reading("j", "f", 2, 4, 3, interval, interval, Interval(0, 0.05, 0.1), {112: interval})
    assert yardsticks.against_aims(reading) == ["accuracy 95.0, aim 98"]
    worse = replace(reading, accuracy=Interval(0.9, 0.99, 1), different=Interval(0.1, 0.2, 0.3), rank1={20: interval})
    assert yardsticks.against_aims(worse) == ["different 0.200, aim 0.10"]


def test_a_part_of_a_pack_is_evenly_spaced_over_those_who_have_enough_photos(tmp_path):
    pack = easy_faces(tmp_path / "pack", people=6, images=7)
    pack = pack.take(np.flatnonzero((pack.identities != "person-002") | (np.arange(42) % 7 < 2)))
    found = yardsticks.part(pack, 3, 4)
    assert found.people == ["person-000", "person-003", "person-005"] and len(found) == 12
    rows = [np.flatnonzero((pack.images == image).all(axis=(1, 2, 3)))[0] for image in found.images[:4]]
    assert rows == [0, 2, 4, 6]
    with pytest.raises(DataError, match="--people"):
        yardsticks.part(pack, 6, 4)


def test_one_pack_holds_probes_and_others_or_two_packs_do(tmp_path):
    easy_faces(tmp_path / "one", people=9, images=3)
    probes, others = yardsticks.given_packs([tmp_path / "one"], 3, 2, 6)
    assert (len(probes), len(others), len(others.people)) == (6, 6, 6)
    assert not set(probes.people) & set(others.people)
    easy_faces(tmp_path / "crowd", people=12, images=1, seed=4)
    probes, others = yardsticks.given_packs([tmp_path / "one", tmp_path / "crowd"], 4, 3, 8)
    assert (len(probes), len(others)) == (12, 8) and not set(probes.people) & set(others.people)


def test_real_faces_are_those_with_enough_photos_and_strangers_who_are_there_once(tmp_path, store_folder):
    for name, count in {"Ann": 5, "Bea": 4, "Cem": 2}.items():
        photos(tmp_path / "facescrub12", name, count)
    for name, count in {"ann": 1, "Dov": 1, "Eli": 2, "Fay": 1, "Gus": 1}.items():
        photos(tmp_path / "lfw112", name, count, seed=1)
    probes, others = yardsticks.real_faces(tmp_path, 4, 2, progress=False)
    assert probes.people == ["Ann", "Bea"] and len(probes) == 8
    assert others.people == ["Dov", "Gus"]


def test_without_a_judge_the_benchmark_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(dlib_network, "find_file", lambda: None)
    assert yardsticks.judges(yardsticks.JUDGES, tmp_path) == {}
    said = capsys.readouterr().out
    assert dlib_network.INSTALL in said and "mobilefacenet.onnx" in said
    monkeypatch.delenv("RIFR_REAL_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["yardsticks.py"])
    assert yardsticks.main() == 0  # and nothing is rendered
    monkeypatch.setattr(sys, "argv", ["yardsticks.py", "--lfw"])
    assert yardsticks.main() == 0 and "skipped" in capsys.readouterr().out


def test_the_command_measures_a_pack_beside_real_faces_and_writes_what_it_prints(
    tmp_path, store_folder, monkeypatch, capsys
):
    easy_faces(tmp_path / "pack", people=9, images=3)
    for name in ("Ann", "Bea"):
        photos(tmp_path / "real" / "facescrub12", name, 3)
    for name in ("Dov", "Eli", "Fay", "Gus", "Hal"):
        photos(tmp_path / "real" / "lfw112", name, 1)
    monkeypatch.setenv("RIFR_REAL_DATA", str(tmp_path / "real"))
    monkeypatch.setattr(yardsticks, "judges", lambda names, data: dict.fromkeys(names, judge))
    line = "yardsticks.py --people 4 --photos 3 --distractors 5 --real-photos 3 --widths 112 20 --out"
    pack = ["--pack", str(tmp_path / "pack"), "--judge", "dlib"]
    monkeypatch.setattr(sys, "argv", [*line.split(), str(tmp_path / "out.json"), *pack])
    assert yardsticks.main() == 0
    said, rows = capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())["rows"]
    assert "pack (12 of 4, 5 others)" in said and "real (6 of 2, 5 others)" in said
    assert [row["faces"] for row in rows] == ["pack", "real"]
    assert f"{100 * rows[1]['rank1_20'][1]:.1f} [" in said and f"{rows[0]['same'][1]:.3f} [" in said
    monkeypatch.setattr(sys, "argv", [*line.split(), str(tmp_path / "out.json"), *pack, "--people", "9"])
    assert yardsticks.main() == 2 and "nobody is left" in capsys.readouterr().err


def test_sizes_are_those_of_the_yardstick_that_is_asked_for():
    plain, trained = yardsticks.parsed([]), yardsticks.parsed(["--lfw", "--people", "9"])
    assert (plain.people, plain.photos, plain.distractors) == (100, 10, 800)
    assert (trained.people, trained.photos, trained.epochs) == (9, 20, 4)
    with pytest.raises(SystemExit):
        yardsticks.parsed(["--lfw", "--pack", "a", "b"])


def test_the_network_of_the_lfw_rows_is_scored_as_its_own_features_are(tmp_path, store_folder):
    names = ["Ann", "Bea", "Cem", "Dov"]
    for name in names:
        photos(tmp_path / "lfw112", name, 3)
    same = [f"{name}\t{i}\t{j}" for name in names for i, j in [(1, 2), (1, 3)]]
    other = [f"{one}\t{i}\t{two}\t{i}" for one, two in combinations(names, 2) for i in (1, 2)][:8]
    lines = [line for start in (0, 4) for line in (*same[start : start + 4], *other[start : start + 4])]
    (tmp_path / "pairs.txt").write_text("\n".join(["2\t4", *lines]))
    pack = easy_faces(tmp_path / "pack")
    table = yardsticks.lfw_rows(tmp_path, TINY, [0, 1], pack, tmp_path / "pairs.txt", progress=False)
    assert table.views.tolist() == [144, 144] and table.seed.tolist() == [0, 1]
    assert table.camera.tolist() == 2 * [pack.manifest["source"]]  # or they would take the rows of rendered faces
    listed = pair_list.read(tmp_path / "pairs.txt", tmp_path / "lfw112")
    for row in table.itertuples():
        run = rifr.fit("hr-only", TINY, row.seed, pack, progress=False)
        embedder = run.embedder("cpu")
        mirrored = np.ascontiguousarray(listed.photos.images[:, :, ::-1])
        both = np.asarray(embedder(listed.photos.images)) + np.asarray(embedder(mirrored))
        expected = pairs.evaluate(both[listed.first], both[listed.second], listed.same, 2)
        assert row.value == pytest.approx(100 * expected.accuracy)
        assert row.low == pytest.approx(100 * expected.interval().low)


def whole(number: int) -> bytes:
    length = max(1, -(-number.bit_length() // 8))
    return bytes([length]) + number.to_bytes(length, "little")


def layer(name: str, array: np.ndarray, before: bytes = b"") -> bytes:
    shape = [*array.shape, 1, 1, 1, 1][:4]
    head = bytes([len(name)]) + name.encode() + before + whole(2)
    return b"\x01\x01" + head + b"".join(map(whole, shape)) + array.astype("<f4").tobytes() + b"\x01\x07"


@pytest.fixture
def small_network(tmp_path, monkeypatch):
    """A file of two blocks, and its layers: (filters, bias, scale, offset) of each convolution, and the matrix."""
    monkeypatch.setattr(dlib_network, "BLOCKS", [32, 40])
    monkeypatch.setattr(dlib_network, "HALVING", (1,))
    rng, layers, content = np.random.default_rng(0), [], b"\x01\x02some header"
    for before, width, side in [(3, 32, 7), (32, 32, 3), (32, 32, 3), (32, 40, 3), (40, 40, 3)]:
        filters, bias = rng.normal(0, 0.1, (width, before, side, side)), rng.normal(0, 1, width)
        scale, offset = rng.uniform(0.5, 2, width), rng.normal(0, 1, width)
        layers.append((filters, bias, scale, offset))
        content += layer("con_4", np.concatenate([filters.ravel(), bias]))
        content += layer("affine_", np.concatenate([scale, offset]))
    matrix = rng.normal(0, 1, (40, 300))
    content += layer("fc_2", matrix, whole(300) + whole(40))
    (tmp_path / "network.dat").write_bytes(content)
    return tmp_path / "network.dat", layers, matrix


def test_dlibs_file_is_read_and_its_network_run_layer_by_layer(small_network):
    path, layers, matrix = small_network
    faces = np.random.default_rng(1).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)

    def step(x, which, stride, padding):
        filters, bias, scale, offset = (torch.tensor(values) for values in layers[which])
        x = functional.conv2d(x, filters, bias, stride, padding)
        return x * scale[:, None, None] + offset[:, None, None]

    pixels = (dlib_network.chips(faces).astype(float) - dlib_network.MEAN) / 256
    x = functional.max_pool2d(step(torch.tensor(pixels).permute(0, 3, 1, 2), 0, 2, 0).relu(), 3, 2)
    x = (step(step(x, 1, 1, 1).relu(), 2, 1, 1) + x).relu()
    made, kept = step(step(x, 3, 2, 0).relu(), 4, 1, 1), functional.avg_pool2d(x, 2, 2)
    total = torch.zeros(3, 40, 17, 17, dtype=torch.float64)
    total[:, :, : made.shape[2], : made.shape[3]] += made
    total[:, :32, : kept.shape[2], : kept.shape[3]] += kept
    expected = total.relu().mean(dim=(2, 3)).numpy() @ matrix
    judged = dlib_network.DlibJudge(path)
    assert made.shape[2:] == kept.shape[2:] == (17, 17)
    assert np.allclose(judged.embedder()(faces), expected, rtol=1e-4, atol=1e-3)
    assert judged.key != dlib_network.DlibJudge(Path(__file__)).key


def test_a_file_that_ends_early_or_holds_another_network_is_refused(small_network, tmp_path):
    path = small_network[0]
    (tmp_path / "short.dat").write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match="ends early"):
        dlib_network.read_tensors(tmp_path / "short.dat")
    with pytest.raises(DataError, match="tensors"):
        dlib_network.ResNet29(dlib_network.read_tensors(path)[:-1])


def test_the_chip_puts_eyes_and_nose_where_dlib_has_them():
    matrix = dlib_network.to_chip()
    found = align.TEMPLATE[:3] @ matrix[:, :2].T + matrix[:, 2]
    eyes = [[47.7, 47.1], [100.3, 47.1]]  # the middle of dlib's corners; pupils lie a little higher
    assert np.abs(found[:2] - eyes).max() < 4 and (found[:2, 1] < 47.1).all()
    assert 0 < 87.8 - found[2, 1] < 15  # the tip of the nose above its base
    face = np.zeros((112, 112, 3), np.uint8)
    face[50:54, 37:41] = 255  # around the left eye
    y, x = np.argwhere(dlib_network.chips(face[None])[0, :, :, 0] > 200).mean(axis=0)
    assert [x, y] == pytest.approx(found[0], abs=1)
