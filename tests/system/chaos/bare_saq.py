"""The same jobs and the faults that apply against SAQ as it comes: its Queue, its Worker, one Redis, nothing else."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis.asyncio
import redis.exceptions
from saq.job import TERMINAL_STATUSES, Status
from saq.queue.redis import RedisQueue

from tests.redis_server import RedisServer
from tests.system.chaos import ledger
from tests.system.chaos.client import arguments
from tests.system.chaos.fault import Inflicted
from tests.system.chaos.plan import Break, Fault, Plan, PlannedJob
from tests.system.chaos.saq_settings import QUEUE, REDIS, TASKS
from tests.system.chaos.saq_workers import Workers

DRAIN_S = 180.0
"""How long it may take after the last fault; SAQ looks for stuck jobs once a minute."""
STILL_S = 70.0
"""When no line was written for so long, nothing more will come."""
INSIST_S = 60.0
APPLICABLE = {
    "worker": {Break.KILL, Break.FREEZE_SHORT, Break.FREEZE_LONG, Break.TERM},
    "redis": {Break.KILL, Break.FREEZE_SHORT, Break.FREEZE_LONG, Break.FLUSH, Break.AWAY},
}
COMPLETE, FAILED = {Status.COMPLETE}, {Status.FAILED, Status.ABORTED}
RIGHT: dict[str, set[Status]] = {
    "failing": FAILED,
    "hanging": FAILED,
    "hanging_thread": FAILED,
    "blocking": COMPLETE | FAILED,
    "unencodable": FAILED,
    "poison": FAILED,
}
"""How a record may say that a job of a task ended; the others completed."""


class BareSaq:
    """One run."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.jobs = [job for job in plan.jobs if job.task in TASKS and not job.act]
        self.faults = [fault for fault in plan.faults if fault.what in APPLICABLE.get(fault.part, ())]
        self.ledger = folder / "ledger"
        self.accepted: dict[int, float] = {}
        self.refused: Counter[str] = Counter()
        self._server = RedisServer(folder, append_only=True)
        self._workers = Workers(folder, {REDIS: self._server.url, ledger.VARIABLE: str(self.ledger)})
        self.inflicted: list[Inflicted] = []

    async def run(self) -> dict[str, Any]:
        """Enqueue, break, wait until nothing happens any more, and compare."""
        self._server.start()
        queue = RedisQueue.from_url(self._server.url, name=QUEUE)
        try:
            self._workers.start()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._enqueue_all(queue))
                group.create_task(self._break_all())
            drained_s = await self._drain(queue)
            records = dict(zip(self.accepted, await queue.jobs(map(_key, self.accepted)), strict=True))
        finally:
            await self._workers.stop()
            await queue.disconnect()
            self._server.stop()
        statuses = {number: job.status if job else None for number, job in records.items()}
        return self._figures(statuses, await asyncio.to_thread(ledger.read, self.ledger), drained_s)

    async def _enqueue_all(self, queue: RedisQueue) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for job in sorted(self.jobs, key=lambda job: job.at_s):
                await asyncio.sleep(max(0.0, job.at_s - (time.monotonic() - began)))
                group.create_task(self._enqueue(queue, job))

    async def _enqueue(self, queue: RedisQueue, job: PlannedJob) -> None:
        """Insist, as our clients do; the job's key keeps it from being there twice while it is known."""
        deadline = time.monotonic() + INSIST_S
        scheduled = int(time.time() + job.delay_s) if job.delay_s else 0
        options = TASKS[job.task] | {"key": _key(job.number), "scheduled": scheduled, "ttl": 0}
        while time.monotonic() < deadline:
            try:
                async with asyncio.timeout(6.0):
                    await queue.enqueue(job.task, **arguments(job), **options)
            except (redis.exceptions.RedisError, TimeoutError, OSError) as error:
                self.refused[type(error).__name__] += 1
                await asyncio.sleep(0.2)
            else:
                self.accepted[job.number] = time.time()
                return

    async def _break_all(self) -> None:
        began = time.monotonic()
        for fault in self.faults:
            await asyncio.sleep(max(0.0, fault.at_s - (time.monotonic() - began)))
            began_s = time.time()
            await self._inflict(fault)
            self.inflicted.append(Inflicted(fault, began_s, time.time()))

    async def _inflict(self, fault: Fault) -> None:
        match fault.part, fault.what:
            case "worker", what:
                await self._workers.inflict(what, fault.which, fault.lasts_s)
            case _, (Break.KILL | Break.AWAY):
                self._server.kill()
                await asyncio.sleep(fault.lasts_s)
                self._server.start()
            case _, (Break.FREEZE_SHORT | Break.FREEZE_LONG):
                await self._workers.freeze(self._server.pid, fault.lasts_s)
            case _:
                async with redis.asyncio.Redis.from_url(self._server.url) as client:
                    await client.flushall()

    async def _drain(self, queue: RedisQueue) -> float:
        """Wait until all records are final, or nothing has run for so long that nothing will."""
        began, size, still_since = time.monotonic(), -1, time.monotonic()
        while time.monotonic() - began < DRAIN_S:
            jobs = await queue.jobs(map(_key, self.accepted))
            if all(job and job.status in TERMINAL_STATUSES for job in jobs):
                break
            now_size = len(await asyncio.to_thread(ledger.read, self.ledger))
            if now_size != size:
                size, still_since = now_size, time.monotonic()
            if time.monotonic() - still_since > STILL_S:
                break
            await asyncio.sleep(1.0)
        return time.monotonic() - began

    def _figures(
        self, statuses: dict[int, Status | None], lines: Sequence[ledger.Line], drained_s: float
    ) -> dict[str, Any]:
        wrote = defaultdict[int, Counter[str]](Counter)
        for line in lines:
            wrote[line.number][line.what] += 1
        tasks = {job.number: job.task for job in self.jobs}
        wrong = Counter[str]()
        for number, status in statuses.items():
            if status in TERMINAL_STATUSES and status not in RIGHT.get(tasks[number], COMPLETE):
                wrong[f"{tasks[number]}: {status.value}"] += 1
            elif status is Status.COMPLETE and not wrote[number][ledger.END]:
                wrong[f"{tasks[number]}: complete, and it never ran to its end"] += 1
        return {
            "faults": [fault.name for fault in self.faults],
            "accepted": len(self.accepted),
            "refused": dict(self.refused),
            "lost": sum(status is None and not wrote[number][ledger.END] for number, status in statuses.items()),
            "record_gone": sum(status is None for status in statuses.values()),
            "never_finished": sum(
                status is not None and status not in TERMINAL_STATUSES for status in statuses.values()
            ),
            "ran_twice": sum(count[ledger.END] > 1 for count in wrote.values()),
            "wrong_record": sum(wrong.values()),
            "wrong_records": dict(wrong),
            "workers_killed_by_pills": sum(count[ledger.KILL] for count in wrote.values()),
            "drain_s": round(drained_s, 1),
        }


def _key(number: int) -> str:
    return f"chaos-{number}"


async def run(plan: Plan, folder: Path) -> dict[str, Any]:
    """Run bare SAQ through a plan; return the figures."""
    return {"seed": plan.seed, "deployment": "bare SAQ"} | await BareSaq(plan, folder).run()
