"""Evidence for and against the claims of `rifr.report.claims`: their differences as a build or the record has them.

build = evidence.of_build(trained, faces, preset, seed)    # intervals over people, paired by person
record = evidence.of_record(study_tables.read())           # intervals over seeds, paired within a seed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rifr import landmarks
from rifr.errors import DataError
from rifr.evaluation import evaluate, metrics, small_faces
from rifr.evaluation.metrics import Interval
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.results import RankedResult
from rifr.evaluation.protocols.scface import Scface
from rifr.evaluation.protocols.tinyface import TinyFace
from rifr.faces import surrogates
from rifr.presets import Preset
from rifr.report.claims import CLAIMS, FPR, GROUPS, VERIFIED_AT, Difference, Key, Measure
from rifr.splits import FaceSplits
from rifr.training.runs import Run

if TYPE_CHECKING:
    from rifr.report.study_tables import Study


def of_build(trained: Mapping[str, Run], faces: FaceSplits, preset: Preset, seed: int = 0) -> Measure:
    """What a build measures of the six networks under every protocol, on the surrogates of TinyFace and SCface too."""
    return of_outcomes(
        evaluate.identify(trained, faces, preset),
        evaluate.verify(trained, faces, preset, [VERIFIED_AT]),
        *on_stand_ins(trained, preset, seed),
    )


def on_stand_ins(
    trained: Mapping[str, Run], preset: Preset, seed: int, progress: bool = True
) -> tuple[Outcome[TinyFace], Outcome[Scface]]:
    """The networks on the surrogates of TinyFace and of SCface."""
    points = landmarks.fit("wing+lr", preset, seed)
    tiny = small_faces.tiny_faces(surrogates.tinyface(preset, seed), points.aligner(), progress)
    filmed = small_faces.filmed_faces(surrogates.scface(preset, seed), progress)
    searched = small_faces.search(trained, tiny, preset, progress)
    return searched, small_faces.surveillance(trained, filmed, preset, progress)


def of_outcomes(*outcomes: Outcome[Any]) -> Measure:
    """What outcomes of `evaluate` and `small_faces` say, with intervals over people, paired by person."""
    results: dict[Key, Any] = {}
    for outcome in outcomes:
        for key, result in outcome.results.items():
            results[_key(dict(zip(outcome.keys, key, strict=True)), isinstance(result, RankedResult))] = result
    resamples = outcomes[0].resamples
    return lambda difference: _paired_by_person(difference, results, resamples)


def of_record(study: Study | None) -> Measure:
    """What the record says, with Student's intervals over seeds, paired within a seed; nothing where there is none.

    A single seed has no such interval: then those over its people, of the comparisons that the record keeps.
    """
    by_key, over_people, of_claims = _rates(study), {}, {}
    if study is not None and study.seeds == 1:
        terms = {(claim.id, difference.name): difference.terms for claim in CLAIMS for difference in claim.differences}
        for row in study.rows[study.rows.measure.isin(["rank1 group", "claim"])].itertuples():
            found = Interval(row.low, row.value, row.high)
            if row.measure == "rank1 group":
                over_people[row.protocol, row.at, row.network, *filter(None, [row.other])] = found
            elif (row.network, row.at) in terms:
                of_claims[terms[row.network, row.at]] = found
    return lambda difference: (
        of_claims.get(difference.terms) or over_people.get(_group(difference)) or _paired_by_seed(difference, by_key)
    )


def by_seed(study: Study | None) -> Callable[[Difference], pd.Series | None]:
    """What each seed of the record gives for a difference, by seed; None where it was not measured."""
    rates = _rates(study)
    return lambda difference: _of_seeds(difference, rates)


def _rates(study: Study | None) -> dict[Key, pd.Series]:
    """The rates of the record by seed."""
    if study is None:
        return {}
    parts = study.rows.groupby(["measure", "protocol", "network", "at"], sort=False)
    return {key: part.set_index("seed").value.astype(float) for key, part in parts}


def _group(difference: Difference) -> tuple[str, ...]:
    """What `rifr.report.study` calls a mean of rank-1, or the difference of two; () for another combination."""
    terms = difference.terms
    first = terms[0]
    same = {(term.protocol, term.places, term.measure) for term in terms} == {(first.protocol, first.places, "rank1")}
    if not same or first.places not in GROUPS or [term.factor for term in terms] != [1, -1][: len(terms)]:
        return ()
    return first.protocol, GROUPS[first.places], *(term.network for term in terms)


def _key(named: dict[str, Any], ranked: bool) -> Key:
    """The record's name for a result of an outcome."""
    if "distance" in named:
        return "scface", "", named["network"], named["distance"]
    if "width" not in named:
        return "tinyface", "", named["network"], ""
    if ranked:
        return "rank1", named["protocol"], named["network"], named["width"]
    return "tpr", named["protocol"], named["network"], f"{named['width']} px, {FPR:g}"


def _paired_by_person(difference: Difference, results: Mapping[Key, Any], resamples: int) -> Interval | None:
    found = {term: [results[key] for key in term.keys(results)] for term in difference.terms}
    if not all(found.values()):
        return None
    if difference.terms[0].measure == "tpr":  # its threshold is found anew in each resample: two results at a time
        (first,), (second,) = found.values()
        return None if first.min_resolvable_fpr > FPR else first.difference(second, FPR, resamples=resamples).percent()
    counts = [(term.factor / len(of_term), *result.counts(1)) for term, of_term in found.items() for result in of_term]
    trials = counts[0][2]
    if any(not np.array_equal(of_one, trials) for _, _, of_one in counts):
        if difference.terms[0].measure == "scface":  # a frame that could not be read is missing at one distance alone
            return None
        raise DataError(f"{difference.name}: a paired difference needs the same people and trials on both sides")
    return metrics.contrast([(factor, hits) for factor, hits, _ in counts], trials, resamples).percent()


def _paired_by_seed(difference: Difference, by_key: Mapping[Key, pd.Series]) -> Interval | None:
    values = _of_seeds(difference, by_key)
    return None if values is None or values.empty else metrics.t_interval(values.to_numpy())


def _of_seeds(difference: Difference, by_key: Mapping[Key, pd.Series]) -> pd.Series | None:
    keys = [(term, term.keys(by_key)) for term in difference.terms]
    if not all(of_term for _, of_term in keys):
        return None
    terms = [
        term.factor * pd.concat([by_key[key] for key in of], axis=1).mean(axis=1, skipna=False) for term, of in keys
    ]
    return pd.concat(terms, axis=1).sum(axis=1, skipna=False).dropna()
