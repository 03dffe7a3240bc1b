"""Studies: why the networks do as they do. Each is a row of `STUDIES`, with a criterion written before its result.

    make record STUDY=teacher            python -m rifr record --study teacher --seeds 0 1 2

A study trains some recipes under several changes of a preset (its variants), for several seeds, and is decided by
differences between them. All of its networks of a seed see the same people, and all are tested on the same others.
`studies_record` makes the record, `studies_tables` shows it.

The criterion is the same for all: a difference is decided where its 95 % interval excludes zero, Student's over the
seeds (over people for a single seed), under P1, at 112 px and as the mean of 25, 20 and 16 px apart.
"""

from __future__ import annotations

from rifr.errors import SettingError
from rifr.report.studies_plan import ALL_SIX, TEACHER, Cell, Difference, Study, Variant

__all__ = ["STUDIES", "get"]

WIDTHS = {"widths": (112, 60, 25, 20, 16)}
EPOCHS = (2, 4, 8, 16)


def _minus(claim: str, plus: Cell, minus: Cell, on_large: bool = False) -> Difference:
    return Difference(claim, (plus,), (minus,), on_large)


def _change(claim: str, later: str, earlier: str, recipe: str, other: str, on_large: bool = False) -> Difference:
    """What `recipe` minus `other` gains from one variant to another."""
    return Difference(claim, ((later, recipe), (earlier, other)), ((later, other), (earlier, recipe)), on_large)


def _teachers() -> Study:
    labels = [f"teacher of {epochs} epochs" for epochs in EPOCHS]
    short, long = labels[0], labels[-1]
    return Study(
        "teacher",
        "A teacher that leads",
        "Do soft targets cost less, and does sharing the softmax layer bring more, when the teacher is trained to the "
        "end? Teachers of 2, 4, 8 and 16 epochs; the students' own epochs are the preset's.",
        "The longest teacher against the shortest, of the same students. If soft targets only hurt because their "
        "teacher had not finished, proposed minus shared softmax only rises with the teacher; if sharing passes on "
        "what the teacher knows, shared softmax only rises, too.",
        (
            Variant("no teacher", ("hr+lr",)),
            *(
                Variant(label, (TEACHER, "kl-only", "shared-only", "proposed"), {"teacher_epochs": epochs})
                for label, epochs in zip(labels, EPOCHS, strict=True)
            ),
        ),
        (
            _minus("the longer teacher finds more people itself", (long, TEACHER), (short, TEACHER)),
            _minus("a longer teacher makes KL only better", (long, "kl-only"), (short, "kl-only")),
            _minus("a longer teacher makes shared softmax only better", (long, "shared-only"), (short, "shared-only")),
            _minus("a longer teacher makes proposed better", (long, "proposed"), (short, "proposed")),
            _change(
                "what soft targets cost beside a shared softmax shrinks with a longer teacher",
                long,
                short,
                "proposed",
                "shared-only",
            ),
            _minus("with the longest teacher KL only is above HR+LR", (long, "kl-only"), ("no teacher", "hr+lr")),
            _minus("with the longest teacher proposed is above HR+LR", (long, "proposed"), ("no teacher", "hr+lr")),
        ),
        minutes=55,
        changes=WIDTHS | {"train_people": 300},
    )


def _lengths() -> Study:
    lengths = (*EPOCHS, 32)
    labels = [f"{epochs} epochs" for epochs in lengths]
    short, long = labels[0], labels[-1]
    return Study(
        "length",
        "Learning curves",
        "Is what sharing brings more than speed? All six networks, teacher and students alike, of 2, 4, 8, 16 "
        "and 32 epochs.",
        "Shared softmax only minus HR+LR, and proposed minus HR+LR, at 32 epochs: above zero, if sharing brings more "
        "than speed. The same differences at 2 epochs minus those at 32: above zero, if a part of it was speed. "
        "HR-only minus HR+LR at 32 epochs tests the paper's premise, that small faces in training cost accuracy on "
        "large ones.",
        tuple(Variant(label, ALL_SIX, {"epochs": epochs}) for label, epochs in zip(labels, lengths, strict=True)),
        (
            _minus("trained long, shared softmax only is above HR+LR", (long, "shared-only"), (long, "hr+lr")),
            _minus("trained long, proposed is above HR+LR", (long, "proposed"), (long, "hr+lr")),
            _change("sharing brings more to a short training than to a long one", short, long, "shared-only", "hr+lr"),
            _change("proposed brings more to a short training than to a long one", short, long, "proposed", "hr+lr"),
            _minus("trained long, HR-only is above HR+LR", (long, "hr-only"), (long, "hr+lr"), on_large=True),
            _change(
                "what HR+LR pays on large faces grows with training", long, short, "hr-only", "hr+lr", on_large=True
            ),
        ),
        minutes=110,
        changes=WIDTHS | {"train_people": 250, "train_images": 12},
    )


def _temperatures() -> Study:
    temperatures = (0.83, 1, 2, 4)
    labels = [f"temperature {temperature}" for temperature in temperatures]
    calibrated, plain, hot = labels[0], labels[1], labels[-1]
    soft = ("kl-only", "proposed")
    return Study(
        "temperature",
        "Temperature",
        "The paper's soft targets have no temperature, and a teacher that knows its photos is sure of nearly all of "
        "them. Do softer ones carry more? Temperatures 1, 2 and 4 for the two networks with soft targets, and 0.83, at "
        "which the teachers of this preset are about as sure as they are right on new photos of their people.",
        "Temperature 4 minus temperature 1 of KL only and of proposed: above zero, if the soft targets of the paper "
        "were too hard. Then also whether the softest come out above hard targets: KL only minus HR+LR, and proposed "
        "minus shared softmax only. Temperature 0.83 minus temperature 1 of both: above zero, if soft targets should "
        "be as sure as they are right.",
        (
            Variant("hard targets", ("hr+lr", "shared-only")),
            *(
                Variant(label, soft, {"temperature": float(temperature)})
                for label, temperature in zip(labels, temperatures, strict=True)
            ),
        ),
        (
            _minus("a calibrated teacher makes KL only better", (calibrated, "kl-only"), (plain, "kl-only")),
            _minus("a calibrated teacher makes proposed better", (calibrated, "proposed"), (plain, "proposed")),
            _minus("a temperature of 4 makes KL only better", (hot, "kl-only"), (plain, "kl-only")),
            _minus("a temperature of 4 makes proposed better", (hot, "proposed"), (plain, "proposed")),
            _minus("at a temperature of 4 KL only is above HR+LR", (hot, "kl-only"), ("hard targets", "hr+lr")),
            _minus(
                "at a temperature of 4 proposed is above shared softmax only",
                (hot, "proposed"),
                ("hard targets", "shared-only"),
            ),
        ),
        minutes=45,
        changes=WIDTHS,
    )


def _softmax_layers() -> Study:
    plain, fast, started, frozen = "as it is", "softmax learns twice as fast", "softmax from the teacher", "and frozen"
    frozen = f"{started}, {frozen}"
    return Study(
        "softmax",
        "Where the gain of sharing comes from",
        "A shared softmax layer learns from the teacher's features, too. Is its gain a faster softmax layer, a better "
        "start, or the teacher's own classes held fast? HR+LR without any teacher's features, its softmax layer at "
        "twice the learning rate; started from the teacher's; started from it and frozen; beside shared softmax only.",
        "Each of the three minus plain HR+LR says whether it brings anything; shared softmax only minus each says "
        "what is left for sharing: where that is not decided, the simpler change explains the gain.",
        (
            Variant(plain, ("hr+lr", "shared-only")),
            Variant(fast, ("hr+lr",), {"softmax_rate": 2.0}),
            Variant(started, ("hr+lr",), {"softmax_start": "teacher"}),
            Variant(frozen, ("hr+lr",), {"softmax_start": "teacher", "softmax_rate": 0.0}),
        ),
        (
            _minus("shared softmax only is above HR+LR", (plain, "shared-only"), (plain, "hr+lr")),
            _minus("a softmax layer that learns twice as fast helps HR+LR", (fast, "hr+lr"), (plain, "hr+lr")),
            _minus("a softmax layer that starts from the teacher's helps HR+LR", (started, "hr+lr"), (plain, "hr+lr")),
            _minus("the teacher's softmax layer, frozen, helps HR+LR", (frozen, "hr+lr"), (plain, "hr+lr")),
            _minus("sharing brings more than a faster softmax layer", (plain, "shared-only"), (fast, "hr+lr")),
            _minus("sharing brings more than the teacher's start", (plain, "shared-only"), (started, "hr+lr")),
            _minus("sharing brings more than the frozen layer", (plain, "shared-only"), (frozen, "hr+lr")),
        ),
        minutes=30,
        changes=WIDTHS,
    )


def _starts() -> Study:
    new, started = "new weights", "student starts as its teacher"
    light, heavy = "teacher's term × 0.25", "teacher's term × 4"
    taught = ("hr+lr", "kl-only", "shared-only", "proposed")
    of_term = [
        _minus(f"{of} makes {label} better", (variant, name), (new, name))
        for variant, of in ((light, "a quarter of the teacher's term"), (heavy, "four times the teacher's term"))
        for name, label in (("shared-only", "shared softmax only"), ("proposed", "proposed"))
    ]
    return Study(
        "start",
        "Where the student starts",
        "A student that starts from its teacher's weights has the teacher's axes before any loss asks for them. Does "
        "sharing still bring anything then? HR+LR, too, goes on from HR-only there, so that all four have had the "
        "teacher's training besides. And does it matter how much the teacher's term of eq. (3) weighs?",
        "Shared softmax only minus HR+LR, and proposed minus KL only, where all start as the teacher: above zero, if "
        "sharing brings more than the teacher's axes. The same with new weights minus these: above zero, if a part of "
        "what it brings was that. A quarter of the teacher's term, and four times it, minus the paper's weight: "
        "decided, if the weight matters.",
        (
            Variant(new, (TEACHER, *taught)),
            Variant(started, taught, {"student_start": "teacher"}),
            Variant(light, ("shared-only", "proposed"), {"teacher_weight": 0.25}),
            Variant(heavy, ("shared-only", "proposed"), {"teacher_weight": 4.0}),
        ),
        (
            _minus("started alike, shared softmax only is above HR+LR", (started, "shared-only"), (started, "hr+lr")),
            _minus("started alike, proposed is above KL only", (started, "proposed"), (started, "kl-only")),
            _change("sharing brings hard targets more with new weights", new, started, "shared-only", "hr+lr"),
            _change("sharing brings soft targets more with new weights", new, started, "proposed", "kl-only"),
            *of_term,
        ),
        minutes=50,
        changes=WIDTHS,
    )


def _targets() -> Study:
    plain, smooth, noisy = "right names", "smoothed labels", "10 % wrong names"
    return Study(
        "targets",
        "Controls for soft targets",
        "Is what soft targets do the teacher's knowledge, or only their softness? And do they help where labels are "
        "wrong, as perhaps a tenth of the paper's are? KL only against HR+LR with smoothed labels of about the "
        "teacher's entropy; all six networks with 10 % of the photos under another person's name.",
        "KL only minus HR+LR with smoothed labels: above zero, if the teacher's softmax says more than its softness. "
        "KL only minus HR+LR, and proposed minus shared softmax only, with wrong names minus the same with right "
        "ones: above zero, if soft targets mend labels.",
        (
            Variant(plain, (TEACHER, "hr+lr", "kl-only", "shared-only", "proposed")),
            Variant(smooth, ("hr+lr",), {"label_smoothing": 0.05}),
            Variant(noisy, ALL_SIX, {"label_noise": 0.1}),
        ),
        (
            _minus("KL only is above HR+LR with smoothed labels", (plain, "kl-only"), (smooth, "hr+lr")),
            _minus("smoothed labels help HR+LR", (smooth, "hr+lr"), (plain, "hr+lr")),
            _minus("with wrong names KL only is above HR+LR", (noisy, "kl-only"), (noisy, "hr+lr")),
            _minus(
                "with wrong names proposed is above shared softmax only", (noisy, "proposed"), (noisy, "shared-only")
            ),
            _change("soft targets gain on HR+LR when names are wrong", noisy, plain, "kl-only", "hr+lr"),
            _change(
                "soft targets gain on shared softmax only when names are wrong", noisy, plain, "proposed", "shared-only"
            ),
        ),
        minutes=55,
        changes=WIDTHS,
    )


def _views() -> Study:
    view, photo = "teacher sees the view", "teacher sees the photo"
    taught = ("kl-only", "shared-only", "proposed")
    return Study(
        "views",
        "What the teacher is shown",
        "Photos are changed anew in each epoch, in light, colour, turn, size and place. Should the teacher answer for "
        "the changed photo that the student sees, or for the untouched one? The first is consistent, the second "
        "surer.",
        "The view minus the photo, for each network with a teacher: above zero, if consistency counts more than a sure "
        "teacher. HR-only minus HR+LR tests the paper's premise where small pictures are not the only augmentation.",
        (
            Variant("no teacher", ("hr-only", "hr+lr"), {"augment": 1.0}),
            Variant(view, taught, {"augment": 1.0, "teacher_sees": "view"}),
            Variant(photo, taught, {"augment": 1.0, "teacher_sees": "photo"}),
        ),
        (
            _minus("KL only is better when the teacher sees the view", (view, "kl-only"), (photo, "kl-only")),
            _minus(
                "shared softmax only is better when the teacher sees the view",
                (view, "shared-only"),
                (photo, "shared-only"),
            ),
            _minus("proposed is better when the teacher sees the view", (view, "proposed"), (photo, "proposed")),
            _minus("HR-only is above HR+LR", ("no teacher", "hr-only"), ("no teacher", "hr+lr"), on_large=True),
            _minus("proposed is above HR+LR", (view, "proposed"), ("no teacher", "hr+lr")),
        ),
        minutes=50,
        changes=WIDTHS | {"train_people": 400},
    )


def _batches() -> Study:
    wide, plain, narrow = "64 photos a batch", "32 photos a batch", "16 photos a batch"
    return Study(
        "batch",
        "A batch of photos or of images",
        "The paper has 64 in a batch and does not say of what. Here a batch counts photos, so that HR+LR sees twice "
        "the images of HR-only in each step. Is that why it pays so little on large faces?",
        "HR-only minus HR+LR with as many images a step (32 photos against 16, 64 against 32) minus the same with as "
        "many photos: above zero, if counting photos favours HR+LR.",
        (
            Variant(wide, ("hr-only", "hr+lr"), {"batch_size": 64}),
            Variant(plain, ("hr-only", "lr-only", "hr+lr"), {"batch_size": 32}),
            Variant(narrow, ("hr+lr",), {"batch_size": 16}),
        ),
        (
            _minus(
                "with as many photos a step, HR-only is above HR+LR",
                (plain, "hr-only"),
                (plain, "hr+lr"),
                on_large=True,
            ),
            _minus(
                "with as many images a step (32), HR-only is above HR+LR",
                (plain, "hr-only"),
                (narrow, "hr+lr"),
                on_large=True,
            ),
            _minus(
                "with as many images a step (64), HR-only is above HR+LR",
                (wide, "hr-only"),
                (plain, "hr+lr"),
                on_large=True,
            ),
            _minus("counting photos favours HR+LR (32 photos, not 16)", (plain, "hr+lr"), (narrow, "hr+lr")),
            _minus("counting photos favours HR+LR (64 photos, not 32)", (wide, "hr+lr"), (plain, "hr+lr")),
        ),
        minutes=30,
        changes=WIDTHS,
    )


STUDIES: dict[str, Study] = {
    study.name: study
    for study in [
        _teachers(),
        _lengths(),
        _temperatures(),
        _softmax_layers(),
        _starts(),
        _targets(),
        _views(),
        _batches(),
    ]
}


def get(name: str) -> Study:
    """The study of that name; SettingError lists those there are."""
    if name not in STUDIES:
        raise SettingError(f"no study is called {name!r}: choose one of {', '.join(STUDIES)}.")
    return STUDIES[name]
