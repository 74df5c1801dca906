"""What a job in history and its attempts have to agree on."""

from __future__ import annotations

from collections.abc import Iterable

from jobs.job import AttemptState, Reason, State
from jobs.store.fold import AttemptRow, JobRow

UNCHARGED = {AttemptState.LOST, AttemptState.RELEASED, AttemptState.SNOOZED}
"""How attempts end that do not count against max_attempts."""


def compare_attempts(row: JobRow, attempts: Iterable[AttemptRow]) -> None:
    """Compare a job with its attempts, whatever came back: each counts or does not, and none is left open."""
    shown = [attempt for attempt in attempts if attempt.run == row.run]
    assert max((attempt.number for attempt in shown), default=0) == row.attempts
    running = [attempt.number for attempt in shown if attempt.state == AttemptState.ACTIVE]
    assert running == ([row.attempts] if row.state == State.ACTIVE else [])
    charged = sum(attempt.state in UNCHARGED for attempt in shown) - row.uncharged
    # The last attempt of a poisoned job was lost, and ended it; it does not count where history had lost it before.
    assert charged in ({0, 1} if row.reason == Reason.POISON else {0})
