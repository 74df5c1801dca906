"""The sync itself: page by page from the API into the table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from examples.user_sync.directory_api import DirectoryApi, Throttled, Unavailable
from examples.user_sync.table import Met, Standing, Table
from examples.user_sync.user import Page, SyncMode, SyncResult
from jobs import Batch, Context

PATIENCE_S = 10.0
"""The longest that a sync waits for a rate limit by itself; it raises Throttled for a longer wait."""
_TRIES = 3
_PAUSE_S = 0.3
_PAUSE_MIN_S = 0.05
_FAILED_BEFORE = "failed before"
"""The cursor behind the last page of changed users: now those that an earlier sync could not read."""

Pages = tuple[list[Met], Any]


class Sync:
    """One sync. An attempt that fails leaves its committed batches; the next one with this `id` goes on behind them."""

    def __init__(self, api: DirectoryApi, table: Table, ctx: Context, *, id: str, batch_size: int) -> None:  # noqa: A002  # the word that the table uses
        self._api = api
        self._table = table
        self._ctx = ctx
        self._id = id
        self._batch_size = batch_size
        self._newest = ""
        """Time of the newest change on the page that was read last."""

    async def run(self, mode: SyncMode) -> SyncResult:
        """Sync, and say what was done. Raises Unavailable, Throttled or Refused."""
        standing = await asyncio.to_thread(self._table.begin, self._id, mode)
        batch: Batch[Met] = self._ctx.pages(lambda cursor: self._read(batch, standing, cursor), after=standing.after)
        self._ctx.info(
            "Sync goes on" if batch.done else "Sync begins",
            mode=mode, since=standing.since, batches=batch.chunks, met=batch.done,
        )  # fmt: skip
        since = time.monotonic()
        async for chunk in batch:
            since, before = time.monotonic(), since
            batch.state["seconds"] = batch.state.get("seconds", 0.0) + since - before
            await asyncio.to_thread(self._table.write, self._id, batch, chunk, self._newest)
        failed = await asyncio.to_thread(self._table.finish, self._id)
        figures = batch.state
        result = SyncResult(
            figures.get("synced", 0), figures.get("skipped", 0), failed, batch.chunks,
            round(figures.get("seconds", 0.0), 3),
        )  # fmt: skip
        self._ctx.info("Sync finished", **asdict(result))
        return result

    async def _read(self, batch: Batch[Met], standing: Standing, cursor: str | None) -> Pages:
        """Read the page at this cursor: first users that changed, then those that an earlier sync could not read."""
        if cursor == _FAILED_BEFORE:
            return await self._read_failed_before(batch)
        page = await self._fetch(lambda: self._api.changed_users(self._batch_size, cursor, standing.since))
        self._newest = max((user.updated_at for user in page.users), default="")
        met: list[Met] = [*page.users, *page.errors]
        batch.total = max(page.total, batch.done + len(met))
        if standing.since:  # a full sync meets those that failed before on its way
            batch.total += (await asyncio.to_thread(self._table.failed_before, self._id, 0))[1]
        return met, page.end_cursor or _FAILED_BEFORE

    async def _read_failed_before(self, batch: Batch[Met]) -> Pages:
        # These users come out of order, and others may have changed since before them: they are no newest ones.
        self._newest = ""
        ids, failed = await asyncio.to_thread(self._table.failed_before, self._id, self._batch_size)
        batch.total = batch.done + failed
        if not ids:
            return [], None
        page = await self._fetch(lambda: self._api.users_by_id(ids))
        return [*page.users, *page.errors], _FAILED_BEFORE

    async def _fetch(self, request: Callable[[], Awaitable[Page]]) -> Page:
        """Send a request; one that the API does not answer is sent again, one that comes too soon waits."""
        failures = 0
        while True:
            try:
                return await request()
            except Throttled as throttled:
                if throttled.retry_after_s > PATIENCE_S:
                    raise
                self._ctx.info("Rate limit reached", wait_s=throttled.retry_after_s)
                await asyncio.sleep(max(_PAUSE_MIN_S, throttled.retry_after_s))
            except Unavailable as error:
                failures += 1
                self._ctx.warning("Request failed", error=str(error), tries=failures)
                if failures >= _TRIES:
                    raise
                await asyncio.sleep(_PAUSE_S * failures)
