"""The part of SAQ's Queue that speaks for jobs: whose a job is, what may be noted of it, and how its attempt ends."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import saq.job
import structlog
from saq.job import Status
from saq.utils import now

from jobs.broker import Cancelling, Reserved, keys
from jobs.errors import PayloadTooLarge
from jobs.job import FINAL, WAITING, JobSpec, Reason, State
from jobs.outcome import Cancel, Complete, Die, Outcome, RetryLater
from jobs.retry import failure
from jobs.saq.job import TOKEN, HeldJob, encode, failure_of, meta_of, record_key
from jobs.saq.reading import ReadingQueue
from jobs.saq.session import Note

log = structlog.get_logger(__name__)
logger = logging.getLogger("saq")

_spec = msgspec.json.Decoder(JobSpec)
_json = msgspec.json.Encoder()


class Found(msgspec.Struct, frozen=True):
    """A job as a caller without a token finds it."""

    spec: JobSpec
    state: State
    token: str
    """That of whoever has it now, or ""."""


class HoldingQueue(ReadingQueue):
    """Speaks for jobs, as their callers may."""

    # Whose job it is

    def _held_job(self, job: saq.job.Job) -> HeldJob | None:
        """Return the dequeued job that this is, or speaks of (SAQ's HTTP proxy passes on copies)."""
        if isinstance(job, HeldJob):
            return job
        held, token = self._held.get(job.key), job.meta.get(TOKEN)
        return held if held and (token is None or (held.reserved and held.reserved.token == token)) else None

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

    # What may be noted

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

    def _check_size(self, size: int) -> None:
        most = self.settings.payload_max_bytes
        if size > most:
            raise PayloadTooLarge(f"This has {size} bytes as JSON; {most} are allowed.")


def _ttl_ms(job: saq.job.Job) -> int:
    return round(job.ttl * 1000)
