"""The large record for the book: its numbers over seeds as tables, and sentences that follow from them.

large = study_tables.read()                         None where no record has been made
large.rank1(), large.difference("proposed", "hr+lr")       as `evaluate.Outcome` gives them, so that its figures draw them
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rifr.evaluation.metrics import t_interval
from rifr.evaluation.small_faces import METRES
from rifr.report import paper, records
from rifr.report.show import tabs
from rifr.report.style import label
from rifr.report.text import verdicts as verdict

MECHANISMS = (
    ("kl-only", "hr+lr"),
    ("shared-only", "hr+lr"),
    ("proposed", "hr+lr"),
    ("proposed", "kl-only"),
    ("proposed", "shared-only"),
)
"""The comparisons of the ablation."""


@dataclass(frozen=True)
class Large:
    """A record of several seeds; `rows` as `rifr.report.study` describes them."""

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
        """A row for each combination of `by`: mean over seeds (the column `value`), low, high, n (of one seed), seeds."""
        rows = []
        for key, part in self.rows[self.rows.measure == measure].groupby(list(by), sort=False):
            mean, low, high = interval(part)
            if "difference" not in measure:  # a rate; t knows nothing of its ends
                low, high = max(low, 0.0), min(high, 100.0)
            rows.append(
                {
                    **dict(zip(by, key, strict=True)),
                    "value": mean,
                    "low": low,
                    "high": high,
                    "n": int(part.n.iloc[0]),
                    "seeds": len(part),
                }
            )
        return pd.DataFrame(rows)

    def rank1(self, networks: Sequence[str] = ()) -> pd.DataFrame:
        """As `evaluate.Outcome.table()`, with intervals over seeds."""
        table = self.over_seeds("rank1").rename(columns={"at": "width", "value": "rank1", "n": "trials"})
        table["people"] = self.provenance["faces"]["probe_people"] * table.seeds
        return table[table.network.isin(networks)] if networks else table

    def difference(self, network: str, other: str) -> pd.DataFrame:
        """As `evaluate.Outcome.difference`, paired by seed: both networks saw the same faces."""
        rows = self._compared(network, other)
        return (
            Large(self.provenance, rows)
            .over_seeds("rank1 difference", ("protocol", "at"))
            .rename(columns={"at": "width", "value": "difference"})
        )

    def differences(self, networks: Sequence[str], other: str) -> dict[str, pd.DataFrame]:
        """`difference` of each of the networks that the record holds, by name."""
        return {name: self.difference(name, other) for name in networks if len(self._compared(name, other))}

    def on_average(self, network: str, other: str) -> pd.DataFrame:
        """`network` minus `other` in rank-1, the mean over all widths: one row per protocol, with low and high over seeds."""
        rows, found = self._compared(network, other), []
        for protocol, part in rows.groupby("protocol", sort=False):
            seeds = (
                part.groupby("seed")[["value", "low", "high"]].mean().reset_index()
            )  # low, high: of no use but for one
            mean, low, high = interval(seeds) if len(seeds) > 1 else (seeds.value[0], np.nan, np.nan)
            found.append(
                {
                    "protocol": protocol,
                    "difference": mean,
                    "low": low,
                    "high": high,
                    "seeds": len(seeds),
                    "ahead": int((seeds.value > 0).sum()),
                }
            )
        return pd.DataFrame(found)

    def mechanisms(self) -> list[tuple[str, str]]:
        """Those comparisons of `MECHANISMS` whose networks the record holds."""
        return [pair for pair in MECHANISMS if len(self._compared(*pair))]

    def _compared(self, network: str, other: str) -> pd.DataFrame:
        kept = (self.rows.measure == "rank1 difference") & (self.rows.network == network) & (self.rows.other == other)
        return self.rows[kept]


def read() -> Large | None:
    """The record of the book; None where it has not been made."""
    record = records.read("large")
    return (
        None if record is None else Large(record["provenance"], pd.DataFrame(record["rows"]).astype({"value": float}))
    )


def interval(part: pd.DataFrame) -> tuple[float, float, float]:
    """Mean, low and high at 95 %: Student's t over seeds; of a single seed, its own interval over people."""
    values = part.value.to_numpy(float)
    if len(values) == 1:
        low, high = part.iloc[0][["low", "high"]].astype(float)
        return float(values[0]), float(low), float(high)
    mean = t_interval(values)
    return mean.estimate, mean.low, mean.high


def beside(build: Any, large: Large | None, draw: Callable[[Large], Any], networks: Sequence[str] = ()) -> Any:
    """This build's figure or table, and in a tab beside it the record's.

    The build's alone where there is no record, or where it is not finished and lacks some of the `networks`.
    """
    whole = large is not None and set(networks) <= set(large.provenance["networks"])
    return tabs({"This build": build} | ({large.title: draw(large)} if whole else {}))


def setting(large: Large) -> str:
    """What a caption of the record must say."""
    about, faces = large.provenance, large.provenance["faces"]
    kind = (
        f"{large.seeds} seeds, each with faces of its own; intervals: 95 %, Student's t over seeds"
        if large.seeds > 1
        else "one seed; intervals: 95 % bootstrap over people"
    )
    return (
        f"Record of {about['date'][:10]}: rendered people, {faces['probes']:,} probes of {faces['probe_people']:,} among "
        f"{faces['distractors']:,} distractors, trained on {faces['train']:,} images of {faces['train_people']:,} others; "
        f"{about['preset']['training']['network']} network, preset `{about['preset']['name']}`; {kind}."
    )


def provenance(large: Large) -> str:
    """Where the record comes from, as a paragraph."""
    about = large.provenance
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items() if number)
    hours = sum(about["training_seconds"].values()) / 3600
    return (
        f"Made on {about['date'][:10]} by `{about['command']}` at commit `{about['commit'] or 'unknown'}` of rifr "
        f"{about['rifr']}, on {about['processor']} with {about['cores']} cores"
        + (f" and {about['trained_on']}" if about["device"] != "cpu" else " and no GPU")
        + f" (Python {about['python']}, {versions}). The {len(about['networks'])} networks of {large.seeds} "
        f"seed{'s' if large.seeds > 1 else ''} trained for {hours:.1f} hours in all, "
        + ("each on one thread." if about["threads"] == 1 else f"on {about['threads']} threads.")
    )


def mechanisms(large: Large) -> pd.DataFrame:
    """The ablation decided: one row per comparison, its mean difference over all widths under P1 and P2 with interval and the
    seeds that agree in sign, and the paper's gap at 20 px (P1)."""
    told, rows = {one.network: one.rank1 for one in paper.RANK1 if (one.protocol, one.width) == ("P1", 20)}, []
    for network, other in large.mechanisms():
        row = {"rank-1, mean over widths (points)": f"{label(network)} minus {label(other)}"}
        for one in large.on_average(network, other).itertuples():
            row[one.protocol] = f"{one.difference:+.2f}" + (
                f" ({one.low:+.2f} to {one.high:+.2f})" if one.seeds > 1 else ""
            )
            row[f"{one.protocol}, seeds ahead"] = f"{one.ahead} of {one.seeds}"
        rows.append(row | {"paper, P1, 20 px": f"{told[network] - told[other]:+.2f}"})
    return pd.DataFrame(rows)


def verdicts(large: Large) -> str:
    """What the record says of the paper's claim that each mechanism helps and both help most, one line per comparison."""
    lines, decisions = [], []
    for network, other in large.mechanisms():
        parts = []
        for row in large.on_average(network, other).itertuples():
            sign = verdict.sign(row)
            decisions.append(sign)
            words = {1: "ahead by {:.2f} points", 0: "not decided ({:+.2f} points)", -1: "behind by {:.2f} points"}[
                sign
            ]
            parts.append(f"{words.format(row.difference * (sign or 1))} under {row.protocol}")
        lines.append(f"- **{label(network)}** against {label(other)}: {', '.join(parts)}.")
    if not decisions:
        return "The record holds none of these comparisons yet."
    total, ahead, behind, undecided = len(decisions), *(decisions.count(sign) for sign in (1, -1, 0))
    return "\n".join(
        [
            f"The paper finds the first of each pair ahead. Averaged over widths, of these {total} comparisons the "
            f"record decides {ahead} for the paper's order and {behind} against it; {undecided} stay open. "
            f"{verdict.agreement(decisions, 'The record')} If nothing differed, {0.05 * total:.1f} of {total} would come "
            "out decided by chance.",
            "",
            *lines,
        ]
    )


def tpr(large: Large, width: int) -> pd.DataFrame:
    """TPR at a face width: one row per protocol and network, one column per FPR."""
    table = large.over_seeds("tpr")
    table = table[table["at"].str.startswith(f"{width} px, ")]
    table["fpr"] = ["at FPR " + at.split(", ")[1] for at in table["at"]]
    return _wide(table, ["protocol", "network"], "fpr")


def tinyface(large: Large) -> pd.DataFrame:
    """The record's Table I, on the surrogate: rank-1 and mean average precision."""
    both = [large.over_seeds(name, ("network", "measure")) for name in ("tinyface", "tinyface map")]
    table = pd.concat(both).replace({"measure": {"tinyface": "rank-1", "tinyface map": "mAP"}})
    return _wide(table, ["network"], "measure")


def scface(large: Large) -> pd.DataFrame:
    """The record's Table II, on the surrogate: rank-1 at each distance."""
    table = large.over_seeds("scface", ("network", "at"))
    table["distance"] = [f"d{at} ({METRES[int(at)]:.2f} m)" for at in table["at"]]
    return _wide(table, ["network"], "distance")


def pairs(large: Large) -> pd.DataFrame:
    """Accuracy on LFW's pairs in per cent: one row per network, one column per face width."""
    table = large.over_seeds("pairs", ("network", "at"))
    table["width"] = [f"both photos at {at} px" for at in table["at"]]
    return _wide(table, ["network"], "width")


def has_pairs(large: Large | None) -> bool:
    """Whether there is a record, and real faces were at hand where it was made."""
    return large is not None and bool((large.rows.measure == "pairs").any())


def validity(large: Large | None) -> str:
    """What the networks of the record, trained on rendered faces alone, know of real ones."""
    if not has_pairs(large):
        return (
            "No record of it is here: `make record PAIRS=pairs.txt IMAGES=lfw112`, with the list of pairs and a folder "
            "per person of aligned 112x112 photos, makes one."
        )
    table, faces = large.over_seeds("pairs", ("network", "at")), large.provenance["faces"]
    wide = table[table["at"] == table["at"].max()]
    best, worst = wide.loc[wide.value.idxmax()], wide.loc[wide.value.idxmin()]
    real = worst.low > 50
    over = f"Student's t over {large.seeds} seeds" if large.seeds > 1 else "Wilson's, which takes pairs for independent"
    return (
        f"Trained on {faces['train']:,} images of {faces['train_people']:,} rendered people"
        f"{' in each seed' if large.seeds > 1 else ''}, at {best['at']} px {label(best.network)} decides "
        f"{best.value:.1f} % of the pairs rightly ({best.low:.1f} to {best.high:.1f}), the best of the "
        f"{len(wide)} networks, and {label(worst.network)}, the last, {worst.value:.1f} % ({worst.low:.1f} to "
        f"{worst.high:.1f}). "
        + (
            "All of them are above chance: what they learnt from rendered faces holds for real ones in part."
            if real
            else "Not all of them are above chance."
        )
        + f" Thresholds are learnt on nine folds and applied to the tenth, each in turn; intervals at 95 % are {over}. "
        f"How far that is from what networks reach that were trained on real faces, or on many more made ones, the "
        f"tables show."
    )


def synthetic_elsewhere() -> pd.DataFrame:
    """Published accuracy on LFW's pairs of networks trained on made faces alone."""
    return pd.DataFrame(
        [
            {"trained on": row.method, "made by": row.made, "images": row.images, "accuracy (%)": f"{row.accuracy:.2f}"}
            for row in paper.LFW_SYNTHETIC
        ]
    )


def _wide(table: pd.DataFrame, keys: list[str], columns: str) -> pd.DataFrame:
    """One row per combination of keys, a column for each value of `columns`: "51.2 (48.7–53.7)"."""
    table = table.assign(
        text=[
            f"{row.value:.1f}" + (f" ({row.low:.1f}–{row.high:.1f})" if np.isfinite(row.low) else "")
            for row in table.itertuples()
        ]
    )
    wide = table.pivot(index=keys, columns=columns, values="text").reindex(columns=list(dict.fromkeys(table[columns])))
    wide = wide.reindex(
        list(dict.fromkeys(table[keys].itertuples(index=False, name=None) if len(keys) > 1 else table[keys[0]]))
    )
    wide = wide.reset_index().rename_axis(columns=None)
    return wide.assign(network=[label(name) for name in wide.network])
