"""The worker's side of one process that jobs run in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from jobs import outcome
from jobs.context import Said
from jobs.worker.wire import Ended, FromChild, Order, Ready, Spoke, ToChild, frame, outcome_of, read

log = structlog.get_logger(__name__)

LAST_WORDS_S = 0.5
"""A process that is dead may have said something that was not read yet."""


class NotStarted(Exception):
    """A process for a job could not be started."""


class Died(msgspec.Struct, frozen=True):
    """The process ended in the middle of a job."""

    code: int | None
    """Its exit code, negative for a signal; None: it went down with the process that it was forked from."""


class Process:
    """One process. It runs one job at a time."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer
        loop = asyncio.get_running_loop()
        self._code: asyncio.Future[int | None] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._result: asyncio.Future[outcome.Outcome | Died] | None = None
        self._hear: Callable[[Said], None] = _unheard
        self.cpu_us: int | None = None
        """Processor time that its last job took, in microseconds; None where it did not say so."""
        self.listening = asyncio.create_task(self._listen(), name=f"child {number}")

    @property
    def alive(self) -> bool:
        """True until it is known to have ended."""
        return not self._code.done() and not self.listening.done()

    async def ready(self) -> None:
        """Wait for its start. Raises NotStarted."""
        await asyncio.wait([self._ready, self.listening], return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done():
            raise NotStarted("A process for the job could not be started; the worker's output may say why.")

    async def run(self, order: Order, hear: Callable[[Said], None]) -> outcome.Outcome | Died:
        """Let it run a job; `hear` is called with what the task says."""
        self._result, self._hear = asyncio.get_running_loop().create_future(), hear
        self.cpu_us = None
        self.tell(order)
        if self.listening.done():
            self._settle(Died(self._code.result()))
        try:
            return await self._result
        finally:
            self._result, self._hear = None, _unheard

    def tell(self, message: ToChild) -> None:
        """Send it a message; one that has ended does not hear it."""
        if not self._writer.is_closing():
            self._writer.write(frame(message))

    def dismiss(self) -> None:
        """Let it end; a job that it runs ends with it."""
        self._writer.close()

    async def _listen(self) -> None:
        try:
            while (message := await read(self._reader)) is not None:
                self._take(message)
        except Exception:  # a task has all means to spoil what its process says
            log.exception("pool.child_unreadable")
        self._writer.close()  # which ends it, should it have closed its end by itself
        self._settle(Died(await self._code))

    def _take(self, message: FromChild) -> None:
        match message:
            case Ready() if not self._ready.done():
                self._ready.set_result(None)
            case Spoke(said):
                self._hear(said)
            case Ended():
                self.cpu_us = message.cpu_us
                self._settle(outcome_of(message))

    def _settle(self, how: outcome.Outcome | Died) -> None:
        if self._result is not None and not self._result.done():
            self._result.set_result(how)

    def ended(self, code: int | None) -> None:
        """Note its end."""
        if not self._code.done():
            self._code.set_result(code)
            # What it forked may hold the wire open; what it has said itself is read by then.
            asyncio.get_running_loop().call_later(LAST_WORDS_S, self._writer.transport.abort)


def _unheard(_said: Said) -> None:
    """Nobody listens: the job has ended."""
