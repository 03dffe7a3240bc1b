"""Many processes train the network that one would: gradients, batch normalisation, softmax, the teacher's table."""

import copy
import json
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rifr import presets
from rifr.recipes import RECIPES
from rifr.training import process_group, trainer
from rifr.training.process_group import CPUSyncBatchNorm
from rifr.training.student import Student, compile_where_possible, initial_seed
from tests.helpers import assert_equal, easy_faces

pytestmark = pytest.mark.e2e

PLAIN = replace(
    presets.get("smoke"),
    name="plain",
    training=presets.Training("thin", embedding=16, epochs=2, batch_size=16, learning_rate=0.01, dropout=0.0),
)
"""Without dropout, whose masks each process draws for itself."""

TRAIN = """
import os, sys
from rifr import presets
from rifr.training import process_group, trainer
from rifr.packs import FacePack
from tests.test_distributed import PLAIN
run = trainer.fit(sys.argv[2], presets.get(PLAIN, **eval(sys.argv[3])), 0, FacePack.open(sys.argv[1]), progress=False)
os.write(1, f"weights of process {process_group.rank()} in {run.path}\\n".encode())
"""


RESUMED = """
import os, sys
from rifr import presets
from rifr.packs import FacePack
from rifr.training import process_group, trainer
from rifr.training.runs import Progress
from tests.test_distributed import PLAIN

real, stopping = trainer.Trainer.epoch, True
def epoch(self, number, *rest):
    if stopping and number == 1:
        raise KeyboardInterrupt
    os.write(1, f"epoch {number} of process {process_group.rank()}\\n".encode())  # two processes share the output
    return real(self, number, *rest)
trainer.Trainer.epoch = epoch
fit = lambda: trainer.fit(sys.argv[2], presets.get(PLAIN), 0, FacePack.open(sys.argv[1]), progress=False)
try:
    fit()
except KeyboardInterrupt:
    stopping = False
if process_group.rank() == 1:
    Progress.read = lambda self: None  # its machine does not see the file yet
fit()
"""


def two_processes(folder, store, recipe, script=TRAIN, **changes):
    (folder / "train.py").write_text(script)
    environment = os.environ | {
        "RIFR_STORE": str(store),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.getcwd(),
        "CUDA_VISIBLE_DEVICES": "",
    }
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            str(folder / "train.py"),
            str(folder / "faces"),
            recipe,
            repr(changes),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_processes_go_on_from_the_epoch_that_rank_zero_has_reached(tmp_path):
    easy_faces(tmp_path / "faces")
    done = two_processes(tmp_path, tmp_path / "store", "lr-only", RESUMED)
    assert done.returncode == 0, done.stderr
    epochs = sorted(line for line in done.stdout.split("\n") if line.startswith("epoch"))
    assert epochs == [f"epoch {number} of process {rank}" for number in (0, 1) for rank in (0, 1)]


@pytest.mark.parametrize("recipe, changes", [("proposed", {"low_kind": "camera"}), ("hr+lr", {"micro_batch": 4})])
def test_two_processes_end_with_the_weights_of_one_on_the_same_batches(tmp_path, monkeypatch, recipe, changes):
    faces = easy_faces(tmp_path / "faces", people=5, images=13)  # 65: an odd one out, and shares of the table differ
    done = two_processes(tmp_path, tmp_path / "two", recipe, **changes)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights of process") == 2
    record = json.loads(next((tmp_path / "two").glob(f"runs/{recipe}-*/record.json")).read_text())
    assert record["processes"] == 2

    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "one"))
    if "micro_batch" in changes:  # processes take every second photo: 4 of each are the 8 that one takes at a time
        changes = {"micro_batch": 8}
    one = trainer.fit(recipe, presets.get(PLAIN, **changes), 0, faces, progress=False)
    two = trainer.Run.open(next((tmp_path / "two").glob(f"runs/{recipe}-*")))
    torch.manual_seed(initial_seed(RECIPES[recipe], 0))
    start = Student(presets.get(PLAIN).training, 5).state_dict()
    for name, value in one.weights().items():  # sums in another order: a little beside how far training went, and 1e-5
        apart, moved = (two.weights()[name] - value).double().norm(), (value - start[name]).double().norm()
        assert apart <= 0.02 * moved + 1e-5 * value.numel() ** 0.5 and moved > 0, (name, apart, moved)
    for ours, theirs in zip(one.history, two.history, strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-3)


@pytest.mark.parametrize("recipe", ["octuplet", "dcr-ft"])
def test_two_processes_train_a_network_of_which_a_part_rests(tmp_path, recipe):
    easy_faces(tmp_path / "faces")
    done = two_processes(tmp_path, tmp_path / "store", recipe)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "store").glob(f"runs/{recipe}-*/record.json"))) == 1


def test_a_batch_that_processes_cannot_share_is_refused(tmp_path):
    easy_faces(tmp_path / "faces")
    done = two_processes(tmp_path, tmp_path / "store", "hr-only", batch_size=15)
    assert done.returncode != 0
    assert "SettingError" in done.stderr and "batch_size" in done.stderr
    assert not list((tmp_path / "store").glob("runs/*/record.json"))


def test_photos_taken_a_few_at_a_time_give_the_gradient_of_the_whole_batch(tmp_path, monkeypatch):
    """Without batch normalisation, which sees the few alone, the weights are those of whole batches."""
    faces, made = easy_faces(tmp_path / "faces"), {}
    monkeypatch.setattr(nn.BatchNorm2d, "forward", lambda self, x: x * 1)
    for few in (0, 6):  # 6, 6 and 4 of 16
        monkeypatch.setenv("RIFR_STORE", str(tmp_path / str(few)))
        run = trainer.fit("hr+lr", presets.get(PLAIN, micro_batch=few, learning_rate=0.002), 0, faces, progress=False)
        made[few] = run
    for name, value in made[0].weights().items():
        torch.testing.assert_close(
            made[6].weights()[name], value, atol=1e-5, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}"
        )
    assert made[6].history[-1]["loss"] == pytest.approx(made[0].history[-1]["loss"], rel=1e-4)


NORMALISE = """
import sys, numpy as np, torch
import torch.distributed as dist
from rifr.training.process_group import CPUSyncBatchNorm
dist.init_process_group("gloo")
rank, given = dist.get_rank(), np.load(sys.argv[1])
layer = CPUSyncBatchNorm(3)
layer.load_state_dict({name: torch.from_numpy(given[name]) for name in layer.state_dict()})
x = torch.from_numpy(given["x"])[rank::2].requires_grad_()
y = layer(x)
(y * torch.from_numpy(given["to"])[rank::2]).sum().backward()
np.savez(sys.argv[1] + f".{rank}.npz", y=y.detach(), x=x.grad, weight=layer.weight.grad, bias=layer.bias.grad,
         mean=layer.running_mean, var=layer.running_var)
"""


def test_batch_normalisation_over_two_processes_is_pytorchs_over_both_their_rows(tmp_path):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(6, 3, 4, 5, generator=draw) * 3 + 50  # far from zero: sums of squares alone would lose digits
    to = torch.randn(x.shape, generator=draw)
    layer = nn.BatchNorm2d(3)
    nn.init.uniform_(layer.weight, 0.5, 2)
    np.savez(tmp_path / "given.npz", x=x, to=to, **layer.state_dict())
    (tmp_path / "normalise.py").write_text(NORMALISE)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            str(tmp_path / "normalise.py"),
            str(tmp_path / "given.npz"),
        ],
        check=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"},
    )
    x.requires_grad_()
    y = layer(x)
    (y * to).sum().backward()
    first, second = (np.load(tmp_path / f"given.npz.{rank}.npz") for rank in (0, 1))
    for name, whole in {"y": y.detach(), "x": x.grad}.items():
        np.testing.assert_allclose(first[name], whole[0::2], atol=2e-4, rtol=1e-3)
        np.testing.assert_allclose(second[name], whole[1::2], atol=2e-4, rtol=1e-3)
    for name, whole in {"weight": layer.weight.grad, "bias": layer.bias.grad}.items():
        np.testing.assert_allclose(first[name] + second[name], whole, atol=1e-3, rtol=1e-3)
    for name, whole in {"mean": layer.running_mean, "var": layer.running_var}.items():
        np.testing.assert_allclose(first[name], whole, rtol=1e-4)


def test_one_process_keeps_pytorchs_batch_normalisation():
    module = nn.Sequential(nn.BatchNorm2d(3))
    assert type(process_group.convert_sync_batchnorm(module, torch.device("cpu"))[0]) is nn.BatchNorm2d
    assert (process_group.size(), process_group.rank(), process_group.is_rank_zero()) == (1, 0, True)


def test_in_evaluation_batch_normalisation_asks_nobody():
    ours, theirs = CPUSyncBatchNorm(3).eval(), nn.BatchNorm2d(3).eval()
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(ours(x), theirs(x))


def test_the_trial_of_a_compiled_network_is_no_training(monkeypatch):
    asked = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: asked.append(options))
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).eval()
    before, drawn = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    compile_where_possible(network, 2, process_group.fabric(), one_graph=True)
    assert asked == [{"dynamic": False}], "a CPU has no graphs to replay"
    assert_equal(network.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), drawn) and not network.training
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_network_learns_what_a_plain_one_does(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler, about itself
        warnings.filterwarnings("error", message="torch.compile does not work here")
        compiled = trainer.fit("hr+lr", presets.get(PLAIN, compile=True), 0, faces, progress=False)
    plain = trainer.fit("hr+lr", PLAIN, 0, faces, progress=False)
    assert compiled.key != plain.key
    for name, value in plain.weights().items():
        torch.testing.assert_close(compiled.weights()[name], value, atol=2e-3, rtol=2e-2)


def test_where_the_network_cannot_be_compiled_training_says_so_and_goes_on(tmp_path, store_folder, monkeypatch):
    def broken(self, *arguments, **options):
        self._compiled_call_impl = lambda *inputs: (_ for _ in ()).throw(RuntimeError("no compiler was found\nmore"))

    monkeypatch.setattr(nn.Module, "compile", broken)
    plan, faces = presets.get(PLAIN, epochs=1, compile=True), easy_faces(tmp_path / "faces")
    with pytest.warns(UserWarning, match="torch.compile does not work here .no compiler was found.: training goes on"):
        run = trainer.fit("hr-only", plan, 0, faces, progress=False)
    plain = trainer.fit("hr-only", presets.get(PLAIN, epochs=1), 0, faces, progress=False)
    assert all(torch.equal(value, plain.weights()[name]) for name, value in run.weights().items())
