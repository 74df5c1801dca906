"""What SAQ's tests import and its source distribution leaves out: `tests.helpers`, and packages that are not installed.

SAQ's tests turn the clock of their process. All times of ours are those of Redis, so its clock is turned along.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import saq.utils

from jobs.broker import keys
from jobs.saq import Queue
from jobs.saq.session import SaqBroker


class TurnedQueue(Queue):
    """A queue whose Redis has the time that the test has."""

    async def broker(self) -> SaqBroker:
        """Return the broker, connected."""
        broker = await super().broker()
        seconds, microseconds = await broker.client.time()
        ahead_ms = saq.utils.now() - seconds * 1000 - microseconds // 1000
        if abs(ahead_ms) > 1000:
            # As if it had always been so: an epoch that began later than now would take nothing in.
            await broker.client.mset({keys.CLOCK: ahead_ms, f"{keys.PREFIX}:began": 0})
        else:
            await broker.client.delete(keys.CLOCK)
        return broker


class DataFrame:
    """As far as SAQ's test of `Job` uses that of pandas: comparing it gives something that is not a bool."""

    def __eq__(self, other: object) -> Any:
        return self

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise ValueError("The truth value of a DataFrame is ambiguous.")

    def __repr__(self) -> str:
        return "Empty DataFrame"

    def equals(self, other: object) -> bool:
        return isinstance(other, DataFrame)


def _module(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(content)
    return module


def place(redis_url: str) -> None:
    """Let SAQ's tests find all this where they look for it, and have their queues in this Redis."""

    async def create_redis_queue(url: str = redis_url, **options: Any) -> Queue:
        queue = TurnedQueue.from_url(url, **options)
        await queue.connect()
        return queue

    async def cleanup_queue(queue: saq.Queue) -> None:
        await queue.disconnect()

    helpers = {"create_redis_queue": create_redis_queue, "cleanup_queue": cleanup_queue}
    # SAQ's tests of PostgreSQL are not run; the files import this for them.
    postgres = dict.fromkeys(["create_postgres_queue", "setup_postgres", "teardown_postgres"])
    for module in [
        _module("tests.helpers", **helpers, **postgres),
        _module("psycopg"),
        _module("psycopg.sql", SQL=None),
        _module("saq.queue.postgres", PostgresQueue=None),
        _module("pandas", DataFrame=DataFrame),
    ]:
        sys.modules[module.__name__] = module
