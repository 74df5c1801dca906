"""What the chaos runs share: enqueue, watch, break things, and compare ledger, answers and history."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import redis.asyncio
import redis.exceptions

from tests.system.product import Api, Closed

CHUNK = 500
FINAL = {"COMPLETED", "CANCELLED", "DEAD"}
FINAL_EVENTS = {"JobCompleted": "COMPLETED", "JobCancelled": "CANCELLED", "JobDied": "DEAD"}

_ENQUEUE = """
mutation Enqueue($jobs: [JobEnqueueInput!]!) {
  jobsEnqueue(input: {jobs: $jobs}) { results { job { id } userErrors { code message } } userErrors { code } }
}
"""
_UNFINISHED = """
query { jobs(where: {states: [BLOCKED, SCHEDULED, QUEUED, ACTIVE, RETRYING]}) { totalCount { value precision } } }
"""
_HISTORY = """
query History($after: Cursor) {
  jobs(where: {tasks: ["work"]}, first: 100, after: $after) {
    nodes { id state run attemptCount recoveries args attempts(first: 50) { nodes { run number state } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
_EVENTS = """
subscription Events($after: Cursor) {
  jobEvents(where: {tasks: ["work"]}, after: $after) {
    endCursor gap { reason } events { __typename jobId run version }
  }
}
"""


class Events:
    """A subscriber that comes back with its cursor whenever the connection breaks."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.ended: dict[tuple[str, int], list[str]] = defaultdict(list)
        self.versions: dict[tuple[str, int], int] = {}
        self.gaps: Counter[str] = Counter()
        self.count = 0

    async def follow(self) -> None:
        """Read until cancelled."""
        cursor: str | None = None
        while True:
            try:
                async for data in self._api.subscribe(_EVENTS, {"after": cursor}):
                    cursor = self._take(data["jobEvents"])
            except (OSError, Closed):
                await asyncio.sleep(0.1)

    def _take(self, batch: dict[str, Any]) -> str:
        if batch["gap"]:
            self.gaps[batch["gap"]["reason"]] += 1
        for event in batch["events"]:
            key = (event["jobId"], event["run"])
            version = int(event["version"])
            assert version > self.versions.get(key, 0), f"{event} came twice or late"
            self.versions[key] = version
            self.count += 1
            if event["__typename"] in FINAL_EVENTS:
                self.ended[key].append(FINAL_EVENTS[event["__typename"]])
        cursor: str = batch["endCursor"]
        return cursor


async def enqueue(api: Api, numbers: Sequence[int]) -> list[str]:
    """Enqueue in bulk; return the ids that were accepted."""
    ids: list[str] = []
    for start in range(0, len(numbers), CHUNK):
        jobs = [{"task": "work", "args": {"number": number}} for number in numbers[start : start + CHUNK]]
        payload = (await api.execute(_ENQUEUE, {"jobs": jobs}))["jobsEnqueue"]
        assert payload["userErrors"] == []
        for result in payload["results"]:
            assert result["userErrors"] == []
            ids.append(result["job"]["id"])
    return ids


async def run_with_faults(
    api: Api, ledger: Path, total: int, faults: Sequence[Callable[[], Awaitable[None]]], *, timeout_s: float
) -> tuple[list[str], Events]:
    """Enqueue `total` jobs, break something while each part of them is under way, and wait until none is unfinished."""
    events = Events(api)
    following = asyncio.create_task(events.follow())
    parts = len(faults) + 1
    size = total // parts
    ids: list[str] = []
    async with asyncio.timeout(timeout_s):
        for index in range(parts):
            last = index == parts - 1
            ids += await enqueue(api, range(index * size, total if last else (index + 1) * size))
            if not last:
                await until_under_way(ledger)
                await faults[index]()
        while (await api.execute(_UNFINISHED))["jobs"]["totalCount"]["value"]:
            await asyncio.sleep(0.2)
    assert not following.done(), following.exception()
    following.cancel()
    await asyncio.wait([following])
    return ids, events


async def until_under_way(ledger: Path, more: int = 200) -> None:
    """Wait until so many more jobs have run."""
    async with asyncio.timeout(30):
        begun = await asyncio.to_thread(size_of, ledger)
        while await asyncio.to_thread(size_of, ledger) < begun + more * 4:
            await asyncio.sleep(0.01)


def size_of(file: Path) -> int:
    """Bytes; a line of the ledger has four at least, once numbers have three digits."""
    return file.stat().st_size if file.exists() else 0


async def flush_all(redis_url: str) -> None:
    """Wipe Redis, once it answers."""
    async with asyncio.timeout(30), redis.asyncio.Redis.from_url(redis_url) as client:
        while True:
            try:
                await client.flushall()
            except redis.exceptions.ConnectionError:
                await asyncio.sleep(0.05)
            else:
                return


async def history(api: Api) -> dict[str, dict[str, Any]]:
    """Read every job of the run."""
    jobs: dict[str, dict[str, Any]] = {}
    cursor = None
    while True:
        page = (await api.execute(_HISTORY, {"after": cursor}))["jobs"]
        jobs |= {job["id"]: job for job in page["nodes"]}
        if not page["pageInfo"]["hasNextPage"]:
            return jobs
        cursor = page["pageInfo"]["endCursor"]


def read_ledger(path: Path) -> Counter[int]:
    """Return how often each number's task ran to its end."""
    return Counter(int(line) for line in path.read_text().splitlines())


def check(accepted: list[str], jobs: dict[str, dict[str, Any]], ledger: Counter[int], events: Events) -> None:
    """Compare what was answered, what ran, what history says and what was seen live."""
    assert len(set(accepted)) == len(accepted)
    assert set(jobs) == set(accepted), "history knows exactly what was accepted"
    for job in jobs.values():
        assert job["state"] == "COMPLETED", job
        assert ledger[job["args"]["number"]], f"{job} is COMPLETED and never ran to its end"
        numbers = [attempt["number"] for attempt in job["attempts"]["nodes"]]
        assert len(set(numbers)) == len(numbers), job
        assert max(numbers) == job["attemptCount"], job
        if not job["recoveries"]:
            assert numbers == list(range(1, job["attemptCount"] + 1)), job
        ended = [attempt for attempt in job["attempts"]["nodes"] if attempt["state"] == "COMPLETED"]
        assert len(ended) == 1, job
        seen = events.ended.get((job["id"], job["run"]), [])
        # An end that Redis lost before it was recorded was seen, and after a gap the job ran again: pushed anew, or
        # from the state that the append-only file still had.
        most = 1 + events.gaps["BROKER_LOST"]
        assert set(seen) <= {"COMPLETED"}, f"{job} ended as {seen} before the eyes of a subscriber"
        assert len(seen) <= most, f"{job} ended {len(seen)} times before the eyes of a subscriber"
    unseen = [job_id for job_id in jobs if (job_id, 1) not in events.ended]
    assert not unseen or events.gaps, f"{len(unseen)} ends were not seen, and no gap was announced"
