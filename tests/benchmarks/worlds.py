"""In which world of rendered faces does resolution matter? A search by a criterion that does not see the ablation.

The paper's networks trained on small faces alone lose 22 points of rank-1 on large ones, and those trained on large
faces lose 65 between 60 and 20 px. Each world below trains those two networks (HR-only and LR-only, `mini`'s views,
seed 0) and no other; its distance is |HR-only minus LR-only at 112 px, minus 22| plus |HR-only's fall from 60 to 20 px,
minus 65|. The world with the least distance is taken, among those where HR-only finds at least 60 % at 112 px (where
there are any) and where `mini` stays under half an hour; of worlds less than two points apart, the first in the list.
Fixed before any was trained: the criterion, the size (600 probe people x 4, 1,000 distractors, P1), and a first list,
whose training photos were of the everyday camera. Its first two worlds left HR-only at 44 and 40 %, far from 60, and
the finer stem, which four others had as well, was the worse one: the rest was not trained, and the second list, with
the kind camera, was written. Its figures were not known then. None of the second list reached 60 %, so a third was
added, under the same criterion: photos changed anew in each epoch (`rifr.augment`), and twice the epochs. Eight epochs
reached 60 %, but make `mini` longer than half an hour: a fourth list has six, and ways to learn more in them. `laptop`,
which makes the record and has the time, takes its world by the same criterion without the half hour: decided after the
figures of the eight epochs were known, before any ablation in that world.

    python tests/benchmarks/worlds.py --store FOLDER [--worlds NAME ...] [--out book/records/worlds.json]
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import rifr
from rifr import networks, presets
from rifr.evaluation.embed import Embedder
from rifr.evaluation.features import features
from rifr.evaluation.protocols import identification
from rifr.evaluation.protocols.identification import Identification
from rifr.faces import capture
from rifr.packs import FacePack
from rifr.report import faces_tables, records

PAPER_GAP, PAPER_FALL = 0.22, 0.65
WIDTHS = (112, 60, 20, 16)
PROBES, DISTRACTORS = (600, 4), (1000, 1)
HALF_HOUR = 50_000
"""Views of training photos with which `mini`, six networks and all chapters, stays under half an hour on two cores."""


@dataclass(frozen=True)
class World:
    """What is tried: the thin network, people and photos, hair between the photos of one person, the training's camera,
    epochs and changes.

    stem is its first convolution's kernel and stride, with widths of the layers that follow.
    """

    name: str
    stem: tuple[int, int] = (7, 4)
    widths: tuple[int, ...] = (32, 64, 128)
    people: int = 500
    photos: int = 20
    hair_tint: float = 0.15
    hair_changes: float = 0.0
    camera: str = "everyday"
    epochs: int = 4
    augment: float = 0.0
    learning_rate: float = 0.03
    batch_size: int = 32


STEM, LAYERS = (5, 2), (16, 32, 64, 128)
WORLDS = (
    World("everyday camera"),
    World("everyday camera, fine stem", STEM, LAYERS),
    World("kind camera", camera="kind"),
    World("kind camera, fine stem", STEM, LAYERS, camera="kind"),
    World("kind camera, hair changes", hair_changes=0.4, hair_tint=0.35, camera="kind"),
    World("kind camera, 1,000 people x 10", camera="kind", people=1000, photos=10),
    World("kind camera, fine stem, changed anew", STEM, LAYERS, camera="kind", augment=1.0),
    World("kind camera, fine stem, 8 epochs", STEM, LAYERS, camera="kind", epochs=8),
    World("kind camera, fine stem, changed anew, 8 epochs", STEM, LAYERS, camera="kind", epochs=8, augment=1.0),
    World("kind camera, fine stem, 6 epochs", STEM, LAYERS, camera="kind", epochs=6),
    World("kind camera, fine stem, 6 epochs, rate 0.1", STEM, LAYERS, camera="kind", epochs=6, learning_rate=0.1),
    World("kind camera, fine stem, 6 epochs, batch 16", STEM, LAYERS, camera="kind", epochs=6, batch_size=16),
)


def measure(world: World, store: Path) -> dict[str, Any]:
    """Rank-1 of HR-only and LR-only by width, and what the criterion makes of it."""
    os.environ["RIFR_STORE"] = str(store / world.name.replace(" ", "-").replace(",", ""))
    capture.HAIR_TINT, capture.HAIR_CHANGES = world.hair_tint, world.hair_changes
    layers = len(world.widths)

    def thin(embedding: int = 128, dropout: float = 0.0) -> networks.FaceResNet:
        return networks.FaceResNet(world.stem, world.widths, (1,) * layers, (2,) * layers, embedding, dropout)

    networks.NETWORKS["thin"] = thin
    place = store / f"packs, hair {world.hair_tint} {world.hair_changes}"  # the hair is no part of what finds a pack
    spec = rifr.RenderSpec("train", world.people, world.photos, camera=world.camera)
    train = rifr.render(spec, place / f"train-{world.camera}-{world.people}x{world.photos}")
    probes = rifr.render(rifr.RenderSpec("probe", *PROBES), place / "probe")
    distractors = rifr.render(rifr.RenderSpec("distractor", *DISTRACTORS), place / "distractor")
    found: dict[tuple[str, int], Identification] = {}
    fields = {name: getattr(world, name) for name in ("epochs", "augment", "learning_rate", "batch_size")}
    preset = presets.get("mini", fields)
    for recipe in ("hr-only", "lr-only"):
        run = rifr.fit(recipe, preset, 0, train, progress=False)
        for width in WIDTHS:
            found[recipe, width] = identified(run.embedder(), probes, distractors, width)
    gap, fall = (
        found[first].difference(found[second])
        for first, second in ((("hr-only", 112), ("lr-only", 112)), (("hr-only", 60), ("hr-only", 20)))
    )
    return {
        **asdict(world),
        **{f"{recipe} {width}": outcome.rank1 for (recipe, width), outcome in found.items()},
        "gap": gap.estimate,
        "fall": fall.estimate,
        "gap interval": (gap.low, gap.high),
        "fall interval": (fall.low, fall.high),
        "distance": abs(gap.estimate - PAPER_GAP) + abs(fall.estimate - PAPER_FALL),
    }


def identified(embedder: Embedder, probes: FacePack, distractors: FacePack, width: int) -> Identification:
    """P1 at a face width."""
    searching, others = (np.asarray(features(embedder, pack, width, True, False)) for pack in (probes, distractors))
    return identification.evaluate(searching, searching, probes.identities, others, ranks=1)


def taken(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The world that the criterion takes, by preset."""
    brief = [row for row in rows if row["people"] * row["photos"] * row.get("epochs", 4) <= HALF_HOUR]
    return {"mini": chosen(brief or rows), "laptop": chosen(rows)}


def chosen(rows: list[dict[str, Any]]) -> str:
    """The nearest world of these."""
    able = [row for row in rows if row["hr-only 112"] >= faces_tables.LEAST] or rows
    least = min(row["distance"] for row in able)
    return next(row["name"] for row in able if row["distance"] < least + 0.02)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="folder for packs and runs of all worlds")
    parser.add_argument("--worlds", nargs="+", default=[world.name for world in WORLDS], metavar="NAME")
    parser.add_argument("--out", type=Path, help="write the figures and where they come from as .json")
    options = parser.parse_args()
    rows = []
    for world in WORLDS:
        if world.name in options.worlds:
            rows.append(measure(world, options.store))
            figures = {name: value for name, value in rows[-1].items() if isinstance(value, float)}
            print(world.name, {name: round(value, 3) for name, value in figures.items()}, flush=True)
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    print("taken:", taken(rows))
    if options.out:
        record = records.merge(options.out, rows, ["name"])
        records.write(options.out, record | {"taken": taken(record["rows"])})
        print("of the record:", taken(record["rows"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
