"""Commands that make faces: render, prepare, align."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator
from pathlib import Path

from rifr.cli.options import changes, count, pack_folder, preset_of, refuse_unused, seed
from rifr.errors import SettingError


class _Cameras:
    """The names of the cameras, looked up when one is given: what draws faces takes half a second to load."""

    def __iter__(self) -> Iterator[str]:
        from rifr.faces.capture import CAMERAS

        return iter(CAMERAS)


def add(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    render = commands.add_parser("render", help="render people into a face pack")
    render.add_argument("--split", default="train", help="name of the set; people of two sets never meet")
    render.add_argument("--people", type=count, required=True)
    render.add_argument("--images", type=count, default=10, help="images of each person (default 10)")
    render.add_argument("--seed", type=seed, default=0)
    render.add_argument("--scenes", action="store_true", help="faces loose in larger scenes, with landmarks")
    render.add_argument("--size", type=count, help="side of a scene in pixels, with --scenes (default 160)")
    render.add_argument(
        "--camera",
        metavar="NAME",
        choices=_Cameras(),
        help="how photos are spoilt: hardly (default), in light, colour, noise and alignment, or in resolution too: "
        "%(choices)s",
    )
    render.add_argument("--out", type=Path, required=True, help="folder of the pack")
    render.set_defaults(run=_render)

    prepare = commands.add_parser("prepare", help="a folder per person of aligned 112x112 images into a face pack")
    prepare.add_argument("folder", type=Path)
    prepare.add_argument("--out", type=Path, required=True, help="folder of the pack")
    prepare.add_argument("--fewest", type=count, default=1, help="leave out people with fewer images")
    prepare.add_argument("--most", type=count, help="leave out people with more images")
    prepare.add_argument("--exclude", nargs="*", default=[], metavar="NAME", help="people to leave out")
    prepare.add_argument("--on-bad", choices=("skip", "refuse"), default="skip", help="what to do with bad files")
    prepare.set_defaults(run=_prepare)

    aligned = commands.add_parser("align", help="a folder per person of pictures becomes one of aligned 112x112 faces")
    aligned.add_argument("folder", type=Path)
    aligned.add_argument("out", type=Path)
    aligned.add_argument(
        "--detector",
        choices=["yunet", "landmarks"],
        default="yunet",
        help="yunet: OpenCV's, finds the main face (default); landmarks: this library's network, for "
        "pictures that are one face each, however small",
    )
    aligned.add_argument("--model", type=Path, metavar="FILE", help="YuNet's ONNX file")
    aligned.add_argument("--score", type=float, help="the least score of a face (default 0.6)")
    aligned.add_argument("--preset", help="of the landmark network (default $RIFR_PRESET, else mini)")
    aligned.add_argument("--seed", type=seed, help="of the landmark network (default 0)")
    changes(aligned, "landmarks_epochs=20 landmarks_people=1000")
    aligned.add_argument(
        "--on-missing",
        choices=["leave-out", "crop", "refuse"],
        default="leave-out",
        help="a picture without a face: leave it out (default), crop its centre, or end with an error; "
        "all are listed in OUT-unaligned.csv",
    )
    aligned.set_defaults(run=_align)


def _render(options: argparse.Namespace) -> None:
    from rifr.faces import RenderSpec, render
    from rifr.presets import LandmarkTraining

    out = pack_folder(options.out)
    pack = render(
        RenderSpec(
            options.split,
            options.people,
            options.images,
            seed=options.seed,
            size=options.size or (LandmarkTraining.scene if options.scenes else RenderSpec.size),
            scenes=options.scenes,
            camera=options.camera or RenderSpec.camera,
        ),
        out,
    )
    print(f"{options.out}: {len(pack):,} images of {len(pack.people):,} people")


def _prepare(options: argparse.Namespace) -> None:
    from rifr.readers import folder

    out, people = pack_folder(options.out), folder.require_people(options.folder).people
    if unknown := sorted(set(options.exclude).difference(people)):
        close = {match for name in unknown for match in difflib.get_close_matches(name, people)}
        raise SettingError(
            f"--exclude: {options.folder} has nobody called {', '.join(unknown)}"
            + (f"; is {', '.join(sorted(close))} meant?" if close else ".")
        )
    pack = folder.read(
        options.folder,
        out,
        min_images=options.fewest,
        max_images=options.most,
        exclude=options.exclude,
        on_bad=options.on_bad,
    )
    spec = pack.manifest["spec"]
    print(f"{options.out}: {len(pack):,} images of {len(pack.people):,} people; {spec['skipped']} files skipped")
    for line in spec["skipped_files"]:
        print(f"  skipped {line}")
    asked = f", {len(spec['excluded'])} excluded as asked" if spec["excluded"] else ""
    print(f"{spec['left_out']} other files and folders, {spec['people_left_out']} people left out{asked}")
    for line in (*spec["left_out_files"], *spec["people_left_out_names"]):
        print(f"  left out {line}")


def _align(options: argparse.Namespace) -> None:
    from rifr import landmarks
    from rifr.landmarks import align_folder, yunet

    find: align_folder.Find
    if options.detector == "landmarks":
        refuse_unused(options, "--detector landmarks is this library's own network", ["model", "score"])
        run = landmarks.fit(preset=preset_of(options), seed=options.seed or 0)
        find, key = run.finder(), run.key
    elif options.model:
        refuse_unused(options, "only --detector landmarks trains a network", ["preset", "seed", "changes"])
        detector = yunet.Yunet(options.model, 0.6 if options.score is None else options.score)
        find, key = detector.main_landmarks, detector.key
    else:
        raise SettingError(
            "--detector yunet needs its ONNX file: give --model FILE, or take --detector landmarks for "
            "pictures that are one face each."
        )
    print(align_folder.align_folder(options.folder, options.out, find, key, options.on_missing))
