"""Carries progress and log lines of running tasks to Redis, in batches."""

from __future__ import annotations

import asyncio
from collections import deque

from jobs.broker import Report, Session
from jobs.context import Context

FLUSH_S = 0.2
CHUNK = 100
"""Attempts in one call."""
CHUNK_LINES = 1_000
"""Lines in one call, about: no more attempts are added beyond."""


class Reporter:
    """Gathers what the contexts of one session have to say. `notify` may be called from any thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._speaking: deque[Context] = deque()
        self._wake = asyncio.Event()
        self._sending = asyncio.Lock()

    def notify(self, context: Context) -> None:
        """Note that this context has something to report."""
        self._speaking.append(context)
        if not self._wake.is_set():
            try:
                self._loop.call_soon_threadsafe(self._wake.set)
            except RuntimeError:  # the loop is closed: a thread outlived its worker
                self._speaking.clear()

    async def run(self) -> None:
        """Send what there is, at most every 0.2 seconds, until cancelled. Raises SessionLost."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()
            await asyncio.sleep(FLUSH_S)

    async def flush(self) -> None:
        """Send everything that was reported before this call; it has arrived when this returns."""
        async with self._sending:
            while self._speaking:
                reports: list[Report] = []
                lines = 0
                while self._speaking and len(reports) < CHUNK and lines < CHUNK_LINES:
                    reports.append(_report(self._speaking.popleft()))
                    lines += len(reports[-1].logs)
                await self._session.report(reports)


def _report(context: Context) -> Report:
    said = context.take()
    return Report(id=context.job_id, token=context.token, progress=said.progress, logs=said.lines)
