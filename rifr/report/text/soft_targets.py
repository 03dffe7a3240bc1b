"""Sentences and tables of chapter 5 on soft targets: what they hold, what of them the loss hears, how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from rifr.evaluation import calibration
from rifr.evaluation.calibration import Calibration
from rifr.evaluation.soft_targets import LIKELIEST, Resemblance, SoftTargets
from rifr.report.figures.soft_targets import percent
from rifr.report.style import label

NEAR = 1.25
"""(E) is said to hold for a photo where the divergence and half the variance are within this factor of each other."""
MOSTLY = 0.9
"""And for a network at a width where it holds for this share of the photos."""


def summary(targets: SoftTargets) -> str:
    """What share of q lies on the right class, its entropy beside that of a flat one, and how both differ by photo."""
    most, entropies = np.log(targets.logits.shape[1]), targets.entropy
    sharp = float((targets.right > 0.99).mean())
    return (
        f"On {len(targets.labels):,} training photos the teacher's softmax gives the right class a probability of "
        f"{100 * targets.right.mean():.1f} % on average and has an entropy of {entropies.mean():.2f} nats, of "
        f"$\\log K$ = {most:.2f} at most. Where it is nearly the hard target it adds little. The photos "
        f"differ: {100 * sharp:.0f} % of them have more than 99 % on the right class, and the tenth with most entropy "
        f"has {np.quantile(entropies, 0.9):.2f} nats or more."
    )


def pictured(found: Sequence[Resemblance]) -> str:
    """What the first and the last photo of `soft_targets.resemblances` show."""
    surest, least = found[0], found[-1]
    whom = "the right person" if surest.classes[0] == surest.label else "another person"
    right = [one for one in found if one.classes[0] == one.label]
    among = int(np.isin(least.label, least.classes))
    place = int(np.flatnonzero(least.classes == least.label)[0]) + 1 if among else 0
    where = {0: "not among them", 1: "the likeliest"}.get(place, f"in place {place}")
    return (
        f"Of the photo of which it is surest the teacher gives {percent(surest.probabilities[0])} to {whom}; of the "
        f"one of which it is least sure, {100 * least.probabilities.sum():.0f} % to all {len(least.classes)} people "
        f"shown together, and the right one is {where}. In {len(right)} of these {len(found)} rows the likeliest "
        "person is the right one. The photos are chosen by entropy alone."
    )


def listening_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row per student and width: both sides of (E), their agreement, and the logits' error by class."""
    rows = []
    for (network, width), part in table.groupby(["network", "width"], sort=False):
        rows.append(
            {
                "student": label(network),
                "px": width,
                "KL (nats)": f"{part.divergence.mean():.2g}",
                "½ Var (nats)": f"{part.half_variance.mean():.2g}",
                f"within ×{NEAR}": f"{100 * _near(part).mean():.0f} %",
                f"error, {LIKELIEST} likeliest": f"{part.likeliest.median():.2g}",
                "error, others": f"{part.others.median():.2g}",
            }
        )
    return pd.DataFrame(rows)


def holds(table: pd.DataFrame) -> str:
    """Where equation (E) is a good account of the divergence, photo by photo, and by how much it is off elsewhere."""
    good, bad, ratios, averages, orders = [], [], [], [], []
    for (network, width), part in table.groupby(["network", "width"], sort=False):
        name = f"{label(network)} at {width} px"
        if _near(part).mean() >= MOSTLY:
            good.append(name)
            continue
        bad.append(name)
        ratios.append(float((part.half_variance / part.divergence).median()))
        averages.append(float(part.half_variance.mean() / part.divergence.mean()))
        orders.append(
            float(part.half_variance.rank().corr(part.divergence.rank())) if len(set(part.divergence)) > 1 else 1
        )
    rule = f"(at least {100 * MOSTLY:.0f} % of photos with both sides within a factor of {NEAR})"
    if not bad:
        return f"(E) holds for {', '.join(good)} {rule}: their logits' errors are small."
    some = f"(E) holds for {', '.join(good)} {rule}; it does not for {', '.join(bad)}:"
    return (
        (some if good else f"(E) holds for no student at any of these widths {rule}:")
        + f" there half the variance is {_span(ratios)} times the divergence for the photo in the "
        f"middle, and {_span(averages)} times on average. The errors are not small, and (E) is no measure "
        "of the loss of a photo"
        + (
            f"; it still ranks the photos much as the divergence does (rank correlation {_span(orders)})."
            if min(orders) > 0.8
            else "."
        )
    )


def why_features_stop(table: pd.DataFrame) -> str:
    """Whether equation (E) can be the reason why features stop where they do: only where it holds."""
    share = [_near(part).mean() >= MOSTLY for _, part in table.groupby(["network", "width"], sort=False)]
    if all(share):
        return (
            "So (E) holds here: the students are near enough to their teacher for it. Where the loss hears few "
            "classes, what is left of their errors can lie where it hardly hears them, which would answer the question "
            "above; where it hears all alike, (E) does not say why the features stop."
        )
    some = ", or not for all of these" if any(share) else ""
    return (
        f"So (E) is not the answer to the question above{some}: it is about students near the minimum, and "
        "these stop before they come near it. What moves them till then is the exact gradient $p - q$. Why it does not "
        "bring them further, the number of steps, the falling learning rate, weight decay, the small photos, for which "
        "a student should hedge (chapter 4), or the network itself, this chapter does not measure."
    )


def listens(table: pd.DataFrame, classes: int) -> str:
    """Whether the loss hears the likeliest classes more than the others, and who is off by more."""
    rest = classes - LIKELIEST
    if rest <= 0:
        return ""
    squares, others = LIKELIEST * (table.likeliest**2).mean(), rest * (table.others**2).mean()
    heard, error, weight = table.heard.mean(), squares / (squares + others), table.weight.mean()
    numbers = (
        f"The {LIKELIEST} classes that the teacher finds likeliest, of {classes:,}, have {100 * weight:.0f} % of its "
        f"probability. They have {100 * error:.2g} % of the squared error of the students' logits, and make "
        f"{100 * heard:.0f} % of the variance that (E) counts. "
    )
    if heard < 2 * error:
        return numbers + "Here the loss hears all classes much alike: the teacher's softmax is nearly flat."
    off, pulled = (table.others / table.likeliest).median(), 1 - table.pulled.mean()
    further = f"off {off:.1f} times as far" if off > 1.1 else "off no further" if off > 0.9 else "off less"
    return (
        f"{numbers}So in (E) the loss listens to a class as far as the teacher believes in it: the logits of the other "
        f"{rest:,} classes are {further}, and are {100 * (1 - heard):.0f} % of the variance. The exact gradient, "
        f"$p - q$, has {100 * pulled:.0f} % of its size on them (sum of $|p_k - q_k|$): the student gives them "
        f"{100 * table.own.mean():.0f} % of its own probability, where the teacher gives {100 * (1 - weight):.0f} %, "
        "and a student's mistaken belief is heard, too."
    )


def calibration_table(found: Mapping[str, Calibration | None]) -> pd.DataFrame:
    """One row per kind of photo: accuracy, loss and entropy at temperature 1, the best temperature, the loss there."""
    rows = []
    for name, one in found.items():
        if one is not None:
            best = one.temperature
            rows.append(
                {
                    "photos": f"{name} ({one.photos:,})",
                    "right first": f"{100 * one.accuracy:.1f} %",
                    "loss (nats)": f"{one.loss:.2f}",
                    "entropy (nats)": f"{one.entropy:.2f}",
                    "best T": f"{best.estimate:.2f} ({best.low:.2f} to {best.high:.2f})",
                    "loss at it": f"{one.calibrated_loss:.2f}",
                }
            )
    return pd.DataFrame(rows)


def sureness(one: Calibration | None) -> str:
    """Whether the teacher is too sure of photos that it has not seen, by the interval of the best temperature."""
    if one is None:
        return (
            "Whether the teacher is as sure as it should be is not measured here: there are no photos of its training "
            "people that it has not seen. Rendered people can be photographed again."
        )
    least, most = calibration.RANGE
    best = f"T = {one.temperature.estimate:.2f} ({one.temperature.low:.2f} to {one.temperature.high:.2f})"
    asked = f"On {one.photos:,} new photos of {one.people:,} of its training people"
    if one.temperature.low < 1.05 * least and one.temperature.high > 0.95 * most:
        return f"{asked} no temperature is told from any other: the softmax says too little of who is shown."
    if one.temperature.low > 1:
        return (
            f"{asked} the teacher is surer than it is right: its softmax is calibrated by {best}, which softens it. "
            "At temperature 1 its soft targets claim more than it knows of people whom it has learnt by heart."
        )
    if one.temperature.high < 1:
        return (
            f"{asked} the teacher is less sure than it is right: its softmax is calibrated by {best}, which "
            "sharpens it. At temperature 1 its soft targets doubt more than its mistakes call for."
        )
    return f"{asked} the teacher is about as sure as it is right: {best} does not exclude 1."


def seen_and_new(seen: Calibration, unseen: Calibration | None) -> str:
    """How much better the teacher does on the photos that it was trained on."""
    if unseen is None:
        return ""
    more = "higher" if unseen.loss > seen.loss else "lower"
    return (
        f"It puts the right person first in {100 * seen.accuracy:.1f} % of the photos that it was trained on and in "
        f"{100 * unseen.accuracy:.1f} % of the new ones, where its loss is "
        f"{abs(unseen.loss - seen.loss):.2f} nats {more}. Soft targets are taken from the photos it was trained on."
    )


def in_short(targets: SoftTargets, new: Calibration | None, table: pd.DataFrame) -> list[str]:
    """The conclusions on soft targets, one sentence each."""
    entropy, most = targets.entropy.mean(), np.log(targets.logits.shape[1])
    held = f"Soft targets hold {entropy:.2f} nats on average, of {most:.2f} that a softmax over these people can have"
    if new is None or (new.temperature.low <= 1 <= new.temperature.high):
        held += "."
    elif new.temperature.high < 1:
        held += (
            ". On new photos of the same people the teacher doubts more than its mistakes call for (best "
            f"temperature {new.temperature.estimate:.2f})."
        )
    else:
        held += (
            ". On new photos of the same people the teacher doubts less than its mistakes call for (best "
            f"temperature {new.temperature.estimate:.2f})."
        )
    heard = (
        f"Of the gradient with respect to the student's logits the {LIKELIEST} people whom the teacher finds likeliest "
        f"have {100 * table.pulled.mean():.0f} %; they have {100 * table.weight.mean():.0f} % of its probability."
    )
    share = float(_near(table).mean())
    second = (
        f"Equation (E) is within a factor of {NEAR} of the divergence for {100 * share:.0f} % of photos and widths."
    )
    return [held, f"{heard} {second}"]


def _near(part: pd.DataFrame) -> pd.Series:
    return np.abs(np.log(part.half_variance.clip(lower=1e-12) / part.divergence.clip(lower=1e-12))) <= np.log(NEAR)


def _span(values: Sequence[float]) -> str:
    """ "0.4 to 1.01", or the one number where both ends print alike."""
    ends = list(dict.fromkeys(f"{value:.2g}" for value in (min(values), max(values))))
    return " to ".join(ends)
