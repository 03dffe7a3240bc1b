"""How a rendered photo is taken: pose, expression, light, camera, background, occluder, exposure, noise.

A photo is drawn from a stream that belongs to (seed, split, person, photo) alone and looks at no property of the
person, so that pose and expression tell nothing about who it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rifr.faces.head import Head
from rifr.faces.identity import stream

_VECTORS = (
    "light",
    "light_colour",
    "ambient_colour",
    "fill",
    "background_top",
    "background_bottom",
    "occluder_colour",
    "clothes",
)
_NUMBERS = (
    "yaw",
    "pitch",
    "roll",
    "distance",
    "ambient",
    "exposure",
    "noise",
    "blur",
    "gaze_x",
    "gaze_y",
    "occluder",
    "occluder_a",
    "occluder_b",
    "occluder_c",
    "background_mix",
    "expression",
    "scene_x",
    "scene_y",
    "scene_scale",
    "contrast",
    "saturation",
)

SHOT = np.dtype(
    [(name, np.float32, (3,)) for name in _VECTORS] + [(name, np.float32) for name in _NUMBERS] + [("seed", np.int64)],
    align=True,
)
"""What takes a photo; angles in radians, distance in metres, colours linear RGB, `light` points towards the lamp."""

OCCLUDERS = ("none", "dark glasses", "clear glasses", "mask", "scarf", "hand", "cap")
OCCLUDED_FRACTION = 0.10


@dataclass(frozen=True)
class Capture:
    """One photo: weights of the expressions (E,) float32 and a `SHOT` record."""

    expression: np.ndarray
    shot: np.ndarray


EXPRESSIONS: tuple[dict[str, float], ...] = (
    {"mouthSmile": 0.8, "cheekSquint": 0.5, "eyeSquint": 0.3},
    {"mouthSmile": 0.6, "cheekSquint": 0.4, "jawOpen": 0.12, "mouthUpperUp": 0.25},
    {"jawOpen": 0.35},
    {"browInnerUp": 0.7, "eyeWide": 0.5, "browOuterUp": 0.6},
    {"browDown": 0.8, "eyeSquint": 0.4, "mouthPress": 0.4},
    {"mouthFrown": 0.7, "browInnerUp": 0.4},
    {"mouthPucker": 0.5},
    {"mouthPress": 0.6, "mouthDimple": 0.4},
    {"noseSneer": 0.5, "browDown": 0.4},
    {"eyeBlink": 0.8},
)
"""Expressions that faces make, as weights of anny's facial actions (a name stands for its left and right half)."""


def draw_capture(head: Head, seed: int, split: str, person: int, photo: int) -> Capture:
    """Photo `photo` of person `person` of a split."""
    rng = stream(seed, split, person, 1, photo)
    shot = np.zeros((), SHOT)
    shot["yaw"] = np.deg2rad(52 * (2 * rng.beta(1.8, 1.8) - 1))  # standard deviation 24 degrees
    shot["pitch"] = np.deg2rad(np.clip(rng.normal(0, 7.5), -20, 20))
    shot["roll"] = np.deg2rad(np.clip(rng.normal(0, 6), -20, 20))
    shot["distance"] = np.exp(rng.uniform(np.log(0.6), np.log(3.0)))
    _draw_light(shot, rng)
    expression, strength = _draw_expression(head, rng)
    shot["expression"] = strength
    shot["gaze_x"], shot["gaze_y"] = rng.normal(0, 0.12), rng.normal(0, 0.06)
    for name in ("background_top", "background_bottom", "clothes"):
        grey = rng.uniform(0.02, 0.75)
        shot[name] = np.clip(grey * np.exp(rng.normal(0, 0.12, 3)), 0, 1)
    shot["background_mix"] = rng.uniform(0, 1)
    shot["exposure"] = np.exp(rng.normal(0, 0.18))
    shot["noise"] = rng.gamma(1.5, 0.006)
    shot["blur"] = rng.beta(1, 3)
    shot["contrast"] = rng.normal(1.0, 0.06)
    shot["saturation"] = np.clip(rng.normal(0.97, 0.09), 0.7, 1.15)
    occluded = rng.random() < OCCLUDED_FRACTION
    kind = rng.integers(1, len(OCCLUDERS))
    shot["occluder"] = kind if occluded else 0
    shot["occluder_a"], shot["occluder_b"], shot["occluder_c"] = rng.random(3)
    shot["occluder_colour"] = np.clip(rng.uniform(0.03, 0.6) * np.exp(rng.normal(0, 0.28, 3)), 0, 0.9)
    shot["scene_x"], shot["scene_y"], shot["scene_scale"] = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0, 1)
    shot["seed"] = rng.integers(1, 2**62)
    return Capture(expression, shot)


def _draw_light(shot: np.ndarray, rng: np.random.Generator) -> None:
    azimuth = rng.normal(0, 0.75)
    elevation = np.clip(rng.normal(0.55, 0.35), -0.3, 1.3)
    shot["light"] = np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)
    shot["ambient"] = rng.beta(3.0, 2.6)
    warmth = rng.normal(0, 0.07)
    shot["light_colour"] = 1 + warmth, 1.0, 1 - warmth
    warmth = rng.normal(-0.01, 0.05)
    shot["ambient_colour"] = 1 + warmth, 1.0, 1 - warmth
    fill = rng.normal(0, 1, 3)
    fill[1] = -abs(fill[1])
    shot["fill"] = fill / np.linalg.norm(fill)


def _draw_expression(head: Head, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """(E,) float32 weights and their strength in 0..1; a third of the faces are neutral but for a trace."""
    place = {name: i for i, name in enumerate(head.actions.tolist())}
    weights = np.zeros(len(place), np.float32)
    strength = rng.uniform(0.25, 1.0) if rng.random() < 0.67 else rng.uniform(0, 0.15)
    chosen = EXPRESSIONS[rng.integers(len(EXPRESSIONS))]
    for name, value in chosen.items():
        for side in ("", "Left", "Right"):
            if name + side in place:
                weights[place[name + side]] += value * strength * np.exp(rng.normal(0, 0.1))
    blink = rng.beta(1, 6) * 0.4
    for side in ("Left", "Right"):
        weights[place["eyeBlink" + side]] = min(1.0, weights[place["eyeBlink" + side]] + blink)
    return weights, float(strength)
