"""Settings of SAQ's own worker for the comparison."""

from __future__ import annotations

import os

from saq.queue.redis import RedisQueue

from tests.bench.noop import noop_saq

settings = {
    "queue": RedisQueue.from_url(os.environ.get("BENCH_REDIS", "redis://localhost"), name="bench"),
    "functions": [noop_saq],
    "concurrency": 100,
    "timers": {"worker_info": 1},
}
