"""The doors, opened on real servers, and a hand that does a worker's part one step at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from jobs.client import Client
from jobs.clock import Clock, now_ms
from jobs.feed import EventSubscription
from jobs.services.recorder import Recorder
from tests.factories import make_settings
from tests.jobs.hand import Hand
from tests.jobs.reading import VIEWER, Reading
from tests.jobs.tasks import registry


@pytest.fixture
async def open_client(redis_url: str, database_url: str) -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    """Opens clients that are closed after the test; the epoch is set as the services do."""
    async with AsyncExitStack() as stack:

        async def open_client(*, clock: Clock = now_ms, **settings: object) -> Client:
            values = {"redis_url": redis_url, "database_url": database_url} | settings
            client = await Client.open(make_settings(**values), clock=clock)
            stack.push_async_callback(client.close)
            if not await client.broker.refresh_epoch():
                number, _ = await client.store.epoch.current()
                await client.broker.raise_epoch(await client.store.epoch.raise_to(number, await client.broker.run_id()))
            return client

        yield open_client


@pytest.fixture
async def client(open_client: Callable[..., Awaitable[Client]]) -> Client:
    return await open_client()


@pytest.fixture
async def hand(client: Client) -> AsyncIterator[Hand]:
    hand = await Hand.open(client, Recorder(client.store, client.broker))
    yield hand
    await hand.close()


@pytest.fixture
async def published(client: Client) -> None:
    """The tasks of tests/jobs/tasks.py, published."""
    await client.commands.task.publish(registry.definitions())


@pytest.fixture
async def recording(client: Client) -> AsyncIterator[None]:
    """History follows what happens."""
    recorder = Recorder(client.store, client.broker)
    recorder.start()
    yield
    await recorder.stop()


@pytest.fixture
async def live(client: Client, published: None) -> AsyncIterator[Callable[..., Reading]]:
    """Makes readings; the stream is being read already, so that a new one misses nothing."""
    await client.feed.hub.reached()
    made: list[EventSubscription] = []

    def live(**options: Any) -> Reading:
        made.append(client.feed.job_events(VIEWER, **options))
        return Reading(made[-1])

    yield live
    for subscription in made:
        await subscription.aclose()
