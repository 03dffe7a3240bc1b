"""The multi-seed study for the book: its numbers over seeds as tables, and sentences that follow from them.

    study = study_tables.read()
    study.rank1(), study.difference("proposed", "hr+lr")

give tables as those of `evaluate.Outcome`, so that the same figures draw them. `rifr.report.study` makes the record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rifr import recipes
from rifr.evaluation.metrics import Interval, t_interval
from rifr.faces import faceset
from rifr.readers.scface import METRES
from rifr.report import paper, records
from rifr.report.claims import VERIFIED_AT
from rifr.report.made_by import OF_RECORD, of_record
from rifr.report.show import Table, html_table, tabs
from rifr.report.style import ends, label


@dataclass(frozen=True)
class Study:
    """A record of several seeds.

    Attributes
    ----------
    provenance
        What made it: preset, faces, seeds, versions.
    rows
        As `rifr.report.study` describes them.
    """

    provenance: dict[str, Any]
    rows: pd.DataFrame

    @property
    def seeds(self) -> int:
        return len(self.provenance["seeds"])

    @property
    def title(self) -> str:
        """What a tab calls it."""
        return f"Record: {self.provenance['preset']['name']}, {self.seeds} seed{'s' if self.seeds > 1 else ''}"

    def over_seeds(self, measure: str, by: Sequence[str] = ("protocol", "network", "at")) -> pd.DataFrame:
        """A row for each combination of `by`: mean over seeds (column `value`), low, high, n (of one seed), seeds."""
        rows = []
        for key, part in self.rows[self.rows.measure == measure].groupby(list(by), sort=False):
            mean = interval(part, self.seeds)
            if "difference" not in measure:  # a rate; t knows nothing of its ends
                mean = Interval(max(mean.low, 0.0), mean.estimate, min(mean.high, 100.0))
            counts = {"n": int(part.n.iloc[0]), "seeds": len(part)}
            rows.append(dict(zip(by, key, strict=True)) | mean.columns("value") | counts)
        columns = [*by, "value", "low", "high", "n", "seeds"]
        return of_record(pd.DataFrame(rows, columns=columns), self.rows.attrs.get(OF_RECORD, ""))

    def rank1(self, networks: Sequence[str] = ()) -> pd.DataFrame:
        """As `evaluate.Outcome.table()`, with intervals over seeds."""
        table = self.over_seeds("rank1").rename(columns={"at": "width", "value": "rank1", "n": "trials"})
        faces = self.provenance["faces"]  # a record says whether its seeds share their probes
        table["people"] = faces["probe_people"] if faces.get("one_test_set") else faces["probe_people"] * table.seeds
        return in_order(table[table.network.isin(networks)] if networks else table, networks)

    def difference(self, network: str, other: str) -> pd.DataFrame:
        """As `evaluate.Outcome.difference`, paired by seed: both networks saw the same faces."""
        rows = self._compared(network, other)
        return (
            Study(self.provenance, rows)
            .over_seeds("rank1 difference", ("protocol", "at"))
            .rename(columns={"at": "width", "value": "difference"})
        )

    def apart(self, network: str, other: str) -> pd.DataFrame:
        """As `difference`, where the record keeps none: from the worst end of one interval to the best of the other.

        That is longer than a paired interval: what it decides is decided.
        """
        table = self.rank1([network, other]).set_index(["protocol", "width", "network"])
        first, second = (table.xs(name, level="network") for name in (network, other))
        found = pd.DataFrame(
            {"difference": first.rank1 - second.rank1, "low": first.low - second.high, "high": first.high - second.low}
        )
        return of_record(found.reset_index(), self.rows.attrs.get(OF_RECORD, ""))

    def apart_on_large(self, network: str, other: str) -> Any:
        """The row of `apart` under P1 at the largest width."""
        (row,) = self.apart(network, other).query("protocol == 'P1' and width == width.max()").itertuples()
        return row

    def differences(self, networks: Sequence[str], other: str) -> dict[str, pd.DataFrame]:
        """`difference` of each of the networks that the record holds, by name."""
        return {name: self.difference(name, other) for name in networks if len(self._compared(name, other))}

    def _compared(self, network: str, other: str) -> pd.DataFrame:
        kept = (self.rows.measure == "rank1 difference") & (self.rows.network == network) & (self.rows.other == other)
        return self.rows[kept]


def in_order(table: pd.DataFrame, networks: Sequence[str] = ()) -> pd.DataFrame:
    """Rows in the order in which a build's tables have them: by protocol, then as `networks`, or the library, lists."""
    known = list(networks or recipes.RECIPES)
    place = table.network.map(lambda name: known.index(name) if name in known else len(known))
    table = table.iloc[place.argsort(kind="stable")]
    return table.sort_values("protocol", kind="stable") if "protocol" in table else table


def read(name: str = "large") -> Study | None:
    """The record of the book by that name: of the paper's networks, or of all methods ("methods"); None without one."""
    record = records.read(name)
    if record is None:
        return None
    return Study(record["provenance"], of_record(pd.DataFrame(record["rows"]).astype({"value": float}), name))


def interval(part: pd.DataFrame, seeds: int) -> Interval:
    """The mean at 95 %: Student's t over seeds; of a record of one seed, its own interval over people.

    A record that is not finished may have of several `seeds` only one: no interval then (NaN), for the others in the
    table are over seeds.
    """
    if seeds == 1:
        return Interval(*part.iloc[0][["low", "value", "high"]].astype(float).tolist())
    return t_interval(part.value.to_numpy(float))


def beside(build: Any, study: Study | None, draw: Callable[[Study], Any], networks: Sequence[str] = ()) -> Any:
    """This build's figure or table, and in a tab beside it the record's.

    The build's alone where there is no record, or where it is not finished and lacks some of the `networks`.
    """
    if study is None or not set(networks) <= set(study.provenance["networks"]):
        return tabs({"This build": build})
    return tabs({"This build": build, study.title: draw(study)})


def setting(study: Study) -> str:
    """What a caption of the record must say."""
    about, faces = study.provenance, study.provenance["faces"]
    people = "rendered people" if faces.get("source") == faceset.SOURCE else "rendered people of an earlier version"
    return (
        f"Record of {about['date'][:10]}: {people}, {faces['probes']:,} probes of {faces['probe_people']:,} "
        f"among {faces['distractors']:,} distractors, trained on {faces['train']:,} images of "
        f"{faces['train_people']:,} others; "
        f"{about['preset']['training']['network']} network, preset `{about['preset']['name']}`; "
        f"{seeds_and_intervals(study.seeds)}."
        + (" All networks are tested on the same people." if faces.get("one_test_set") else "")
    )


def seeds_and_intervals(seeds: int) -> str:
    """How many seeds a record has, and what its intervals are over."""
    if seeds > 1:
        return f"{seeds} seeds, each with people of its own to train on; intervals: 95 %, Student's t over seeds"
    return "one seed; intervals: 95 % bootstrap over people"


def provenance(study: Study) -> str:
    """Where the record comes from, as a paragraph."""
    about = study.provenance
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items() if number)
    hours = sum(about["training_seconds"].values()) / 3600
    return (
        f"Made on {about['date'][:10]} by `{about['command']}` at commit `{about['commit'] or 'unknown'}` of rifr "
        f"{about['rifr']}, on {about['processor']} with {about['cores']} cores"
        + (f" and {about['trained_on']}" if about["device"] != "cpu" else " and no GPU")
        + f" (Python {about['python']}, {versions}). The {len(about['networks'])} networks of {study.seeds} "
        f"seed{'s' if study.seeds > 1 else ''} trained for {hours:.1f} hours in all, "
        + ("each on one thread." if about["threads"] == 1 else f"on {about['threads']} threads.")
    )


def tpr(study: Study, width: int, networks: Sequence[str] = ()) -> pd.DataFrame:
    """TPR at a face width: one row per protocol and network (of all, or of these), one column per FPR."""
    table = study.over_seeds("tpr")
    table = table[table["at"].str.startswith(f"{width} px, ") & (table.network.isin(networks) | (not networks))]
    table["fpr"] = ["TPR (%) at FPR " + at.split(", ")[1] for at in table["at"]]
    return _wide(table, ["protocol", "network"], "fpr")


def tinyface(study: Study) -> pd.DataFrame:
    """The record's Table I, on the surrogate: rank-1 and mean average precision."""
    both = [study.over_seeds(name, ("network", "measure")) for name in ("tinyface", "tinyface map")]
    table = pd.concat(both).replace({"measure": {"tinyface": "rank-1", "tinyface map": "mAP"}})
    return _wide(table, ["network"], "measure")


def scface(study: Study) -> pd.DataFrame:
    """The record's Table II, on the surrogate: rank-1 at each distance."""
    table = study.over_seeds("scface", ("network", "at"))
    table["distance"] = [f"d{at} ({METRES[int(at)]:.2f} m)" for at in table["at"]]
    return _wide(table, ["network"], "distance")


def elsewhere(study: Study, width: int = VERIFIED_AT) -> Table:
    """What the record has beside P1 and P2, in tabs: verification at a width, both stand-ins, real faces."""
    tables = {
        f"Verification, {width} px": tpr(study, width),
        "TinyFace's stand-in": tinyface(study),
        "SCface's stand-in": scface(study),
    } | ({"LFW": pairs(study)} if has_pairs(study) else {})
    return tabs({title: html_table(table) for title, table in tables.items() if len(table)})


def pairs(study: Study) -> pd.DataFrame:
    """Accuracy on LFW's pairs in per cent: one row per network, one column per face width."""
    table = study.over_seeds("pairs", ("network", "at"))
    table["width"] = [f"both photos at {at} px" for at in table["at"]]
    return _wide(table, ["network"], "width")


def has_pairs(study: Study | None) -> bool:
    """Whether there is a record, and real faces were at hand where it was made."""
    return study is not None and bool((study.rows.measure == "pairs").any())


def validity(study: Study | None) -> str:
    """What the networks of the record, trained on rendered faces alone, know of real ones."""
    if study is None or not has_pairs(study):
        return (
            "No record of it is here: `make record PAIRS=pairs.txt IMAGES=lfw112`, with the list of pairs and a folder "
            "per person of aligned 112x112 photos, makes one."
        )
    table, faces = study.over_seeds("pairs", ("network", "at")), study.provenance["faces"]
    earlier = "" if faces.get("source") == faceset.SOURCE else " of an earlier version of this library"
    wide = table[table["at"] == table["at"].max()]
    best, worst = wide.loc[wide.value.idxmax()], wide.loc[wide.value.idxmin()]
    if np.isnan(worst.low):
        real = "Whether all of them are above chance, more seeds will tell."
    elif worst.low > 50:
        real = "All of them are above chance. What a network without any training would reach is not measured."
    else:
        real = "Not all of them are above chance."
    over = f"Student's t over {study.seeds} seeds" if study.seeds > 1 else "Wilson's, which takes pairs for independent"
    return (
        f"Trained on {faces['train']:,} images of {faces['train_people']:,} rendered people{earlier}"
        f"{' in each seed' if study.seeds > 1 else ''}, at {best['at']} px {label(best.network)} gets "
        f"{best.value:.1f} % of the pairs right{ends(best.low, best.high)}, the best of the "
        f"{len(wide)} networks, and {label(worst.network)}, the last, {worst.value:.1f} %"
        f"{ends(worst.low, worst.high)}. {real} Thresholds are learnt on nine folds and applied to the tenth, each in "
        f"turn; intervals at 95 % are {over}. The table below sets this beside networks trained on far more "
        f"synthetic faces."
    )


def synthetic_elsewhere() -> pd.DataFrame:
    """Published accuracy on LFW's pairs of networks trained on synthetic faces alone."""
    return pd.DataFrame(
        [
            {"trained on": row.method, "made by": row.made, "images": row.images, "accuracy (%)": f"{row.accuracy:.2f}"}
            for row in paper.LFW_SYNTHETIC
        ]
    )


def _wide(table: pd.DataFrame, keys: list[str], columns: str) -> pd.DataFrame:
    """One row per combination of keys, one column for each value of `columns`: "51.2 (48.7–53.7)"."""
    rows: dict[tuple, dict[str, str]] = {}
    for row in in_order(table).to_dict("records"):
        cells = rows.setdefault(tuple(row[key] for key in keys), {key: row[key] for key in keys})
        cells[row[columns]] = f"{row['value']:.1f}{ends(row['low'], row['high'], to='–')}"
    wide = pd.DataFrame(list(rows.values()), columns=None if rows else keys)
    return of_record(wide.assign(network=[label(name) for name in wide.network]), table.attrs.get(OF_RECORD, ""))
