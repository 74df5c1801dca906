"""The herald: says every few seconds how its process is, so that others hear of a process that has no lease."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Sequence

import msgspec
import psutil

from jobs.broker import Broker
from jobs.broker.process import Processes
from jobs.clock import Clock, new_id, now_ms
from jobs.errors import BrokerUnavailable, EpochChanged
from jobs.patience import Patience
from jobs.pool import pool_figures
from jobs.probe import STUCK_S, Health
from jobs.services.base import Loop
from jobs.snapshot import BackupFigures, ProcessFigures, ProcessKind
from jobs.store import Store
from jobs.version import version

EVERY_S = 5.0
AGAIN_S = 1.0
"""After a time when nobody heard it."""
HOLDS_S = 15.0
"""A process that has said nothing for so long is gone."""
FLUSH_S = 1.0
"""How long it waits for slow statements to be written down. The database may be frozen, and it is to be heard."""
TICK_S = 0.5
"""How often it is looked at whether the event loop is late, and whether anything fails that did not, or the reverse."""


class Herald(Loop):
    """Speaks for its process. Every process has its own.

    A worker says with its lease how it is, so its herald speaks of its connections to the database only. `parts` tells
    how the parts of the process are; what fails is said at once.
    """

    name = "herald"

    def __init__(  # noqa: PLR0913  # what the process knows of itself, one by one
        self,
        kind: ProcessKind,
        store: Store,
        broker: Broker,
        *,
        parts: Callable[[], Sequence[Health]] = tuple,
        backups: Callable[[], BackupFigures | None] = lambda: None,
        clock: Clock = now_ms,
    ) -> None:
        super().__init__()
        self._parts = parts
        self._backups = backups
        self._faults: tuple[str, ...] = ()
        self._store = store
        self._broker = broker
        self._processes = Processes(broker)
        self._id = new_id()
        self._figures = ProcessFigures(
            kind=kind,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version(),
            started_ms=clock(),
            seen_ms=0,
        )
        self._process = None if kind is ProcessKind.WORKER else psutil.Process()
        if self._process:
            self._process.cpu_percent()  # the next call tells the share since this one
        self._lag_s = 0.0
        self._due_s = 0.0
        self._heard_s = time.monotonic()
        self.heard = asyncio.Event()
        """Set once anybody has heard it."""
        self._patience = Patience()
        self._expected_s: float | None = None

    async def turn(self) -> float:
        """Note how late this turn is; from time to time say how the process is."""
        now_s, expected_s = time.monotonic(), self._expected_s
        self._expected_s = None
        if expected_s is not None:
            self._lag_s = max(self._lag_s, now_s - expected_s)
        faults = tuple(part.detail for part in self._parts() if not part.ok)
        if now_s >= self._due_s or faults != self._faults:
            self._faults = faults
            self._due_s = now_s + (EVERY_S if await self._say() else AGAIN_S)
            with contextlib.suppress(TimeoutError):
                await self._patience.wait(self._store.slow.flush(), FLUSH_S)
        self._expected_s = time.monotonic() + TICK_S
        return TICK_S

    def health(self) -> Health:
        """Tell whether it makes progress, and is heard."""
        health, silent_s = super().health(), time.monotonic() - self._heard_s
        if health.ok and silent_s > STUCK_S:
            return health._replace(ok=False, detail=f"The {self.name} has not been heard for {silent_s:.0f} seconds.")
        return health

    async def finish(self) -> None:
        """Say that the process has ended."""
        try:
            await self._processes.leave(self._id)
        finally:
            await self._patience.close()

    async def _say(self) -> bool:
        """Say how the process is; False where nobody heard it."""
        try:
            await self._processes.say(self._id, self._now(), for_s=HOLDS_S)
        except (BrokerUnavailable, EpochChanged) as error:
            self._broker.outage.began(error)
            return False
        self._broker.outage.ended()
        self._heard_s = time.monotonic()
        self.heard.set()
        return True

    def _now(self) -> ProcessFigures:
        lag_s, self._lag_s = self._lag_s, 0.0
        said = msgspec.structs.replace(
            self._figures,
            pool=pool_figures(self._store.figures()),
            faults=self._faults,
            backups=self._backups(),
        )
        if self._process is None:
            return said
        with self._process.oneshot():
            cpu, memory = round(self._process.cpu_percent() / 100, 3), self._process.memory_info().rss
        return msgspec.structs.replace(said, cpu=cpu, memory_bytes=memory, loop_lag_ms=round(1000 * lag_s))
