"""An archive comes out whole, or not at all, and never outside of its folder."""

import io
import os
import stat
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rifr.errors import DataError
from rifr.readers import archive
from rifr.readers.archive import contents, is_archive, unpack

FILES = {"faces/Ada/1.jpg": b"one" * 70, "faces/Ada/2.jpg": b"", "faces/Bea/x y.jpg": bytes(range(256)) * 5}
TARS = {".tar": "w:", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2"}


def pack(path, files=FILES, folders=("faces",)):
    """Write an archive in the format that the path's ending says; `files` may be pairs, for names that repeat."""
    pairs = list(files.items()) if isinstance(files, dict) else files
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a repeated name
            for name in folders:
                file.writestr(f"{name}/", b"")
            for name, content in pairs:
                file.writestr(name, content)
        return path
    with tarfile.open(path, next(mode for ending, mode in TARS.items() if path.name.endswith(ending))) as file:
        for name in folders:
            add(file, name, type=tarfile.DIRTYPE)
        for name, content in pairs:
            add(file, name, content)
    return path


def add(file, name, content=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    file.addfile(info, io.BytesIO(content))


def found(folder):
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("ending", archive.ENDINGS)
def test_an_archive_comes_out_as_it_went_in(tmp_path, ending):
    path = pack(tmp_path / f"set{ending}")
    assert is_archive(path) and is_archive(f"SET{ending.upper()}") and not is_archive("set.rar")
    assert contents(path) == {name: len(content) for name, content in FILES.items()}
    assert unpack(path, tmp_path / "deep" / "out", progress=False) == tmp_path / "deep" / "out"
    assert found(tmp_path / "deep" / "out") == FILES
    assert [entry.name for entry in (tmp_path / "deep").iterdir()] == ["out"]


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize("name", ["../evil", "faces/../../evil", "/tmp/evil", "C:/evil", "faces\\..\\evil"])
def test_an_entry_that_leads_out_of_the_folder_is_refused_and_nothing_is_left(tmp_path, ending, name):
    path = pack(tmp_path / f"set{ending}", [*FILES.items(), (name, b"evil")])
    for act in (contents, lambda path: unpack(path, tmp_path / "out", progress=False)):
        with pytest.raises(DataError, match=f"set{ending}: entry .*outside"):
            act(path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".zip", ".tgz"])
def test_what_a_mac_leaves_in_an_archive_is_passed_over(tmp_path, ending):
    litter = {"__MACOSX/faces/Ada/._1.jpg": b"x", "faces/.DS_Store": b"y", "faces/Ada/._1.jpg": b"z"}
    path = pack(tmp_path / f"set{ending}", {**litter, **FILES})
    assert contents(path) == {name: len(content) for name, content in FILES.items()}
    assert found(unpack(path, tmp_path / "out", progress=False)) == FILES


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"Z"])
def test_links_and_devices_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "set.tar", "w") as file:
        add(file, "a", b"1")
        add(file, "b", type=kind, linkname="/etc/passwd")
    with pytest.raises(ValueError, match="entry 'b'"):
        unpack(tmp_path / "set.tar", tmp_path / "out", progress=False)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        info = zipfile.ZipInfo("b")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    with pytest.raises(ValueError, match="entry 'b'"):
        unpack(tmp_path / "set.zip", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_tar_that_sends_the_reader_back_does_not_hang_it(tmp_path):
    with tarfile.open(tmp_path / "set.tar", "w") as file:
        add(file, "a", b"1" * 600)
    damaged = bytearray((tmp_path / "set.tar").read_bytes())
    damaged[124:136] = (-1536 % 256**12).to_bytes(12, "big")  # a size below zero, which tarfile takes
    damaged[148:156] = b"        "
    damaged[148:156] = b"%06o\0 " % sum(damaged[:512])
    (tmp_path / "set.tar").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"set.tar is damaged"):
        contents(tmp_path / "set.tar")


def test_a_zip_that_lists_fewer_files_than_it_says_is_refused(tmp_path):
    whole = bytearray(pack(tmp_path / "set.zip").read_bytes())
    last = whole.rindex(b"PK\x01\x02")
    before = whole.rindex(b"PK\x01\x02", 0, last)
    whole[before + 32 : before + 34] = (whole.rindex(b"PK\x05\x06") - last).to_bytes(2, "little")  # a comment, as long
    (tmp_path / "set.zip").write_bytes(whole)
    with pytest.raises(DataError, match=r"3 entries.* 4"):
        contents(tmp_path / "set.zip")


def test_an_encrypted_file_says_what_to_do(tmp_path):
    whole = bytearray(pack(tmp_path / "set.zip", folders=()).read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(magic) + flags] |= 1
    (tmp_path / "set.zip").write_bytes(whole)
    with pytest.raises(ValueError, match=r"encrypted.*unpack it yourself"):
        unpack(tmp_path / "set.zip", tmp_path / "out", progress=False)


def test_what_is_no_archive_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no.zip"):
        unpack(tmp_path / "no.zip", tmp_path / "out")
    (tmp_path / "set.rar").write_bytes(b"Rar!")
    with pytest.raises(ValueError, match=r"set.rar"):
        unpack(tmp_path / "set.rar", tmp_path / "out")
    for ending in archive.ENDINGS:
        (tmp_path / f"set{ending}").write_bytes(b"something else" * 99)
        with pytest.raises(ValueError, match=f"set{ending} is damaged, cut short"):
            unpack(tmp_path / f"set{ending}", tmp_path / "out")
        with pytest.raises(ValueError, match="holds no file"):
            unpack(pack(tmp_path / f"empty{ending}", {}), tmp_path / "out")
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="already"):
        unpack(pack(tmp_path / "set.zip"), tmp_path / "there")


@pytest.mark.parametrize("place, byte", [(len("faces/"), b"\0"), (len("faces/Ada/1.jpg") - 1, b"/"), (2, b"\0")])
def test_a_file_of_a_zip_does_not_become_a_folder_by_a_damaged_name(tmp_path, place, byte):
    path = pack(tmp_path / "set.zip")
    content = bytearray(path.read_bytes())
    at = content.rindex(b"faces/Ada/1.jpg") + place  # in the list of names at the end
    content[at : at + 1] = byte
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        unpack(path, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ending", archive.ENDINGS)
def test_an_archive_cut_off_anywhere_is_refused_or_whole(tmp_path, ending):
    whole = pack(tmp_path / f"set{ending}").read_bytes()
    path = tmp_path / f"cut{ending}"
    for length in [*range(0, len(whole), 41), len(whole) - 1]:
        path.write_bytes(whole[:length])
        try:
            unpack(path, tmp_path / f"out{length}", progress=False)
        except ValueError as error:
            assert f"cut{ending}" in str(error) and "get the archive again" in str(error)  # noqa: PT017
        else:
            assert found(tmp_path / f"out{length}") == FILES  # of a tar, zeros after its end may be missing
            assert ending == ".tar" and not any(whole[length:])


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tar.bz2"])
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_damaged_archive_is_refused_or_whole_and_writes_nowhere_else(ending, data):
    with tempfile.TemporaryDirectory() as folder:
        path = pack(Path(folder) / f"set{ending}")
        damaged = bytearray(path.read_bytes())
        places = data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=3, unique=True))
        for place in places:
            damaged[place] = data.draw(st.integers(0, 255))
        path.write_bytes(damaged)
        try:
            unpack(path, Path(folder) / "out", progress=False)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            assert os.listdir(folder) == [path.name]
        else:
            assert sorted(os.listdir(folder)) == ["out", path.name]
            if ending != ".tar":  # which has no checksums of its contents
                assert found(Path(folder) / "out") == FILES
            elif len(places) == 1:
                assert {name: len(content) for name, content in found(Path(folder) / "out").items()} == contents(path)
                assert set(found(Path(folder) / "out")) == set(FILES)
