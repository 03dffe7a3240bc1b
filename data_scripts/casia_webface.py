"""CASIA-WebFace into a face pack: the photos that the paper trains on.

    python data_scripts/casia_webface.py ROOT --out packs/casia

What it is: about half a million photos of some ten thousand actors, gathered from a film database's pages by the
Institute of Automation of the Chinese Academy of Sciences (CASIA), for research.

Licence and ethics: its makers no longer give it out; copies are passed on by third parties only, and the people in it
were never asked. Whom to ask for it: the makers, at CASIA. Use it only where you hold it lawfully, never print its
faces, and prefer rendered people.

ROOT is one of (found out by looking):

    train.rec, train.idx     MXNet's record file of aligned 112x112 images
    0000045/001.jpg ...      a folder for each person, of aligned 112x112 images

Checked: 490,623 images of 10,572 people, as in the aligned record file. (The unaligned set had 494,414 of 10,575.)
"""

import argparse
import sys
from pathlib import Path, PurePosixPath

import common
import trees

from rifr.errors import DataError
from rifr.packs import FacePack
from rifr.readers import folder, recordio

EXPECTED = 490_623, 10_572
LICENCE = "research only, as its makers state; passed on by third parties, the people in it were not asked"


def record_file(files: list[str]) -> str | None:
    """The name of the record file at the root, if that is what the tree holds."""
    found = [name for name in files if PurePosixPath(name).suffix == ".rec" and "/" not in name]
    if len(found) > 1:
        raise DataError(
            f"ROOT holds {len(found)} record files ({', '.join(found)}): put the one to read, with its "
            ".idx, into a folder of its own"
        )
    return found[0] if found else None


def survey(tree: trees.Tree, options: argparse.Namespace) -> common.Survey:
    record = record_file(list(tree.files))
    if record is None:
        people = tree.people()
        found = people.total(), len(people)
    elif tree.folder:
        file = recordio.RecordFile(tree.folder / record)
        labels = len({recordio.first_label(label) for label, _ in file}) if file.people is None else file.people
        found = len(file), labels
    else:
        index = str(PurePosixPath(record).with_suffix(".idx"))
        return common.Survey(
            [],
            {"": EXPECTED},
            EXPECTED[0],
            notes=[f"{record} is counted once it is unpacked"],
            wrong=[] if index in tree.files else [f"{index} is missing"],
        )
    counts = [common.Count(*count) for count in zip(("images", "people"), found, EXPECTED)]
    return common.Survey(counts, {"": EXPECTED}, found[0], copies=2)


def make(root: Path, options: argparse.Namespace) -> dict[str, FacePack]:
    record = record_file([entry.name for entry in root.iterdir()])
    if record:
        return {"": recordio.read(root / record, options.out, on_bad=options.on_bad, licence=LICENCE)}
    return {"": folder.read(root, options.out, on_bad=options.on_bad, licence=LICENCE, overwrite=True)}


def main(arguments: list[str] | None = None) -> int:
    return common.run("casia_webface", __doc__, survey, make, common.add_on_bad, arguments)


if __name__ == "__main__":
    sys.exit(main())
