"""What chapter 11 says of differences on shrunk faces and on a camera's: each where it is decided, and by whom."""

import pandas as pd
import pytest

from rifr.evaluation.metrics import Interval
from rifr.report import claims, text

PAIRS = [f"{claims.label(one)} minus {claims.label(other)}" for one, other in text.transfer.PAIRS]


def measure(signs: dict[tuple[str, str], dict[int, int]], missing: tuple[int, ...] = ()) -> claims.Measure:
    """Differences of these signs at each distance (4: on shrunk faces), open where none is given."""

    def found(difference: claims.Difference) -> Interval | None:
        first, second = difference.terms
        assert (first.factor, second.factor) == (1, -1) and first.places == second.places
        shrunk = first.measure == "rank1"
        assert (first.protocol, first.places) == ("P1", claims.LR) if shrunk else first.measure == "scface"
        place = 4 if shrunk else first.places[0]
        sign = signs.get((first.network, second.network), {}).get(place, 0)
        return None if place in missing else Interval(2.0 * sign - 1, 2.0 * sign, 2.0 * sign + 1)

    return found


KL = {("kl-only", "hr+lr"): {1: 1, 2: 1, 3: 1, 4: -1}}
BEST = {("proposed", "hr-only"): {1: 1, 2: 1, 4: 1}}


def test_the_table_has_a_row_for_each_pair_and_what_is_decided_in_bold():
    shown = text.transfer.table(measure(KL, missing=(2,))).set_index("rank-1, points")
    assert list(shown.index) == PAIRS
    assert list(shown) == ["d1 (4.20 m)", "d2 (2.60 m)", "d3 (1.00 m)", "shrunk, 25–16 px"]
    assert shown.loc["KL only minus HR+LR"].tolist() == [
        "<strong>+2.0<br>(+1.0 to +3.0)</strong>",
        "–",
        "<strong>+2.0<br>(+1.0 to +3.0)</strong>",
        "<strong>-2.0<br>(-3.0 to -1.0)</strong>",
    ]
    assert shown.loc["proposed minus HR-only", "d1 (4.20 m)"] == "0.0<br>(-1.0 to +1.0)"


def test_each_pair_is_ahead_behind_or_open_and_what_both_sources_decide_is_told_apart():
    said = text.transfer.sentence(measure(KL | BEST), measure({("kl-only", "hr+lr"): {4: -1}} | BEST))
    lines = said.split("\n")
    assert lines[0] == (
        "- **KL only minus HR+LR**: this build ahead at d1, d2 and d3, behind on shrunk faces; the record behind on "
        "shrunk faces, open at d1, d2 and d3."
    )
    assert "In this build KL only minus HR+LR changes its sign from shrunk faces to a camera's" in said
    assert lines[-1].startswith(
        "Decided by build and record alike: KL only minus HR+LR below zero on shrunk faces; proposed minus HR-only "
        "above zero at d1 and d2 and on shrunk faces."
    )


def test_without_a_record_or_a_change_of_sign_neither_is_spoken_of():
    said = text.transfer.sentence(measure(BEST))
    assert "record" not in said and "alike" not in said and "changes its sign" not in said
    assert "none of these" in text.transfer.sentence(measure(BEST), measure({}))
    assert "this build not measured" in text.transfer.sentence(measure({}, missing=(1, 2, 3, 4)))


@pytest.mark.parametrize("second, said", [(60.0, "LR-only at d1 and d2"), (80.0, "LR-only at d1, proposed at d2")])
def test_the_highest_rate_at_each_distance_is_named(second, said):
    rows = [("lr-only", 1, 50.0), ("lr-only", 2, 70.0), ("proposed", 1, 45.0), ("proposed", 2, second)]
    rates = pd.DataFrame(rows, columns=["network", "distance", "rank1"])
    found = text.transfer.leaders(rates, "In this build")
    assert found == f"In this build the highest rank-1 of 2 networks is that of {said}."
