"""The figures of the system, in the log."""

from __future__ import annotations

import structlog

from jobs.client import Client
from jobs.clock import now_ms
from jobs.collectors import Collectors
from jobs.services.announcer import Announcer
from tests.jobs.reading import enqueue
from tests.redis_server import RedisServer
from tests.wait import until


async def test_one_line_has_all_figures_and_names_what_is_missing(
    client: Client, published: None, redis_server: RedisServer
) -> None:
    await enqueue(client)
    await until(lambda: not client.pusher.waiting)
    announcer = Announcer(client.store, Collectors(client.store, client.broker, now_ms), every_s=600.0)
    with structlog.testing.capture_logs() as logged:
        assert await announcer.lead() == 600.0
    (line,) = [entry for entry in logged if entry["event"] == "metrics.report"]
    assert (line["queue_waiting"], line["worker_total"], line["missing"]) == (1, 0, [])
    assert line["queues"] == {"default": {"waiting": 1, "delayed": 0, "active": 0, "dead": 0}}
    assert line["redis_memory_used_bytes"] > 0
    redis_server.stop()
    try:
        with structlog.testing.capture_logs() as logged:
            await announcer.lead()
    finally:
        redis_server.start()
    (line,) = [entry for entry in logged if entry["event"] == "metrics.report"]
    assert {"queues", "redis", "workers"} <= set(line["missing"])
    assert "queue_waiting" not in line
