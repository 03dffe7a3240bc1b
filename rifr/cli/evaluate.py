"""The command that scores networks: evaluate."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rifr import settings
from rifr.cli.options import NETWORK_FILE, count, experiment, network_file, onnx_of, preset_of, refuse_unused
from rifr.errors import SettingError

OF_SCORES = {"widths", "mirror", "resamples"}
"""The fields of a preset that decide how a network is scored, and below those of the faces that are rendered."""
OF_FACES = {"train_people", "train_images", "probe_people", "probe_images", "distractor_people"}


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    evaluate = commands.add_parser("evaluate", help="score networks: rank-1, CMC, ROC, open set, pairs, with intervals")
    whom = evaluate.add_argument_group("networks, side by side")
    whom.add_argument(
        "--recipe",
        nargs="*",
        default=[],
        help="networks of the paper or of another method, trained if need be (a wrong name lists all)",
    )
    whom.add_argument(
        "--embedder", nargs="*", default=[], type=Path, metavar="MODEL.onnx", help="your own, as ONNX files"
    )
    network_file(whom)
    faces = evaluate.add_argument_group("faces (default: those of the experiment)")
    faces.add_argument("--probes", default="", help="folder per person or pack, with --embedder")
    faces.add_argument("--distractors", default="", help="folder per person or pack, with --embedder")
    faces.add_argument(
        "--pairs",
        default="",
        metavar="FILE",
        help="pairs of photos: a .bin file, or a list as LFW's "
        "pairs.txt with --images; alone, unless --probes or --measure is given too",
    )
    faces.add_argument("--images", default="", metavar="DIR", help="the folder per person that the list names")
    faces.add_argument(
        "--folds", type=count, help="of the list of pairs (default: what its first line says, 10 for a .bin)"
    )
    faces.add_argument(
        "--on-missing",
        choices=("refuse", "leave-out"),
        help="pairs of which a photo is missing: refuse the list (default), or leave them out and name them",
    )
    what = evaluate.add_argument_group("what is measured")
    what.add_argument(
        "--protocol",
        nargs="+",
        help="p1: all photos at the width; p2: the probe (the first of a pair) alone; default both",
    )
    what.add_argument(
        "--measure",
        nargs="+",
        default=[],
        help="rank1 (default), cmc, roc (verification: TPR at FPR), open-set (watch list: FNIR at FPIR)",
    )
    what.add_argument("--ranks", type=count, help="depth of the CMC (default 20)")
    what.add_argument("--fpr", type=float, nargs="+", help="of roc (default 0.001 0.0001)")
    what.add_argument("--fpir", type=float, nargs="+", help="of open-set (default 0.01 0.001)")
    what.add_argument(
        "--out", type=Path, metavar="FILE", help=".json: results and what made them; .csv: the table alone"
    )
    what.add_argument(
        "--figure",
        type=Path,
        metavar="FILE",
        help=".png, .svg or .pdf: rank-1 by width, the CMC or the "
        "ROC (these at the smallest width); of several measures a file each",
    )
    experiment(evaluate)
    evaluate.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    from rifr import recipes, splits
    from rifr.evaluation import score, scorecard
    from rifr.training import trainer

    preset = preset_of(options)
    names = [recipes.get(name).name for name in options.recipe]
    pairs_alone = options.pairs and not options.probes and not options.measure
    measures = [] if pairs_alone else [name.lower() for name in options.measure or ["rank1"]]
    if not options.recipe and not options.embedder:
        raise SettingError("nothing to evaluate: give --recipe or --embedder.")
    if bool(options.probes) != bool(options.distractors):
        raise SettingError("--probes and --distractors belong together: give both or none.")
    if options.recipe and options.probes:
        raise SettingError("--probes goes with --embedder; for --recipe give --faces TRAIN PROBES DISTRACTORS.")
    on_own_faces = not names and bool(options.probes or pairs_alone)
    _refuse_unused(options, measures, on_own_faces)
    if options.out:
        scorecard.check_out(options.out)
    if options.figure:
        from rifr.report.figures import scores

        scorecard.check_out(options.figure, scores.FORMATS)
        scores.drawn_of([*measures, *(["pairs"] if options.pairs else [])])
    files = [onnx_of(path, options) for path in options.embedder]
    probes, distractors, trained = options.probes, options.distractors, []
    left_out: tuple[splits.LeftOut, ...] = ()
    of_score: dict[str, Any] = {
        "pairs": options.pairs,
        "images": options.images,
        "folds": options.folds,
        "on_missing": options.on_missing and options.on_missing.replace("-", " "),
        "protocols": options.protocol,
        "measures": options.measure or ["rank1"],
        "ranks": options.ranks,
        "fprs": options.fpr,
        "fpirs": options.fpir,
    }
    asked = {name: value for name, value in of_score.items() if value is not None}
    if not on_own_faces:
        score.check(files, **asked)
        options.seed = options.seed or 0
        faces = splits.face_splits(preset, options.seed, *options.faces)
        left_out = faces.left_out
        trained = list(trainer.fit_all(names, preset, options.seed, faces.train).values())
        if not pairs_alone:
            probes, distractors = faces.probes, faces.distractors
    results = score.score([*trained, *files], probes, distractors, **asked, preset=preset, left_out=left_out)
    print(results)
    print(f"\n{results.faces()}")
    if options.out:
        results.save(options.out)
    if options.figure:
        for path in scores.save(results, options.figure):
            print(f"figure in {path}")


def _refuse_unused(options: argparse.Namespace, measures: list[str], on_own_faces: bool) -> None:
    """Refuse options of which nothing here makes use."""
    if not options.embedder:
        refuse_unused(options, "there is no --embedder, whose pixels they describe", NETWORK_FILE)
    if not options.pairs:
        refuse_unused(options, "there are no --pairs", ["images", "folds", "on_missing"])
    elif options.pairs.lower().endswith(".bin"):
        refuse_unused(options, "a .bin file holds all of its photos", ["images", "on_missing"])
    for measure, name in (("cmc", "ranks"), ("roc", "fpr"), ("open-set", "fpir")):
        if measure not in measures:
            refuse_unused(options, f"--measure has no {measure}", [name])
    if on_own_faces:
        refuse_unused(
            options, "your own faces and networks are scored, nothing is rendered or trained", ["faces", "seed"]
        )
    if not options.recipe:
        of_faces = set() if on_own_faces or any(options.faces) else OF_FACES
        unused = sorted(settings.assignments(options.changes, "--set").keys() - OF_SCORES - of_faces)
        if unused:
            raise SettingError(f"nothing is trained: leave out --set {' '.join(unused)}.")
