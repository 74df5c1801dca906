"""SAQ's Queue over our broker."""

from __future__ import annotations

import logging
from typing import Any, Self

import msgspec
import redis.asyncio
import saq.job
import structlog
from saq.errors import InvalidUrlError
from saq.job import Status
from saq.utils import now, seconds

from jobs.broker import Push, Pushed, Report, Reserved
from jobs.clock import new_id
from jobs.errors import BrokerUnavailable, Stale
from jobs.job import JobSpec, LogLevel, Progress
from jobs.saq.batch import Batch
from jobs.saq.cron import is_tick
from jobs.saq.desk import Desk
from jobs.saq.holding import HoldingQueue
from jobs.saq.job import HeldJob, RunningJob, held_job, spec_of
from jobs.saq.session import StandaloneBroker
from jobs.saq.status import FINAL_STATUSES
from jobs.worker import NotFetched

log = structlog.get_logger(__name__)
logger = logging.getLogger("saq")

PUSH_MS = 10_000
"""How long a push may be on its way (lua/claim.lua)."""
EVENTS_KEPT_MS = 60_000
"""Where nobody records events, they are kept for so long."""
UPKEEP = 1_000
"""Jobs in one call of upkeep."""


class Queue(HoldingQueue):
    """A queue of SAQ whose jobs are QueueQL's: `Queue.from_url("redis://localhost", name="email")`.

    Takes what SAQ's RedisQueue takes. Its jobs have the durability MEMORY. `dump` has to write JSON; it
    is used for arguments, results and meta, each on its own. ValueError is raised for a name that is not
    made of letters, digits, '.', '_' and '-', and for a client whose URL cannot be told.
    """

    def __init__(self, redis: redis.asyncio.Redis, *args: Any, **kwargs: Any) -> None:
        super().__init__(redis, *args, **kwargs)
        self._enqueue_many: Batch[JobSpec, int | None] = Batch(self._push)

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Create a queue with the URL of a Redis. Raises InvalidUrlError."""
        try:
            client = redis.asyncio.from_url(url)
        except ValueError as error:
            raise InvalidUrlError(f"{url!r} is no URL of a Redis: {error}") from None
        return cls(client, url=url, **kwargs)

    def sibling(self, name: str) -> Queue:
        """Return a queue of another name that uses the connections of this one."""
        shared: dict[str, Any] = {"settings": self.settings, "broker": self._broker, "payloads": self.payloads}
        return Queue(self.redis, name, self.dump, self.load, url=self._url, **shared)

    # Enqueue

    async def _enqueue(self, job: saq.job.Job) -> saq.job.Job | None:
        spec = spec_of(job, self)
        self._check_size(len(bytes(spec.args)))
        created_ms = await self._enqueue_many(spec)
        if created_ms is None:
            return None
        job.queued = created_ms
        if logger.isEnabledFor(logging.INFO):
            logger.info("Enqueuing %s", job.info(logger.isEnabledFor(logging.DEBUG)))
        return job

    async def _push(self, specs: list[JobSpec]) -> list[int | None]:
        """Enqueue jobs; return when each was, None where another job has its key, or had its tick."""
        broker = await self.broker()
        claims = [(f"{self.name}:{spec.key}", new_id(), spec.scheduled_ms, is_tick(spec)) for spec in specs]
        now_ms, ids = await broker.call("claim", claims)
        pushes = [
            Push(spec=msgspec.structs.replace(spec, id=job_id, created_ms=now_ms))
            for spec, job_id in zip(specs, ids, strict=True)
            if job_id
        ]
        pushed = await broker.push(pushes, deadline_ms=now_ms + PUSH_MS)
        if Pushed.LATE in pushed:
            raise BrokerUnavailable("Redis answered too late; the jobs were not enqueued.")
        each = iter(pushed)
        return [now_ms if job_id and next(each) is Pushed.NEW else None for job_id in ids]

    # Dequeue and start

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> HeldJob | None:
        """Wait for a job for `timeout` seconds (0: for ever). Cancelling this loses no job."""
        desk = await self.desk()
        while reserved := await desk.reserve(timeout):
            whole = await self._complete(desk, reserved)
            if whole is not None:
                job = held_job(self, whole)
                self._held[job.key] = job
                return job
        return None

    async def _complete(self, desk: Desk, reserved: Reserved) -> Reserved | None:
        """Return the job with its arguments; where these cannot be fetched, it goes back, and says why."""
        try:
            spec = await self.payloads.complete(reserved.spec)
        except NotFetched as missing:
            if await desk.start(reserved):
                line = (LogLevel.WARNING, str(missing), "", "", now())
                await (await desk.session()).report([Report(id=reserved.id, token=reserved.token, logs=[line])])
                await desk.finish(reserved, missing.outcome, [])
            return None
        except BaseException:
            desk.take_back([reserved])
            raise
        return msgspec.structs.replace(reserved, spec=spec)

    async def update(self, job: saq.job.Job, **kwargs: Any) -> None:
        """Note what changed of a job. `status=ACTIVE` starts it, and raises Stale where it must not run.

        Of the other attributes progress, meta, touched and worker_id are kept, as long as the job has not
        ended and is the caller's.
        """
        job.touched = now()
        for name, value in kwargs.items():
            if hasattr(job, name):
                setattr(job, name, value)
        await self._update(job, **kwargs)

    async def _update(self, job: saq.job.Job, status: Status | str | None = None, **kwargs: Any) -> None:
        status = Status(status) if status else None
        if status is Status.ACTIVE:
            await self._confirm(job)
            if not kwargs:
                return  # the session has noted the start
        elif status is Status.ABORTING:
            await (await self.broker()).cancel([await self._id(job)])
        elif status in FINAL_STATUSES:
            await self.finish(job, status, result=job.result, error=job.error)
            return
        if "progress" in kwargs:
            await self._report_progress(job)
        await self.notify(job)

    async def _confirm(self, job: saq.job.Job) -> None:
        broker = await self.broker()
        broker.worker_id = job.worker_id or broker.worker_id
        if await self._own(job) is None:
            raise Stale(f"Job {job.key} is not this worker's any more; it must not run here.")

    async def _report_progress(self, job: saq.job.Job) -> None:
        held = self._held_job(job)
        if isinstance(held, RunningJob):
            held.context.progress(job.progress, of=1.0)
        elif held and held.reserved and held.confirmed:
            session = await (await self.desk()).session()
            progress = Progress(done=job.progress, total=1.0, at_ms=now())
            await session.report([Report(id=held.reserved.id, token=held.reserved.token, progress=progress)])

    # Upkeep

    async def schedule(self, lock: int = 1) -> list[str]:
        """Make runnable what is due, and what workers held that died. The answer is empty; SAQ only logs it."""
        broker = await self.broker()
        await broker.promote_due(UPKEEP)
        await broker.reap(UPKEEP)
        return []

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:
        """Take jobs back from workers that died, and stop those here that missed their heartbeat.

        Returns the ids of these jobs. Where nobody records history, ended jobs and old events are removed.
        """
        broker = await self.broker()
        reaped, _ = await broker.reap(UPKEEP)
        taken = await broker.jobs(reaped)
        swept = [self.job_id(job.key or job.id) for job in taken.values() if job.queue == self.name]
        for held in list(self._held.values()):
            if held.confirmed and held.heartbeat and seconds(now() - held.touched) > held.heartbeat:
                held.swept = True
                swept.append(held.id)
        if isinstance(broker, StandaloneBroker) and not await broker.has_reconciler():
            await self._clear_away()
        return swept

    async def _clear_away(self) -> None:
        broker = await self.broker()
        last = await broker.stream.last()
        settled = await broker.settled(last)
        while await broker.forget(settled, UPKEEP) == UPKEEP:
            pass
        await broker.stream.trim(last, await broker.now_ms() - EVENTS_KEPT_MS)
