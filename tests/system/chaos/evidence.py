"""All that is known after a run, from four witnesses: the clients, the ledger, history, and the subscribers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio

from tests.system.chaos.client import Answers, Caller
from tests.system.chaos.ledger import Line
from tests.system.chaos.plan import PlannedJob
from tests.system.chaos.subscriber import Seen

QUEUE_EMPTY_S = 25.0
_HISTORY = """
query History($after: Cursor) {
  jobs(first: 100, after: $after) {
    nodes {
      id task state run version attemptCount recoveries crashes reason args result createdAt finishedAt scheduledAt
      cancelRequested error { type }
      attempts(first: 50) { nodes { run number state startedAt finishedAt error { type } } }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""
_QUEUES = """
query { queues(first: 100) { nodes { name counts { active blocked queued retrying scheduled } } } }
"""


@dataclass
class Evidence:
    jobs: Sequence[PlannedJob]
    answers: Answers
    history: dict[str, dict[str, Any]]
    """Every job that history knows, by its id."""
    ledger: Sequence[Line]
    subscribers: Sequence[Sequence[Seen]]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """What the queues say that they hold, at the end."""
    keys: dict[str, int] = field(default_factory=dict)
    """What is left in Redis, with the bytes that each key takes; the stream and tombstones with an expiry are not."""
    product_faults: list[str] = field(default_factory=list)
    forgotten: Sequence[tuple[float, float]] = ()
    """Spans from a copy of Redis to its return: what the recorder had not read then, nobody but the ledger knows."""

    def is_remembered(self, line: Line) -> bool:
        """Tell whether history has to know of a line of the ledger."""
        return not any(began_s <= line.at_s <= ended_s for began_s, ended_s in self.forgotten)


async def read_history(caller: Caller) -> dict[str, dict[str, Any]]:
    """Read every job."""
    jobs: dict[str, dict[str, Any]] = {}
    cursor = None
    while True:
        page = (await caller.ask(_HISTORY, {"after": cursor}))["jobs"]
        jobs |= {job["id"]: job for job in page["nodes"]}
        if not page["pageInfo"]["hasNextPage"]:
            return jobs
        cursor = page["pageInfo"]["endCursor"]


async def read_counts(caller: Caller) -> dict[str, dict[str, int]]:
    """Read what the queues say of themselves."""
    nodes = (await caller.ask(_QUEUES, {}))["queues"]["nodes"]
    return {queue["name"]: queue["counts"] for queue in nodes}


LASTING = (
    "epoch",
    "began",
    "run",
    "cleared",
    "reconciled",
    "events",
    "leases",
    "wake:",
    "left",
    "session:",
    "count:",
    "token",
    "turn",
    "reaper",
    "process",
)
"""Keys that a system without a job to do has; the documented ones (jobs/broker/keys.py)."""


async def read_keys(redis_url: str) -> dict[str, int]:
    """Return what is in Redis with its size, once what ended jobs leave behind has expired or been removed."""
    deadline = time.monotonic() + QUEUE_EMPTY_S
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        while True:
            found = await _keys(client)
            if all(name.startswith(LASTING) for name in found) or time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.2)


async def _keys(client: redis.asyncio.Redis) -> dict[str, int]:
    found: dict[str, int] = {}
    async for key in client.scan_iter("{qq}:*", count=1_000):
        name = key.decode().removeprefix("{qq}:")
        if name == "events" or (name.startswith("done:") and await client.pttl(key) > 0):
            continue
        found[name] = int(await client.memory_usage(key, samples=0) or 0)
    return found
