"""Commands that train and run chapters: train, record, batch, runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from rifr.cli.options import changes, count, experiment, preset_of, refuse_unused, seed
from rifr.errors import SettingError
from rifr.report import studies


def add(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    train = commands.add_parser("train", help="train networks of the paper, or find them trained")
    train.add_argument(
        "--recipe",
        nargs="+",
        help="hr-only lr-only hr+lr kl-only shared-only proposed (default), or another method of `rifr.methods`",
    )
    train.add_argument("--all", action="store_true", help="all six, and the features that the chapters need")
    train.add_argument(
        "--dry-run",
        action="store_true",
        help="check faces, counts, disk and memory, measure a step and say how long it takes; nothing is trained",
    )
    experiment(train)
    train.set_defaults(run=_train)

    record = commands.add_parser(
        "record",
        help="a record of the book: all networks, several seeds, every protocol; or a study",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="studies (minutes for three seeds on two cores):\n"
        + "\n".join(f"  {row.name:12} {row.title} ({row.minutes})" for row in studies.STUDIES.values()),
    )
    record.add_argument("--study", metavar="NAME", help="one of the studies below instead; it has its own preset")
    record.add_argument("--preset", help="laptop (default; two cores, two hours) or rendered (a GPU)")
    record.add_argument("--seeds", type=seed, nargs="+", default=[], help="default 0 1 2 3 4; of a study 0 1 2")
    record.add_argument("--recipe", nargs="+", default=[], help="default: all six, the main comparison first")
    record.add_argument("--methods", action="store_true", help="the six and all other methods, for chapter 12")
    changes(record, "train_people=2000 epochs=10")
    record.add_argument("--pairs", default="", metavar="FILE", help="real faces to score on: a list as LFW's pairs.txt")
    record.add_argument(
        "--images", default="", metavar="DIR", help="the folder per person that the list names, aligned"
    )
    record.add_argument("--out", type=Path, metavar="FILE.json", help="default: the book's record")
    record.set_defaults(run=_record)

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
    where.add_argument("--workers", type=count, help="runs beside each other (default: one per core)")
    batch.add_argument(
        "--threads", type=count, help="of a run (default: cores divided among the workers; with --scheduler 1)"
    )
    batch.set_defaults(run=_batch)

    runs = commands.add_parser("runs", help="list the stored runs, or print the record of one")
    runs.add_argument("--show", metavar="KEY", help="the beginning of a run's key, as the book names it under a figure")
    runs.set_defaults(run=_runs)


def _train(options: argparse.Namespace) -> None:
    from rifr import landmarks, recipes, splits
    from rifr.evaluation import evaluate, small_faces, step_order
    from rifr.training import dry_run, parallel, process_group, trainer

    preset, options.seed = preset_of(options), options.seed or 0
    if options.all:
        refuse_unused(options, "--all trains all six", ["recipe"])
    names = [*recipes.RECIPES] if options.all else [recipes.get(name).name for name in options.recipe or ["proposed"]]
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
        from rifr.report import methods

        parallel.run(
            [
                *trainer.calls([*names, *methods.LIVE], preset, options.seed, faces.train),
                *small_faces.calls(preset, options.seed, faces),
                *step_order.calls(preset, options.seed, faces),
                *landmarks.calls(preset=preset, seed=options.seed),
            ]
        )
    trained = trainer.fit_all(names, preset, options.seed, faces.train)
    if not process_group.is_rank_zero():
        return
    print(*faces.left_out, sep="\n", end="\n" if faces.left_out else "")
    for name, run in trained.items():
        last = run.history[-1]
        print(
            f"{name:12} {run.path.name}  loss {last['loss']:.3f}  training accuracy {last['accuracy']:.1%}  "
            f"{run.record['seconds']:.0f} s"
        )
    if options.all:
        roots = tuple(options.faces)
        evaluate.store_features([(name, preset, options.seed) for name in trained], roots)


def _record(options: argparse.Namespace) -> None:
    from rifr import recipes
    from rifr.evaluation import scorecard
    from rifr.report import methods, records, studies_record, study

    if options.out:
        scorecard.check_out(options.out, [".json"])
    if options.study:
        of_its_own = ["preset", "recipe", "methods", "pairs", "images"]
        refuse_unused(options, "a study has its own faces and networks", of_its_own)
        out = studies_record.make(options.study, options.seeds, options.changes, options.out)
    else:
        if options.recipe and not options.out:
            raise SettingError("the book's record has all of its networks: name a file for these, --out FILE.json.")
        options.preset = options.preset or "laptop"
        seeds, names, out = options.seeds or range(5), options.recipe, options.out
        if options.methods:
            names, out = names or [*recipes.RECIPES, *methods.others()], out or records.folder() / "methods.json"
        out = study.make(options.preset, seeds, names, options.pairs, options.images, out, changes=options.changes)
    print(f"recorded in {out}")


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
    from rifr import storage
    from rifr.report import made_by
    from rifr.training import runs

    if options.show is not None:
        run = made_by.stored_run(options.show)
        print(storage.readable_json({"folder": str(run.path), **run.record}).rstrip())
        return

    stored = runs.stored()
    for run in stored:
        print(f"{run.path.name}  {run.record['finished']}  {run.record['faces']['images']:,} images")
    if not stored:
        print(f"no run in {runs.folder()}: train one with `rifr train`")
