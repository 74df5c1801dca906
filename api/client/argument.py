"""The arguments of a task as they are written on a command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer

_KINDS = {bool: "boolean", int: "integer", float: "number", dict: "object", list: "array", type(None): "null"}

Schema = Mapping[str, Any]


def read_args(text: str | None, pairs: Sequence[str], schema: Schema | None) -> dict[str, Any]:
    """Return arguments from a JSON object and `name=value` pairs, which win.

    A value is text where the task's schema says so, else JSON where it is JSON, else text. Raises typer.BadParameter.
    """
    args = _object(text, "--args") if text else {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair!r} is no argument; write name=value, or --args with a JSON object.")
        args[name] = _value(value, _kinds(schema, name))
    return args


def read_object(text: str | None, option: str) -> dict[str, Any] | None:
    """Read a JSON object. Raises typer.BadParameter."""
    return _object(text, option) if text else None


def _object(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} is no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{option} must be a JSON object.")
    return value


def _value(text: str, kinds: set[str]) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    kind = _KINDS.get(type(value), "string")
    if "string" in kinds and kind not in kinds and not (kind == "integer" and "number" in kinds):
        return text
    return value


def _kinds(schema: Schema | None, name: str) -> set[str]:
    if not schema:
        return set()
    one = schema.get("properties", {}).get(name)
    return set(types_of(one, schema)) if isinstance(one, Mapping) else set()


def types_of(one: Schema, whole: Schema, depth: int = 5) -> Iterator[str]:
    """Yield the JSON types that a part of a JSON Schema allows, as far as it says so plainly."""
    reference = one.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/") and depth:
        target = whole.get("$defs", {}).get(reference.removeprefix("#/$defs/"))
        if isinstance(target, Mapping):
            yield from types_of(target, whole, depth - 1)
    named = one.get("type")
    yield from [named] if isinstance(named, str) else named or ()
    for part in (*one.get("anyOf", ()), *one.get("oneOf", ())):
        if isinstance(part, Mapping) and depth:
            yield from types_of(part, whole, depth - 1)


def enum_of(one: Schema, whole: Schema) -> list[str]:
    """Return the values that a part of a JSON Schema names one by one, as they are written on a command line."""
    reference = one.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        one = whole.get("$defs", {}).get(reference.removeprefix("#/$defs/"), one)
    return [value if isinstance(value, str) else json.dumps(value) for value in one.get("enum", ())]


def signature(schema: Schema) -> list[tuple[str, str, str, str]]:
    """Return name, type, default and description of each argument that a task takes."""
    required = set(schema.get("required", ()))
    rows = []
    for name, one in schema.get("properties", {}).items():
        values = enum_of(one, schema)
        kind = " | ".join(values or dict.fromkeys(types_of(one, schema))) or "any"
        if one.get("format"):
            kind += f" ({one['format']})"
        default = "(required)" if name in required else json.dumps(one.get("default"), ensure_ascii=False)
        rows.append((str(name), kind, default, str(one.get("description", ""))))
    return rows
