"""Studies for the book: what was asked and how it was to be decided, tables, a figure, sentences that follow by rule.

    from rifr.report import studies_tables
    studies_tables.display_all()

shows every study of `studies.STUDIES` that has a record, in their order, and nothing of the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from rifr import presets, recipes
from rifr.evaluation.metrics import Interval, t_interval
from rifr.presets import Preset
from rifr.report import figures, records, studies, study_tables
from rifr.report.made_by import of_record
from rifr.report.show import html_table, markdown, show
from rifr.report.studies_plan import LOW, TEACHER, Cell
from rifr.report.studies_record import record_name
from rifr.report.style import ends, label
from rifr.report.text import studies as text
from rifr.report.text import verdicts as verdict
from rifr.training import trainer

RULE = "A difference is decided where its 95 % interval excludes zero, for large and for small faces apart."
PROTOCOL = "P1"
"""Under which studies are decided; their records hold P2, too."""


@dataclass(frozen=True)
class Recorded:
    """The record of a study.

    Attributes
    ----------
    provenance, rows
        As `rifr.report.studies_record` describes them.
    """

    provenance: dict[str, Any]
    rows: pd.DataFrame

    @property
    def about(self) -> dict[str, Any]:
        """Name, title, question, criterion, variants and claims, as they were when it was made."""
        return self.provenance["study"]

    @property
    def seeds(self) -> int:
        return len(self.provenance["seeds"])

    @property
    def places(self) -> list[Any]:
        """Where it is decided: the largest face width, and `LOW` where small ones were measured."""
        return list(dict.fromkeys(self.rows[self.rows.measure == "difference"]["at"]))

    def rank1(self) -> pd.DataFrame:
        """One row per network and place: variant, network, at, value, low, high, n, seeds."""
        return self._over_seeds("rank1", ("variant", "network", "at"))

    def differences(self) -> pd.DataFrame:
        """One row per claim and place that it is about: claim, at, difference, low, high, n, seeds."""
        table = self._over_seeds("difference", ("claim", "at")).rename(columns={"value": "difference"})
        plan = studies.STUDIES.get(self.about["name"])
        on_large = {one.claim for one in plan.differences if one.on_large} if plan else set()
        return table[~(table.claim.isin(on_large) & (table["at"] == LOW))].reset_index(drop=True)

    def minus(self, plus: Sequence[Cell], minus: Sequence[Cell]) -> dict[Any, Interval]:
        """Rank-1 of some networks minus that of as many others at each place, Student's interval over seeds."""
        rows = self.rows[(self.rows.protocol == PROTOCOL) & (self.rows.measure == "rank1")]
        found = {}
        for at in self.places:
            kept = rows[rows["at"] == at]
            by_seed = kept.pivot_table(index="seed", columns=["variant", "network"], values="value")
            values = sum(by_seed[cell] for cell in plus) - sum(by_seed[cell] for cell in minus)
            found[at] = t_interval(values.to_numpy(float))
        return found

    def told(self, measure: str) -> pd.Series:
        """The mean over seeds of what was noted of training, by variant and network."""
        rows = self.rows[self.rows.measure == measure]
        return rows.groupby(["variant", "network"], sort=False).value.mean()

    def _over_seeds(self, measure: str, by: tuple[str, ...]) -> pd.DataFrame:
        kept = (self.rows.protocol == PROTOCOL) & self.rows["at"].isin(self.places)
        return study_tables.Study(self.provenance, self.rows[kept]).over_seeds(measure, by)


def read(name: str) -> Recorded | None:
    """The record of a study by its name; None where it has not been made."""
    record = records.read(record_name(studies.get(name)))
    if record is None:
        return None
    rows = pd.DataFrame(record["rows"]).astype({"value": float})
    return Recorded(record["provenance"], of_record(rows, record_name(studies.get(name))))


def recorded() -> list[Recorded]:
    """The records that there are, in the order of `studies.STUDIES`."""
    return [record for name in studies.STUDIES if (record := read(name))]


def place_name(at: Any) -> str:
    """What a place is called: "112 px", or the mean over the small widths."""
    return "mean of 25, 20 and 16 px" if at == LOW else f"{at} px"


def networks(record: Recorded) -> pd.DataFrame:
    """One row per variant and network: rank-1 at each place, and how much of its training photos it knows."""
    known, rows = record.told("accuracy"), []
    by_network = record.rank1().groupby(["variant", "network"], sort=False)
    for (variant, network), part in by_network:
        cells = {"variant": variant, "network": label(network)}
        for row in part.itertuples():
            cells[f"rank-1 (%), {place_name(row.at)}"] = f"{row.value:.1f}{ends(row.low, row.high)}"
        cells["training photos right (%)"] = f"{known[variant, network]:.1f}"
        rows.append(cells)
    return pd.DataFrame(rows)


def decisions(record: Recorded) -> pd.DataFrame:
    """One row per claim: the difference at each place with its interval, and whether that says yes, no or nothing."""
    rows = []
    for claim, part in record.differences().groupby("claim", sort=False):
        cells = {"expected": claim}
        for row in part.itertuples():
            answer = {1: "yes", -1: "no", 0: "undecided"}[verdict.sign(row)]
            cells[place_name(row.at)] = f"{answer}: {verdict.bracketed(row.difference, row.low, row.high)}"
        rows.append(cells)
    return pd.DataFrame(rows).fillna("–")  # a claim about large faces alone


def sentence(record: Recorded) -> str:
    """How much the study decides, and what difference it could not have seen."""
    table = record.differences()
    open_ones = table[verdict.signs(table) == 0]
    count, decided = len(table), len(table) - len(open_ones)
    summary = f"Of {count} comparisons {decided} {'is' if decided == 1 else 'are'} decided"
    half = ((open_ones.high - open_ones.low) / 2).mean()
    if len(open_ones) and math.isfinite(half):
        summary += (
            f"; an undecided one does not show equality: half of its interval is {half:.1f} points on average, and a "
            "true difference of that size comes out decided in about half of such studies"
        )
    return f"{summary}. If nothing differed, {0.05 * count:.1f} of {count} would come out decided by chance."


def teachers(record: Recorded) -> str:
    """How sure each variant's teacher was of the photos it was trained on; "" for a study without a teacher."""
    right, entropy = record.told("right"), record.told("entropy")
    told: dict[str, list[str]] = {}  # several variants may have one teacher
    for variant, name in right.index:
        sure = f"{right[variant, name]:.1f} % and {entropy[variant, name]:.2f} nats"
        told.setdefault(sure, []).append(variant)
    if not told:
        return ""
    return (
        "The teacher's softmax on photos that it was trained on, mean probability of the right class and entropy: "
        + "; ".join(f"{sure} ({', '.join(variants)})" for sure, variants in told.items())
        + "."
    )


def setting(record: Recorded) -> str:
    """What a caption must say: people, photos, seeds, intervals."""
    about, faces = record.provenance, record.provenance["faces"]
    preset = about["preset"]
    return (
        f"Record of {about['date'][:10]}: trained on {faces['train']:,} photos of {faces['train_people']:,} rendered "
        f"people, {preset['training']['network']} network, preset `{preset['name']}`, {preset['training']['epochs']} "
        f"epochs where the variant says nothing else; {PROTOCOL} with {faces['probes']:,} probes of "
        f"{faces['probe_people']:,} others among {faces['distractors']:,} distractors; "
        f"{study_tables.seeds_and_intervals(record.seeds)}."
    )


def provenance(record: Recorded) -> str:
    """By what command, where and in how long the record was made."""
    about = record.provenance
    hours = sum(about["training_seconds"].values()) / 3600
    return (
        f"Made on {about['date'][:10]} by `{about['command']}` at commit `{about['commit'] or 'unknown'}`, on "
        f"{about['processor']} with {about['cores']} cores; its networks trained for {hours:.1f} hours in all."
    )


def without_record() -> pd.DataFrame:
    """The studies that no record is here of, one row each: what they ask, their networks, and how long they take."""
    rows = [
        {"study": study.name, "question": study.question, "decided by": study.criterion, "minutes": study.minutes}
        for study in studies.STUDIES.values()
        if read(study.name) is None
    ]
    return pd.DataFrame(rows)


def between_records(found: Sequence[Recorded]) -> str:
    """By how much two records of one network, preset and seed differ at most, where other commits made them; else "".

    A network is the same where recipe and effective preset are, whatever the variants are called.
    """
    rates: dict[tuple[Any, ...], list[tuple[float, Recorded]]] = {}
    for record in found:
        usual = records.preset(record.provenance["preset"])
        changes = {one["label"]: one["changes"] for one in record.about.get("variants", ())}
        rows = record.rows
        rows = rows[(rows.measure == "rank1") & (rows.protocol == PROTOCOL) & rows["at"].isin(record.places)]
        for row in rows[rows.variant.isin(list(changes))].itertuples():
            training = _effective(presets.get(usual, changes[row.variant]), row.network)
            rates.setdefault((row.network, training, row.seed, row.at), []).append((row.value, record))
    pairs = [
        (abs(one - two), key, (first, second))
        for key, several in rates.items()
        for (one, first), (two, second) in itertools.combinations(several, 2)
        if first.provenance["commit"] != second.provenance["commit"]
    ]
    if not pairs:
        return ""
    most, (network, _, seed, at), both = max(pairs, key=lambda pair: pair[0])
    names = " and ".join(f"*{record.about['title']}*" for record in both)
    return (
        f"**Compare within a study.** Two records of one network and seed differ by up to {most:.1f} points of rank-1 "
        f"({label(network)}, {place_name(at)}, seed {seed}: {names}). Other commits made them: a change that draws "
        "anything from other random numbers, or rounds a colour otherwise, makes another training of the same seed. "
        "Which change it was is not traced. "
        "Within a study all networks come from the same code."
    )


def _effective(preset: Preset, network: str) -> Preset:
    """What of a preset decides how a network is trained and tested: other networks' settings are at their defaults."""
    if network == TEACHER:
        return trainer.of_teacher(preset)
    return replace(preset, training=recipes.get(network).relevant(preset.training))


def display_all() -> None:
    """Show each study that has a record: question, criterion, figure, networks, differences, what is decided."""
    from IPython.display import display

    found = recorded()
    if said := between_records(found):
        display(markdown(said))
    for record in found:
        display_study(record)


def display_study(record: Recorded) -> None:
    """Show one study in a notebook."""
    from IPython.display import display

    about, places = record.about, [place_name(at) for at in record.places]
    display(
        markdown(
            f"**{about['title']}.** {about['question']}\n\n"
            f"*Criterion, written before the result:* {about['criterion']} {RULE}"
        )
    )
    shown = show(
        figures.studies.by_variant,
        record.rank1().assign(place=lambda table: table["at"].map(place_name)),
        alt=f"{about['title']}: rank-1 of each network, by variant, at {' and at the '.join(places)}, with intervals.",
        caption=f"{about['title']}. Rank-1 of each network, one line per variant. {setting(record)}",
    )
    display(shown)
    display(html_table(networks(record), wrap=True))
    display(html_table(decisions(record), wrap=True))
    said = [text.decided(record), sentence(record), teachers(record), provenance(record)]
    display(markdown("\n\n".join(filter(None, said))))
