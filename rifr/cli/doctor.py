"""The command that says why a network's number is lower than it should be: doctor."""

from __future__ import annotations

import argparse
from pathlib import Path

from rifr.cli.options import count, network_file, onnx_of, seed


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    doctor = commands.add_parser(
        "doctor", help="why is my number lower? Channel order, scaling, alignment and mirror images tried on your pairs"
    )
    doctor.add_argument("--embedder", type=Path, required=True, metavar="MODEL.onnx", help="the network's ONNX file")
    doctor.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="a folder per person of aligned 112x112 photos"
    )
    declared = doctor.add_argument_group("how you give it its photos, with which the others are compared")
    network_file(declared)
    declared.add_argument("--no-mirror", action="store_true", help="the mirror image's features are not added")
    measured = doctor.add_argument_group("what is measured")
    measured.add_argument("--width", type=count, default=112, help="face width in pixels (default 112)")
    measured.add_argument("--people", type=count, default=200, help="at most so many (default 200)")
    measured.add_argument("--photos", type=count, default=4, help="of each person, at most (default 4)")
    measured.add_argument("--seed", type=seed, default=0, help="of the pairs that are drawn (default 0)")
    measured.add_argument("--out", type=Path, metavar="FILE.json", help="results and what made them")
    doctor.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> None:
    from rifr.doctor import examine, words
    from rifr.evaluation import scorecard

    if options.out:
        scorecard.check_out(options.out, [".json"])
    found = examine(
        onnx_of(options.embedder, options),
        options.images,
        mirror=not options.no_mirror,
        width=options.width,
        people=options.people,
        photos=options.photos,
        seed=options.seed,
    )
    print(words.report(found))
    if options.out:
        found.save(options.out)
