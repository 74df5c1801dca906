"""Which events a subscriber wants, and what has to be known of a job to tell."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import Self

import msgspec

from jobs import event as events
from jobs.broker import Broker
from jobs.event import JobEvent
from jobs.job import Job, JobSpec, Priority, State
from jobs.newest import Newest
from jobs.where import JobWhere, fits, parts_of

_LEADS_TO: dict[type, State] = {
    events.Due: State.QUEUED,
    events.Started: State.ACTIVE,
    events.Progressed: State.ACTIVE,
    events.Logged: State.ACTIVE,
    events.CancelRequested: State.ACTIVE,
    events.Completed: State.COMPLETED,
    events.RetryingLater: State.RETRYING,
    events.Snoozed: State.SCHEDULED,
    events.Released: State.QUEUED,
    events.Reaped: State.QUEUED,
    events.Died: State.DEAD,
    events.Cancelled: State.CANCELLED,
    events.Quarantined: State.QUEUED,
}

KEPT_MAX = 50_000
LOOKUP = 500

_TOLD = frozenset({"states"})
"""Parts of a filter that the event itself decides."""
_KEPT = frozenset({"tasks", "queues", "keys", "owners", "tags", "priorities", "parents", "created"})
"""Parts over what never changes about a job and is small enough to be kept."""
_FIRST = frozenset({"states", "tasks", "queues", "priorities"})
"""Parts that the first event of a job tells."""

_spec = msgspec.json.Decoder(JobSpec)


def state_after(event: JobEvent) -> State:
    """Return the state that the job is in after the event."""
    return event.state if isinstance(event, events.Enqueued) else _LEADS_TO[type(event)]


class EventFilter(msgspec.Struct, frozen=True):
    """Events of the jobs that are meant.

    `states` of the filter are those that the events lead to; errors and times are those of the job when the event is
    handed out, by which time more may have happened to it.
    """

    where: JobWhere
    job_ids: frozenset[str]
    parts: frozenset[str]
    identity: bytes
    """Tells filters apart that Python holds for equal: 1 is not true in JSON."""

    @classmethod
    def of(cls, where: JobWhere | None = None, job_ids: Collection[str] = ()) -> Self:
        """Make the filter of a JobWhere; of these jobs only, where ids are given."""
        where = where or JobWhere()
        return cls(where, frozenset(job_ids), parts_of(where), msgspec.json.encode(where))

    @property
    def needs_facts(self) -> bool:
        """Tell whether the event alone does not decide."""
        return not self.parts <= _TOLD

    @property
    def needs_job(self) -> bool:
        """Tell whether it takes more than what is kept of a job."""
        return not self.parts <= _TOLD | _KEPT

    def concerns(self, event: JobEvent) -> bool:
        """Tell whether the event alone may fit. Facts are needed only of the jobs of such events."""
        if self.job_ids and event.job not in self.job_ids:
            return False
        return not self.where.states or state_after(event) in self.where.states

    def fits(self, event: JobEvent, known: Known) -> bool:
        """Tell whether the event is wanted. A job that nobody knows any more fits no filter over facts."""
        if not self.concerns(event):
            return False
        if not self.needs_facts:
            job: Job | None = _NOBODY
        else:
            job = known.whole(event.job) if self.needs_job else known.kept(event.job)
        return job is not None and fits(self.where, msgspec.structs.replace(job, state=state_after(event)))


class _Kept(msgspec.Struct, frozen=True):
    job: Job | None
    """Without what is large; None: nobody knows it."""
    told: bool = False
    """All that is known is what its first event told: task, queue and priority."""


class FactBook:
    """What never changes about the jobs that events speak of: the latest 50,000."""

    def __init__(self, broker: Broker, newest: Newest) -> None:
        self._broker = broker
        self._newest = newest
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def open(self) -> Known:
        """Begin to find out about a batch of events."""
        return Known(self)

    def get(self, job_id: str) -> _Kept | None:
        """Return what is kept of a job."""
        return self._kept.get(job_id)

    def learn(self, event: events.Enqueued) -> None:
        """Keep what the first event of a job tells."""
        spec = _read(event.spec) if event.spec else None
        if spec:
            self.keep(event.job, _of_spec(spec))
        elif event.job not in self._kept:
            job = _job(event.job, event.task, event.queue)
            self._keep(event.job, _Kept(msgspec.structs.replace(job, priority=event.priority), told=True))

    def keep(self, job_id: str, job: Job | None) -> None:
        """Keep what a look-up has found."""
        known = self._kept.get(job_id)
        if job is None and known is not None:  # removed by now; what its first event told is all that there is
            job = known.job
        self._keep(job_id, _Kept(_small(job) if job else None))

    def _keep(self, job_id: str, kept: _Kept) -> None:
        self._kept[job_id] = kept
        self._kept.move_to_end(job_id)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    async def read(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Read jobs. Raises Unavailable."""
        # What just happened happened to jobs that the broker still has.
        found = await self._broker.jobs(job_ids)
        rest = [job_id for job_id in job_ids if job_id not in found]
        return found | await self._newest.find_many(rest) if rest else found


class Known:
    """What is known about the jobs of one batch of events, until the batch is handed out."""

    def __init__(self, book: FactBook) -> None:
        self._book = book
        self._whole: dict[str, Job | None] = {}

    def kept(self, job_id: str) -> Job | None:
        """Return what never changes about a job."""
        kept = self._book.get(job_id)
        return kept.job if kept else None

    def whole(self, job_id: str) -> Job | None:
        """Return all of a job, as it was when the batch was looked at."""
        return self._whole.get(job_id)

    def missing(self, batch: Sequence[JobEvent], filters: Iterable[EventFilter]) -> list[str]:
        """Return the jobs that have to be looked up before the filters can tell. Learns from the events first."""
        asking = [one for one in filters if one.needs_facts]
        if not asking:
            return []
        ids: dict[str, None] = {}
        for event in batch:
            if isinstance(event, events.Enqueued):
                self._book.learn(event)
            if event.job not in ids and any(self._lacks(event.job, one) for one in asking if one.concerns(event)):
                ids[event.job] = None
        return list(ids)

    def _lacks(self, job_id: str, wanted: EventFilter) -> bool:
        if wanted.needs_job:
            return job_id not in self._whole
        kept = self._book.get(job_id)
        return kept is None or (kept.told and not wanted.parts <= _FIRST)

    async def look_up(self, job_ids: Sequence[str]) -> None:
        """Learn about these jobs; afterwards none of them is missing. Raises Unavailable."""
        for start in range(0, len(job_ids), LOOKUP):
            ids = job_ids[start : start + LOOKUP]
            found = await self._book.read(ids)
            for job_id in ids:
                self._whole[job_id] = found.get(job_id)
                self._book.keep(job_id, found.get(job_id))


def _read(text: str) -> JobSpec | None:
    try:
        return _spec.decode(text)
    except ValueError:
        return None


def _job(job_id: str, task: str, queue: str) -> Job:
    return Job(
        id=job_id, task=task, queue=queue, state=State.QUEUED, priority=Priority.NORMAL, args=None, max_attempts=0,
        created_ms=0, updated_ms=0,
    )  # fmt: skip


_NOBODY = _job("", "", "")
"""For filters that look at nothing but the state."""


def _small(job: Job) -> Job:
    return msgspec.structs.replace(job, args=None, metadata={}, result=None, error=None, progress=None)


def _of_spec(spec: JobSpec) -> Job:
    return msgspec.structs.replace(
        _job(spec.id, spec.task, spec.queue), priority=spec.priority, owner=spec.owner or None, tags=spec.tags,
        key=spec.key or None, retry_of=spec.retry_of or None, created_ms=spec.created_ms,
    )  # fmt: skip
