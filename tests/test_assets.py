"""Skins, meshes and skies of the faces, recomputed from what their files say."""

import numpy as np
import pytest

from rifr.faces import assets, credits, head, textures
from rifr.faces.assets import CHART, CONTRAST, SHEET, STEPS

FACE = (slice(int(0.30 * CHART), int(0.66 * CHART)), slice(int(0.40 * CHART), int(0.60 * CHART)))  # brow to mouth


def directions(count):
    """(3, count) unit vectors that cover the sphere evenly (a Fibonacci lattice)."""
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    return np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z])


def panorama_directions(rows, columns):
    polar, turn = np.meshgrid(
        (np.arange(rows) + 0.5) / rows * np.pi, (np.arange(columns) + 0.5) / columns * 2 * np.pi, indexing="ij"
    )
    return np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)])


# light ----------------------------------------------------------------------------------------------------------------


def radiance(ways):
    """A sky with a broad red light ahead, a green one to the left and above, a blue floor."""
    x, y, z = ways
    return np.stack([np.exp(1.5 * y), 0.5 + np.exp(x + z), 1.5 + z * z - z + x * y * z], axis=-1)


def test_the_nine_numbers_give_the_integral_of_the_cosine_over_the_sky():
    weights = assets.irradiance(radiance(panorama_directions(64, 128)))
    sky = directions(20000)
    colours = radiance(sky)
    for normal in directions(40).T:
        cosine = np.maximum(normal @ sky, 0)
        expected = 4 * (cosine[:, None] * colours).mean(axis=0) / colours.mean()  # an even sky gives 1
        assert assets.harmonics(*normal) @ weights == pytest.approx(expected, abs=0.02)


def test_an_even_sky_gives_one_to_every_direction_whatever_its_brightness():
    weights = assets.irradiance(np.full((64, 128, 3), 3.5))
    for normal in directions(20).T:
        assert assets.harmonics(*normal) @ weights == pytest.approx(np.ones(3), abs=1e-3)


def test_a_sun_lights_the_face_no_more_than_a_bright_cloud():
    sun, cloud = np.ones((2, 64, 128, 3))
    sun[20, 30], cloud[20, 30] = 5000, 12
    assert np.array_equal(assets.irradiance(sun), assets.irradiance(cloud))


def test_each_sky_that_is_kept_is_the_one_whose_light_is_kept(made):
    ways = panorama_directions(*assets.PANORAMA)
    area = np.sqrt(1 - ways[2] ** 2)
    normals = directions(60)
    cosine = np.maximum(np.einsum("xn,xij->nij", normals, ways), 0) * area
    lights = [(assets.harmonics(*normals).T @ weights).ravel() for weights in made.light]
    assert np.isfinite(made.sky).all() and made.sky.min() >= 0
    expected = [np.einsum("nij,ijc->nc", cosine, np.minimum(sky, 12)).ravel() for sky in made.sky]
    alike = np.corrcoef(expected, lights)[: len(expected), len(expected) :]
    assert alike.diagonal().min() > 0.8 and np.median(alike.diagonal()) > 0.99
    assert (alike.argmax(axis=1) == np.arange(18)).sum() >= 16  # a small picture loses narrow lamps


# skins ----------------------------------------------------------------------------------------------------------------


def test_the_middle_of_every_skins_face_is_128_and_its_contrast_bounded(made):
    assert made.skins.shape == (20, CHART, CHART, 3)
    spreads = []
    for chart in made.skins:
        face = chart[FACE].reshape(-1, 3).astype(float)
        assert (np.median(face, axis=0) == 128).all()
        spreads.append(((face - 128) / STEPS).std())
    assert max(spreads) < CONTRAST + 0.002 and min(spreads) < 0.8 * CONTRAST


def test_a_skins_relief_is_the_weighted_product_of_two_skins(made):
    look = {"relief_first": 3.0, "relief_second": 11.0, "relief_share": 0.7, "relief_gain": 1.2}
    first, second = ((made.skins[k].astype(np.float64) - 128) / STEPS for k in (3, 11))
    found = textures.relief(look | {"relief_mirror": (0, 1)}, made.skins)
    assert np.allclose(found, np.exp(1.2 * (0.7 * first + 0.3 * second[:, ::-1])), rtol=1e-5)
    straight, mirrored = (textures.relief(look | {"relief_mirror": (side, side)}, made.skins) for side in (0, 1))
    assert np.array_equal(straight[:, ::-1], mirrored)


# meshes ---------------------------------------------------------------------------------------------------------------


def test_every_mesh_indexes_its_own_vertices_hangs_on_the_head_and_stays_in_its_sheet(made, model):
    meshes = {name: mesh for kind in assets.KINDS for name, mesh in getattr(made, kind).items()}
    assert tuple(meshes) == credits.hair() + credits.brows() + credits.lashes() + credits.teeth()
    for mesh in meshes.values():
        count = len(mesh.anchors)
        assert set(mesh.triangles.ravel()) == set(range(count))
        assert mesh.anchors.max() < len(model.template) and mesh.mirrored.max() < len(model.template)
        assert np.allclose(mesh.weights.sum(axis=1), 1, atol=2e-5)
        assert mesh.uv.min() >= 0 and mesh.uv.max() <= 1
        assert mesh.sheet.shape == (SHEET, SHEET, 2) and mesh.solid.shape == (len(mesh.triangles),)


def test_the_brows_and_lashes_lie_at_the_eyes_and_the_hair_around_the_head(made, model):
    eyes = (model.eye_weights @ head.mean_vertices(model))[:, 2].mean()
    for mesh in made.brows.values():
        assert mesh.place[:, 1].min() > eyes and mesh.place[:, 1].max() < eyes + 0.025
        assert np.abs(mesh.place[:, 0]).max() < 0.8
    for mesh in made.lashes.values():
        assert (np.abs(mesh.place[:, 1] - eyes) < 0.012).all()
    corners = head.mean_vertices(model)[model.landmarks[1:]]
    for mesh in made.teeth.values():
        assert np.abs(mesh.place[:, 1] - corners[:, 2].mean()).max() < 0.03 and np.abs(mesh.place[:, 0]).max() < 0.8
    for mesh in made.hair.values():
        assert mesh.place[:, 1].max() > 1.01 and np.ptp(mesh.place[:, 0]) > 6
