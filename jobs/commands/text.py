"""JSON that callers hand in: what can travel through Redis, both databases and back unchanged, and what cannot."""

from __future__ import annotations

import math
from typing import Any

import orjson

from jobs.errors import RequestError

Path = tuple[str | int, ...]

_STRICT = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_SHOWN_MAX = 200
_DEPTH_MAX = 250  # orjson ends at 254
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


def encode(value: Any, path: Path, fault_type: type[RequestError]) -> bytes:
    """Return the value as JSON.

    Raises `fault_type`, with the path of the first fault, for what is not JSON or does not survive the
    way: NaN and Infinity, NUL characters, lone surrogates, integers beyond 64 bits, very deep nesting.
    """
    try:
        encoded = orjson.dumps(value, option=_STRICT)
    except (TypeError, RecursionError) as error:
        fault = _find(value, path, 0)
        if fault is None:
            raise fault_type(f"{shown(path)} cannot be written as JSON: {error}.", path=path) from None
        raise fault_type(fault[1], path=fault[0]) from None
    # orjson writes NaN as null, and PostgreSQL refuses NUL: only where one may be hidden is it looked for.
    if (b"null" in encoded or b"\\u0000" in encoded) and (fault := _find(value, path, 0)):
        raise fault_type(fault[1], path=fault[0])
    return encoded


def text_fault(text: str) -> str | None:
    """Return what is wrong with the characters of a text, as the end of a sentence; None where nothing is."""
    if "\x00" in text:
        return "contains a NUL character, which cannot be stored; leave it out"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains half of a surrogate pair, which is not valid Unicode; leave it out"
    return None


def shown(path: Path) -> str:
    """Return a path as people write it: `args.rows[3].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    text = text.removeprefix(".").encode("utf-8", "replace").decode()
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."


def _find(value: Any, path: Path, depth: int) -> tuple[Path, str] | None:
    """Return path and sentence of the first fault."""
    if depth > _DEPTH_MAX:
        return path[:4], f"{shown(path[:4])} is nested deeper than {_DEPTH_MAX} levels."
    if isinstance(value, dict):
        return _find_in_object(value, path, depth)
    if isinstance(value, (list, tuple)):
        found = (_find(item, (*path, index), depth + 1) for index, item in enumerate(value))
        return next(filter(None, found), None)
    fault = _scalar_fault(value)
    return (path, f"{shown(path)} {fault}.") if fault else None


def _find_in_object(value: dict[Any, Any], path: Path, depth: int) -> tuple[Path, str] | None:
    for name, item in value.items():
        if not isinstance(name, str):
            return path, f"{shown(path)} has the name {name!r}; names in a JSON object are strings."
        if fault := text_fault(name):
            return path, f"A name in {shown(path)} {fault}."
        if found := _find(item, (*path, name), depth + 1):
            return found
    return None


def _scalar_fault(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return text_fault(value)
    if isinstance(value, int):
        return None if _INT_MIN <= value <= _INT_MAX else "is outside of 64 bits; send such a number as a string"
    if isinstance(value, float):
        return None if math.isfinite(value) else "is not a finite number; JSON knows neither NaN nor Infinity"
    return f"is a {type(value).__name__}, which is not a JSON value"
