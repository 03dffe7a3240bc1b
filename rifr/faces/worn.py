"""Hair, brows, lashes and teeth: meshes that follow the head, drawn as veils of strands before it.

Their sheets are mostly edges, and many layers lie over each other. Instead of sorting them, each sample of the picture
gathers the weighted mean of the strands in front of the head, the nearest weighing most, and how much of what is behind
they let through, which is the product over all of them whatever their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rifr.faces._jit import compiled
from rifr.faces.assets import SHEET, Assets, Mesh
from rifr.faces.head import Head
from rifr.faces.identity import WORN

GATHERED = 5
"""Numbers gathered for a sample: red, green, blue and their weight, then the share of light let through."""

LASHES = (0.016, 0.012, 0.010)
TEETH = (0.58, 0.50, 0.40)
"""Linear RGB."""

BEHIND_THE_LIPS = 0.001
"""How far the teeth are set back, in metres: they would shine through some lips."""


FRINGE = 0.946
"""Height on the mean head to which a trimmed fringe hangs, in metres."""


class Worn(NamedTuple):
    """What a person wears in some photos: N vertices, M triangles; a tuple, so that compiled code takes it whole.

    anchors (N, 3), weights (N, 3), offsets (N, 3), height (N,) above which a cap hides them, uv (N, 2), tint (N, 3)
    linear RGB, triangles (M, 3), sheet (M,) the number of each triangle's sheet, cover (S,) a sheet's strength, solid
    (K, 3) the triangles that cast shadows, sheets (S, SHEET, SHEET, 2) uint8. The first `hair` vertices are hair, the
    first `dyed` take the day's colour: all but the teeth.
    """

    anchors: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    height: np.ndarray
    uv: np.ndarray
    tint: np.ndarray
    triangles: np.ndarray
    sheet: np.ndarray
    cover: np.ndarray
    solid: np.ndarray
    sheets: np.ndarray
    hair: int
    dyed: int


def dress(head: Head, assets: Assets, look: Any, rest: np.ndarray, mirrored: bool, other: bool = False) -> Worn:
    """Hair, brows, lashes and teeth of a `LOOK` record on the person's head at rest (V, 3); parted on the other side
    where `mirrored`, and in their second style where `other`."""
    seen = int(head.triangles.max()) + 1  # the vertices that only hold what is worn are the last
    scale = (np.ptp(rest[:seen], axis=0) / np.ptp(head.template[:seen], axis=0)).astype(np.float32)
    meshes: list[tuple[Mesh, Any, float]] = []
    if look["hair_style"] == WORN:
        meshes.append(
            (
                tuple(assets.hair.values())[int(look["hair_second" if other else "hair_mesh"])],
                look["hair"],
                float(look["hair_volume"]),
            )
        )
    brows, lashes = (
        tuple(kind.values())[int(look[name])]
        for kind, name in ((assets.brows, "brow_mesh"), (assets.lashes, "lash_mesh"))
    )
    (teeth,) = assets.teeth.values()
    hair = sum(len(mesh.anchors) for mesh, _, _ in meshes)
    meshes += [(brows, look["brow"], 1.0), (lashes, LASHES, 1.0), (teeth, TEETH, 1.0)]
    raised = [np.zeros((len(mesh.anchors), 3), np.float32) for mesh, _, _ in meshes]
    if hair:
        raised[0][:, 2] = _trimmed(meshes[0][0].place, float(look["fringe"]))
    raised[-1][:, 1] = BEHIND_THE_LIPS
    raised[-3][:, 2] = look["brow_height"] + look["brow_tilt"] * (np.abs(brows.place[:, 0]) - 0.35) / 0.2
    first = np.cumsum([0] + [len(mesh.anchors) for mesh, _, _ in meshes])
    turned = np.array([-1, 1, 1] if mirrored else [1, 1, 1], np.float32)
    return Worn(
        _joined([mesh.mirrored if mirrored else mesh.anchors for mesh, _, _ in meshes]),
        _joined([mesh.weights for mesh, _, _ in meshes]),
        _joined(
            [
                mesh.offsets * (scale * turned * np.float32(volume)) + raised[i]
                for i, (mesh, _, volume) in enumerate(meshes)
            ]
        ),
        _joined([mesh.place[:, 1] - 0.006 * np.abs(mesh.place[:, 0]) for mesh, _, _ in meshes]),
        _joined([mesh.uv for mesh, _, _ in meshes]),
        _joined([np.tile(np.array(tint, np.float32), (len(mesh.anchors), 1)) for mesh, tint, _ in meshes]),
        _joined([mesh.triangles + np.uint32(first[i]) for i, (mesh, _, _) in enumerate(meshes)]),
        _joined([np.full(len(mesh.triangles), i, np.uint8) for i, (mesh, _, _) in enumerate(meshes)]),
        np.array([1.0] * (len(meshes) - 3) + [look["brow_density"], look["lashes"], 1.0], np.float32),
        meshes[0][0].triangles[meshes[0][0].solid] if hair else np.zeros((0, 3), np.uint32),
        np.stack([mesh.sheet for mesh, _, _ in meshes]),
        hair,
        int(first[-1]) - len(teeth.anchors),
    )


def _trimmed(place: np.ndarray, fringe: float) -> np.ndarray:
    """(N,) how far hair at azimuths and heights (N, 2) is raised so that it leaves the eyes free but for `fringe`."""
    before = np.clip((1.0 - np.abs(place[:, 0])) / 0.4, 0, 1)
    return (1 - fringe) * 0.9 * before * np.maximum(FRINGE - place[:, 1], 0)


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate(arrays))


@compiled
def hang(worn: Any, vertices: np.ndarray) -> np.ndarray:
    """(N, 3) float32: where the vertices of what is worn are on a head (V, 3)."""
    points = worn.offsets.copy()
    for n in range(points.shape[0]):
        for corner in range(3):
            w, v = worn.weights[n, corner], worn.anchors[n, corner]
            for axis in range(3):
                points[n, axis] += w * vertices[v, axis]
    return points


@compiled
def veil(
    points: np.ndarray,
    depth: np.ndarray,
    colour: np.ndarray,
    hidden: np.ndarray,
    worn: Any,
    nearest: np.ndarray,
    front: float,
    gathered: np.ndarray,
) -> None:
    """Gather strands into (H, W, GATHERED) float32, in place; it starts with zeros and, as the last number, ones.

    points (N, 2) in samples, depth (N,) in metres, colour (N, 3) as lit, hidden (N,) bool where a cap covers them;
    nearest (H, W) the depth of the head, front the depth at which strands weigh most.
    """
    height, width = nearest.shape
    uv, triangles, sheets = worn.uv, worn.triangles, worn.sheets
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        if hidden[i] or hidden[j] or hidden[k]:
            continue
        x0, y0 = points[i, 0], points[i, 1]
        x1, y1 = points[j, 0], points[j, 1]
        x2, y2 = points[k, 0], points[k, 1]
        area = float(x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0.0:
            continue
        top = max(0, int(np.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(y0, y1, y2) - 0.5)))
        left = max(0, int(np.ceil(min(x0, x1, x2) - 0.5)))
        right = min(width - 1, int(np.floor(max(x0, x1, x2) - 0.5)))
        if left > right or top > bottom:
            continue
        inverse = 1.0 / area
        ax, ay = (y1 - y2) * inverse, (x2 - x1) * inverse
        bx, by = (y2 - y0) * inverse, (x0 - x2) * inverse
        sheet, cover = sheets[worn.sheet[t]], worn.cover[worn.sheet[t]] * np.float32(1 / 255)
        for row in range(top, bottom + 1):
            y = row + 0.5 - y2
            for column in range(left, right + 1):
                x = column + 0.5 - x2
                a, b = ax * x + ay * y, bx * x + by * y
                c = 1.0 - a - b
                if a < 0.0 or b < 0.0 or c < 0.0:
                    continue
                z = a * depth[i] + b * depth[j] + c * depth[k]
                if z > nearest[row, column]:
                    continue
                u = min(max((a * uv[i, 0] + b * uv[j, 0] + c * uv[k, 0]) * SHEET, 0.0), SHEET - 1.0)
                v = min(max((a * uv[i, 1] + b * uv[j, 1] + c * uv[k, 1]) * SHEET, 0.0), SHEET - 1.0)
                alpha = min(sheet[int(v), int(u), 1] * cover, 1.0)
                if alpha < 0.02:
                    continue
                shade = sheet[int(v), int(u), 0] * (1 / 128)
                shade *= 0.4 + 0.6 * shade
                behind = 1.0 + max(z - front, 0.0) * 25.0
                behind *= behind
                w = alpha / (behind * behind)
                strands = gathered[row, column]
                strands[0] += w * shade * (a * colour[i, 0] + b * colour[j, 0] + c * colour[k, 0])
                strands[1] += w * shade * (a * colour[i, 1] + b * colour[j, 1] + c * colour[k, 1])
                strands[2] += w * shade * (a * colour[i, 2] + b * colour[j, 2] + c * colour[k, 2])
                strands[3] += w
                strands[4] *= 1.0 - alpha
