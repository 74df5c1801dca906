"""A worker's session: the lease under which it holds jobs, and the lanes that carry them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import redis
import redis.asyncio
import redis.exceptions
import structlog

from jobs.broker import keys, scripts
from jobs.broker.connection import BLOCK_MAX_MS, RETRY_S
from jobs.broker.record import Finished, Renewal, Report, Reserved, Step, Vitals, WorkerWish
from jobs.checkpoint import Saved
from jobs.clock import now_ms
from jobs.errors import BrokerUnavailable, EpochChanged, QueueQLError
from jobs.job import Failure, JobSpec, Reason
from jobs.outcome import Cancel, Complete, Crash, Die, Outcome, Release, RetryLater, Snooze

if TYPE_CHECKING:
    from jobs.broker.queue import Broker

log = structlog.get_logger(__name__)

_json = msgspec.json.Encoder()
_spec = msgspec.json.Decoder(JobSpec)
_checkpoint = msgspec.json.Decoder(Saved)
_wish = msgspec.json.Decoder(WorkerWish)

_ABANDON_LANE = -1
"""Number of the lane of the thread that gives a blocked worker's jobs back."""


def _arguments(outcome: Outcome) -> tuple[Any, ...]:  # noqa: PLR0911  # one case for each outcome
    match outcome:
        case Complete(result):
            return ("complete", result)
        case RetryLater(error, delay_ms):
            return ("retry", _json.encode(error).decode(), delay_ms)
        case Snooze(delay_ms):
            return ("snooze", delay_ms)
        case Release():
            return ("release",)
        case Cancel():
            return ("cancel",)
        case Die(reason, error):
            return ("die", reason, _json.encode(error).decode())
        case Crash(error):
            return ("crash", _json.encode(error).decode())


def _given_back(item: Finished) -> tuple[Any, ...]:
    name, *arguments = _arguments(item.outcome)
    return (item.id, item.token, name, item.cpu_us, *arguments)


def _reported(report: Report, sent_ms: int) -> tuple[Any, ...]:
    """Turn times into ages: the clock that counts is that of Redis."""
    progress = _json.encode(report.progress).decode() if report.progress else ""
    lines = [(*line, max(0, sent_ms - written_ms)) for *line, written_ms in report.logs]
    return (report.id, report.token, progress, lines, report.checkpoint)


class Lane:
    """One line between a worker and Redis, with its own connection. Its calls never overlap."""

    def __init__(self, broker: Broker, session_id: str, number: int) -> None:
        self._broker = broker
        self._session = session_id
        self._number = number
        self._request = 0
        self.suspects_max = 1
        """Jobs that have lost their process twice, that the session may hold at a time."""
        self._unreadable: list[Finished] = []
        self._client = broker.dedicated_client()

    async def step(self, finished: Sequence[Finished], want: int, queues: Sequence[str]) -> Step:
        """Give back what is finished and reserve up to `want` jobs, in one call.

        Repeats until Redis answers, without doing anything twice. Raises SessionLost.
        """
        self._request += 1
        sent, self._unreadable = [*finished, *self._unreadable], []
        given_back = [_given_back(item) for item in sent]
        request = (self._session, self._number, self._request, given_back, want, queues, self.suspects_max)
        reserved, stale, wait_ms = await self._broker.insist(self._client, "step", request)
        jobs = []
        for job_id, token, run, attempt, uncharged, crashes, spec, checkpoint in reserved:
            try:
                if checkpoint:
                    _checkpoint.decode(checkpoint)  # a run that has one must not begin without it
                jobs.append(Reserved(job_id, token, run, attempt, uncharged, crashes, _spec.decode(spec), checkpoint))
            except msgspec.DecodeError as error:
                await self._refuse(job_id, token, str(error))
        return Step(jobs, stale, 0 if self._unreadable else int(wait_ms))

    async def _refuse(self, job_id: str, token: str, why: str) -> None:
        """Begin a job that cannot be read, perhaps from a newer version, to end it with the next step."""
        await self._broker.insist(self._client, "start", (self._session, [(job_id, token)]))
        error = Failure(type="UNREADABLE", message=f"This worker cannot read the job: {why}")
        self._unreadable.append(Finished(job_id, token, Die(Reason.NOT_RETRYABLE, error)))
        log.error("lane.unreadable_job", job=job_id, reason=why)

    async def wait(self, queues: Sequence[str], timeout_ms: int) -> None:
        """Return when one of the queues may have work, at the latest after the timeout or two seconds."""
        if timeout_ms <= 0:
            return
        timeout_ms = min(timeout_ms, BLOCK_MAX_MS)
        try:
            blpop: Any = self._client.blpop
            await self._broker.ask(blpop([keys.wake(queue) for queue in queues], timeout=timeout_ms / 1000))
        except (QueueQLError, redis.exceptions.RedisError):
            await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()


class Session:
    """A worker process as Redis knows it, from its start to its end. Owns the jobs that its lanes reserve."""

    def __init__(self, broker: Broker, session_id: str, lease_ms: int) -> None:
        self.id = session_id
        self._broker = broker
        self._lease_ms = lease_ms
        self._lanes: dict[int, Lane] = {}
        self._reports = 0
        self._reporting = asyncio.Lock()
        self._kept_epoch = broker.epoch
        self.renewed_s = time.monotonic()
        """When the lease was last renewed, by the clock of this process that only moves forward."""
        self._thread_client = broker.thread_client()

    def lane(self, number: int) -> Lane:
        """Return the lane of this number."""
        if number not in self._lanes:
            self._lanes[number] = Lane(self._broker, self.id, number)
        return self._lanes[number]

    # For a thread, so that no task can hinder it

    def renew(self, vitals: Vitals) -> Renewal:
        """Renew the lease. Raises BrokerUnavailable, EpochChanged."""
        request = ("renew", self.id, self._lease_ms, _json.encode(vitals).decode())
        try:
            alive, cancelled, wish = self._call_sync("session", request)
        except BrokerUnavailable as error:
            self._broker.outage.began(error)
            raise
        self._broker.outage.ended()
        self.renewed_s = time.monotonic()
        return Renewal(
            lost=not alive,
            cancelled=frozenset(cancelled),
            wish=_wish.decode(wish) if wish else None,
            is_new_epoch=self._broker.epoch != self._kept_epoch,
        )

    def abandon(self, finished: Sequence[Finished]) -> None:
        """Give back jobs and end the session, while the loop of this process is blocked for good.

        Raises BrokerUnavailable, EpochChanged, SessionLost.
        """
        given_back = [_given_back(item) for item in finished]
        self._call_sync("step", (self.id, _ABANDON_LANE, 1, given_back, 0, [], 0))
        self._call_sync("session", ("close", self.id))

    def _call_sync(self, script: str, request: Any) -> Any:
        try:
            return scripts.run_sync(self._thread_client, script, request, str(self._broker.epoch))
        except EpochChanged:
            self._broker.refresh_epoch_sync(self._thread_client)
            return scripts.run_sync(self._thread_client, script, request, str(self._broker.epoch))

    # For the loop

    async def start(self, jobs: Sequence[Reserved]) -> list[bool]:
        """Confirm that the jobs begin now; those answered False must not run. Raises SessionLost."""
        if not jobs:
            return []
        request = (self.id, [(job.id, job.token) for job in jobs])
        answer = await self._broker.insist(self._broker.client, "start", request)
        return [bool(item) for item in answer]

    async def put_back(self, jobs: Sequence[Reserved]) -> None:
        """Give back jobs that were reserved and not started; another worker may run them at once."""
        await self._broker.insist(self._broker.client, "put_back", [(job.id, job.token) for job in jobs])

    async def report(self, reports: Sequence[Report]) -> frozenset[str]:
        """Send progress, checkpoints and log lines; return the tokens of attempts that are over.

        What comes from those is dropped; all else has arrived. Raises SessionLost.
        """
        if not reports:
            return frozenset()
        items = [_reported(item, now_ms()) for item in reports]
        async with self._reporting:
            self._reports += 1
            return frozenset(await self._broker.insist(self._broker.client, "report", (self.id, self._reports, items)))

    async def keep(self, tokens: Sequence[str]) -> None:
        """Say which jobs the worker has; those that it has not, and held before this epoch, go to others."""
        epoch = self._broker.epoch
        request = ("keep", self.id, str(epoch), tokens)
        await self._broker.insist(self._broker.client, "session", request)
        self._kept_epoch = epoch  # where another one has begun meanwhile, that did nothing, and is done again

    async def rouse(self, queues: Sequence[str]) -> None:
        """Wake another worker where these queues have jobs: a lane that was waiting for them will not take them."""
        await self._broker.insist(self._broker.client, "session", ("rouse", self.id, queues))

    async def close(self) -> None:
        """End the session: what was reserved and not started goes back at once. Closing twice is allowed."""
        try:
            while (await self._broker.call("session", ("close", self.id)))[0]:
                pass
        except QueueQLError as error:
            log.info("session.close_left_to_reaper", session=self.id, reason=str(error))
        finally:
            for lane in self._lanes.values():
                await lane.close()
            self._lanes.clear()
            await asyncio.to_thread(self._thread_client.close)
