"""Other methods: each loss as a loop over photos gives it, and each row trains as the six do."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from rifr import methods, networks, presets, recipes
from rifr.errors import SettingError
from rifr.methods import Step
from rifr.training import trainer
from tests.helpers import TINY, assert_equal, easy_faces, weights

B, D, K = 4, 5, 6
LABELS = torch.tensor([0, 5, 2, 2])


def a_step(views: int = 2, progress: float = 1.0, seed: int = 3) -> Step:
    draw = torch.Generator().manual_seed(seed)
    z, w = 3 * torch.randn(views * B, D, generator=draw), torch.randn(K, D, generator=draw)
    z_teacher, q_pre = torch.randn(B, D, generator=draw), torch.randn(B, K, generator=draw).softmax(1)
    return Step(z, w, LABELS, z_teacher, q_pre, progress=progress)


def a_loss(name: str) -> methods.Loss:
    return methods.get(name)(presets.get(TINY, embedding=D).training, K)


def angle(a: torch.Tensor, b: torch.Tensor) -> float:
    return math.acos(float(a @ b) / float(a.norm() * b.norm()))


def cross_entropy_of_angles(step: Step, scale: float, of_own) -> float:
    """The mean over rows; `of_own(angle, row)` is what the right class's cosine is replaced by."""
    losses = []
    for row, z in enumerate(step.z):
        angles, right = [angle(z, w) for w in step.w], int(step.labels[row % B])
        logits = [scale * math.cos(value) for value in angles]
        logits[right] = scale * of_own(angles[right], row)
        losses.append(math.log(sum(math.exp(value - logits[right]) for value in logits)))
    return float(np.mean(losses))


@pytest.mark.parametrize(("progress", "margin"), [(0.0, 0.0), (0.25, 0.25), (0.5, 0.5), (1.0, 0.5)])
def test_arcface_adds_its_margin_to_the_right_angle_and_the_margin_grows_in_the_first_half(progress, margin):
    step = a_step(progress=progress)
    expected = cross_entropy_of_angles(step, 16.0, lambda own, row: math.cos(min(own + margin, math.pi)))
    assert float(a_loss("arcface")(step)) == pytest.approx(expected, rel=1e-4)


def test_an_angle_with_its_margin_never_passes_the_half_turn():
    opposite = Step(-torch.eye(D)[:1], torch.eye(D), torch.tensor([0]), progress=1.0)
    assert float(a_loss("arcface")(opposite)) == pytest.approx(16.0 + math.log(math.exp(-16) + D - 1), abs=0.1)


def test_adafaces_margin_follows_the_norm_of_the_feature():
    step, loss = a_step(), a_loss("adaface")
    norms = step.z.norm(dim=1).numpy()
    mean, deviation = 0.99 * 20 + 0.01 * norms.mean(), 0.99 * 100 + 0.01 * norms.std(ddof=1)

    def of_own(own: float, row: int) -> float:
        quality = min(1.0, max(-1.0, 0.333 * (norms[row] - mean) / (deviation + 1e-3)))
        return math.cos(min(max(own - 0.4 * quality, 0.0), math.pi)) - 0.4 * (1 + quality)

    assert float(loss(step)) == pytest.approx(cross_entropy_of_angles(step, 16.0, of_own), rel=1e-4)
    assert float(loss.mean) == pytest.approx(mean, rel=1e-5) and float(loss.deviation) == pytest.approx(deviation, 1e-5)


def test_margins_are_the_numbers_that_authors_code_gives():
    # github.com/mk-minchul/AdaFace (MIT), commit c60eaa7, head.py with s = 16 and, of AdaFace, t_alpha = 0.01.
    step = a_step()
    assert float(a_loss("adaface")(step)) == pytest.approx(15.6235428, rel=1e-6)
    assert float(a_loss("arcface")(step)) == pytest.approx(15.6720915, rel=1e-6)


def test_the_centre_loss_pulls_to_centres_that_follow_the_features_of_their_people():
    step, loss = a_step(), a_loss("centre")
    start = torch.randn(K, D, generator=torch.Generator().manual_seed(9))
    loss.centres.copy_(start)
    found = float(loss(step))

    softmax = [-float((step.w @ z).log_softmax(0)[LABELS[row % B]]) for row, z in enumerate(step.z)]
    away = [float((z - start[LABELS[row % B]]).square().sum()) for row, z in enumerate(step.z)]
    assert found == pytest.approx(np.mean(softmax) + 0.003 / 2 * np.mean(away), rel=1e-5)
    for person in range(K):
        own = [z for row, z in enumerate(step.z) if LABELS[row % B] == person]
        moved = start[person] - 0.5 * sum((start[person] - z for z in own), torch.zeros(D)) / (1 + len(own))
        torch.testing.assert_close(loss.centres[person], moved)


def test_the_centres_rest_in_evaluation():
    loss = a_loss("centre").eval()
    loss(a_step())
    assert not loss.centres.any()


@pytest.mark.parametrize(
    ("name", "margin"), [("cosine", 0.0), ("cosface", 0.125)]
)  # a quarter of the way half of CosFace's has come
def test_a_cosine_softmax_has_no_margin_and_cosface_takes_its_own_from_the_cosine(name, margin):
    step = a_step(progress=0.25)
    expected = cross_entropy_of_angles(step, 16.0, lambda own, row: math.cos(own) - margin)
    assert float(a_loss(name)(step)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "weight"), [("distance-hundredth", 0.01), ("distance-tenth", 0.1), ("distance-one", 1.0)]
)
def test_a_distance_pulls_every_view_to_the_teacher_of_its_photo(name, weight, views):
    step, losses = a_step(views), []
    for row, z in enumerate(step.z):
        softmax = -float((step.w @ z).log_softmax(0)[LABELS[row % B]])
        away = sum((float(a) - float(b)) ** 2 for a, b in zip(z, step.z_teacher[row % B], strict=True)) / D
        losses.append(softmax + weight * away)
    assert float(a_loss(name)(step)) == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("name", [name for name in methods.LOSSES if name != "rpcn-sr"])  # that teaches no recognition
def test_a_loss_is_finite_with_a_slope_for_the_network_and_for_the_softmax_layer_where_it_uses_that(name):
    kind = "csri" if name == "csri" else "thin"
    loss, (network, earlier) = a_loss(name), (networks.build(kind, D, 0.0) for _ in range(2))
    images = torch.randn(2 * B, 3, 112, 112, generator=torch.Generator().manual_seed(5))
    loss.prepare(network, earlier.eval())
    step = replace(a_step(), z=network(images), images=images)
    step.w.requires_grad_()
    loss(step).backward()
    assert (step.w.grad is not None) == loss.uses_softmax
    parts = ("fc.weight", "stem.0.weight", "enhance.layers.0.weight")
    leaves = [weight for part, weight in network.named_parameters() if part.endswith(parts)]
    leaves += [step.w] * loss.uses_softmax
    assert all(leaf.grad is not None and torch.isfinite(leaf.grad).all() and leaf.grad.any() for leaf in leaves)


@pytest.mark.parametrize("name", recipes.OTHERS)
def test_every_method_trains_and_interrupted_ends_with_the_same_weights(name, tmp_path, monkeypatch):
    faces, plan = easy_faces(tmp_path / "faces"), presets.get(TINY, epochs=2)
    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "whole"))
    run = trainer.fit(name, plan, 0, faces, progress=False)
    assert all(math.isfinite(row["loss"]) for row in run.history) and len(run.history) == 2
    assert run.network()(torch.zeros(1, 3, 112, 112)).shape == (1, plan.training.embedding)

    real, seen = trainer.Trainer.epoch, []

    def once(self, number, *rest):
        if self.recipe.name == name:
            seen.append(number)
            if seen == [0, 1]:
                raise KeyboardInterrupt
        return real(self, number, *rest)

    monkeypatch.setattr(trainer.Trainer, "epoch", once)
    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "interrupted"))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(name, plan, 0, faces, progress=False)
    assert_equal(weights(trainer.fit(name, plan, 0, faces, progress=False)), weights(run))
    assert seen == [0, 1, 1]


def test_fine_tuning_goes_on_from_the_network_and_the_softmax_layer_of_its_start(tmp_path, store_folder):
    faces, plan = easy_faces(tmp_path / "faces"), presets.get(TINY, epochs=1, learning_rate=1e-12, weight_decay=0.0)
    tuned = trainer.fit("arcface-ft", plan, 0, faces, progress=False)
    first = trainer.find("arcface", plan, 0, faces)
    assert first is not None and tuned.record["teacher"] == first.key
    ours, theirs = weights(tuned), weights(first)
    learnt = [name for name in ours if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    for name in learnt:
        torch.testing.assert_close(ours[name], theirs[name])


OWN_FILE = '''
"""A method of a reader's own: hard targets, and features of length one."""
from torch.nn import functional as F
from rifr import methods, recipes

@methods.loss("short")
class Short(methods.Loss):
    def forward(self, step):
        long = (step.z.norm(dim=1) - 1).square().mean()
        return F.cross_entropy(step.z @ step.w.T, step.rows) + {weight} * long

recipes.add(recipes.Recipe("short", "short features", True, True, "hard", False, loss="short"))
'''


def test_a_readers_own_file_adds_a_row_that_trains_and_other_code_is_another_run(tmp_path, store_folder, monkeypatch):
    monkeypatch.setattr(recipes, "OTHERS", dict(recipes.OTHERS))
    monkeypatch.setitem(methods.LOSSES, "short", methods.Loss)
    del methods.LOSSES["short"]
    faces, keys = easy_faces(tmp_path / "faces"), []
    for weight in ("0.1", "0.2"):
        folder = tmp_path / weight
        folder.mkdir()
        (folder / "mine.py").write_text(OWN_FILE.replace("{weight}", weight))
        methods.LOSSES.pop("short", None)
        methods.load(folder / "mine.py")
        keys.append(trainer.fit("short", presets.get(TINY, epochs=1), 0, faces, progress=False).key)
    assert keys[0] != keys[1]


def test_two_files_of_one_name_are_two_modules_and_a_file_is_run_once(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "OTHERS", dict(recipes.OTHERS))
    files, sources = [], {}
    for name, weight in (("first", "0.1"), ("second", "0.2")):
        file = tmp_path / name / "mine.py"
        file.parent.mkdir()
        file.write_text(OWN_FILE.replace("{weight}", weight).replace('"short"', f'"{name}"'))
        files.append(methods.load(file))
        assert methods.load(file) is files[-1]
        sources[name] = methods.sources(name)[0]
        methods.LOSSES.pop(name)
    assert list(sources.values()) == files and files[0].__file__ != files[1].__file__


def test_what_lies_beside_a_readers_file_and_is_imported_decides_its_result(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "OTHERS", dict(recipes.OTHERS))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "weight_of_mine.py").write_text("WEIGHT = 0.1")
    (tmp_path / "unused_by_mine.py").write_text("")
    (tmp_path / "split.py").write_text("from weight_of_mine import WEIGHT\n" + OWN_FILE.replace("{weight}", "WEIGHT"))
    file = methods.load(tmp_path / "split.py")
    try:
        found = methods.sources("short")
        assert {sys.modules["weight_of_mine"], file} <= {*methods.of_readers()}
    finally:
        methods.LOSSES.pop("short")
        del sys.modules[file.__name__]
    assert sys.modules["weight_of_mine"] in found and "unused_by_mine" not in {module.__name__ for module in found}


@pytest.mark.parametrize(
    "taken, counts",
    [
        ("from rifr.methods.margins import cosines", {"margins"}),
        ("from rifr.methods import margins", {"margins"}),
        ("from rifr import methods", {"margins", "metric", "distances", "trunks"}),
        ("import numpy", set()),
    ],
)
def test_what_a_readers_file_takes_from_other_methods_decides_its_result(tmp_path, monkeypatch, taken, counts):
    monkeypatch.setattr(recipes, "OTHERS", dict(recipes.OTHERS))
    (tmp_path / "taker.py").write_text(
        f"""{taken}
from rifr.methods.base import Loss, loss


@loss("taker")
class Taker(Loss):
    pass
"""
    )
    file = methods.load(tmp_path / "taker.py")
    try:
        found = {module.__name__ for module in methods.sources("taker")}
    finally:
        methods.LOSSES.pop("taker")
    assert found >= {file.__name__, "rifr.methods.base"} | {f"rifr.methods.{name}" for name in counts}
    assert counts or found == {file.__name__, "rifr.methods.base"}


@pytest.mark.parametrize(
    "code",
    [
        "from rifr import recipes; recipes.get('arcface')",
        "from rifr import presets; presets.get('smoke', network='vgg')",
    ],
)
def test_rows_and_networks_of_other_methods_are_found_whatever_was_imported_first(code):
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_row_goes_on_from_the_network_that_teaches_it_or_from_none():
    with pytest.raises(SettingError, match=r"'mine' goes on from 'arcface' and learns from 'hr-only'"):
        recipes.Recipe("mine", "mine", True, True, "hard", False, loss="distance-one", teacher=True, start="arcface")
    recipes.Recipe("mine", "mine", True, True, "hard", False, loss="distance-one", teacher=True, start="hr-only")


def test_what_is_no_file_and_names_that_are_taken_are_refused(tmp_path):
    with pytest.raises(SettingError, match=r"missing\.py.*RIFR_METHODS"):
        methods.load(tmp_path / "missing.py")
    with pytest.raises(SettingError, match="arcface"):
        methods.loss("arcface")(type("Other", (methods.Loss,), {}))
    with pytest.raises(SettingError, match=r"arcface.*rifr\.methods\.margins"):
        methods.loss("arcface")(type("ArcFace", (methods.Loss,), {"__module__": "mine"}))
    with pytest.raises(SettingError, match="arcface"):
        recipes.add(recipes.Recipe("arcface", "mine", True, True, "hard", False))
    with pytest.raises(SettingError, match=r"choose one of.*arcface"):
        methods.get("nothing")


@pytest.mark.parametrize(
    "gives, said",
    [
        (lambda z: None, "NoneType"),
        (lambda z: z.sum(dim=1), r"a tensor \(\d+,\)"),
        (lambda z: z.sum().detach(), r"\(\)"),
    ],
)
def test_a_loss_that_gives_no_number_to_learn_from_is_named(tmp_path, store_folder, monkeypatch, gives, said):
    monkeypatch.setattr(recipes, "OTHERS", dict(recipes.OTHERS))
    monkeypatch.setitem(
        methods.LOSSES, "odd", type("Odd", (methods.Loss,), {"forward": lambda self, step: gives(step.z)})
    )
    recipes.add(recipes.Recipe("odd", "odd", True, True, "hard", False, loss="odd"))
    with pytest.raises(SettingError, match=f"the loss of the recipe 'odd' gave .*{said}"):
        trainer.fit("odd", presets.get(TINY, epochs=1), 0, easy_faces(tmp_path / "faces"), progress=False)


def test_a_row_with_an_unknown_field_or_a_name_that_is_no_files_is_refused(monkeypatch):
    monkeypatch.setattr(recipes, "OTHERS", dict(recipes.OTHERS))
    mistyped = recipes.Recipe("odd", "odd", True, True, "hard", False, changes=(("epoch", 3),))
    with pytest.raises(SettingError, match="'odd' changes 'epoch', which no training has"):
        mistyped.relevant(presets.get("smoke").training)
    with pytest.raises(SettingError, match="not 'a/b'"):
        recipes.add(recipes.Recipe("a/b", "odd", True, True, "hard", False))
