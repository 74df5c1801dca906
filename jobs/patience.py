"""Waiting for no longer than one has time, where what is waited for may take long to end though it was cut off.

A question to a frozen database is one: whoever cancels it waits until its connection is given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from jobs.ending import end

T = TypeVar("T")

LATE_MAX = 16


class Patience:
    """Waits for work, and for no longer where that takes too long: so much of it goes on at a time at most."""

    def __init__(self, *, gives_up: bool = False) -> None:
        """`gives_up`: work that takes too long is cancelled, though nobody waits until it has ended."""
        self._gives_up = gives_up
        self._late: set[asyncio.Task[Any]] = set()

    async def wait(self, work: Coroutine[Any, Any, T], within_s: float) -> T:
        """Return what the work returns. Raises TimeoutError, and what the work raises."""
        if len(self._late) >= LATE_MAX:
            work.close()
            raise TimeoutError
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task}, timeout=within_s)
        finally:
            if not task.done():
                self._late.add(task)
                if self._gives_up:
                    task.cancel()
        if not task.done():
            raise TimeoutError
        return task.result()

    async def close(self) -> None:
        """End what goes on still."""
        for task in list(self._late):
            await end(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # there may be nobody who waits for it any more
