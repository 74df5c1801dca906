from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import typer

from api.client.job_filter import where
from api.client.option import State, iso_length, read_length, read_moment, read_past

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5_400), ("2d", 172_800), ("500ms", 0.5), ("1.5 h", 5_400)],
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert read_length(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "x", "5y", "5s later", "-5s", "999999999999d"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_length(text)


@pytest.mark.parametrize("text", ["2026-03-01", "2026-03-01 18:00", "2026-03-01T18:00:00+01:00"])
def test_moments_have_a_zone(text: str) -> None:
    assert read_moment(text).tzinfo


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "0001-01-01T00:00+14:00"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_moment(text)


def test_the_past_as_an_age_or_a_moment() -> None:
    assert read_past("2h", NOW) == NOW - timedelta(hours=2)
    assert read_past("2026-02-01T00:00:00Z", NOW) == datetime(2026, 2, 1, tzinfo=UTC)
    with pytest.raises(typer.BadParameter):
        read_past("999999d", NOW)


def test_a_length_is_sent_as_iso_8601() -> None:
    assert iso_length(timedelta(hours=1, seconds=0.25)) == "PT3600.250S"


def test_a_filter_has_what_was_said_only() -> None:
    nothing = {"tasks": None, "queues": None, "owners": None, "tags": None}
    assert where(now=NOW, text=None, states=None, since=None, until=None, **nothing) is None  # type: ignore[arg-type]  # one empty list for all
    said = where(now=NOW, text=["a:b", "c:d"], states=[State.DEAD], since="1h", until=None, **nothing)  # type: ignore[arg-type]  # one empty list for all
    assert said == {"text": "a:b c:d", "states": ["DEAD"], "createdAt": {"from": "2026-03-01T11:00:00+00:00"}}
