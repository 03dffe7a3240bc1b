"""What evaluation makes of a number, recomputed probe by probe and pair by pair; the words say what tables hold."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from rifr.doctor import Examination, pairs, settings, traps
from rifr.doctor.settings import Setting
from rifr.errors import DataError
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols import identification
from rifr.packs import FacePack
from rifr.report import figures, text
from rifr.report.show import show

BOOK = Path(__file__).resolve().parent.parent / "book"
WHO = np.repeat([f"p{number}" for number in range(7)], 3)


def features(seed=0, rows=21, numbers=6, noise=0.8):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(7, numbers)).repeat(3, axis=0)[:rows]
    return (centres + noise * rng.normal(size=(rows, numbers))).astype(np.float32)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_faces_shrunk_by_area_are_means_of_squares_enlarged_again():
    image = np.random.default_rng(0).integers(0, 256, (1, 112, 112, 3), dtype=np.uint8)
    found = traps.area_pack(FacePack(image, np.array(["a"]), manifest={"checksum": "c"}), 14)
    means = image[0].reshape(14, 8, 14, 8, 3).mean(axis=(1, 3))
    expected = cv2.resize(np.round(means).astype(np.uint8), (112, 112), interpolation=cv2.INTER_CUBIC)
    assert np.abs(found.images[0].astype(int) - expected.astype(int)).max() <= 2
    assert found.checksum != "c"


@pytest.mark.parametrize("small", [False, True])
def test_the_probes_own_photo_is_counted_as_a_loop_counts_it(small):
    gallery, others = features(), features(1, 9)
    probes = features() + (0.5 * features(2) if small else 0)
    found = traps.own_photo(probes, gallery, WHO, others, resamples=20)
    hits = {"without": [], "within": []}
    for row in range(len(WHO)):
        scores = {other: cosine(probes[row], gallery[other]) for other in range(len(WHO))}
        stranger = max(cosine(probes[row], other) for other in others)
        rival = max(stranger, *(score for other, score in scores.items() if WHO[other] != WHO[row]))
        mates = [score for other, score in scores.items() if WHO[other] == WHO[row] and other != row]
        hits["without"].append(max(mates) > rival)
        hits["within"].append(max(*mates, scores[row]) > rival)
    for name, of in hits.items():
        assert found[name] == pytest.approx(100 * np.mean(of))
    assert found["difference"] == pytest.approx(found["within"] - found["without"]) and found["probes"] == 21
    if not small:
        assert found["within"] == 100 > found["without"], "a photo finds itself"


def test_people_with_one_photo_are_rivals_and_no_probes():
    one = features(3, 1)
    found = traps.own_photo(np.vstack([features(), one]), np.vstack([features(), one]), [*WHO, "alone"], features(1, 9))
    assert found["probes"] == 21 and found["people"] == 7
    with pytest.raises(DataError, match="two photos"):
        traps.own_photo(features(rows=2), features(rows=2), ["a", "b"], features(1, 3))


def test_rounded_features_have_so_many_levels_and_keep_their_order():
    given = features(rows=21)
    for bits in (1, 2, 4):
        found = traps.rounded(given, bits)
        assert all(len(np.unique(column)) <= 2**bits for column in found.T) and np.unique(found).size <= 2**bits
        for before, after in zip(given.T, found.T):
            assert np.all(np.diff(after[np.argsort(before)]) >= 0)
    assert set(np.unique(traps.rounded(given, 1))) == {-0.5, 0.5}
    above = given > given.mean(axis=0)
    np.testing.assert_array_equal(traps.rounded(given, 1) > 0, above)
    assert np.unique(traps.rounded(given, 0)).tolist() == [1.0]


def test_equal_scores_are_worth_what_the_two_rules_say():
    probes, others = features(numbers=16), features(1, 12, 16)
    table = traps.ties(probes, WHO, others, bits=(0, 1, 8), resamples=20)
    row = {(one.bits, one.ties): one for one in table.itertuples()}
    assert row[0, "miss"].rank1 == 0 and row[0, "hit"].rank1 == 100 and row[0, "hit"].difference == 100
    signs = np.where(np.concatenate([probes, others]) > np.concatenate([probes, others]).mean(axis=0), 1, -1)
    own, strangers, counts = signs[:21], signs[21:], {"miss": 0, "hit": 0}
    for a in range(21):
        for b in range(21):
            if a != b and WHO[a] == WHO[b]:
                best, mate = max(own[a] @ one for one in strangers), own[a] @ own[b]
                counts["miss"] += mate > best
                counts["hit"] += mate >= best
    for rule, count in counts.items():
        assert row[1, rule].rank1 == pytest.approx(100 * count / 42)
    assert counts["hit"] > counts["miss"] and row[8, "hit"].difference == 0 and row[1, "hit"].trials == 42


@pytest.mark.parametrize(
    "people, best, mean, fitted",
    # Two genuine pairs and two of strangers a fold. One threshold that accepts what is alike has the strangers of
    # fold 0 wrong and all else right. Of four people, fold 1 is judged by what fold 0 teaches, where no threshold is
    # better than another: the first, which accepts nobody, has its two genuine pairs wrong.
    [("abcdef", 100, 100 * (0.5 + 1 + 1) / 3, 100 * 10 / 12), ("abcd", 50, 50, 75)],
)
def test_folds_of_a_case_worked_by_hand(people, best, mean, fitted):
    """Everybody has a direction of their own, then the two people of fold 0 share one."""
    who = np.repeat(list(people), 2)
    given = np.eye(len(people), dtype=np.float32).repeat(2, axis=0)
    alone = traps.folds(given, who, divisions=2, photos=2)
    assert alone[["mean", "best", "worst", "fitted"]].eq(100).all().all()
    drawn = pairs.draw(who, photos=2, seed=0)
    one, other = np.unique(who[drawn.photos][drawn.first[drawn.fold == 0]])
    given[who == other] = given[who == one]
    row = traps.folds(given, who, divisions=1, photos=2).iloc[0]
    assert (row.best, row.worst) == (best, 50) and row.folds == len(people) // 2 and row.pairs == 2 * len(people)
    assert row["mean"] == pytest.approx(mean) and row.fitted == pytest.approx(fitted)


def test_a_fitted_threshold_is_never_worse_and_the_mean_lies_between_the_folds():
    who = np.repeat([f"p{number}" for number in range(24)], 3)
    rng = np.random.default_rng(0)
    given = (rng.normal(size=(24, 5)).repeat(3, axis=0) + rng.normal(size=(72, 5))).astype(np.float32)
    table = traps.folds(given, who, divisions=8)
    assert (table.fitted >= table["mean"] - 1e-9).mean() > 0.8 and table.fitted.mean() > table["mean"].mean()
    assert (table.worst < table["mean"]).all() and (table["mean"] < table.best).all()
    drawn = pairs.draw(who, len(who), 4, seed=5)
    assert table["mean"][5] == pytest.approx(100 * drawn.decided(given[drawn.photos]).accuracies.mean())


def examination(width):
    declared = Setting("RGB", 127.5, 127.5)
    rows = []
    names = [("declared", declared), *(("pixels", one) for one in settings.pixel_settings(declared))]
    names += [("photos", one) for one in settings.placement_settings(declared)]
    for number, (round_, one) in enumerate(names):
        row = {"round": round_, "setting": one.said(declared), "accuracy": 90.0 - number, "low": 80.0, "high": 95.0}
        rows.append(row | {"difference": -number, "difference_low": -number - 1.0, "difference_high": 1.0 - number})
    made = {"pairs": {"genuine": 60, "impostor": 60, "photos": 40, "people": 10, "folds": 5}}
    made |= {"faces": {"source": "patterns"}, "width": width}
    drawn = pairs.draw(WHO)
    return Examination(pd.DataFrame(rows).assign(failed=""), declared, (), (), 0.99, drawn, made)


FOUND = {width: examination(width) for width in (112, 20)}
DIVIDED = pd.DataFrame({"mean": [80.0, 82.0], "best": [90.0, 90.0], "worst": [70.0, 70.0], "fitted": [81.0, 82.5],
                        "pairs": 120, "folds": 5, "people": 10})  # fmt: skip


def outcome(shift):
    results = {
        (protocol, name, width): identification.evaluate(
            features(noise=1 + shift), features(noise=1), WHO, features(1, 9), ranks=1
        )
        for protocol in ("P1", "P2")
        for name in ("hr-only", "proposed")
        for width in (40, 16)
    }
    return Outcome(results, 20)


CHANGE = outcome(0.5).change(outcome(0))
TIED = traps.ties(features(numbers=16), WHO, features(1, 12, 16), resamples=20)
OWN = pd.DataFrame(
    [
        {"protocol": protocol, "width": width, **traps.own_photo(features(), features(), WHO, features(1, 9), 20)}
        for protocol in ("P1", "P2")
        for width in (112, 16)
    ]
)


@pytest.mark.parametrize(
    "draw, table",
    [
        (figures.lower_numbers.settings, {width: one.table for width, one in FOUND.items()}),
        (figures.lower_numbers.interpolation, CHANGE),
        (figures.lower_numbers.folds, DIVIDED),
        (figures.lower_numbers.ties, TIED),
        (figures.lower_numbers.own_photo, OWN),
    ],
)
def test_every_figure_is_drawn_on_both_pages_with_units_on_its_axes(draw, table):
    shown = show(draw, table, alt="a", caption="c")
    assert shown.light[:4] == b"\x89PNG" and shown.light != shown.dark
    assert shown.source == f"rifr.report.figures.lower_numbers.{draw.__name__}"
    axes = draw(table).axes[0]
    assert axes.get_xlabel() and (axes.get_ylabel() or len(axes.get_yticklabels()) > 2)


def test_the_cost_of_each_setting_is_said_at_each_width():
    said = text.lower_numbers.costs(FOUND, "pixels")
    assert "- **BGR**: -1.0 points (-2.0 to 0.0) at 112 px; -1.0 points" in said and said.count("- **") == 7
    assert said.startswith("The share of pairs that are right as declared is 90.0 % (80.0 to 95.0) at 112 px, 90.0 %")
    assert text.lower_numbers.costs(FOUND, "photos").count("- **") == 7
    assert "60 genuine and 60 impostor pairs" in text.lower_numbers.setting(FOUND, "mini", 0)


def test_a_setting_that_could_not_be_run_has_no_cost():
    one = examination(112)
    one.table.loc[one.table.setting == "[0, 255]", ["difference", "difference_low", "difference_high"]] = np.nan
    assert "- **[0, 255]**: could not be run at 112 px." in text.lower_numbers.costs({112: one}, "pixels")


def test_the_table_of_an_examination_has_a_row_per_setting():
    one = examination(112)
    one.table.loc[one.table.setting == "[0, 255]", ["difference", "failed"]] = [np.nan, "not finite"]
    shown = text.lower_numbers.table(one).set_index("setting")
    assert len(shown) == 15 and shown.iloc[0].tolist() == ["90.0 (80.0 to 95.0)", "–"]
    assert shown.loc["BGR"].tolist() == ["89.0 (80.0 to 95.0)", "-1.0 (-2.0 to 0.0)"]
    assert shown.loc["[0, 255]"].tolist() == ["–", "could not be run"]


def test_folds_ties_and_own_photos_are_said_with_their_numbers():
    said = text.lower_numbers.folds(DIVIDED)
    assert "10 people divided into 5 folds" in said and "The mean over the folds is 81.0 (" in said
    assert "lies +9.0 (" in said and "themselves +0.75 (" in said
    said = text.lower_numbers.ties(TIED)
    assert "**one feature for all photos**: rank-1 0.0 % with equal scores as misses, 100.0 % as hits" in said
    assert "**1 bit**" in said and "42 trials of 7 people" in said
    said = text.lower_numbers.own_photo(OWN)
    assert said.count("100.0 % instead of") == 4 and "21 probes of 7 people" in said
    said = text.lower_numbers.interpolation(CHANGE)
    assert "**HR-only, P1: LR-LR**" in said and said.count(" at 16 px") == 4


def test_the_table_of_all_traps_has_a_row_for_each_with_n():
    table = text.lower_numbers.summary(FOUND, CHANGE, DIVIDED, TIED, OWN)
    for trap in ("channels in the other order", "loose crops", "a template 8 px off", "area instead of bicubic",
                 "best fold for the mean", "ties as hits, 0 bits", "ties as hits, 1 bit",
                 "the probe in the gallery"):  # fmt: skip
        assert trap in set(table.trap)
    assert (table.n != "").all() and table["moves it by, points"].str.contains(" to ").all()


def test_the_page_is_in_the_book():
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text())
    assert "appendices/lower_numbers" in [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
