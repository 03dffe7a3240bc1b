"""What a scoring gave: a tidy table, what made it, and how both are printed, drawn and written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rifr import storage
from rifr.splits import LeftOut

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLUMNS", "Score", "check_ending"]

COLUMNS = [
    "protocol",
    "network",
    "width",
    "measure",
    "at",
    "value",
    "low",
    "high",
    "people",
    "trials",
    "impostors",
    "std",
]
AT = {"rank1": "", "cmc": "rank", "roc": "FPR", "open-set": "FPIR", "pairs": ""}
DRAWN = ("rank1", "cmc", "roc")
VALUE = {"rank1": "rank-1", "cmc": "identified", "roc": "TPR", "open-set": "FNIR", "pairs": "accuracy on pairs"}


@dataclass(frozen=True)
class Score:
    """What was measured and what made it.

    table: a row per protocol, network, width, measure and `at` (the rank, the FPR, the FPIR; none for pairs), with
        value    in per cent, and its 95 % interval over people: low, high (over pairs for pairs)
        people   whom the rate is about; trials: their trials, genuine pairs, mated searches, or all pairs of a list
        impostors   distractors, impostor pairs, or searches of unknown people; std: over the folds, for pairs
    provenance: versions, embedders with their checksums, faces with theirs, and how the intervals were made.
    curves: the whole ROC (fpr, tpr as shares) by protocol, network and width, where it was measured.
    """

    table: pd.DataFrame
    provenance: dict[str, Any]
    curves: dict[tuple[str, str, int], pd.DataFrame] = field(default_factory=dict, repr=False)

    @property
    def measures(self) -> list[str]:
        """What was measured, in the order asked for."""
        return self.table.measure.unique().tolist()

    def __str__(self) -> str:
        """A block for each measure: a line per protocol, network and rank or rate, a column per face width."""
        blocks = []
        for measure in self.measures:
            part = self.table[self.table.measure == measure]
            lines: dict[tuple, dict[str, str]] = {}
            for row in part.itertuples():
                at = f"{AT[measure]} {row.at:g}" if AT[measure] else ""
                lines.setdefault((row.protocol, row.network, at), {})[f"{row.width} px"] = _cell(row)
            cells = pd.DataFrame.from_dict(lines, orient="index").fillna("")
            cells.insert(0, "", [" ".join(key).rstrip() for key in lines])
            blocks.append(f"{VALUE[measure]} in % [95 % interval]\n{cells.to_string(index=False)}")
        return "\n\n".join(blocks)

    def faces(self) -> str:
        """On how many photos and people, whether their names could be compared, and what was left out, with names."""
        made, said = self.provenance, []
        if "probes" in made:
            probes, others = made["probes"], made["distractors"]
            said.append(f"{probes['images']:,} probes of {probes['people']} people, {others['images']:,} distractors")
            said.append(made["people compared"].rstrip("."))
            said += [str(LeftOut(**entry)) for entry in made["left out"]]
        if "pairs" in made:
            said.append(f"{made['pairs']['pairs']:,} pairs of {made['pairs']['images']:,} photos")
            if left_out := made["pairs"]["left out"]:
                more = f" and {len(left_out) - 10} more" if len(left_out) > 10 else ""
                said.append(f"{len(left_out)} pairs left out: {'; '.join(left_out[:10])}{more}")
        return "; ".join(said)

    def save(self, path: str | Path) -> None:
        """Write all of it as .json ({"provenance": ..., "results": [a record a row]}) or the table alone as .csv."""
        path = check_ending(path)
        if path.suffix == ".csv":
            storage.atomic_write(path, self.table.to_csv(index=False))
        else:
            rows = self.table.astype(object).where(self.table.notna(), None).to_dict("records")
            storage.atomic_write(path, storage.readable_json({"provenance": self.provenance, "results": rows}))

    def figure(self, measure: str = "", protocol: str = "", width: int = 0) -> Figure:
        """Rank-1 by face width, the CMC at one width, or the ROC of one protocol at one width.

        By default: what was measured first, the first protocol, the narrowest width.
        Raises ValueError for a measure that was not taken or that has no figure.
        """
        import matplotlib.pyplot as plt  # a score that is not drawn needs no figures

        from rifr.report import figures
        from rifr.report.style import style

        measure = measure or self.measures[0]
        if measure not in self.measures or measure not in DRAWN:
            drawn = [name for name in self.measures if name in DRAWN]
            raise ValueError(f"there is no figure of {measure!r}: choose one of {', '.join(drawn) or 'none, here'}")
        part = self.table[self.table.measure == measure]
        width = width or int(part.width.min())
        with plt.rc_context(style()):
            if measure == "rank1":
                return figures.recognition.rank1_of_both(part.rename(columns={"value": "rank1"}))
            if measure == "cmc":
                return figures.recognition.cmc(
                    part.rename(columns={"at": "rank", "value": "rate"}).astype({"rank": int}), width
                )
            protocol = protocol or part.protocol.iloc[0]
            curves = {key[1]: curve for key, curve in self.curves.items() if (key[0], key[2]) == (protocol, width)}
            return figures.recognition.roc(curves, 1 / part.impostors.max(), protocol, width)

    def save_figures(self, path: str | Path) -> list[Path]:
        """Draw each measure that has a figure into `path`; of several, a file each: out-rank1.png, out-roc.png."""
        import matplotlib.pyplot as plt

        from rifr.report.style import DPI, style

        path = check_ending(path, figure=True)
        drawn = [measure for measure in self.measures if measure in DRAWN]
        written = []
        for measure in drawn:
            file = path if len(drawn) == 1 else path.with_name(f"{path.stem}-{measure}{path.suffix}")
            figure = self.figure(measure)
            with plt.rc_context(style()):
                storage.atomic_write(file, lambda out: figure.savefig(out, format=file.suffix[1:], dpi=DPI))
            plt.close(figure)
            written.append(file)
        return written


def check_ending(path: str | Path, figure: bool = False) -> Path:
    """The path, if its ending names a format that can be written; ValueError naming those that can."""
    path = Path(path)
    allowed = (".png", ".svg", ".pdf") if figure else (".json", ".csv")
    if path.suffix not in allowed:
        raise ValueError(f"{path.name}: the ending names the format, one of {', '.join(allowed)}")
    return path


def _cell(row) -> str:
    if not np.isfinite(row.value):
        return "too few pairs" if row.measure == "roc" else "too few searches"
    return f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}]"
