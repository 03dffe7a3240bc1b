"""Images a second of the renderer at 112 x 112, from the spec to the written pack.

python tests/benchmarks/rendering.py [--people 60] [--images 20] [--workers 2]
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from rifr.faces import RenderSpec, head, render

LEAST = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["TQDM_DISABLE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        head.load()
        render(RenderSpec("warm", 2, 2), Path(folder) / "warm")
        print(f"head model and machine code            {time.perf_counter() - start:8.1f} s, once")
        rates, spent = [], []
        for repeat in range(arguments.repeats):
            start, processor = time.perf_counter(), time.process_time()
            render(
                RenderSpec("speed", arguments.people, arguments.images, repeat),
                Path(folder) / f"{repeat}",
                arguments.workers,
            )
            count = arguments.people * arguments.images
            rates.append(count / (time.perf_counter() - start))
            spent.append((time.process_time() - processor) / count * 1000)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"rendering, {arguments.people} people x {arguments.images}, {arguments.workers} threads "
        f"{max(rates):8.0f} images/s (at least {LEAST:.0f}; all: {', '.join(f'{rate:.0f}' for rate in rates)})"
    )
    print(f"processor time an image                {min(spent):8.2f} ms (a busy machine gives less than all of it)")
    print(f"peak memory                            {peak:8.0f} MiB")
    return 0 if max(rates) >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
