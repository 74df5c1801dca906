"""Whether a task that works only where there is something to do does what it owes to those who wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf


class Duty:
    """Kept by one task: it is woken, takes a round, and rests before the next one. Any thread may call `owe`."""

    def __init__(self, name: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._monotonic = monotonic
        self._runs = False
        self._since: float | None = None
        self._free_at = -inf

    def start(self) -> None:
        """Note that the task runs from now on: before, it owes nothing."""
        self._runs = True

    def owe(self) -> None:
        """Note that there is something to do."""
        if self._runs and self._since is None:
            self._since = self._monotonic()

    def move(self) -> None:
        """Note that a round has begun, or goes on."""
        self._since = self._monotonic()

    def rest(self, pause_s: float, *, more: bool) -> None:
        """Note that a round has ended, and that the next one, if there is `more` to do, comes after the pause."""
        now = self._monotonic()
        self._since, self._free_at = (now if more else None), now + pause_s

    @property
    def still_s(self) -> float:
        """For how long nothing was done although something is to be done."""
        since = self._since  # which another thread may change
        return 0.0 if since is None else max(0.0, self._monotonic() - max(since, self._free_at))
