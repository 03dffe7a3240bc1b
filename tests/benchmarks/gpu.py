"""What a GPU is asked, in one command, on a machine with nothing but this source tree and a bundle of at most 64 MiB.

    python tests/benchmarks/gpu.py bundle gpu-bundle                           here: head model, what faces wear,
                                                                               wheels, LFW if at hand; --python 3.12
                                                                               is the other machine's
    python tests/benchmarks/gpu.py run gpu-bundle --out OUT                    there: everything, in ten minutes a call
    python tests/benchmarks/gpu.py run gpu-bundle --out OUT --what record      one part; the same command goes on
    CUDA_VISIBLE_DEVICES= python tests/benchmarks/gpu.py run gpu-bundle --out OUT --preset smoke     a trial on a CPU

The machine needs Python 3.11 or newer with torch, numpy, numba, OpenCV, scipy, pandas, safetensors, onnxruntime,
matplotlib, Pillow, tqdm and filelock; neither a network nor `anny`. Parts, in the order of what is wanted:

    step      the training step of `training.py`: ours, the rival's, the ratio, images/s, share of the bf16 peak
    kernels   a step without reading photos, compiled and not (`kernels.py`)
    profile   which kernels a step of the proposed method spends its time in (only where it is named)
    rates     which learning rates ResNet-34 survives (`rates.py`; only where it is named)
    record    six networks of one seed under every protocol, LFW's pairs too; a second seed where time is left
    lfw       the best network of HR faces alone that ten minutes train, on LFW's pairs

Each part is a command of its own with a log in OUT; one that is cut off at the limit goes on in the next call, from the
store that lies in RIFR_STORE (default: `store` in the checkout). A short table is printed last.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
WHEELS = (
    "joblib",
    "psutil",
    "lightning-fabric",
    "lightning-utilities",
    "pydantic",
    "pydantic-core",
    "typing-inspection",
    "annotated-types",
)
"""Packages that a machine with torch and the scientific stack may lack."""

PROBE = """
import joblib, lightning_fabric, psutil, pydantic
assert tuple(map(int, pydantic.VERSION.split(".")[:2])) >= (2, 10)
"""

RESNET = ["network=resnet34", "embedding=512", "dropout=0.4", "precision=bf16-mixed", "compile=True", "threads=0"]
"""ResNet-34 in place of the thin network: the people who are tested stay the preset's."""
RATES = ["learning_rate=0.1", "warmup=0.02", "clip_norm=5"]
"""Those of the preset `paper`."""
SIZE = ["batch_size=64", "train_people=1500", "train_images=30"]
RECORD = {"laptop": ["--set", *RESNET, *RATES, *SIZE, "epochs=12"], "smoke": []}
LFW = {
    "laptop": [
        "--set",
        *RESNET,
        *RATES,
        "batch_size=128",
        "train_people=5000",
        "train_images=8",
        "epochs=14",
        "augment=1",
    ],
    "smoke": [],
}


def bundle(folder: Path, python: str) -> None:
    """Collect what a bare machine lacks: head model, what faces wear, wheels, LFW's aligned pairs where at hand."""
    sys.path.insert(0, str(ROOT))
    from rifr.faces import assets, head

    folder.mkdir(parents=True, exist_ok=True)
    assets.load()  # the head's, too
    shutil.rmtree(folder / "cache", ignore_errors=True)
    (folder / "cache" / "rifr" / "heads").mkdir(parents=True)
    for kept in (head.path(), assets.path()):
        shutil.copy(kept, folder / "cache" / "rifr" / "heads")
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python, "--dest", str(folder / "wheels")]
    command += [word for glibc in ("2_12", "2_17", "2_28") for word in ("--platform", f"manylinux_{glibc}_x86_64")]
    subprocess.run([*command, *[f"{name}=={pins[name]}" for name in WHEELS]], check=True)
    data = Path(os.environ.get("RIFR_REAL_DATA", ""))
    if os.environ.get("RIFR_REAL_DATA") and (data / "lfw112").is_dir():
        with tarfile.open(folder / "lfw.tar", "w:gz", compresslevel=1) as archive:
            for path in sorted((data / "lfw112").rglob("*.jpg")):
                archive.add(path, path.relative_to(data))
            archive.add(data / "lists" / "lfw_pairs.txt", "lfw_pairs.txt")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    print(f"{folder}: {size:.0f} MiB{'' if size < 64 else ', which is more than 64 MiB'}")


def environment(folder: Path) -> dict[str, str]:
    """The variables of every command: this tree, the bundle's wheels where a package is missing, the bundle's head."""
    sys.path.insert(0, str(ROOT))
    path, unpacked = [str(ROOT)], folder / "site"
    if subprocess.run([sys.executable, "-c", PROBE], capture_output=True).returncode:  # all of them: they fit together
        for wheel in (folder / "wheels").glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unpacked)
        path.append(str(unpacked))
    if (folder / "lfw.tar").exists() and not (folder / "lfw112").exists():
        with tarfile.open(folder / "lfw.tar") as archive:
            archive.extractall(folder, filter="data")
    path += filter(None, [os.environ.get("PYTHONPATH", "")])
    settings = {
        "PYTHONPATH": os.pathsep.join(path),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return os.environ | settings | {"TQDM_MININTERVAL": "10"}


def commands(folder: Path, out: Path, preset: str) -> dict[str, list[list[str]]]:
    """The commands of each part."""
    python, small = [sys.executable], preset == "smoke"
    pairs = ["--pairs", str(folder / "lfw_pairs.txt"), "--images", str(folder / "lfw112")]
    pairs = pairs if (folder / "lfw112").is_dir() else []
    rifr = [*python, "-m", "rifr"]
    record = [*rifr, "record", "--preset", preset, *RECORD[preset], *pairs]
    best = ["--preset", preset, *LFW[preset]]
    here = [*python, str(Path(__file__).resolve())]
    return {
        "step": [[*python, str(ROOT / "tests" / "benchmarks" / "training.py"), *(["--small"] if small else [])]],
        "kernels": [[*python, str(ROOT / "tests" / "benchmarks" / "kernels.py"), "--out", str(out / "gpu.json")]],
        "profile": [[*here, "profile", *(["--small"] if small else [])]],
        "rates": [[*python, str(ROOT / "tests" / "benchmarks" / "rates.py"), "--out", str(out / "rates.json")]],
        "record": [
            [*record, "--seeds", "0", "--out", str(out / "record.json")],
            [*record, "--seeds", "0", "1", "--out", str(out / "record-of-two-seeds.json")],
        ],
        "lfw": [
            [
                *rifr,
                "evaluate",
                "--recipe",
                "arcface",
                *best,
                *pairs,
                "--widths",
                "112",
                "16",
                "--out",
                str(out / "lfw.json"),
            ]
        ]
        if pairs
        else [],
    }


def run(folder: Path, out: Path, preset: str, what: list[str], minutes: float) -> int:
    """Run the parts one after the other until the time is over; what is cut off goes on the next time."""
    out.mkdir(parents=True, exist_ok=True)
    settings, deadline, lines, failed = environment(folder.resolve()), time.monotonic() + 60 * minutes, [], False
    for part, several in commands(folder.resolve(), out.resolve(), preset).items():
        if part not in what:
            continue
        if not several:
            lines.append(f"{part:8} not run: no LFW in the bundle")
        for number, command in enumerate(several, 1):
            began, name = time.monotonic(), part if len(several) == 1 else f"{part}-{number}"
            with open(out / f"{name}.log", "ab") as log:
                try:
                    left = max(1.0, deadline - began)
                    code = subprocess.run(
                        command, cwd=ROOT, env=settings, stdout=log, stderr=log, timeout=left
                    ).returncode
                    state = "done" if code == 0 else f"ended with {code}: see {name}.log"
                    failed |= code != 0
                except subprocess.TimeoutExpired:
                    state = "cut off at the limit: the same command goes on"
            lines.append(f"{name:10} {time.monotonic() - began:6.0f} s  {state}")
            if state != "done":
                break
    print("\n".join([*lines, "", *shown(out)]))
    return int(failed)


def shown(out: Path) -> list[str]:
    """The short table: the last lines of the step, and rank-1 and LFW of each network of the record."""
    lines = (out / "step.log").read_text(errors="replace").splitlines()[-8:] if (out / "step.log").exists() else []
    for path in sorted(out.glob("record*.json")):
        rows = json.loads(path.read_text())["rows"]
        lines += ["", f"{path.name}: rank-1 at 112 and 20 px, P1; LFW at 112 px where it was scored"]
        for network in dict.fromkeys(row["network"] for row in rows):
            values = []
            for measure, at in (("rank1", 112), ("rank1", 20), ("pairs", 112)):
                chosen = [
                    row["value"]
                    for row in rows
                    if (row["network"], row["measure"], row["at"]) == (network, measure, at)
                    and row["protocol"] in ("P1", "")
                ]
                values.append(f"{sum(chosen) / len(chosen):6.2f}" if chosen else "     -")
            lines.append(f"  {network:12} {'  '.join(values)}")
    return lines


def profile(small: bool) -> None:
    """Print where a step of the proposed method spends its time, by kernel."""
    sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]
    import torch
    import training
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    from rifr.training import trainer

    size: dict[str, Any] = {"people": 4, "images": 4, "epochs": 1, "batch": 4, "preset": "smoke"}
    if not small:
        size = {"people": 128, "images": 16, "epochs": 1, "batch": 64, "preset": "paper"}
    with training.store_of_its_own():
        preset, pack, *_ = training.make(**size)
        on_gpu = torch.cuda.is_available()
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
        with profiler(activities=activities) as measured:
            trainer.fit("proposed", preset, 1, pack, progress=False)
    print(measured.key_averages().table(sort_by=f"{'cuda' if on_gpu else 'cpu'}_time_total", row_limit=25))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    bundling = modes.add_parser("bundle")
    bundling.add_argument("folder", type=Path)
    bundling.add_argument("--python", default="3.12", help="of the machine that it is for (default 3.12)")
    running = modes.add_parser("run")
    running.add_argument("folder", type=Path)
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--preset", choices=list(RECORD), default="laptop")
    running.add_argument(
        "--what",
        nargs="+",
        choices=["step", "kernels", "profile", "rates", "record", "lfw"],
        default=["step", "kernels", "record", "lfw"],
    )
    running.add_argument("--minutes", type=float, default=9.5, help="after which what runs is cut off (default 9.5)")
    modes.add_parser("profile").add_argument("--small", action="store_true")
    options = parser.parse_args()
    if options.mode == "bundle":
        bundle(options.folder, options.python)
    elif options.mode == "profile":
        profile(options.small)
    else:
        return run(options.folder, options.out, options.preset, options.what, options.minutes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
