"""What the studies of chapter 9 say, in sentences that follow from their records by rule.

`decided` is the same for every study. `what_they_say` has a paragraph for each that has a record, and computes what
it needs from the rates of each seed: also differences that no criterion names, which it calls so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rifr.report.studies_plan import LOW, TEACHER
from rifr.report.style import label
from rifr.report.text import verdicts

if TYPE_CHECKING:
    from rifr.evaluation.metrics import Interval
    from rifr.report.studies_tables import Recorded

SURE = 95.0
"""A teacher that gives the right class less than this, in per cent, is not sure of nearly all of its photos."""
AFTERWARDS = "a comparison that the criterion does not name"


def where(at: object) -> str:
    """ "at 112 px", "on small faces"."""
    return "on small faces" if at == LOW else f"at {at} px"


def decided(record: Recorded) -> str:
    """Which claims of a study hold, of which the reverse does, and which are open, for large and small faces."""
    table = record.differences()
    table = table.assign(sign=verdicts.signs(table))
    told: dict[str, list[str]] = {}
    for claim, part in table.groupby("claim", sort=False):
        for sign, answer in {1: "*Yes,*", -1: "*No, the reverse,*"}.items():
            if places := [where(at) for at in part["at"][part.sign == sign]]:
                told.setdefault(f"{answer} {_places(places, len(part))}", []).append(str(claim))
        if not part.sign.any():
            told.setdefault(f"*Open* {_places([where(at) for at in part['at']], len(part))}", []).append(str(claim))
    order = sorted(told, key=lambda group: ("Yes" not in group, "No" not in group))
    return "**What it decides.** " + " ".join(f"{group}: {'; '.join(told[group])}." for group in order)


def what_they_say(recorded: Iterable[Recorded]) -> str:
    """A paragraph for each study that has a record; "" without any."""
    return "\n\n".join(
        f"**{record.about['title']}.** {SAYS[record.about['name']](record)}"
        for record in recorded
        if record.about["name"] in SAYS
    )


def batch(record: Recorded | None) -> str:
    """Whether it is by the images in a step that HR+LR pays nothing on large faces; "" without a record."""
    if record is None:
        return ""
    names = _labels(record)
    wide, plain, narrow = (name.split()[0] for name in names)

    def price(large: str, both: str) -> dict[object, Interval]:
        return record.minus([(large, "hr-only")], [(both, "hr+lr")])

    of_photos, of_images = price(names[1], names[1]), [price(names[1], names[2]), price(names[0], names[1])]
    some, more = (record.minus([(a, "hr+lr")], [(b, "hr+lr")]) for a, b in ((names[1], names[2]), names[:2]))
    pays = [_first(one).sign > 0 for one in (of_photos, *of_images)]
    text = (
        f"With {plain} photos a step each, HR-only minus HR+LR is {gap(of_photos)}; with {plain} images a step each, "
        f"{gap(of_images[0])}; with {wide} images each, {gap(of_images[1])}. "
        + ("The answer depends on the count. " if any(pays) else "HR+LR pays on large faces under neither count. ")
        + f"From {narrow} to {plain} photos a step HR+LR changes by {gap(some)}, from {plain} to {wide} by "
        f"{gap(more)}. "
    )
    if _first(more).sign < 0:
        return f"{text}Twice the photos a step are half the steps: steps count for more here than images in a step."
    return f"{text}Twice the photos a step are half the steps; which of the two counts for more is not told apart."


def premise(record: Recorded | None) -> str:
    """After which lengths of training HR+LR pays on large faces, the paper's premise; "" without a record."""
    if record is None:
        return ""
    names, faces = _labels(record), record.provenance["faces"]
    price = {name: record.minus([(name, "hr-only")], [(name, "hr+lr")]) for name in names}
    paid = [name for name, one in price.items() if _first(one).sign > 0]
    text = (
        f"HR-only minus HR+LR at 112 px: {_series(price)} points. With {faces['train_people']} people of "
        f"{faces['train'] // faces['train_people']} photos the paper's premise (C3) "
    )
    if not paid:
        return f"{text}is decided after none of these."
    rest = "" if names[-1] in paid else f"; after {names[-1]}, which the criterion asks for, it is not"
    return f"{text}is decided after {_listed(paid)}{rest}."


def gap(found: dict[object, Interval]) -> str:
    """ "+8.2 points at 112 px and +5.9 on small faces (both decided)"; `found` as `Recorded.minus` gives it."""
    numbers = [
        f"{verdicts.signed(one.estimate)}{'' if n else ' points'} {where(at)}"
        for n, (at, one) in enumerate(found.items())
    ]
    kept = [where(at) for at, one in found.items() if one.decided]
    if len(kept) in (0, len(found)):
        verdict = ("both " if len(found) > 1 else "") + ("decided" if kept else "open")
    else:
        verdict = f"decided {' and '.join(kept)} alone"
    return f"{' and '.join(numbers)} ({verdict})"


def _softmax(record: Recorded) -> str:
    plain, fast, start, frozen = _labels(record)
    words = {fast: "the faster layer", start: "the teacher's start", frozen: "the teacher's frozen layer"}
    shared, without = [(plain, "shared-only")], [(plain, "hr+lr")]
    alone = {name: record.minus([(name, "hr+lr")], without) for name in words}
    beyond = {name: record.minus(shared, [(name, "hr+lr")]) for name in words}
    brings = "; ".join(f"{says} {gap(alone[name])}" for name, says in words.items())
    text = f"Sharing brings HR+LR {gap(record.minus(shared, without))}. Without sharing, {brings}. "
    more = [name for name in words if all(one.sign > 0 for one in beyond[name].values())]
    same = [name for name in words if not any(one.decided for one in beyond[name].values())]
    if more:
        text += f"Sharing is decided to bring more than {_listed([words[name] for name in more])}. "
    if same:
        text += (
            f"What it brings beyond {_listed([words[name] for name in same])} is open, so by the criterion the simpler "
            "change explains the gain. "
        )
    if start in same and frozen in more:
        text += (
            "What sharing passes on then looks like a beginning: the teacher's classes, in a layer that is free to "
            "leave them. "
        )
        if not any(one.decided for one in alone[start].values()):
            text += "That this start helps HR+LR is open itself: the simplest reading of these numbers, and no proof. "
    return text.strip()


def _temperatures(record: Recorded) -> str:
    _, plain, *_, hot = _labels(record)
    parts = [
        f"{label(name)} by {gap(record.minus([(hot, name)], [(plain, name)]))}" for name in ("kl-only", "proposed")
    ]
    tally = verdicts.tally(verdicts.signs(record.differences()))
    right, entropy = record.told("right").iloc[0], record.told("entropy").iloc[0]
    sure = f"gives the right class {right:.1f} % on average and has an entropy of {entropy:.2f} nats"
    taken = "The question takes the teacher to be sure of nearly all of its photos. "
    taken += f"This one is not: on these photos it {sure}. " if right < SURE else f"On these photos it {sure}. "
    return (
        f"A temperature of {hot.split()[-1]} instead of {plain.split()[-1]} changes {' and '.join(parts)}; in the "
        f"study, {tally}. "
        f"{taken}[Chapter 5](student.ipynb) measures the temperature that calibrates the teacher: where it is below 1, "
        "the teacher doubts too much already, and a temperature above 1 goes the wrong way."
    )


def _targets(record: Recorded) -> str:
    plain, smooth, noisy = _labels(record)
    smoothed = record.minus([(smooth, "hr+lr")], [(plain, "hr+lr")])
    softness = record.minus([(plain, "kl-only")], [(smooth, "hr+lr")])
    text = (
        f"Smoothed labels change HR+LR by {gap(smoothed)}; KL only minus HR+LR with smoothed labels is "
        f"{gap(softness)}. "
    )
    if max(one.sign for one in (*smoothed.values(), *softness.values())) < 1:
        text += "With right names neither softness nor what the teacher's softmax says beyond it is seen to help. "

    def gained(network: str, other: str) -> dict[object, Interval]:
        return record.minus([(noisy, network), (plain, other)], [(noisy, other), (plain, network)])

    alone, beside = gained("kl-only", "hr+lr"), gained("proposed", "shared-only")
    sharing = gained("shared-only", "hr+lr")
    text += f"With {noisy} KL only gains {gap(alone)} on HR+LR, and proposed {gap(beside)} on shared softmax only."
    if min(one.sign for one in alone.values()) > 0 and not any(one.decided for one in beside.values()):
        text += " So soft targets help against wrong names only where the softmax layer is the student's own."
        if min(one.sign for one in sharing.values()) > 0:
            text += (
                f" Sharing helps against them as well: shared softmax only gains {gap(sharing)} on HR+LR, {AFTERWARDS}."
                " Perhaps both mend the same, which this study cannot tell."
            )
    return text


def _lengths(record: Recorded) -> str:
    names = _labels(record)
    short, long = names[0], names[-1]
    known = record.told("accuracy")
    least = min(known[long, name] for name in ("hr+lr", "shared-only", "proposed"))
    sharing = record.minus([(long, "shared-only")], [(long, "hr+lr")])
    proposed = record.minus([(long, "proposed")], [(long, "hr+lr")])
    faded = record.minus([(short, "shared-only"), (long, "hr+lr")], [(short, "hr+lr"), (long, "shared-only")])
    text = (
        f"After {long} {least:.1f} % of the training photos or more are right, and shared softmax only minus HR+LR is "
        f"still {gap(sharing)}, proposed minus HR+LR {gap(proposed)}. The first after {short} minus this is "
        f"{gap(faded)}. "
    )
    if places := [where(at) for at, one in sharing.items() if one.sign > 0]:
        part = any(one.sign > 0 for one in faded.values())
        text += f"So sharing is more than speed, decided {_places(places, len(sharing))}; " + (
            "a part of it was speed. " if part else "that a part of it was speed is not shown. "
        )
    cost = {name: record.minus([(name, "proposed")], [(name, "shared-only")]) for name in names}
    caught = record.minus([(long, "proposed"), (short, "shared-only")], [(long, "shared-only"), (short, "proposed")])
    text += (
        f"Proposed minus shared softmax only at 112 px: {_series(cost)} points; from first to last it changes by "
        f"{gap(caught)}, {AFTERWARDS}. "
    )
    if all(one.sign > 0 for one in caught.values()) and not any(one.decided for one in cost[long].values()):
        text += "Soft targets cost a short training most, and after the longest no cost is seen: they need time. "
    return text + premise(record)


def _teachers(record: Recorded) -> str:
    none, short, *_, long = _labels(record)
    gains = [
        f"{'itself' if name == TEACHER else label(name)} {gap(record.minus([(long, name)], [(short, name)]))}"
        for name in (TEACHER, "kl-only", "shared-only", "proposed")
    ]
    cost = record.minus([(long, "proposed"), (short, "shared-only")], [(short, "proposed"), (long, "shared-only")])
    signs = [one.sign for one in cost.values()]
    if 1 in signs and -1 not in signs:
        verdict = "a part of what they cost came from a teacher that had not finished"
    elif -1 in signs and 1 not in signs:
        verdict = "a finished teacher does not make them cost less, but more"
    else:
        verdict = "whether they cost less with a finished teacher this study does not decide"
    above = [
        f"{label(name)} minus HR+LR is {gap(record.minus([(long, name)], [(none, 'hr+lr')]))}"
        for name in ("kl-only", "proposed")
    ]
    return (
        f"A {long} instead of one of {short.removeprefix('teacher of ')} gains {'; '.join(gains)}. Proposed minus "
        f"shared softmax only, what soft targets bring beside a shared layer, changes by {gap(cost)}: {verdict}. With "
        f"the longer teacher {', and '.join(above)}."
    )


def _views(record: Recorded) -> str:
    none, view, photo = _labels(record)
    taught = ("kl-only", "shared-only", "proposed")
    found = {name: record.minus([(view, name)], [(photo, name)]) for name in taught}
    gains = "; ".join(f"{label(name)} {gap(one)}" for name, one in found.items())
    tally = verdicts.tally(one.sign for of in found.values() for one in of.values())
    price = record.minus([(none, "hr-only")], [(none, "hr+lr")])
    return (
        f"A teacher that sees the changed photo instead of the untouched one: {gains}; {tally}. Where photos are "
        f"changed anew in each epoch HR-only minus HR+LR is {gap(price)}, and proposed minus HR+LR "
        f"{gap(record.minus([(view, 'proposed')], [(none, 'hr+lr')]))}."
    )


SAYS: dict[str, Callable[[Recorded], str]] = {
    "teacher": _teachers,
    "length": _lengths,
    "temperature": _temperatures,
    "softmax": _softmax,
    "targets": _targets,
    "views": _views,
    "batch": batch,
}


def _labels(record: Recorded) -> list[str]:
    return [variant["label"] for variant in record.about["variants"]]


def _first(found: dict[object, Interval]) -> Interval:
    """On the largest faces."""
    return next(iter(found.values()))


def _series(found: dict[str, dict[object, Interval]]) -> str:
    """On the largest faces, variant by variant: "-6.5 (2 epochs), +0.0 (16 epochs)"."""
    return ", ".join(f"{verdicts.signed(_first(one).estimate)} ({name})" for name, one in found.items())


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _places(places: list[str], of: int) -> str:
    return " and ".join(places) + ("" if len(places) == of else " alone")
