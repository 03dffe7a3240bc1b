"""The paper's claims: figures as the paper has them, differences as build and record have them, verdicts by rule."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rifr.errors import DataError, SettingError
from rifr.evaluation.metrics import Interval
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.scface import Scface
from rifr.evaluation.protocols.tinyface import TinyFace
from rifr.report import claims, evidence, paper, text
from rifr.report import study as study_module
from rifr.report.claims import CLAIMS, HR, LR, Claim, Difference, Judged, Term, minus
from rifr.report.study_tables import Study
from tests.test_text_recognition import identified, outcome, roc_outcome

BOOK = Path(__file__).resolve().parent.parent / "book"
BY_ID = {claim.id: claim for claim in CLAIMS}


def judged(*ends: tuple[float, float] | None, signs: tuple[int, ...] = ()) -> Judged:
    """A claim of as many differences, with intervals of these ends."""
    signs = signs or (1,) * len(ends)
    differences = tuple(Difference(f"A minus B {n}", sign, "+1", ()) for n, sign in enumerate(signs))
    intervals = tuple(end and Interval(end[0], sum(end) / 2, end[1]) for end in ends)
    return Judged(Claim("C0", "A is ahead", "IV", "ablation", differences), intervals)


@pytest.mark.parametrize(
    "one, verdict",
    [
        (judged((1, 2), (0.5, 3)), "reproduced"),
        (judged((1, 2), (-0.5, 3)), "undecided"),
        (judged((1, 2), (-3, -1)), "contradicted"),
        (judged((-1, 2), (-3, -1)), "contradicted"),
        (judged((1, 2), (-3, -1), signs=(1, -1)), "reproduced"),
        (judged((1, 2), None), "not tested"),
        (judged((np.nan, np.nan)), "undecided"),
        (judged(), "not tested"),
    ],
)
def test_a_verdict_needs_every_interval_on_the_papers_side(one, verdict):
    assert one.verdict == verdict


def test_the_seventeen_claims_have_their_chapters_and_only_those_without_differences_say_why():
    assert [claim.id for claim in CLAIMS] == [f"C{n}" for n in range(1, 18)]
    for claim in CLAIMS:
        assert (BOOK / f"{claim.chapter}.ipynb").exists() and bool(claim.differences) != bool(claim.untested)
        for difference in claim.differences:
            assert sum(term.factor for term in difference.terms) == 0 and difference.sign in (1, -1)


def test_the_papers_figures_are_differences_of_those_it_states_and_lie_on_the_side_that_is_claimed():
    def rank1(network, width, protocol="P1"):
        (row,) = [r for r in paper.RANK1 if (r.protocol, r.network, r.width) == (protocol, network, width)]
        return row.rank1

    said = {claim.id: [difference.paper for difference in claim.differences] for claim in CLAIMS}
    assert float(said["C6"][0]) == pytest.approx(rank1("proposed", 100) - rank1("hr+lr", 100))
    assert float(said["C13"][1]) == pytest.approx(rank1("proposed", 20) - rank1("shared-only", 20))
    assert said["C3"] == [f"about {rank1('hr+lr', 100) - rank1('hr-only', 100):+.0f}"]
    assert said["C8"] == [f"about {rank1('proposed', 20, 'P2') - rank1('proposed', 20):+.0f}"]
    assert said["C10"] == ["+4"] and said["C6"][1] == ""
    table = {row.method: row for row in paper.TABLE_2}
    assert float(said["C15"][0]) == pytest.approx(table["Proposed"].d1 - table["RICNN"].d1)
    for claim in CLAIMS:
        for difference in claim.differences:
            if difference.paper:
                assert np.sign(float(difference.paper.split()[-1])) == difference.sign, (claim.id, difference)


WIDTHS = (112, 60, 40, 30, 25, 20, 16)
SHARES = {
    (network, width): share - 0.002 * (112 - width)
    for network, share in {"proposed": 0.7, "hr+lr": 0.6, "hr-only": 0.65}.items()
    for width in WIDTHS
}


def found(name: str, measure: claims.Measure) -> list[Interval]:
    return [measure(difference) for difference in BY_ID[name].differences]


def test_a_build_pairs_by_person_and_takes_the_mean_of_near_widths():
    of_all = outcome(SHARES)
    high, middle, low = found("C6", evidence.of_outcomes(of_all))
    table = of_all.difference("proposed", "hr+lr").set_index("width")
    assert (high.low, high.estimate, high.high) == pytest.approx(tuple(table.loc[112, ["low", "difference", "high"]]))
    assert middle.estimate == pytest.approx(table.difference[[60, 40, 30]].mean())
    assert low.estimate == pytest.approx(table.difference[[25, 20, 16]].mean())
    by_person = np.mean(
        [of_all.results["P1", "proposed", w].hits - of_all.results["P1", "hr+lr", w].hits for w in (25, 20, 16)], axis=0
    )
    spread = 100 * by_person.std() / 20 / np.sqrt(len(by_person))
    assert high.low <= high.estimate <= high.high and low.high - low.low == pytest.approx(3.92 * spread, rel=0.2)
    (fall,) = found("C1", evidence.of_outcomes(of_all))
    rates = of_all.table().query("network == 'hr-only'").set_index("width").rank1
    assert fall.estimate == pytest.approx(2 * rates[60] - rates[112] - rates[[25, 20, 16]].mean())


def test_what_was_not_measured_is_not_tested():
    measure = evidence.of_outcomes(outcome({key: share for key, share in SHARES.items() if key[1] != 60}))
    assert found("C1", measure) == [None] and found("C2", measure) == [None, None] and found("C9", measure)[0] is None
    assert claims.judge(measure, ["C1"])[0].verdict == "not tested"
    assert found("C6", measure)[1] is not None  # 40 and 30 px are there


def test_rates_of_other_people_are_not_paired():
    one, other = outcome(SHARES), outcome(SHARES, people=59)
    mixed = {key: (other if key[1] == "hr+lr" else one).results[key] for key in one.results}
    with pytest.raises(DataError, match="same people"):
        found("C6", evidence.of_outcomes(Outcome(mixed, 50)))


def test_protocols_are_compared_within_one_network():
    trials = np.full(30, 10)
    results = {(p, "proposed", 20): identified(np.full(30, hits), trials) for p, hits in (("P1", 4), ("P2", 6))}
    (easier,) = found("C8", evidence.of_outcomes(Outcome(results, 50)))
    assert (easier.low, easier.estimate, easier.high) == pytest.approx((20, 20, 20))


def test_verification_is_read_at_the_papers_rate_where_the_pairs_resolve_it(monkeypatch):
    of_all = roc_outcome({"proposed": 1.5, "hr-only": 1.0})
    gap, *others = found("C9", evidence.of_outcomes(of_all))
    of_one = of_all.difference("proposed", "hr-only", 1e-4).set_index("protocol").loc["P1"]
    assert (gap.low, gap.estimate, gap.high) == pytest.approx((of_one.low, of_one.difference, of_one.high))
    assert [one is None for one in others] == [True, True, False, True, True]
    monkeypatch.setattr(evidence, "FPR", 1e-7)
    assert found("C9", evidence.of_outcomes(of_all)) == [None] * 6


def test_small_faces_are_compared_by_distance_and_by_network():
    def frames(hits):
        return Scface(np.repeat([str(n) for n in range(20)], 5), np.where(np.arange(100) % 5 < hits, 1, 2), 20)

    def short(hits):
        people = np.repeat([str(n) for n in range(20)], 5)[1:]
        return people, np.where(np.arange(1, 100) % 5 < hits, 1, 2)

    filmed = Outcome(
        {("proposed", 1, 4.2): frames(4), ("hr+lr", 1, 4.2): frames(2)}
        | {("proposed", 3, 1.0): frames(5), ("hr+lr", 3, 1.0): frames(4)},
        50,
        ("network", "distance", "metres"),
    )
    ends = np.arange(1, 11)
    tiny = Outcome(
        {
            ("proposed",): TinyFace(np.arange(10), np.ones(10, int), ends, 50, 40),
            ("hr+lr",): TinyFace(np.arange(10), np.full(10, 2), ends, 50, 40),
        },
        50,
        ("network",),
    )
    fewer = {("proposed", 1, 4.2): frames(4), ("hr+lr", 1, 4.2): frames(2)}  # a frame that could not be read
    fewer |= {(name, 3, 1.0): Scface(*cut, 20) for name, cut in (("proposed", short(5)), ("hr+lr", short(4)))}
    lacking = evidence.of_outcomes(Outcome(fewer, 50, filmed.keys))
    far, _, near, more = found("C15", lacking)
    assert (far.estimate, near.estimate, more) == pytest.approx((40, 20, None), abs=0.3)
    measure = evidence.of_outcomes(filmed, tiny)
    far, between, near, more = found("C15", measure)
    assert (far.estimate, near.estimate, more.estimate, between) == pytest.approx((40, 20, 20, None))
    assert [one and one.estimate for one in found("C16", measure)] == [None, None, pytest.approx(100)]


def study(values: dict[tuple[str, int], list[float]]) -> Study:
    rows = [
        {"seed": seed, "measure": "rank1", "protocol": "P1", "network": network, "at": width, "value": value}
        for (network, width), of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
    ]
    return Study({"seeds": [0, 1, 2]}, pd.DataFrame(rows))


def test_the_record_of_one_seed_has_intervals_over_people_where_it_keeps_them():
    of_all = outcome({key: 0.2 + 0.01 * place for place, key in enumerate(SHARES)})
    renamed = {"hr+lr": "c-t", "hr-only": "arcface"}
    results = {(p, renamed.get(name, name), width): one for (p, name, width), one in of_all.results.items()}
    of_all = Outcome(results, 50)
    rows = [{"seed": 0} | row for row in study_module._grouped(of_all, ["proposed", "c-t", "arcface"], 60)]
    build, record = evidence.of_outcomes(of_all), evidence.of_record(Study({"seeds": [0]}, pd.DataFrame(rows)))
    for place in (HR, LR):
        for terms in (minus("proposed", "c-t", place), minus("proposed", "arcface", place), [Term(1, "c-t", place)]):
            asked = Difference("", 1, "", tuple(terms))
            wanted, got = build(asked), record(asked)
            assert (got.low, got.estimate, got.high) == pytest.approx(
                (wanted.low, wanted.estimate, wanted.high), abs=6e-4
            )
            assert got.low < got.high
    assert record(Difference("", 1, "", minus("c-t", "arcface"))) is None
    two = pd.DataFrame([row | {"seed": seed} for row in rows for seed in (0, 1)])
    assert evidence.of_record(Study({"seeds": [0, 1]}, two))(Difference("", 1, "", minus("proposed", "c-t"))) is None


def test_the_record_of_one_seed_decides_the_claims_that_its_build_decides():
    of_all = outcome(SHARES)
    build = evidence.of_outcomes(of_all)
    names = list(dict.fromkeys(network for network, _ in SHARES))
    rows = [*study_module._identified(of_all, names, 60), *study_module._claimed(build)]
    stored = json.loads(json.dumps([{"seed": 0} | row for row in rows]))
    record = evidence.of_record(Study({"seeds": [0]}, pd.DataFrame(stored)))
    ours, theirs = claims.judge(build), claims.judge(record)
    assert [one.verdict for one in theirs] == [one.verdict for one in ours]
    assert len({one.verdict for one in ours}) >= 3
    asked = Difference("", 1, "", minus("hr+lr", "hr-only", LR))  # of no claim
    assert record(asked).low == pytest.approx(build(asked).low, abs=6e-4)
    for claim in claims.CLAIMS:
        assert len({difference.name for difference in claim.differences}) == len(claim.differences)


def test_the_record_pairs_within_a_seed_with_students_interval():
    measure = evidence.of_record(
        study(
            {
                ("proposed", 112): [70.0, 75.0, 71.0],
                ("hr+lr", 112): [68.0, 72.0, 70.0],
                ("proposed", 20): [50.0, 52.0, 51.0],
                ("hr+lr", 20): [49.0, 53.0, 50.0],
                ("proposed", 16): [40.0, 42.0, 41.0],
                ("hr+lr", 16): [37.0, 41.0, 40.0],
            }
        )
    )
    high, middle, low = found("C6", measure)
    of_t = stats.ttest_1samp([2.0, 3.0, 1.0], 0).confidence_interval(0.95)
    assert (high.low, high.estimate, high.high) == pytest.approx((of_t.low, 2.0, of_t.high))
    assert middle is None and low.estimate == pytest.approx(np.mean([2, 0, 1]))
    assert {one.verdict for one in claims.judge(evidence.of_record(None))} == {"not tested"}


def test_open_differences_of_one_sign_name_the_seed_that_sticks_out():
    rates = {
        ("hr-only", 112): [63.0, 62.0, 63.5],
        ("lr-only", 112): [62.0, 55.0, 56.0],
        ("hr+lr", 112): [60.0, 62.0, 66.0],
    }
    of_record = study(rates)
    judged_ = claims.judge(evidence.of_record(of_record), ["C2", "C3", "C4"])
    values = evidence.by_seed(of_record)(BY_ID["C2"].differences[0])
    assert values.tolist() == [1, 7, 7.5] and evidence.by_seed(of_record)(BY_ID["C2"].differences[1]) is None
    said = text.claims.one_sided(judged_, evidence.by_seed(of_record))
    assert said.startswith("Of 3 open differences of the record 1 have every seed on one side of zero (C2)")
    assert (
        "that of LR-only (rank-1, 112 px): seed 0 has 62.0 %, where the others have 55.0 and 56.0. It is in C2." in said
    )
    assert text.claims.one_sided([], evidence.by_seed(None)) == ""
    needed = text.claims.seeds_needed(judged_, evidence.by_seed(of_record)).set_index("difference")
    row = needed.loc["HR-only minus LR-only, 112 px"]
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert row["standard deviation"] == "3.6" and row["± with 3 seeds"] == f"{(high - low) / 2:.1f}"
    for wanted, column in ((1.0, "seeds for ±1"), (0.5, "seeds for ±0.5")):
        n, deviation = row[column], values.std()
        reach = [stats.t.interval(0.95, m - 1, scale=deviation / m**0.5)[1] for m in (n - 1, n)]
        assert reach[0] > wanted >= reach[1]
    assert text.claims.seeds_needed([], evidence.by_seed(None)).empty


def test_an_unknown_claim_is_refused_with_those_there_are():
    with pytest.raises(SettingError, match="C17"):
        claims.judge(evidence.of_record(None), ["C18"])


def test_a_sentence_names_its_claim_and_stays_short():
    build = claims.judge(evidence.of_outcomes(outcome(SHARES)), ["C3", "C6", "C9"])
    record = claims.judge(evidence.of_record(None), ["C3"])
    third, sixth, ninth = text.claims.sentences(build, record).splitlines()
    assert third.startswith("- **C3. HR+LR falls below HR-only on large faces")
    assert ": reproduced.** HR+LR minus HR-only, 112 px: -5.0 (" in third
    assert third.endswith("the paper about -12. Over the record's seeds: not tested.")
    assert "seeds" not in sixth and sixth.count(";") == 2 and "could not be measured" in ninth
    many = text.claims.sentences([judged((1, 2), (1, 2), (-1, 2), (-2, -1))])
    assert "Of 4 differences 2 are decided for the paper and 1 against it." in many
    assert text.claims.counts([*build, judged((-2, -1))]) == "2 reproduced, 1 contradicted, 1 not tested"


def test_a_contradicted_claim_names_the_differences_that_fail():
    most, all_of_them = judged((1, 2), (-2, -1), (-1, 2)), judged((-2, -1), (-3, -2))
    (line,) = text.claims.failing([most]).splitlines()
    assert line.startswith("- **C0**, this build: 1 of 3 differences lies against the paper (")
    assert line.endswith("-1.5 (-2.0 to -1.0)); 1 of the others is decided for it.") and line.count(";") == 1
    (line,) = text.claims.failing([judged((1, 2))], [all_of_them]).splitlines()
    assert "the record: both differences lie against the paper (" in line and line.endswith(").")
    assert text.claims.failing([judged((-2, -1), (-1, 2))]).endswith("; the other is undecided.")
    assert text.claims.failing([judged((-2, -1), (1, 2))]).endswith("; the other is decided for it.")
    assert "none of the others is" in text.claims.failing([judged((-2, -1), (-1, 2), (-1, 2))])
    assert "all 3 differences lie" in text.claims.failing([judged((-2, -1), (-2, -1), (-2, -1))])
    assert text.claims.failing([judged((-2, -1)), judged((-1, 2), (1, 2)), judged()]) == ""
    (ninth,) = [claim for claim in CLAIMS if claim.id == "C9"]
    assert len(ninth.differences) == 6  # the page of the claims says so


def test_the_record_of_the_papers_network_speaks_to_the_claim_that_it_can_test():
    rates = {"hr-only": (92.0, 91.0, 93.0), "hr+lr": (89.0, 88.0, 90.0)}
    rows = [
        {"seed": 0, "measure": "rank1", "protocol": protocol, "network": name, "at": at, "n": 9}
        | dict(zip(("value", "low", "high"), ends, strict=True))
        for protocol in ("P1", "P2")
        for at in (112, 20)
        for name, ends in rates.items()
    ]
    about = {"seeds": [0], "networks": [*rates], "faces": {"probe_people": 9}}
    larger = Study(about, pd.DataFrame(rows))
    build = claims.judge(evidence.of_record(None), ["C2", "C3", "C6"])
    second, third, sixth = text.claims.sentences(build, larger=larger).splitlines()
    assert "ResNet" not in second + sixth and "[chapter 3](baselines.ipynb)" in third
    assert "one seed, [chapter 3](baselines.ipynb)): -3.0 points, -5.0 to -1.0, with" in third
    assert third.endswith("with the paper's sign (which has about -12).")
    wide = larger.rows.assign(low=larger.rows.value - 4, high=larger.rows.value + 4)
    said = text.claims.sentences(build, larger=replace(larger, rows=wide))
    assert said.splitlines()[1].endswith("-3.0 points, -11.0 to +5.0, undecided.")


def test_the_numbers_of_chapters_are_those_of_their_titles():
    assert set(claims.CHAPTERS) == {claim.chapter for claim in CLAIMS}
    for name, number in claims.CHAPTERS.items():
        first = json.loads((BOOK / f"{name}.ipynb").read_text())["cells"][0]["source"]
        assert "".join(first).startswith(f"# {number} ")


def test_an_undecided_claim_says_how_large_its_open_differences_would_have_to_be():
    one, decided = judged((-1, 3), (1, 2), (-3, 0.5), (np.nan, np.nan)), judged((1, 2))
    said = text.claims.unseen([one], [judged((-0.5, 0.5))])
    assert "- **C0**: this build 1.8 to 2.0 (3 differences); the record 0.5 (1 difference)" in said
    for ends in ((np.nan, np.nan), (0, 0)):
        assert "this build gives no interval" in text.claims.unseen([judged(ends)], [decided])
    assert text.claims.unseen([decided], [decided]) == "No claim is undecided."


def test_the_table_has_each_difference_in_a_row_beside_its_claim():
    build = claims.judge(evidence.of_outcomes(outcome(SHARES)))
    for record in ([], claims.judge(evidence.of_record(None))):
        page = text.claims.table(build, record).data
        bodies = re.findall(r"<tbody>(.*?)</tbody>", page)
        assert len(bodies) == len(CLAIMS)
        for claim, body in zip(CLAIMS, bodies, strict=True):
            rows = [re.findall(r"<td.*?</td>", row) for row in re.findall(r"<tr.*?</tr>", body)]
            assert f"<strong>{claim.id}. " in rows[0][0] and f'href="{claim.chapter}.html">chapter ' in rows[0][0]
            wide = [sum(int((re.search(r'colspan="(\d)"', cell) or [0, 1])[1]) for cell in row) for row in rows]
            assert wide == [3 + bool(record)] * (1 + max(1, len(claim.differences)))
            assert [row[1] for row in rows[1:] if len(row) > 1] == [f"<td>{d.paper}</td>" for d in claim.differences]
    (third,) = [body for body in bodies if "<strong>C3." in body]
    assert "<td>✓ reproduced</td><td>– not tested</td>" in third and "-5.0</span> <span" in third
    assert "record, over seeds" in page and "href" not in text.claims.table(build, links=False).data


def test_a_difference_of_none_is_a_dash():
    assert text.claims.span(None) == "–" and text.claims.span(Interval(np.nan, 1.0, np.nan)) == "+1.0"
    assert text.claims.span(replace(Interval(-0.01, 0.0, 1.0))) == "0.0 (-0.01 to +1.0)"
