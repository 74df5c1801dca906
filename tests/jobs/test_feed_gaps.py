"""The feed where events are missing: a gap that says why, and everything that follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import structlog.testing

from jobs.broker import Push
from jobs.client import Client
from jobs.errors import EpochChanged
from jobs.event import Position
from jobs.feed import GapReason
from tests.factories import make_spec
from tests.jobs.reading import VIEWER, Reading, enqueue_many
from tests.redis_server import RedisServer
from tests.wait import until

OpenClient = Callable[..., Awaitable[Client]]

pytestmark = pytest.mark.usefixtures("published")


async def test_a_cursor_older_than_what_is_kept_gets_a_gap(client: Client, live: Callable[..., Reading]) -> None:
    first = live()
    await enqueue_many(client, 1)
    await first.until(1)
    await first.subscription.aclose()
    await enqueue_many(client, 1)
    await enqueue_many(client, 1)
    await client.broker.client.xtrim("{qq}:events", maxlen=1, approximate=False)
    second = live(after=first.cursor)
    await second.until(1)
    assert second.gaps == [GapReason.CURSOR_TOO_OLD]
    await enqueue_many(client, 1)
    await second.until(2)
    assert second.gaps == [GapReason.CURSOR_TOO_OLD]


async def test_everybody_whose_cursor_is_too_old_gets_a_gap(client: Client, live: Callable[..., Reading]) -> None:
    first = live()
    await enqueue_many(client, 1)
    await first.until(1)
    for _ in range(3):
        await enqueue_many(client, 1)
    await client.broker.client.xtrim("{qq}:events", maxlen=2, approximate=False)
    for _ in range(2):
        reading = live(after=first.cursor)
        await reading.until(2)
        assert reading.gaps == [GapReason.CURSOR_TOO_OLD]


async def test_a_cursor_of_an_older_epoch_gets_a_gap(client: Client, live: Callable[..., Reading]) -> None:
    first = live()
    await enqueue_many(client, 1)
    await first.until(1)
    await first.subscription.aclose()
    await client.broker.client.flushall()
    await client.broker.raise_epoch(7)
    await enqueue_many(client, 1)
    second = live(after=first.cursor)
    await second.until(1)
    assert second.gaps == [GapReason.BROKER_LOST]


async def test_a_new_epoch_in_which_nothing_has_happened_is_a_gap_too(
    client: Client, live: Callable[..., Reading]
) -> None:
    first = live()
    await enqueue_many(client, 1)
    await first.until(1)
    await first.subscription.aclose()
    await client.broker.raise_epoch(client.broker.epoch + 1)
    await until(lambda: client.feed.hub.position == Position(client.broker.epoch, 0, 0, 0))
    second = live(after=first.cursor)
    await second.batch()
    assert second.gaps == [GapReason.BROKER_LOST]
    third = live(after=second.cursor)
    await third.batch()
    assert third.gaps == []
    await enqueue_many(client, 1)
    assert await third.until(1) == await second.until(1)
    fourth = live(after=second.cursor)
    await fourth.batch()
    assert second.gaps == [GapReason.BROKER_LOST]
    assert third.gaps == fourth.gaps == []


async def test_a_cursor_leads_over_a_change_of_epoch_with_a_gap_where_it_changes(
    client: Client, live: Callable[..., Reading]
) -> None:
    first = live()
    await enqueue_many(client, 1)
    await first.until(1)
    await first.subscription.aclose()
    await enqueue_many(client, 1)
    await client.broker.raise_epoch(client.broker.epoch + 1)
    await enqueue_many(client, 2)
    second = live(after=first.cursor)
    await second.batch()
    assert (len(second.events), second.gaps) == (1, [])
    await second.until(3)
    assert second.gaps == [GapReason.BROKER_LOST]
    third = live(after=second.events[1][0])
    await third.until(1)
    assert (third.events, third.gaps) == (second.events[2:], [])


async def test_losing_redis_is_a_gap_and_goes_on(client: Client, live: Callable[..., Reading]) -> None:
    reading = live()
    await enqueue_many(client, 1)
    await reading.until(1)
    with structlog.testing.capture_logs() as logs:
        await client.broker.client.flushall()
        await client.broker.raise_epoch(client.broker.epoch + 1)
        await enqueue_many(client, 2)
        assert await reading.gap() is GapReason.BROKER_LOST
        await reading.until(3)
        await until(lambda: client.feed.hub.health().ok)
    assert [line["event"] for line in logs if line["event"].startswith("feed.")] == ["feed.away", "feed.back"]
    await enqueue_many(client, 1)
    await reading.until(4)
    assert reading.gaps == [GapReason.BROKER_LOST]
    resumed = live(after=reading.events[1][0])
    await resumed.until(2)
    assert resumed.events == reading.events[2:]


async def test_a_redis_that_was_started_anew_is_not_worked_on_before_its_epoch_begins(
    folder: Path, open_client: OpenClient, client: Client
) -> None:
    server = RedisServer(folder, append_only=True)
    server.start()
    try:
        other = await open_client(redis_url=server.url)
        await other.feed.hub.reached()
        reading = Reading(other.feed.job_events(VIEWER))
        await enqueue_many(other, 1)
        await reading.until(1)
        with structlog.testing.capture_logs() as logs:
            server.kill()
            await until(lambda: not other.feed.hub.health().ok)
            server.start()
            await until(lambda: other.feed.hub.health().ok)
        assert [line["event"] for line in logs if line["event"].startswith("feed.")] == ["feed.away", "feed.back"]
        with pytest.raises(EpochChanged):
            await other.broker.push([Push(spec=make_spec())])
        await other.broker.raise_epoch(other.broker.epoch + 1)
        await enqueue_many(other, 1)
        await reading.until(2)
        assert reading.gaps == [GapReason.BROKER_LOST]
        await other.close()
    finally:
        server.stop()
