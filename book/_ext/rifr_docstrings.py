"""Docstrings on the pages of the library, which Sphinx reads as reStructuredText: their formulas and signatures.

A docstring has its mathematics between dollar signs, as the chapters that quote it read it.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx

import rifr

BLOCK = re.compile(r"^( *)\$\$(.+?)\$\$[ .,]*$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"\$([^$`]+)\$")
CODE = re.compile(r"(`+[^`]+`+)")


def mathematics(app: Sphinx, what: str, name: str, documented: object, options: object, lines: list[str]) -> None:
    r"""Formulas as Sphinx has them: `$$ ... $$`, over several lines too, as a block; `$...$` in the text."""
    text = BLOCK.sub(_block, "\n".join(lines))
    parts = CODE.split(text)  # code keeps its dollar signs
    parts[::2] = [INLINE.sub(r":math:`\1`", part) for part in parts[::2]]
    lines[:] = "".join(parts).split("\n")


def _block(match: re.Match) -> str:
    return f"{match[1]}.. math:: {' '.join(match[2].split())}\n"


def signature(
    app: Sphinx, what: str, name: str, documented: object, options: object, arguments: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """A default that a dataclass makes anew is no Python in its signature, and Sphinx would show all of it unread."""
    return (arguments.replace("<factory>", "...") if arguments else arguments), returned


def setup(app: Sphinx) -> dict:
    app.connect("autodoc-process-docstring", mathematics)
    app.connect("autodoc-process-signature", signature)
    return {"version": rifr.__version__, "parallel_read_safe": True, "parallel_write_safe": True}
