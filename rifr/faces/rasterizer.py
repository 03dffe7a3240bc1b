"""A z-buffer: which triangle does each sample of the picture see, and where within it.

Samples sit at the centres of the cells of a square grid; a triangle owns a sample that its edges enclose, and the
nearest triangle wins. Compiled by numba; each image is filled by one thread in a fixed order, so that the bytes do not
depend on the number of threads.
"""

from __future__ import annotations

import numpy as np

from rifr.faces._jit import compiled

FAR = np.float32(1e9)


@compiled
def fill(
    points: np.ndarray,
    depth: np.ndarray,
    triangles: np.ndarray,
    two_sided: bool,
    nearest: np.ndarray,
    owner: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Draw triangles into the buffers, in place.

    points (V, 2) float32 in samples (x right, y down), depth (V,) float32 (smaller is nearer), triangles (T, 3) uint32
    (signed indices are slower, for numba lets them count from the end); nearest (H, W) float32 starts at FAR or at the
    depths of what was drawn before, owner (H, W) int32 at -1, weights (H, W, 2) float32 receives the barycentric
    weights of the first two corners. A triangle whose corners run clockwise on the screen (x right, y down) faces the
    camera; others are skipped unless `two_sided`.
    """
    height, width = nearest.shape
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0 = points[i, 0], points[i, 1]
        x1, y1 = points[j, 0], points[j, 1]
        x2, y2 = points[k, 0], points[k, 1]
        area = float(x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0.0 or (area > 0.0 and not two_sided):
            continue
        top = max(0, int(np.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(y0, y1, y2) - 0.5)))
        left = max(0, int(np.ceil(min(x0, x1, x2) - 0.5)))
        right = min(width - 1, int(np.floor(max(x0, x1, x2) - 0.5)))
        if left > right or top > bottom:
            continue
        # barycentric weights of the corners: linear in x and y, the first two zero at the third corner
        inverse = 1.0 / area
        ax, ay = (y1 - y2) * inverse, (x2 - x1) * inverse
        bx, by = (y2 - y0) * inverse, (x0 - x2) * inverse
        cx, cy = -ax - bx, -ay - by
        across_a, across_b, across_c = 1.0 / ax, 1.0 / bx, 1.0 / cx
        z2 = depth[k]
        za, zb = depth[i] - z2, depth[j] - z2
        origin = x2 - 0.5
        for row in range(top, bottom + 1):
            y = row + 0.5 - y2
            # each weight is zero where its edge meets the row: the samples between the edges belong to the triangle
            first, last = float(left), float(right)
            edge = origin - ay * y * across_a
            if ax > 0.0:
                first = max(first, edge)
            elif ax < 0.0:
                last = min(last, edge)
            edge = origin - by * y * across_b
            if bx > 0.0:
                first = max(first, edge)
            elif bx < 0.0:
                last = min(last, edge)
            edge = origin - (1.0 + cy * y) * across_c
            if cx > 0.0:
                first = max(first, edge)
            elif cx < 0.0:
                last = min(last, edge)
            if first > last:
                continue
            for column in range(int(np.ceil(first)), int(np.floor(last)) + 1):
                x = column - origin
                a, b = ax * x + ay * y, bx * x + by * y
                z = z2 + a * za + b * zb
                if z < nearest[row, column]:
                    nearest[row, column] = z
                    owner[row, column] = t
                    weights[row, column, 0] = a
                    weights[row, column, 1] = b


@compiled
def normals(vertices: np.ndarray, triangles: np.ndarray, out: np.ndarray) -> None:
    """Area-weighted unit normals of the vertices (V, 3), written to `out`."""
    out[:] = 0.0
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = (vertices[j, 0] - vertices[i, 0], vertices[j, 1] - vertices[i, 1], vertices[j, 2] - vertices[i, 2])
        bx, by, bz = (vertices[k, 0] - vertices[i, 0], vertices[k, 1] - vertices[i, 1], vertices[k, 2] - vertices[i, 2])
        x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for v in (i, j, k):
            out[v, 0] += x
            out[v, 1] += y
            out[v, 2] += z
    for v in range(out.shape[0]):
        length = np.sqrt(out[v, 0] ** 2 + out[v, 1] ** 2 + out[v, 2] ** 2) + np.float32(1e-12)
        out[v, 0] /= length
        out[v, 1] /= length
        out[v, 2] /= length


def open_sky(vertices: np.ndarray, triangles: np.ndarray, directions: int = 96, size: int = 320) -> np.ndarray:
    """(V,) float32: fraction of the directions (weighted by the cosine) from which light reaches each vertex."""
    points = vertices.astype(np.float32)
    outwards = np.zeros_like(points)
    normals(points, triangles, outwards)
    index = np.arange(directions) + 0.5
    polar, turn = np.arccos(1 - 2 * index / directions), np.pi * (1 + 5**0.5) * index
    ways = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)
    seen, total = np.zeros(len(points)), np.zeros(len(points))
    for way in ways:
        right = np.cross(way, [0.3, 0.2, 0.9])
        right /= np.linalg.norm(right)
        up = np.cross(right, way)
        centred = points - points.mean(axis=0)
        flat = np.stack([centred @ right, centred @ up], axis=1) * (size / 0.34) + size / 2
        depth = (-centred @ way).astype(np.float32)
        nearest = np.full((size, size), FAR, np.float32)
        fill(
            flat.astype(np.float32),
            depth,
            triangles,
            True,
            nearest,
            np.full((size, size), -1, np.int32),
            np.zeros((size, size, 2), np.float32),
        )
        column, row = np.clip(flat.astype(int), 0, size - 1).T
        cosine = np.maximum(outwards @ way, 0)
        seen += cosine * (depth < nearest[row, column] + 0.003)
        total += cosine
    return (seen / np.maximum(total, 1e-9)).astype(np.float32)
