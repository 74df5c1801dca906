"""Puts the parts together: the two rooms, the three doors, and what runs between them."""

from __future__ import annotations

import asyncio
from typing import Self

from jobs.broker import Broker
from jobs.clock import Clock, NewId, new_id, now_ms
from jobs.collectors import Collectors
from jobs.commands import Commands
from jobs.commands.gate import Gate
from jobs.commands.parts import Parts
from jobs.commands.pusher import Pusher
from jobs.feed import Feed
from jobs.fleet import Fleet
from jobs.newest import Newest
from jobs.probe import Health
from jobs.published import Published
from jobs.queries import (
    BackupQueries,
    HealthQueries,
    JobQueries,
    MetricQueries,
    QuarantineQueries,
    Queries,
    QueueQueries,
    RetentionQueries,
    SlowQueryQueries,
    StatisticsQueries,
    TaskQueries,
    TokenQueries,
    WorkerQueries,
)
from jobs.recent import Recent
from jobs.settings import Settings
from jobs.store import Store


class Client:
    """All that a process needs to enqueue, look and listen. Made by `open`, ended by `close`."""

    def __init__(self, settings: Settings, store: Store, broker: Broker, *, clock: Clock, new_id: NewId) -> None:
        self.settings = settings
        self.store = store
        self.broker = broker
        self.pusher = Pusher(broker)
        newest = Newest(store, broker)
        published = Published(store, clock)
        self.clock = clock
        self.gate = Gate()
        self.commands = Commands(
            Parts(
                settings=settings,
                gate=self.gate,
                store=store,
                broker=broker,
                published=published,
                newest=newest,
                pusher=self.pusher,
                clock=clock,
                new_id=new_id,
            )
        )
        self.fleet = Fleet(store, broker, wait_max_s=settings.health_wait_max_s)
        self._collectors = Collectors(store, broker, clock)
        present = Recent(self._collectors.collect)
        self.queries = Queries(
            health=HealthQueries(store, present, clock),
            job=JobQueries(store, newest),
            queue=QueueQueries(store, broker, self.fleet),
            backup=BackupQueries(store),
            slow_query=SlowQueryQueries(store),
            statistics=StatisticsQueries(store, broker, clock),
            task=TaskQueries(published),
            worker=WorkerQueries(broker),
            token=TokenQueries(store, clock),
            quarantine=QuarantineQueries(store),
            metric=MetricQueries(store, broker, clock),
            retention=RetentionQueries(store, broker, replay_window_s=settings.replay_window_s),
        )
        self.feed = Feed(store, broker, newest, present)

    @classmethod
    async def open(cls, settings: Settings, *, clock: Clock = now_ms, new_id: NewId = new_id) -> Self:
        """Connect to the database and to Redis and start. `settings` name both.

        Raises DatabaseUnreachable, SchemaBehind, SchemaAhead, RedisUnreachable, RedisEvicts.
        """
        store = await Store.open(
            settings.database_url,
            clock=clock,
            disk_min_bytes=settings.disk_min_bytes,
            slow_query_ms=settings.slow_query_ms,
        )
        try:
            broker = await Broker.open(settings.redis_url, settings)
        except BaseException:
            await store.close()
            raise
        client = cls(settings, store, broker, clock=clock, new_id=new_id)
        client.pusher.start()
        return client

    async def close(self) -> None:
        """End the subscriptions, push what waits, and close both connections, in this order."""
        await self.feed.close()
        await self.queries.token.close()
        await self.fleet.close()
        await self._collectors.close()
        await self.pusher.stop()
        await self.broker.close()
        await self.store.close()

    async def health(self) -> list[Health]:
        """Ask each component whether it works, for a few seconds at most. Never raises."""
        asking = self.store.health(), self.store.quarantine.health(), self.broker.health()
        return [*await asyncio.gather(*asking), self.pusher.health(), self.feed.hub.health()]
