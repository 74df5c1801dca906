"""How removal keeps out of the way: short transactions of short steps, and pauses between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from jobs.store.database import Database, Dialect, Transaction

TARGET_S: dict[Dialect, float] = {"sqlite": 0.012, "postgres": 0.020}
"""What one transaction is to take, its commit included. SQLite keeps all other writers out meanwhile."""
SHARE_MIN_S = 0.002
SHARE_MAX_S: dict[Dialect, float] = {"sqlite": 0.008, "postgres": 0.015}
"""What its steps may take of that. The rest is for the commit, which on a slow disk takes the most."""
STEP_S = 0.004
"""What one step is to take."""
STEP_MIN: dict[Dialect, int] = {"sqlite": 300, "postgres": 2_000}
STEP_MAX: dict[Dialect, int] = {"sqlite": 2_000, "postgres": 5_000}
"""Rows of one step. Where a machine is so busy that even the fewest take long, fewer would not be faster.

PostgreSQL holds only those up who want the very same rows, and each of its statements has a way to go: with small
steps a busy machine gets more jobs than it removes.
"""
PAUSE_MIN_S = 0.002

Monotonic = Callable[[], float]


class Sweep(Protocol):
    """What is to be removed, found beside the writers and removed step by step."""

    async def find(self) -> bool:
        """Look on for what goes next, where nothing is left of what was found; False once all was looked at."""

    @property
    def has_found(self) -> bool:
        """Whether anything is left of what was found."""

    async def step(self, transaction: Transaction, rows: int) -> tuple[int, int]:
        """Remove about so many rows of what was found; return how many rows and how many records that was."""


class Pace:
    """How many rows one step takes, and how long steps go on, on this machine at this time."""

    def __init__(self, dialect: Dialect) -> None:
        self._least, self._most = STEP_MIN[dialect], STEP_MAX[dialect]
        self._target_s, self._share_max_s = TARGET_S[dialect], SHARE_MAX_S[dialect]
        self.rows = self._least
        self.share_s = SHARE_MIN_S

    def note_step(self, rows: int, took_s: float) -> None:
        """Learn from a step. It grows slowly and shrinks at once."""
        if rows:
            factor = min(2.0, max(0.1, STEP_S / max(took_s, 1e-6)))
            # A step that was cut short, since there was not more to remove, says nothing about larger ones.
            largest = max(self.rows, 2 * rows)
            self.rows = int(min(self._most, largest, max(self._least, rows * factor)))

    def note_transaction(self, took_s: float) -> None:
        """Learn from a transaction and its commit."""
        factor = min(1.25, max(0.1, self._target_s / max(took_s, 1e-6)))
        self.share_s = min(self._share_max_s, max(SHARE_MIN_S, self.share_s * factor))


async def sweep(database: Database, what: Sweep, *, monotonic: Monotonic = time.monotonic) -> AsyncGenerator[int, None]:
    """Remove all that is found; yields after each transaction, or look in vain, how many records went with it.

    Whoever stops to iterate leaves the rest for the next time. Raises StoreUnavailable.
    """
    pace = Pace(database.dialect)
    while await what.find():
        if not what.has_found:
            yield 0
            continue
        removed, goes_on = 0, True
        async with database.transaction() as transaction:
            began_s = step_s = monotonic()
            while goes_on:
                rows, records = await what.step(transaction, pace.rows)
                removed += records
                now_s = monotonic()
                pace.note_step(rows, now_s - step_s)
                step_s = now_s
                goes_on = what.has_found and now_s - began_s < pace.share_s
        held_s = monotonic() - began_s
        pace.note_transaction(held_s)
        yield removed
        await asyncio.sleep(max(PAUSE_MIN_S, held_s))
