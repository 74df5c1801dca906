"""A call of Redis that is cancelled ends, at whatever moment that comes."""

from __future__ import annotations

import asyncio

from jobs.broker import Broker
from tests.factories import make_settings


async def test_no_cancellation_is_swallowed(redis_url: str) -> None:
    broker = await Broker.open(redis_url, make_settings())
    swallowed = 0
    for turns in range(30):
        for _ in range(10):
            call = asyncio.create_task(broker.now_ms())
            for _ in range(turns):
                await asyncio.sleep(0)
            was_under_way = call.cancel()
            await asyncio.wait([call])
            swallowed += was_under_way and not call.cancelled()

    assert swallowed == 0
    assert await broker.now_ms() > 0
    await broker.close()
