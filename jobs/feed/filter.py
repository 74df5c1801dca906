"""Which events a subscriber wants, and what has to be known of a job to tell."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec

from jobs import event as events
from jobs.broker import Broker
from jobs.event import JobEvent
from jobs.job import Job, JobSpec, State
from jobs.page import JobWhere
from jobs.store import Store

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

_spec = msgspec.json.Decoder(JobSpec)


def state_after(event: JobEvent) -> State:
    """Return the state that the job is in after the event."""
    return event.state if isinstance(event, events.Enqueued) else _LEADS_TO[type(event)]


class Facts(msgspec.Struct, frozen=True):
    """What never changes about a job. `whole`: owner, tags and creation are known too, not only the first two."""

    task: str
    queue: str
    owner: str = ""
    tags: tuple[str, ...] = ()
    created_ms: int = 0
    whole: bool = True


class EventFilter(msgspec.Struct, frozen=True):
    """Events of the jobs that are meant; `states` of the filter are those that the events lead to."""

    where: JobWhere = JobWhere()
    job_ids: frozenset[str] = frozenset()

    @property
    def needs_facts(self) -> bool:
        """Tell whether the event alone does not decide."""
        return bool(self.where.tasks or self.where.queues) or self.needs_whole_facts

    @property
    def needs_whole_facts(self) -> bool:
        """Tell whether task and queue do not decide either."""
        where = self.where
        return bool(where.owners or where.tags) or (where.created_from_ms, where.created_until_ms) != (None, None)

    def concerns(self, event: JobEvent) -> bool:
        """Tell whether the event alone fits. Facts are needed only of the jobs of such events."""
        if self.job_ids and event.job not in self.job_ids:
            return False
        return not self.where.states or state_after(event) in self.where.states

    def fits(self, event: JobEvent, facts: Facts | None) -> bool:
        """Tell whether the event is wanted. A job that nobody knows any more fits no filter over facts."""
        if not self.concerns(event):
            return False
        if not self.needs_facts:
            return True
        if facts is None:
            return False
        where = self.where
        return (
            (not where.tasks or facts.task in where.tasks)
            and (not where.queues or facts.queue in where.queues)
            and (not where.owners or facts.owner in where.owners)
            and (not where.tags or any(tag in where.tags for tag in facts.tags))
            and (where.created_from_ms is None or facts.created_ms >= where.created_from_ms)
            and (where.created_until_ms is None or facts.created_ms < where.created_until_ms)
        )


class FactBook:
    """Facts of the jobs that events speak of: the latest 50,000, looked up in batches."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker
        self._facts: OrderedDict[str, Facts | None] = OrderedDict()

    def of(self, job_id: str) -> Facts | None:
        """Return what is known of a job."""
        return self._facts.get(job_id)

    def missing(self, batch: Sequence[JobEvent], filters: Iterable[EventFilter]) -> list[str]:
        """Return the jobs that have to be looked up before the filters can tell. Learns from the events first."""
        asking = [one for one in filters if one.needs_facts]
        if not asking:
            return []
        ids: dict[str, None] = {}
        for event in batch:
            if isinstance(event, events.Enqueued):
                self._learn(event)
            wanting = [one for one in asking if one.concerns(event)]
            if wanting and self._lacks(event.job, whole=any(one.needs_whole_facts for one in wanting)):
                ids[event.job] = None
        return list(ids)

    def _lacks(self, job_id: str, *, whole: bool) -> bool:
        if job_id not in self._facts:
            return True
        facts = self._facts[job_id]
        return facts is not None and whole and not facts.whole

    def _learn(self, event: events.Enqueued) -> None:
        spec = _read(event.spec) if event.spec else None
        if spec:
            self._keep(event.job, _of_job(spec))
        elif self._facts.get(event.job) is None:
            self._keep(event.job, Facts(event.task, event.queue, whole=False))

    async def look_up(self, job_ids: Sequence[str]) -> None:
        """Learn about these jobs; afterwards none of them is missing. Raises Unavailable."""
        for start in range(0, len(job_ids), LOOKUP):
            ids = job_ids[start : start + LOOKUP]
            # What just happened happened to jobs that the broker still has.
            found = await self._broker.jobs(ids)
            rest = [job_id for job_id in ids if job_id not in found]
            if rest:
                found |= await self._store.search.jobs_by_id(rest)
            for job_id in ids:
                job, known = found.get(job_id), self._facts.get(job_id)
                if job:
                    self._keep(job_id, _of_job(job))
                else:  # removed by now; what its first event told is all that there is
                    self._keep(job_id, msgspec.structs.replace(known, whole=True) if known else None)

    def _keep(self, job_id: str, facts: Facts | None) -> None:
        if facts is not None and not facts.whole and (known := self._facts.get(job_id)) and known.whole:
            return
        self._facts[job_id] = facts
        self._facts.move_to_end(job_id)
        while len(self._facts) > KEPT_MAX:
            self._facts.popitem(last=False)


def _read(text: str) -> JobSpec | None:
    try:
        return _spec.decode(text)
    except ValueError:
        return None


def _of_job(job: Job | JobSpec) -> Facts:
    return Facts(job.task, job.queue, job.owner or "", job.tags, job.created_ms)
