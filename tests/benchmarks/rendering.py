"""Images a second of the renderer at 112 x 112, from the spec to the written pack: `rendering.py [--small]`."""

import shutil
import sys
import tempfile
from pathlib import Path

from harness import SEED, Row, Side, main, measure

from rifr.align import FACE_SIZE
from rifr.faces import RenderSpec, render

LEAST = 250  # images a second
WORKERS = 2


def make(people: int, images: int) -> tuple[RenderSpec]:
    return (RenderSpec("speed", people, images, SEED),)


def ours(spec: RenderSpec) -> int:
    folder = Path(tempfile.mkdtemp())
    try:
        return len(render(spec, folder / "pack", WORKERS, progress=False))
    finally:
        shutil.rmtree(folder)


def count(inputs: tuple, answer: int) -> int:
    return answer


def rows(small: bool = False) -> list[Row]:
    tiny = {"people": 2, "images": 2}
    size = tiny if small else {"people": 60, "images": 20}
    one = measure(Side(make, ours, count), size, tiny)
    return [
        Row(
            "rendering",
            f"{one.summary:,} images of {FACE_SIZE} px, {WORKERS} threads",
            one.seconds,
            f"(no rival: the aim, {LEAST} images a second)",
            one.summary / LEAST,
            1,
            one.peak_mib,
            None,
            None,
            note=f"{one.summary / one.seconds:,.0f} images a second, from the spec to the written pack; the head "
            "model is loaded before.",
        )
    ]


if __name__ == "__main__":
    sys.exit(main(rows, __doc__))
