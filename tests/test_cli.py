"""The command line does what the library does, and an error is one line."""

import json
import pickle
from pathlib import Path

import pandas as pd
import pytest

from rifr import cli, faces, landmarks, presets, splits
from rifr.evaluation import score
from rifr.faces import capture
from rifr.landmarks import yunet
from rifr.packs import FacePack
from rifr.report import studies_record, study
from rifr.training import runs, trainer
from tests.helpers import easy_faces, onnx_file, person, photos

SMALL = [
    "--set",
    "epochs=1",
    "train_people=6",
    "train_images=6",
    "probe_people=3",
    "probe_images=3",
    "distractor_people=5",
    "batch_size=16",
    "--widths",
    "112",
    "16",
    "--preset",
    "smoke",
]


def test_render_and_prepare_write_packs(tmp_path, capsys):
    assert cli.main(["render", "--people", "2", "--images", "2", "--out", str(tmp_path / "rendered")]) == 0
    assert len(FacePack.open(tmp_path / "rendered")) == 4
    person(tmp_path / "mine", "Ann", 3)
    (tmp_path / "mine" / "Ann" / "broken.jpg").write_bytes(b"no image")
    assert cli.main(["prepare", str(tmp_path / "mine"), "--out", str(tmp_path / "pack")]) == 0
    said = capsys.readouterr().out
    assert "3 images of 1 people; 1 files skipped" in said and "broken.jpg" in said


def test_who_is_to_be_left_out_has_to_be_there(tmp_path, capsys):
    for name in ("plain", "other"):
        person(tmp_path / "mine", name, 2)
    arguments = ["prepare", str(tmp_path / "mine"), "--out", str(tmp_path / "pack"), "--exclude"]
    assert cli.main([*arguments, "plian"]) == 1
    said = capsys.readouterr().err
    assert "plian" in said and "is plain meant?" in said and not (tmp_path / "pack").exists()
    assert cli.main([*arguments, "plain"]) == 0
    assert set(FacePack.open(tmp_path / "pack").people) == {"other"}


def test_train_evaluate_and_list(tmp_path, store_folder, capsys):
    assert cli.main(["train", "--recipe", "hr-only", *SMALL]) == 0
    assert cli.main(["evaluate", "--recipe", "hr-only", *SMALL, "--out", str(tmp_path / "table.csv")]) == 0
    table = pd.read_csv(tmp_path / "table.csv")
    assert set(table.protocol) == {"P1", "P2"} and set(table.width) == {112, 16} and set(table.people) == {3}
    capsys.readouterr()
    assert cli.main(["runs"]) == 0
    assert capsys.readouterr().out.startswith("hr-only-smoke-s0-")


def test_who_of_a_readers_folders_is_left_out_is_named(tmp_path, store_folder, capsys):
    for name in ("train", "probes", "distractors"):
        for one in range(3):
            photos(tmp_path / name, f"{name}{one}", 6)
    photos(tmp_path / "train", "few", 4)
    photos(tmp_path / "probes", "single", 1)
    (tmp_path / "probes" / "probes0" / "phone.heic").write_text("x")
    faces = ["--faces", *(str(tmp_path / name) for name in ("train", "probes", "distractors"))]
    train = "train: 4 images left out (people with fewer than 5 images): few"
    probes = [
        "probes: 1 images left out (people with fewer than 2 images): single",
        "probes: 1 names left out (other files and folders, which are no images): probes0/phone.heic",
    ]
    for command in (["train"], ["evaluate", "--out", str(tmp_path / "found.json")]):
        assert cli.main([*command, "--recipe", "hr-only", *faces, *SMALL]) == 0
        said = capsys.readouterr().out
        assert all(line in said for line in (train, *probes)), said
    kept = json.loads((tmp_path / "found.json").read_text())["provenance"]["left out"]
    assert sorted(entry["reason"] for entry in kept) == sorted({entry["reason"] for entry in kept}) and len(kept) == 4


def test_an_embedder_of_ones_own_is_scored_on_folders(tmp_path, store_folder, real_data, capsys):
    for name in ("Ann", "Bob", "Gus"):
        person(tmp_path / "probes", name, 2)
    person(tmp_path / "crowd", "Dan", 1)
    person(tmp_path / "crowd", "Bob", 1)
    arguments = [
        "evaluate",
        "--embedder",
        str(real_data / "models" / "mobilefacenet.onnx"),
        "--widths",
        "112",
        "--preset",
        "smoke",
        "--probes",
        str(tmp_path / "probes"),
        "--distractors",
        str(tmp_path / "crowd"),
    ]
    assert cli.main(arguments) == 0
    assert "6 probes of 3 people, 1 distractors" in capsys.readouterr().out


@pytest.fixture
def my_folders(tmp_path, store_folder, monkeypatch):
    """Probes, a crowd that holds one of them, a list of pairs, and two networks that take their pixels differently."""
    for i in range(3):
        photos(tmp_path / "probes", f"probe{i}", 3)
    for i in range(5):
        photos(tmp_path / "crowd", f"single{i}", 1)
    photos(tmp_path / "crowd", "probe1", 1, seed=1)
    lines = [line for i in (0, 1) for line in (f"probe{i}\t1\t2", f"probe{i}\t1\tprobe2\t{i + 1}")] * 5
    (tmp_path / "pairs.txt").write_text("\n".join(["10\t1", *lines]) + "\n")
    for name in ("one", "two"):
        onnx_file(tmp_path / f"{name}.onnx", ["n", 112, 112, 3])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_embedders_side_by_side_with_all_that_is_asked_for_in_files(my_folders, capsys):
    line = (
        "evaluate --embedder one.onnx two.onnx --layout NHWC --channels BGR --mean 104 117 123 --scale 1 "
        "--probes probes --distractors crowd --protocol p2 --measure Rank1 CMC roc --ranks 3 --fpr 0.5 1e-9 "
        "--widths 112 16 --preset smoke --out found.json --figure drawn.png"
    )
    assert cli.main(line.split()) == 0
    said = capsys.readouterr().out
    assert "9 probes of 3 people, 5 distractors" in said
    assert "distractors: 1 images left out (people who are probes): probe1" in said
    assert "TPR in % [95 % interval]" in said and "P2 two FPR 0.5" in said and "too few pairs" in said
    found = json.loads((my_folders / "found.json").read_text())
    assert {(row["measure"], row["network"], row["width"]) for row in found["results"]} == {
        (measure, network, width)
        for measure in ("rank1", "cmc", "roc")
        for network in ("one", "two")
        for width in (112, 16)
    }
    assert found["provenance"]["embedders"]["one"]["mean"] == [104, 117, 123]
    assert all((my_folders / f"drawn-{measure}.png").exists() for measure in ("rank1", "cmc", "roc"))


def test_pairs_alone_and_beside_identification(my_folders, capsys):
    pairs = "evaluate --embedder one.onnx --pairs pairs.txt --images probes --widths 40 --preset smoke --out found.csv"
    assert cli.main(pairs.split()) == 0
    assert set(pd.read_csv("found.csv").measure) == {"pairs"} and "20 pairs of 6 photos" in capsys.readouterr().out
    assert cli.main((pairs + " --probes probes --distractors crowd").split()) == 0
    assert set(pd.read_csv("found.csv").measure) == {"rank1", "pairs"}


PAIRS_ALONE = "evaluate --embedder one.onnx --images probes --widths 40 --preset smoke --out found.json --pairs"


def pairs_found() -> dict:
    return json.loads(Path("found.json").read_text())["provenance"]["pairs"]


def test_the_lists_of_an_option_given_twice_are_joined():
    parse = cli.parser().parse_args
    given = parse(["train", "--recipe", "hr-only", "--set", "epochs=1", "--recipe", "proposed", "--set", "dropout=0"])
    assert given.changes == ["epochs=1", "dropout=0"] and given.recipe == ["hr-only", "proposed"]
    assert parse(["prepare", "a", "--out", "b", "--exclude", "x", "--exclude", "y", "z"]).exclude == ["x", "y", "z"]
    assert parse(["evaluate", "--seed", "1", "--seed", "2"]).seed == 2
    assert parse(["train"]).changes == parse(["prepare", "a", "--out", "b"]).exclude == []


@pytest.mark.parametrize("folds", [2, 5, 20])
def test_the_folds_of_a_list_are_those_asked_for(my_folders, capsys, folds):
    assert cli.main([*PAIRS_ALONE.split(), "pairs.txt", "--folds", str(folds)]) == 0
    assert pairs_found()["folds"] == folds and f"in {folds} folds" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main([*PAIRS_ALONE.split(), "pairs.txt", "--folds", "-2"])


def test_fewer_pairs_than_folds_are_an_error_that_names_the_option_which_mends_it(my_folders, capsys):
    photo = [path.read_bytes() for path in sorted((my_folders / "probes").glob("*/*.png"))]
    few = [(0, 1), (0, 3), (3, 4), (3, 6), (6, 7), (0, 6)]  # three photos a person
    (my_folders / "few.bin").write_bytes(pickle.dumps(([photo[i] for pair in few for i in pair], [True, False] * 3)))
    line = PAIRS_ALONE.replace("--images probes ", "").split()
    assert cli.main([*line, "few.bin"]) == 1
    said = capsys.readouterr().err
    assert "pairs, 6, not 10" in said and "--folds" in said and not Path("found.json").exists()
    assert cli.main([*line, "few.bin", "--folds", "3"]) == 0
    assert pairs_found()["pairs"] == 6 and pairs_found()["folds"] == 3


def test_pairs_of_a_missing_photo_are_refused_or_left_out_and_named(my_folders, capsys):
    (my_folders / "probes" / "probe1" / "probe1_0002.png").unlink()
    assert cli.main([*PAIRS_ALONE.split(), "pairs.txt"]) == 1
    assert "probe1_0002" in capsys.readouterr().err and not Path("found.json").exists()
    assert cli.main([*PAIRS_ALONE.split(), "pairs.txt", "--on-missing", "leave-out", "--folds", "5"]) == 0
    left_out = pairs_found()["left out"]
    assert len(left_out) == 5 and all("probe1_0002" in line for line in left_out) and pairs_found()["pairs"] == 15
    assert "5 pairs left out" in capsys.readouterr().out


def test_aligning_by_landmarks_trains_the_network_that_the_options_describe(my_folders, capsys):
    few = ["people=2", "images=4", "scene=96", "channels=4", "batch_size=4"]
    options = ["--preset", "smoke", "--seed", "3", "--set", "landmarks_epochs=1", *(f"landmarks_{one}" for one in few)]
    assert cli.main(["align", "probes", "out", "--detector", "landmarks", *options]) == 0
    assert len(list(Path("out").glob("*/*.png"))) == 9
    trained = landmarks.fit("wing+lr", presets.get("smoke", options[5:]), 3, progress=False)
    assert trained.record["seed"] == 3 and len(trained.history) == 1
    assert trained.record["training"]["channels"] == 4 and trained.record["faces"]["images"] == 8


@pytest.mark.parametrize(
    "more, message",
    [
        ("--measure eer", "no measure is called 'eer': choose of rank1, cmc, roc, open-set"),
        ("--protocol p3", "no protocol is called 'p3': choose of P1, P2"),
        ("--out found.txt", "found.txt: the ending names the format, one of .json, .csv"),
        ("--figure found.json", "one of .png, .svg, .pdf"),
        ("--layout NCHW", "one.onnx takes x ['n', 112, 112, 3] tensor(float), which as NCHW has 112 channels"),
        ("--mean 1 2", "mean is one number or three"),
        ("--distractors probes", "distractors: 9 images left out (people who are probes): probe0, probe1, probe2"),
        ("--embedder network.pth", "a .pth file can run foreign code"),
    ],
)
def test_what_does_not_fit_is_said_without_a_traceback(my_folders, capsys, more, message):
    line = f"evaluate --embedder one.onnx --probes probes --distractors crowd --widths 16 --preset smoke {more}"
    assert cli.main(line.split()) == 1
    said = capsys.readouterr().err
    assert message in said and "rifr evaluate: " in said and "Traceback" not in said


@pytest.fixture
def no_work(monkeypatch):
    """Whatever takes long is an AssertionError."""

    def begun(*_, **__):
        raise AssertionError("the work was begun")

    long = (splits, "face_splits"), (trainer, "fit_all"), (score, "score"), (studies_record, "make")
    for module, name in (*long, (landmarks, "fit"), (yunet, "Yunet")):
        monkeypatch.setattr(module, name, begun)


@pytest.mark.parametrize(
    "more, message",
    [
        ("--measure rank-1", "no measure is called 'rank-1'"),
        ("--protocol p3", "no protocol is called 'p3'"),
        ("--measure roc --fpr 2", "a FPR is a share above 0 and at most 1"),
        ("--measure open-set --fpir 0", "a FPIR is a share above 0 and at most 1"),
        ("--pairs nowhere.txt --images probes", "nowhere.txt does not exist"),
        ("--pairs pairs.txt", "say where they lie"),
        ("--measure open-set --figure drawn.png", "no figure of open-set: measure one of rank1, cmc, roc"),
        ("--pairs pairs.txt --images probes --figure drawn.png", "no figure of pairs"),
        ("--pairs pairs.txt --images nowhere", "nowhere is no folder"),
        ("--pairs pairs.txt --images probes --folds 21", "number of pairs, 20, not 21"),
        ("--embedder flat.onnx", "wanted one input"),
    ],
)
def test_nothing_is_rendered_or_trained_for_an_option_that_does_not_fit(my_folders, no_work, capsys, more, message):
    onnx_file(my_folders / "flat.onnx", ["n", 37632])
    assert cli.main(["evaluate", "--recipe", "hr-only", "--preset", "smoke", *more.split()]) == 1
    assert message in capsys.readouterr().err
    with pytest.raises(AssertionError, match="begun"):
        cli.main(["evaluate", "--recipe", "hr-only", "--preset", "smoke"])


OWN = "evaluate --embedder one.onnx --layout NHWC --preset smoke"
FACES = "--probes probes --distractors crowd"


@pytest.mark.parametrize(
    "line, unused",
    [
        (f"{OWN} {FACES} --faces train probes crowd", "--faces"),
        (f"{OWN} {FACES} --seed 0", "--seed"),
        (f"{OWN} {FACES} --images probes --folds 5 --on-missing refuse", "--images and --folds and --on-missing"),
        (f"{OWN} {FACES} --ranks 20", "--ranks"),
        (f"{OWN} {FACES} --measure cmc --fpr 0.1", "--fpr"),
        (f"{OWN} {FACES} --measure roc --fpir 0.5", "--fpir"),
        (f"{OWN} {FACES} --set epochs=99 resamples=50", "--set epochs"),
        (f"{OWN} {FACES} --set probe_people=3", "--set probe_people"),
        (f"{OWN} --set epochs=99 probe_people=3", "--set epochs"),
        (f"{OWN} --pairs pairs.bin --images probes", "--images"),
        (f"{OWN} --pairs pairs.txt --images probes --seed 1", "--seed"),
        ("evaluate --recipe hr-only --preset smoke --channels RGB --mean 0", "--channels and --mean"),
        ("align probes out --detector landmarks --model nowhere.onnx --score 0", "--model and --score"),
        ("align probes out --model one.onnx --preset no-such --seed 0 --set epochs=1", "--preset and --seed and --set"),
        ("train --preset smoke --all --recipe proposed", "--recipe"),
        ("record --study teacher --pairs pairs.txt --methods", "--methods and --pairs"),
    ],
)
def test_an_option_that_nothing_would_use_is_refused(my_folders, no_work, capsys, line, unused):
    assert cli.main(line.split()) == 1
    assert f": leave out {unused}." in capsys.readouterr().err


@pytest.mark.parametrize("more", ["--out .", "--out record", "--study teacher --out ."])
def test_a_record_is_a_file_of_json_before_it_is_made(my_folders, no_work, monkeypatch, capsys, more):
    monkeypatch.setattr(study, "make", None)
    assert cli.main(["record", *more.split()]) == 1
    assert "the ending names the format, one of .json" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["record --recipe hr-only", "evaluate --recipe hr-only", f"{OWN} {FACES}"])
@pytest.mark.parametrize(
    "out, message", [("folder.json", "is a folder: name a file"), ("pairs.txt/new/out.json", "pairs.txt is a file")]
)
def test_where_no_file_can_be_written_is_said_before_the_work(
    my_folders, no_work, monkeypatch, capsys, line, out, message
):
    monkeypatch.setattr(study, "make", None)
    Path("folder.json").mkdir()
    assert cli.main([*line.split(), "--out", out]) == 1
    assert message in capsys.readouterr().err and not Path("pairs.txt/new").exists()


@pytest.mark.parametrize(
    "line",
    [
        f"{OWN} {FACES} --widths 16 --set resamples=50 mirror=false",
        f"{OWN} --set probe_people=3 --seed 1",
        f"{OWN} --pairs pairs.txt --images probes --folds 5 --on-missing leave-out",
        f"{OWN} {FACES} --measure cmc roc open-set --ranks 7 --fpr 0.5 --fpir 0.5",
        "evaluate --recipe hr-only --preset smoke --set epochs=1 --seed 1",
        "align probes out --detector landmarks --preset smoke --set landmarks_epochs=1",
        "align probes out --model one.onnx --score 0.5",
        "train --preset smoke --all --seed 1 --set epochs=1",
        "record --study teacher --seeds 1 --set epochs=1",
    ],
)
def test_an_option_that_is_used_is_not_refused(my_folders, no_work, line):
    with pytest.raises(AssertionError, match="begun"):
        cli.main(line.split())


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["train", "--preset", "huge"],
            "no preset is called 'huge': choose one of smoke, mini, laptop, rendered, paper",
        ),
        (["train", "--recipe", "best", "--preset", "smoke"], "no recipe is called 'best'"),
        (["record", "--recipe", "hr+lr", "--preset", "smoke"], "--out FILE"),
        (["train", "--preset", "smoke", "--set", "epochs"], "NAME=VALUE"),
        (["train", "--preset", "smoke", "--set", "epochs=0"], "epochs is 0"),
        (["train", "--preset", "smoke", "--set", "flip=perhaps"], "flip is 'perhaps'"),
        (["evaluate", "--preset", "smoke"], "nothing to evaluate"),
        (["evaluate", "--recipe", "hr-only", "--widths", "-3"], "4 to 112"),
        (["prepare", "no-such-folder", "--out", "x"], "no-such-folder"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(arguments, message, store_folder, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in said and said.startswith(f"rifr {arguments[0]}: ")


def test_a_programming_error_keeps_its_traceback(monkeypatch):
    def broken(*_):
        raise TypeError("a programming error")

    monkeypatch.setattr(runs, "stored", broken)
    with pytest.raises(TypeError, match="programming"):
        cli.main(["runs"])


@pytest.mark.parametrize("option", ["--seed -1", "--seed x", "--seed 1.5"])
def test_a_seed_is_a_whole_number(option, capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", *option.split()])
    assert "a whole number from 0" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["render --people 1 --images 1", "prepare ../mine"])
def test_a_pack_does_not_take_the_place_of_the_folder_that_one_is_in(command, tmp_path, capsys, monkeypatch):
    person(tmp_path / "mine", "Ann", 1)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for out in (".", "../here"):
        assert cli.main([*command.split(), "--out", out]) == 1
        assert f"--out {out} is the folder that you are in" in capsys.readouterr().err
    assert cli.main([*command.split(), "--out", "./pack"]) == 0
    assert len(FacePack.open(tmp_path / "here" / "pack")) == 1


@pytest.mark.parametrize("folder, says", [("nowhere", "nowhere does not exist"), ("file.txt", "file.txt is a file")])
def test_a_folder_to_prepare_that_is_none_is_said_with_the_remedy(folder, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file.txt").write_text("x")
    for more in ([], ["--exclude", "Ann"]):
        assert cli.main(["prepare", folder, "--out", "pack", *more]) == 1
        said = capsys.readouterr().err
        assert says in said and "a folder for each person" in said and "Errno" not in said


def test_scenes_are_larger_than_faces(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(faces, "render", lambda spec, out: asked.append(spec) or easy_faces(tmp_path / "pack", 1, 1))
    command = ["render", "--people", "1", "--out", str(tmp_path / "out")]
    for more in ([], ["--scenes"], ["--scenes", "--size", "224"]):
        assert cli.main([*command, *more]) == 0
    assert [(spec.scenes, spec.size) for spec in asked] == [(False, 112), (True, 160), (True, 224)]
    assert cli.main([*command, "--size", "224"]) == 1 and "scenes" in capsys.readouterr().err


def test_the_cameras_are_those_of_the_renderer(capsys):
    command = ["render", "--people", "1", "--out", "faces", "--camera"]
    for name in capture.CAMERAS:
        assert cli.parser().parse_args([*command, name]).camera == name
    with pytest.raises(SystemExit):
        cli.parser().parse_args([*command, "polaroid"])
    refusal = capsys.readouterr().err.split("polaroid")[-1]
    assert all(name in refusal for name in capture.CAMERAS)


def test_the_console_script_is_this_command():
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["rifr"] == f"{cli.main.__module__}:{cli.main.__name__}"


def test_ctrl_c_is_no_traceback(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "stored", stop)
    assert cli.main(["runs"]) == 130 and "the same command goes on" in capsys.readouterr().err
