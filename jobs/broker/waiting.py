"""What waits for somebody: runnable jobs, and those that nobody has taken back from a worker that is gone."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.broker import keys
from jobs.broker.connection import Connection

FRONT = 3
"""Jobs that are looked at in each place: one that was given back may stand in front of an older one."""


async def waiting_since(connection: Connection, queues: Sequence[str]) -> dict[str, int]:
    """Return when the longest waiting runnable job of each queue became runnable, by the clock of Redis.

    They are read from the front of what is ready, which is where the oldest are. Queues in which none waits are not
    in it. Raises BrokerUnavailable.
    """
    places = [(queue, key) for queue in queues for key in keys.ready(queue)]
    async with connection.client.pipeline(transaction=False) as pipeline:
        for _, key in places:
            pipeline.zrange(key, 0, FRONT - 1)
        fronts = await connection.ask(pipeline.execute())
    found = [(queue, item.decode()) for (queue, _), front in zip(places, fronts, strict=True) for item in front]
    async with connection.client.pipeline(transaction=False) as pipeline:
        for _, job_id in found:
            pipeline.hget(keys.job(job_id), "u")
        since = await connection.ask(pipeline.execute())
    oldest: dict[str, int] = {}
    for (queue, _), value in zip(found, since, strict=True):
        if value is not None and value.isdigit():  # it may have been taken meanwhile, or be damaged
            oldest[queue] = min(oldest.get(queue, int(value)), int(value))
    return oldest


async def abandoned(connection: Connection, by_ms: int) -> int:
    """Return how many jobs are held by sessions whose lease ran out so long ago. Raises BrokerUnavailable."""
    until_ms = await connection.now_ms() - by_ms
    sessions = await connection.ask(connection.client.zrangebyscore(keys.LEASES, "-inf", until_ms))
    async with connection.client.pipeline(transaction=False) as pipeline:
        for session in sessions:
            pipeline.scard(keys.held(session.decode()))
        return sum(await connection.ask(pipeline.execute()))
