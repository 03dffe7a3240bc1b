"""The ROC over all pairs of probes and of probes with distractors, beside scikit-learn's: `roc.py [--small]`."""

import sys

import numpy as np
from harness import Row, Side, main, measure
from identification import at_width, photos_of, sizes

from rifr.evaluation.protocols import verification

FPRS = np.geomspace(1e-6, 1, 200)


def make(people: int, photos: int, distractors: int, dimensions: int = 512) -> tuple:
    identities = photos_of(people, photos)
    return (*at_width(identities, distractors, dimensions, 1.8, 0), identities)


def ours(probes: np.ndarray, distractors: np.ndarray, identities: np.ndarray) -> verification.Verification:
    return verification.evaluate(probes, probes, identities, distractors)


def all_scores(probes: np.ndarray, distractors: np.ndarray, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`sklearn.metrics.roc_curve` on the scores of all pairs: (FPR, TPR)."""
    from sklearn.metrics import roc_curve  # here: our side's memory shall not hold it

    probes, distractors = (array / np.linalg.norm(array, axis=1, keepdims=True) for array in (probes, distractors))
    one, other = np.triu_indices(len(probes), 1)
    scores = np.concatenate([(probes @ probes.T)[one, other], (probes @ distractors.T).ravel()])
    same = np.zeros(len(scores), bool)
    same[: len(one)] = identities[one] == identities[other]
    return roc_curve(same, scores)[:2]


def our_curve(inputs: tuple, answer: verification.Verification) -> tuple[np.ndarray, float]:
    return points(answer.fpr, answer.tpr)


def curve(inputs: tuple, answer: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, float]:
    return points(*answer)


def points(fpr: np.ndarray, tpr: np.ndarray) -> tuple[np.ndarray, float]:
    """The highest TPR at each of FPRS, and the area under the curve."""
    return tpr[np.searchsorted(fpr, FPRS, side="right") - 1], float(np.trapezoid(tpr, fpr))


def rows(small: bool = False) -> list[Row]:
    tiny = {"people": 4, "photos": 40, "distractors": 300}
    size = tiny if small else {"people": 80, "photos": 3530, "distractors": 10_000}
    one = measure(Side(make, ours, our_curve), size, tiny)
    other = measure(Side(make, all_scores, curve), size, tiny, 1)
    apart = float(np.abs(one.summary[0] - other.summary[0]).max())
    area = abs(one.summary[1] - other.summary[1])
    pairs = size["photos"] * (size["photos"] - 1) // 2 + size["photos"] * size["distractors"]
    return [
        Row(
            "verification, the whole ROC",
            sizes(size, f"{pairs:,} scores"),
            one.seconds,
            "`sklearn.metrics.roc_curve` on all scores",
            other.seconds,
            10,
            one.peak_mib,
            other.peak_mib,
            apart < 1e-4 and area < 1e-6,
            "a tenth of the rival's, beyond libraries and inputs",
            one.added_mib <= other.added_mib / 10,
            f"TPR at {len(FPRS)} FPRs is {apart:.0e} apart at most, the area {area:.0e}. Beyond libraries and "
            f"inputs: {one.added_mib:,.0f} against {other.added_mib:,.0f} MiB.",
        )
    ]


if __name__ == "__main__":
    sys.exit(main(rows, __doc__))
