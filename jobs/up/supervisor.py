"""Keeps processes running, and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from jobs.errors import QueueQLError, StartError
from jobs.process import Running, end, signal_group, spawn
from jobs.up.forked import Forked

BACKOFF_MIN_S = 0.5
BACKOFF_MAX_S = 15.0
LIVED_LONG_S = 30.0
"""A process that lived for so long starts again at once, without the backoff that earlier ends had built up."""
HURRY_S = 2.0
KILLED_MAX = 3
"""How often a process may be killed at its start before that counts as its failure."""

_EXPLAINED = {error.exit_code for error in StartError.__subclasses__()}

log = structlog.get_logger(__name__)


class ChildFailed(QueueQLError):
    """A process ended before the product was ready."""

    def __init__(self, name: str, exit_code: int, said: str = "") -> None:
        super().__init__(said or f"The process {name} ended at its start with exit code {exit_code}.")
        self.exit_code = exit_code
        self._said = said

    @property
    def printed(self) -> bool:
        """Whether the process has itself printed the sentence that says what keeps it from starting."""
        return not self._said and self.exit_code in _EXPLAINED


class Backoff:
    """Pauses between restarts: doubling, and short again after a long life."""

    def __init__(self) -> None:
        self._next_s = BACKOFF_MIN_S

    def after(self, lived_s: float) -> float:
        """Seconds to wait before the next start of a process that has just ended."""
        if lived_s >= LIVED_LONG_S:
            self._next_s = BACKOFF_MIN_S
        pause, self._next_s = self._next_s, min(self._next_s * 2, BACKOFF_MAX_S)
        return pause


class Child:
    """One process that is started again whenever it ends, until it is told to stop."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        environ: Mapping[str, str],
        *,
        stop_s: float,
        waiting: Forked | None = None,
    ) -> None:
        """Make it, without a start.

        `stop_s` is how long it may take to end in order; `waiting` is a process to begin with instead of a new one.
        """
        self.name = name
        self._argv = argv
        self._environ = environ
        self._stop_s = stop_s
        self._waiting = waiting
        self._process: Running | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it, once."""
        waiting, self._waiting = self._waiting, None
        if waiting:
            waiting.begin(self._environ)
        self._process = waiting or await spawn(self._argv, environ=self._environ)

    async def failed(self) -> ChildFailed:
        """Wait until what `start` started ends by itself. Where it is killed instead, it is started again, twice."""
        killed = 0
        while True:
            assert self._process is not None, "start() comes first"  # noqa: S101  # narrows the type
            code = await self._process.wait()
            killed += code == -signal.SIGKILL
            if code != -signal.SIGKILL or killed == KILLED_MAX:
                return ChildFailed(self.name, code, self._said)
            log.warning("process.killed_at_its_start", name=self.name)
            await self.start()

    def keep(self) -> None:
        """From now on, start it again whenever it ends."""
        self._keeper = asyncio.create_task(keep(self.name, self._wait, self.start), name=f"keep {self.name}")

    async def _wait(self) -> int:
        if self._process is None:
            return 0
        code = await self._process.wait()
        if self._said:
            log.error("process.failed", name=self.name, error=self._said)
        return code

    @property
    def _said(self) -> str:
        return self._process.said if isinstance(self._process, Forked) else ""

    async def stop(self, hurry: asyncio.Event) -> None:
        """End it in order; within two seconds once `hurry` is set. Stopping twice is allowed."""
        if self._keeper:
            await cancel(self._keeper)
        waiting, self._waiting = self._waiting, None
        if waiting:
            waiting.dismiss()
        if self._process is None or self._process.returncode is not None:
            return
        stopping = asyncio.create_task(end(self._process, within_s=self._stop_s))
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not stopping.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            await asyncio.wait({stopping}, timeout=HURRY_S)
            signal_group(self._process, signal.SIGKILL)
        if not await stopping:
            log.warning("process.killed", name=self.name, reason="it did not end in time")


async def keep(name: str, wait: Callable[[], Awaitable[int]], start: Callable[[], Awaitable[None]]) -> None:
    """Start something again, with backoff, whenever its wait is over. Runs until it is cancelled."""
    backoff = Backoff()
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        code = await wait()
        pause_s = backoff.after(loop.time() - started)
        log.warning("process.ended", name=name, exit_code=code, restart_in_s=pause_s)
        await asyncio.sleep(pause_s)
        try:
            await start()
        except (OSError, QueueQLError) as error:
            log.error("process.not_started", name=name, error=str(error))  # noqa: TRY400  # the sentence is enough


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it is gone."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
