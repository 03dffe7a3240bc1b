"""SCface into two face packs: mugshots, and what surveillance cameras saw at three distances, the paper's Table II.

    python data_scripts/scface.py ROOT --out packs/scface --people all

What it is: 130 volunteers before the surveillance cameras of the University of Zagreb, for research.

Licence and ethics: given to research groups that sign an agreement with the University of Zagreb, who is also whom to
ask for it; it must not be passed on. Its subjects took part knowingly. Print no face beyond what the agreement allows.

ROOT is the set's own tree; all.txt, a list of landmarks, is used where it is there:

    mugshot_frontal_cropped_all/001_frontal.JPG                (or mugshot_frontal_original_all)
    surveillance_cameras_distance_1/cam_1/001_cam1_1.jpg ...   (or surveillance_cameras_all)

--out becomes a folder of the packs mugshots and probes. The literature has two protocols, all 130 people and 80 of
them (--people eighty, drawn by --people-seed); their figures do not compare. Checked: a mugshot of each person, and 15
probes: 1,950 of all 130 people, 1,200 of 80.
"""

import argparse
import re
import sys
from pathlib import Path, PurePosixPath

import common
import trees

from rifr.packs import FacePack
from rifr.readers import scface

LICENCE = "by signed agreement with the University of Zagreb; not to be passed on"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--people", choices=("all", "eighty"), default="all", help="all 130 (default), or 80 drawn at random"
    )
    parser.add_argument("--people-seed", type=int, default=0, help="of the draw of eighty (default 0)")
    common.add_aligner(parser)
    common.add_on_bad(parser)


def marks(options: argparse.Namespace) -> set[str]:
    distances = {f"surveillance_cameras_distance_{distance}" for distance in scface.METRES}
    return {scface.CROPPED, scface.ORIGINAL, scface.FLAT, *distances}


def survey(tree: trees.Tree, options: argparse.Namespace) -> common.Survey:
    everyone = options.people == "all"
    people = range(1, scface.PEOPLE + 1) if everyone else scface.eighty(options.people_seed)
    wanted = {
        "mugshots": {f"{person:03d}_frontal" for person in people},
        "probes": {
            f"{person:03d}_cam{camera}_{distance}"
            for person in people
            for camera in scface.CAMERAS
            for distance in scface.METRES
        },
    }
    stems = {PurePosixPath(path).stem.lower() for path in tree.images()}
    patterns = {"mugshots": r"\d{3}_frontal", "probes": r"\d{3}_cam[1-5]_[123]"}
    packs, counts, wrong, images = {}, [], [], 0
    for part, expected in wanted.items():
        found = {stem for stem in stems if re.fullmatch(patterns[part], stem) and (everyone or stem in expected)}
        packs[part] = len(expected), len(people)
        counts.append(common.Count(part, len(found), len(expected)))
        for what, those in (("missing", expected - found), ("not of the set", found - expected)):
            wrong += [f"{part} {what}: {common.names(sorted(those))}"] if found and those else []
        images += len(found)
    return common.Survey(counts, packs, images, wrong=wrong)


def make(root: Path, options: argparse.Namespace) -> dict[str, FacePack]:
    people = "all" if options.people == "all" else scface.eighty(options.people_seed)
    return vars(
        scface.read(root, options.out, common.aligner(options), people=people, on_bad=options.on_bad, licence=LICENCE)
    )


def main(arguments: list[str] | None = None) -> int:
    return common.run("scface", __doc__, survey, make, add_options, arguments, marks)


if __name__ == "__main__":
    sys.exit(main())
