"""Settings of SAQ's own worker for the comparison: the same functions, and options that ask for what ours ask for."""

from __future__ import annotations

import os
from typing import Any

from saq.queue.redis import RedisQueue

from tests.system.chaos import task

QUEUE = "chaos"
REDIS = "CHAOS_REDIS"

_PLAIN: dict[str, Any] = {"retries": 5, "timeout": 60, "retry_delay": 0.3}
_ONCE: dict[str, Any] = {"retries": 1, "timeout": 2}
TASKS: dict[str, dict[str, Any]] = {
    "quick": _PLAIN,
    "slow": _PLAIN,
    "threaded": _PLAIN,
    "flaky": _PLAIN,
    "failing": _PLAIN | {"retries": 2},
    "delayed": _PLAIN,
    "unencodable": _PLAIN,
    "hanging": _ONCE,
    "hanging_thread": _ONCE,
    "blocking": _ONCE,
    "poison": _PLAIN,
    "large": _PLAIN,
    "huge": _PLAIN,
    "fat": _PLAIN,
}
"""What SAQ can run of the plan, and what a job of it is enqueued with."""

settings = {
    "queue": RedisQueue.from_url(os.environ.get(REDIS, "redis://localhost"), name=QUEUE),
    "functions": [(name, getattr(task, name).function) for name in TASKS],
    "concurrency": 50,
    "shutdown_grace_period_s": 4,
}
