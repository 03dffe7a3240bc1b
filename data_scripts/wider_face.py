"""WIDER FACE with five landmarks into a pack of scenes: photos on which the network of landmarks can be trained.

    python data_scripts/wider_face.py ROOT --split train --out packs/widerface

What it is: web photos of crowds and events with their faces boxed by the Chinese University of Hong Kong; the landmarks
were added by the authors of the detector RetinaFace.

Licence and ethics: for research that is not commercial. The people in the photos are strangers who were not asked.
Whom to ask for it: the Chinese University of Hong Kong. Never print its faces.

ROOT, where a line of label.txt names a photo (# 0--Parade/x.jpg) or holds a face's box and landmarks:

    train/images/0--Parade/*.jpg   train/label.txt
    val/images/0--Parade/*.jpg     val/label.txt        (boxes alone: no scenes can be made of it)

Checked: 12,880 photos in train, 3,226 in val.
"""

import argparse
import sys
from pathlib import Path

import common
import trees

from rifr.packs import FacePack
from rifr.readers import wider_face

PHOTOS = {"train": 12_880, "val": 3_226}
LICENCE = "research only; the photos' rights stay with those who took them"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", choices=tuple(PHOTOS), default="train")
    parser.add_argument("--side", type=int, default=224, help="of a scene in pixels (default 224)")
    parser.add_argument("--min-pixels", type=int, default=40, help="the smallest face taken (default 40)")


def survey(tree: trees.Tree, options: argparse.Namespace) -> common.Survey:
    photos = len(tree.images(f"{options.split}/images"))
    counts = [common.Count(f"photos in {options.split}", photos, PHOTOS[options.split])]
    found = common.Survey(counts, {"": (None, None)}, photos, side=options.side)
    if not tree.folder:
        if f"{options.split}/label.txt" not in tree.files:
            found.wrong.append(f"{options.split}/label.txt is missing")
        found.notes.append("faces are counted once they are unpacked; the estimate takes one a photo")
    elif photos:
        try:
            faces = wider_face.faces(tree.folder, options.split)
        except FileNotFoundError as error:
            found.wrong.append(str(error))
        else:
            usable = [face for face in faces if face.landmarks is not None and face.box[2:].max() >= options.min_pixels]
            found.images, found.packs = len(usable), {"": (len(usable), len(usable))}
            counts += [
                common.Count("faces", len(faces)),
                common.Count("faces large enough, with landmarks", len(usable)),
            ]
            if not usable:
                found.images = len(faces)
                found.wrong.append("no face can be used: landmarks come with the train split")
    return found


def make(root: Path, options: argparse.Namespace) -> dict[str, FacePack]:
    return {
        "": wider_face.read(
            root, options.out, options.split, options.side, min_pixels=options.min_pixels, licence=LICENCE
        )
    }


def main(arguments: list[str] | None = None) -> int:
    return common.run("wider_face", __doc__, survey, make, add_options, arguments, marks=lambda options: set(PHOTOS))


if __name__ == "__main__":
    sys.exit(main())
