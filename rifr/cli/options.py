"""Options and kinds of value that several commands share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rifr import settings

if TYPE_CHECKING:
    from rifr.presets import Preset


def experiment(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is trained: preset, seed, faces, widths, changes."""
    parser.add_argument("--preset", help="smoke, mini, laptop, rendered or paper (default $RIFR_PRESET, else mini)")
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument(
        "--faces",
        nargs=3,
        default=(None, None, None),
        metavar=("TRAIN", "PROBES", "DISTRACTORS"),
        help="folders of real faces instead of rendered ones",
    )
    parser.add_argument("--widths", type=int, nargs="+", help="face widths in pixels (default: the preset's)")
    changes(parser, "epochs=8 student_start=teacher landmarks_epochs=20")


def changes(parser: argparse.ArgumentParser, examples: str) -> None:
    """Add the option that changes fields of the preset."""
    parser.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="FIELD=VALUE",
        dest="changes",
        help=f"change a field of the preset, such as {examples}",
    )


def preset_of(options: argparse.Namespace) -> Preset:
    """The preset that the options name, with their changes.

    Raises
    ------
    SettingError
        For a preset, a field or a value that does not fit.
    """
    from rifr import presets

    pairs = settings.assignments(options.changes, "--set")
    return presets.get(options.preset, pairs, widths=getattr(options, "widths", None))


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1, not {text!r}")
    return int(text)


def seed(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number from 0, not {text!r}")
    return int(text)
