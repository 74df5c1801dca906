"""The part of SAQ's Queue that connects, and closes what it has opened."""

from __future__ import annotations

import asyncio
import json

import redis.asyncio
from saq.queue.redis import RedisQueue
from saq.types import DumpType, LoadType

from jobs.broker import Finished
from jobs.errors import StartError, StoreUnavailable
from jobs.outcome import Cancel, Complete, Die, RetryLater
from jobs.saq.desk import Desk
from jobs.saq.job import HeldJob
from jobs.saq.session import SaqBroker, StandaloneBroker
from jobs.saq.url import url_of
from jobs.settings import Settings
from jobs.store import Store
from jobs.task import NAME_PATTERN
from jobs.worker import Payloads


class ConnectingQueue(RedisQueue):
    """Connects to Redis, and to the database of the settings, once either is asked for."""

    def __init__(  # noqa: PLR0913, PLR0917  # SAQ's own signature, and what we need
        self,
        redis: redis.asyncio.Redis,
        name: str = "default",
        dump: DumpType | None = None,
        load: LoadType | None = None,
        max_concurrent_ops: int = 20,
        swept_error_message: str | None = None,
        *,
        url: str | None = None,
        settings: Settings | None = None,
        broker: SaqBroker | None = None,
        payloads: Payloads | None = None,
    ) -> None:
        if not NAME_PATTERN.fullmatch(name):
            raise ValueError(f"The name {name!r} is not allowed; letters, digits, '.', '_' and '-' are, at most 128.")
        super().__init__(redis, name, dump, load, max_concurrent_ops, swept_error_message)
        self.dump, self.load = dump or json.dumps, load or json.loads
        self.settings = settings or Settings()
        self._url = url or url_of(redis)
        self._broker = broker
        self._owns_broker = broker is None
        self._desk: Desk | None = None
        self._opening = asyncio.Lock()
        self._held: dict[str, HeldJob] = {}
        self._store: Store | None = None
        self.payloads = payloads or Payloads(self._args if self.settings.database_url else None)
        """Fetches large arguments of jobs that did not come from SAQ's enqueue."""

    async def _args(self, job_id: str) -> bytes | None:
        """Read arguments from the database of the settings, connected when the first ones are asked for."""
        async with self._opening:
            if self._store is None:
                try:
                    self._store = await Store.open(
                        self.settings.database_url, slow_query_ms=self.settings.slow_query_ms
                    )
                except StartError as error:
                    raise StoreUnavailable(str(error)) from error
        return await self._store.search.args(job_id)

    async def connect(self) -> None:
        """Connect; done by the first call anyway. Raises RedisUnreachable, RedisEvicts."""
        await super().connect()
        await self.broker()

    async def broker(self) -> SaqBroker:
        """Return the broker, connected. Raises RedisUnreachable, RedisEvicts."""
        if self._broker is None:
            async with self._opening:
                if self._broker is None:
                    self._broker = await StandaloneBroker.open(self._url, self.settings)
                    self._broker.on_ended = self.count_ended
        return self._broker

    async def desk(self) -> Desk:
        """Return where jobs are handed out and brought back."""
        broker = await self.broker()
        if self._desk is None:
            self._desk = Desk(broker, self.name, self.settings.renew_s)
        return self._desk

    async def disconnect(self) -> None:
        """Give back what was dequeued and not started, and close all connections."""
        if self._desk is not None:
            await self._desk.close()
            self._desk = None
        if self._broker is not None and self._owns_broker:
            await self._broker.close()
            self._broker = None
        if self._store is not None:
            await self._store.close()
            self._store = None
        await super().disconnect()

    def count_ended(self, ended: Finished) -> None:
        """Count an attempt that ended in this process, for the workers' statistics."""
        match ended.outcome:
            case Complete():
                self.complete += 1
            case RetryLater():
                self.retried += 1
            case Cancel():
                self.aborted += 1
            case Die():
                self.failed += 1
