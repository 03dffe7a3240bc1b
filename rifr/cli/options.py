"""Options and kinds of value that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rifr import settings
from rifr.errors import SettingError

if TYPE_CHECKING:
    from rifr.evaluation.onnx import Onnx
    from rifr.presets import Preset


NETWORK_FILE = ("layout", "channels", "mean", "scale", "size")
"""The options of `network_file`."""
NO_FACES = (None, None, None)


class Parser(Protocol):
    """A parser, or a group of its options."""

    def add_argument(self, *names: str, **options: object) -> argparse.Action: ...


class Joined(argparse._StoreAction):
    """A value as argparse stores it; the lists of an option that is given twice are joined."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        known = getattr(namespace, self.dest, self.default)
        if option_string and self.nargs in ("*", "+") and known is not self.default:
            values = [*known, *values]
        setattr(namespace, self.dest, values)


class Command(argparse.ArgumentParser):
    """A parser whose options are `Joined`; so are those of its commands."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.register("action", None, Joined)
        self.register("action", "store", Joined)


def network_file(parser: Parser) -> None:
    """Add the options that say how a network in an ONNX file wants its pixels."""
    parser.add_argument("--layout", help="of the files' input: auto (default), NCHW or NHWC")
    parser.add_argument("--channels", help="RGB (default) or BGR")
    parser.add_argument(
        "--mean",
        type=float,
        nargs="+",
        help="a file is given (grey level - mean) / scale: one number or three (RGB); default 127.5",
    )
    parser.add_argument("--scale", type=float, nargs="+", help="one number or three; default 127.5")
    parser.add_argument("--size", type=count, help="side of a file's input in pixels (default: what it says, else 112)")


def onnx_of(path: Path, options: argparse.Namespace) -> Onnx:
    """The network in a file with what the options say of it."""
    from rifr.evaluation import embed

    given = {name: value for name in NETWORK_FILE if (value := getattr(options, name)) is not None}
    for name in given.keys() & {"mean", "scale"}:
        given[name] = given[name][0] if len(given[name]) == 1 else tuple(given[name])
    return embed.Onnx(path, **given)


def experiment(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is trained: preset, seed, faces, widths, changes."""
    parser.add_argument("--preset", help="smoke, mini, laptop, rendered or paper (default $RIFR_PRESET, else mini)")
    parser.add_argument("--seed", type=seed, help="of faces and training (default 0)")
    parser.add_argument(
        "--faces",
        nargs=3,
        default=NO_FACES,
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


def pack_folder(out: Path) -> Path:
    """Where a pack goes, with a name of its own.

    Raises
    ------
    SettingError
        For the folder that the shell is in: a pack takes the place of its folder, and the shell would see an empty one.
    """
    folder = out.resolve()
    if folder == Path.cwd():
        raise SettingError(
            f"--out {out} is the folder that you are in: name one for the pack, such as --out {out}/pack"
        )
    return folder


def refuse_unused(options: argparse.Namespace, when: str, names: Iterable[str]) -> None:
    """Refuse options that were given and that nothing would use: those that are not None, empty or false.

    Parameters
    ----------
    when
        Why nothing uses them, as the error says it.
    names
        Of the options, as attributes.

    Raises
    ------
    SettingError
        With the options.
    """
    values = {name: getattr(options, name) for name in names}
    given = [name for name, value in values.items() if value not in (None, "", [], NO_FACES) and value is not False]
    if given:
        words = ["--" + {"changes": "set"}.get(name, name).replace("_", "-") for name in given]
        raise SettingError(f"{when}: leave out {' and '.join(words)}.")


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
