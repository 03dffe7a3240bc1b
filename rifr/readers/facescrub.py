"""FaceScrub, whose photos are the probes of MegaFace's protocol: a folder a person, less the photos known as noise.

    facescrub/Alec_Baldwin/Alec_Baldwin_2121.png         the devkit's names: person and face number
    facescrub/Alec_Baldwin/Alec_Baldwin_3553_2121.jpg    the first publisher's: person, photo number, face number
    templatelists/facescrub_features_list.json           {"path": ["Alec_Baldwin/Alec_Baldwin_2121.png", ...],
                                                          "id": ["Alec_Baldwin", ...]}: 3,530 photos of 80 people
    facescrub_noises.txt                                 Alec_Baldwin_2121.png, ..., after a line that begins with #

The images are aligned and 112x112. Both lists mean a face by its person and face number: either kind of file name fits,
with either ending.
"""

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

import numpy as np

from rifr.packs import FacePack
from rifr.readers.folder import ENDINGS, LISTED, _first, _people
from rifr.readers.megaface import (
    _check_options,
    _good,
    _images,
    _listed,
    _noise_lines,
    _noise_spec,
    _refuse_absent,
    _root,
)

__all__ = ["listed", "noises", "read"]


def noises(path: str | Path) -> set[str]:
    """The stems of facescrub_noises.txt: "Aaron_Eckhart_136" for the line `Aaron_Eckhart_136.png`.

    Raises FileNotFoundError, and ValueError for lines that are no names of images, by number, and where none is.
    """
    return {PurePosixPath(line).stem for line in _noise_lines(path, r".+_\d+\.(jpg|jpeg|png)", "Name_number.png")}


def listed(path: str | Path) -> list[tuple[str, str]]:
    """(identity, relative path) of each photo of a devkit list (facescrub_features_list.json), in its order.

    Raises FileNotFoundError, and ValueError for a file that is no such list, for a path that stands in it twice, and
    for paths that would lead out of the images' folder.
    """
    lists = _listed(path, "path", "id")
    wrong = next(
        (
            place
            for place, name in enumerate(lists["id"])
            if isinstance(name, bool) or not isinstance(name, (str, int)) or name == ""
        ),
        None,
    )
    if wrong is not None:
        raise ValueError(f"{path}: id {wrong} is {lists['id'][wrong]!r}, no name of a person: get the list again")
    return [(str(name), relative) for name, relative in zip(lists["id"], lists["path"])]


def read(
    root: str | Path,
    out: str | Path,
    list_path: str | Path | None = None,
    noise_path: str | Path | None = None,
    noise: str = "exclude",
    exclude: Collection[str] = (),
    on_bad: str = "refuse",
    licence: str = "as the makers of FaceScrub state",
    progress: bool = True,
) -> FacePack:
    """Write FaceScrub's images under `root` as a pack at `out`: everybody's, in the order of the names, or the listed.

    An identity is the name of the person's folder; with `list_path`, the list's id, and the order is the list's.
    noise_path: the list of noise; noise: "exclude" leaves it out; "keep" takes it in and marks it by the attribute
        `noise`, (N,) bool, for `megaface.substitute`.
    exclude: identities to leave out.
    on_bad: "refuse" raises where listed images are missing (how many, and the first), and for files that are
        unreadable, truncated, not 112x112, in colours other than RGB or grey, or whose names end in no number, so that
        the list of noise says nothing about them; "skip" leaves these out and names them in the manifest.

    The manifest's `spec` counts what was listed, excluded, absent and skipped. The images are never in memory together;
    with on_bad="skip" each is decoded twice, first to know the good ones.

    Raises what `listed` and `noises` raise, FileNotFoundError for a missing folder and for missing images, and
    ValueError for wrong options, for a bad file, where images lie beside the people's folders, and where no image is
    left.
    """
    _check_options(noise, on_bad)
    if isinstance(exclude, str):
        raise ValueError(f"exclude is a list of names, not the text {exclude!r}: write [{exclude!r}]")
    root = _root(root)
    noisy = {_face(f"{stem}.png") for stem in noises(noise_path)} if noise_path is not None else set()
    everyone, unwanted = _everyone(root) if list_path is None else listed(list_path), set(exclude)
    candidates = {relative: name for name, relative in everyone if name not in unwanted}
    is_noise = {relative: _face(relative) in noisy for relative in candidates}
    wanted = [relative for relative in candidates if noise == "keep" or not is_noise[relative]]
    files, absent = _found(root, wanted)
    _refuse_absent(absent, wanted, root, on_bad)
    nameless = [relative for relative in files if noisy and not re.search(r"_\d+$", PurePosixPath(relative).stem)]
    if nameless and on_bad == "refuse":
        raise ValueError(
            f"the list of noise says nothing about {len(nameless)} files in {root} whose names end in no "
            f'number, such as {nameless[0]}: rename them to Name_number.jpg, or pass on_bad="skip"'
        )
    named = dict(files)
    for relative in nameless:
        del named[relative]
    good, bad = _good(named, on_bad, progress)
    bad = sorted(bad + [f"{relative}: its name ends in no number" for relative in nameless])
    if not good:
        raise ValueError(
            f"no image is left of the {len(everyone)} in {list_path or root}: "
            f"{len(everyone) - len(candidates)} are excluded, {len(candidates) - len(wanted)} noise, "
            f"{len(absent)} absent and {len(bad)} bad{_first(bad)}"
        )
    spec = {
        "reader": "facescrub",
        "folder": root.name,
        "list": Path(list_path).name if list_path is not None else None,
        "listed": len(everyone) if list_path is not None else None,
        **_noise_spec(noise_path, noise, len(noisy), sum(is_noise.values())),
        "excluded": sorted({name for name, _ in everyone} & unwanted),
        "on_bad": on_bad,
        "absent": len(absent),
        "absent_files": absent[:LISTED],
        "skipped": len(bad),
        "skipped_files": bad[:LISTED],
    }
    attributes = {"file": np.array([files[relative].relative_to(root).as_posix() for relative in good])}
    if noise_path is not None and noise == "keep":
        attributes["noise"] = np.array([is_noise[relative] for relative in good])
    return FacePack.write(
        out,
        _images([files[relative] for relative in good], progress),
        [candidates[relative] for relative in good],
        attributes=attributes,
        source="FaceScrub" + (f", {Path(list_path).name}" if list_path is not None else ""),
        licence=licence,
        spec=spec,
    )


def _face(file_name: str) -> str:
    """The name by which the lists mean the face of a file: person and face number, "Alec_Baldwin_2121"."""
    stem = PurePosixPath(file_name).stem.replace(" ", "_")
    numbered = re.fullmatch(r"(.+?)_\d+_(\d+)", stem)
    return f"{numbered[1]}_{numbered[2]}" if numbered else stem


def _everyone(root: Path) -> list[tuple[str, str]]:
    return [(person.name, f"{person.name}/{file.name}") for person in _people(root) for file in _photos(person)]


def _photos(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in ENDINGS and not file.name.startswith(".") and file.is_file()
    )


def _found(root: Path, relatives: list[str]) -> tuple[dict[str, Path], list[str]]:
    """The files of listed photos, under the listed name or another of the same face; and the photos that have none."""
    files: dict[str, Path] = {}
    absent: list[str] = []
    faces: dict[Path, dict[str, Path]] = {}
    for relative in relatives:
        file = root / relative
        if not file.is_file():
            if file.parent not in faces:
                faces[file.parent] = {_face(photo.name): photo for photo in _photos(file.parent)}
            file = faces[file.parent].get(_face(relative))
        if file:
            files[relative] = file
        else:
            absent.append(relative)
    return files, absent
