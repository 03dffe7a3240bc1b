"""Are rendered people people? A network that knows real faces only tells them apart, or does not.

Two yardsticks on 100 rendered people x 10 images: best balanced accuracy over all same and different pairs, and rank-1
among 800 rendered distractors (each photo of a person in turn joins the distractors, the other nine are probes). The
captures are measured too, because easy captures would make both readings worthless.

    RIFR_REAL_DATA=<folder with models/mobilefacenet.onnx> python tests/benchmarks/yardsticks.py
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rifr.faces import RenderSpec, render
from rifr.packs import FacePack

PEOPLE, PHOTOS, DISTRACTORS = 100, 10, 800
LEAST_ACCURACY, LEAST_RANK1, LEAST_YAW = 0.95, 0.75, 20.0


def features(network: Path, images: np.ndarray) -> np.ndarray:
    """(N, D) unit features, those of an image and of its mirror image summed."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = []
    for image in tqdm(images, desc="features", leave=False, disable=bool(os.environ.get("TQDM_DISABLE"))):
        block = ((np.asarray(image, np.float32).transpose(2, 0, 1) - 127.5) / 127.5)[
            None
        ]  # the file fixes the batch to one
        parts.append(
            sum(session.run(None, {name: np.ascontiguousarray(view)})[0] for view in (block, block[..., ::-1]))
        )
    stacked = np.concatenate(parts)
    return stacked / np.linalg.norm(stacked, axis=1, keepdims=True)


def balanced_accuracy(unit: np.ndarray, labels: np.ndarray) -> float:
    """The best mean of the true positive and the true negative rate over all thresholds on the cosine."""
    rows, columns = np.triu_indices(len(unit), 1)
    scores, same = (unit @ unit.T)[rows, columns], labels[rows] == labels[columns]
    order = np.argsort(-scores)
    hits = np.cumsum(same[order]) / same.sum()
    false = np.cumsum(~same[order]) / (~same).sum()
    return float(np.max((hits + 1 - false) / 2))


def rank1(unit: np.ndarray, labels: np.ndarray, distractors: np.ndarray) -> np.ndarray:
    """(people,) hit rates: a probe hits where its score with a photo of its person beats every distractor's."""
    best = (unit @ distractors.T).max(axis=1)
    same = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
    won = same & (unit @ unit.T > best[:, None])
    return np.array([won[labels == person].sum() / same[labels == person].sum() for person in np.unique(labels)])


def describe(pack: FacePack) -> dict[str, float]:
    """Measures of how hard the captures are."""
    light = pack.attributes["light"]
    return {
        "yaw sd (degrees)": float(pack.attributes["yaw"].std()),
        "pitch sd (degrees)": float(pack.attributes["pitch"].std()),
        "light azimuth sd (degrees)": float(np.rad2deg(np.arctan2(light[:, 0], np.abs(light[:, 2]))).std()),
        "light elevation sd (degrees)": float(np.rad2deg(np.arcsin(-light[:, 1])).std()),
        "ambient share, 5 %": float(np.quantile(pack.attributes["ambient"], 0.05)),
        "ambient share, 95 %": float(np.quantile(pack.attributes["ambient"], 0.95)),
        "images with an occluder": float((pack.attributes["occluder"] > 0).mean()),
        "mean brightness sd (grey levels)": float(pack.images.mean(axis=(1, 2, 3)).std()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--distractors", type=int, default=DISTRACTORS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", help="a folder for the packs (default: a temporary one)")
    arguments = parser.parse_args()
    data = os.environ.get("RIFR_REAL_DATA")
    network = Path(data or "") / "models" / "mobilefacenet.onnx"
    if not data or not network.exists():
        print("skipped: RIFR_REAL_DATA names no folder with models/mobilefacenet.onnx")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.keep or temporary)
        probes = render(RenderSpec("probe", arguments.people, PHOTOS, arguments.seed), folder / "probe")
        others = render(RenderSpec("distractor", arguments.distractors, 1, arguments.seed), folder / "distractor")
        unit, far = features(network, probes.images), features(network, others.images)
        accuracy = balanced_accuracy(unit, probes.labels)
        rates = rank1(unit, probes.labels, far)
        for name, value in describe(probes).items():
            print(f"{name:38} {value:8.3f}")
        print(f"{'best balanced accuracy':38} {accuracy:8.3f}   (at least {LEAST_ACCURACY})")
        print(f"{'rank-1 among the distractors':38} {rates.mean():8.3f}   (at least {LEAST_RANK1})")
        hard = probes.attributes["yaw"].std() >= LEAST_YAW
        if arguments.keep:
            np.savez(folder / "features.npz", unit=unit, far=far, labels=probes.labels, rates=rates)
    return 0 if accuracy >= LEAST_ACCURACY and rates.mean() >= LEAST_RANK1 and hard else 1


if __name__ == "__main__":
    sys.exit(main())
