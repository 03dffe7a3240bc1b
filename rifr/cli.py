"""The library from the shell.

rifr render --people 100 --images 10 --split train --out faces/train
rifr prepare my_faces --out faces/mine
rifr align my_pictures my_faces --model face_detection_yunet.onnx
rifr train --recipe proposed --preset mini --set epochs=8
rifr evaluate --recipe proposed hr+lr --preset mini
rifr evaluate --embedder model.onnx --probes my_probes --distractors my_distractors --measure rank1 roc
rifr evaluate --embedder model.onnx --pairs pairs.txt --images lfw --widths 112 14 --out lfw.json
rifr batch book/ablation.ipynb --grid preset=mini seed=0,1,2,3,4 --out runs/ablation
rifr runs
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rifr import settings
from rifr.errors import RifrError, SettingError
from rifr.storage import interrupts

if TYPE_CHECKING:
    from rifr.presets import Preset


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments
        What stands after `rifr`; None: this process's own.

    Returns
    -------
    int
        The exit status: 0; 1 for an error that a user can mend, which is one line on stderr; 130 after Ctrl-C or
        SIGTERM. A programming error keeps its traceback.
    """
    with interrupts.stoppable() as stopped:
        options = None
        try:
            options = _parser().parse_args(arguments)
            options.run(options)
        except (Exception, KeyboardInterrupt) as error:
            if stopped or isinstance(error, KeyboardInterrupt):
                print("\nstopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
                return 130
            if options and isinstance(error, (RifrError, ValueError, OSError, FloatingPointError)):
                print(f"rifr {options.command}: {error}", file=sys.stderr)
                return 1
            raise
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rifr", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)

    render = commands.add_parser("render", help="render people into a face pack")
    render.add_argument("--split", default="train", help="name of the set; people of two sets never meet")
    render.add_argument("--people", type=_count, required=True)
    render.add_argument("--images", type=_count, default=10, help="images of each person (default 10)")
    render.add_argument("--seed", type=_seed, default=0)
    render.add_argument("--scenes", action="store_true", help="faces loose in larger scenes, with landmarks")
    render.add_argument("--out", type=Path, required=True, help="folder of the pack")
    render.set_defaults(run=_render)

    prepare = commands.add_parser("prepare", help="a folder per person of aligned 112x112 images into a face pack")
    prepare.add_argument("folder", type=Path)
    prepare.add_argument("--out", type=Path, required=True, help="folder of the pack")
    prepare.add_argument("--fewest", type=_count, default=1, help="leave out people with fewer images")
    prepare.add_argument("--most", type=_count, help="leave out people with more images")
    prepare.add_argument("--exclude", nargs="*", default=[], metavar="NAME", help="people to leave out")
    prepare.add_argument("--on-bad", choices=("skip", "refuse"), default="skip", help="what to do with bad files")
    prepare.set_defaults(run=_prepare)

    train = commands.add_parser("train", help="train networks of the paper, or find them trained")
    train.add_argument(
        "--recipe", nargs="+", default=["proposed"], help="hr-only lr-only hr+lr kl-only shared-only proposed"
    )
    train.add_argument("--all", action="store_true", help="all six, and the features that the chapters need")
    train.add_argument(
        "--dry-run",
        action="store_true",
        help="check faces, counts, disk and memory, measure a step and say how long it takes; nothing is trained",
    )
    _experiment(train)
    train.set_defaults(run=_train)

    record = commands.add_parser(
        "record", help="the large record of the book: all networks, several seeds, every protocol"
    )
    record.add_argument("--preset", default="laptop", help="laptop (default; two cores, two hours) or rendered (a GPU)")
    record.add_argument("--seeds", type=_seed, nargs="+", default=[0, 1, 2, 3, 4], help="default 0 1 2 3 4")
    record.add_argument("--recipe", nargs="+", default=[], help="default: all six, the main comparison first")
    record.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="FIELD=VALUE",
        dest="changes",
        help="change a field of the preset, such as train_people=2000 epochs=10",
    )
    record.add_argument("--pairs", default="", metavar="FILE", help="real faces to score on: a list as LFW's pairs.txt")
    record.add_argument(
        "--images", default="", metavar="DIR", help="the folder per person that the list names, aligned"
    )
    record.add_argument("--out", type=Path, help="default: the book's record")
    record.set_defaults(run=_record)

    _scoring(commands.add_parser("evaluate", help="score networks: rank-1, CMC, ROC, open set, pairs, with intervals"))

    aligned = commands.add_parser("align", help="a folder per person of pictures becomes one of aligned 112x112 faces")
    aligned.add_argument("folder", type=Path)
    aligned.add_argument("out", type=Path)
    aligned.add_argument(
        "--detector",
        choices=["yunet", "landmarks"],
        default="yunet",
        help="yunet: OpenCV's, finds the main face (default); landmarks: this library's network, for "
        "pictures that are one face each, however small",
    )
    aligned.add_argument("--model", type=Path, metavar="FILE", help="YuNet's ONNX file")
    aligned.add_argument("--score", type=float, default=0.6, help="the least score of a face (default 0.6)")
    aligned.add_argument("--preset", help="of the landmark network (default $RIFR_PRESET, else mini)")
    aligned.add_argument(
        "--on-missing",
        choices=["leave-out", "crop", "refuse"],
        default="leave-out",
        help="a picture without a face: leave it out (default), crop its centre, or end with an error; all are listed in "
        "OUT-unaligned.csv",
    )
    aligned.set_defaults(run=_align)

    batch = commands.add_parser("batch", help="a chapter over a grid of parameters, on all cores or on a cluster")
    batch.add_argument("chapter", type=Path, metavar="CHAPTER.ipynb")
    batch.add_argument(
        "--grid",
        nargs="+",
        required=True,
        metavar="NAME=VALUE,VALUE",
        help="values of the chapter's parameters; every combination is a run",
    )
    batch.add_argument("--out", type=Path, required=True, help="folder of the executed notebooks; those there are kept")
    where = batch.add_mutually_exclusive_group()
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a dask cluster that shares this file system, such as tcp://host:8786"
    )
    where.add_argument("--workers", type=_count, help="runs beside each other (default: one per core)")
    batch.add_argument(
        "--threads", type=_count, help="of a run (default: cores divided among the workers; with --scheduler 1)"
    )
    batch.set_defaults(run=_batch)

    commands.add_parser("runs", help="list the stored runs").set_defaults(run=_runs)
    return parser


def _scoring(evaluate: argparse.ArgumentParser) -> None:
    whom = evaluate.add_argument_group("networks, side by side")
    whom.add_argument("--recipe", nargs="*", default=[], help="networks of the paper, trained if need be")
    whom.add_argument(
        "--embedder", nargs="*", default=[], type=Path, metavar="MODEL.onnx", help="your own, as ONNX files"
    )
    whom.add_argument("--layout", default="auto", help="of the files' input: auto (default), NCHW or NHWC")
    whom.add_argument("--channels", default="RGB", help="RGB (default) or BGR")
    whom.add_argument(
        "--mean",
        type=float,
        nargs="+",
        default=[127.5],
        help="a file is given (grey level - mean) / scale: one number or three (RGB); default 127.5",
    )
    whom.add_argument("--scale", type=float, nargs="+", default=[127.5], help="one number or three; default 127.5")
    whom.add_argument("--size", type=_count, help="side of a file's input in pixels (default: what it says, else 112)")
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
    faces.add_argument("--folds", type=int, default=0, help="of the list of pairs (default: what its first line says)")
    faces.add_argument(
        "--on-missing",
        choices=("refuse", "leave-out"),
        default="refuse",
        help="pairs of which a photo is missing: refuse the list (default), or leave them out and name them",
    )
    what = evaluate.add_argument_group("what is measured")
    what.add_argument(
        "--protocol",
        nargs="+",
        default=["p1", "p2"],
        help="p1: all photos at the width; p2: the probe (the first of a pair) alone; default both",
    )
    what.add_argument(
        "--measure",
        nargs="+",
        default=[],
        help="rank1 (default), cmc, roc (verification: TPR at FPR), open-set (watch list: FNIR at FPIR)",
    )
    what.add_argument("--ranks", type=_count, default=20, help="depth of the CMC (default 20)")
    what.add_argument("--fpr", type=float, nargs="+", default=[1e-3, 1e-4], help="of roc (default 0.001 0.0001)")
    what.add_argument("--fpir", type=float, nargs="+", default=[1e-2, 1e-3], help="of open-set (default 0.01 0.001)")
    what.add_argument(
        "--out", type=Path, metavar="FILE", help=".json: results and what made them; .csv: the table alone"
    )
    what.add_argument(
        "--figure",
        type=Path,
        metavar="FILE",
        help=".png, .svg or .pdf: rank-1 by width, the CMC or the "
        "ROC (these at the narrowest width); of several measures a file each",
    )
    _experiment(evaluate)
    evaluate.set_defaults(run=_evaluate)


def _experiment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", help="smoke, mini, laptop, rendered or paper (default $RIFR_PRESET, else mini)")
    parser.add_argument("--seed", type=_seed, default=0)
    parser.add_argument(
        "--faces",
        nargs=3,
        default=(None, None, None),
        metavar=("TRAIN", "PROBES", "DISTRACTORS"),
        help="folders of real faces instead of rendered ones",
    )
    parser.add_argument("--widths", type=int, nargs="+", help="face widths in pixels (default: the preset's)")
    parser.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="FIELD=VALUE",
        dest="changes",
        help="change a field of the preset, such as epochs=8 student_start=teacher",
    )


def _preset(options: argparse.Namespace) -> Preset:
    from rifr import presets

    pairs = settings.assignments(options.changes, "--set")
    return presets.get(options.preset, pairs, widths=getattr(options, "widths", None))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1, not {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number from 0, not {text!r}")
    return int(text)


def _render(options: argparse.Namespace) -> None:
    from rifr.faces import RenderSpec, render

    pack = render(
        RenderSpec(options.split, options.people, options.images, seed=options.seed, scenes=options.scenes), options.out
    )
    print(f"{options.out}: {len(pack):,} images of {len(pack.people):,} people")


def _prepare(options: argparse.Namespace) -> None:
    from rifr.readers import folder

    people = {entry.name for entry in options.folder.iterdir() if entry.is_dir()}
    if unknown := sorted(set(options.exclude) - people):
        close = {match for name in unknown for match in difflib.get_close_matches(name, people)}
        raise SettingError(
            f"--exclude: {options.folder} has nobody called {', '.join(unknown)}"
            + (f"; is {', '.join(sorted(close))} meant?" if close else ".")
        )
    pack = folder.read(
        options.folder,
        options.out,
        min_images=options.fewest,
        max_images=options.most,
        exclude=options.exclude,
        on_bad=options.on_bad,
    )
    spec = pack.manifest["spec"]
    print(f"{options.out}: {len(pack):,} images of {len(pack.people):,} people; {spec['skipped']} files skipped")
    for line in spec["skipped_files"]:
        print(f"  skipped {line}")
    print(f"{spec['left_out']} other files and folders, {spec['people_left_out']} people left out")
    for line in (*spec["left_out_files"], *spec["people_left_out_names"]):
        print(f"  left out {line}")


def _align(options: argparse.Namespace) -> None:
    from rifr import landmarks
    from rifr.landmarks import align_folder, yunet

    find: align_folder.Find
    if options.detector == "landmarks":
        run = landmarks.fit(preset=options.preset)
        find, key = run.finder(), run.key
    elif options.model:
        yunet = yunet.Yunet(options.model, options.score)
        find, key = yunet.main_landmarks, yunet.key
    else:
        raise SettingError(
            "--detector yunet needs its ONNX file: give --model FILE, or take --detector landmarks for "
            "pictures that are one face each."
        )
    print(align_folder.align_folder(options.folder, options.out, find, key, options.on_missing))


def _train(options: argparse.Namespace) -> None:
    from rifr import landmarks, recipes, splits
    from rifr.evaluation import evaluate, small_faces
    from rifr.training import dry_run, parallel, process_group, trainer

    preset = _preset(options)
    names = list(recipes.RECIPES) if options.all else [recipes.get(name).name for name in options.recipe]
    if options.dry_run:
        report = dry_run.rehearse(preset, names, options.faces)
        if not process_group.is_rank_zero():  # torchrun's other processes have measured, and say nothing
            return
        print(report)
        if report.wrong:
            raise SettingError("this training would not work, or not here: see above")
        return
    faces = splits.face_splits(preset, options.seed, *options.faces)
    if options.all:  # one queue for all that the chapters ask for: no core waits
        parallel.run(
            [
                *trainer.calls(names, preset, options.seed, faces.train),
                *small_faces.calls(preset, options.seed, faces),
                *landmarks.calls(preset=preset, seed=options.seed),
            ]
        )
    trained = evaluate.fit_all(names, preset, options.seed, faces)
    if not process_group.is_rank_zero():
        return
    for name, run in trained.items():
        last = run.history[-1]
        print(
            f"{name:12} {run.path.name}  loss {last['loss']:.3f}  training accuracy {last['accuracy']:.1%}  "
            f"{run.record['seconds']:.0f} s"
        )
    if options.all:
        evaluate.identify(trained, faces, preset)


def _record(options: argparse.Namespace) -> None:
    from rifr.report import study

    out = study.make(_preset(options), options.seeds, options.recipe, options.pairs, options.images, options.out)
    print(f"recorded in {out}")


def _evaluate(options: argparse.Namespace) -> None:
    from rifr import recipes, splits
    from rifr.evaluation import embed, evaluate, score, scorecard

    preset = _preset(options)
    names = [recipes.get(name).name for name in options.recipe]
    if not options.recipe and not options.embedder:
        raise SettingError("nothing to evaluate: give --recipe or --embedder.")
    if bool(options.probes) != bool(options.distractors):
        raise SettingError("--probes and --distractors belong together: give both or none.")
    if options.recipe and options.probes:
        raise SettingError("--probes goes with --embedder; for --recipe give --faces TRAIN PROBES DISTRACTORS.")
    if options.out:
        scorecard.check_ending(options.out)
    if options.figure:
        from rifr.report.figures import scores

        scorecard.check_ending(options.figure, scores.FORMATS)
    mean, scale = (values[0] if len(values) == 1 else tuple(values) for values in (options.mean, options.scale))
    files = [embed.Onnx(path, options.layout, options.channels, mean, scale, options.size) for path in options.embedder]
    pairs_alone = options.pairs and not options.probes and not options.measure
    probes, distractors, trained = options.probes, options.distractors, []
    if names or not (probes or pairs_alone):
        faces = splits.face_splits(preset, options.seed, *options.faces)
        trained = list(evaluate.fit_all(names, preset, options.seed, faces).values())
        if not pairs_alone:
            probes, distractors = faces.probes, faces.distractors
    score = score.score(
        [*trained, *files],
        probes,
        distractors,
        pairs=options.pairs,
        images=options.images,
        folds=options.folds,
        on_missing=options.on_missing.replace("-", " "),
        protocols=options.protocol,
        measures=options.measure or ["rank1"],
        ranks=options.ranks,
        fprs=options.fpr,
        fpirs=options.fpir,
        preset=preset,
    )
    print(score)
    print(f"\n{score.faces()}")
    if options.out:
        score.save(options.out)
    if options.figure:
        for path in scores.save(score, options.figure):
            print(f"figure in {path}")


def _batch(options: argparse.Namespace) -> None:
    try:
        from rifr.batch import grid
    except ImportError as error:
        raise SettingError(f"a batch needs the packages of the book: pip install 'rifr[book]' ({error})") from None

    errors = grid.run(
        options.chapter, grid.grid(options.grid), options.out, options.scheduler, options.workers, options.threads
    )
    failed = {name: error for name, error in errors.items() if error}
    print(f"{len(errors) - len(failed)} of {len(errors)} runs are finished in {options.out}")
    print(f"their numbers over the seeds: {grid.write_summary(options.out)}")
    print(f"a book of them: make book BATCH={options.out}")
    if failed:
        lines = "".join(f"\n  {name}: {error}" for name, error in failed.items())
        raise SettingError(f"{len(failed)} of {len(errors)} runs failed; the same command tries them again:{lines}")


def _runs(options: argparse.Namespace) -> None:
    from rifr.training import runs

    stored = runs.stored()
    for run in stored:
        print(f"{run.path.name}  {run.record['finished']}  {run.record['faces']['images']:,} images")
    if not stored:
        print(f"no run in {runs.folder()}: train one with `rifr train`")
