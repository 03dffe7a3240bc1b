"""MegaFace's distractors: photos of nobody in particular, named by the devkit's lists, less the ones known as noise.

    templatelists/megaface_features_list.json_10000_1    {"path": ["375/37531198@N00/4174611825_0.jpg", ...]}
    megaface_noises.txt                                  a path a line, after a first line that begins with #

The images are aligned and 112x112, at the same paths under one folder, and may have another ending than listed.
MegaFace has been retired by its makers: nothing in the library needs it.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from rifr.bars import progress_bar
from rifr.packs import FacePack
from rifr.readers.devkit import Noise, image_root, read_lists, read_noise, refuse_absent, write_images
from rifr.readers.images import ENDINGS, BadImages, named_and_counted
from rifr.readers.writing import Origin

__all__ = ["distractors", "noises", "read", "stem"]


def distractors(list_path: str | Path) -> list[str]:
    """Read the paths of a devkit list (megaface_features_list.json_10000_1), in its order.

    Raises
    ------
    FileNotFoundError, DataError
        As `devkit.read_lists` does.
    """
    return read_lists(list_path, "path")["path"]


def noises(path: str | Path) -> set[str]:
    """Read the paths of megaface_noises.txt; of lines that read `x<TAB>path`, the path.

    Raises
    ------
    FileNotFoundError, DataError
        As `devkit.read_noise` does.
    """
    return set(read_noise(path, r"[^/].*/.+\.(jpg|jpeg|png)", "the path of an image"))


def stem(path: str) -> str:
    """A listed path without its ending, by which paths are compared."""
    return str(PurePosixPath(path).with_suffix(""))


def read(
    root: str | Path,
    out: str | Path,
    list_path: str | Path,
    noise_path: str | Path | None = None,
    noise: str = "exclude",
    on_bad: str = "refuse",
    licence: str = "as the makers of MegaFace state",
    progress: bool = True,
) -> FacePack:
    """Write the listed images under `root` as a pack of distractors, in the list's order.

    A distractor is nobody, so the identity is one of its own for each image: "megaface:" and the image's listed path.

    Parameters
    ----------
    root
        The folder from which the listed paths start, of aligned 112x112 images.
    out
        The folder of the pack.
    list_path
        One of the devkit's lists.
    noise_path, noise
        The list of noise; "exclude" leaves it out, "keep" takes it in and marks it by the attribute `noise`, (N,) bool.
        Paths are compared without their endings.
    on_bad
        "refuse" raises where listed images are missing (how many, and the first), unreadable, truncated or not
        112x112; "skip" leaves these out and names them in the manifest.
    licence
        What the manifest says of it.
    progress
        Whether to show a progress bar.

    Returns
    -------
    FacePack
        Its manifest's `spec` counts what was listed, noise, absent and skipped.

    Raises
    ------
    FileNotFoundError
        For missing lists, a missing folder and missing images.
    SettingError
        For wrong options.
    DataError
        For what is no list, for a bad image, and where no image is left.
    """
    bad = BadImages(on_bad)
    names = frozenset(stem(path) for path in noises(noise_path)) if noise_path is not None else frozenset()
    known = Noise(noise_path, names, noise)
    root = image_root(root)
    paths = distractors(list_path)
    noisy = {path for path in paths if stem(path) in known.names}
    wanted = [path for path in paths if noise == "keep" or path not in noisy]
    files = {path: file for path in wanted if (file := _file(root / path))}
    absent = [path for path in wanted if path not in files]
    refuse_absent(absent, wanted, root, on_bad)
    spec = {
        "reader": "megaface",
        "folder": root.name,
        "list": Path(list_path).name,
        "listed": len(paths),
        **known.spec(len(noisy)),
        **named_and_counted("absent", absent),
    }
    nobody = (
        f"no image is left of the {len(paths)} in {list_path}: {len(paths) - len(wanted)} are noise, "
        f"{len(absent)} absent"
    )
    origin = Origin(f"MegaFace distractors, {Path(list_path).name}", licence, spec, nobody)
    photos = [(path, file, f"megaface:{path}") for path, file in files.items()]
    bar = progress_bar(photos, desc="reading", unit="image", show=progress)
    return write_images(out, root, bar, noisy if known.marked else None, bad, origin)


def _file(listed: Path) -> Path | None:
    """The file of a listed path, which may have another ending than listed."""
    candidates = (listed, *(listed.with_suffix(ending) for ending in ENDINGS))
    return next((file for file in candidates if file.is_file()), None)
