"""What a scoring gave: a tidy table, what made it, and how both are printed and written."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import rifr
from rifr import storage
from rifr.errors import SettingError, first_few
from rifr.packs import FacePack
from rifr.splits import LeftOut

__all__ = ["COLUMNS", "Score", "check_out", "described", "made_now"]

FORMATS = (".json", ".csv")
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
Curves = dict[tuple, pd.DataFrame]
LIBRARIES = {"numpy": "numpy", "torch": "torch", "onnxruntime": "onnxruntime", "opencv": "cv2"}  # whatever wheel
VALUE = {"rank1": "rank-1", "cmc": "identified", "roc": "TPR", "open-set": "FNIR", "pairs": "accuracy on pairs"}


@dataclass(frozen=True)
class Score:
    """What was measured and what made it.

    Attributes
    ----------
    table
        A row per protocol, network, width, measure and `at` (the rank, the FPR, the FPIR; none for pairs), with

        - value: in per cent, and low, high: its 95 % interval over people (over pairs for pairs)
        - people: whom the rate is about; trials: their trials, genuine pairs, mated searches, or all pairs of a list
        - impostors: distractors, impostor pairs, or searches of unknown people; std: over the folds, for pairs
    provenance
        Versions, embedders with their checksums, faces with theirs, and how the intervals were made.
    curves
        The whole ROC (fpr, tpr as shares) by protocol, network and width, where it was measured.
    """

    table: pd.DataFrame
    provenance: dict[str, Any]
    curves: Curves = field(default_factory=dict, repr=False)

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
            folds = f"{made['pairs']['folds']} folds"
            if made["pairs"]["balanced"]:
                folds = "folds that divide each kind of pair by itself, for else some would hold one kind alone"
            said.append(f"{made['pairs']['pairs']:,} pairs of {made['pairs']['images']:,} photos in {folds}")
            if left_out := made["pairs"]["left out"]:
                said.append(f"{len(left_out)} pairs left out: {first_few(left_out)}")
        return "; ".join(said)

    def save(self, path: str | Path) -> None:
        """Write all of it as .json ({"provenance": ..., "results": [a record a row]}) or the table alone as .csv."""
        path = check_out(path)
        if path.suffix == ".csv":
            storage.atomic_write(path, self.table.to_csv(index=False))
        else:
            rows = self.table.astype(object).where(self.table.notna(), None).to_dict("records")
            storage.atomic_write(path, storage.readable_json({"provenance": self.provenance, "results": rows}))


def check_out(path: str | Path, formats: Sequence[str] = FORMATS) -> Path:
    """The path, if its ending names one of the formats and a file can be written there.

    Raises
    ------
    SettingError
        For another ending; it names the formats.
    StorageError
        As `storage.require_writable` has it.
    """
    path = Path(path)
    if path.suffix not in formats:
        raise SettingError(f"{path.name}: the ending names the format, one of {', '.join(formats)}")
    storage.require_writable(path)
    return path


def made_now(resamples: int, seed: int = 0) -> dict[str, Any]:
    """For a provenance: the date, how intervals are made, versions; nothing that names a folder of this machine."""
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "intervals": {"level": 0.95, "bootstrap over": "people", "resamples": resamples, "seed": seed},
        "versions": {
            "rifr": rifr.__version__,
            "python": platform.python_version(),
            **{library: import_module(module).__version__ for library, module in LIBRARIES.items()},
        },
    }


def described(pack: FacePack) -> dict[str, Any]:
    """For a provenance: which faces these are."""
    return {
        "source": pack.manifest.get("source", ""),
        "checksum": pack.checksum,
        "images": len(pack),
        "people": len(pack.people),
    }


def _cell(row: Any) -> str:
    if not np.isfinite(row.value):
        return "too few pairs" if row.measure == "roc" else "too few searches"
    if not np.isfinite(row.low):
        return f"{row.value:.2f} [{'one person' if row.people == 1 else 'too few scores kept'}: no interval]"
    return f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}]"
