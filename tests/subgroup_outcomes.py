"""Photos with their ground truth, and outcomes in which some of them are harder than others."""

import numpy as np

from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.identification import Identification

NAMES = ("under 15°", "15° to 30°", "from 30°")


def ground_truth(people: int, photos: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Attributes as rendered packs hold them."""
    draw = np.random.default_rng(seed)
    n = people * photos
    lamp = draw.standard_normal((n, 3))
    return {
        "yaw": draw.uniform(-50, 50, n),
        "light": lamp / np.linalg.norm(lamp, axis=1, keepdims=True),
        "ambient": draw.uniform(0, 1, n),
        "expression": draw.uniform(0, 1, n),
        "occlusion": draw.choice([0, 0.1, 0.4], n),
        "tone": np.linspace(0, 1, people).repeat(photos),
        "age": draw.permutation(np.linspace(18, 75, people)).repeat(photos),
    }


def simulated(share, people: int = 40, photos: int = 6, seed: int = 0) -> tuple[Outcome, np.ndarray]:
    """An outcome under P2 without any network: a photo's trials hit at the rate `share(network, width)`: (N,)."""
    draw, identities, found = np.random.default_rng(seed), np.arange(people).repeat(photos), {}
    trials = np.full(people * photos, photos - 1)
    for network in ("hr-only", "proposed"):
        for width in (112, 40, 16):
            hits = draw.binomial(trials, share(network, width))
            by_person = [np.bincount(identities, counts).astype(int) for counts in (trials, hits)]
            found["P2", network, width] = Identification(
                np.arange(people), by_person[0], by_person[1][:, None], hits, trials, 0, 100
            )
    return Outcome(found, 200), identities


def turned_away(attributes, wide: float, narrow: float, base: float = 0.6):
    """Rates that depend on yaw alone: from 30 degrees on lower by `wide` at 112 px, by `narrow` at 16 px."""
    away = np.abs(attributes["yaw"]) >= 30
    return lambda network, width: base - away * {112: wide, 40: wide, 16: narrow}[width]
