"""The tasks that workers have published, as this process knows them."""

from __future__ import annotations

import asyncio
import difflib

import structlog

from jobs.clock import Clock
from jobs.errors import StoreUnavailable, UnknownTask
from jobs.store import Store
from jobs.task import TaskDefinition

log = structlog.get_logger(__name__)

LOOK_MS = 1_000
"""The catalogue is looked at again at most this often."""


class Published:
    """The catalogue of tasks, kept in memory and read again when its version has changed.

    While the database is away, what was known goes on to hold.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tasks: dict[str, TaskDefinition] | None = None
        self._version = ""
        self._looked_ms = 0
        self._looking = asyncio.Lock()

    async def task(self, name: str) -> TaskDefinition:
        """Return the definition of a task. Raises UnknownTask with what may have been meant, StoreUnavailable."""
        tasks = await self.tasks()
        if name in tasks:
            return tasks[name]
        close = difflib.get_close_matches(name[:128], tasks, n=1)
        hint = f" Did you mean {close[0]}?" if close else " Is a worker that has it running?"
        raise UnknownTask(f'No worker has published a task "{name[:128]}".{hint}', path=("task",))

    async def tasks(self) -> dict[str, TaskDefinition]:
        """Return all definitions by name, the names in order. Raises StoreUnavailable where none were read yet."""
        if self._tasks is None:
            async with self._looking:
                if self._tasks is None:
                    await self._look()
        elif self._is_due() and not self._looking.locked():
            async with self._looking:
                await self._look_again()
        assert self._tasks is not None  # noqa: S101  # _look sets it or raises
        return self._tasks

    async def version(self) -> str:
        """Return a text that changes when a task does. Raises StoreUnavailable as `tasks` does."""
        await self.tasks()
        return self._version

    def forget(self) -> None:
        """Look again at the next call, whatever the time."""
        self._looked_ms = 0

    def _is_due(self) -> bool:
        # A clock that was set back must not keep it from looking.
        return not 0 <= self._clock() - self._looked_ms < LOOK_MS

    async def _look(self) -> None:
        self._looked_ms = self._clock()
        version = await self._store.catalogue.version()
        if self._tasks is not None and version == self._version:
            return
        # The version is read first: what is published in between is found again at the next look.
        read = {task.name: task for task in await self._store.catalogue.tasks()}
        self._tasks = {name: read[name] for name in sorted(read)}
        self._version = version

    async def _look_again(self) -> None:
        try:
            await self._look()
        except StoreUnavailable as error:
            log.warning("catalogue.stale", error=str(error))
