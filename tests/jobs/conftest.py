"""The doors, opened on real servers, and a hand that does a worker's part one step at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from jobs.client import Client
from jobs.clock import Clock, now_ms
from jobs.services.recorder import Recorder
from tests.factories import make_settings
from tests.jobs.hand import Hand


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
