"""Light on faces: the sky turns as a solid, and the lamp's shadow falls where geometry says."""

import numpy as np
import pytest

from rifr.faces import assets, capture, identity, lighting, projection


def unit(rng, count):
    ways = rng.normal(size=(count, 3))
    return ways / np.linalg.norm(ways, axis=1, keepdims=True)


def random_sky(rng):
    weights = rng.normal(size=(9, 3)).astype(np.float32)
    weights[0] += 8  # light everywhere
    return weights


def test_the_light_of_the_sky_is_the_weighted_sum_of_the_harmonics_and_never_none():
    rng = np.random.default_rng(0)
    sky = random_sky(rng)
    dark = sky - np.array([8] + [0] * 8, np.float32)[:, None]
    least = []
    for normal in unit(rng, 200):
        for channel in range(3):
            for weights in (sky, dark):
                expected = max(assets.harmonics(*normal) @ weights[:, channel], 0.05)
                assert lighting.sky_light(*normal, weights, channel) == pytest.approx(expected, rel=1e-5)
                least.append(expected)
    assert min(least) == 0.05 and max(least) > 8


def test_a_turned_sky_lights_a_turned_surface_as_the_sky_lit_the_surface():
    rng = np.random.default_rng(1)
    for turn in rng.uniform(-7, 7, 12):
        sky = random_sky(rng)
        turned = lighting.turned_sky(sky, turn)
        for x, y, z in unit(rng, 20):
            back = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x, z
            for channel in range(3):
                expected = lighting.sky_light(*back, sky, channel)
                assert lighting.sky_light(x, y, z, turned, channel) == pytest.approx(expected, rel=1e-5)


# the lamp -------------------------------------------------------------------------------------------------------------

TEXEL = 0.36 / lighting.SHADOW  # 5 mm
AHEAD, ABOVE = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])


def square(half, distance, towards):
    """Nine vertices, the middle one first, and eight triangles of a square across the way `towards`."""
    across = np.eye(3)[[axis for axis in range(3) if towards[axis] == 0]]
    grid = np.array([(0, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0)], float) * half
    triangles = np.array([(0, k, k % 8 + 1) for k in range(1, 9)], np.uint32)
    return (grid @ across + distance * towards).astype(np.float32), triangles


def reached(points, triangles, light, strands=None, solid=None, normals=None):
    lit = np.full(len(points), np.nan, np.float32)
    strands = np.zeros((0, 3), np.float32) if strands is None else strands
    solid = np.zeros((0, 3), np.uint32) if solid is None else solid
    facing = np.tile(light, (len(points), 1)) if normals is None else normals
    lamp = light.astype(np.float32)
    lighting.lamp_reaches(points, facing.astype(np.float32), triangles, strands, solid, lamp, lit)
    return lit


@pytest.mark.parametrize("towards", [AHEAD, ABOVE])
def test_the_nearer_of_two_squares_shades_the_farther_until_the_lamp_moves_aside(towards):
    near, triangles = square(0.04, 0.05, towards)
    far, _ = square(0.02, -0.05, towards)
    points, both = np.concatenate([near, far]), np.concatenate([triangles, triangles + 9]).astype(np.uint32)
    lit = reached(points, both, towards)
    assert (lit[:9] == 1).all() and (lit[9:] == 0).all()
    aside = np.cos(0.65) * towards + np.sin(0.65) * np.array([1.0, 0, 0])  # the shadow falls 76 mm to the side
    facing = np.tile(towards, (18, 1))
    assert (reached(points, both, aside, normals=facing) == 1).all()
    assert (reached(points, both, -towards)[9:] == 1).all()  # from behind, the farther is the nearer


@pytest.mark.parametrize("towards", [AHEAD, ABOVE])
def test_the_edge_of_a_shadow_is_three_texels_wide(towards):
    near, triangles = square(4 * TEXEL, 0.05, towards)
    across = np.array([1.0, 0, 0])
    steps = np.array([-6.5, -5.5, -4.5, -3.5, -2.5, 0.5, 2.5, 3.5, 4.5, 5.5, 6.5])  # texels from the middle
    points = np.concatenate([near, across * steps[:, None] * TEXEL - 0.05 * towards]).astype(np.float32)
    lit = reached(points, triangles, towards)
    covered = [(np.abs(step + np.array([-1, 0, 1])) < 4).sum() for step in steps]
    assert np.allclose(lit[9:], 1 - np.array(covered) / 3)
    assert 0 < lit[9:][2] < 1 and lit[9:][4] == 0 and lit[9:][0] == 1


def test_strands_shade_the_head_but_only_their_solid_triangles():
    face, triangles = square(0.02, 0.0, AHEAD)
    hair, over = square(0.04, 0.03, AHEAD)
    assert (reached(face, triangles, AHEAD, hair, over) == 0).all()
    assert (reached(face, triangles, AHEAD, hair) == 1).all()
    behind, over = square(0.04, -0.03, AHEAD)
    assert (reached(face, triangles, AHEAD, behind, over) == 1).all()


def test_skin_does_not_shade_itself():
    face, triangles = square(0.05, 0.0, AHEAD)
    face[:, 1] += 0.004 * np.abs(face[:, 0]) / 0.05  # nearly flat
    for aside in (-0.5, 0.0, 0.5):
        light = np.array([np.sin(aside), -np.cos(aside), 0.0])
        assert (reached(face, triangles, light) == 1).all()


def test_a_sphere_is_lit_on_the_side_of_the_lamp_at_grazing_angles_too():
    turn, rise = np.meshgrid(np.linspace(0, 2 * np.pi, 48, endpoint=False), np.linspace(-1.5, 1.5, 32))
    outwards = np.stack([np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)], -1).reshape(-1, 3)
    a = (np.arange(31)[:, None] * 48 + np.arange(48)).ravel()
    b = (np.arange(31)[:, None] * 48 + (np.arange(48) + 1) % 48).ravel()
    triangles = np.concatenate([np.stack([a, b, a + 48], 1), np.stack([b, b + 48, a + 48], 1)]).astype(np.uint32)
    points = np.concatenate([np.zeros((1, 3)), 0.09 * outwards]).astype(np.float32)  # the lamp looks at the first
    normals = np.concatenate([AHEAD[None], outwards])
    lit = reached(points, (triangles + 1).astype(np.uint32), AHEAD, normals=normals)[1:]
    incidence = np.degrees(np.arccos(np.clip(outwards @ AHEAD, -1, 1)))
    assert lit[incidence < 75].min() > 0.85 and lit[incidence > 120].max() < 0.1


# eyes -----------------------------------------------------------------------------------------------------------------


def test_an_eye_shows_its_picture_where_it_looks_the_right_way_up_and_as_large_as_the_iris():
    rng = np.random.default_rng(4)
    picture = np.zeros((assets.EYE, assets.EYE, 4), np.uint8)
    half = assets.EYE // 2
    picture[..., 3] = 255
    picture[:half, :half, 0], picture[:half, half:, 1], picture[half:, :half, 2] = 255, 255, 255  # else black
    look = np.zeros((), identity.LOOK)
    look["iris"], look["sclera"] = 1, 0.7
    shot = np.zeros((), capture.SHOT)
    shot["ambient"], shot["light"], shot["light_colour"] = 1, (0, 0, 1), 1
    sky = np.zeros((9, 3), np.float32)
    sky[0] = 1
    for _ in range(20):
        look["iris_radius"] = rng.uniform(0.36, 0.44)
        turn = projection.rotation(*rng.uniform(-0.5, 0.5, 3))
        gaze = unit(rng, 1)[0] * 0.2 + turn @ [0, -1, 0]
        gaze /= np.linalg.norm(gaze)
        right = np.cross(gaze, turn[:, 2])
        right /= np.linalg.norm(right)
        upwards = np.cross(right, gaze)
        for across, up, lit in ((-1, 1, 0), (1, 1, 1), (-1, -1, 2), (1, -1, None)):
            way = gaze * np.cos(0.2) + np.sin(0.2) * (across * right + up * upwards) / np.sqrt(2)
            colour = np.zeros(3)
            lighting.light_eye(0.012 * way, gaze, turn, look[()], picture, shot[()], way, 0.0, sky, np.zeros(4), colour)
            assert (colour > 0.05).tolist() == [channel == lit for channel in range(3)]


def test_the_iris_of_a_picture_has_the_radius_of_the_persons_iris():
    picture = np.zeros((assets.EYE, assets.EYE, 4), np.uint8)
    y, x = np.mgrid[: assets.EYE, : assets.EYE] - (assets.EYE - 1) / 2
    picture[np.hypot(x, y) * 2 * assets.IRIS[3] / assets.EYE < assets.IRIS[2], 3] = 255  # a black iris
    look, shot = np.zeros((), identity.LOOK), np.zeros((), capture.SHOT)
    look["sclera"], shot["ambient"], shot["light_colour"] = 0.7, 1, 1
    sky = np.zeros((9, 3), np.float32)
    sky[0] = 1
    for radius in (0.36, 0.40, 0.44):
        look["iris_radius"] = radius
        for angle in (radius - 0.05, radius + 0.05, np.pi - 0.1):
            way, colour = np.array([np.sin(angle), -np.cos(angle), 0]), np.zeros(3)
            lighting.light_eye(
                way,
                np.array([0, -1.0, 0]),
                np.eye(3, dtype="f4"),
                look[()],
                picture,
                shot[()],
                way,
                0.0,
                sky,
                np.zeros(4),
                colour,
            )
            assert (colour < 0.02).all() == (angle < radius)
