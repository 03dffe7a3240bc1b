"""What the book finds beside the paper's claims: the lines of the front page, from a measurement and two records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from rifr import networks, presets
from rifr.report import claims, evidence, methods
from rifr.report.style import label
from rifr.report.text import pairs, small_faces, studies, verdicts

if TYPE_CHECKING:
    from rifr.presets import Preset
    from rifr.report.studies_tables import Recorded
    from rifr.report.study_tables import Study
    from rifr.splits import FaceSplits

MARGINS = ("arcface", "arcface-both", "adaface")
"""Methods whose loss asks for a margin between angles, each of one training."""


def scale(preset: Preset, faces: FaceSplits) -> str:
    """How large this build's networks and trainings are beside the paper's, in a sentence."""
    paper = presets.get("paper")
    ours, theirs = (
        networks.count(networks.build(one.training.network, one.training.embedding, 0.0)) for one in (preset, paper)
    )
    if preset.training.network == paper.training.network:
        return ""
    return (
        f"This build's networks have {ours.parameters / 1e6:.1f} million weights and were trained for "
        f"{preset.training.epochs} epochs on {len(faces.train):,} photos of {len(faces.train.people):,} people, the "
        f"paper's, as the preset `paper` has them, {theirs.parameters / 1e6:.0f} million, {paper.training.epochs} "
        f"epochs and {paper.train_people:,} people."
    )


def camera(difference: pd.DataFrame) -> str:
    """What training with camera-like faces does on SCface's stand-in: `proposed, camera` minus `proposed`."""
    said = small_faces.against_by_distance(difference, "proposed, camera", "proposed")
    return f"- **Training on camera-like faces**, on SCface's stand-in ([chapter 11](scface.ipynb)). {said}"


def margins(record: Study | None) -> str:
    """How losses with a margin stand against the proposed network in the record of all methods; "" without it."""
    measure = evidence.of_record(record)
    table = methods.differences(measure, "proposed", MARGINS)
    if record is None or table.empty:
        return ""
    table = table.assign(difference=-table.difference, low=-table.high, high=-table.low)  # minus proposed
    places = [
        f"at {place} "
        + ", ".join(
            f"{label(row.network)} {verdicts.bracketed(row.difference, row.low, row.high)}" for row in part.itertuples()
        )
        for place, part in table.groupby("place", sort=False)
    ]
    seeds = "one seed" if record.seeds == 1 else f"{record.seeds} seeds"
    tally = verdicts.tally(verdicts.signs(table), "the proposed network", "the margin")
    elsewhere = {
        "SCface's stand-in": [(distance, "", "scface") for distance in (1, 2, 3)],
        "LFW": [(width, "", "pairs") for width in (112, 16)],
    }
    others = []
    for place, kinds in elsewhere.items():
        found = [
            measure(claims.Difference("", 1, "", claims.minus(network, "proposed", (at,), protocol, kind)))
            for network in MARGINS
            for at, protocol, kind in kinds
        ]
        if known := [interval for interval in found if interval is not None]:
            signs = [one.sign for one in known]
            others.append(f"on {place} {verdicts.tally(signs, 'the proposed network', 'the margin')}")
    return (
        f"- **Losses with an angular margin**, in the record of other methods ([chapter 12](methods.ipynb), {seeds}). "
        f"Minus the proposed network under P1, in points: {'; '.join(places)}: {tally}. "
        f"{''.join(f'{verdicts.capital(one)}. ' for one in others)}"
        "The proposed network has a plain softmax layer: how much of this a scale on angles brings without a margin, "
        "the chapter asks."
    )


def photographs(record: Study | None) -> str:
    """How the proposed network stands on LFW's pairs, in the record over seeds; "" without several."""
    found = pairs.differences(record)
    found = found[(found.network == "proposed") & found.other.isin(["hr-only", "hr+lr"])]
    if record is None or record.seeds < 2 or found.empty:
        return ""
    parts = [
        f"minus {label(other)} "
        + ", ".join(
            f"{verdicts.bracketed(row.difference, row.low, row.high)} at {row.width} px" for row in part.itertuples()
        )
        for other, part in found.groupby("other", sort=False)
    ]
    tally = verdicts.tally(verdicts.signs(found), "the other", "the proposed network")
    return (
        "- **On photographs**, LFW's pairs, in the record of networks that were trained on rendered faces alone "
        f"([chapter 13](beyond.ipynb), {record.seeds} seeds). Accuracy of the proposed network, in points: "
        f"{'; '.join(parts)}: {tally}."
    )


def started(record: Recorded | None) -> str:
    """What sharing brings with new weights and from the teacher's start; "" without the study of starts."""
    if record is None:
        return ""
    new, teacher = (variant["label"] for variant in record.about["variants"][:2])
    before, after = (record.minus([(start, "shared-only")], [(start, "hr+lr")]) for start in (new, teacher))
    gained = record.minus([(teacher, "hr+lr")], [(new, "hr+lr")])
    return (
        f"- **Started from the teacher's weights** ([chapter 9](ablation.ipynb), {record.seeds} seeds). Shared softmax "
        f"only minus HR+LR is {studies.gap(before)} with new weights and {studies.gap(after)} where both start as the "
        f"teacher; that start alone changes HR+LR by {studies.gap(gained)}."
    )


def longer(record: Recorded | None) -> str:
    """What both halves of the method and all of it bring HR+LR in a longer training; "" without the study of length."""
    if record is None:
        return ""
    faces, epochs = record.provenance["faces"], record.about["variants"][-1]["label"]
    whole, soft, shared = (studies.gap(studies.claimed(record, claim)) for claim in ("C6", "C11", "C12"))
    return (
        f"- **Trained for longer**, all six for {epochs} of {faces['train']:,} photos ([chapter 9](ablation.ipynb), "
        f"{record.seeds} seeds). Minus HR+LR, shared softmax only is {shared}, KL only {soft}, and proposed {whole}."
    )
