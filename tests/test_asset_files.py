"""Skins, meshes and skies are read as their files say, and a file of another kind is named."""

import base64
import json
import os

import cv2
import numpy as np
import pytest

from rifr.errors import DataError
from rifr.faces import assets, credits, head
from rifr.faces.assets import CHART, STEPS

ONE_OF_EACH = {
    "hair": ("short03",),
    "brows": ("eyebrow001",),
    "lashes": ("Eyelashes01",),
    "teeth": ("Teeth_Base",),
    "irises": ("grey",),
    "hdris": ("city",),
    "skins": ("young_asian_male",),
}


@pytest.fixture(scope="module")
def model():
    return head.load(progress=False)


def picture(colours, kind=".png"):
    return cv2.imencode(kind, np.ascontiguousarray(colours[..., [2, 1, 0, 3][: colours.shape[2]]]))[1].tobytes()


def script(colours):
    os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")
    return b"export default 'data:image/x-exr;base64," + base64.b64encode(picture(colours, ".exr")) + b"';"


def eye(column, row):
    """A black pupil, an iris that is red on its left and green on its right, on white."""
    y, x = np.mgrid[:512, :512]
    reach = np.hypot(x - column, y - row)[..., None]
    iris = np.where((x < column)[..., None], np.array([200, 60, 30]), np.array([60, 200, 30]))
    return np.where(reach < 17, 0, np.where(reach < 59, iris, 235)).astype(np.uint8)


@pytest.fixture
def members(model, monkeypatch):
    """The files of one item of each kind, by path; each mesh is two quads, of which one hangs on a foot."""
    for kind, names in ONE_OF_EACH.items():
        monkeypatch.setattr(credits, kind, lambda names=names: names)
    foot = int(np.setdiff1d(np.arange(13000), model.base)[0])
    on = model.base[[10, 500, 900]].tolist()
    mesh = {
        "ref_vIdxs": [on] * 4 + [[foot, *on[:2]]],
        "weights": [[0.5, 0.3, 0.2]] * 5,
        "offsets": [[0, 0, 0], [1, 0, 0], [1, 2, 3], [0, 2, 3], [0, 0, 9]],
        "uvs": [[0.1, 0.25, 0.4, 0.25, 0.4, 0.75, 0.1, 1.01]],
        "faces": [11, 0, 1, 2, 3, 0, 0, 1, 2, 3, 11, 0, 1, 2, 4, 0, 0, 1, 2, 3],
    }
    sheet = np.full((8, 8, 4), 90, np.uint8)
    sheet[:, :, 3] = np.where(np.arange(8) < 4, 255, 0)
    u, v = np.meshgrid((np.arange(64) + 0.5) / 64, 1 - (np.arange(64) + 0.5) / 64)
    skin = (255 * np.stack([0.4 + 0.2 * u, 0.5 - 0.2 * v, 0.5 + 0 * u], axis=-1)).round().astype(np.uint8)
    files = {path: b"" for (name,) in ONE_OF_EACH.values() for path in credits.members(name)}
    files |= {path: json.dumps(mesh).encode() if path.endswith(".json") else picture(sheet) for path in files}
    files[credits.members("young_asian_male")[0]] = picture(skin)
    files[credits.members("grey")[0]] = picture(eye(148, 363))
    sky = np.ones((256, 512, 3), np.float32)
    sky[:128] = [3, 2, 1]
    files[credits.members("city")[0]] = script(sky)
    return {("a package", path): content for path, content in files.items()}


def test_a_mesh_is_read_as_its_file_says(model, members):
    built = assets.build(model, members)
    mesh = built.hair["short03"]
    assert len(mesh.anchors) == 4 and len(mesh.triangles) == 2  # without the quad on the foot
    assert (mesh.anchors == [10, 500, 900]).all()
    assert np.allclose(mesh.offsets[2], [0.1, -0.3, 0.2])  # decimetres with y up
    assert np.allclose(mesh.uv, [[0.1, 0.75], [0.4, 0.75], [0.4, 0.25], [0.1, 0.0]])
    corners = mesh.triangles.astype(int)
    assert {frozenset(corner) for corner in corners.tolist()} in (
        {frozenset({0, 1, 2}), frozenset({0, 2, 3})},
        {frozenset({0, 1, 3}), frozenset({1, 2, 3})},
    )
    mean = head.mean_vertices(model)
    x, y, z = 0.5 * mean[10] + 0.3 * mean[500] + 0.2 * mean[900] + [0.1, -0.3, 0.2]
    assert np.allclose(mesh.place[2], [np.arctan2(x, -0.06 - y), z], atol=1e-5)
    assert mesh.solid.all() and (mesh.sheet[:, :100, 1] == 255).all() and (mesh.sheet[:, 156:, 1] == 0).all()
    assert abs(built.sky[0].mean(axis=(1, 2))[[0, -1]] - [4 / 3, 2 / 3]).max() < 2e-3
    assert assets.harmonics(0.0, 0.0, 1.0) @ built.light[0] == pytest.approx([2, 4 / 3, 2 / 3], rel=0.03)


def test_an_iris_is_cut_out_about_its_pupil(model, members):
    (iris,) = assets.build(model, members).irises
    texel = assets.IRIS[3] / (assets.EYE / 2)
    y, x = np.mgrid[: assets.EYE, : assets.EYE] - (assets.EYE - 1) / 2
    reach = np.hypot(x, y) * texel
    assert iris[reach < 12][:, :3].max() < 40
    for side, colour in ((x < -2, [200, 60, 30]), (x > 2, [60, 200, 30])):
        ring = iris[(reach > 26) & (reach < 50) & side][:, :3]
        linear = ((np.array(colour) / 255 + 0.055) / 1.055) ** 2.4
        assert np.abs(ring / 255.0 - np.sqrt(linear)).max() < 0.03
    assert (iris[reach < 50][:, 3] > 250).all() and iris[reach > 64][:, 3].max() < 8


def test_of_the_teeth_the_gums_are_clear(model, members):
    (path,) = (path for path in credits.members("Teeth_Base") if path.endswith(".png"))
    colours = np.full((8, 8, 4), 255, np.uint8)
    colours[:, :4, :3], colours[:, 4:, :3] = [200, 190, 180], [150, 40, 45]
    sheet = assets.build(model, members | {("a package", path): picture(colours)}).teeth["Teeth_Base"].sheet
    assert (sheet[:, :100, 1] == 255).all() and (sheet[:, 156:, 1] == 0).all()


def test_a_chart_shows_at_a_vertex_the_colour_that_its_skin_has_there(model, members):
    chart = assets.build(model, members).skins[0].astype(float)
    assert (chart[..., 2] == 128).all()
    corner, uv = model.triangles[model.part == 0].ravel(), model.corner_uv[model.part == 0].reshape(-1, 2)
    azimuth, height = model.canonical[corner].T
    outside = (np.abs(azimuth) < 1.0) & (height > 0.86) & (height < 0.99) & (model.occlusion[corner] > 0.8)
    row = ((height - head.BOTTOM) / (head.TOP - head.BOTTOM) * CHART).astype(int)[outside]
    column = ((azimuth / (2 * head.AZIMUTH) + 0.5) * CHART).astype(int)[outside]
    for channel, value in enumerate((0.4 + 0.2 * uv[outside, 0], 0.5 - 0.2 * uv[outside, 1])):
        linear = ((value + 0.055) / 1.055) ** 2.4
        difference = chart[row, column, channel] - STEPS * np.log(linear)
        assert np.quantile(np.abs(difference - np.median(difference)), 0.95) < 1  # a shade of 8 bits
    assert STEPS * np.log(linear).std() > 2 and np.corrcoef(chart[row, column, 1], np.log(linear))[0, 1] > 0.95


@pytest.mark.parametrize(
    ("item", "ending", "content"),
    [
        ("short03", ".json", b"<html>"),
        ("short03", ".json", b"[]"),
        ("short03", ".json", json.dumps({"faces": [10, 0, 1, 2, 0, 0, 1, 2]}).encode()),
        ("eyebrow001", ".png", b""),
        ("eyebrow001", ".png", b"GIF89a"),
        ("Eyelashes01", ".png", cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes()),
        ("young_asian_male", ".png", picture(np.zeros((4, 4, 3), np.uint16))),
        ("city", ".js", b"export default 7"),
        ("city", ".js", b"'data:;base64,AAAA'"),
        ("city", ".js", script(np.ones((8, 16, 3), np.float32))),
    ],
)
def test_a_file_of_a_wrong_kind_is_named(model, members, item, ending, content):
    path = next(path for path in credits.members(item) if path.endswith(ending))
    with pytest.raises(DataError, match=path):
        assets.build(model, members | {("a package", path): content})


def test_a_mesh_of_triangles_is_refused(model, members):
    path = credits.members("short03")[0]
    text = json.loads(members["a package", path])
    text["faces"] = [10, 0, 1, 2, 0, 0, 1, 2] * 5
    with pytest.raises(DataError, match=path):
        assets.build(model, members | {("a package", path): json.dumps(text).encode()})
