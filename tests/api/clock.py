"""A clock that can be put forward."""

from __future__ import annotations

from jobs.clock import now_ms


class ShiftedClock:
    """The machine's clock, so many seconds ahead."""

    def __init__(self) -> None:
        self.advance_s = 0

    def __call__(self) -> int:
        return now_ms() + self.advance_s * 1_000
