"""The sync itself: page by page from the API into the table, with a checkpoint after each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any, Protocol

from examples.user_sync.directory_api import DirectoryApi, Throttled, Unavailable
from examples.user_sync.table import Checkpoint, Phase, Table
from examples.user_sync.user import NO_USERS, Page, SyncMode, SyncResult

PATIENCE_S = 10.0
"""The longest that a sync waits for a rate limit by itself; it raises Throttled for a longer wait."""
_TRIES = 3
_PAUSE_S = 0.3
_PAUSE_MIN_S = 0.05


class Observer(Protocol):
    """What the sync needs of a jobs.Context."""

    def progress(self, done: float, of: float, step: str, message: str) -> Awaitable[None]:
        """Report how far it is."""

    def info(self, message: str, *, exc_info: BaseException | None = None, **context: Any) -> object:
        """Log something worth knowing."""

    def warning(self, message: str, *, exc_info: BaseException | None = None, **context: Any) -> object:
        """Log something that went wrong and was dealt with."""


class Sync:
    """One sync. An attempt that fails leaves its committed batches; the next one with this `id` goes on behind them."""

    def __init__(self, api: DirectoryApi, table: Table, observer: Observer, *, id: str, batch_size: int) -> None:  # noqa: A002  # the word that the table uses
        self._api = api
        self._table = table
        self._observer = observer
        self._id = id
        self._batch_size = batch_size

    async def run(self, mode: SyncMode) -> SyncResult:
        """Sync, and say what was done. Raises Unavailable, Throttled or Refused."""
        checkpoint = await asyncio.to_thread(self._table.begin, self._id, mode)
        self._observer.info(
            "Sync goes on" if checkpoint.batches else "Sync begins",
            mode=mode, since=checkpoint.since, batches=checkpoint.batches, met=checkpoint.met,
        )  # fmt: skip
        since = time.monotonic()
        while checkpoint.phase is not Phase.FINISHED:
            step = self._read_changed if checkpoint.phase is Phase.CHANGED else self._read_failed_before
            page, checkpoint = await step(checkpoint)
            since, before = time.monotonic(), since
            checkpoint = replace(checkpoint, seconds=checkpoint.seconds + since - before)
            checkpoint = await self._write(page, checkpoint)
        await self._observer.progress(100, 100, "done", f"{checkpoint.met} users read")
        result = await asyncio.to_thread(self._table.result, checkpoint)
        self._observer.info("Sync finished", **asdict(result))
        return result

    async def _read_changed(self, checkpoint: Checkpoint) -> tuple[Page, Checkpoint]:
        page = await self._fetch(
            checkpoint, lambda: self._api.changed_users(self._batch_size, checkpoint.cursor, checkpoint.since)
        )
        total = max(page.total, checkpoint.met + page.size)
        if checkpoint.since:  # a full sync meets those that failed before on its way
            _, failed = await asyncio.to_thread(self._table.failed_before, self._id, 0)
            total += failed
        phase = Phase.CHANGED if page.end_cursor else Phase.FAILED_BEFORE
        newest = max(checkpoint.newest, page.newest)
        return page, replace(checkpoint, cursor=page.end_cursor, phase=phase, newest=newest, total=total)

    async def _read_failed_before(self, checkpoint: Checkpoint) -> tuple[Page, Checkpoint]:
        ids, failed = await asyncio.to_thread(self._table.failed_before, self._id, self._batch_size)
        checkpoint = replace(checkpoint, total=checkpoint.met + failed)
        if not ids:
            return NO_USERS, replace(checkpoint, phase=Phase.FINISHED)
        # `newest` stays: these users come out of order, and others may have changed since before them.
        return await self._fetch(checkpoint, lambda: self._api.users_by_id(ids)), checkpoint

    async def _fetch(self, checkpoint: Checkpoint, request: Callable[[], Awaitable[Page]]) -> Page:
        """Send a request; one that the API does not answer is sent again, one that comes too soon waits."""
        await self._report(checkpoint, "fetch")
        failures = 0
        while True:
            try:
                return await request()
            except Throttled as throttled:
                if throttled.retry_after_s > PATIENCE_S:
                    raise
                self._observer.info("Rate limit reached", wait_s=throttled.retry_after_s)
                await asyncio.sleep(max(_PAUSE_MIN_S, throttled.retry_after_s))
            except Unavailable as error:
                failures += 1
                self._observer.warning("Request failed", error=str(error), batch=checkpoint.batches + 1, tries=failures)
                if failures >= _TRIES:
                    raise
                await asyncio.sleep(_PAUSE_S * failures)

    async def _write(self, page: Page, checkpoint: Checkpoint) -> Checkpoint:
        if not page.size:
            await asyncio.to_thread(self._table.save, checkpoint)
            return checkpoint
        await self._report(checkpoint, "write")
        for error in page.errors:
            self._observer.warning("User skipped", user=error.user_id, code=error.code, reason=error.message)
        return await asyncio.to_thread(self._table.write, page, checkpoint)

    async def _report(self, checkpoint: Checkpoint, step: str) -> None:
        await self._observer.progress(checkpoint.met, checkpoint.total, step, f"batch {checkpoint.batches + 1}")
