"""Group commit: callers that wait at the same time share one transaction, and with it one sync of the disk."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from jobs.errors import DiskFull, StoreUnavailable
from jobs.probe import STUCK_S

T = TypeVar("T")
R = TypeVar("R")

WAITING_MAX = 20_000
"""Items that may wait; more are refused at once."""
RETRY_S = 3.0
"""How long a batch is tried again when the database does not answer."""


class GroupCommit(Generic[T, R]):
    """Hands waiting items to `write` in batches, one batch at a time.

    `write` makes one transaction and returns one result for each item. It must be safe to repeat: when a
    connection breaks during COMMIT, nobody knows the outcome, and the same batch is written again.
    """

    def __init__(self, write: Callable[[list[T]], Awaitable[Sequence[R]]], *, batch: int) -> None:
        self._write = write
        self._batch = batch
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._turned_at = 0.0
        self._closed = False

    def check(self) -> None:
        """Raise StoreUnavailable where callers wait and nothing is written."""
        still_s = time.monotonic() - self._turned_at
        if self._task is not None and not self._task.done() and still_s > STUCK_S:
            raise StoreUnavailable(f"What is to be written has waited for {still_s:.0f} seconds.")

    def submit(self, item: T) -> asyncio.Future[R]:
        """Queue an item and return the future of its result. Cancelling it before it is written withdraws it.

        Raises StoreUnavailable when too many wait or after close().
        """
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        if len(self._waiting) >= WAITING_MAX:
            raise StoreUnavailable("The database is too slow for what is asked of it: too many jobs wait for it.")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._turned_at = time.monotonic()
            self._task = asyncio.create_task(self._run(), name="group-commit")
        return future

    async def close(self) -> None:
        """Write what waits, then take nothing more."""
        self._closed = True
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while batch := self._take():
            await self._settle(batch)

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        batch: list[tuple[T, asyncio.Future[R]]] = []
        while self._waiting and len(batch) < self._batch:
            item, future = self._waiting.popleft()
            if not future.done():  # else its caller has gone
                batch.append((item, future))
        return batch

    async def _settle(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        self._turned_at = time.monotonic()
        try:
            results = await self._persist([item for item, _ in batch])
        except StoreUnavailable as error:
            # Those who came meanwhile have waited as long: one after the other they would wait for minutes.
            for _, future in (*batch, *self._waiting):
                _fail(future, error)
            self._waiting.clear()
        except Exception as error:  # whatever is wrong with one item must not fail the others
            if len(batch) == 1:
                _fail(batch[0][1], error)
            else:
                for one in batch:
                    await self._settle([one])
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)

    async def _persist(self, items: list[T]) -> Sequence[R]:
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + RETRY_S, 0.02
        while True:
            try:
                return await self._write(items)
            except DiskFull:
                raise
            except StoreUnavailable:
                if loop.time() + pause > deadline:
                    raise
            await asyncio.sleep(pause)
            pause *= 2


def _fail(future: asyncio.Future[R], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
