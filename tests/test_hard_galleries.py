"""Hard galleries, recounted trial by trial and draw by draw; their figure draws, their sentences say the numbers."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rifr import presets
from rifr.errors import DataError, SettingError
from rifr.evaluation import hard_galleries
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols import identification
from rifr.packs import FacePack
from rifr.report import figures, study, text
from rifr.report.study_tables import Study
from rifr.splits import ProbeSplits

PAIR = ("hr-only", "lr-only")


def vectors(seed=0, distractors=7):
    """Probes, gallery, identities and distractors; of two people with three and two photos, and one with a single."""
    rng = np.random.default_rng(seed)
    identities = np.array(["b", "a", "b", "c", "a", "b"])
    centres = {name: rng.standard_normal(6) for name in "abc"}
    probes, gallery = (
        np.array([centres[name] + 0.9 * rng.standard_normal(6) for name in identities]) for _ in range(2)
    )
    return probes, gallery, identities, rng.standard_normal((distractors, 6))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_each_trial_meets_the_distractors_of_its_own_probe():
    probes, gallery, identities, distractors = vectors()
    rows = np.array([np.random.default_rng(n).choice(7, 3, replace=False) for n in range(6)])
    counted = hard_galleries.trials(probes, gallery, identities, distractors, rows).hard()
    hits = dict.fromkeys("ab", 0)
    for i, j in itertools.permutations(range(6), 2):
        if identities[i] == identities[j]:
            right = unit(probes)[i] @ unit(gallery)[j]
            hits[identities[i]] += all(right > unit(probes)[i] @ unit(distractors)[row] for row in rows[i])
    assert counted.people.tolist() == ["a", "b"] and counted.trials_per_person.tolist() == [2, 6]
    assert counted.hits.tolist() == [hits["a"], hits["b"]] and 0 < sum(hits.values()) < 8
    assert counted.hits_by_probe.sum() == sum(hits.values()) and counted.single_photo == 1 and counted.distractors == 3


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_random_gallery_is_the_mean_over_all_draws(size):
    probes, gallery, identities, distractors = vectors()
    counted = hard_galleries.trials(probes, gallery, identities, distractors, np.zeros((6, 1), int)).random(size)
    draws = [
        identification.evaluate(probes, gallery, identities, distractors[list(drawn)])
        for drawn in itertools.combinations(range(7), size)
    ]
    assert counted.hits == pytest.approx(np.mean([one.hits for one in draws], axis=0))
    assert counted.hits_by_probe == pytest.approx(np.mean([one.hits_by_probe for one in draws], axis=0))
    assert np.array_equal(counted.trials_per_person, draws[0].trials_per_person) and counted.distractors == size


def test_a_case_by_hand():
    # The probe lies at 0 degrees, the right photo at 30; distractors at 10, 40 and 90: one of three stands before it.
    def at(*degrees):
        return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)

    probes, gallery, distractors = at(0, 180), at(200, 30), at(10, 40, 90)
    near, far = (
        hard_galleries.trials(probes, gallery, np.array([1, 1]), distractors, np.array(rows))
        for rows in ([[0, 1], [1, 2]], [[1, 2], [1, 2]])
    )
    # The other trial: probe at 180, right photo at 200, nearest distractor 90 degrees away: always a hit.
    assert near.hard().hits_by_probe.tolist() == [0, 1] and far.hard().hits_by_probe.tolist() == [1, 1]
    assert near.before.tolist() == [1, 0]
    assert near.random(2).hits_by_probe.tolist() == pytest.approx([1 / 3, 1])  # of three pairs one lacks the distractor


def test_a_distractor_that_scores_as_high_stands_before_the_right_photo():
    probes, gallery, identities, distractors = vectors()
    distractors[0] = gallery[0]
    counted = hard_galleries.trials(probes, gallery, identities, distractors, np.zeros((6, 1), int))
    assert not counted.found[(counted.probe == 2)][0]  # the first trial of photo 2 has photo 0 in its gallery


def test_blocks_do_not_show(monkeypatch):
    given = (*vectors(), np.tile([2, 4], (6, 1)))
    whole = hard_galleries.trials(*given)
    monkeypatch.setattr(hard_galleries, "ROWS", 2)
    blocks = hard_galleries.trials(*given)
    assert np.array_equal(whole.found, blocks.found) and np.array_equal(whole.before, blocks.before)


def faces(seed=0, people=12, photos=3, distractors=30):
    """Probes whose colour is their person's, and distractors, with tone, age and gender."""
    rng = np.random.default_rng(seed)

    def pack(name, count, of_each):
        attributes = {"tone": rng.random(count), "age": rng.uniform(18, 75, count), "gender": rng.random(count)}
        colour = rng.integers(0, 70, (count, 1, 4, 4, 3)) + rng.integers(0, 186, (count, of_each, 4, 4, 3))
        images = colour.reshape(-1, 4, 4, 3).repeat(28, 1).repeat(28, 2).astype(np.uint8)
        identities = np.repeat([f"{name}-{n}" for n in range(count)], of_each)
        repeated = {key: values.repeat(of_each).astype(np.float32) for key, values in attributes.items()}
        return FacePack(images, identities, None, repeated, {"checksum": name})

    return ProbeSplits(pack("probe", people, photos), pack("far", distractors, 1))


def colours(images):
    return images[:, ::28, ::28].reshape(len(images), -1).astype(np.float32) - 100


def reds(images):
    return images[:, ::28, ::28, 0].reshape(len(images), -1).astype(np.float32) - 100


def test_the_nearest_are_those_at_the_least_standardised_distance():
    given = faces()
    near = hard_galleries.nearest(given.probes, given.distractors, 5)
    known = [
        np.stack([pack.attributes[key] for key in hard_galleries.ATTRIBUTES], 1)
        for pack in vars(given).values()
        if isinstance(pack, FacePack)
    ]
    scale = known[1].std(axis=0)
    for photo, rows in zip(known[0], near.rows, strict=True):
        distance = [float(np.linalg.norm((photo - other) / scale)) for other in known[1]]
        assert rows.tolist() == sorted(range(30), key=distance.__getitem__)[:5]
    years = np.abs(known[0][:, None, 1] - known[1][None, :, 1])
    assert near.apart_of_all["age"] == pytest.approx(years.mean())
    assert near.apart["age"] == pytest.approx(np.mean([years[n, rows].mean() for n, rows in enumerate(near.rows)]))
    assert near.apart["age"] < near.apart_of_all["age"] and near.size == 5


def test_the_unit_of_an_attribute_decides_nothing():
    given = faces()
    months = [
        FacePack(pack.images, pack.identities, None, pack.attributes | {"age": 12 * pack.attributes["age"]}, {})
        for pack in (given.probes, given.distractors)
    ]
    in_years, in_months = hard_galleries.nearest(given.probes, given.distractors, 4), hard_galleries.nearest(*months, 4)
    assert np.array_equal(in_years.rows, in_months.rows)


def test_faces_of_which_nothing_is_known_and_impossible_sizes_are_refused():
    given = faces()
    tone = given.distractors.attributes["tone"].copy()
    tone[3] = np.nan
    unknown = ProbeSplits(
        given.probes, FacePack(given.distractors.images, given.distractors.identities, None, {"tone": tone}, {})
    )
    assert hard_galleries.known(given) and not hard_galleries.known(unknown)
    with pytest.raises(DataError, match="gender"):
        hard_galleries.nearest(unknown.probes, unknown.distractors, 3)
    for size in (0, 31):
        with pytest.raises(SettingError, match="size"):
            hard_galleries.nearest(given.probes, given.distractors, size)
    with pytest.raises(DataError, match="two photos"):
        hard_galleries.trials(np.eye(3), np.eye(3), np.arange(3), np.eye(3), np.zeros((3, 1), int))


@pytest.fixture
def galleries(store_folder):
    plan = presets.get("smoke", widths=(112, 28), mirror=False)
    return hard_galleries.identify({"hr-only": colours, "lr-only": reds}, faces(), plan, size=6, progress=False)


def test_both_protocols_are_those_of_the_identification_protocol(galleries):
    given = faces()
    probes, far = colours(given.probes.images), colours(given.distractors.images)
    rows = hard_galleries.nearest(given.probes, given.distractors, 6).rows
    expected = [
        identification.evaluate(probes[own], probes[own], given.probes.identities[own], far[rows[own[0]]]).hits[0]
        for own in np.arange(36).reshape(12, 3)
    ]
    by_person = dict(zip(given.probes.identities[::3], expected, strict=True))
    measured = galleries.hard.results["P1", "hr-only", 112]
    assert measured.hits.tolist() == [by_person[name] for name in measured.people]
    assert 0 < sum(expected) < 72
    assert set(galleries.hard.results) == {(p, n, w) for p in ("P1", "P2") for n in PAIR for w in (112, 28)}


def test_the_larger_gallery_is_the_size_whose_rate_is_nearest(galleries):
    hard = np.mean([galleries.hard.results["P1", name, 112].rank1 for name in PAIR])
    given = faces()
    away = []
    for size in range(1, 31):
        rates = []
        for embed in (colours, reds):
            probes, far = embed(given.probes.images), embed(given.distractors.images)
            counted = hard_galleries.trials(probes, probes, given.probes.identities, far, np.zeros((36, 1), int))
            rates.append(counted.random(size).rank1)
        away.append(abs(np.mean(rates) - hard))
    assert galleries.larger_size == 1 + int(np.argmin(away))
    assert galleries.larger.results["P1", "lr-only", 112].distractors == galleries.larger_size


def test_how_the_gap_of_two_networks_changes_is_paired_by_person(galleries):
    rows = hard_galleries.gap_changes(galleries, [PAIR])
    assert list(zip(rows.protocol, rows.width, strict=True))[::2] == [("P1", 112), ("P1", 28), ("P2", 28)]
    row = rows.set_index(["protocol", "width", "kind"]).loc["P1", 112, "random"]
    counts = [outcome.results["P1", name, 112].hits for outcome in (galleries.hard, galleries.random) for name in PAIR]
    change = (counts[0] - counts[1]) - (counts[2] - counts[3])
    assert row.difference == pytest.approx(100 * change.sum() / 72) == pytest.approx(row.hard - row.easy)
    weights = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=500)
    low, high = np.quantile(100 * (weights @ change) / (6 * 12), [0.025, 0.975])
    assert (row.low, row.high) == (pytest.approx(low), pytest.approx(high)) and low < high
    same = hard_galleries.gap_changes(replace(galleries, random=galleries.hard, larger=galleries.hard), [PAIR])
    assert same[["difference", "low", "high"]].to_numpy().ravel() == pytest.approx(0)


def test_the_figure_has_a_panel_for_each_protocol_and_width_and_one_for_112_px(galleries):
    figure = figures.recognition.hard_galleries(galleries.hard.table(), galleries.random.table(), 6)
    shown = [axes for axes in figure.axes if axes.get_visible() and axes.axison]
    assert [axes.get_title() for axes in shown] == ["P1 and P2, 112 px", "P1, 28 px", "P2, 28 px"]
    points = [line.get_xdata()[0] for line in shown[0].lines if len(line.get_xdata()) == 1]
    for outcome in (galleries.hard, galleries.random):
        for name in PAIR:
            assert any(point == pytest.approx(100 * outcome.results["P1", name, 112].rank1) for point in points)


def counts(hits, trials=10):
    """A result of ten people with ten trials each."""
    people = np.arange(len(hits))
    whole = np.full(len(hits), trials)
    return identification.Identification(people, whole, np.array(hits, float)[:, None], people, people, 0, 4)


def made(hard, random, larger):
    """Galleries whose networks hit so many of ten trials of each of ten people, at 112 px."""
    near = hard_galleries.Nearest(
        np.zeros((3, 4), int), {"tone": 0.1, "age": 6.0, "gender": 0.12}, {"tone": 0.33, "age": 19.0, "gender": 0.3}, 40
    )
    outcomes = [
        Outcome({(p, name, 112): counts(hits) for name, hits in of.items() for p in ("P1", "P2")}, 200)
        for of in (hard, random, larger)
    ]
    return hard_galleries.Galleries(*outcomes, near, 9)


def test_sentences_say_what_moved_and_what_is_not_decided():
    spread = [4, 6] * 5
    wider = made(
        {"hr-only": [6] * 10, "lr-only": [3] * 10},
        {"hr-only": [8] * 10, "lr-only": [7] * 10},
        {"hr-only": [6] * 10, "lr-only": spread},
    )
    gaps = hard_galleries.gap_changes(wider, [PAIR])
    assert "-30.0 points" in (said := text.galleries.costs(wider)) and "-40.0 (LR-only)" in said
    assert "a loss for 2" in said and said.startswith("- **P1 and P2, 112 px**") and said.count("\n") == 0
    said = text.galleries.moved(wider, gaps)
    assert (
        "+10.0 points among 4 at random, +30.0 among the 4 most alike, a change of +20.0 points, +20.0 to +20.0."
        in said
    )
    assert "Among 9 at random, which are as hard, it is +10.0" in said and "what was expected" in said
    assert "undecided" not in said
    (row,) = text.galleries.table(wider, gaps).to_dict("records")
    assert row["4 at random"] == "+10.0" and row["4 most alike"] == "+30.0" and row["9 at random"] == "+10.0"
    assert row["alike minus 4 at random"] == "+20.0 (+20.0 to +20.0)"
    who = text.galleries.who(wider)
    assert "4 most alike of 40" in who and "6.0 years" in who and "19.0 years" in who and "those of 9" in who
    assert "55.0 % rank-1 there on average, and 45.0 % among" in who
    level = made(*[{"hr-only": spread, "lr-only": spread}] * 3)
    said = text.galleries.moved(level, hard_galleries.gap_changes(level, [PAIR]))
    assert said.count("undecided") == 2 and "does not decide" in said
    turned = made({"hr-only": [3] * 10, "lr-only": [6] * 10}, *[{"hr-only": [8] * 10, "lr-only": [7] * 10}] * 2)
    assert "the opposite" in text.galleries.moved(turned, hard_galleries.gap_changes(turned, [PAIR]))


def test_what_look_alikes_bring_is_set_beside_the_papers_difference():
    def said(alike):
        of = made(
            {"hr-only": [7] * 10, "lr-only": alike},
            {"hr-only": [8] * 10, "lr-only": [7] * 10},
            {"hr-only": [6] * 10, "lr-only": [5] * 10},
        )
        return text.galleries.worth(of, hard_galleries.gap_changes(of, [PAIR]))

    of_paper = "is about +22 points in the paper and +10.0 here at random"
    assert f"{of_paper}; among look-alikes it moves by +10.0 points, +10.0 to +10.0." in said([5] * 10)
    assert "it moves by -20.0 points" in said([8] * 10) and "10,000 distractors" in said([8] * 10)
    of = made(*[{"mine": [7] * 10, "lr-only": [5] * 10}] * 3)
    assert text.galleries.worth(of, hard_galleries.gap_changes(of, [("mine", "lr-only")])) == ""


def test_where_no_larger_gallery_is_as_hard_it_is_not_spoken_of():
    level = replace(made(*[{"hr-only": [4, 6] * 5, "lr-only": [5] * 10}] * 3), larger_size=4)
    gaps = hard_galleries.gap_changes(level, [PAIR])
    assert "as hard" not in text.galleries.moved(level, gaps)
    assert list(text.galleries.table(level, gaps).columns)[2:] == [
        "4 most alike",
        "4 at random",
        "alike minus 4 at random",
    ]


def test_the_record_holds_both_changes_and_says_them_over_its_seeds(galleries, monkeypatch):
    monkeypatch.setattr(hard_galleries, "identify", lambda *given, **options: galleries)
    plan = presets.get("smoke", widths=(112, 28))
    rows = study._alike(dict.fromkeys(PAIR), faces(), plan, False)
    gaps = hard_galleries.gap_changes(galleries, [PAIR])
    assert [row["value"] for row in rows] == pytest.approx(gaps.difference.tolist(), abs=1e-3)
    assert [row["at"] for row in rows[:2]] == ["112 px, random", "112 px, larger"] and rows[0]["n"] == 12
    assert {(row["network"], row["other"]) for row in rows} == {PAIR}
    assert not study._alike({"hr-only": None}, faces(), plan, False)

    seeds = [row | {"seed": seed, "value": row["value"] + seed} for row in rows for seed in (0, 1, 2)]
    record = Study({"seeds": [0, 1, 2]}, pd.DataFrame(seeds).astype({"value": float}))
    said = text.galleries.over_seeds(record)
    assert f"{rows[0]['value'] + 1:+.1f} points" in said and f"{rows[1]['value'] + 1:+.1f} points" in said
    assert (
        said.count("**") == 4
        and said.index(" 112 px, the record") < said.index(" 28 px, the record")
        and "3 seeds" in said
    )
    older = Study({"seeds": [0]}, pd.DataFrame([{"seed": 0, "measure": "rank1"}]))
    assert text.galleries.over_seeds(older) == text.galleries.over_seeds(None) == ""
