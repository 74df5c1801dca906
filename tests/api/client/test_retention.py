from __future__ import annotations

from datetime import UTC, datetime

from api.client.retention import _next

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_a_policy_whose_time_has_come_is_due_now() -> None:
    assert _next("2026-11-26T11:47:00Z", NOW) == "due now"
    assert _next("1970-01-01T00:00:00Z", NOW) == "due now"
    assert _next("2026-11-26T12:13:00Z", NOW) == "in 13 min"
    assert _next(None, NOW) == "-"
