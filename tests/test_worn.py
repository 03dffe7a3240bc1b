"""Hair, brows, lashes and teeth: where they hang, what they hide, and what a person wears on a day."""

import numpy as np
import pytest

from rifr.faces import credits, head, identity, photograph, vertices, worn
from rifr.faces.assets import SHEET


@pytest.fixture(scope="module")
def people(model):
    return [identity.draw_identity(model, 0, "probe", index) for index in range(150)]


def styled(people, style, **fields):
    """The look of somebody who wears a style of `HAIR_SHARES`."""
    look = people[0].look.copy()
    look["hair_style"] = ("bald", "cropped").index(style) if style in ("bald", "cropped") else identity.WORN
    look["hair_mesh"] = credits.hair().index(style) if style in credits.hair() else -1
    for name, value in fields.items():
        look[name] = value
    return look


# dressing -------------------------------------------------------------------------------------------------------------


def test_every_style_that_people_wear_is_credited_and_every_credited_one_is_worn(people):
    assert set(identity.HAIR_SHARES) == {"bald", "cropped", *credits.hair()}
    assert len({int(person.look["hair_mesh"]) for person in people}) > 8
    for person in people:
        assert (person.look["hair_mesh"] >= 0) == (person.look["hair_style"] == identity.WORN)


@pytest.mark.parametrize("style", ["bald", "cropped"])
def test_the_bald_and_the_cropped_wear_no_hair(model, made, people, style):
    look = styled(people, style)
    dressed = worn.dress(model, made, look, head.mean_vertices(model), False)
    brows = tuple(made.brows.values())[int(look["brow_mesh"])]
    assert dressed.hair == 0 and len(dressed.solid) == 0 and len(dressed.sheets) == 3
    assert np.array_equal(dressed.anchors[: len(brows.anchors)], brows.anchors)
    (teeth,) = made.teeth.values()
    assert len(dressed.triangles) - len(teeth.triangles) == sum(
        len(tuple(kind.values())[int(look[name])].triangles)
        for kind, name in ((made.brows, "brow_mesh"), (made.lashes, "lash_mesh"))
    )


@pytest.mark.parametrize("style", credits.hair())
def test_a_style_is_put_on_whole_and_each_triangle_keeps_its_own_vertices(model, made, people, style):
    look = styled(people, style)
    dressed, mesh = worn.dress(model, made, look, head.mean_vertices(model), False), made.hair[style]
    parts = [
        mesh,
        tuple(made.brows.values())[int(look["brow_mesh"])],
        tuple(made.lashes.values())[int(look["lash_mesh"])],
        *made.teeth.values(),
    ]
    assert dressed.hair == len(mesh.anchors) and len(dressed.anchors) == sum(len(part.anchors) for part in parts)
    assert np.array_equal(dressed.solid, mesh.triangles[mesh.solid])
    for number, part in enumerate(parts):
        own = dressed.triangles[dressed.sheet == number]
        assert np.array_equal(dressed.uv[own], part.uv[part.triangles])
        assert np.array_equal(dressed.anchors[own], part.anchors[part.triangles])
        assert np.array_equal(dressed.sheets[number], part.sheet)
    assert np.allclose(dressed.tint[: dressed.hair], look["hair"]) and np.allclose(
        dressed.tint[dressed.dyed - 1], worn.LASHES
    )
    assert np.allclose(dressed.tint[dressed.dyed :], worn.TEETH) and len(dressed.tint) - dressed.dyed == len(
        parts[-1].anchors
    )
    assert np.allclose(dressed.cover, [1, look["brow_density"], look["lashes"], 1])


def test_the_second_style_is_put_on_where_the_shot_asks_for_it(model, made, people):
    look = styled(people, "bob01", hair_second=credits.hair().index("short02"))
    for other, style in ((False, "bob01"), (True, "short02")):
        dressed = worn.dress(model, made, look, head.mean_vertices(model), False, other)
        assert np.array_equal(dressed.anchors[: dressed.hair], made.hair[style].anchors)


@pytest.mark.parametrize("style", credits.hair())
def test_a_trimmed_fringe_leaves_the_eyes_free_and_a_whole_one_hangs_as_it_was_made(model, made, people, style):
    mean = head.mean_vertices(model)
    height, azimuth = made.hair[style].place[:, 1], np.abs(made.hair[style].place[:, 0])
    before = azimuth < 0.6
    hung = {}
    for fringe in (0.0, 0.3, 1.0):
        dressed = worn.dress(model, made, styled(people, style, fringe=fringe, hair_volume=1), mean, False)
        hung[fringe] = worn.hang(dressed, mean)[: dressed.hair, 2]
    assert np.abs(hung[1.0] - height).max() < 7e-3  # the mean head is a little larger than the template
    assert hung[0.0][before].min() > (0.92 if style == "junglebookhair" else 0.93)
    for fringe in (0.0, 0.3):
        raised = hung[fringe] - hung[1.0]
        low = before & (height < worn.FRINGE)
        assert np.allclose(raised[low], 0.9 * (1 - fringe) * (worn.FRINGE - height[low]), atol=1e-5)
        assert np.abs(raised[(azimuth > 1) | (height > worn.FRINGE)]).max() < 1e-6


# hanging --------------------------------------------------------------------------------------------------------------


def test_what_is_worn_hangs_on_the_weighted_mean_of_its_anchors(model, made, people):
    for person in people[:6]:
        rest = vertices.person_vertices(model, person)
        for mirrored in (False, True):
            dressed = worn.dress(model, made, person.look, rest, mirrored)
            expected = np.einsum("nk,nkx->nx", dressed.weights, rest[dressed.anchors]) + dressed.offsets
            assert np.abs(worn.hang(dressed, rest) - expected).max() < 1e-5


@pytest.mark.parametrize("style", credits.hair())
def test_mirrored_hair_on_the_mean_head_is_the_mirror_image(model, made, people, style):
    mean, look = head.mean_vertices(model), styled(people, style, fringe=0.2)
    straight, mirrored = (
        worn.hang(worn.dress(model, made, look, mean, side), mean) * [[1, 1, 1], [-1, 1, 1]][side]
        for side in (False, True)
    )
    assert np.abs(straight - mirrored).max() < 1e-4


def test_under_a_cap_hair_lies_close_to_the_head_and_a_fringe_is_tucked_in(model, made, people):
    mean, edge = head.mean_vertices(model), 0.94
    for style in ("bob01", "afro01"):
        dressed = worn.dress(model, made, styled(people, style, fringe=1.0), mean, False)
        loose = worn.hang(dressed, mean)
        laid = loose.copy()
        photograph.press(laid, dressed, edge)
        below = np.clip((dressed.height - (edge - 0.060)) / 0.055, 0, 1)
        below = 0.85 * below * below * (3 - 2 * below)
        below[dressed.hair :] = 0
        assert np.allclose(loose - laid, below[:, None] * dressed.offsets, atol=1e-6)
        hidden = photograph.under_cap(laid, dressed, edge)
        high = dressed.height > edge
        assert hidden[: dressed.hair][high[: dressed.hair]].all() and not hidden[dressed.hair :].any()
        fringe = (laid[:, 1] < photograph.FOREHEAD) & (dressed.height > edge - photograph.FRINGE_REACHES)
        assert np.array_equal(hidden[: dressed.hair], (high | fringe)[: dressed.hair])
        assert (fringe & ~high)[: dressed.hair].any()


# veils ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def strands():
    """Random triangles over a picture of 16 x 20 samples: points, depths, colours, hidden vertices, `Worn`, depths of
    the head."""
    rng = np.random.default_rng(3)
    n, t = 50, 40
    blocks = rng.integers(0, 256, (3, 4, 4, 2), dtype=np.uint8)
    nobody = worn.Worn(
        *(np.zeros((n, 3), kind) for kind in (np.uint32, np.float32, np.float32)),
        np.zeros(n, np.float32),
        rng.uniform(0, 1, (n, 2)).astype(np.float32),
        np.zeros((n, 3), np.float32),
        rng.permuted(np.tile(np.arange(n), (t, 1)), axis=1)[:, :3].astype(np.uint32),
        rng.integers(0, 3, t).astype(np.uint8),
        np.array([1.0, 0.5, 1.6], np.float32),
        np.zeros((0, 3), np.uint32),
        blocks.repeat(SHEET // 4, axis=1).repeat(SHEET // 4, axis=2),
        n,
        n,
    )
    points = rng.uniform(-4, 22, (n, 2)).astype(np.float32)
    depth, colour = rng.uniform(0.9, 1.1, n).astype(np.float32), rng.uniform(0, 1, (n, 3)).astype(np.float32)
    return points, depth, colour, rng.random(n) < 0.05, nobody, rng.uniform(0.95, 1.15, (16, 20)).astype(np.float32)


def gathered(points, depth, colour, hidden, dressed, nearest, front=0.95):
    out = np.zeros((*nearest.shape, worn.GATHERED), np.float32)
    out[..., 4] = 1
    worn.veil(points, depth, colour, hidden, dressed, nearest, front, out)
    return out


def test_a_veil_agrees_with_a_loop_over_every_sample_and_triangle(strands):
    (points, depth, colour, hidden, dressed, nearest), found = strands, gathered(*strands)
    for row in range(16):
        for column in range(20):
            total, through = np.zeros(4), 1.0
            for corners, number in zip(dressed.triangles.astype(int), dressed.sheet, strict=True):
                if hidden[corners].any():
                    continue
                plane = np.column_stack([points[corners].astype(float), np.ones(3)]).T
                share = np.linalg.solve(plane, [column + 0.5, row + 0.5, 1])
                z = share @ depth[corners]
                if share.min() < 0 or z > nearest[row, column]:
                    continue
                u, v = (share @ dressed.uv[corners] * SHEET).astype(int)
                brightness, opacity = dressed.sheets[number, v, u].astype(float)
                alpha = min(opacity / 255 * dressed.cover[number], 1)
                if alpha < 0.02:
                    continue
                shade = 0.4 * brightness / 128 + 0.6 * (brightness / 128) ** 2
                weight = alpha / (1 + 25 * max(z - 0.95, 0)) ** 4
                total += [*(weight * shade * (share @ colour[corners])), weight]
                through *= 1 - alpha
            assert found[row, column, :4] == pytest.approx(total, rel=1e-3, abs=1e-4)
            assert found[row, column, 4] == pytest.approx(through, abs=1e-4)
    assert (found[..., 3] > 0).mean() > 0.5 and (found[..., 4] > 0.01).mean() > 0.2


def test_the_order_of_the_triangles_and_the_side_from_which_they_are_seen_change_nothing(strands):
    *others, dressed, nearest = strands
    shuffled = np.random.default_rng(0).permutation(len(dressed.triangles))
    turned = np.ascontiguousarray(dressed.triangles[shuffled][:, ::-1])
    other = dressed._replace(triangles=turned, sheet=dressed.sheet[shuffled])
    assert np.allclose(gathered(*others, other, nearest), gathered(*others, dressed, nearest), rtol=1e-4, atol=1e-5)


def test_nothing_behind_the_head_and_nothing_under_a_cap_is_gathered(strands):
    points, depth, colour, hidden, dressed, nearest = strands
    nothing = gathered(points, depth, colour, np.ones_like(hidden), dressed, nearest)
    behind = gathered(points, depth, colour, hidden, dressed, np.full_like(nearest, depth.min() - 0.01))
    for empty in (nothing, behind):
        assert (empty[..., :4] == 0).all() and (empty[..., 4] == 1).all()
