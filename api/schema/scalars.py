"""Scalars of the API: how times, durations, JSON and large numbers look on the wire."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NewType, TypeVar
from uuid import UUID

import strawberry
from graphql import GraphQLError, GraphQLScalarType, ValueNode, value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

JSON = NewType("JSON", object)
"""Any JSON value."""
BigInt = NewType("BigInt", int)
"""An integer of any size; text on the wire."""
Cursor = NewType("Cursor", str)
"""A place in a list or in the history of events."""

_DURATION = re.compile(
    r"P(?!$)(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?"
    r"(?:T(?!$)(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?",
)
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")
_SECONDS = (604_800, 86_400, 3_600, 60, 1)
_BIG_INT_DIGITS = 1_000

T = TypeVar("T")


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime."""
    return round(moment.timestamp() * 1000)


def write_datetime(value: object) -> str:
    """RFC 3339 in UTC with Z, of milliseconds since 1970 or of an aware datetime."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        return moment.isoformat(timespec="microseconds" if moment.microsecond % 1000 else "milliseconds")[:-6] + "Z"
    if isinstance(value, int):
        seconds, rest = divmod(value, 1000)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"
    raise TypeError(f"DateTime cannot represent {value!r}.")


def read_datetime(value: object) -> datetime:
    """Parse RFC 3339; a time without an offset is refused, because it would depend on the reader."""
    if not isinstance(value, str) or not _DATETIME.fullmatch(value):
        raise GraphQLError(f"DateTime cannot represent {_shown(value)}; write it like 2030-01-31T12:00:00Z.")
    try:
        return datetime.fromisoformat(value.upper().replace(" ", "T")).astimezone(UTC)
    except (ValueError, OverflowError) as error:  # the latter: its offset leads out of the years 1 to 9999
        raise GraphQLError(f"DateTime cannot represent {_shown(value)}: {error}.") from None


def write_duration(value: object) -> str:
    """ISO 8601 in hours, minutes and seconds, of seconds or of a timedelta."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise TypeError(f"Duration cannot represent {value!r}.")
    whole, rest = divmod(round(value * 1_000_000), 1_000_000)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    tail = f"{seconds}.{rest:06d}".rstrip("0") if rest else str(seconds)
    parts = [f"{hours}H" if hours else "", f"{minutes}M" if minutes else "", f"{tail}S" if tail != "0" else ""]
    return "PT" + ("".join(parts) or "0S")


def read_duration(value: object) -> timedelta:
    """Parse ISO 8601 of weeks, days, hours, minutes and seconds; months and years have no fixed length."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) <= 64 else None
    if match is None:
        raise GraphQLError(f"Duration cannot represent {_shown(value)}; write it like PT30S, PT1H30M or P2D.")
    seconds = sum(float(part) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True) if part)
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise GraphQLError(f"Duration cannot represent {_shown(value)}: it is too long.") from None


def read_big_int(value: object) -> int:
    """An integer, or its decimal text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= _BIG_INT_DIGITS and re.fullmatch(r"-?\d+", value, re.ASCII):
        return int(value)
    raise GraphQLError(f"BigInt cannot represent {_shown(value)}; write an integer, or its digits as text.")


def write_big_int(value: object) -> str:
    """Decimal text."""
    return str(read_big_int(value))


def read_cursor(value: object) -> str:
    """Cursors are text; whether this API issued it is decided where it is used."""
    if isinstance(value, str) and value:
        return value
    raise GraphQLError(f"Cursor cannot represent {_shown(value)}.")


def read_uuid(value: object) -> UUID:
    """Parse a UUID in its canonical form."""
    try:
        return UUID(value if isinstance(value, str) and len(value) == 36 else "")
    except ValueError:
        raise GraphQLError(f"UUID cannot represent {_shown(value)}.") from None


def _same(value: T) -> T:
    return value


def _literal(read: Callable[[object], T]) -> Callable[[ValueNode, Mapping[str, Any] | None], T]:
    """Read what stands in a document; an error says where."""

    def parse(node: ValueNode, variables: Mapping[str, Any] | None = None) -> T:
        try:
            return read(value_from_ast_untyped(node, dict(variables or {})))
        except GraphQLError as error:
            raise GraphQLError(error.message, node) from None

    return parse


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


SCALARS: dict[object, ScalarDefinition] = {
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value: object, list, text, number, true, false or null.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_same,
        parse_value=_same,
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="An integer of any size. Sent as text, because JSON readers lose digits beyond 2^53.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc7493#section-2.2",
        serialize=write_big_int,
        parse_value=read_big_int,
        parse_literal=_literal(read_big_int),
    ),
    Cursor: strawberry.scalar(
        name="Cursor",
        description="A place in a list or in the history of events. Opaque: keep it, send it back, do not read it.",
        specified_by_url="https://relay.dev/graphql/connections.htm#sec-Cursor",
        serialize=str,
        parse_value=read_cursor,
        parse_literal=_literal(read_cursor),
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment, as RFC 3339 text. Always sent in UTC with Z; input may carry any offset.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=write_datetime,
        parse_value=read_datetime,
        parse_literal=_literal(read_datetime),
    ),
    timedelta: strawberry.scalar(
        name="Duration",
        description="A length of time, as ISO 8601 text in weeks, days, hours, minutes and seconds: `PT1H30M`, `P2D`.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339#appendix-A",
        serialize=write_duration,
        parse_value=read_duration,
        parse_literal=_literal(read_duration),
    ),
}

FOR_TASKS = {
    "UUID": GraphQLScalarType(
        "UUID",
        description="A universally unique identifier in its canonical form of 36 characters.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc9562",
        serialize=str,
        parse_value=read_uuid,
        parse_literal=_literal(read_uuid),
    )
}
"""Scalars that only the arguments of tasks use: they are in a schema where a task has them."""
