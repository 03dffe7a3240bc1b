"""Faces that OpenCV's YuNet finds by face width, recorded for chapter 6: `detector.py --model FILE [--preset mini]`.

The model is no part of this project: the record lets the page show what was measured where the file is not at hand.
"""

import argparse
import sys
from pathlib import Path

from speeds import provenance

from rifr import landmarks, presets, storage
from rifr.evaluation import alignment
from rifr.report import records
from rifr.report.text.alignment import setting

LEAST = 0.6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="YuNet's ONNX file")
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--record", type=Path, default=records.folder() / "detector.json")
    options = parser.parse_args()
    preset, seed = presets.get(options.preset), 0
    pack = landmarks.held_out_scenes(preset, seed)
    table = alignment.detected(str(options.model), pack, preset, least=LEAST)
    about = {
        **provenance(),
        "model": options.model.name,
        "model_sha256": storage.file_digest(options.model),
        "least": LEAST,
        "faces": pack.checksum,
        "setting": setting(preset, seed, pack),
    }
    records.write(options.record, {"provenance": about, "rows": table.to_dict("records")})
    print(table.round(1).to_string(index=False), f"recorded in {options.record}", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
