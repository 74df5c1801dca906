"""What goes wrong with requests: a rate limit, and faults at a fixed rate, the same ones at every start."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum, auto


class Fault(Enum):
    """How a request fails."""

    SERVER_ERROR = auto()
    SLOW = auto()
    BROKEN_CONNECTION = auto()


@dataclass
class Faults:
    """Every `every`-th request fails (0: none), in each way in turn."""

    every: int = 0
    _requests: int = 0

    def next(self) -> Fault | None:
        """How the request that has just come in is to fail, if it is."""
        self._requests += 1
        if not self.every or self._requests % self.every:
            return None
        kinds = tuple(Fault)
        return kinds[(self._requests // self.every - 1) % len(kinds)]


@dataclass
class RateLimit:
    """At most `per_second` requests in each second (0: no limit)."""

    per_second: int = 0
    refused: int = 0
    _window: float = 0.0
    _used: int = 0

    def admit(self) -> float:
        """Seconds to wait before the next try; 0 where the request is admitted."""
        now = time.monotonic()
        if now - self._window >= 1:
            self._window, self._used = now, 0
        if not self.per_second or self._used < self.per_second:
            self._used += 1
            return 0.0
        self.refused += 1
        return self._window + 1 - now
