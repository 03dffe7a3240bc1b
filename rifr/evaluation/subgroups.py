"""What resolution does to whom: rank-1 by pose, light, expression, occlusion, skin tone and age of the probe.

The bands are fixed here, before any result. A trial belongs to the band of its probe; the joined photo and the
distractors are as they come. All intervals come from one bootstrap over people: a draw of people gives the rates of all
bands, widths and networks at once, so that a difference of two of them is paired wherever the same people are in both
(bands of a photo) and unpaired where they are not (skin tone, age).

    effect   rate of a band less that of its attribute's reference band, for one network at one width
    change   the effect at the smallest width minus the effect at the largest: does resolution add to it?
    gain     the effect of a network minus that of the first network, at the smallest width: does the network ease it?

A change and a gain are measured twice, in percentage points and in odds (hits to misses; a ratio of two odds ratios).
Where all rates fall towards zero, differences in points shrink whatever happens: one scale alone would mislead.
The rendered camera exposes for the face: light is divided by the skin's brightness to the power 0.28
(`rifr.faces.photograph`), as automatic exposure does in part. That weakens what dark skin would lose in a fixed
exposure: a camera that does not adapt may show a larger effect of skin tone than is measured here.

All comparisons are one family: with m of them each interval is at 1 - 0.05 / m (Bonferroni).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rifr.errors import DataError, SettingError
from rifr.evaluation.metrics import drawn_again, wilson_interval
from rifr.evaluation.outcome import Outcome

Contrast = list[tuple[int, int]]

MIN_PEOPLE = 10
"""People that a band must have to be measured, and that must have hits, and misses, in it to be compared there: drawn
again, a band without a single hit never has one, and would look certain."""
MIN_RESAMPLES_BEYOND = 10
"""Resamples that lie beyond each end of a corrected interval: fewer make its ends a matter of luck."""
OF_THE_PERSON = ("skin tone", "age")
"""Attributes that are the same in all photos of a person; the others are the photo's."""
COMPARED = ["kind", "scale", "network", "width", "attribute", "band", "reference", "people"]


@dataclass(frozen=True)
class Binning:
    """How one attribute is cut into bands: at `edges` (a value on an edge is in the band above it).

    Attributes
    ----------
    column, measure
        The pack's attribute that it is made from, by `measure`: (N, ...) to (N,) in the unit of `edges`.
    label
        What is measured, with its unit.
    names
        Of the bands, upwards; the first is the reference: the easiest by definition for a photo's attributes, the lower
        end of the scale for a person's.
    """

    column: str
    measure: Callable[[np.ndarray], np.ndarray]
    label: str
    edges: tuple[float, ...]
    names: tuple[str, ...]


BINNINGS = {
    "yaw": Binning("yaw", np.abs, "head turned by (degrees)", (15, 30), ("under 15°", "15° to 30°", "from 30°")),
    "light angle": Binning(
        "light",
        lambda lamp: np.rad2deg(np.abs(np.arctan2(lamp[:, 0], lamp[:, 2]))),
        "lamp off the front by (degrees)",
        (30, 60),
        ("under 30°", "30° to 60°", "from 60°"),
    ),
    "lamp share": Binning(
        "ambient",
        lambda share: 1 - share,
        "the lamp's share of the light",
        (1 / 3, 2 / 3),
        ("under 1/3", "1/3 to 2/3", "from 2/3"),
    ),
    "expression": Binning(
        "expression",
        np.asarray,
        "strength of the expression (0 to 1)",
        (0.2, 0.6),
        ("under 0.2", "0.2 to 0.6", "from 0.6"),
    ),
    "occlusion": Binning(
        "occlusion", lambda share: 100 * share, "face covered (%)", (1, 20), ("under 1 %", "1 % to 20 %", "from 20 %")
    ),
    "skin tone": Binning(
        "tone", np.asarray, "skin tone (0 light, 1 dark)", (1 / 3, 2 / 3), ("light", "medium", "dark")
    ),
    "age": Binning("age", np.asarray, "age (years)", (37, 56), ("under 37", "37 to 56", "from 56")),
}


@dataclass(frozen=True)
class Bands:
    """One attribute of N photos in bands; `index` (N,): a photo's place in `names`, -1 where its value is not known."""

    label: str
    names: tuple[str, ...]
    index: np.ndarray


def bands(attributes: dict[str, np.ndarray]) -> dict[str, Bands]:
    """The bands of every attribute in `BINNINGS` that a pack has; empty for photos of which nothing is known.

    Raises DataError for an attribute of the wrong shape.
    """
    by_attribute = {}
    for name, cut in BINNINGS.items():
        if cut.column not in attributes:
            continue
        given = np.asarray(attributes[cut.column], np.float64)
        if given.shape[1:] != ((3,) if cut.column == "light" else ()):
            wanted = "(N, 3), a direction towards the lamp" if cut.column == "light" else "(N,)"
            raise DataError(
                f"the attribute {cut.column!r} has the shape {given.shape}, wanted {wanted}: see "
                "rifr.faces for the unit of each, or leave it out of the pack"
            )
        values = cut.measure(given)
        index = np.searchsorted(cut.edges, values, side="right")
        by_attribute[name] = Bands(cut.label, cut.names, np.where(np.isfinite(values), index, -1))
    return by_attribute


def rates(
    outcome: Outcome, identities: np.ndarray, cuts: dict[str, Bands], protocol: str = "P2", seed: int = 0
) -> pd.DataFrame:
    """Rank-1 in each band, a row per network, width, attribute and band: rank1, low, high in per cent.

    The interval is at 95 %, not corrected, and empty in a band of fewer than `MIN_PEOPLE` people; where nobody hits, or
    everybody always, it is Wilson's of the people. `people`, `photos` and `trials` count the band.

    Parameters
    ----------
    outcome
        Of the networks, with the protocol's own results.
    identities
        (N,) of the probes that `outcome` identified.
    cuts
        Their bands, by attribute.
    protocol
        "P1" or "P2".
    seed
        Of the bootstrap.

    Raises
    ------
    DataError
        Where identities, bands and outcome are not of the same photos.
    SettingError
        For a protocol that the outcome does not hold.
    """
    cells = _cells(outcome, identities, cuts, protocol)
    if cells.table.empty:
        return cells.table.assign(rank1=[], low=[], high=[])
    with np.errstate(invalid="ignore"):  # an empty band has no rate
        rank1 = cells.hits.sum(0) / cells.trials.sum(0)
        drawn = [hits / trials for hits, trials in _resampled(cells.hits, cells.trials, outcome.resamples, seed)]
    low, high = _quantiles(np.concatenate(drawn), 0.95)
    for cell in np.flatnonzero((rank1 == 0) | (rank1 == 1)):  # drawn again, such a rate would look certain
        people = int(cells.table.people[cell])
        sure = wilson_interval(int(rank1[cell]) * people, people)
        low[cell], high[cell] = sure.low, sure.high
    few = cells.table.people.to_numpy() < MIN_PEOPLE
    low, high = (np.where(few, np.nan, 100 * end) for end in (low, high))
    return cells.table.assign(rank1=100 * rank1, low=low, high=high)


def effects(
    outcome: Outcome,
    identities: np.ndarray,
    cuts: dict[str, Bands],
    protocol: str = "P2",
    family: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """The comparisons that the module's head defines, at the largest and the smallest width of `outcome`, a row each.

    Bands of fewer than `MIN_PEOPLE` people, or with such a reference, are not compared. Where fewer than `MIN_PEOPLE`
    people have hits, or misses, in one of the bands, low and high are empty and nothing is decided.

    Parameters
    ----------
    outcome, identities, cuts, protocol, seed
        As in `rates`, which raises the same errors.
    family
        The chance that all intervals hold, at least.

    Returns
    -------
    table
        kind, scale ("points" or "odds"), network, width (of a change: the smallest), attribute, band, reference,
        people (in the smaller of the two bands); estimate, low, high (percentage points; in odds a factor, 1 where
        nothing differs); level of the interval; decided: whether it leaves out "no difference".
    """
    widths = sorted({width for of, _, width in outcome.results if of == protocol})
    cells = _cells(outcome, identities, cuts, protocol, {*widths[-1:], *widths[:1]})
    compared = list(_comparisons(cells.table))
    table = pd.DataFrame([row for row, _ in compared], columns=COMPARED)
    if not compared:
        return table.assign(estimate=[], low=[], high=[], level=[], decided=np.array([], bool))
    contrasts, odds = [contrast for _, contrast in compared], (table.scale == "odds").to_numpy()
    level = 1 - (1 - family) / len(compared)
    resamples = max(outcome.resamples, int(np.ceil(2 * MIN_RESAMPLES_BEYOND / (1 - level))))
    drawn = [_contrast(contrasts, odds, *sums) for sums in _resampled(cells.hits, cells.trials, resamples, seed)]
    estimates = _contrast(contrasts, odds, cells.hits.sum(0)[None], cells.trials.sum(0)[None])
    ends = np.concatenate([estimates, _quantiles(np.concatenate(drawn), level)])
    met = np.minimum((cells.hits > 0).sum(0), (cells.hits < cells.trials).sum(0))
    thin = [min(met[cell] for cell, _ in contrast) < MIN_PEOPLE for contrast in contrasts]
    ends[1:, thin] = np.nan
    estimate, low, high = np.where(odds, np.exp(ends), 100 * ends)
    return table.assign(estimate=estimate, low=low, high=high, level=level, decided=(ends[1] > 0) | (ends[2] < 0))


@dataclass(frozen=True)
class _Cells:
    """Counts by person in each cell of `table` (network, width, attribute, band): hits, trials (P, cells)."""

    table: pd.DataFrame
    hits: np.ndarray
    trials: np.ndarray


def _cells(
    outcome: Outcome, identities: np.ndarray, cuts: dict[str, Bands], protocol: str, widths: Collection[int] = ()
) -> _Cells:
    protocols = sorted({of for of, _, _ in outcome.results})
    if protocol not in protocols:
        raise SettingError(
            f"the outcome holds no counts by photo under {protocol!r}, but under {protocols}: take it "
            "from rifr.evaluation.evaluate.identify"
        )
    person = np.unique(identities, return_inverse=True)[1]
    people = person.max() + 1
    rows, hits, trials = [], [], []
    for (of, network, width), run in outcome.results.items():
        if of != protocol or (widths and width not in widths):
            continue
        lengths = {len(run.hits_by_probe), *(len(cut.index) for cut in cuts.values())}
        if lengths != {len(identities)}:
            raise DataError(
                f"{len(identities)} identities, but bands and outcome of {sorted(lengths)} photos: give "
                "the identities and attributes of the probes that were identified"
            )
        for attribute, cut in cuts.items():
            for place, band in enumerate(cut.names):
                inside = (cut.index == place) & (run.trials_by_probe > 0)
                hits.append(np.bincount(person[inside], run.hits_by_probe[inside], people))
                trials.append(np.bincount(person[inside], run.trials_by_probe[inside], people))
                rows.append(
                    (
                        network,
                        width,
                        attribute,
                        band,
                        cut.names[0],
                        np.count_nonzero(trials[-1]),
                        np.count_nonzero(inside),
                        int(trials[-1].sum()),
                    )
                )
    names = ["network", "width", "attribute", "band", "reference", "people", "photos", "trials"]
    by_person = [np.array(columns).reshape(len(rows), people).T for columns in (hits, trials)]
    met = by_person[1].any(axis=1)  # people with a single photo make no trial
    return _Cells(pd.DataFrame(rows, columns=names), *(counts[met] for counts in by_person))


def _comparisons(table: pd.DataFrame) -> Iterator[tuple[dict[str, Any], Contrast]]:
    """Each comparison: its row of the table, and the cells whose rates or log odds it adds (+1) and takes away (-1)."""
    keys = list(zip(table.network, table.width, table.attribute, table.band, strict=True))
    place = {key: cell for cell, key in enumerate(keys)}
    people = dict(zip(keys, table.people, strict=True))
    networks, widths = list(table.network.unique()), sorted(table.width.unique(), reverse=True)
    pairs = table[table.band != table.reference].drop_duplicates(["attribute", "band"])
    for attribute, band, reference in zip(pairs.attribute, pairs.band, pairs.reference, strict=True):
        fewest = min(people[networks[0], widths[0], attribute, name] for name in (band, reference))
        if fewest < MIN_PEOPLE:
            continue
        effect = {
            (network, width): [
                (place[network, width, attribute, band], 1),
                (place[network, width, attribute, reference], -1),
            ]
            for network in networks
            for width in widths
        }
        wanted = [("effect", "points", network, width, effect[network, width]) for network, width in effect]
        wide, narrow, first = widths[0], widths[-1], networks[0]
        for scale in ("points", "odds"):
            wanted += [
                ("change", scale, network, narrow, effect[network, narrow] + _less(effect[network, wide]))
                for network in networks
                if wide != narrow
            ]
            wanted += [
                ("gain", scale, network, narrow, effect[network, narrow] + _less(effect[first, narrow]))
                for network in networks
                if network != first
            ]
        for kind, scale, network, width, contrast in wanted:
            values = (kind, scale, network, width, attribute, band, reference, fewest)
            yield dict(zip(COMPARED, values, strict=True)), contrast


def _less(contrast: Contrast) -> Contrast:
    return [(cell, -sign) for cell, sign in contrast]


def _contrast(contrasts: list[Contrast], odds: np.ndarray, hits: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """(R, comparisons) sums of signed rates, or of signed log odds, from (R, cells) hits and trials."""
    with np.errstate(invalid="ignore"):
        rate = hits / trials
    logit = np.log((hits + 0.5) / (trials - hits + 0.5))  # half a trial on each side keeps them finite
    logit[trials == 0] = np.nan
    return np.stack(
        [
            sum(sign * (logit if of_odds else rate)[:, cell] for cell, sign in contrast)
            for contrast, of_odds in zip(contrasts, odds, strict=True)
        ],
        axis=1,
    )


def _resampled(
    hits: np.ndarray, trials: np.ndarray, resamples: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(R, cells) sums of hits and of trials over P people drawn with replacement, a block of resamples at a time."""
    for weights in drawn_again(len(hits), resamples, seed, width=hits.shape[1]):
        yield weights @ hits, weights @ trials


def _quantiles(drawn: np.ndarray, level: float) -> np.ndarray:
    """(2, columns) ends of intervals; a resample that drew nobody of a band (NaN) says nothing of it."""
    quantile = np.nanquantile if np.isnan(drawn).any() else np.quantile
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)  # a band that is empty: no interval
        return quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
