"""Names: from those of tasks and JSON Schema to those that GraphQL allows."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"[A-Za-z0-9]+")
_NAME = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*")
_CAPITALS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]")
_RESERVED = frozenset({"true", "false", "null"})


class NameClash(Exception):
    """Two different things would get the same name in the schema. The message names both."""


def pascal(name: str) -> str:
    """`send_welcome` and `send.welcome` become `SendWelcome`; never empty, never a digit first."""
    text = "".join(word[0].upper() + word[1:] for word in _WORD.findall(name))
    return text if text[:1].isalpha() else f"N{text}"


def camel(name: str) -> str:
    """`send_welcome` becomes `sendWelcome`, `HTTPGet` becomes `httpGet`."""
    return _CAPITALS.sub(lambda match: match[0].lower(), pascal(name), count=1)


def enum_names(values: Sequence[object], given: Sequence[str] | None) -> list[str]:
    """Names for the values of an enum: those of its members where they are given, else made from the values.

    A value that is a name already keeps it; `in progress` becomes `IN_PROGRESS`, 1 becomes `_1`.
    """
    if given and len(given) == len(values) and all(_is_name(name) for name in given):
        return list(given)
    names: list[str] = []
    for value in values:
        name = base = value if isinstance(value, str) and _is_name(value) else _named(value)
        suffix = 2
        while name in names:
            name, suffix = f"{base}_{suffix}", suffix + 1
        names.append(name)
    return names


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and text not in _RESERVED


def _named(value: object) -> str:
    text = re.sub(r"[^A-Za-z0-9]+", "_", str(value).replace("-", "MINUS_", 1) if _is_negative(value) else str(value))
    text = text.strip("_").upper() or "EMPTY"
    return text if text[0].isalpha() else f"_{text}"


def _is_negative(value: object) -> bool:
    return isinstance(value, int | float) and value < 0
