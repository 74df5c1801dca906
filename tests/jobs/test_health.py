"""What a process of the API says of its parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from jobs.client import Client
from jobs.feed.facts import FactBook
from jobs.feed.hub import Hub
from jobs.probe import readiness
from tests.tcp_proxy import TcpProxy
from tests.wait import until

OpenClient = Callable[..., Awaitable[Client]]


async def test_every_part_is_asked(open_client: OpenClient, redis_url: str) -> None:
    with TcpProxy(redis_url) as proxy:
        client = await open_client(redis_url=proxy.url)
        assert {"store", "broker", "pusher", "feed"} <= {part.component for part in await client.health()}
        assert readiness(await client.health()).status == 200
        proxy.refuse()
        answer = readiness(await client.health())
        assert (answer.status, answer.media_type) == (503, "application/problem+json")
        assert answer.body["detail"].startswith("broker: Redis does not answer")
        assert answer.body["components"]["store"]["ok"]
        proxy.release()
        assert readiness(await client.health()).status == 200


@pytest.mark.parametrize("dialect", ["postgres"], indirect=True)
async def test_what_needs_the_database_says_so(open_client: OpenClient, database_url: str) -> None:
    with TcpProxy(database_url) as proxy:
        client = await open_client(database_url=proxy.url)
        assert readiness(await client.health()).status == 200
        proxy.refuse()
        assert {part.component for part in await client.health() if not part.ok} == {"store", "quarantine"}
        proxy.release()
        assert readiness(await client.health()).status == 200


async def test_a_hub_that_makes_no_progress_says_so(client: Client) -> None:
    now = [100.0]
    hub = Hub(client.broker, FactBook(client.store, client.broker), monotonic=lambda: now[0])
    assert hub.health().ok  # nobody listens
    hub.wake()
    await hub.reached()
    assert hub.health().ok
    now[0] += 11
    assert "No events have been looked for" in hub.health().detail
    await until(lambda: hub.health().ok)
    await hub.close()
    now[0] += 11
    assert hub.health().ok
