"""FaceScrub, whose photos are the probes of MegaFace's protocol: a folder a person, less the photos known as noise.

    facescrub/Alec_Baldwin/Alec_Baldwin_2121.png         the devkit's names: person and face number
    facescrub/Alec_Baldwin/Alec_Baldwin_3553_2121.jpg    the first publisher's: person, photo number, face number
    templatelists/facescrub_features_list.json           {"path": ["Alec_Baldwin/Alec_Baldwin_2121.png", ...],
                                                          "id": ["Alec_Baldwin", ...]}: 3,530 photos of 80 people
    facescrub_noises.txt                                 Alec_Baldwin_2121.png, ..., after a line that begins with #

The images are aligned and 112x112. Both lists mean a face by its person and face number: either kind of file name fits,
with either ending.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from rifr.bars import progress_bar
from rifr.errors import DataError
from rifr.packs import FacePack
from rifr.readers.devkit import Noise, image_root, read_lists, read_noise, refuse_absent, write_images
from rifr.readers.folder import require_people
from rifr.readers.images import BadImages, Listing, check_names, list_images, named_and_counted
from rifr.readers.writing import Origin

__all__ = ["face_name", "listed", "noises", "read"]


def noises(path: str | Path) -> set[str]:
    """Read the stems of facescrub_noises.txt: "Aaron_Eckhart_136" for the line `Aaron_Eckhart_136.png`.

    Raises
    ------
    FileNotFoundError, DataError
        As `devkit.read_noise` does.
    """
    return {PurePosixPath(line).stem for line in read_noise(path, r".+_\d+\.(jpg|jpeg|png)", "Name_number.png")}


def listed(path: str | Path) -> list[tuple[str, str]]:
    """Read (identity, relative path) of each photo of a devkit list (facescrub_features_list.json), in its order.

    Raises
    ------
    FileNotFoundError, DataError
        As `devkit.read_lists` does, and DataError for an id that is no name of a person.
    """
    lists = read_lists(path, "path", "id")
    for place, name in enumerate(lists["id"]):
        if isinstance(name, bool) or not isinstance(name, (str, int)) or name == "":
            raise DataError(f"{path}: id {place} is {name!r}, no name of a person: get the list again")
    return [(str(name), relative) for name, relative in zip(lists["id"], lists["path"])]


def face_name(file_name: str) -> str:
    """The name by which the lists mean the face of a file: person and face number.

    >>> face_name("Alec_Baldwin_3553_2121.jpg"), face_name("Alec_Baldwin_2121.png")
    ('Alec_Baldwin_2121', 'Alec_Baldwin_2121')
    """
    stem = PurePosixPath(file_name).stem.replace(" ", "_")
    numbered = re.fullmatch(r"(.+?)_\d+_(\d+)", stem)
    return f"{numbered[1]}_{numbered[2]}" if numbered else stem


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
    """Write FaceScrub's images as a pack: everybody's, in the order of the names, or the listed ones.

    An identity is the name of the person's folder; with `list_path`, the list's id, and the order is the list's.

    Parameters
    ----------
    root
        Holds a folder for each person, of aligned 112x112 images.
    out
        The folder of the pack.
    list_path
        The devkit's list; None for everybody.
    noise_path, noise
        The list of noise; "exclude" leaves it out, "keep" takes it in and marks it by the attribute `noise`, (N,) bool.
    exclude
        Identities to leave out.
    on_bad
        "refuse" raises where listed images are missing (how many, and the first), and for files that are unreadable,
        truncated, not 112x112, or whose names end in no number, so that the list of noise says nothing about them;
        "skip" leaves these out and names them in the manifest.
    licence
        What the manifest says of it.
    progress
        Whether to show a progress bar.

    Returns
    -------
    FacePack
        Its manifest's `spec` counts what was listed, excluded, noise, absent and skipped, and, without a list, files
        that are no images (`left_out`).

    Raises
    ------
    FileNotFoundError
        For missing lists, a missing folder and missing images.
    SettingError
        For wrong options.
    DataError
        For what is no list, for a bad file, where images lie beside the people's folders, and where no image is left.
    """
    bad = BadImages(on_bad)
    check_names(exclude)
    names = (
        frozenset(face_name(f"{stem}.png") for stem in noises(noise_path)) if noise_path is not None else frozenset()
    )
    known = Noise(noise_path, names, noise)
    root = image_root(root)
    listing = require_people(root) if list_path is None else Listing()
    everyone = (
        [(file.parent.name, f"{file.parent.name}/{file.name}") for file in listing.images]
        if list_path is None
        else listed(list_path)
    )
    identities = {relative: name for name, relative in everyone if name not in set(exclude)}
    noisy = {relative for relative in identities if face_name(relative) in known.names}
    wanted = [relative for relative in identities if noise == "keep" or relative not in noisy]
    files = _files(root, wanted)
    absent = [relative for relative in wanted if relative not in files]
    refuse_absent(absent, wanted, root, on_bad)
    for relative in list(files) if known.names else ():
        if not re.search(r"_\d+$", PurePosixPath(relative).stem):
            bad.add(f"{relative}: its name ends in no number, so that the list of noise says nothing about it")
            del files[relative]
    name_of_list = Path(list_path).name if list_path is not None else None
    spec = {
        "reader": "facescrub",
        "folder": root.name,
        "list": name_of_list,
        "listed": len(everyone) if list_path is not None else None,
        **known.spec(len(noisy)),
        "excluded": sorted({name for name, _ in everyone} & set(exclude)),
        **named_and_counted("left_out", listing.left_out),
        **named_and_counted("absent", absent),
    }
    nobody = (
        f"no image is left of the {len(everyone)} in {list_path or root}: {len(everyone) - len(identities)} are "
        f"excluded, {len(identities) - len(wanted)} noise, {len(absent)} absent"
    )
    origin = Origin(f"FaceScrub, {name_of_list}" if name_of_list else "FaceScrub", licence, spec, nobody)
    photos = progress_bar(
        [(name, file, identities[name]) for name, file in files.items()], desc="reading", unit="image", show=progress
    )
    return write_images(out, root, photos, noisy if known.marked else None, bad, origin)


def _files(root: Path, relatives: list[str]) -> dict[str, Path]:
    """The files of those photos that have one, under the listed name or another of the same face."""
    files: dict[str, Path] = {}
    faces: dict[Path, dict[str, Path]] = {}
    for relative in relatives:
        file: Path | None = root / relative
        if not (root / relative).is_file():
            folder = (root / relative).parent
            if folder not in faces:
                photos = list_images(folder)[0] if folder.is_dir() else []
                faces[folder] = {face_name(photo.name): photo for photo in photos}
            file = faces[folder].get(face_name(relative))
        if file is not None:
            files[relative] = file
    return files
