"""Settings as text and as values: one grammar of NAME=VALUE, and dataclasses that check what they are given.

The shell's `--set`, a batch's `--grid`, papermill's `-p` and Python itself all end here. What is unset is None; every
other value is used or refused, never passed over.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, get_type_hints

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from rifr.errors import SettingError

__all__ = [
    "Ascending",
    "Checked",
    "Count",
    "Fraction",
    "NonNegative",
    "Number",
    "Positive",
    "Size",
    "Tuple",
    "assignments",
    "named",
    "parse",
    "values",
]

WORDS = {"true": True, "false": False, "none": None, "null": None}


def parse(text: str) -> Any:
    """The value that a text stands for: true or false, none, a number, a list in brackets; else the text itself.

    Raises
    ------
    SettingError
        For a bracket that opens no list.

    Examples
    --------
    >>> [parse(text) for text in ("8", "1e-3", "false", "[112, 16]", "resnet34")]
    [8, 0.001, False, [112, 16], 'resnet34']
    """
    text = text.strip()
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for read in (ast.literal_eval, json.loads) if text.startswith("[") else (ast.literal_eval,):
        try:
            value = read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(value, (bool, int, float, str, list, tuple)):
            return value
    if text.startswith("["):
        raise SettingError(f'{text} is no list: write it as [112, 16] or ["a", "b"].')
    return text


def values(text: str) -> list[Any]:
    """The values of "0,1" or "[112,16],[112]": commas within brackets do not part them."""
    return [parse(part) for part in re.split(r",(?![^\[]*\])", text)]


def assignments(pairs: Iterable[str], option: str = "a setting") -> dict[str, str]:
    """{"epochs": "8"} from ["epochs=8"]; the values are still text, for `parse` or `values`.

    Raises
    ------
    SettingError
        For a pair that is not NAME=VALUE, and for a name that stands twice; `option` is what the message calls it.
    """
    texts: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier() or not text.strip():
            raise SettingError(f"{option} is NAME=VALUE, such as epochs=8, not {pair!r}.")
        if name in texts:
            raise SettingError(f"{option} names {name} twice: give it once.")
        texts[name] = text
    return texts


def named(changes: str | Iterable[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    """{"flip": False} from "flip=false", ["flip=false"] or the mapping itself: what a chapter or a shell was given.

    Raises
    ------
    SettingError
        As for `assignments` and `parse`.
    """
    if changes is None:
        return {}
    if isinstance(changes, Mapping):
        return dict(changes)
    pairs = changes.split() if isinstance(changes, str) else changes
    return {name: parse(text) for name, text in assignments(pairs).items()}


def _number(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        raise ValueError("a number is needed, not true or false")
    return value.item() if isinstance(value, np.generic) else value


def _several(value: Any) -> Any:
    """One number stands for a tuple of one; a NumPy array is taken as a list."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return (value,) if isinstance(value, (int, float, np.generic)) else value


def _ascending(value: tuple[float, ...]) -> tuple[float, ...]:
    if any(second <= first for first, second in pairwise(value)):
        raise ValueError("the numbers should ascend")
    return value


Number = BeforeValidator(_number)
Tuple = BeforeValidator(_several)
Ascending = AfterValidator(_ascending)
Count = Annotated[int, Field(ge=1), Number]
Size = Annotated[int, Field(ge=0), Number]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), Number]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), Number]
Fraction = Annotated[float, Field(ge=0, le=1), Number]


class Checked:
    """Base of frozen dataclasses whose values are made, or checked to be, of their fields' types when they are built.

    Raises
    ------
    SettingError
        Naming the field, its value, and what it takes.
    """

    def __post_init__(self) -> None:
        for name, adapter in _adapters(type(self)).items():  # type: ignore[arg-type]
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, adapter.validate_python(value))
            except ValidationError as error:
                problem = error.errors()[0]
                place = "".join(f", item {part + 1}" for part in problem["loc"] if isinstance(part, int))
                says = problem["msg"].removeprefix("Value error, ").replace("Input should", "it should")
                raise SettingError(f"{name} is {value!r}{place}: {says}.") from None


@cache
def _adapters(kind: type) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: TypeAdapter(hints[field.name]) for field in fields(kind)}
