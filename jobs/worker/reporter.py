"""Carries what running tasks say to Redis: progress and log lines in batches, checkpoints at once."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from jobs.broker import Report, Session
from jobs.context import Context, Interrupt, Said
from jobs.duty import Duty

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
        self._urgent = asyncio.Event()
        self._sending = asyncio.Lock()
        self.duty = Duty("reporter")
        self.duty.start()

    def notify(self, context: Context) -> None:
        """Note that this context has something to report."""
        self._speaking.append(context)
        self.duty.owe()
        urgent = context.urgent
        if not self._wake.is_set() or (urgent and not self._urgent.is_set()):
            try:
                self._loop.call_soon_threadsafe(self._call, urgent)
            except RuntimeError:  # the loop is closed: a thread outlived its worker
                self._speaking.clear()

    def _call(self, urgent: bool) -> None:
        self._wake.set()
        if urgent:
            self._urgent.set()

    async def run(self) -> None:
        """Send checkpoints at once, all else every 0.2 seconds, until cancelled. Raises SessionLost."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._urgent.clear()
            await self.flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._urgent.wait()

    async def flush(self) -> None:
        """Send everything that was reported before this call; it has arrived when this returns."""
        async with self._sending:
            self.duty.move()
            while self._speaking:
                taken: list[tuple[Context, Said]] = []
                lines = 0
                while self._speaking and len(taken) < CHUNK and lines < CHUNK_LINES:
                    context = self._speaking.popleft()
                    if context.pending:  # one that was urgent stands here twice
                        taken.append((context, context.take()))
                        lines += len(taken[-1][1].lines)
                over = await self._session.report([_report(context, said) for context, said in taken])
                self.duty.move()
                for context, said in taken:
                    if said.checkpoint:
                        context.settle(said.saves, Interrupt.LOST if context.token in over else None)
            self.duty.rest(0.0, more=bool(self._speaking))


def _report(context: Context, said: Said) -> Report:
    return Report(
        id=context.job_id, token=context.token, progress=said.progress, checkpoint=said.checkpoint, logs=said.lines
    )
