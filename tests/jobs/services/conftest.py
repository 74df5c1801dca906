from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

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
