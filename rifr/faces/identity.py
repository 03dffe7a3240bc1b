"""Who a rendered person is: the shape of the head, skin, brows, lips, beard, hair, eyes and marks.

A person is drawn from a stream of random numbers that belongs to (seed, split, number) alone, so that more people
change none of those before. Age, skin tone and gender run through their ranges evenly along the numbers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from rifr.faces.head import PHENOTYPES, Head

_COLOURS = ("skin", "lip", "hair", "brow", "iris", "sclera")
_NUMBERS = (
    "tone",
    "age",
    "gender",
    "mottle",
    "redness",
    "freckles",
    "wrinkles",
    "eye_shadow",
    "gloss",
    "brow_inner",
    "brow_outer",
    "brow_height",
    "brow_arch",
    "brow_peak",
    "brow_tilt",
    "brow_thickness",
    "brow_density",
    "brow_join",
    "lip_contrast",
    "lip_upper",
    "lip_lower",
    "stubble",
    "moustache",
    "chin_beard",
    "cheek_beard",
    "beard_top",
    "hair_style",
    "hair_thickness",
    "hair_side",
    "hair_length",
    "hair_opening",
    "hairline",
    "hair_recession",
    "hair_peak",
    "hair_fringe",
    "hair_parting",
    "hair_curl",
    "hair_density",
    "sideburn",
    "iris_radius",
    "lashes",
    "liner",
    "noise_x",
    "noise_y",
)
MARKS = 6
MILLIMETRES = 2.6
"""How far a shape control moves the point that it moves most, one standard deviation."""


LOOK = np.dtype(
    [(name, np.float32, (3,)) for name in _COLOURS]
    + [(name, np.float32) for name in _NUMBERS]
    + [("marks", np.float32, (MARKS, 4))],
    align=True,
)
"""What paints a person; colours are linear RGB, lengths metres, a mark is (azimuth, height, radius, darkness)."""

SKIN_TONES = np.array(
    [[243, 212, 192], [234, 190, 163], [215, 164, 132], [187, 139, 109], [151, 106, 81], [113, 78, 60], [80, 54, 43]],
    np.float64,
)
"""sRGB colours of skin from tone 0 (lightest) to tone 1 (darkest)."""

HAIR_COLOURS = np.array(
    [
        [22, 18, 17],
        [42, 30, 25],
        [70, 48, 34],
        [104, 72, 46],
        [150, 112, 70],
        [196, 162, 110],
        [126, 58, 32],
        [150, 146, 142],
    ],
    np.float64,
)
"""sRGB: black, dark brown, brown, light brown, dark blond, blond, red, grey."""

IRIS_COLOURS = np.array(
    [[50, 30, 18], [84, 54, 30], [110, 88, 50], [88, 104, 70], [92, 120, 140], [110, 128, 136]], np.float64
)
"""sRGB: dark brown, brown, hazel, green, blue, grey."""


@dataclass(frozen=True)
class Identity:
    """A person: shares of anny's phenotype ends (26,), weights of the shape controls (S,), and a `LOOK` record."""

    name: str
    shares: np.ndarray
    controls: np.ndarray
    look: np.ndarray


def stream(seed: int, split: str, *key: int) -> np.random.Generator:
    """The random numbers that belong to one key of one split; other keys have other, independent streams."""
    word = int.from_bytes(hashlib.sha256(split.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, word, *key])))


def evenly(seed: int, split: str, index: int) -> np.ndarray:
    """(3,) numbers in 0..1 for person `index` that fill the cube evenly (an additive recurrence) for any count."""
    offset = stream(seed, split).random(3)
    return (offset + index * np.array([0.8191725134, 0.6710436067, 0.5497004779])) % 1.0


def linear(colour: np.ndarray) -> np.ndarray:
    """sRGB in 0..255 to linear RGB in 0..1."""
    colour = np.asarray(colour, np.float64) / 255
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def draw_identity(head: Head, seed: int, split: str, index: int) -> Identity:
    """Person `index` of a split."""
    even = evenly(seed, split, index)
    rng = stream(seed, split, index, 0)
    tone, gender = float(even[0]), float(even[1])
    years = 18 + 57 * float(even[2])
    male = np.clip((0.5 - gender) * 4 + 0.5, 0, 1)  # 1 male, 0 female, between them a narrow passage
    look = np.zeros((), LOOK)
    look["tone"], look["age"], look["gender"] = tone, years, gender
    _draw_skin(look, rng, tone, years)
    _draw_hair(look, rng, tone, years, male)
    _draw_brows(look, rng, years, male)
    _draw_beard(look, rng, years, male)
    look["noise_x"], look["noise_y"] = rng.integers(0, 256, 2)
    return Identity(
        f"{split}-{seed}-{index:06d}", _draw_shares(rng, tone, years, gender), _draw_controls(rng, head), look
    )


def _draw_shares(rng: np.random.Generator, tone: float, years: float, gender: float) -> np.ndarray:
    """(26,) shares of the phenotype ends: ancestry loosely follows the tone, the rest is free."""
    ancestry = rng.gamma(np.array([0.15 + 1.6 * tone**2, 0.7, 0.15 + 1.6 * (1 - tone) ** 2]))
    ancestry /= ancestry.sum()
    shares = dict.fromkeys(PHENOTYPES, 0.0)
    shares |= dict(zip(PHENOTYPES[:3], ancestry, strict=True))
    shares |= {"male": 1 - gender, "female": gender}
    old = np.clip((years - 25) / 50, 0, 1)
    child = np.clip((25 - years) / 25, 0, 0.3)
    shares |= {"child": child, "young": 1 - old - child, "old": old}
    for low, middle, high in (("minmuscle", "averagemuscle", "maxmuscle"), ("minweight", "averageweight", "maxweight")):
        value = rng.uniform(-1, 1)
        shares |= {low: max(0.0, -value), middle: 1 - abs(value), high: max(0.0, value)}
    for first, second in (("minheight", "maxheight"), ("idealproportions", "uncommonproportions")):
        value = rng.uniform()
        shares |= {first: 1 - value, second: value}
    shares |= {"averagecup": 1.0, "averagefirmness": 1.0}
    return np.array([shares[name] for name in PHENOTYPES])


def _draw_controls(rng: np.random.Generator, head: Head) -> np.ndarray:
    """(S,) float32 weights: each control moves the skin by millimetres, both sides alike but for a little asymmetry."""
    weights: dict[str, float] = {}
    values = np.zeros(len(head.controls), np.float32)
    for i, (control, reach) in enumerate(zip(head.controls.tolist(), head.reach.tolist(), strict=True)):
        pair = control[2:] if control[:2] in ("l-", "r-") else control
        spread = min(max(MILLIMETRES * 1e-3 / reach, 0.12), 0.75)
        if pair not in weights:
            weights[pair] = float(np.clip(rng.normal(), -2.1, 2.1))
        values[i] = spread * (weights[pair] + (rng.normal(0, 0.1) if pair != control else 0.0))
    return values


def _draw_skin(look: np.ndarray, rng: np.random.Generator, tone: float, years: float) -> None:
    place = tone * (len(SKIN_TONES) - 1)
    below = min(int(place), len(SKIN_TONES) - 2)
    skin = SKIN_TONES[below] + (place - below) * (SKIN_TONES[below + 1] - SKIN_TONES[below])
    warmth = rng.normal(0, 1)
    skin = skin * (1 + np.array([0.012, -0.004, -0.030]) * warmth) * np.array([1.0, *(1 + rng.normal(0, 0.012, 2))])
    look["skin"] = linear(np.clip(skin, 0, 250))
    lip_colour = rng.uniform(0.35, 1.0)
    look["lip_contrast"] = lip_colour
    rose = np.array([168, 84, 82]) * (1 - 0.45 * tone)
    look["lip"] = linear(np.clip(skin * np.array([0.80, 0.62, 0.64]) * 0.55 + rose * 0.45, 0, 255))
    look["mottle"] = rng.uniform(0.3, 1.0)
    look["redness"] = rng.beta(1.5, 3)
    look["freckles"] = rng.beta(0.8, 2) * (1.2 - tone) if rng.random() < 0.45 else 0.0
    look["wrinkles"] = np.clip((years - 32) / 40, 0, 1) * rng.uniform(0.6, 1.3)
    look["eye_shadow"] = rng.beta(2, 3) * (0.6 + 0.4 * (years > 45))
    look["gloss"] = rng.uniform(0.3, 1.0)
    marks = np.zeros((MARKS, 4))
    for mark in marks[: rng.binomial(MARKS, 0.4)]:
        mark[:] = rng.normal(0, 0.45), rng.uniform(0.80, 0.95), rng.uniform(0.0012, 0.0030), rng.uniform(0.4, 0.9)
    look["marks"] = marks
    light = 1 - tone
    shares = np.array([0.2 + 2.2 * tone, 0.8, 0.35 * light + 0.05, 0.2 * light, 0.45 * light**2, 0.2 * light**2])
    iris = IRIS_COLOURS[rng.choice(len(shares), p=shares / shares.sum())] * rng.uniform(0.8, 1.25)
    look["iris"] = linear(np.clip(iris, 0, 255))
    look["sclera"] = linear(np.array([208, 200, 194]) * rng.uniform(0.88, 1.0))
    look["iris_radius"] = rng.uniform(0.36, 0.44)
    look["lip_upper"], look["lip_lower"] = rng.normal(1.0, 0.18, 2)


def _draw_hair(look: np.ndarray, rng: np.random.Generator, tone: float, years: float, male: float) -> None:
    light = max(0.0, 0.75 - tone)
    shares = np.array(
        [0.5 + 2 * tone, 0.8, 0.7 * light + 0.1, 0.8 * light, 0.7 * light, 0.6 * light, 0.45 * light, 0.0]
    )
    colour = HAIR_COLOURS[rng.choice(len(shares), p=shares / shares.sum())] * rng.uniform(0.85, 1.15)
    grey = np.clip((years - 40) / 30, 0, 1) * rng.beta(2, 1.5)
    colour = colour + grey * (HAIR_COLOURS[-1] * rng.uniform(0.8, 1.25) - colour)
    look["hair"] = linear(np.clip(colour, 0, 225))
    # styles: 0 bald, 1 cropped, 2 short, 3 medium, 4 long, 5 high (curls)
    old = np.clip((years - 30) / 45, 0, 1)
    man = np.array([0.25 + 0.6 * old, 1.0, 2.6, 0.35, 0.25, 0.2 + 0.7 * tone])
    woman = np.array([0.02, 0.12, 0.8 + 0.6 * old, 1.3, 2.4, 0.3 + 0.9 * tone])
    shares = man * male + woman * (1 - male)
    style = int(rng.choice(6, p=shares / shares.sum()))
    look["hair_style"] = style
    low, high = ((0, 0.001), (0.002, 0.005), (0.009, 0.022), (0.014, 0.028), (0.014, 0.030), (0.028, 0.055))[style]
    look["hair_thickness"] = rng.uniform(low, high)
    look["hair_side"] = rng.uniform(0.5, 1.1) if style in (3, 4, 5) else rng.uniform(0.25, 0.7)
    look["hair_length"] = (0, 0, 0, rng.uniform(0.02, 0.07), rng.uniform(0.08, 0.18), rng.uniform(0.0, 0.05))[style]
    look["hair_opening"] = rng.uniform(0.80, 1.25)
    look["hairline"] = rng.normal(0.970, 0.008)
    look["hair_recession"] = np.clip(male * rng.beta(1.2, 2) * (0.5 + 1.3 * old) + rng.beta(1, 6) * 0.4, 0, 1.5)
    look["hair_peak"] = rng.normal(0, 0.5)
    look["hair_fringe"] = rng.uniform(0.4, 1.0) if style >= 2 and rng.random() < (0.12 + 0.16 * (1 - male)) else 0.0
    look["hair_parting"] = rng.uniform(-0.6, 0.6)
    look["hair_curl"] = rng.beta(1, 2) if style != 5 else rng.uniform(0.6, 1.0)
    look["hair_density"] = np.clip(rng.normal(1.0, 0.12) - 0.25 * old * male, 0.5, 1.1)
    look["sideburn"] = male * rng.uniform(0, 1)


def _draw_brows(look: np.ndarray, rng: np.random.Generator, years: float, male: float) -> None:
    look["brow_inner"] = rng.normal(0.0125, 0.0022)
    look["brow_outer"] = rng.normal(0.052, 0.0035)
    look["brow_height"] = rng.normal(0.9175, 0.0020) + 0.0015 * (1 - male)
    look["brow_arch"] = np.clip(rng.normal(0.0030 - 0.0010 * male, 0.0018), -0.001, 0.008)
    look["brow_peak"] = rng.uniform(0.5, 0.8)
    look["brow_tilt"] = rng.normal(0.0005, 0.0022)
    look["brow_thickness"] = np.clip(rng.normal(0.0032 + 0.0012 * male, 0.0010), 0.0013, 0.0065)
    look["brow_density"] = np.clip(rng.normal(0.75 + 0.1 * male, 0.22), 0.2, 1.1)
    look["brow_join"] = rng.beta(1, 4) * male
    hair = np.asarray(look["hair"], np.float64)
    look["brow"] = np.minimum(hair * rng.uniform(0.45, 0.9), 0.14 + 0.1 * rng.random())
    look["lashes"] = np.clip(rng.normal(0.55 + 0.2 * (1 - male), 0.15), 0.2, 1)
    look["liner"] = (1 - male) * (rng.uniform(0.4, 1.0) if rng.random() < 0.45 else 0.0)


def _draw_beard(look: np.ndarray, rng: np.random.Generator, years: float, male: float) -> None:
    look["beard_top"] = rng.normal(0.0, 0.006)
    if rng.random() >= male * 0.96:
        return
    look["stubble"] = rng.beta(1.2, 1.6)
    style = rng.choice(5, p=[0.45, 0.12, 0.10, 0.13, 0.20])  # none, moustache, chin, both, full
    amount = rng.uniform(0.55, 1.0)
    look["moustache"] = amount * (style in (1, 3, 4)) * rng.uniform(0.7, 1)
    look["chin_beard"] = amount * (style in (2, 3, 4))
    look["cheek_beard"] = amount * (style == 4) * rng.uniform(0.7, 1)
