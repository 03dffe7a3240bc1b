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
ANNOTATED = "Annotated["
TYPE = ":type: "
AFTER_NAPOLEON = 600
"""Of listeners, 500 is what napoleon has."""


def mathematics(app: Sphinx, what: str, name: str, documented: object, options: object, lines: list[str]) -> None:
    r"""Formulas as Sphinx has them: `$$ ... $$`, over several lines too, as a block; `$...$` in the text."""
    text = BLOCK.sub(_block, "\n".join(lines))
    parts = CODE.split(text)  # code keeps its dollar signs
    parts[::2] = [INLINE.sub(r":math:`\1`", part) for part in parts[::2]]
    lines[:] = "".join(parts).split("\n")


def _block(match: re.Match) -> str:
    return f"{match[1]}.. math:: {' '.join(match[2].split())}\n"


def whole_sentence(app: Sphinx, what: str, name: str, documented: object, options: object, lines: list[str]) -> None:
    """The first sentence of a property, from which napoleon takes what stands before its colon for a type."""
    if what in ("property", "attribute", "data") and lines and lines[-1].startswith(TYPE):
        lines[:] = [f"{lines[-1].removeprefix(TYPE)}: {lines[0]}", *lines[1:-1]]


def signature(
    app: Sphinx, what: str, name: str, documented: object, options: object, arguments: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """A signature that can be read: without what pydantic adds to types, and with "..." for a default made anew.

    Such a default is no Python, and Sphinx would show all of the signature unread.
    """
    return (_bare(arguments.replace("<factory>", "...")) if arguments else arguments), returned


def _bare(text: str) -> str:
    """Each `Annotated[X, ...]` as X."""
    while (start := text.find(ANNOTATED)) >= 0:
        depth, ends = 0, []
        for place in range(start + len(ANNOTATED), len(text)):
            if text[place] in ",]" and not depth:
                ends.append(place)
                if text[place] == "]":
                    break
            depth += (text[place] in "[({") - (text[place] in "])}")
        text = text[:start] + text[start + len(ANNOTATED) : ends[0]] + text[ends[-1] + 1 :]
    return text


def setup(app: Sphinx) -> dict:
    app.connect("autodoc-process-docstring", mathematics)
    app.connect("autodoc-process-docstring", whole_sentence, priority=AFTER_NAPOLEON)
    app.connect("autodoc-process-signature", signature)
    return {"version": rifr.__version__, "parallel_read_safe": True, "parallel_write_safe": True}
