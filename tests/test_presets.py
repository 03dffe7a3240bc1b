"""A value given is a value used or refused, whoever gives it: Python, the shell, a batch, papermill."""

import json
import pickle
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rifr import cli, machine, networks, presets, settings, storage
from rifr.batch import grid
from rifr.cli import options
from rifr.errors import SettingError

SMOKE = presets.get("smoke")

# For every field of Training: values that it takes as text with what they mean, and values that it refuses.
TRAINING = {
    "network": ([("resnet34", "resnet34"), ("thin", "thin")], ["vgg19", 3, ""]),
    "embedding": ([("16", 16)], [0, -1, 1.5, True, "many"]),
    "epochs": ([("3", 3), ("1e1", 10)], [0, -1, 1.5, True, "many", [1]]),
    "batch_size": ([("8", 8)], [0, 2.5, False]),
    "learning_rate": ([("0.5", 0.5), ("1", 1.0)], [0, -1, float("nan"), float("inf"), "fast", True]),
    "milestones": ([("[0.2, 0.4]", (0.2, 0.4)), ("0.5", (0.5,)), ("[]", ())], [[0.5, 0.2], [0.5, 0.5], [1.5], "late"]),
    "decay": ([("1", 1.0)], [0, 1.1, -0.1]),
    "momentum": ([("0", 0.0)], [1, -0.1]),
    "weight_decay": ([("0", 0.0)], [-1e-4, float("inf")]),
    "dropout": ([("0", 0.0), ("0.25", 0.25)], [1, -0.1, "some"]),
    "flip": ([("False", False), ("false", False), ("0", False), ("true", True)], ["perhaps", 2, [True]]),
    "augment": ([("0", 0.0), ("1", 1.0)], [-0.5, "strong"]),
    "teacher_sees": ([("photo", "photo")], ["both"]),
    "low_per_photo": ([("both", "both")], ["three", 2]),
    "low_kind": ([("bicubic", "bicubic")], ["blurred"]),
    "tight_crops": ([("0", 0.0), ("0.5", 0.5), ("1", 1.0)], [1.5, -0.1]),
    "landmark_error": ([("0", 0.0), ("4", 4.0)], [-1, "far"]),
    "student_start": ([("teacher", "teacher")], ["pupil"]),
    "softmax_start": ([("teacher", "teacher")], ["pupil"]),
    "softmax_rate": ([("0", 0.0), ("2", 2.0)], [-1, "fast"]),
    "teacher_weight": ([("0", 0.0)], [-1]),
    "temperature": ([("4", 4.0)], [0, -1]),
    "teacher_epochs": ([("0", 0), ("8", 8)], [-1, 1.5]),
    "label_smoothing": ([("0", 0.0), ("0.1", 0.1)], [1.5, -0.1]),
    "label_noise": ([("0", 0.0), ("0.1", 0.1)], [1.5, -0.1]),
    "warmup": ([("0", 0.0), ("1", 1.0)], [1.5, -0.1]),
    "clip_norm": ([("0", 0.0), ("5", 5.0)], [-1, float("inf"), "short"]),
    "precision": ([("bf16-mixed", "bf16-mixed")], ["16", 32]),
    "micro_batch": ([("0", 0), ("4", 4)], [-1, 0.5]),
    "compile": ([("false", False), ("true", True)], ["perhaps"]),
    "threads": ([("0", 0), ("2", 2)], [-1, 0.5]),
}
LANDMARKS = {
    "people": [0, 1.5],
    "images": [0],
    "test_people": [0],
    "test_images": [0],
    "scene": [8],
    "test_scene": [8],
    "test_widths": [[], [3], [200]],
    "channels": [0],
    "epochs": [0],
    "batch_size": [0],
    "learning_rate": [0],
    "loss": ["l1"],
    "low": ["perhaps"],
    "widths": [[48, 6], [6], [0, 48]],
    "crop_scale": [[1.9, 0.75], [-1, 1]],
    "center_jitter": [-0.1],
    "rotation_std": [-0.1],
    "threads": [-1],
}
SIZES = {
    "name": [3],
    "train_people": [0],
    "train_images": [0],
    "probe_people": [0],
    "probe_images": [1],
    "distractor_people": [0],
    "training": ["thin", None],
    "widths": [[], [3], [113], [16.5], [True]],
    "mirror": ["perhaps"],
    "resamples": [0],
    "tiny_people": [0],
    "tiny_distractors": [0],
    "surveillance_people": [0],
    "landmarks": ["cnn", None],
}


def names(kind: type) -> set[str]:
    return {field.name for field in fields(kind)}


def test_every_field_has_values_to_try():
    assert set(TRAINING) == names(presets.Training)
    assert set(LANDMARKS) == names(presets.LandmarkTraining) and set(SIZES) == names(presets.Preset)


@pytest.mark.parametrize("name, text, value", [(n, text, v) for n, (good, _) in TRAINING.items() for text, v in good])
def test_a_value_given_is_the_value_used(name, text, value):
    for plan in (
        presets.get("rendered", **{name: text}),
        presets.get("rendered", **{name: value}),
        presets.get("rendered", [f"{name}={text}"]),
        options.preset_of(cli.parser().parse_args(["train", "--preset", "rendered", "--set", f"{name}={text}"])),
    ):
        used = getattr(plan.training, name)
        assert used == value and type(used) is type(value)
        others = {key: v for key, v in asdict(plan.training).items() if key != name}
        assert others == {key: v for key, v in asdict(presets.get("rendered").training).items() if key != name}


@pytest.mark.parametrize("name, value", [(name, value) for name, (_, bad) in TRAINING.items() for value in bad])
def test_a_training_refuses_what_does_not_fit_and_names_the_field(name, value):
    with pytest.raises(SettingError, match=rf"^{name} is "):
        presets.get("smoke", {name: value})
    with pytest.raises(SettingError, match=rf"^{name} is "):
        replace(SMOKE.training, **{name: value})


@pytest.mark.parametrize("name", sorted(LANDMARKS.keys() - {"loss", "low"}))
def test_a_field_of_the_landmark_networks_is_changed_by_its_name_behind_landmarks(name):
    mini = presets.get("mini")
    value = (10, 20) if name == "test_widths" else (2.0, 3.0) if name in ("widths", "crop_scale") else 77
    arguments = ["--preset", "mini", "--set", f"landmarks_{name}={value}".replace(" ", "")]
    for plan in (
        presets.get("mini", {f"landmarks_{name}": value}),
        presets.get("mini", **{f"landmarks_{name}": str(value)}),
        options.preset_of(cli.parser().parse_args(["train", *arguments])),
        options.preset_of(cli.parser().parse_args(["align", "in", "out", *arguments])),
    ):
        assert asdict(plan) == asdict(mini) | {"landmarks": asdict(mini.landmarks) | {name: value}}


@pytest.mark.parametrize("name", ["landmarks_loss", "landmarks_low", "landmarks_epoch", "people"])
def test_what_the_landmark_recipe_decides_is_no_field_of_the_preset(name):
    with pytest.raises(SettingError, match=f"'{name}'.*landmarks_epochs"):
        presets.get("smoke", {name: 1})


@pytest.mark.parametrize("name, value", [(name, value) for name, bad in LANDMARKS.items() for value in bad])
def test_a_landmark_training_refuses_what_does_not_fit(name, value):
    with pytest.raises(SettingError, match=rf"^{name} is "):
        replace(SMOKE.landmarks, **{name: value})


@pytest.mark.parametrize("name, value", [(name, value) for name, bad in SIZES.items() for value in bad])
def test_a_preset_refuses_what_does_not_fit(name, value):
    with pytest.raises(SettingError, match=rf"^{name} is "):
        replace(SMOKE, **{name: value})


def test_a_choice_is_refused_with_the_choices_and_an_unknown_field_with_the_fields():
    for name, choices in {"network": networks.NETWORKS, "low_per_photo": ("one", "both")}.items():
        with pytest.raises(SettingError) as problem:
            presets.get("smoke", **{name: "other"})
        assert all(repr(choice) in str(problem.value) for choice in choices)
    for unknown in ("epoch", "training", "landmarks", "seed"):
        with pytest.raises(SettingError, match=f"'{unknown}'.*epochs"):
            presets.get("smoke", {unknown: 3})
    with pytest.raises(SettingError, match="epochs"):
        presets.get("smoke", "epochs=3", epochs=4)


def test_only_none_is_unset(monkeypatch):
    assert presets.get("smoke", epochs=None, widths=None, flip=None) == SMOKE == presets.get("smoke", None)
    assert presets.get("smoke", "flip=None") == SMOKE
    monkeypatch.setenv("RIFR_PRESET", "smoke")
    assert presets.get() == presets.get(None) == SMOKE
    monkeypatch.delenv("RIFR_PRESET")
    assert presets.get().name == "mini"


def test_one_width_is_a_width_and_arrays_are_lists():
    for widths in ("[112]", "112", 112, [112], (112,), np.array([112]), np.int64(112)):
        assert presets.get("smoke", widths=widths).widths == (112,)
    assert presets.get("smoke", widths="[112, 16]").widths == presets.get("smoke", widths="112,16").widths == (112, 16)


def test_two_ways_to_write_a_number_have_one_key():
    assert storage.digest(presets.get("mini", dropout=0)) == storage.digest(presets.get("mini", dropout=0.0))
    assert storage.digest(presets.get("mini", flip="false")) == storage.digest(presets.get("mini", flip=False))
    assert storage.digest(presets.get("mini", flip=False)) != storage.digest(presets.get("mini"))


def test_presets_are_plain_frozen_dataclasses():
    for preset in presets.PRESETS.values():
        assert pickle.loads(pickle.dumps(preset)) == preset == replace(preset) and hash(preset) == hash(replace(preset))
        told = json.loads(json.dumps(asdict(preset)))
        again = presets.Preset(
            **told
            | {
                "training": presets.Training(**told["training"]),
                "landmarks": presets.LandmarkTraining(**told["landmarks"]),
            }
        )
        assert again == preset


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(PLAIN | st.lists(max_size=8, elements=st.integers() | st.floats(allow_nan=False, allow_infinity=False)))
def test_what_python_prints_is_read_back(value):
    assert settings.parse(str(value)) == value and type(settings.parse(str(value))) is type(value)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        value = settings.parse(text)
    except SettingError:
        assert text.strip().startswith("[")
    else:
        assert value is None or isinstance(value, (bool, int, float, str, list, tuple))


@pytest.mark.parametrize("text", ["8", "1e-3", "false", "True", "None", "[112, 16]", '["a", "b"]', "[true]", "mini"])
def test_shell_batch_and_papermill_read_a_text_alike(text):
    expected = settings.parse(text)
    assert settings.named(f"x={text}".replace(", ", ",")) == {"x": expected}
    assert grid.grid([f"x={text}"]) == {"x": [expected]}


@pytest.mark.parametrize("pair", ["epochs", "=3", "epochs=", "a b=3", "3=4"])
def test_what_is_no_setting_is_refused(pair, capsys):
    with pytest.raises(SettingError, match="NAME=VALUE"):
        settings.assignments([pair])
    assert cli.main(["train", "--preset", "smoke", "--set", pair]) == 1 and "--set" in capsys.readouterr().err


def test_widths_are_given_to_the_shell_once(capsys):
    assert cli.main(["train", "--preset", "smoke", "--set", "widths=[112]", "--widths", "16", "--dry-run"]) == 1
    assert "widths" in capsys.readouterr().err


def test_the_cores_of_this_process_are_counted():
    assert machine.available_cores() >= 1
    assert 2**28 < machine.peak_memory() <= machine.available_memory()
