from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.client import text

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROGRESS: dict[str, Any] = {
    "done": 1.0, "total": 4.0, "percentage": 25.0, "step": "mail", "message": None, "failed": 0
}  # fmt: skip


@pytest.mark.parametrize(
    ("ago_s", "shown"),
    [
        (0, "now"), (0.4, "now"), (-0.4, "now"), (5, "5 s ago"), (59, "59 s ago"), (180, "3 min ago"),
        (7_300, "2 h ago"), (86_400 * 3, "3 d ago"), (86_400 * 20, "2 wk ago"), (-90, "in 1 min"),
    ],
)  # fmt: skip
def test_how_long_ago_a_time_is(ago_s: float, shown: str) -> None:
    assert text.relative((NOW - timedelta(seconds=ago_s)).isoformat(), NOW) == shown


def test_no_time_is_a_dash() -> None:
    assert text.relative(None, NOW) == text.local(None) == text.both(None, NOW) == "-"


@pytest.mark.parametrize(
    ("duration", "shown"),
    [
        ("PT0S", "0 ms"), ("PT0.012S", "12 ms"), ("PT1.24S", "1.2 s"), ("PT2S", "2 s"), ("PT59.96S", "1 min"),
        ("PT200S", "3 min 20 s"), ("PT24H", "1 d"), ("P1DT1H30M", "1 d 1 h"), ("P2W", "2 wk"),
    ],
)  # fmt: skip
def test_a_length_of_time(duration: str, shown: str) -> None:
    assert text.length(duration) == shown


@given(st.text())
def test_no_text_can_steer_a_terminal(given: str) -> None:
    for shown in (text.safe(given), text.one_line(given), text.data({"a": given})):
        assert not [one for one in shown if (ord(one) < 32 and one not in "\n\t") or 127 <= ord(one) < 160]


def test_bidirectional_overrides_are_written_out() -> None:
    assert text.safe("a\u202eb") == "a\\u202eb"


def test_progress_in_one_line() -> None:
    assert text.progress_text(PROGRESS) == "1/4 (25%)  mail"
    assert text.progress_text(PROGRESS | {"total": None, "done": 1_234.5, "failed": 2}) == "1,234.5  mail  2 failed"
    assert text.progress_text(None) == ""


def test_a_running_job_shows_how_far_it_is() -> None:
    job = {"state": "ACTIVE", "cancelRequested": False, "progress": PROGRESS}
    assert text.state_text(job) == "ACTIVE 25%"
    assert text.state_text(job | {"cancelRequested": True}) == "ACTIVE cancelling"
    assert text.state_text(job | {"state": "QUEUED", "cancelRequested": True}) == "QUEUED cancelling"
    assert text.state_text(job | {"state": "CANCELLED", "cancelRequested": True}) == "CANCELLED"
    assert text.state_text(job | {"state": "DEAD"}) == "DEAD"


def test_a_log_line_with_what_was_added() -> None:
    line = {"message": "sent", "context": {"to": "ada", "n": 2}, "stack": None}
    assert text.log_line(line) == 'sent  to="ada"  n=2'
    assert text.log_line(line | {"context": None, "stack": "Traceback\n  x\n"}) == "sent\nTraceback\n  x"


@pytest.mark.parametrize(
    ("count", "shown"), [(None, "-"), ("999", "999 B"), ("83123456", "83 MB"), (2 * 10**12, "2.0 TB")]
)
def test_amounts_of_bytes(count: str | int | None, shown: str) -> None:
    assert text.size(count) == shown
