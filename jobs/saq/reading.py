"""The part of SAQ's Queue that looks: jobs, counts, and listening for changes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from math import inf
from typing import Any

import saq.job
from saq.job import Status
from saq.types import CountKind, ListenCallback, QueueInfo

from jobs.broker import keys
from jobs.broker.live import read_job
from jobs.job import FINAL, State
from jobs.saq.connecting import ConnectingQueue
from jobs.saq.job import kept_key, key_of, record_key, seen_job
from jobs.saq.status import FINAL_STATUSES, status_told

LOOK_AGAIN_S = 1.0
"""Who listens looks at the jobs themselves so often: not everybody who changes a job tells SAQ's listeners."""
CLASSES = range(5)


class ReadingQueue(ConnectingQueue):
    """Answers questions."""

    # Jobs

    async def job(self, job_key: str) -> saq.job.Job | None:
        """Return a job by its key, or by its id where it did not come from SAQ's enqueue."""
        return (await self.jobs([job_key]))[0]

    async def jobs(self, job_keys: Iterable[str]) -> list[saq.job.Job | None]:
        """Return jobs by their keys; None where there is none. An ended job can be read for its ttl."""
        names = list(job_keys)
        records = await self._hashes([record_key(self.name, name) for name in names])
        ids = [record[b"id"].decode() if record else name for name, record in zip(names, records, strict=True)]
        rows = await self._hashes([key for job_id in ids for key in (keys.job(job_id), kept_key(job_id))])
        found: list[saq.job.Job | None] = []
        for record, live, kept in zip(records, rows[::2], rows[1::2], strict=True):
            job = read_job(live or kept)
            found.append(self._seen(seen_job(self, job, record)) if job and job.queue == self.name else None)
        return found

    async def _hashes(self, names: Sequence[str]) -> list[dict[bytes, bytes]]:
        broker = await self.broker()
        async with broker.client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hgetall(name)
            rows: list[dict[bytes, bytes]] = await broker.ask(pipeline.execute())
        return rows

    def _seen(self, job: saq.job.Job) -> saq.job.Job | None:
        if job.ttl < 0 and job.status in FINAL_STATUSES:
            return None
        held = self._held.get(job.key)
        if held is not None and held.swept and job.status is Status.ACTIVE:
            job.status, job.error = Status.ABORTING, self.swept_error_message
        return job

    async def iter_jobs(
        self,
        statuses: list[Status] = list(Status),  # noqa: B006  # SAQ's own signature; it is not changed
        batch_size: int = 100,
    ) -> AsyncIterator[saq.job.Job]:
        """Go through all jobs of SAQ's in this queue that can be read."""
        broker = await self.broker()
        head, cursor = record_key(self.name, ""), 0
        while True:
            cursor, found = await broker.ask(broker.client.scan(cursor, match=f"{head}*", count=batch_size))
            for job in await self.jobs(name.decode().removeprefix(head) for name in found):
                if job and job.status in statuses:
                    yield job
            if cursor == 0:
                return

    # Counts

    async def count(self, kind: CountKind) -> int:
        """Count jobs: `queued` can run now, `active` run, `incomplete` have not ended. Raises ValueError."""
        if kind not in ("queued", "active", "incomplete"):
            raise ValueError(f"Can't count unknown type {kind}")
        return (await self._counts())[kind]

    async def _counts(self) -> dict[str, int]:
        broker = await self.broker()
        states = (await broker.counts([self.name]))[self.name]
        unstarted = len(self._desk.unstarted) if self._desk else 0
        aborting = await self._count_aborting()
        return {
            "queued": max(0, states.get(State.QUEUED, 0) - unstarted),
            "active": max(0, states.get(State.ACTIVE, 0) + unstarted - aborting),
            "incomplete": max(0, sum(states.values()) - aborting),
        }

    async def _count_aborting(self) -> int:
        """Count the running jobs that were asked to stop; to SAQ they are neither active nor incomplete."""
        broker = await self.broker()
        ids = await self._members("cancel")
        async with broker.client.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hmget(keys.job(job_id), ["q", "s"])
            rows = await broker.ask(pipeline.execute())
        return sum(row == [self.name.encode(), State.ACTIVE.encode()] for row in rows)

    async def _members(self, kind: str) -> list[str]:
        """Return the ids in the sets of this kind of all sessions."""
        broker = await self.broker()
        sessions = await broker.ask(broker.client.zrange(keys.LEASES, 0, -1))
        async with broker.client.pipeline(transaction=False) as pipeline:
            for session in sessions:
                pipeline.smembers(f"{keys.PREFIX}:{kind}:{session.decode()}")
            found = await broker.ask(pipeline.execute())
        return [job_id.decode() for ids in found for job_id in ids]

    async def info(self, jobs: bool = False, offset: int = 0, limit: int = 10) -> QueueInfo:
        """Describe the queue, its workers and, if asked for, the first jobs of it that have not ended."""
        info = await super().info()
        if jobs:
            info["jobs"] = [job.to_dict() for job in (await self._incomplete_jobs(offset + limit))[offset:]]
        return info

    async def _incomplete_jobs(self, limit: int) -> list[saq.job.Job]:
        broker = await self.broker()
        ids = await self._members("held")
        async with broker.client.pipeline(transaction=False) as pipeline:
            for number in CLASSES:
                pipeline.zrange(f"{keys.PREFIX}:ready:{self.name}:{number}", 0, limit - 1)
            pipeline.zrange(f"{keys.PREFIX}:due", 0, limit - 1)
            found = await broker.ask(pipeline.execute())
        ids += [job_id.decode() for part in found for job_id in part]
        live = await broker.jobs(list(dict.fromkeys(ids)))
        ours = [key_of(job) for job in live.values() if job.queue == self.name and job.state not in FINAL]
        return [job for job in await self.jobs(ours[:limit]) if job]

    # Listening

    async def listen(
        self,
        job_keys: Iterable[str],
        callback: ListenCallback,
        timeout: float | None = 10,
        poll_interval: float = 0.5,
    ) -> None:
        """Call back when a job changes, until that returns something true or all jobs are gone.

        Raises TimeoutError where nothing changes for `timeout` seconds (None or 0: for ever). Jobs that
        have ended already are called back for at once.
        """
        async with aclosing(self._watch(list(job_keys), timeout or inf)) as changes:
            async for key, status in changes:
                answer = callback(key, status)
                if await answer if inspect.isawaitable(answer) else answer:
                    return

    async def _watch(self, waiting: list[str], timeout_s: float) -> AsyncGenerator[tuple[str, Status], None]:
        """Yield what changes: what is told, and what is seen at a look at the jobs now and then."""
        if not waiting:
            return
        clock = asyncio.get_running_loop().time
        messages = await self._pubsub.subscribe(*(self.job_id(key) for key in waiting))
        seen: dict[str, Status | None] = {}
        deadline, look_at = clock() + timeout_s, 0.0
        try:
            while waiting:
                if clock() >= look_at:
                    changes = await self._changes(waiting, seen)
                    look_at = clock() + LOOK_AGAIN_S
                else:
                    changes = await self._told(messages, min(look_at, deadline) - clock())
                for key, status in changes:
                    seen[key] = status
                    yield key, status
                    deadline = clock() + timeout_s
                if clock() >= deadline:
                    raise TimeoutError
        finally:
            await self._pubsub.unsubscribe(messages)

    async def _told(self, messages: asyncio.Queue[dict[str, Any]], within_s: float) -> list[tuple[str, Status]]:
        try:
            message = await asyncio.wait_for(messages.get(), within_s)
        except TimeoutError:
            return []
        return [(self.job_key_from_id(message["channel"]), status_told(message["data"].decode()))]

    async def _changes(self, waiting: list[str], seen: dict[str, Status | None]) -> list[tuple[str, Status]]:
        """Look at the jobs; return those that changed since the last look, at the first look those that ended.

        Those that were there and are gone wait for nothing any more.
        """
        changes = []
        for key, job in zip(list(waiting), await self.jobs(waiting), strict=True):
            if job is None:
                if seen.get(key):
                    waiting.remove(key)
            elif job.status != seen[key] if seen.get(key) else job.status in FINAL_STATUSES:
                changes.append((key, job.status))
            seen[key] = job.status if job else None
        return changes
