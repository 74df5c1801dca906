"""The arguments of a job, checked against the signature that its task was published with."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import time, timedelta
from typing import Any

import jsonschema_rs
import msgspec
from pydantic import TypeAdapter, ValidationError

from jobs.commands import text
from jobs.commands.text import Path
from jobs.errors import InvalidArguments, PayloadTooLarge
from jobs.task import TaskDefinition

Kind = jsonschema_rs.ValidationErrorKind
Fault = jsonschema_rs.ValidationError

ROOT: Path = ("args",)
_duration = TypeAdapter(timedelta)

_DESCRIBED_DEPTH = 4
_MAYBE_INTEGRAL = re.compile(rb"[0-9](?:\.0|e)")  # 1.0, 1e22; also within a text, which costs time only


class Signatures:
    """The compiled signatures of all tasks; one is compiled again when its definition changes."""

    def __init__(self) -> None:
        self._compiled: dict[str, _Compiled] = {}

    def encode(self, definition: TaskDefinition, args: Any, *, max_bytes: int) -> bytes:
        """Return the arguments as JSON. Raises InvalidArguments or PayloadTooLarge, with the path of the first fault.

        Nothing is converted: "1" is no integer, and neither is 1.0.
        """
        if not isinstance(args, dict):
            raise InvalidArguments("args must be an object that has the arguments by name.", path=ROOT)
        encoded = text.encode(args, ROOT, InvalidArguments)
        if len(encoded) > max_bytes:
            raise PayloadTooLarge(
                f"args take {len(encoded):,} bytes as JSON; at most {max_bytes:,} are allowed.", path=ROOT
            )
        self._of(definition).check(args, integral_floats=_MAYBE_INTEGRAL.search(encoded) is not None)
        return encoded

    def _of(self, definition: TaskDefinition) -> _Compiled:
        compiled = self._compiled.get(definition.name)
        if compiled is None or compiled.definition is not definition:
            digest = definition.hash()
            if compiled is None or compiled.digest != digest:
                compiled = _Compiled(definition, digest)
            compiled.definition = definition
            self._compiled[definition.name] = compiled
        return compiled


class _Compiled:
    """A signature that is ready to check arguments."""

    def __init__(self, definition: TaskDefinition, digest: str) -> None:
        self.definition = definition
        self.digest = digest
        self._schema: dict[str, Any] = definition.args_schema
        self._validator = jsonschema_rs.validator_for(
            self._schema, validate_formats=True, formats={"time": _is_time, "duration": _is_duration}, offline=True
        )

    def check(self, args: dict[str, Any], *, integral_floats: bool) -> None:
        fault = next(iter(self._validator.iter_errors(args)), None)
        if fault is None and integral_floats:
            fault = self._float_for_integer(args)
        if fault is not None:
            raise _explained(fault, self._schema)

    def _float_for_integer(self, args: dict[str, Any]) -> Fault | None:
        """Return the fault where 1.0 stands for an integer, which JSON Schema allows and the worker refuses.

        Moved by the smallest step to either side, such a float does not fit any more.
        """
        paths = list(_integral_floats(args, ()))
        faults: list[dict[Path, Fault]] = []
        for direction in (-math.inf, math.inf) if paths else ():
            found = map(_deepest, self._validator.iter_errors(_with_floats_moved(args, direction)))
            faults.append({tuple(fault.instance_path): fault for fault in found})
        return next((faults[0][path] for path in paths if path in faults[0] and path in faults[1]), None)


def _is_time(value: str) -> bool:
    """Tell whether it is a time of day as tasks read it: the offset may be left out."""
    try:
        time.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_duration(value: str) -> bool:
    """Tell whether it is an ISO 8601 duration as tasks read it: fractions of a second are allowed."""
    try:
        _duration.validate_strings(value)
    except ValidationError:
        return False
    return "P" in value


def _integral_floats(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, float) and value.is_integer():
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _integral_floats(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _integral_floats(item, (*path, index))


def _with_floats_moved(value: Any, direction: float) -> Any:
    if isinstance(value, float) and value.is_integer():
        return math.nextafter(value, direction)
    if isinstance(value, dict):
        return {name: _with_floats_moved(item, direction) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_floats_moved(item, direction) for item in value]
    return value


def _explained(fault: Fault, schema: dict[str, Any]) -> InvalidArguments:
    """Return the error for people: where, and what would be allowed there."""
    fault = _deepest(fault)
    path: Path = (*ROOT, *fault.instance_path)
    where, parent = text.shown(path), _resolve(schema, fault.schema_path[:-1])
    properties = parent.get("properties", {})
    match fault.kind:
        case Kind.Required(name):
            path = (*path, name)
            sentence = f"{text.shown(path)} is missing; it must be {describe(properties.get(name), schema)}."
        case Kind.AdditionalProperties(names) | Kind.UnevaluatedProperties(names):
            path = (*path, names[0])
            sentence = f"{text.shown(path)} does not exist; {where} may have: {', '.join(properties) or 'nothing'}."
        case Kind.Type() | Kind.Enum() | Kind.Constant() | Kind.Format() | Kind.AnyOf() | Kind.OneOfNotValid():
            sentence = f"{where} must be {describe(parent, schema)}."
        case Kind.Maximum(limit):
            sentence = f"{where} must be at most {limit}."
        case Kind.Minimum(limit):
            sentence = f"{where} must be at least {limit}."
        case Kind.MaxLength(limit) | Kind.MaxItems(limit):
            sentence = f"{where} is too long; at most {limit} are allowed."
        case Kind.MinLength(limit) | Kind.MinItems(limit):
            sentence = f"{where} is too short; at least {limit} are needed."
        case _:
            sentence = f"{where} does not fit: {fault.message}."
    return InvalidArguments(sentence, path=path)


def _deepest(fault: Fault) -> Fault:
    """Where no alternative fits, the fault within the alternative that came farthest tells more."""
    if isinstance(fault.kind, Kind.AnyOf | Kind.OneOfNotValid):
        inner = [_deepest(branch[0]) for branch in fault.kind.context if branch]
        objects = [one for one in inner if isinstance(one.kind, Kind.Required | Kind.AdditionalProperties)]
        if len(objects) == 1:
            return objects[0]
        best = max(inner, key=lambda one: len(one.instance_path), default=fault)
        return best if len(best.instance_path) > len(fault.instance_path) else fault
    return fault


def _resolve(schema: Any, path: list[str | int]) -> dict[str, Any]:
    for part in path:
        schema = schema[part]
    return schema if isinstance(schema, dict) else {}


_NAMES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
_FORMATS = {
    "date-time": "a date and time with an offset, as in 2026-01-31T12:00:00Z",
    "date": "a date, as in 2026-01-31",
    "time": "a time, as in 12:00:00",
    "duration": "a duration, as in PT90S",
    "uuid": "a UUID, as in 0197c0de-0000-7000-8000-000000000000",
}


def describe(part: Any, schema: dict[str, Any], depth: int = 0) -> str:
    """Return what a part of a signature allows, as the end of the sentence "it must be ..."."""
    if not isinstance(part, dict) or depth > _DESCRIBED_DEPTH:
        return "a value"
    if isinstance(reference := part.get("$ref"), str) and reference.startswith("#/"):
        return describe(_resolve(schema, list(reference[2:].split("/"))), schema, depth + 1)
    if options := part.get("enum") or ([part["const"]] if "const" in part else None):
        shown = [msgspec.json.encode(option).decode() for option in options]
        return shown[0] if len(shown) == 1 else f"one of {', '.join(shown)}"
    if alternatives := part.get("anyOf") or part.get("oneOf"):
        return " or ".join(dict.fromkeys(describe(one, schema, depth + 1) for one in alternatives))
    types = part.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types == ["string"] and part.get("format") in _FORMATS:
        return _FORMATS[part["format"]]
    return " or ".join(_NAMES.get(one, one) for one in types) or "a value"
