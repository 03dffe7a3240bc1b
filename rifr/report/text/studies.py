"""What the studies of chapter 9 say, in sentences that follow from their records by rule.

`decided` is the same for every study. `what_they_say` has a paragraph for each that has a record, and computes what
it needs from the rates of each seed: also differences that no criterion names, which it calls so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from rifr import presets
from rifr.evaluation.metrics import Interval
from rifr.report import records
from rifr.report.studies_plan import LOW, TEACHER, Cell
from rifr.report.style import label
from rifr.report.text import verdicts

if TYPE_CHECKING:
    from rifr.packs import FacePack
    from rifr.presets import Preset
    from rifr.report.studies_tables import Recorded
    from rifr.report.study_tables import Study

SURE = 95.0
"""A teacher that gives the right class less than this, in per cent, is not sure of nearly all of its photos."""
CLAIMED: dict[str, Cell] = {
    "C3": ("hr+lr", "hr-only"),
    "C6": ("proposed", "hr+lr"),
    "C7": ("proposed", "hr-only"),
    "C11": ("kl-only", "hr+lr"),
    "C12": ("shared-only", "hr+lr"),
    "C13": ("proposed", "shared-only"),
    "C14": ("proposed", "kl-only"),
}
"""The claims that are one difference of two networks, which longer trainings can be asked for."""
ON_LARGE = ("C3", "C7")
"""Of these, the ones about large faces alone."""
ALL = 99.95
"""Per cent of the training photos that are called all of them."""
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


def taught_longer(record: Recorded | None, claim: str) -> str:
    """What a claim's difference is with the longest teacher, as a sentence; "" without the study or of other claims."""
    if record is None or not _asked(record, claim):
        return ""
    epochs = record.provenance["preset"]["training"]["epochs"]
    return (
        f"With a {_labels(record)[-1]}, students and HR+LR of {epochs} ({record.seeds} seeds, "
        f"[chapter 9](ablation.ipynb)): {gap(claimed(record, claim))}."
    )


def claimed(record: Recorded, claim: str) -> dict[object, Interval]:
    """The difference of a claim of `CLAIMED` in the last variants of a study that have its networks."""

    def last(network: str) -> Cell:
        return next(
            (variant["label"], name)
            for variant in reversed(record.about["variants"])
            for name in (network, *([TEACHER] if network == "hr-only" else []))
            if name in variant["recipes"]
        )

    network, other = CLAIMED[claim]
    return record.minus([last(network)], [last(other)])


def after_longer_trainings(recorded: Iterable[Recorded | None]) -> pd.DataFrame:
    """The differences of `CLAIMED` in the last variants of studies: a row per claim and place, a column per study."""
    known, rows = [record for record in recorded if record], []
    for claim, (network, other) in CLAIMED.items():
        found = {_labels(record)[-1]: claimed(record, claim) for record in known if _asked(record, claim)}
        for at in list(dict.fromkeys(at for one in found.values() for at in one))[: 1 if claim in ON_LARGE else None]:
            about = {"claim": claim, "difference": f"{label(network)} minus {label(other)}", "faces": where(at)}
            intervals = {name: one[at] for name, one in found.items()}
            rows.append(
                about | {name: verdicts.bracketed(one.estimate, one.low, one.high) for name, one in intervals.items()}
            )
    return pd.DataFrame(rows).fillna("–")


def _asked(record: Recorded, claim: str) -> bool:
    """Whether a claim is asked of a study; HR+LR and the teacher of others are no pair."""
    return claim in CLAIMED and not (claim == "C3" and record.about["name"] == "teacher")


def in_short(recorded: Iterable[Recorded]) -> str:
    """Which of the two mechanisms does the work, from the studies that there are; "" where one of three is missing."""
    by_name = {record.about["name"]: record for record in recorded}
    if not {"length", "teacher", "targets"} <= by_name.keys():
        return ""
    length, teacher, targets = (by_name[name] for name in ("length", "teacher", "targets"))
    noisy = _labels(targets)[-1]
    names = targets.minus([(noisy, "kl-only")], [(noisy, "hr+lr")])
    parts = {"sharing the softmax layer": "C12", "soft targets beside it": "C13", "soft targets alone": "C11"}
    signs = {
        part: [one.sign for record in (length, teacher) for one in claimed(record, claim).values()]
        for part, claim in parts.items()
    }
    helpful = [part for part, found in signs.items() if 1 in found and -1 not in found]
    started = by_name.get("start")
    of_start = _labels(started)[1] if started else ""
    beside_it = (
        f"\n- **Sharing where students start as their teacher** brings HR+LR "
        f"{gap(started.minus([(of_start, 'shared-only')], [(of_start, 'hr+lr')]))}: see *{started.about['title']}*."
        if started
        else ""
    )
    answer = (
        f"In the longest trainings of two studies, *{length.about['title']}* and *{teacher.about['title']}*, seen to "
        f"help somewhere and to cost nowhere: **{verdicts.listed(helpful) if helpful else 'none of them'}**."
    )
    tallies = "; ".join(f"{part}: {verdicts.tally(found)}" for part, found in signs.items())
    return (
        f"{answer} {verdicts.capital(tallies)}. The record (C11 to C13, above) and LFW ([chapter 13](beyond.ipynb)) "
        "have comparisons of their own.\n\n"
        f"- **Sharing alone** brings HR+LR {gap(claimed(length, 'C12'))} where all are trained for "
        f"{_labels(length)[-1]}, and {gap(claimed(teacher, 'C12'))} with a "
        f"{_labels(teacher)[-1]} and a shorter training of the others.\n"
        f"- **Soft targets beside it** bring {gap(claimed(length, 'C13'))} in the first of these and "
        f"{gap(claimed(teacher, 'C13'))} in the second.\n"
        f"- **Soft targets alone** bring HR+LR {gap(claimed(length, 'C11'))} and {gap(claimed(teacher, 'C11'))}; with "
        f"{noisy}, {gap(names)}."
        f"{beside_it}"
    )


def what_they_say(recorded: Iterable[Recorded]) -> str:
    """What each study says that has a record, as a list below its title; "" without any."""
    return "\n\n".join(
        "\n".join([f"**{record.about['title']}**\n", *(f"- {said}" for said in SAYS[record.about["name"]](record))])
        for record in recorded
        if record.about["name"] in SAYS
    )


def batch(record: Recorded | None) -> str:
    """Whether it is by the images in a step that HR+LR pays nothing on large faces; "" without a record."""
    return " ".join(_batches(record)) if record else ""


def premise(record: Recorded | None) -> str:
    """After which lengths of training HR+LR pays on large faces, the paper's premise; "" without a record."""
    if record is None:
        return ""
    names, faces = _labels(record), record.provenance["faces"]
    price = _over(record, names, "hr-only", "hr+lr")
    paid = [name for name, one in price.items() if _first(one).sign > 0]
    text = (
        f"HR-only minus HR+LR at 112 px, in points, above zero where HR+LR pays: {_series(price)}. With "
        f"{faces['train_people']} people of "
        f"{faces['train'] // faces['train_people']} photos the paper's premise (C3) "
    )
    if not paid:
        return f"{text}is decided to hold after none of these."
    rest = "" if names[-1] in paid else f"; after {names[-1]}, which the criterion asks for, it is not decided"
    return f"{text}holds, decided, after {verdicts.listed(paid)}{rest}."


def price_by_setting(
    build: Interval,
    preset: Preset,
    faces: FacePack,
    record: tuple[Study | None, Interval | None],
    larger: Study | None,
    studies: Iterable[Recorded | None],
) -> pd.DataFrame:
    """What HR+LR pays on large faces (C3), in this build and in each record: a row per photos, network and training.

    Parameters
    ----------
    build
        HR+LR minus HR-only at 112 px in points.
    preset, faces
        Under which it was trained, and on what.
    record, larger
        The record over seeds with the same difference, and the record of the paper's network.
    studies
        Those in which both networks are trained.
    """
    rows = [_price("this build", preset, len(faces.people), len(faces), build)]
    study, over_seeds = record
    if study and over_seeds:
        rows.append(_recorded_price("the record", study.provenance, {}, over_seeds))
    if larger:
        row = larger.apart_on_large("hr+lr", "hr-only")
        interval = Interval(low=row.low, estimate=row.difference, high=row.high)
        rows.append(_recorded_price("ResNet-34", larger.provenance, {}, interval))
    for one in filter(None, studies):
        for variant in one.about["variants"]:
            if {"hr-only", "hr+lr"} <= set(variant["recipes"]):
                price = one.minus([(variant["label"], "hr+lr")], [(variant["label"], "hr-only")])
                told = variant["changes"].keys() <= {"network", "batch_size", "epochs"}  # in columns of their own
                title = one.about["title"] + ("" if told else f": {variant['label']}")
                rows.append(_recorded_price(title, one.provenance, variant["changes"], _first(price)))
    return pd.DataFrame(rows)


def gap(found: dict[object, Interval]) -> str:
    """ "+8.2 points at 112 px (+1.0 to +15.4) and +5.9 on small faces (-0.2 to +12.0, open)".

    found: as `Recorded.minus` gives it.
    """
    return " and ".join(
        f"{verdicts.signed(one.estimate)}{'' if n else ' points'} {where(at)} ({_ends(one)})"
        for n, (at, one) in enumerate(found.items())
    )


def _softmax(record: Recorded) -> list[str]:
    plain, fast, start, frozen = _labels(record)
    words = {fast: "the faster layer", start: "the teacher's start", frozen: "the teacher's frozen layer"}
    shared, without = [(plain, "shared-only")], [(plain, "hr+lr")]
    alone = {name: record.minus([(name, "hr+lr")], without) for name in words}
    beyond = {name: record.minus(shared, [(name, "hr+lr")]) for name in words}
    brings = "; ".join(f"{says} {gap(alone[name])}" for name, says in words.items())
    said = [f"Sharing brings HR+LR {gap(record.minus(shared, without))}.", f"Without sharing, {brings}."]
    more = [name for name in words if all(one.sign > 0 for one in beyond[name].values())]
    same = [name for name in words if not any(one.decided for one in beyond[name].values())]
    if more:
        said.append(f"Sharing is decided to bring more than {verdicts.listed([words[name] for name in more])}.")
    if same:
        said.append(
            f"What it brings beyond {verdicts.listed([words[name] for name in same])} is open. The criterion "
            "takes the simpler change where that is so; intervals as long as these do not establish it."
        )
    said.append(
        "The frozen layer is the *inherited classifier* of [chapter 12](methods.ipynb), after another training."
    )
    if start in same and frozen in more:
        reading = (
            "What sharing passes on then looks like a beginning: the teacher's classes, in a layer that is free to "
            "leave them."
        )
        if not any(one.decided for one in alone[start].values()):
            reading += (
                " That this start helps HR+LR is open itself: the simplest reading of these numbers, and no proof."
            )
        said.append(reading)
    return said


def _starts(record: Recorded) -> list[str]:
    new, started, light, heavy = _labels(record)
    alone = {
        name: record.minus([(started, name)], [(new, name)]) for name in ("hr+lr", "kl-only", "shared-only", "proposed")
    }
    sharing = {
        (name, other): [record.minus([(start, name)], [(start, other)]) for start in (new, started)]
        for name, other in (("shared-only", "hr+lr"), ("proposed", "kl-only"))
    }
    signs = [one.sign for _, after in sharing.values() for one in after.values()]
    meaning = {
        (True, False): "Where this decides, sharing brings more than the teacher's axes, which all four start with",
        (False, False): "That sharing brings anything where all four start with the teacher's axes is not seen",
        (False, True): "Where all four start with the teacher's axes sharing costs something",
        (True, True): "Where all four start with the teacher's axes this is divided",
    }[1 in signs, -1 in signs]
    terms = {
        says: {name: record.minus([(variant, name)], [(new, name)]) for name in ("shared-only", "proposed")}
        for says, variant in (("A quarter of the teacher's term", light), ("four times it", heavy))
    }
    changes = [
        f"{says} changes {' and '.join(f'{label(name)} by {gap(one)}' for name, one in of.items())}"
        for says, of in terms.items()
    ]
    of_terms = [one.sign for of in terms.values() for at in of.values() for one in at.values()]
    return [
        "Started from the teacher's weights instead of new ones, "
        + "; ".join(f"{label(name)} changes by {gap(one)}" for name, one in alone.items())
        + ", comparisons that the criterion does not name: such a student has had the teacher's training besides.",
        *(
            f"{verdicts.capital(label(name))} minus {label(other)} is {gap(before)} with new weights and {gap(after)} "
            "with the teacher's; the first minus the second: "
            f"{gap(record.minus([(new, name), (started, other)], [(new, other), (started, name)]))}."
            for (name, other), (before, after) in sharing.items()
        ),
        f"{meaning}: {verdicts.tally(signs)}. Such a start gives the teacher's axes and its training at once, which "
        "are not told apart here; what training does alone is in *Learning curves*.",
        f"{'; '.join(changes)}: {verdicts.tally(of_terms)}.",
    ]


def _temperatures(record: Recorded) -> list[str]:
    _, calibrated, plain, *_, hot = _labels(record)

    def changes(variant: str) -> str:
        found = {name: record.minus([(variant, name)], [(plain, name)]) for name in ("kl-only", "proposed")}
        return f"changes {' and '.join(f'{label(name)} by {gap(of)}' for name, of in found.items())}."

    tally = verdicts.tally(verdicts.signs(record.differences()))
    right, entropy = record.told("right").iloc[0], record.told("entropy").iloc[0]
    sure = f"gives the right class {right:.1f} % on average and has an entropy of {entropy:.2f} nats"
    taken = "The question takes the teacher to be sure of nearly all of its photos. "
    taken += f"This one is not: on these photos it {sure}. " if right < SURE else f"On these photos it {sure}. "
    return [
        f"A temperature of {hot.split()[-1]} instead of {plain.split()[-1]} {changes(hot)}",
        f"One of {calibrated.split()[-1]} {changes(calibrated)}",
        f"In the study, {tally}.",
        f"{taken}[Chapter 5](student.ipynb) measures the temperature that calibrates the teacher: where it is below 1, "
        "the teacher doubts too much already, and a temperature above 1 goes the wrong way. A surer teacher may answer "
        "otherwise.",
    ]


def _targets(record: Recorded) -> list[str]:
    plain, smooth, noisy = _labels(record)
    smoothed = record.minus([(smooth, "hr+lr")], [(plain, "hr+lr")])
    softness = record.minus([(plain, "kl-only")], [(smooth, "hr+lr")])
    first = (
        f"Smoothed labels change HR+LR by {gap(smoothed)}; KL only minus HR+LR with smoothed labels is {gap(softness)}."
    )
    if max(one.sign for one in (*smoothed.values(), *softness.values())) < 1:
        first += " With right names neither softness nor what the teacher's softmax says beyond it is seen to help."

    def gained(network: str, other: str) -> dict[object, Interval]:
        return record.minus([(noisy, network), (plain, other)], [(noisy, other), (plain, network)])

    alone, beside = gained("kl-only", "hr+lr"), gained("proposed", "shared-only")
    sharing = gained("shared-only", "hr+lr")
    said = [
        first,
        f"Where wrong names take the place of right ones, KL only minus HR+LR changes by {gap(alone)}, to "
        f"{gap(record.minus([(noisy, 'kl-only')], [(noisy, 'hr+lr')]))}.",
        f"Proposed minus shared softmax only changes by {gap(beside)}, to "
        f"{gap(record.minus([(noisy, 'proposed')], [(noisy, 'shared-only')]))}.",
    ]
    if min(one.sign for one in alone.values()) > 0 and not any(one.decided for one in beside.values()):
        said.append(
            "So wrong names raise what soft targets bring where the softmax layer is the student's own; beside a "
            "shared one that is not seen. Whether they help then is in the differences themselves."
        )
        if min(one.sign for one in sharing.values()) > 0:
            said.append(
                f"Sharing helps against them as well: shared softmax only minus HR+LR rises by {gap(sharing)}, "
                f"{AFTERWARDS}. Perhaps both mend the same, which this study cannot tell."
            )
    return said


def _lengths(record: Recorded) -> list[str]:
    names = _labels(record)
    short, long = names[0], names[-1]
    known = record.told("accuracy")
    least = min(known[long, name] for name in ("hr+lr", "shared-only", "proposed"))
    known_by_heart = "all training photos are" if least >= ALL else f"{least:.1f} % of the training photos or more are"
    sharing = record.minus([(long, "shared-only")], [(long, "hr+lr")])
    proposed = record.minus([(long, "proposed")], [(long, "hr+lr")])
    faded = record.minus([(short, "shared-only"), (long, "hr+lr")], [(short, "hr+lr"), (long, "shared-only")])
    gains = _over(record, names, "shared-only", "hr+lr")
    speed = f"What it is after {short} minus what it is after {long}: {gap(faded)}."
    if places := [where(at) for at, one in sharing.items() if one.sign > 0]:
        part = any(one.sign > 0 for one in faded.values())
        speed += f" So sharing is more than speed, decided {_places(places, len(sharing))}; " + (
            "a part of it was speed." if part else "by this comparison it is open whether a part of it was speed."
        )
    cost = _over(record, names, "proposed", "shared-only")
    caught = record.minus([(long, "proposed"), (short, "shared-only")], [(long, "shared-only"), (short, "proposed")])
    soft = (
        f"Proposed minus shared softmax only at 112 px, in points: {_series(cost)}. From first to last it changes by "
        f"{gap(caught)}, {AFTERWARDS}."
    )
    if all(one.sign > 0 for one in caught.values()) and not any(one.decided for one in cost[long].values()):
        soft += (
            " Soft targets cost a short training most, and after the longest no cost is seen. Teacher and students are "
            "trained for longer together here; where the teacher alone is, *A teacher that leads* says."
        )
    return [
        f"After {long} {known_by_heart} right. Shared softmax only minus HR+LR is "
        f"{gap(sharing)}, and proposed minus HR+LR {gap(proposed)}.",
        f"Shared softmax only minus HR+LR at 112 px, in points: {_series(gains)}. {speed}",
        soft,
        f"Proposed minus HR-only at 112 px (C7), in points: {_series(_over(record, names, 'proposed', 'hr-only'))}.",
        premise(record),
    ]


def _teachers(record: Recorded) -> list[str]:
    none, *taught = _labels(record)
    short, long = taught[0], taught[-1]
    gains = [
        f"{'the teacher itself' if name == TEACHER else label(name)} "
        f"{gap(record.minus([(long, name)], [(short, name)]))}"
        for name in (TEACHER, "kl-only", "shared-only", "proposed")
    ]
    cost = record.minus([(long, "proposed"), (short, "shared-only")], [(short, "proposed"), (long, "shared-only")])
    signs = [one.sign for one in cost.values()]
    at_first = record.minus([(short, "proposed")], [(short, "shared-only")])
    if 1 in signs and -1 not in signs and any(one.sign < 0 for one in at_first.values()):
        verdict = "a part of what they cost came from a teacher that had not finished"
    elif 1 in signs and -1 not in signs:
        verdict = f"they do better with a finished teacher; with a {short} no cost is seen"
    elif -1 in signs and 1 not in signs:
        verdict = "a finished teacher does not make them cost less, but more"
    else:
        verdict = "whether they cost less with a finished teacher this study does not decide"
    above = [
        f"{label(name)} {gap(record.minus([(long, name)], [(none, 'hr+lr')]))}"
        for name in ("kl-only", "shared-only", "proposed")
    ]
    beside, own = _over(record, taught, "proposed", "shared-only"), _over(record, taught, "proposed", TEACHER)
    return [
        f"A {long} instead of {short.removeprefix('teacher of ')} brings {'; '.join(gains)}.",
        "Proposed minus shared softmax only, what soft targets bring beside a shared layer, changes by "
        f"{gap(cost)}: {verdict}. At 112 px it is, in points: {_series(beside)}.",
        f"Proposed minus its teacher at 112 px (C7), in points: {_series(own)}.",
        f"Minus HR+LR, which is trained as long as the students, with the longest teacher: {'; '.join(above)}.",
    ]


def _views(record: Recorded) -> list[str]:
    none, view, photo = _labels(record)
    taught = ("kl-only", "shared-only", "proposed")
    found = {name: record.minus([(view, name)], [(photo, name)]) for name in taught}
    gains = "; ".join(f"{label(name)} {gap(one)}" for name, one in found.items())
    tally = verdicts.tally(one.sign for of in found.values() for one in of.values())
    price = record.minus([(none, "hr-only")], [(none, "hr+lr")])
    sharing = record.minus([(view, "shared-only")], [(none, "hr+lr")])
    soft = record.minus([(view, "proposed")], [(view, "shared-only")])
    right, entropy = record.told("right").iloc[0], record.told("entropy").iloc[0]
    return [
        f"A teacher that sees the changed photo instead of the untouched one: {gains}; {tally}.",
        f"Where photos are changed anew in each epoch HR-only minus HR+LR is {gap(price)}, and proposed minus HR+LR "
        f"{gap(record.minus([(view, 'proposed')], [(none, 'hr+lr')]))}.",
        f"Shared softmax only minus HR+LR is {gap(sharing)}, and proposed minus shared softmax only, both where the "
        f"teacher sees the view, {gap(soft)}, {AFTERWARDS}. Of the untouched training photos this teacher gives the "
        f"right class {right:.1f} % on average, with an entropy of {entropy:.2f} nats.",
    ]


def _batches(record: Recorded) -> list[str]:
    names = _labels(record)
    wide, plain, narrow = (name.split()[0] for name in names)
    price = {
        f"{count} each": record.minus([(names[large], "hr-only")], [(names[both], "hr+lr")])
        for count, large, both in (
            (f"{plain} photos", 1, 1),
            (f"{wide} photos", 0, 0),
            (f"{plain} images", 1, 2),
            (f"{wide} images", 0, 1),
        )
    }
    some, more = (record.minus([(names[a], "hr+lr")], [(names[b], "hr+lr")]) for a, b in ((1, 2), (0, 1)))
    pays = [count for count, one in price.items() if _first(one).sign > 0]
    return [
        "HR-only minus HR+LR at 112 px, by what a step counts, in points, above zero where HR+LR pays: "
        f"{_series(price)}. That HR+LR pays on large "
        f"faces is decided {f'with {verdicts.listed(pays)}' if pays else 'with none of these counts'}.",
        f"From {narrow} to {plain} photos a step HR+LR changes by {gap(some)}, from {plain} to {wide} by {gap(more)}. "
        "Twice the photos a step are twice the images in it and half the steps: the two are not told apart here.",
    ]


SAYS: dict[str, Callable[[Recorded], list[str]]] = {
    "teacher": _teachers,
    "length": _lengths,
    "temperature": _temperatures,
    "softmax": _softmax,
    "start": _starts,
    "targets": _targets,
    "views": _views,
    "batch": _batches,
}


def _labels(record: Recorded) -> list[str]:
    return [variant["label"] for variant in record.about["variants"]]


def _recorded_price(
    title: str, about: Mapping[str, Any], changes: Mapping[str, Any], price: Interval
) -> dict[str, str]:
    faces, preset = about["faces"], presets.get(records.preset(about["preset"]), changes)
    return _price(title, preset, faces["train_people"], faces["train"], price, len(about["seeds"]))


def _price(title: str, preset: Preset, people: int, photos: int, price: Interval, seeds: int = 1) -> dict[str, str]:
    training = preset.training
    return {
        "": title,
        "HR+LR minus HR-only, 112 px": verdicts.bracketed(price.estimate, price.low, price.high),
        "network": training.network,
        "people × photos": f"{people:,} × {photos / people:.0f}",
        "photos a step": f"{training.batch_size}",
        "epochs": f"{training.epochs}",
        "seeds": f"{seeds}",
    }


def _over(record: Recorded, names: Iterable[str], network: str, other: str) -> dict[str, dict[object, Interval]]:
    """One network minus another in each of some variants."""
    return {name: record.minus([(name, network)], [(name, other)]) for name in names}


def _first(found: dict[object, Interval]) -> Interval:
    """On the largest faces."""
    return next(iter(found.values()))


def _series(found: dict[str, dict[object, Interval]]) -> str:
    """On the largest faces, by variant: "-6.5 (2 epochs: -9.2 to -3.8), 0.0 (16 epochs: -1.0 to +1.0, open)"."""
    parts = [(name, _first(one)) for name, one in found.items()]
    return ", ".join(f"{verdicts.signed(one.estimate)} ({name}: {_ends(one)})" for name, one in parts)


def _ends(one: Interval) -> str:
    """ "+1.0 to +15.4", and whether that leaves the difference open."""
    known = f"{verdicts.ends(one.low, one.high)}, " if pd.notna(one.low) else ""
    return known.rstrip(", ") if one.decided else f"{known}open"


def _places(places: list[str], of: int) -> str:
    return " and ".join(places) + ("" if len(places) == of else " alone")
