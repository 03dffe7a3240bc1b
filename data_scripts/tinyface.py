"""TinyFace into face packs: photos that were small when they were taken, the paper's Table I.

    python data_scripts/tinyface.py ROOT --out packs/tinyface
    python data_scripts/tinyface.py ROOT --out packs/tinyface --aligner none --training

What it is: faces of about 20 pixels, cut by Queen Mary University of London (QMUL) from web photos and from MegaFace's
source, for research.

Licence and ethics: given out by its makers for research that is not commercial. Part of it descends from a collection
that was withdrawn, and the people in it were not asked. Whom to ask for it: QMUL's computer vision group. Never print
its faces.

ROOT, with the two lists in Testing_Set or in Face_Identification_Evaluation:

    Testing_Set/Probe/*.jpg  Testing_Set/Gallery_Match/*.jpg  Testing_Set/Gallery_Distractor/*.jpg
    probe_img_ID_pairs.mat   gallery_match_img_ID_pairs.mat
    Training_Set/<id>/*.jpg      only with --training

--out becomes a folder of the packs probes, gallery, distractors and training. Packs that are finished are kept: an
interrupted run goes on with the next. Checked: 3,728 probes, 4,443 gallery photos, 153,428 distractors; 7,804 photos of
2,570 people to train on.
"""

import argparse
import shutil
import sys
from pathlib import Path

import common
import trees

from rifr.packs import FacePack
from rifr.readers import tinyface

TRAINING = 7_804, 2_570
LICENCE = "research only, as its makers at QMUL state"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--training", action="store_true", help="make a pack of the training split, too")
    common.add_aligner(parser)
    common.add_on_bad(parser)


def survey(tree: trees.Tree, options: argparse.Namespace) -> common.Survey:
    packs = dict(tinyface.EXPECTED)
    found = {name: len(tree.images(f"Testing_Set/{folder}")) for name, folder in tinyface.FOLDERS.items()}
    counts = [common.Count(f"photos of {name}", number, packs[name][0]) for name, number in found.items()]
    if options.training:
        people, packs["training"] = tree.people("Training_Set"), TRAINING
        found["training"] = people.total()
        counts += [
            common.Count(f"training {what}", *count)
            for what, count in zip(("photos", "people"), zip((people.total(), len(people)), TRAINING))
        ]
    images = sum(found.values())
    copies = 1 + max(found.values()) / max(images, 1)  # the largest pack lies there twice while it is made
    return common.Survey(counts, packs, images, copies=copies, wrong=unlisted(tree) if images else [])


def unlisted(tree: trees.Tree) -> list[str]:
    """What of the lists' photos is absent, a sentence a list; lists in an archive are only looked for."""
    if not tree.folder:
        names = {Path(path).name for path in tree.files}
        return [f"{file} is missing" for file, _, _ in tinyface.LIST_FILES.values() if file not in names]
    try:
        lists = tinyface.lists(tree.folder)
    except (FileNotFoundError, ValueError) as error:
        return [str(error)]
    sentences = []
    for name, files in (("probes", lists.probe_files), ("gallery", lists.gallery_files)):
        there = {Path(path).name for path in tree.images(f"Testing_Set/{tinyface.FOLDERS[name]}")}
        absent, extra = [file for file in files if file not in there], sorted(there - set(files))
        sentences += [f"{name}: listed and absent: {common.names(absent)}"] if absent else []
        sentences += [f"{name}: in no list, not taken: {common.names(extra)}"] if extra else []
    return sentences


def make(root: Path, options: argparse.Namespace) -> dict[str, FacePack]:
    told = {"aligner": common.aligner(options), "on_bad": options.on_bad, "licence": LICENCE}
    if options.again:
        for name in (*tinyface.EXPECTED, "training"):
            if (options.out / name / "manifest.json").exists():
                shutil.rmtree(options.out / name)
    packs = vars(tinyface.read(root, options.out, **told))
    if options.training:
        packs = {**packs, "training": tinyface.training(root, options.out / "training", **told)}
    return packs


def main(arguments: list[str] | None = None) -> int:
    return common.run(
        "tinyface", __doc__, survey, make, add_options, arguments, marks=lambda options: {"Testing_Set"}, resumes=True
    )


if __name__ == "__main__":
    sys.exit(main())
