"""Is a network as sure as it is right? Its softmax on photos it has not seen, and the temperature that calibrates it.

A rendered person can be photographed again: photo n of a person is a function of the seed, the split, the person and n,
so photos beyond those of the training pack are new photos of the same people.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import entropy

from rifr import machine, storage
from rifr.errors import DataError
from rifr.evaluation.metrics import Interval, drawn_again
from rifr.evaluation.protocols.embeddings import as_identities
from rifr.faces import assets, faceset, head
from rifr.packs import FacePack

__all__ = ["Calibration", "best_temperature", "calibrate", "losses_of", "unseen_photos"]

RANGE = (1 / 16, 16.0)
"""Temperatures that are looked at."""
STEPS = 129
"""On the grid of the bootstrap, evenly in the logarithm: neighbours differ by 4.4 %."""


@dataclass(frozen=True)
class Calibration:
    """How right and how sure a softmax is.

    Attributes
    ----------
    photos, people
        How many were asked about.
    accuracy
        The share with the right class first.
    loss, entropy
        The mean negative log-likelihood of the right class, and the mean entropy of the softmax, in nats. On average
        the two are equal where the softmax is calibrated.
    temperature
        The one by which the logits have to be divided for the least loss, with its 95 % interval over people.
    calibrated_loss
        The loss at that temperature.
    """

    photos: int
    people: int
    accuracy: float
    loss: float
    entropy: float
    temperature: Interval
    calibrated_loss: float


def losses_of(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(N,) the negative log-likelihood of the right classes in nats, logits (N, K) divided by the temperature."""
    return -log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels]


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least mean negative log-likelihood, within `RANGE`.

    The loss is convex in 1/T, so it has one minimum.
    """
    found = minimize_scalar(
        lambda log: losses_of(logits, labels, np.exp(log)).mean(), bounds=np.log(RANGE), method="bounded"
    )
    return float(np.exp(found.x))


def calibrate(
    logits: np.ndarray, labels: np.ndarray, people: np.ndarray, resamples: int = 2000, seed: int = 0
) -> Calibration:
    """Measure a softmax on photos, and find the temperature that calibrates it.

    Parameters
    ----------
    logits
        (N, K).
    labels, people
        (N,) the right classes, and who is shown: the bootstrap draws people.
    resamples, seed
        Of the bootstrap.

    Raises
    ------
    DataError
        For arrays that do not fit one another, and for photos of one person.
    """
    if len(logits) != len(labels) or len(labels) != len(people) or not len(labels):
        raise DataError(f"logits, labels and people have {len(logits)}, {len(labels)} and {len(people)} rows: give one "
                        "row of each per photo.")  # fmt: skip
    names, person = np.unique(as_identities("people", people), return_inverse=True)
    if len(names) < 2:
        raise DataError("the photos show one person, and a bootstrap over people needs two: give photos of more")
    least, most = np.log(RANGE)
    grid = np.linspace(least, most, STEPS)
    sums = np.stack([np.bincount(person, losses_of(logits, labels, np.exp(log))) for log in grid], axis=1)
    drawn = np.concatenate([weights @ sums for weights in drawn_again(len(names), resamples, seed)])
    low, high = np.exp(np.quantile(_lowest(grid, drawn), [0.025, 0.975]))
    best = best_temperature(logits, labels)
    return Calibration(
        len(labels),
        len(names),
        float((logits.argmax(1) == labels).mean()),
        float(losses_of(logits, labels).mean()),
        float(entropy(np.exp(log_softmax(logits, axis=1)), axis=1).mean()),
        Interval(float(min(low, best)), best, float(max(high, best))),
        float(losses_of(logits, labels, best).mean()),
    )


def _lowest(grid: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(R,) where the parabola through each row's least value (R, G) and its neighbours on an even grid is lowest."""
    middle = values.argmin(1).clip(1, len(grid) - 2)
    before, least, after = (np.take_along_axis(values, (middle + step)[:, None], axis=1)[:, 0] for step in (-1, 0, 1))
    bend = before - 2 * least + after
    shift = np.divide(before - after, 2 * bend, out=np.zeros_like(bend), where=bend > 0)
    return grid[middle] + shift.clip(-1, 1) * (grid[1] - grid[0])


def unseen_photos(train: FacePack, photos: int = 2, most_people: int = 500) -> FacePack | None:
    """New photos of the rendered people of a pack, found in the store or rendered; None for faces not rendered here.

    Parameters
    ----------
    train
        A pack of rendered people, made by today's renderer.
    photos
        Of each person, numbered on from those in the pack.
    most_people
        So many people at most, evenly chosen.
    """
    spec = train.manifest.get("spec") or {}
    if spec.get("sources") != faceset.sources() or spec.get("scenes") or len(train.people) != spec.get("people"):
        return None
    chosen = np.unique(np.linspace(0, spec["people"] - 1, min(most_people, spec["people"])).astype(int)).tolist()
    numbers = range(spec["images_per_person"], spec["images_per_person"] + photos)

    def render(path: Path) -> None:
        model, things = head.load(progress=False), assets.load(progress=False)
        of = faceset.RenderSpec(**{field.name: spec[field.name] for field in fields(faceset.RenderSpec)})
        with ThreadPoolExecutor(machine.available_cores()) as pool:
            people = list(pool.map(lambda index: faceset.photograph_index(model, things, of, index, numbers), chosen))
        images, identities = (np.concatenate([one[name] for one in people]) for name in ("images", "identities"))
        FacePack.write(path, images, identities, source=faceset.SOURCE, licence=faceset.LICENCE)

    return storage.found_or_made(
        "packs",
        f"unseen-{spec['split']}-{len(chosen)}x{photos}",
        storage.digest(spec, chosen, list(numbers), head.version()),
        render,
        FacePack.open,
    )
