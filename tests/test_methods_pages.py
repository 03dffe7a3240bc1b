"""Chapter 12: costs, rates and differences of methods, what losses pull on, and its figures and sentences."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from rifr import methods as library
from rifr import networks, presets, recipes, storage
from rifr.evaluation.metrics import Interval
from rifr.report import figures, methods, records, text
from rifr.report.claims import HR, LR
from rifr.report.study_tables import Study
from rifr.report.style import label
from rifr.training.student import recipe_loss

MINI = presets.get("mini")


def measure(known):
    """A measure of rates that are given by network and widths: differences are theirs, give or take one point."""

    def found(difference):
        if any((term.network, term.places) not in known for term in difference.terms):
            return None
        value = sum(term.factor * known[term.network, term.places] for term in difference.terms)
        return Interval(value - 1, value, value + 1)

    return found


KNOWN = {("proposed", HR): 60.0, ("proposed", LR): 42.0, ("c-t", HR): 58.0, ("c-t", LR): 44.5}


def test_rates_and_differences_are_the_measures_on_large_and_small_faces_and_what_is_unknown_is_left_out():
    rates = methods.rates(measure(KNOWN), ["proposed", "c-t", "arcface"])
    assert [*rates[rates.protocol == "P1"].value] == [60.0, 42.0, 58.0, 44.5]
    assert len(rates[rates.protocol == "P2"]) == 2  # at 112 px both protocols are one
    table = methods.differences(measure(KNOWN), "proposed", ["c-t", "arcface"])
    assert [*table.difference] == [2.0, -2.5] and [*table.low] == [1.0, -3.5] and set(table.network) == {"c-t"}


def test_costs_count_images_of_all_views_and_the_trainings_before():
    thin = networks.count(networks.thin(MINI.training.embedding)).multiplies
    photos, epochs = 10_000, MINI.training.epochs
    names = ["hr-only", "hr+lr", "proposed", "arcface", "arcface-ft"]
    cost = methods.costs(names, MINI, photos).set_index("network")
    assert [*cost.images] == [photos * epochs * views for views in (1, 2, 2, 1, 1)]
    assert [*cost.before] == ["", "", "hr-only", "", "arcface"]
    passes = epochs * np.array([1, 2, 2 + 1, 1, 1 + 1]) + np.array([0, 0, 2, 0, 0])  # the teacher answers twice a photo
    np.testing.assert_allclose(cost.work, photos * passes * thin / 1e12, rtol=1e-4)


@pytest.mark.parametrize("name", ["f-skd", "fan-ft", "rpcn-sr"])
def test_costs_count_the_networks_that_a_loss_asks_in_each_step(name):
    photos, epochs = 10_000, MINI.training.epochs
    thin = networks.count(networks.thin(MINI.training.embedding)).multiplies
    cost = float(methods.costs([name], MINI, photos).work.iloc[0]) * 1e12 / photos
    if name == "f-skd":  # two views, the teacher's maps in each step, its training, and its answers to each photo twice
        expected = thin * (epochs * (2 + 1 + 1) + 2)
    elif name == "fan-ft":  # two views and the network of the first stage, and that stage; encoder and decoder of both
        encoder = 14 * 14 * 16 * 27 + 7 * 7 * 32 * 16 * 9 + 32 * 49 * 32
        decoder = (MINI.training.embedding + 32) * 32 * 49 + 7 * 7 * 64 * 32 * 9 + 14 * 14 * 12 * 16 * 9
        names = 32 * 2 * 2  # the classifier, asked twice, of two people here
        expected = epochs * (thin * (2 + 1 + 1) + 2 * (encoder + names) + 3 * decoder)
    else:  # both enhancers: that of the small view and of the photo, and the other of the photo
        enhancer = 56 * 56 * (12 * 3 * 25 + 12 * 12 * 9 + 12 * 12 * 9)
        expected = epochs * (2 * (thin + enhancer) + enhancer)
    assert cost == pytest.approx(expected, rel=1e-4)


def test_the_costs_of_a_record_are_those_of_the_preset_that_made_it():
    changed = presets.get("laptop", epochs=16, low_per_photo="both", landmarks_epochs=3, probe_people=7)
    stored = json.loads(json.dumps(asdict(changed)))
    assert records.preset(stored) == changed
    about = {"preset": stored, "networks": ["hr-only", "hr+lr"], "faces": {"train": 10_000}}
    cost = methods.costs_of_record(Study(about, pd.DataFrame()), ["hr-only", "hr+lr"])
    assert [*cost.images] == [160_000, 480_000]
    older = {"name": "laptop", "gone": 1, "training": {"epochs": 16, "gone": 2}, "landmarks": {"gone": 3}}
    assert records.preset(older).training == presets.Training(epochs=16)
    assert records.preset(older | {"name": "gone"}).name == "gone"


@pytest.mark.parametrize("name", ["hr+lr", "shared-only", "c-t", "arcface"])
def test_an_arrow_points_where_the_loss_falls(name):
    toy = methods.pulls(name)
    size, row = divmod(int(np.linalg.norm(toy["z_pull"], axis=-1).argmax()), 12)
    recipe = recipes.get(name)
    training = recipe.relevant(presets.get("smoke", embedding=2).training)
    w, z_teacher = torch.tensor(toy["w"]).double(), torch.tensor(toy["z_teacher"]).double()
    labels = torch.tensor(toy["labels"])
    q_pre = (z_teacher @ w.T).softmax(dim=1)

    def loss(moved):
        z = torch.tensor(toy["z"]).double()
        z[size, row] += torch.tensor(moved)
        z = z.flatten(0, 1)
        if recipe.loss:
            return float(
                library.get(recipe.loss)(training, 3)(library.Step(z, w, labels, z_teacher, q_pre, progress=1.0))
            )
        teacher = (z_teacher, q_pre) if recipe.needs_teacher else None
        return float(recipe_loss(recipe, training, z, w, labels, teacher))

    steps = 1e-5 * np.eye(2)
    slope = [(loss(step) - loss(-step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(toy["z_pull"][size, row], -np.array(slope), rtol=1e-3, atol=1e-5)


def test_the_figures_show_each_method_on_a_line_or_panel_of_its_own():
    rates = methods.rates(measure(KNOWN), ["proposed", "c-t"], ["P1"])
    cost = methods.costs(["c-t", "arcface", "proposed"], MINI, 10_000)
    drawn = figures.methods.rank1_and_cost(rates, cost, ("proposed",))
    assert [tick.get_text() for tick in drawn.axes[0].get_yticklabels()] == ["C-T", "proposed"]  # best on small faces
    paid = [bar.get_width() for bar in drawn.axes[1].patches]
    assert paid == [*cost.set_index("network").work[["c-t", "proposed"]]]
    assert {"the paper's six", "other methods"} <= {text.get_text() for text in drawn.legends[0].get_texts()}
    panels = figures.methods.pulls({name: methods.pulls(name) for name in ("hr+lr", "arcface")})
    assert [axes.get_title() for axes in panels.axes if axes.get_title()] == ["HR+LR", "ArcFace"]
    plt.close("all")


def test_tables_say_what_is_trained_before_and_each_rate_with_its_interval():
    cost = methods.costs(["proposed", "c-t", "arcface"], MINI, 10_000)
    table = methods.table(methods.rates(measure(KNOWN), ["proposed", "c-t"], ["P1"]), cost)
    assert [*table.network] == ["proposed", "C-T"] and table["work (10¹²)"][0] == f"{cost.work[0]:.2f}"
    costs = methods.cost_table(cost)
    assert [*costs["trained before"]] == ["HR-only", "HR-only", "–"] and costs["images"][2] == "40,000"
    assert table["112 px (%)"][0] == "60.0 (59.0–61.0)" and table["P1, 25–16 px (%)"][1] == "44.5 (43.5–45.5)"


def rows(*signs):
    values = {1: (2.0, 1.0, 3.0), -1: (-2.0, -3.0, -1.0), 0: (0.5, -1.0, 2.0)}
    return pd.DataFrame(
        [
            {"network": name, "place": "112 px", **dict(zip(("difference", "low", "high"), values[sign], strict=True))}
            for name, sign in zip(("c-t", "arcface", "adaface"), signs, strict=False)
        ]
    )


def test_sentences_say_against_whom_a_network_is_ahead_behind_and_not_decided():
    said = text.methods.against(rows(1, -1, 0), "proposed", "seed")
    assert "Paired by seed" in said and said.endswith("2 of 3 are decided; about 0 would be by chance alone.")
    assert "**112 px**: proposed is ahead of C-T; is behind ArcFace; is not decided against AdaFace." in said
    table = methods.difference_table(rows(1, -1, 0), "proposed")
    assert [*table["proposed minus"]] == ["C-T", "ArcFace", "AdaFace"]
    assert [*table["112 px"]] == ["+2.0 (+1.0 to +3.0)", "-2.0 (-3.0 to -1.0)", "+0.5 (-1.0 to +2.0)"]


@pytest.mark.parametrize(
    ("signs", "begins"),
    [
        ((1, 0), "where this decides, a shared softmax layer does better"),
        ((-1, 0), "where this decides, a shared softmax layer does worse"),
        ((1, -1), "this is divided"),
        ((0, 0), "this does not decide it"),
    ],
)
def test_the_question_is_answered_by_what_is_decided_alone(signs, begins):
    said = text.methods.question(rows(*signs))
    tally = f"of {len(signs)} comparisons (C-T, ArcFace), decided for it: {signs.count(1)}, against it: "
    assert (
        said.startswith(f"With the start and the terms of their authors, as far as these are rebuilt here: {begins}")
        and tally in said
    )
    assert text.methods.question(rows()) == text.methods.against(rows(), "proposed") == ""


def test_a_loss_that_differs_in_more_than_its_distance_is_named_apart_with_the_reason():
    assert not set(methods.PAIRWISE) & set(methods.OTHER_DISTANCES)
    for name, reason in methods.OTHER_DISTANCES.items():
        recipe = recipes.get(name)
        assert ("no softmax" in reason) != library.get(recipe.loss).uses_softmax
        assert ("goes on from HR-only" in reason) == (recipe.start == "hr-only")
    said = text.methods.apart(rows(1), {"c-t": "has a margin softmax besides"})
    assert "- C-T has a margin softmax besides: 112 px +2.0 points, +1.0 to +3.0." in said
    assert text.methods.apart(rows(1)[:0], {}) == ""


@pytest.mark.parametrize(
    ("signs", "answer"),
    [
        ((1, 1, 1), "the shared layer does better, whatever the weight"),
        ((1, -1, 0), "the distance does better (distance × 0.1)"),
        ((1, 0, 0), "not decided; the shared layer is ahead of distance × 0.01 alone"),
        ((0, 0, 0), "not decided."),
        ((1, 1), "not decided without distance × 1; the shared layer is ahead of distance × 0.01, distance"),
        ((0, 0), "not decided without distance × 1."),
        ((1, -1), "the distance does better (distance × 0.1)"),
    ],
)
def test_a_shared_layer_has_to_be_ahead_of_the_distance_at_each_weight(signs, answer):
    table = pd.DataFrame(
        [
            {
                "network": name,
                "place": "112 px",
                "difference": 2.0 * sign,
                "low": 2.0 * sign - 1,
                "high": 2.0 * sign + 1,
            }
            for name, sign in zip(methods.DISTANCES, signs, strict=False)
        ]
    )
    assert text.methods.mechanisms(table, methods.DISTANCES).startswith(f"- **112 px**: {answer}")


def test_a_preset_under_which_the_two_are_not_equal_in_all_else_asks_nothing():
    assert methods.unequal(presets.get("smoke")) == []
    smoothed = methods.unequal(presets.get("smoke", label_smoothing=0.1))
    assert smoothed == ["label_smoothing"]
    said = text.methods.mechanisms(rows(1), methods.DISTANCES, smoothed)
    assert said.startswith("Not asked: label_smoothing of this preset")


def test_what_one_change_adds_is_a_row_where_both_networks_are_there():
    known = {("hr+lr", HR): 58.0, ("cosine-both", HR): 60.0, ("arcface-both", HR): 63.0, ("arcface-both", LR): 1.0}
    table = methods.additions(measure(known), ["hr+lr", "cosine-both", "arcface-both", "a-skd"])
    assert table.difference.tolist() == [
        "cosine softmax on HR+LR minus HR+LR",
        "ArcFace on HR+LR minus cosine softmax on HR+LR",
    ]
    assert table["112 px"].tolist() == ["+2.0 (+1.0 to +3.0)", "+3.0 (+2.0 to +4.0)"]
    for network, (other, _) in methods.CONTROLS.items():
        one, two = recipes.get(network), recipes.get(other)
        assert (one.uses_hr, one.uses_lr, one.start) == (two.uses_hr, two.uses_lr, two.start)
    equal = {
        (recipe.uses_hr, recipe.uses_lr, recipe.start, recipe.changes) for recipe in map(recipes.get, methods.DISTANCES)
    }
    ours = recipes.get("shared-only")
    assert equal == {(ours.uses_hr, ours.uses_lr, ours.start, ours.changes)}


def test_each_other_method_says_what_is_not_as_in_its_paper():
    assert set(text.methods.CONCESSIONS) == set(methods.others()) - set(methods.of_readers())
    table = text.methods.concessions(["proposed", "dcr-ft"])
    assert [*table.method] == ["DCR-FT"] and "gate" in table["not as in its paper"][0]


def test_each_loss_and_network_of_a_method_says_in_full_what_it_computes():
    page = methods.in_full(methods.others())
    titles, paragraphs = re.findall(r":::\{admonition\} (.*)\n", page), page.split(":::{admonition} ")[1:]
    assert sorted("; ".join(titles).split("; ")) == sorted(
        ["Softmax layers with a margin", *(label(name) for name in methods.others() if name != "ricnn")]
    )  # RICNN is HR+LR
    assert page.count(":::{") == len(re.findall(r"^:::$", page, re.M)) and page.count("$$") % 2 == 0
    assert "C-T; C-T from new weights" in titles
    told = {title: words for words in paragraphs for title in words.split("\n")[0].split("; ")}
    assert "Huber" in told["RPCN"] and told["RPCN"].count("$$") >= 2, "of its first stage"
    assert told["FAN-FT"].count("L = L_{softmax}(z)") == 1, "of its first stage"
    assert "w_{teacher}" in told["inherited classifier"] and "f(\\theta_{y_i})" in told["Softmax layers with a margin"]
    assert "Softmax layers with a margin" not in methods.in_full(["c-t"])


class Wordless(library.Loss):
    def prepare(self, network, earlier):
        self.theirs = earlier


def test_a_readers_loss_without_words_has_no_paragraph_and_one_that_asks_a_network_no_panel(monkeypatch):
    monkeypatch.setattr(recipes, "OTHERS", dict(recipes.OTHERS))
    monkeypatch.setitem(library.LOSSES, "wordless", Wordless)
    recipes.add(recipes.Recipe("wordless", "wordless", True, True, "hard", False, loss="wordless", teacher=True))
    assert methods.of_readers() == ["wordless"] and methods.in_full(["wordless"]) == ""
    drawn = ["hr+lr", "proposed", "arcface", "octuplet"]
    assert methods.in_a_plane([*drawn, "wordless", "csri", "fan-ft"]) == drawn
    for name in drawn:
        methods.pulls(name)


def test_a_row_that_cannot_be_trained_under_a_preset_costs_nothing_known_and_the_others_what_they_do():
    plan = presets.get("smoke", network="vgg")
    cost = methods.costs(["hr+lr", "f-skd"], plan, 100)
    assert cost.work[0] > 0 and np.isnan(cost.work[1])
    assert [*methods.cost_table(cost)["in all (× 10¹²)"]][1] == "not under this preset"


def of_the_chapter() -> str:
    """The file that chapter 12 gives as an example."""
    cells = json.loads((storage.checkout() / "book" / "methods.ipynb").read_text())["cells"]
    page = "".join("".join(cell["source"]) for cell in cells)
    return re.findall(r"```python\n(# mine\.py.*?)```", page, re.DOTALL)[0]


def test_the_chapters_own_file_makes_a_row_of_every_table_and_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "OTHERS", dict(recipes.OTHERS))
    assert methods.of_readers() == []
    try:
        (tmp_path / "mine.py").write_text(of_the_chapter())
        library.load(tmp_path / "mine.py")
        assert methods.of_readers() == ["short"] and "short" in methods.others()
        cost = methods.costs(["hr+lr", "short"], MINI, 10_000)
        assert cost.work[0] == pytest.approx(cost.work[1], rel=1e-4)
        known = KNOWN | {("short", HR): 55.0, ("short", LR): 41.0}
        rates = methods.rates(measure(known), ["proposed", "short"])
        drawn = figures.methods.rank1_and_cost(rates[rates.protocol == "P1"], cost.replace("hr+lr", "proposed"), ())
        assert "short features" in [tick.get_text() for tick in drawn.axes[0].get_yticklabels()]
        for table in (methods.table(rates, cost.replace("hr+lr", "proposed")), methods.cost_table(cost)):
            assert "short features" in [*table.network]
        behind = methods.difference_table(methods.differences(measure(known), "proposed", ["short"]), "proposed")
        assert [*behind.iloc[0]][:2] == ["short features", "+5.0 (+4.0 to +6.0)"]
        assert figures.methods.pulls({"short": methods.pulls("short")}).axes[0].get_title() == "short features"
    finally:
        library.LOSSES.pop("short", None)
        plt.close("all")


@pytest.mark.slow
def test_the_command_line_trains_and_records_a_row_of_a_readers_own_file(tmp_path):
    (tmp_path / "mine.py").write_text(of_the_chapter())
    told = os.environ | {"RIFR_METHODS": str(tmp_path / "mine.py"), "RIFR_STORE": str(tmp_path / "store")}
    command = [sys.executable, "-m", "rifr", "record", "--recipe", "hr+lr", "short", "--preset", "smoke"]
    out = tmp_path / "mine.json"
    subprocess.run([*command, "--seeds", "0", "--out", str(out)], env=told, check=True, capture_output=True)
    record = json.loads(out.read_text())
    assert {row["network"] for row in record["rows"]} >= {"hr+lr", "short"}


def test_super_resolution_is_judged_by_the_comparisons_with_it():
    known = {("proposed", HR): 60.0, ("proposed", LR): 42.0, ("csri", HR): 58.0, ("csri", LR): 42.5}
    ahead = methods.to_super_resolution(methods.differences(measure(known | KNOWN), "proposed", ["csri", "c-t"]))
    assert ahead.network.tolist() == ["csri"] and ahead.difference.tolist() == [-0.5]
    said = text.methods.super_resolution(ahead)
    assert "of the proposed network against CSRI: in none of 1 comparisons does the interval exclude zero." in said
    behind = methods.to_super_resolution(
        methods.differences(measure(known | {("csri", LR): 44.0}), "proposed", ["csri"])
    )
    assert "of 1 comparisons 1 decides for super-resolution." in text.methods.super_resolution(behind)
    assert text.methods.super_resolution(ahead[:0]) == ""


def test_a_method_that_ends_below_its_own_start_is_named():
    known = {("octuplet", HR): 40.0, ("octuplet", LR): 30.0, ("hr-only", HR): 60.0, ("hr-only", LR): 38.0}
    known |= {("ldms", HR): 40.0, ("ldms", LR): 39.0, ("arcface", HR): 50.0, ("arcface", LR): 50.0, **KNOWN}
    below = methods.below_their_start(measure(known), ["octuplet", "ldms", "arcface", "c-t", "proposed"])
    assert below == ["octuplet"]  # LDMS gains on small faces, ArcFace goes on from nothing, C-T loses at one place
    assert text.methods.below_their_start(below).startswith("octuplet ends below the network gone on from")
    assert text.methods.below_their_start([]) == ""
