"""Commands on jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
import orjson
import structlog

from jobs.broker import Push
from jobs.cancel import Canceller
from jobs.commands.admission import Admission
from jobs.commands.gate import command
from jobs.commands.parts import Parts
from jobs.commands.request import ENQUEUE_MANY_MAX, Enqueued, EnqueueRequest, accepted_job
from jobs.errors import BrokerUnavailable, EpochChanged, InvalidOption, InvalidState, NotFound, QueueFull, RequestError
from jobs.job import FINAL, Job, State
from jobs.newest import may_exist
from jobs.rescue import Rescue, Rescued
from jobs.store import CancelRequest
from jobs.viewer import Permission, Viewer

log = structlog.get_logger(__name__)

RESCUE_S, RESCUE_MAX_S = 10.0, 30.0
RETRYABLE = frozenset({State.DEAD, State.CANCELLED})


class JobCommands:
    """Enqueue, cancel, retry and rescue."""

    def __init__(self, parts: Parts) -> None:
        self.gate = parts.gate
        self._parts = parts
        self._admission = Admission(parts)
        self._canceller = Canceller(parts.store, parts.broker)
        self._rescue = Rescue(parts.store, parts.broker, parts.clock)

    @command(Permission.OPERATE, "job.enqueue")
    async def enqueue(self, viewer: Viewer, request: EnqueueRequest) -> Enqueued:
        """Accept a job. With a key that leads to an existing job, that job is the answer.

        Raises UnknownTask, InvalidArguments, PayloadTooLarge, InvalidOption, IdempotencyMismatch,
        StoreUnavailable; for a task with durability MEMORY also QueueFull and BrokerUnavailable.
        """
        (answer,) = await self._admission.admit(viewer, [request])
        if isinstance(answer, RequestError):
            raise answer
        return answer

    @command(Permission.OPERATE, "job.enqueue_many")
    async def enqueue_many(self, viewer: Viewer, requests: Sequence[EnqueueRequest]) -> list[Enqueued | RequestError]:
        """Accept up to 1,000 jobs, each by itself; the answers are in the order of the requests.

        Raises InvalidOption for more than that, StoreUnavailable, BrokerUnavailable as `enqueue` does.
        """
        if len(requests) > ENQUEUE_MANY_MAX:
            raise InvalidOption(
                f"At most {ENQUEUE_MANY_MAX:,} jobs can be enqueued in one call; {len(requests):,} were given."
            )
        return await self._admission.admit(viewer, requests)

    @command(Permission.OPERATE, "job.cancel")
    async def cancel(self, _viewer: Viewer, job_id: str) -> Job:
        """Cancel a job: at once while it waits; a running one is asked to stop and ends soon after.

        Once this has returned, the request is in the store and is not lost with Redis; while Redis is away, the job is
        returned as the store knows it, with `cancel_requested`, and Redis hears of it within two seconds of its return.
        A job that is CANCELLED already is returned as it is. Raises NotFound, InvalidState for a job that
        ended otherwise, StoreUnavailable; BrokerUnavailable for one that the store does not know (MEMORY).
        """
        _check_id(job_id)
        asked = await self._parts.store.cancel.ask(job_id)
        if asked is None:
            await self._parts.broker.cancel([job_id])
        elif not asked.ended and not await self._tell(CancelRequest(job_id, asked.run)):
            return await self._cancelled(job_id, self._parts.store.search.job)
        return await self._cancelled(job_id, self._parts.newest.find)

    async def _tell(self, request: CancelRequest) -> bool:
        """Tell the broker of a request; False where that is left to the reconciler."""
        try:
            await self._canceller.cancel([request])
        except (BrokerUnavailable, EpochChanged, QueueFull) as error:
            log.info("cancel.left_to_reconciler", job=request.id, reason=str(error))
            self._parts.pusher.cancel(request.id, request.run)
            return False
        return True

    async def _cancelled(self, job_id: str, find: Callable[[str], Awaitable[Job | None]]) -> Job:
        job = await find(job_id)
        if job is None:
            raise _not_found(job_id)
        if job.state in FINAL - {State.CANCELLED}:
            raise InvalidState(f"The job has ended already; it is {job.state}.")
        return job

    @command(Permission.OPERATE, "job.retry")
    async def retry(self, _viewer: Viewer, job_id: str) -> Job:
        """Run a DEAD or CANCELLED job again under the same id, as its next run.

        Raises NotFound, InvalidState, StoreUnavailable.
        """
        _check_id(job_id)
        try:
            spec, run = await self._parts.store.accept.rerun(job_id)
        except (NotFound, InvalidState) as refusal:
            raise await self._explain(job_id, refusal) from None
        spec = msgspec.structs.replace(spec, scheduled_ms=0)  # retrying means now
        self._parts.pusher.add([Push(spec=spec, run=run)])
        args = orjson.loads(bytes(msgspec.json.encode(spec.args)))
        return accepted_job(spec, args=args, run=run, at_ms=self._parts.clock())

    @command(Permission.OPERATE, "job.rescue_stuck")
    async def rescue_stuck(self, _viewer: Viewer, within_s: float = RESCUE_S) -> Rescued:
        """Find jobs that nobody is about to run, and make them runnable, for about so long at most.

        The services do the same on a timer. Raises InvalidOption, StoreUnavailable, BrokerUnavailable.
        """
        if not 0 < within_s <= RESCUE_MAX_S:
            raise InvalidOption(
                f"`within` must be more than 0 and at most {RESCUE_MAX_S:.0f} seconds.", path=("within",)
            )
        return await self._rescue.everything(within_s)

    async def _explain(self, job_id: str, refusal: RequestError) -> RequestError:
        """Explain why the store refused. It may be behind: the broker knows what is not recorded yet."""
        recorded = await self._parts.store.search.job(job_id)
        if recorded and recorded.state in RETRYABLE:
            return refusal
        live = (await self._parts.broker.jobs([job_id])).get(job_id)
        if live is None:
            return _not_found(job_id) if isinstance(refusal, NotFound) else refusal
        if live.state in RETRYABLE:
            return InvalidState(f"The job is {live.state}, but history is still catching up; repeat in a moment.")
        return InvalidState(f"Only a DEAD or CANCELLED job can be retried; this one is {live.state}.")


def _check_id(job_id: str) -> None:
    if not may_exist(job_id):
        raise _not_found(job_id)


def _not_found(job_id: str) -> NotFound:
    return NotFound(f'There is no job "{job_id[:128]}".', path=("id",))
