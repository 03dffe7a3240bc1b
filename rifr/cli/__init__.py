"""The library from the shell.

rifr render --people 100 --images 10 --split train --out faces/train
rifr prepare my_faces --out faces/mine
rifr align my_pictures my_faces --model face_detection_yunet.onnx
rifr train --recipe proposed --preset mini --set epochs=8
rifr evaluate --recipe proposed hr+lr --preset mini
rifr evaluate --embedder model.onnx --probes my_probes --distractors my_distractors --measure rank1 roc
rifr evaluate --embedder model.onnx --pairs pairs.txt --images lfw --widths 112 14 --out lfw.json
rifr doctor --embedder model.onnx --images my_probes
rifr batch book/ablation.ipynb --grid preset=mini seed=0,1,2,3,4 --out runs/ablation
rifr runs --show c6e9c678
"""

from __future__ import annotations

import argparse
import sys

from rifr.cli import data, doctor, evaluate, train
from rifr.cli.options import Command
from rifr.errors import RifrError
from rifr.storage import interrupts

__all__ = ["main", "parser"]


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments
        What stands after `rifr`; None: this process's own.

    Returns
    -------
    int
        The exit status: 0; 1 for an error that a user can mend, which is one line on stderr; 130 after Ctrl-C or
        SIGTERM. A programming error keeps its traceback.
    """
    with interrupts.stoppable() as stopped:
        options = None
        try:
            options = parser().parse_args(arguments)
            options.run(options)
        except (Exception, KeyboardInterrupt) as error:
            if stopped or isinstance(error, KeyboardInterrupt):  # libraries make errors of their own of an interrupt
                print("\nstopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
                return 130
            if options and isinstance(error, (RifrError, OSError)):
                print(f"rifr {options.command}: {error}", file=sys.stderr)
                return 1
            raise
    return 0


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    rifr = Command(prog="rifr", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = rifr.add_subparsers(dest="command", required=True)
    for module in (data, train, evaluate, doctor):
        module.add(commands)
    return rifr
