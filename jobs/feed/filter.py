"""Which events a subscriber wants."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from enum import IntEnum
from typing import Self

import msgspec

from jobs import event as events
from jobs.event import JobEvent
from jobs.feed.shelf import Shelf, shelf_of
from jobs.job import Job, Priority, State
from jobs.where import JobWhere, parts_of
from jobs.where_fit import fits

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

_TOLD = frozenset({"states"})
"""Parts of a filter that the event itself decides."""
_FIRST = frozenset({"states", "tasks", "queues", "priorities"})
"""Parts that the first event of a job tells."""
_KEPT = frozenset({"tasks", "queues", "keys", "owners", "tags", "priorities", "parents", "created"})
"""Parts over what never changes about a job and is small enough to be kept."""


class Facts(IntEnum):
    """What has to be known of a job to decide about its events; each includes the ones before it."""

    NOTHING = 0
    """The event alone decides."""
    FIRST = 1
    """What its first event told."""
    KEPT = 2
    """What never changes and is small enough to be kept."""
    WHOLE = 3
    """All of it, as it is now."""


def state_after(event: JobEvent) -> State:
    """Return the state that the job is in after the event."""
    return event.state if isinstance(event, events.Enqueued) else _LEADS_TO[type(event)]


class EventFilter(msgspec.Struct, frozen=True, cache_hash=True):
    """Events of the jobs that are meant.

    `states` of the filter are those that the events lead to; errors and times are those of the job when the event is
    handed out, by which time more may have happened to it.
    """

    where: JobWhere
    job_ids: frozenset[str]
    needs: Facts
    identity: bytes
    """Tells filters apart that Python holds for equal: 1 is not true in JSON."""
    shelf: Shelf | None
    """Where its events are found among many; None: each has to be looked at."""
    values: tuple[Hashable, ...]
    """Under which values they are found there."""

    @classmethod
    def of(cls, where: JobWhere | None = None, job_ids: Collection[str] = ()) -> Self:
        """Make the filter of a JobWhere; of these jobs only, where ids are given."""
        where = where or JobWhere()
        ids = frozenset(job_ids)
        return cls(where, ids, _needs(parts_of(where)), msgspec.json.encode(where), *shelf_of(where, ids))

    def concerns(self, event: JobEvent) -> bool:
        """Tell whether the event alone may fit. Facts are needed only of the jobs of such events."""
        if self.job_ids and event.job not in self.job_ids:
            return False
        return not self.where.states or state_after(event) in self.where.states

    def fits(self, event: JobEvent, job: Job | None) -> bool:
        """Tell whether the event is wanted, from what is known of its job; None: nobody knows it.

        A job that nobody knows any more fits no filter over facts.
        """
        if not self.concerns(event):
            return False
        if self.needs is Facts.NOTHING:
            job = NOBODY
        return job is not None and fits(self.where, msgspec.structs.replace(job, state=state_after(event)))


def _needs(parts: frozenset[str]) -> Facts:
    if parts <= _TOLD:
        return Facts.NOTHING
    if parts <= _FIRST:
        return Facts.FIRST
    return Facts.KEPT if parts <= _TOLD | _KEPT else Facts.WHOLE


class Demand:
    """What has to be known of the jobs of events so that all of some filters can decide."""

    def __init__(self, filters: Iterable[EventFilter]) -> None:
        self._of_jobs: dict[str, Facts] = {}
        self._of_states = dict.fromkeys(State, Facts.NOTHING)
        self.most = Facts.NOTHING
        for one in filters:
            self.most = max(self.most, one.needs)
            for job_id in one.job_ids:
                self._of_jobs[job_id] = max(self._of_jobs.get(job_id, Facts.NOTHING), one.needs)
            for state in () if one.job_ids else one.where.states or State:
                self._of_states[state] = max(self._of_states[state], one.needs)

    def of(self, event: JobEvent) -> Facts:
        """Return what has to be known of the job of this event."""
        return max(self._of_states[state_after(event)], self._of_jobs.get(event.job, Facts.NOTHING))


def nameless(job_id: str, task: str, queue: str) -> Job:
    """Return a job of which little is known."""
    return Job(
        id=job_id, task=task, queue=queue, state=State.QUEUED, priority=Priority.NORMAL, args=None, max_attempts=0,
        created_ms=0, updated_ms=0,
    )  # fmt: skip


NOBODY = nameless("", "", "")
"""For filters that look at nothing but the state."""
