"""Rates and effects of bands are those of a loop over trials and of a loop over resamples."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from rifr.evaluation import metrics, subgroups
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.identification import Identification, evaluate
from rifr.report import figures, text
from tests.subgroup_outcomes import ground_truth, simulated, turned_away

NAMES = ("under 15°", "15° to 30°", "from 30°")


# Bands


def test_every_photo_is_in_one_band_of_each_attribute_and_edges_belong_above():
    attributes = ground_truth(30, 6)
    cuts = subgroups.bands(attributes)
    assert list(cuts) == list(subgroups.BINNINGS)
    for name, cut in cuts.items():
        assert len(cut.names) == len(subgroups.BINNINGS[name].edges) + 1
        assert set(cut.index) == set(range(len(cut.names)))
    yaw = subgroups.bands({"yaw": np.array([0, -14.9, 15, -15, 29.9, 30, -52])})["yaw"]
    assert [yaw.names[i] for i in yaw.index] == [NAMES[i] for i in (0, 0, 1, 1, 1, 2, 2)]


def test_the_lamp_is_measured_from_the_camera_to_either_side():
    degrees = np.deg2rad([0, 29, -29, 45, -59, 61, -90, 179])
    lamp = np.stack([np.sin(degrees), np.full(8, -0.7), np.cos(degrees)], axis=1)  # x right, y down, z to the camera
    assert subgroups.bands({"light": lamp})["light angle"].index.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]


def test_the_reference_is_the_easiest_photo():
    easiest = {"yaw": [0.0], "light": [[0, -0.5, 0.8]], "ambient": [1.0], "expression": [0.0], "occlusion": [0.0]}
    cuts = subgroups.bands({name: np.array(values) for name, values in easiest.items()})
    assert len(cuts) == 5 and all(cut.index.tolist() == [0] for cut in cuts.values())


def test_photos_without_ground_truth_have_no_bands_and_unknown_values_are_in_none():
    assert subgroups.bands({}) == {}
    assert list(subgroups.bands({"age": np.array([20.0, np.nan, 70.0]), "camera": np.zeros(3)})) == ["age"]
    assert subgroups.bands({"age": np.array([20.0, np.nan, 70.0])})["age"].index.tolist() == [0, -1, 2]


def test_an_attribute_of_another_shape_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'light' .*\(4,\)"):
        subgroups.bands({"light": np.zeros(4)})
    with pytest.raises(ValueError, match=r"'yaw' has the shape \(4, 3\)"):
        subgroups.bands({"yaw": np.zeros((4, 3))})


# Rates


def test_rates_are_those_of_a_loop_over_the_trials_of_each_bands_probes():
    draw = np.random.default_rng(3)
    identities = np.array([f"p{i}" for i in [4, 0, 0, 1, 2, 2, 2, 3, 3, 1, 5]])  # p4 and p5 have one photo: no trial
    yaw = draw.uniform(-50, 50, len(identities))
    centres = draw.standard_normal((6, 8))[[int(name[1]) for name in identities]]
    gallery, strangers = (centres + draw.standard_normal(centres.shape) for _ in range(2))
    distractors, found = strangers[:6] + 1, {}
    for network, noise in (("hr-only", 0.5), ("proposed", 1.0)):
        probes = centres + noise * draw.standard_normal(centres.shape)
        found["P2", network, 20] = evaluate(probes, gallery, identities, distractors)
        counts = {name: [0, 0, 0, set()] for name in NAMES}
        for i, person in enumerate(identities):
            band = counts[NAMES[0 if abs(yaw[i]) < 15 else 1 if abs(yaw[i]) < 30 else 2]]
            for j in np.flatnonzero((identities == person) & (np.arange(len(identities)) != i)):
                scores = [probes[i] @ row / np.linalg.norm(row) for row in (gallery[j], *distractors)]
                band[0] += scores[0] >= max(scores[1:])
                band[1] += 1
                band[3].add(person)
            band[2] += person not in ("p4", "p5")
        table = subgroups.rates(Outcome(found, 50), identities, subgroups.bands({"yaw": yaw}))
        for row in table[table.network == network].itertuples():
            hits, trials, photos, people = counts[row.band]
            assert (row.trials, row.photos, row.people) == (trials, photos, len(people)), row
            assert row.rank1 == pytest.approx(100 * hits / trials)
            assert np.isnan(row.low) and np.isnan(row.high)  # too few people
    assert 0 < table.rank1.mean() < 100 and len(table) == 6


def test_the_interval_of_a_band_that_everyone_is_in_is_that_of_the_metrics():
    attributes = {"yaw": np.zeros(240)}
    outcome, identities = simulated(lambda network, width: 0.3)
    row = subgroups.rates(outcome, identities, subgroups.bands(attributes)).iloc[0]
    counts = outcome.results["P2", "hr-only", 112]
    expected = metrics.interval(counts.hits, counts.trials_per_person, resamples=200)
    np.testing.assert_allclose(
        [row.low, row.rank1, row.high], [100 * expected.low, 100 * expected.estimate, 100 * expected.high]
    )


@pytest.mark.parametrize("share", [0, 1])
def test_a_band_in_which_nobody_hits_or_everybody_is_as_sure_as_its_people_are_many(share):
    outcome, identities = simulated(lambda network, width: float(share))
    attributes = {"yaw": np.where(identities < 12, 0.0, np.where(identities < 15, 20.0, 40.0))}
    table = subgroups.rates(outcome, identities, subgroups.bands(attributes)).drop_duplicates("band").set_index("band")
    for band, people in (("under 15°", 12), ("from 30°", 25)):
        wilson = metrics.wilson_interval(share * people, people).percent()
        assert tuple(table.loc[band, ["low", "rank1", "high"]]) == (wilson.low, wilson.estimate, wilson.high)
    assert table.loc["15° to 30°", ["low", "high"]].isna().all()  # three people


def test_bands_that_are_empty_have_no_rate_and_are_not_compared():
    attributes = {"yaw": np.resize([0.0, 20.0], 240)}
    outcome, identities = simulated(lambda network, width: 0.5)
    table = subgroups.rates(outcome, identities, subgroups.bands(attributes))
    assert table[table.band == "from 30°"].rank1.isna().all() and table[table.band == "from 30°"].people.eq(0).all()
    assert set(subgroups.effects(outcome, identities, subgroups.bands(attributes)).band) == {"15° to 30°"}


def test_attributes_of_other_photos_and_an_unknown_protocol_are_refused():
    outcome, identities = simulated(lambda network, width: 0.5)
    with pytest.raises(ValueError, match="240"):
        subgroups.rates(outcome, identities, subgroups.bands({"yaw": np.zeros(12)}))
    with pytest.raises(ValueError, match=r"'P3', but under \['P2'\]"):
        subgroups.effects(outcome, identities, subgroups.bands({"yaw": np.zeros(240)}), protocol="P3")


# Effects


def literally(outcome, identities, cut, level, resamples, seed=0):
    """Every comparison by its definition, a resample at a time: people drawn, their photos counted, rates compared."""
    weights = np.random.default_rng(seed).multinomial(40, np.full(40, 1 / 40), size=resamples)
    answers = {}
    for weight in [np.ones(40, int), *weights]:
        rate, odds = {}, {}
        for (_, network, width), found in outcome.results.items():
            for place, band in enumerate(cut.names):
                inside = cut.index == place
                hits = (weight[identities] * found.hits_by_probe)[inside].sum()
                trials = (weight[identities] * found.trials_by_probe)[inside].sum()
                rate[network, width, band] = 100 * hits / trials
                odds[network, width, band] = (hits + 0.5) / (trials - hits + 0.5)
        for band in cut.names[1:]:

            def points(network, width, band=band, rate=rate):
                return rate[network, width, band] - rate[network, width, cut.names[0]]

            def ratio(network, width, band=band, odds=odds):
                return odds[network, width, band] / odds[network, width, cut.names[0]]

            for network in ("hr-only", "proposed"):
                for width in (112, 16):
                    answers.setdefault(("effect", "points", network, width, band), []).append(points(network, width))
                answers.setdefault(("change", "points", network, 16, band), []).append(
                    points(network, 16) - points(network, 112)
                )
                answers.setdefault(("change", "odds", network, 16, band), []).append(
                    ratio(network, 16) / ratio(network, 112)
                )
            answers.setdefault(("gain", "points", "proposed", 16, band), []).append(
                points("proposed", 16) - points("hr-only", 16)
            )
            answers.setdefault(("gain", "odds", "proposed", 16, band), []).append(
                ratio("proposed", 16) / ratio("hr-only", 16)
            )
    ends = [(1 - level) / 2, (1 + level) / 2]
    return {
        key: (
            values[0],
            *(np.exp(np.quantile(np.log(values[1:]), ends)) if key[1] == "odds" else np.quantile(values[1:], ends)),
        )
        for key, values in answers.items()
    }


@pytest.mark.parametrize("attribute", ["yaw", "age"])
def test_effects_are_those_of_a_literal_loop_over_resampled_people(attribute):
    attributes = ground_truth(40, 6)
    outcome, identities = simulated(turned_away(attributes, 0.3, 0.1))
    cuts = {attribute: subgroups.bands(attributes)[attribute]}
    table = subgroups.effects(outcome, identities, cuts, family=0.4)
    assert len(table) == 2 * (2 * 2 + 2 * 2 + 2) and table.level.unique() == pytest.approx(1 - 0.6 / 20)
    resamples = max(200, int(np.ceil(2 * subgroups.MIN_RESAMPLES_BEYOND / (1 - table.level[0]))))
    expected = literally(outcome, identities, cuts[attribute], table.level[0], resamples)
    assert len(expected) == len(table)
    for row in table.itertuples():
        estimate, low, high = expected[row.kind, row.scale, row.network, row.width, row.band]
        assert (row.estimate, row.low, row.high) == pytest.approx((estimate, low, high)), row
        nothing = 1 if row.scale == "odds" else 0
        assert row.decided == (not low <= nothing <= high)


def test_an_effect_by_hand():
    attributes = {"yaw": np.resize([0.0, 40.0], 24)}
    hits = {112: np.resize([3, 1], 24), 16: np.resize([2, 0], 24)}  # of 3 trials a photo; 12 people with two photos
    found = {
        ("P2", "hr-only", width): Identification(
            np.arange(12), np.full(12, 6), count.reshape(12, 2, 1).sum(1), count, np.full(24, 3), 0, 9
        )
        for width, count in hits.items()
    }
    table = subgroups.effects(Outcome(found, 100), np.arange(12).repeat(2), subgroups.bands(attributes))
    effect = table[table.kind == "effect"].set_index("width")
    assert effect.estimate[112] == pytest.approx(-200 / 3) and effect.estimate[16] == pytest.approx(-200 / 3)
    change = table[table.kind == "change"].set_index("scale")
    assert change.estimate["points"] == pytest.approx(0, abs=1e-9) and not change.decided["points"]
    # Odds with half a trial on each side: 112 px 36.5 : 0.5 and 12.5 : 24.5, 16 px 24.5 : 12.5 and 0.5 : 36.5.
    before, after = (12.5 / 24.5) / (36.5 / 0.5), (0.5 / 36.5) / (24.5 / 12.5)
    assert change.estimate["odds"] == pytest.approx(after / before)
    assert "gain" not in set(table.kind)  # one network gains over none


def test_a_band_in_which_hardly_anyone_is_ever_found_is_not_decided():
    attributes = ground_truth(40, 6)
    outcome, identities = simulated(turned_away(attributes, 0.2, 0.6))  # at 16 px nobody who looks away is found
    table = subgroups.effects(outcome, identities, {"yaw": subgroups.bands(attributes)["yaw"]})
    away = table[(table.band == "from 30°") & (table.kind == "effect")].set_index(["network", "width"])
    assert away.estimate["proposed", 16] < -50
    assert away.low.isna().tolist() == away.high.isna().tolist() == [False, True, False, True]
    assert not away.decided[:, 16].any() and away.decided[:, 112].any()
    changed = table[(table.band == "from 30°") & (table.kind != "effect")]
    assert changed.low.isna().all() and not changed.decided.any()
    assert "In 8 of the comparisons" in text.subgroups.family(table)
    assert len(figures.subgroups.effects_at_ends(table, "P2").axes) == 2  # a mark without a bar
    plt.close("all")


def test_the_level_is_shared_among_all_comparisons_and_its_ends_are_well_sampled():
    attributes = ground_truth(40, 6)
    outcome, identities = simulated(turned_away(attributes, 0.3, 0.3))
    table = subgroups.effects(outcome, identities, subgroups.bands(attributes), family=0.6)
    assert len(table) == 7 * 2 * (4 + 4 + 2) and np.allclose(table.level, 1 - 0.4 / len(table))
    assert table[table.decided].attribute.unique().tolist() == ["yaw"]
    alone = {"yaw": subgroups.bands(attributes)["yaw"]}
    one, other = (subgroups.effects(outcome, identities, alone, seed=seed) for seed in (0, 1))
    assert (one.low - other.low)[one.scale == "points"].abs().max() < 4


def test_one_width_alone_has_effects_and_no_change():
    attributes = ground_truth(40, 6)
    outcome, identities = simulated(turned_away(attributes, 0.3, 0.3))
    one = Outcome({key: found for key, found in outcome.results.items() if key[2] == 40}, 200)
    table = subgroups.effects(one, identities, subgroups.bands(attributes))
    assert set(table.kind) == {"effect", "gain"} and set(table.width) == {40}
    assert text.subgroups.differences(table, "change") == ""
