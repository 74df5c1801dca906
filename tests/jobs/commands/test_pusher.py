"""What the pusher pushes, and what it leaves to the reconciler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from jobs.broker import Broker, Push
from jobs.client import Client
from jobs.commands import Enqueued, EnqueueRequest
from jobs.commands.pusher import RETRY_S, WAITING_MAX, Pusher
from jobs.errors import RequestError
from tests.factories import make_spec
from tests.jobs.commands.requests import OPERATOR
from tests.tcp_proxy import TcpProxy
from tests.wait import until


async def test_closing_pushes_what_waits(open_client: Callable[..., Any], client: Client) -> None:
    other = await open_client()
    requests = [EnqueueRequest(task="noop") for _ in range(500)]
    answers: list[Enqueued | RequestError] = await other.commands.job.enqueue_many(OPERATOR, requests)
    await other.pusher.stop()
    assert other.pusher.pushed == len(answers) == 500


async def test_what_waited_too_long_is_left_to_the_reconciler(client: Client) -> None:
    now = 100.0
    pusher = Pusher(client.broker, monotonic=lambda: now)
    pusher.add([Push(spec=make_spec())])
    now += 6
    pusher.add([Push(spec=make_spec())])
    pusher.start()
    await pusher.stop()
    assert (pusher.pushed, pusher.left) == (1, 1)


async def test_a_push_that_comes_too_late_is_refused_and_left_to_the_reconciler(client: Client) -> None:
    pusher = Pusher(client.broker, deadline_ms=-1_000)
    spec = make_spec()
    pusher.add([Push(spec=spec)])
    pusher.start()
    await pusher.stop()
    assert (pusher.pushed, pusher.left) == (0, 1)
    assert await client.broker.jobs([spec.id]) == {}


async def test_overflow_is_left_to_the_reconciler(client: Client) -> None:
    pusher = Pusher(client.broker)
    pusher.add([Push(spec=make_spec())] * (WAITING_MAX + 7))
    assert (pusher.waiting, pusher.left) == (WAITING_MAX, 7)
    await pusher.stop()


async def test_a_short_outage_delays_a_push_and_no_more(client: Client, redis_url: str) -> None:
    with TcpProxy(redis_url) as proxy:
        far = await Broker.open(proxy.url, client.settings)
        pusher = Pusher(far)
        pusher.start()
        proxy.refuse()
        specs = [make_spec() for _ in range(3)]
        pusher.add([Push(spec=spec) for spec in specs])
        await asyncio.sleep(2 * RETRY_S)
        proxy.release()
        await until(lambda: pusher.pushed == 3, within_s=3)
        assert pusher.left == 0
        assert list(await client.broker.jobs([spec.id for spec in specs])) == [spec.id for spec in specs]
        proxy.refuse()
        pusher.add([Push(spec=make_spec())])
        async with asyncio.timeout(1):
            await pusher.stop()
        assert pusher.left == 1
        await far.close()


async def test_a_pusher_that_makes_no_progress_says_so(client: Client, redis_url: str) -> None:
    now = 100.0
    with TcpProxy(redis_url) as proxy:
        far = await Broker.open(proxy.url, client.settings)
        pusher = Pusher(far, monotonic=lambda: now)
        assert not pusher.health().ok
        pusher.start()
        now += 100
        assert pusher.health().ok  # there is nothing to push
        proxy.hold()
        pusher.add([Push(spec=make_spec())])
        await until(lambda: not pusher.waiting)
        assert pusher.health().ok
        now += 11
        assert not pusher.health().ok
        proxy.release()
        await until(lambda: pusher.health().ok)
        await pusher.stop()
        await far.close()
