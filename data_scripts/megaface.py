"""MegaFace's distractors into a face pack: photos of nobody in particular, among whom a probe is to be found.

    python data_scripts/megaface.py ROOT --list megaface_features_list.json_10000_1 --noise megaface_noises.txt \\
        --out packs/megaface

What it is: a million photos of strangers from a photo-sharing site, gathered by the University of Washington.

Licence and ethics: withdrawn by its makers, who give it to nobody any more, so that there is nobody to ask for it. The
photos carried Creative Commons licences, which settle copyright, not consent to be recognised. Nothing in this project
needs it: rendered distractors take its place. Use it only where you hold it lawfully, and never print its faces.

ROOT is the folder from which the list's paths start, of aligned 112x112 images. --list is one of the devkit's lists,
whose name says how many it chooses (..._10000_1). --noise is the list of photos known to be wrong, which are left out.

    375/37531198@N00/4174611825_0.jpg ...

Checked: the list holds as many as its name says, and all of them, less the noise, are there.
"""

import argparse
import re
import sys
from pathlib import Path

import common
import trees

from rifr.packs import FacePack
from rifr.readers import megaface

LICENCE = "withdrawn by its makers"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        required=True,
        help="megaface_features_list.json_10000_1, or another of the devkit's lists",
    )
    parser.add_argument("--noise", type=Path, metavar="FILE", help="megaface_noises.txt: photos to leave out")
    parser.add_argument("--keep-noise", action="store_true", help="take the noise in and mark it")
    common.add_on_bad(parser)


def marks(options: argparse.Namespace) -> set[str]:
    return {path.split("/")[0] for path in megaface.distractors(options.list)}


def survey(tree: trees.Tree, options: argparse.Namespace) -> common.Survey:
    listed = megaface.distractors(options.list)
    noisy = {megaface.stem(path) for path in megaface.noises(options.noise)} if options.noise else set()
    wanted = [path for path in listed if options.keep_noise or megaface.stem(path) not in noisy]
    there = {megaface.stem(path) for path in tree.images()}
    absent = [path for path in wanted if megaface.stem(path) not in there]
    named = re.search(r"\.json_(\d+)_\d+$", options.list.name)
    counts = [
        common.Count("listed photos", len(listed), int(named[1]) if named else None),
        common.Count("listed photos that are there, without noise", len(wanted) - len(absent), len(wanted)),
    ]
    return common.Survey(
        counts,
        {"": (len(wanted), None)},
        len(wanted) - len(absent),
        copies=2,
        wrong=[f"absent: {common.names(absent)}"] if absent else [],
    )


def make(root: Path, options: argparse.Namespace) -> dict[str, FacePack]:
    noise = "keep" if options.keep_noise else "exclude"
    return {
        "": megaface.read(root, options.out, options.list, options.noise, noise, on_bad=options.on_bad, licence=LICENCE)
    }


def main(arguments: list[str] | None = None) -> int:
    return common.run("megaface", __doc__, survey, make, add_options, arguments, marks)


if __name__ == "__main__":
    sys.exit(main())
