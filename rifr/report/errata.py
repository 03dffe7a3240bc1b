"""What the appendix "Errata" is checked with: the equations as the text has them, and counts behind its percentages.

The functions named `printed_...` compute what stands in the text at our disposal, letter by letter, to show where it
leads. Nothing trains with them; `rifr.losses` holds the losses that do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from rifr.report import paper

TABLE_2 = pd.DataFrame(
    [(row.method, row.d1, row.d2, row.d3, row.average) for row in paper.TABLE_2],
    columns=["method", "d1", "d2", "d3", "avg."],
).set_index("method")
"""Table II of the paper: SCface, rank-1 in per cent."""

PROBES = {"130 people": 650, "80 people": 400}
"""Probes per distance in the two protocols for SCface: five cameras, all people, or those left after 50 have tuned."""


def printed_eq1(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Eq. (1) as the text has it: $\log \prod_j \exp(t_y) / \exp(t_j)$, no minus sign, mean over the batch."""
    true = logits.gather(1, labels[:, None])
    return (true - logits).sum(dim=1).mean()  # the logarithm of a product of quotients is a sum of differences


def printed_eq2(logits: Tensor, q: Tensor) -> Tensor:
    r"""The first line of eq. (2) as the text has it: $\sum_k q_k \log (p_k / q_k)$, mean over the batch."""
    return (q * F.log_softmax(logits, dim=1) - torch.xlogy(q, q)).sum(dim=1).mean()


def printed_eq2_second_line(logits: Tensor, q: Tensor) -> Tensor:
    r"""The second line of eq. (2) as the text has it: $\sum_k q_k \log p_k + \sum_k q_k \log q_k$, batch mean."""
    return (q * F.log_softmax(logits, dim=1) + torch.xlogy(q, q)).sum(dim=1).mean()


def eq2_second_line_with_minus(logits: Tensor, q: Tensor) -> Tensor:
    r"""The second line of eq. (2) with a minus after "=": $-\sum_k q_k \log p_k + \sum_k q_k \log q_k$, batch mean."""
    return (torch.xlogy(q, q) - q * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def half_variance(logits: Tensor, q: Tensor) -> Tensor:
    r"""Half the variance, under q, of what the logits are off: KL to second order, mean over the batch.

    $$ \mathrm{KL}(q \,\|\, p) \approx \frac12 \Bigl(\sum_k q_k \delta_k^2 - \bigl(\sum_k q_k \delta_k\bigr)^2\Bigr),
    \qquad \delta_k = t_k - \log q_k $$
    """
    off = logits - q.log()
    return ((q * off**2).sum(dim=1) - (q * off).sum(dim=1) ** 2).mean() / 2


def loss_by_length(degrees: float, lengths: Sequence[float]) -> list[float]:
    """Cross-entropy of features of these lengths, `degrees` from their person's weight and 90° from another's.

    Both weights have length one and there are no more people: the angle stays, the loss goes to zero with the length.
    """
    own = math.cos(math.radians(degrees))
    logits = torch.tensor([[length * own, 0.0] for length in lengths], dtype=torch.float64)
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long), reduction="none").tolist()


def possible_counts(printed: float, trials: int, decimals: int = 1) -> list[int]:
    """The numbers of hits in `trials` that round to `printed` per cent, a half going either way."""
    half = 0.5 * 10**-decimals + 1e-9
    low, high = (printed - half) * trials / 100, (printed + half) * trials / 100
    return [
        count
        for count in range(max(int(low), 0), min(int(high) + 1, trials) + 1)
        if abs(100 * count / trials - printed) <= half
    ]


def protocols(table: pd.DataFrame = TABLE_2) -> pd.DataFrame:
    """For each method of Table II and each protocol: the hits that its three percentages can be, "none" if none."""
    rows = {}
    for method, row in table.iterrows():
        rows[method] = {
            name: ", ".join("/".join(map(str, possible_counts(row[d], trials))) or "none" for d in ("d1", "d2", "d3"))
            for name, trials in PROBES.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def averages(table: pd.DataFrame = TABLE_2) -> pd.DataFrame:
    """The printed averages of Table II beside the mean of the printed columns, and their difference."""
    mean = table[["d1", "d2", "d3"]].mean(axis=1)
    return pd.DataFrame({"printed": table["avg."], "recomputed": mean, "difference": table["avg."] - mean})
