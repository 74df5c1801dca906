from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import redis

from jobs.client import Client
from jobs.services import cleaner as module
from jobs.services.cleaner import Cleaner
from tests.jobs.store.past import Past
from tests.jobs.store.story import Story
from tests.redis_server import RedisServer


@pytest.fixture
def small_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of this test alone, with little memory."""
    server = RedisServer(Path(tmp_path_factory.mktemp("s")))
    server.start()
    limit(server, "8mb")
    yield server
    server.stop()


def limit(server: RedisServer, maxmemory: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", maxmemory)


@pytest.fixture
async def make_cleaner(
    open_client: Callable[..., Awaitable[Client]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], Awaitable[Cleaner]]]:
    """Makes cleaners in connections of their own; they are stopped after the test."""
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    made: list[Cleaner] = []

    async def make_cleaner() -> Cleaner:
        client = await open_client()
        made.append(Cleaner(client.store, client.broker, replay_window_s=60.0))
        made[-1].leadership._lease_ms = 900
        return made[-1]

    yield make_cleaner
    for cleaner in made:
        await cleaner.stop()


@pytest.fixture
def past(client: Client) -> Past:
    return Past(client.store, Story(client.store))
