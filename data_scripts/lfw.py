"""LFW (Labeled Faces in the Wild) into a face pack, with its list of pairs checked against the tree.

    python data_scripts/lfw.py ROOT --pairs pairs.txt --out packs/lfw

What it is: photos of public figures from news pages, gathered by the University of Massachusetts, Amherst, for research
on verification.

Licence and ethics: free for research; the people are celebrities who were not asked, and the photos' rights stay with
the agencies that took them. Its makers warn against concluding from it that a system is fit for use. Whom to ask for
it: the University of Massachusetts, Amherst. Never print its faces.

ROOT holds a folder for each person, of images that are aligned to 112x112 already (rifr.align makes them of the 250x250
photos that were distributed); pairs.txt is LFW's own list, ten folds of 300 and 300 pairs:

    Abel_Pacheco/Abel_Pacheco_0001.jpg ...

Checked: 13,233 images of 5,749 people; with --pairs, 6,000 pairs whose photos are all there.
"""

import argparse
import sys
from pathlib import Path

import common
import trees

from rifr.packs import FacePack
from rifr.readers import folder, pairs

EXPECTED = 13_233, 5_749
PAIRS = 6_000
LICENCE = "research only; the photos' rights stay with those who took them"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=Path, metavar="FILE", help="LFW's pairs.txt, to be checked against the tree")
    common.add_on_bad(parser)


def survey(tree: trees.Tree, options: argparse.Namespace) -> common.Survey:
    people = tree.people()
    counts = [common.Count(*count) for count in zip(("images", "people"), (people.total(), len(people)), EXPECTED)]
    found = common.Survey(counts, {"": EXPECTED}, people.total(), copies=2)
    if options.pairs and tree.folder:
        if not options.pairs.is_file():
            raise FileNotFoundError(f"{options.pairs} does not exist: give the path of LFW's pairs.txt")
        try:
            counts.append(
                common.Count(
                    "pairs whose photos are there", len(pairs.read_list(options.pairs, tree.folder).same), PAIRS
                )
            )
        except FileNotFoundError as error:
            found.wrong.append(str(error))
    return found


def make(root: Path, options: argparse.Namespace) -> dict[str, FacePack]:
    if options.pairs:
        same = pairs.read_list(options.pairs, root).same
        print(f"{options.pairs.name}: {len(same):,} pairs, {same.sum():,} of them of one person; all photos are there")
    return {"": folder.read(root, options.out, on_bad=options.on_bad, licence=LICENCE, overwrite=True)}


def main(arguments: list[str] | None = None) -> int:
    return common.run("lfw", __doc__, survey, make, add_options, arguments)


if __name__ == "__main__":
    sys.exit(main())
