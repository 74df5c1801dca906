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

from jobs.broker import Cancelling, Push, Pushed, Report, Reserved, keys
from jobs.clock import new_id
from jobs.errors import BrokerUnavailable, PayloadTooLarge, Stale
from jobs.job import FINAL, WAITING, JobSpec, LogLevel, Progress, Reason, State
from jobs.outcome import Cancel, Complete, Die, Outcome, RetryLater
from jobs.retry import failure
from jobs.saq.batch import Batch
from jobs.saq.desk import Desk
from jobs.saq.job import TOKEN, HeldJob, RunningJob, encode, failure_of, held_job, meta_of, record_key, spec_of
from jobs.saq.reading import ReadingQueue
from jobs.saq.session import Note, StandaloneBroker
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

_spec = msgspec.json.Decoder(JobSpec)
_json = msgspec.json.Encoder()


class Found(msgspec.Struct, frozen=True):
    """A job as a caller without a token finds it."""

    spec: JobSpec
    state: State
    token: str
    """That of whoever has it now, or ""."""


class Queue(ReadingQueue):
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

    def _check_size(self, size: int) -> None:
        most = self.settings.payload_max_bytes
        if size > most:
            raise PayloadTooLarge(f"This has {size} bytes as JSON; {most} are allowed.")

    async def _push(self, specs: list[JobSpec]) -> list[int | None]:
        """Enqueue jobs; return when each was, None where another job has its key."""
        broker = await self.broker()
        claims = [(f"{self.name}:{spec.key}", new_id(), spec.scheduled_ms) for spec in specs]
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

    def _held_job(self, job: saq.job.Job) -> HeldJob | None:
        """Return the dequeued job that this is, or speaks of (SAQ's HTTP proxy passes on copies)."""
        if isinstance(job, HeldJob):
            return job
        held, token = self._held.get(job.key), job.meta.get(TOKEN)
        return held if held and (token is None or (held.reserved and held.reserved.token == token)) else None

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

    async def notify(self, job: saq.job.Job) -> None:
        """Note what SAQ's update may change, and tell those who listen for the job."""
        fields = ["touched", str(job.touched), "progress", str(float(job.progress))]
        if meta := meta_of(job):
            fields += ["meta", encode(self.dump, meta).decode()]
        if job.worker_id:
            fields += ["worker_id", _json.encode(job.worker_id).decode()]
        await self._note(job, fields)

    async def _note(self, job: saq.job.Job, fields: list[str], *, ended: bool = False) -> None:
        held = self._held_job(job)
        reserved = held.reserved if held else None
        if held and reserved is None:
            return  # its attempt is over
        if held:
            held.touched = job.touched
        job_id, token = (reserved.id, reserved.token) if reserved else (await self._id(job), job.meta.get(TOKEN, ""))
        await (await self.broker()).note([Note(f"{self.name}:{job.key}", job_id, token, ended, _ttl_ms(job), fields)])

    # Whose job it is

    async def _id(self, job: saq.job.Job) -> str:
        broker = await self.broker()
        found = await broker.ask(broker.client.hget(record_key(self.name, job.key), "id"))
        return found.decode() if found else job.key

    async def _find(self, job: saq.job.Job) -> Found | None:
        broker = await self.broker()
        spec, state, token = await broker.ask(broker.client.hmget(keys.job(await self._id(job)), ["b", "s", "n"]))
        if not spec or job.meta.get(TOKEN, token.decode()) != token.decode():
            return None  # what a copy from another attempt says has no effect
        return Found(_spec.decode(spec), State(state.decode()), token.decode())

    async def _own(self, job: saq.job.Job) -> Reserved | None:
        """Return the job, started, as its caller may speak for it; None where that is not the caller's right.

        Whoever has no token uses the current one, and reserves a job that waits.
        """
        desk = await self.desk()
        held = self._held_job(job)
        if held:
            if held.reserved and not held.confirmed:
                held.confirmed, held.touched = await desk.start(held.reserved), now()
            return held.reserved if held.confirmed else None
        found = await self._find(job)
        if found is None or found.state in FINAL:
            return None
        token = found.token or await desk.take(found.spec.id)
        reserved = Reserved(found.spec.id, token, 0, 0, 0, 0, found.spec)
        return reserved if token and (found.state is State.ACTIVE or await desk.start(reserved)) else None

    def _let_go(self, held: HeldJob | None) -> None:
        if held:
            held.reserved, held.confirmed = None, False
            if self._held.get(held.key) is held:
                del self._held[held.key]

    # The end of an attempt

    async def finish(
        self, job: saq.job.Job, status: Status, *, result: Any = None, error: str | None = None, **kwargs: Any
    ) -> None:
        """End a job. Where it is not the caller's any more, or has ended already, that has no effect.

        A result that is not JSON makes the job FAILED.
        """
        status = Status(status)
        held = self._held_job(job)
        if status is Status.ABORTED and held and held.swept:
            if job.retryable:
                await self.retry(job, error)
                return
            status = Status.FAILED
        outcome = self._outcome(job, status, result, error)
        if isinstance(outcome, Die) and status is Status.COMPLETE:
            status, result, error = Status.FAILED, None, outcome.error.message
        self._show_end(job, status, result, error)
        if not await self._end(job, outcome):
            log.info("saq.finish_dropped", queue=self.name, job=job.key, status=status.value)
            return
        self._show_end(job, status, result, error)  # a refresh may have come in between
        if logger.isEnabledFor(logging.INFO):
            logger.info("Finished %s", job.info(logger.isEnabledFor(logging.DEBUG)))

    @staticmethod
    def _show_end(job: saq.job.Job, status: Status, result: Any, error: str | None) -> None:
        job.status, job.result, job.error, job.completed = status, result, error, now()
        if status is Status.COMPLETE:
            job.progress = 1.0

    def _outcome(self, job: saq.job.Job, status: Status, result: Any, error: str | None) -> Outcome:
        match status:
            case Status.COMPLETE:
                try:
                    text = encode(self.dump, result)
                    self._check_size(len(text))
                except (TypeError, ValueError, RecursionError, PayloadTooLarge) as fault:
                    return Die(Reason.RESULT_UNENCODABLE, failure(fault))
                return Complete(text.decode())
            case Status.FAILED:
                reason = Reason.NOT_RETRYABLE if job.retryable else Reason.ATTEMPTS_EXHAUSTED
                return Die(reason, failure_of(error))
            case Status.ABORTED:
                return Cancel()
        raise ValueError(f"A job does not end with the status {status.value}.")

    async def _end(self, job: saq.job.Job, outcome: Outcome) -> bool:
        held = self._held_job(job)
        fields = ["error", _json.encode(job.error).decode()] if isinstance(outcome, Cancel) and job.error else []
        if isinstance(outcome, Cancel) and not held:
            found = await self._find(job)
            if found and found.state in WAITING and not found.token:
                return await self._cancel(found.spec.id, job, fields) is Cancelling.CANCELLED
        reserved = await self._own(job)
        accepted = reserved is not None and await (await self.desk()).finish(reserved, outcome, fields)
        self._let_go(held)
        return accepted

    async def retry(self, job: saq.job.Job, error: str | None) -> None:
        """End an attempt as failed and queue the job again, after its delay. Without effect as `finish` is."""
        delay_ms = round(job.next_retry_delay() * 1000)
        job.status, job.error, job.touched = Status.QUEUED, error, now()
        job.completed = job.started = 0
        job.progress = 0.0
        if not await self._retry_later(job, RetryLater(failure_of(error), delay_ms)):
            log.info("saq.retry_dropped", queue=self.name, job=job.key)
            return
        if logger.isEnabledFor(logging.INFO):
            logger.info("Retrying %s", job.info(logger.isEnabledFor(logging.DEBUG)))

    async def _retry_later(self, job: saq.job.Job, outcome: RetryLater) -> bool:
        desk = await self.desk()
        held = self._held_job(job)
        if held:
            reserved, confirmed = held.reserved, held.confirmed
        else:
            found = await self._find(job)
            has_owner = found is not None and found.token
            reserved = Reserved(found.spec.id, found.token, 0, 0, 0, 0, found.spec) if found and has_owner else None
            confirmed = found is not None and found.state is State.ACTIVE
        if reserved is None:
            return False
        if confirmed:
            accepted = await desk.finish(reserved, outcome, ["progress", "0.0"])
        else:  # what did not start did not fail: it goes back as it was
            accepted = await desk.put_back(reserved)
            self.retried += accepted
        self._let_go(held)
        return accepted

    async def abort(self, job: saq.job.Job, error: str, ttl: float = 5) -> None:
        """Cancel a job: at once while it waits, by asking its worker while it runs. An ended job stays as it is."""
        fields = ["error", _json.encode(error).decode()]
        match await self._cancel(await self._id(job), job, fields):
            case Cancelling.CANCELLED:
                job.status, job.error, job.completed = Status.ABORTED, error, now()
            case Cancelling.REQUESTED:
                job.status, job.error = Status.ABORTING, error

    async def _cancel(self, job_id: str, job: saq.job.Job, fields: list[str]) -> Cancelling:
        broker = await self.broker()
        answer = (await broker.cancel([job_id]))[0]
        ended = answer is Cancelling.CANCELLED
        self.aborted += ended
        if ended and self._desk:
            self._desk.unstarted.discard(job_id)
        if ended or answer is Cancelling.REQUESTED:
            await broker.note([Note(f"{self.name}:{job.key}", job_id, "", ended, _ttl_ms(job), fields)])
        return answer

    async def finish_abort(self, job: saq.job.Job) -> None:
        """End a job that was asked to stop and did. One that runs anew meanwhile is left alone."""
        stored = await self.job(job.key)
        if stored and stored.status is Status.ABORTING:
            await self.finish(job, Status.ABORTED, error=job.error)

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
        if isinstance(broker, StandaloneBroker) and not await broker.is_reconciled():
            await self._clear_away()
        return swept

    async def _clear_away(self) -> None:
        broker = await self.broker()
        last = await broker.stream.last()
        settled = await broker.settled(last)
        while await broker.forget(settled, UPKEEP) == UPKEEP:
            pass
        await broker.stream.trim(last, await broker.now_ms() - EVENTS_KEPT_MS)


def _ttl_ms(job: saq.job.Job) -> int:
    return round(job.ttl * 1000)
