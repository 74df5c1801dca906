"""Scalars: what goes in and out, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from graphql import GraphQLError

from api.schema.scalars import (
    milliseconds,
    read_big_int,
    read_cursor,
    read_datetime,
    read_duration,
    read_uuid,
    write_big_int,
    write_datetime,
    write_duration,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_600_123, "2026-01-01T00:00:00.123Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2026-01-01T00:00:00.000Z"),
        (datetime(2026, 1, 1, 0, 0, 0, 123_456, UTC), "2026-01-01T00:00:00.123456Z"),
    ],
)
def test_times_are_written_in_utc(value: object, text: str) -> None:
    assert write_datetime(value) == text


def test_times_are_read_with_any_offset() -> None:
    assert milliseconds(read_datetime("2026-01-01T02:00:00+02:00")) == 1_767_225_600_000
    assert milliseconds(read_datetime("2026-01-01t00:00:00.5z")) == 1_767_225_600_500


@pytest.mark.parametrize("value", ["2026-01-01T00:00:00", "2026-01-01", "2026-13-01T00:00:00Z", "now", 5, None, ""])
def test_times_without_an_offset_and_other_things_are_refused(value: object) -> None:
    with pytest.raises(GraphQLError, match="DateTime"):
        read_datetime(value)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "PT0S"), (0.5, "PT0.5S"), (90, "PT1M30S"), (86_400, "PT24H"), (3_661.25, "PT1H1M1.25S")]
)
def test_durations_are_written_and_read_back(seconds: float, text: str) -> None:
    assert write_duration(seconds) == text
    assert read_duration(text).total_seconds() == seconds


def test_durations_are_read_in_weeks_and_days() -> None:
    assert read_duration("P1W") == timedelta(days=7)
    assert read_duration("P1DT1H") == timedelta(hours=25)


@pytest.mark.parametrize(
    "value", ["P", "PT", "P1DT", "P1Y", "P1M", "1h", "-PT1S", "PT1H 1M", 30, "P9" + "9" * 60 + "D"]
)
def test_other_durations_are_refused(value: object) -> None:
    with pytest.raises(GraphQLError, match="Duration"):
        read_duration(value)


@pytest.mark.parametrize("value", [float("nan"), -1, "PT1S"])
def test_no_duration_is_made_up(value: object) -> None:
    with pytest.raises(TypeError):
        write_duration(value)


def test_large_integers_keep_every_digit() -> None:
    assert write_big_int(2**80) == str(2**80)
    assert read_big_int(str(2**80)) == read_big_int(2**80) == 2**80


@pytest.mark.parametrize("value", [True, 1.0, "1.0", "", "x", "٣", None, "9" * 1_001])
def test_what_is_no_integer_is_refused(value: object) -> None:
    with pytest.raises(GraphQLError, match="BigInt"):
        read_big_int(value)


@pytest.mark.parametrize("value", ["", 5, None])
def test_what_is_no_cursor_is_refused(value: object) -> None:
    with pytest.raises(GraphQLError, match="Cursor"):
        read_cursor(value)


@pytest.mark.parametrize("value", ["x", 5, "{0197c0de-0000-7000-8000-000000000000}", "0197c0de00007000800000000000000"])
def test_what_is_no_uuid_is_refused(value: object) -> None:
    with pytest.raises(GraphQLError, match="UUID"):
        read_uuid(value)
