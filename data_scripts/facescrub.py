"""FaceScrub into a face pack: the probes of MegaFace's protocol, and of the paper's P1 and P2.

    python data_scripts/facescrub.py ROOT --list facescrub_features_list.json --noise facescrub_noises.txt \\
        --out packs/facescrub

What it is: photos of 530 actors, published by the National University of Singapore as a list of links, for research.

Licence and ethics: the list is for research; the photos belong to those who took them, and the celebrities in them were
not asked. Links only are given out, and links die: no two copies are alike. Whom to ask for it: its makers. Never
print its faces.

ROOT holds a folder for each person, of aligned 112x112 images. --list is the MegaFace devkit's choice of 3,530 photos
of 80 people; without it everybody is taken. --noise is the list of photos known to be wrong, which are left out.

    Aaron_Eckhart/Aaron_Eckhart_1.png ...

Checked: with --list, that all listed photos, less the noise, are there; without it, 106,863 images of 530 people, as
many as were linked to.
"""

import argparse
import sys
from pathlib import Path, PurePosixPath

import common
import trees

from rifr.packs import FacePack
from rifr.readers import facescrub

EXPECTED = 106_863, 530
LISTED = 3_530, 80
LICENCE = "research only; a list of links, the photos' rights stay with those who took them"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", type=Path, metavar="FILE", help="facescrub_features_list.json of the MegaFace devkit")
    parser.add_argument("--noise", type=Path, metavar="FILE", help="facescrub_noises.txt: photos to leave out")
    parser.add_argument("--keep-noise", action="store_true", help="take the noise in and mark it")
    common.add_on_bad(parser)


def survey(tree: trees.Tree, options: argparse.Namespace) -> common.Survey:
    noisy = facescrub.noises(options.noise) if options.noise else set()
    if not options.list:
        people = tree.people()
        counts = [common.Count(*count) for count in zip(("images", "people"), (people.total(), len(people)), EXPECTED)]
        images = EXPECTED[0] if options.keep_noise or not noisy else None  # how many of the linked ones are noise?
        return common.Survey(counts, {"": (images, EXPECTED[1])}, people.total(), copies=2)
    listed = facescrub.listed(options.list)
    wanted = [
        (name, face)
        for name, face in ((name, face_of(path)) for name, path in listed)
        if options.keep_noise or PurePosixPath(face).name not in noisy
    ]
    there = {face_of(path) for path in tree.images()}
    absent = [face for _, face in wanted if face not in there]
    counts = [
        common.Count("listed photos", len(listed), LISTED[0]),
        common.Count("listed people", len({name for name, _ in listed}), LISTED[1]),
        common.Count("listed photos that are there, without noise", len(wanted) - len(absent), len(wanted)),
    ]
    return common.Survey(
        counts,
        {"": (len(wanted), len({name for name, _ in wanted}))},
        len(wanted) - len(absent),
        copies=2,
        wrong=[f"absent: {common.names(absent)}"] if absent else [],
    )


def face_of(path: str) -> str:
    """Person's folder, and person and face number: the same for each way in which publishers name one photo."""
    return str(PurePosixPath(path).parent / facescrub.face_name(path))


def make(root: Path, options: argparse.Namespace) -> dict[str, FacePack]:
    noise = "keep" if options.keep_noise else "exclude"
    return {
        "": facescrub.read(
            root, options.out, options.list, options.noise, noise, on_bad=options.on_bad, licence=LICENCE
        )
    }


def main(arguments: list[str] | None = None) -> int:
    return common.run("facescrub", __doc__, survey, make, add_options, arguments)


if __name__ == "__main__":
    sys.exit(main())
