"""Small trees of every set that a data script reads."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from rifr.packs import FacePack
from rifr.readers import tinyface

SCRIPTS = Path(__file__).resolve().parent.parent / "data_scripts"
NAMES = sorted(file.stem for file in SCRIPTS.glob("*.py") if file.stem not in ("common", "trees"))
RNG = np.random.default_rng(8)


def script(name):
    """The module of a script, imported as Python imports the one that it is told to run."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        spec = importlib.util.spec_from_file_location(f"data_scripts_{name}", SCRIPTS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPTS))
    return module


def save(path, height=112, width=112):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)


def folder_tree(root):
    for name in ("Ada_Lee/Ada_Lee_1.png", "Ada_Lee/Ada_Lee_2.png", "Bea_Orr/Bea_Orr_7.png"):
        save(root / name)


def tinyface_tree(root):
    for name in ("Probe/1_7.jpg", "Gallery_Match/1_8.jpg", "Gallery_Match/2_1.jpg", "Gallery_Distractor/a.jpg"):
        save(root / "Testing_Set" / name, 12, 10)
    for name in ("3/3_1.jpg", "3/3_2.jpg"):
        save(root / "Training_Set" / name, 12, 10)
    tinyface.write_lists(root, ["1_8.jpg", "2_1.jpg"], [1, 2], ["1_7.jpg"], [1])


def scface_tree(root):
    save(root / "mugshot_frontal_cropped_all/001_frontal.JPG", 60, 50)
    for distance in (1, 2, 3):
        for camera in (1, 2, 3, 4, 5):
            save(root / f"surveillance_cameras_distance_{distance}/cam_{camera}/001_cam{camera}_{distance}.jpg", 40, 30)


def wider_face_tree(root):
    save(root / "train/images/0--Parade/a.jpg", 150, 200)
    points = " ".join(f"{x} {y} 0.0" for x, y in ((70, 50), (90, 50), (80, 60), (72, 75), (88, 75)))
    (root / "train/label.txt").write_text(f"# 0--Parade/a.jpg\n50 30 60 70 {points} 0.5\n0 0 9 9 {points} 0.1\n")


def megaface_tree(root):
    for name in ("375/1@N00/4_0.jpg", "375/1@N00/5_0.jpg", "12/2@N00/6_0.jpg"):
        save(root / name)
    paths = ["375/1@N00/4_0.jpg", "12/2@N00/6_0.jpg", "12/2@N00/9_0.jpg", "375/1@N00/5_0.jpg"]
    (root.parent / "features_list.json_5_1").write_text(json.dumps({"path": paths}))
    (root.parent / "megaface_noises.txt").write_text("# noise\n375/1@N00/5_0.jpg\n")


TREES = {
    "lfw": folder_tree,
    "casia_webface": folder_tree,
    "facescrub": folder_tree,
    "megaface": megaface_tree,
    "tinyface": tinyface_tree,
    "scface": scface_tree,
    "wider_face": wider_face_tree,
    "rendered": None,
}
PACKS = {"tinyface": ("probes", "gallery", "distractors"), "scface": ("mugshots", "probes")}


def arguments_in(folder, name, root=None):
    """The arguments with which a script reads the small tree of its set, in folder/set; `root`: another place of it."""
    out = ["--out", str(folder / "pack")]
    if TREES[name] is None:
        return ["--people", "2", "--images", "2", *out]
    if not (folder / "set").exists():
        TREES[name](folder / "set")
    lists = ["--list", str(folder / "features_list.json_5_1"), "--noise", str(folder / "megaface_noises.txt")]
    more = {"tinyface": ["--aligner", "none"], "scface": ["--aligner", "none"], "megaface": lists}
    return [str(root or folder / "set"), *out, *more.get(name, [])]


def packs(name, out):
    return [FacePack.open(out / part) for part in PACKS.get(name, ("",))]
