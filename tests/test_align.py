"""Similarities from landmarks, held against OpenCV, SciPy's optimiser and warps worked out by hand."""

import cv2
import numpy as np
import pytest
from scipy.optimize import minimize

from rifr import align
from rifr.align import TEMPLATE


def some_points(seed: int, count: int = 5) -> np.ndarray:
    template = TEMPLATE if count == 5 else align.FOUR
    draw = np.random.default_rng(seed)
    angle, scale = draw.uniform(-0.6, 0.6), draw.uniform(0.3, 3)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return template @ turn.T + draw.uniform(-50, 200, 2) + draw.normal(0, 4 * scale, template.shape)


@pytest.mark.parametrize("count", [5, 4])
@pytest.mark.parametrize("seed", range(5))
def test_the_similarity_is_the_least_squares_optimum(seed, count):
    points = some_points(seed, count)
    target = TEMPLATE if count == 5 else align.FOUR

    def error(p):
        mapped = points @ np.array([[p[0], -p[1]], [p[1], p[0]]]).T + p[2:]
        return np.square(mapped - target).sum()

    found = align.similarity(points)
    best = minimize(error, [found[0, 0] * 1.1, found[1, 0] + 0.1, 1.0, 1.0], method="BFGS", options={"gtol": 1e-9})
    assert error([found[0, 0], found[1, 0], *found[:, 2]]) == pytest.approx(best.fun, rel=1e-6)
    assert found[0, 0] == found[1, 1] and found[0, 1] == -found[1, 0]


@pytest.mark.parametrize("seed", range(5))
def test_opencv_finds_the_same_similarity_for_points_that_fit(seed):
    points = some_points(seed)
    exact = align.transform(TEMPLATE, align.similarity(points))  # a turned and scaled template
    with_opencv, _ = cv2.estimateAffinePartial2D(exact, TEMPLATE, method=cv2.LMEDS)
    assert align.similarity(exact) == pytest.approx(with_opencv, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_umeyama_by_singular_values_agrees(seed):
    """Umeyama's own formulas, step by step."""
    points, target = some_points(seed), TEMPLATE.astype(float)
    centre, goal = points.mean(0), target.mean(0)
    a, b = points - centre, target - goal
    u, d, vt = np.linalg.svd(b.T @ a / 5)
    signs = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    turn = u @ np.diag(signs) @ vt
    scale = (d * signs).sum() / a.var(axis=0).sum()
    expected = np.column_stack([scale * turn, goal - scale * turn @ centre])
    assert align.similarity(points) == pytest.approx(expected, abs=1e-9)


def test_scikit_image_estimates_the_same():
    skimage = pytest.importorskip("skimage.transform", reason="scikit-image is not installed")
    points = some_points(3)
    found = skimage.SimilarityTransform()
    found.estimate(points, TEMPLATE)
    assert align.similarity(points) == pytest.approx(found.params[:2], abs=1e-6)


def test_a_face_at_the_template_stays_as_it_is_and_a_moved_one_moves_back():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    assert np.array_equal(align.face(image, TEMPLATE), image)
    wide = np.zeros((150, 180, 3), np.uint8)
    wide[20:132, 31:143] = image
    assert np.array_equal(align.face(wide, TEMPLATE + np.array([31, 20])), image)


def test_a_quarter_turn_is_undone():
    image = np.random.default_rng(1).integers(0, 256, (112, 112, 3), np.uint8)
    turned = np.ascontiguousarray(np.rot90(image))  # pixel (x, y) goes to (y, 111 - x)
    points = np.stack([TEMPLATE[:, 1], 111 - TEMPLATE[:, 0]], axis=1)
    difference = np.abs(align.face(turned, points).astype(int) - image)
    assert difference.max() <= 1


def test_beyond_the_border_it_is_black():
    white = np.full((112, 112, 3), 255, np.uint8)
    moved = align.face(white, TEMPLATE - [40, 0])  # the face lies 40 px to the left: what is right of it is missing
    assert moved[:, -20:].max() == 255 and moved[:, :39].max() == 0


def test_another_side_is_the_same_picture_at_another_scale():
    image = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, (200, 200, 3), np.uint8), (0, 0), 6)
    points = TEMPLATE * 1.3 + 12
    double = align.face(image, points, side=224)
    assert (
        np.abs(
            cv2.resize(double, (112, 112), interpolation=cv2.INTER_AREA).astype(int) - align.face(image, points)
        ).max()
        <= 4
    )


def test_an_enlarged_face_is_bicubic():
    image = np.random.default_rng(3).integers(0, 256, (56, 56, 3), np.uint8)
    found = align.face(image, (TEMPLATE + 0.5) / 2 - 0.5).astype(int)  # at half the scale: enlarged exactly twofold
    expected = cv2.resize(image, (112, 112), interpolation=cv2.INTER_CUBIC)
    assert np.abs(found - expected)[6:-6, 6:-6].max() <= 3  # the warp keeps places to a 32nd of a pixel


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_a_face_much_larger_than_its_result_is_averaged_over_area(turn):
    # Each pixel of the result covers about 5.5 x 5.5 of the picture's: the mean over 11 x 11 places of that square.
    scale, side = 0.18, 700
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / scale
    points = (TEMPLATE - 55.5) @ rotation.T + (side - 1) / 2
    picture = np.random.default_rng(4).integers(0, 256, (side, side, 3), np.uint8)
    offsets = (np.arange(11) + 0.5) / 11 - 0.5
    expected = np.full((112, 112), np.nan)
    for row in range(0, 112, 3):
        for column in range(0, 112, 3):
            x, y = np.meshgrid(column + offsets - 55.5, row + offsets - 55.5)
            x, y = rotation @ np.stack([x.ravel(), y.ravel()]) + (side - 1) / 2
            inside = (x >= 0) & (x <= side - 1) & (y >= 0) & (y <= side - 1)
            x, y = np.rint(x[inside]).astype(int), np.rint(y[inside]).astype(int)
            expected[row, column] = picture[y, x, 0].mean() if inside.all() else np.nan
    found = align.face(picture, points)[..., 0].astype(float)
    known = np.isfinite(expected)
    assert known.sum() > 1000
    # Noise of 74 levels; four neighbours alone would keep about half of it.
    assert found[known].std() < 1.3 * expected[known].std() < 20
    if turn == 0:
        assert np.corrcoef(found[known], expected[known])[0, 1] > 0.7


def test_fine_checks_become_grey_not_false_patterns():
    checks = np.kron(np.indices((300, 300)).sum(axis=0) % 2, np.ones((2, 2)))[..., None].repeat(3, axis=2)
    picture = (255 * checks).astype(np.uint8)
    found = align.face(picture, TEMPLATE * 4.7 + 30).astype(int)
    assert np.abs(found[5:-5, 5:-5] - 127).max() < 45 and found.std() < 20
    assert np.abs(align.resized(picture).astype(int) - 127).max() < 40


def test_a_reduced_face_lies_where_the_unreduced_one_lies():
    smooth = cv2.resize(np.random.default_rng(5).integers(0, 256, (9, 7, 3), np.uint8), (701, 903))
    points = TEMPLATE * 4.3 + [60, 130]
    matrix = cv2.estimateAffinePartial2D(points, TEMPLATE, method=cv2.LMEDS)[0]
    direct = cv2.warpAffine(smooth, matrix, (112, 112), flags=cv2.INTER_LINEAR)
    difference = np.abs(align.face(smooth, points).astype(int) - direct)[2:-2, 2:-2]
    assert difference.mean() < 0.6 and difference.max() <= 6  # half a pixel off would be two levels


@pytest.mark.parametrize(
    "points, word",
    [
        (np.zeros((5, 2)), "degenerate"),
        (np.full((5, 2), 1e6), "degenerate"),
        (np.full((5, 2), np.nan), "not finite"),
        (np.zeros((6, 2)), "(6, 2)"),
        (np.zeros((5, 3)), "(5, 3)"),
    ],
)
def test_points_without_a_similarity_are_refused(points, word):
    with pytest.raises(ValueError) as problem:
        align.similarity(points)
    assert word in str(problem.value)


def test_a_mirrored_set_of_points_that_fits_no_turn_is_refused():
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    flipped = square * [1, -1]  # every turn of a square fits its mirror image equally badly
    with pytest.raises(ValueError, match="degenerate"):
        align.similarity(flipped, square)


def test_resizing_takes_any_proportions_and_refuses_what_is_no_picture():
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    assert np.array_equal(align.resized(image), cv2.resize(image, (112, 112), interpolation=cv2.INTER_CUBIC))
    for wrong in (image.astype(float), image[..., 0], image[:0]):
        with pytest.raises(ValueError, match="uint8"):
            align.resized(wrong)
        with pytest.raises(ValueError, match="uint8"):
            align.face(wrong, TEMPLATE)
