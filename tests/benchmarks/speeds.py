"""All speeds, each beside its rival, and their record for the book: `speeds.py [--small] [--record FILE]`.

Small cases are recorded only where `--record` is given. Exits with 1 where a row falls short of its reach or failed.
"""

import argparse
import importlib
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import Row

from rifr.report import records

SCRIPTS = ("rendering", "degradation", "identification", "roc", "tinyface_scoring", "training", "bootstrap")


def provenance() -> dict[str, Any]:
    """When, where and with what the speeds were measured."""
    import torch

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {**records.provenance(), "threads": torch.get_num_threads(), "load_before": load}


def as_record(rows: list[Row], about: dict[str, Any], small: bool = False) -> dict[str, Any]:
    """What the book's page reads: provenance and rows, each with what it falls short of."""
    lines = [{**asdict(row), "shortfalls": row.shortfalls} for row in rows]
    return {"provenance": about, "small": small, "rows": lines}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes: shows that all run; their times say nothing")
    parser.add_argument("--record", type=Path, help="where to write; default: the book's record, unless --small")
    options = parser.parse_args()
    os.environ["TQDM_DISABLE"] = "1"
    about, rows, failed = provenance(), [], []
    for name in SCRIPTS:
        try:
            found = importlib.import_module(name).rows(options.small)
        except Exception:
            traceback.print_exc()
            failed.append(name)
            continue
        print(*found, sep="\n", flush=True)
        rows += found
    path = options.record or (None if options.small else records.folder() / "speed.json")
    if path and not failed:
        records.write(path, as_record(rows, about, options.small))
        print(f"recorded in {path}")
    short = [row.what for row in rows if (row.agree is False if options.small else row.shortfalls)]
    print(
        f"{len(rows) - len(short)} of {len(rows)} rows "
        + ("have no differing answers" if options.small else "reach their aims")
        + (f"; short: {'; '.join(short)}" if short else "")
        + (f"; failed: {', '.join(failed)}" if failed else "")
    )
    return int(bool(short or failed))


if __name__ == "__main__":
    sys.exit(main())
