"""Who a rendered person is: the shape of the head, skin, brows, lips, beard, hair, eyes and marks.

A person is drawn from a stream of random numbers that belongs to (seed, split, number) alone, so that more people
change none of those before. Age, skin tone and gender run through their ranges evenly along the numbers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from rifr.faces import credits
from rifr.faces.film import linear
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
    "brow_height",
    "brow_tilt",
    "brow_density",
    "lip_contrast",
    "lip_upper",
    "lip_lower",
    "stubble",
    "bearded",
    "moustache",
    "chin_beard",
    "cheek_beard",
    "beard_top",
    "hair_style",
    "hair_mesh",
    "hair_second",
    "hair_volume",
    "fringe",
    "brow_mesh",
    "lash_mesh",
    "relief_first",
    "relief_second",
    "relief_share",
    "relief_gain",
    "hairline",
    "hair_recession",
    "hair_peak",
    "hair_density",
    "sideburn",
    "iris_picture",
    "iris_radius",
    "lashes",
    "liner",
    "noise_x",
    "noise_y",
)
MARKS = 6
MILLIMETRES = 2.9
"""How far a shape control moves the point that it moves most, one standard deviation."""


LOOK = np.dtype(
    [(name, np.float32, (3,)) for name in _COLOURS]
    + [(name, np.float32) for name in _NUMBERS]
    + [("relief_mirror", np.float32, (2,)), ("marks", np.float32, (MARKS, 4))],
    align=True,
)
"""What paints a person; colours are linear RGB (`iris` tints its picture), lengths metres, a mark is (azimuth, height,
radius, darkness)."""

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

HAIR_SHARES = {
    "bald": (0.35, 0.02),
    "cropped": (0.9, 0.12),
    "short01": (1.2, 0.35),
    "short02": (1.5, 0.45),
    "short03": (0.9, 0.45),
    "short04": (1.5, 0.5),
    "bob01": (0.02, 0.9),
    "bob02": (0.1, 1.0),
    "long01": (0.15, 1.5),
    "ponytail01": (0.12, 1.3),
    "Braid01": (0.02, 0.6),
    "afro01": (0.6, 0.8),
    "blondwithheadband": (0.0, 0.5),
    "junglebookhair": (0.12, 0.5),
}
"""How often men and women wear a style; those that hang over an eye are rare."""

WORN = 2
"""The `hair_style` of those who wear a mesh; 0 is bald, 1 cropped."""

IRISES = {
    "brown": (0.8, 2.4),
    "brownlight": (1.0, 0.5),
    "green": (0.30, 0.05),
    "grey": (0.20, 0.0),
    "ice": (0.12, 0.0),
    "lightblue": (0.20, 0.0),
    "blue": (0.35, 0.0),
    "deepblue": (0.25, 0.0),
    "bluegreen": (0.15, 0.0),
}
"""How often the lightest and the darkest people have an eye."""


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
    _draw_relief(look, rng, years, male)
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
            weights[pair] = min(max(rng.normal(), -2.1), 2.1)
        values[i] = spread * (weights[pair] + (rng.normal(0, 0.1) if pair != control else 0.0))
    return values


def _draw_relief(look: np.ndarray, rng: np.random.Generator, years: float, male: float) -> None:
    """Two of MakeHuman's skins to blend, of about the person's age and sex; their tone plays no part."""
    ages = np.array([("young", "middleage", "old").index(name.split("_")[0]) for name in credits.skins()])
    men = np.array([name.split("_")[2].startswith("male") for name in credits.skins()])
    near = np.exp(-(((ages - np.clip((years - 25) / 22, 0, 2)) / 0.9) ** 2)) * np.where(men, 0.15 + male, 1.15 - male)
    first, second = rng.choice(len(near), 2, replace=False, p=near / near.sum())
    look["relief_first"], look["relief_second"] = first, second
    look["relief_share"] = rng.uniform(0.35, 0.9)
    look["relief_gain"] = rng.uniform(1.0, 1.7)
    look["relief_mirror"] = rng.integers(0, 2, 2)


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
    shares = np.array([light * (1 - tone) ** 2 + dark * tone for light, dark in IRISES.values()])
    look["iris_picture"] = credits.irises().index(list(IRISES)[rng.choice(len(shares), p=shares / shares.sum())])
    look["iris"] = rng.uniform(0.5, 1.05) * np.exp(rng.normal(0, 0.08, 3))
    look["sclera"] = linear(np.array([172, 163, 157]) * rng.uniform(0.88, 1.0))
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
    old = np.clip((years - 30) / 45, 0, 1)
    shares = np.array([man * male + woman * (1 - male) for man, woman in HAIR_SHARES.values()])
    names = list(HAIR_SHARES)
    shares[names.index("bald")] *= 0.3 + 2.5 * old
    shares[names.index("afro01")] *= 0.05 + 6 * max(0.0, tone - 0.55)
    shares[names.index("blondwithheadband")] *= 1.0 - old
    style = names[rng.choice(len(names), p=shares / shares.sum())]
    look["hair_style"] = ("bald", "cropped").index(style) if style in ("bald", "cropped") else WORN
    look["hair_mesh"] = credits.hair().index(style) if style in credits.hair() else -1
    worn = np.array([name in credits.hair() and name != style for name in names])
    other = names[rng.choice(len(names), p=shares * worn / (shares * worn).sum())]
    look["hair_second"] = credits.hair().index(other) if look["hair_mesh"] >= 0 else -1
    look["hair_volume"] = np.clip(rng.normal(1.0, 0.09), 0.85, 1.2)
    look["fringe"] = rng.uniform(0.5, 1.0) if rng.random() < 0.06 else rng.uniform(0.0, 0.1)
    look["hairline"] = rng.normal(0.970, 0.008)
    look["hair_recession"] = np.clip(male * rng.beta(1.2, 2) * (0.5 + 1.3 * old) + rng.beta(1, 6) * 0.4, 0, 1.5)
    look["hair_peak"] = rng.normal(0, 0.5)
    look["hair_density"] = np.clip(rng.normal(1.0, 0.12) - 0.25 * old * male, 0.5, 1.1)
    look["sideburn"] = male * rng.uniform(0, 1)


def _draw_brows(look: np.ndarray, rng: np.random.Generator, years: float, male: float) -> None:
    look["brow_height"] = rng.normal(0.0012, 0.0014) + 0.0008 * (1 - male)
    look["brow_tilt"] = rng.normal(-0.0008, 0.0008)
    look["brow_density"] = np.clip(rng.normal(1.0 + 0.25 * male, 0.25), 0.45, 1.6)
    look["brow_mesh"] = rng.integers(len(credits.brows()))
    look["lash_mesh"] = rng.integers(len(credits.lashes()))
    hair = np.asarray(look["hair"], np.float64)
    look["brow"] = np.minimum(hair * rng.uniform(0.45, 0.9), 0.14 + 0.1 * rng.random())
    look["lashes"] = np.clip(rng.normal(0.55 + 0.2 * (1 - male), 0.15), 0.2, 1)
    look["liner"] = (1 - male) * (rng.uniform(0.4, 1.0) if rng.random() < 0.45 else 0.0)


def _draw_beard(look: np.ndarray, rng: np.random.Generator, years: float, male: float) -> None:
    look["beard_top"] = rng.normal(0.0, 0.006)
    if rng.random() >= male * 0.96:
        return
    look["stubble"] = rng.beta(1.2, 1.6)
    look["bearded"] = 1.0
    style = rng.choice(5, p=[0.45, 0.12, 0.10, 0.13, 0.20])  # none, moustache, chin, both, full
    amount = rng.uniform(0.55, 1.0)
    look["moustache"] = amount * (style in (1, 3, 4)) * rng.uniform(0.7, 1)
    look["chin_beard"] = amount * (style in (2, 3, 4))
    look["cheek_beard"] = amount * (style == 4) * rng.uniform(0.7, 1)
