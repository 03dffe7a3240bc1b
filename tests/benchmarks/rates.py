"""At which learning rate ResNet-34 survives its first two epochs: `rates.py [--set FIELD=VALUE ...] [--out FILE]`.

HR-only on rendered people, two epochs of the paper's schedule, at the paper's rate as it is, with a warm-up, with
shortened gradients, and at lower rates. The rule was set before anything was seen: of those whose loss stays finite the
least mean loss of the second epoch. What tells networks apart, rank-1 on other people, is not looked at.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from gpu import RESNET, SIZE

from rifr import presets, splits
from rifr.errors import TrainingError
from rifr.report import records
from rifr.training import trainer

TRIED: tuple[dict[str, float], ...] = (
    {"learning_rate": 0.1, "warmup": 0.0, "clip_norm": 0.0},
    {"learning_rate": 0.1, "warmup": 0.1, "clip_norm": 0.0},
    {"learning_rate": 0.1, "warmup": 0.1, "clip_norm": 5.0},
    {"learning_rate": 0.1, "warmup": 0.1, "clip_norm": 1.0},
    {"learning_rate": 0.03, "warmup": 0.1, "clip_norm": 0.0},
    {"learning_rate": 0.03, "warmup": 0.1, "clip_norm": 1.0},
    {"learning_rate": 0.01, "warmup": 0.1, "clip_norm": 0.0},
)


def tried(changes: list[str], rates: dict[str, float]) -> dict[str, Any]:
    """A row of the record: mean loss and training accuracy of the second epoch, or where the loss overflowed."""
    plan = presets.get("laptop", changes)
    faces = splits.face_splits(plan, 0).train
    plan = replace(presets.get(plan, rates | {"epochs": 2}), name="rates")
    try:
        last = trainer.fit("hr-only", plan, 0, faces).history[-1]
    except TrainingError as error:
        return rates | {"loss": None, "accuracy": None, "ended": str(error).split(". ")[0]}
    return rates | {"loss": round(last["loss"], 3), "accuracy": round(last["accuracy"], 3), "ended": ""}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--set", nargs="*", default=[], help="changes of the size, such as network=thin")
    parser.add_argument("--out", type=Path, default=records.folder() / "rates.json")
    options = parser.parse_args()
    given = {change.split("=")[0] for change in options.set}
    changes = [change for change in (*RESNET, *SIZE) if change.split("=")[0] not in given] + options.set
    rows, device = [], torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    for rates in TRIED:
        rows.append(tried(changes, rates))
        print(*(f"{name} {value}" for name, value in rows[-1].items()), sep="  ", flush=True)
        records.write(
            options.out, {"provenance": records.provenance() | {"device": device, "size": changes}, "rows": rows}
        )


if __name__ == "__main__":
    main()
