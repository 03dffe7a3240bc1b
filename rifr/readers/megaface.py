"""MegaFace's distractors: photos of nobody in particular, named by the devkit's lists, less the ones known as noise.

    templatelists/megaface_features_list.json_10000_1    {"path": ["375/37531198@N00/4174611825_0.jpg", ...]}
    megaface_noises.txt                                  a path a line, after a first line that begins with #

The images are aligned and 112x112, at the same paths under one folder, and may end in .png instead of .jpg. MegaFace
has been retired by its makers: nothing in the library needs it.
"""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from rifr.packs import FacePack
from rifr.readers.folder import ENDINGS, LISTED, PART, _decode, _first

__all__ = ["distractors", "noises", "read", "substitute"]

FAR = 100.0  # what the devkit's recipe appends to the features of noisy distractors


def distractors(list_path: str | Path) -> list[str]:
    """The paths of a devkit list (megaface_features_list.json_10000_1), in its order.

    Raises FileNotFoundError, and ValueError for a file that is no such list, for a path that stands in it twice, and
    for paths that would lead out of the images' folder.
    """
    return _listed(list_path, "path")["path"]


def noises(path: str | Path) -> set[str]:
    """The paths of megaface_noises.txt; of lines that read `x<TAB>path`, the path.

    Raises FileNotFoundError, and ValueError for lines that are no paths of images, by number, and where none is.
    """
    return set(_noise_lines(path, r"[^/].*/.+\.(jpg|jpeg|png)", "the path of an image"))


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
    """Write the listed images under `root` as a pack of distractors at `out`, in the list's order.

    A distractor is nobody, so the identity is one of its own for each image: "megaface:" and the image's listed path.
    noise_path: the list of noise; noise: "exclude" leaves it out; "keep" takes it in and marks it by the attribute
        `noise`, (N,) bool, for `substitute`. Paths are matched without their endings.
    on_bad: "refuse" raises where listed images are missing (how many, and the first), unreadable, truncated, not
        112x112, or in colours other than RGB or grey; "skip" leaves these out and names them in the manifest.

    The manifest's `spec` counts what was listed, excluded, absent and skipped. The images are never in memory together;
    with on_bad="skip" each is decoded twice, first to know the good ones.

    Raises what `distractors` and `noises` raise, FileNotFoundError for a missing folder and for missing images, and
    ValueError for wrong options, for a bad image, and where no image is left.
    """
    _check_options(noise, on_bad)
    root = _root(root)
    paths = distractors(list_path)
    noisy = {_stem(path) for path in noises(noise_path)} if noise_path is not None else set()
    is_noise = [_stem(path) in noisy for path in paths]
    wanted = [path for path, bad in zip(paths, is_noise) if noise == "keep" or not bad]
    files, absent = _found(root, wanted)
    _refuse_absent(absent, wanted, root, on_bad)
    good, bad = _good(files, on_bad, progress)
    spec = {
        "reader": "megaface",
        "folder": root.name,
        "list": Path(list_path).name,
        "listed": len(paths),
        **_noise_spec(noise_path, noise, len(noisy), sum(is_noise)),
        "on_bad": on_bad,
        "absent": len(absent),
        "absent_files": absent[:LISTED],
        "skipped": len(bad),
        "skipped_files": bad[:LISTED],
    }
    if not good:
        raise ValueError(
            f"no image is left of the {len(paths)} in {list_path}: {len(paths) - len(wanted)} are noise, "
            f"{len(absent)} absent and {len(bad)} bad{_first(bad)}"
        )
    attributes = {"file": np.array([files[path].relative_to(root).as_posix() for path in good])}
    if noise_path is not None and noise == "keep":
        attributes["noise"] = np.array([_stem(path) in noisy for path in good])
    return FacePack.write(
        out,
        _images([files[path] for path in good], progress),
        [f"megaface:{path}" for path in good],
        attributes=attributes,
        source=f"MegaFace distractors, {Path(list_path).name}",
        licence=licence,
        spec=spec,
    )


def substitute(
    probes: np.ndarray,
    identities: np.ndarray,
    noisy_probes: np.ndarray,
    distractors: np.ndarray,
    noisy_distractors: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The public devkit recipe's way with noise, which RAISES THE SCORE: leaving noise out is the default here.

    probes: (N, D) features of FaceScrub photos; identities: (N,); noisy_probes: (N,) bool; distractors: (K, D);
    noisy_distractors: (K,) bool. Returns (N, D + 1) probes and (K, D + 1) distractors, in float64 if an input is, else
    in float32.

    All features are brought to length one. A noisy probe becomes the centre of its person's clean photos, which is
    nearer to each of them than most photos are; the recipe adds random noise of 0.001 to it, which is left out here.
    Then every feature gets a further dimension: 0, and 100 for noisy distractors, which are then far from every probe
    (in cosine, nearly at right angles) and in nobody's way.

    Raises ValueError where shapes do not fit, for features that are not finite or zero (with their rows), and where a
    noisy probe's person has no clean photo.
    """
    probes, distractors = np.asarray(probes), np.asanyarray(distractors)
    identities = np.asarray(identities)
    if probes.ndim != 2 or distractors.ndim != 2 or probes.shape[1] != distractors.shape[1]:
        raise ValueError(
            "probes and distractors are (N, D) and (K, D) features of one network, "
            f"not {probes.shape} and {distractors.shape}"
        )
    noisy_probes = _mask("noisy_probes", noisy_probes, len(probes))
    noisy_distractors = _mask("noisy_distractors", noisy_distractors, len(distractors))
    if identities.shape != (len(probes),):
        raise ValueError(f"identities are ({len(probes)},), one for each probe, not {identities.shape}")
    dtype = np.float64 if np.float64 in (probes.dtype, distractors.dtype) else np.float32
    new_probes, new_distractors = _longer("probes", probes, dtype), _longer("distractors", distractors, dtype)
    centres = {}
    for name in np.unique(identities[noisy_probes]):
        clean = new_probes[(identities == name) & ~noisy_probes]
        centre = clean.mean(axis=0, dtype=np.float64) if len(clean) else np.zeros(1)
        if not np.linalg.norm(centre):
            raise ValueError(f"{name} has no clean photos to take the centre of: leave this person out")
        centres[name] = centre / np.linalg.norm(centre)
    for row in np.flatnonzero(noisy_probes):
        new_probes[row] = centres[identities[row]]
    new_distractors[noisy_distractors, -1] = FAR
    return new_probes, new_distractors


def _mask(name: str, mask: np.ndarray, count: int) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != (count,):
        raise ValueError(f"{name} is ({count},) bool, not {mask.shape} {mask.dtype}")
    return mask


def _longer(name: str, rows: np.ndarray, dtype: type) -> np.ndarray:
    """(N, D + 1): the rows at length one, and a column of zeros."""
    longer = np.zeros((len(rows), rows.shape[1] + 1), dtype)
    longer[:, :-1] = rows
    length = np.sqrt(np.einsum("nd,nd->n", longer, longer, dtype=np.float64))
    wrong = np.flatnonzero(~((length > 0) & np.isfinite(length)))
    if len(wrong):
        listed = ", ".join(map(str, wrong[:10])) + (", ..." if len(wrong) > 10 else "")
        raise ValueError(
            f"{len(wrong)} features in {name} are not finite, or zero: rows {listed}; "
            "look at these images or leave them out"
        )
    longer /= length[:, None].astype(dtype)
    return longer


def _listed(list_path: str | Path, *keys: str) -> dict[str, list]:
    """The lists of a devkit list by key, `path` among them, of one length."""
    list_path = Path(list_path)
    remedy = "give a list of the MegaFace devkit's templatelists"
    if not list_path.is_file():
        raise FileNotFoundError(f"{list_path} does not exist: {remedy}")
    try:
        content = json.loads(list_path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{list_path} is no JSON ({error}): {remedy}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in keys):
        raise ValueError(f"{list_path} does not hold lists by the names {' and '.join(keys)}: {remedy}")
    lengths = {key: len(content[key]) for key in keys}
    if len(set(lengths.values())) > 1 or not lengths["path"]:
        raise ValueError(
            f"{list_path} holds lists of {' and '.join(map(str, lengths.values()))} entries "
            f"({' and '.join(keys)}), and should hold one or more, as many in each: {remedy}"
        )
    _check_paths(content["path"], list_path)
    return {key: content[key] for key in keys}


def _check_paths(paths: Collection[Any], source: str | Path) -> None:
    """Refuse entries that are no relative paths, that lead out of their folder, or that stand there twice."""
    seen = set()
    for place, path in enumerate(paths):
        wrong = None
        if not isinstance(path, str) or not path or "\0" in path:
            wrong = "is no path"
        elif path[0] in "/\\" or re.match("[A-Za-z]:", path) or ".." in re.split(r"[/\\]", path):
            wrong = "leads out of the folder that it should lie in"
        elif path in seen:
            wrong = "stands there a second time"
        if wrong:
            raise ValueError(f"{source}: path {place}, {path!r}, {wrong}: remove it from the list")
        seen.add(path)


def _noise_lines(path: str | Path, pattern: str, wanted: str) -> list[str]:
    """The entries of a noise list: the last fields of its lines, without comments and empty lines."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give the path of the list of noise")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text: give the path of the list of noise") from error
    entries = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            entry = line.split("\t")[-1].strip()
            if not re.fullmatch(pattern, entry, re.IGNORECASE):
                raise ValueError(f"{path}, line {number}: found {line[:80]!r}, wanted {wanted}. Mend or remove it")
            entries.append(entry)
    if not entries:
        raise ValueError(f"{path} lists no noise: get the list again")
    return entries


def _check_options(noise: str, on_bad: str) -> None:
    if noise not in ("exclude", "keep"):
        raise ValueError(f'noise is "exclude" or "keep", not {noise!r}')
    if on_bad not in ("skip", "refuse"):
        raise ValueError(f'on_bad is "skip" or "refuse", not {on_bad!r}')


def _noise_spec(noise_path: str | Path | None, noise: str, entries: int, found: int) -> dict[str, Any]:
    """What a manifest says of noise."""
    if noise_path is None:
        return {"noise_list": None}
    done = "noise_excluded" if noise == "exclude" else "noise_kept"
    return {"noise_list": Path(noise_path).name, "noise": noise, "noise_entries": entries, done: found}


def _root(root: str | Path) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder: give the one that holds the aligned 112x112 images")
    return root.resolve()


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _found(root: Path, paths: list[str]) -> tuple[dict[str, Path], list[str]]:
    """The files of listed paths, which may have another ending than listed; and the paths that have none."""
    files, absent = {}, []
    for path in paths:
        listed = root / path
        others = (listed.with_suffix(ending) for ending in sorted(ENDINGS))
        file = next((file for file in (listed, *others) if file.is_file()), None)
        if file:
            files[path] = file
        else:
            absent.append(path)
    return files, absent


def _refuse_absent(absent: list[str], wanted: Collection, root: Path, on_bad: str) -> None:
    if absent and on_bad == "refuse":
        raise FileNotFoundError(
            f"{len(absent)} of {len(wanted)} listed images are missing in {root}: {absent[0]}"
            f"{', ...' if len(absent) > 1 else ''}. Give the folder that the list's paths start "
            'from, or pass on_bad="skip"'
        )


def _good(files: dict[str, Path], on_bad: str, progress: bool) -> tuple[list[str], list[str]]:
    """The names of the files that decode, and a line on each that does not.

    With on_bad="refuse" none is opened: writing them raises at the first that does not decode.
    """
    if on_bad == "refuse":
        return list(files), []
    good, bad = [], []
    for name, file in tqdm(files.items(), desc="checking", unit="image", disable=None if progress else True):
        try:
            _decode(file)
            good.append(name)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            bad.append(f"{name}: {str(error).replace(str(file), file.name)}")
    return good, bad


def _images(files: list[Path], progress: bool) -> Iterator[np.ndarray]:
    """The images of `files` in parts of (n, 112, 112, 3) uint8 RGB."""
    with tqdm(total=len(files), desc="reading", unit="image", disable=None if progress else True) as bar:
        for start in range(0, len(files), PART):
            images = []
            for file in files[start : start + PART]:
                try:
                    images.append(_decode(file))
                except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                    reason = str(error).replace(str(file), file.name)
                    raise ValueError(f'{file}: {reason}. Mend or delete it, or pass on_bad="skip"') from error
                bar.update()
            yield np.stack(images)
