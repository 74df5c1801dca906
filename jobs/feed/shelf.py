"""Where a filter finds its events among many: what events are sorted by, and under which values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

from jobs.event import JobEvent
from jobs.job import Job, State
from jobs.where import DOCUMENTS, JobWhere, PathWhere
from jobs.where_fit import value_at

_PARTS = ("keys", "parents", "owners", "tags", "args", "metadata", "tasks", "queues")
"""Parts of filters that events are sorted by, those first that fewer jobs have in common."""
_FIELDS = {"keys": "key", "parents": "retry_of", "owners": "owner", "tasks": "task", "queues": "queue"}
"""What of a job these are compared with."""

Values = Callable[[JobEvent, Job | None], Iterable[Hashable]]


class Shelf(NamedTuple):
    """What events are sorted by."""

    part: str
    """A part of filters."""
    path: str
    """Within a document."""
    states: tuple[State, ...]
    """Only events that lead to these; all where it is empty."""

    @property
    def values(self) -> Values:
        """What tells under which values an event belongs, from its job as far as that is known."""
        if self.part == "job_ids":
            return lambda event, _job: (event.job,)
        if self.part == "tags":
            return lambda _event, job: dict.fromkeys(job.tags) if job else ()
        if self.part in DOCUMENTS:
            steps = PathWhere(path=self.path).steps
            document = attrgetter(self.part)
            return lambda _event, job: (_face(value_at(document(job), steps)),) if job else ()
        field = attrgetter(_FIELDS[self.part])
        return lambda _event, job: (field(job),) if job else ()


def shelf_of(where: JobWhere, job_ids: Collection[str]) -> tuple[Shelf | None, tuple[Hashable, ...]]:
    """Return what a filter is sorted by and the values it asks for; None: it has to look at every event."""
    if job_ids:
        return Shelf("job_ids", "", ()), tuple(job_ids)
    must_hold = list(_all_of(where))
    for part in _PARTS:
        for given in (getattr(one, part) for one in must_hold):
            if part not in DOCUMENTS and given:
                return Shelf(part, "", where.states), tuple(dict.fromkeys(given))
            for one in given if part in DOCUMENTS else ():
                if one.equals:
                    return Shelf(part, one.path, where.states), tuple(dict.fromkeys(map(_face, one.equals)))
    return None, ()


def _all_of(where: JobWhere) -> Iterator[JobWhere]:
    """Return the filter and those within it that have to hold as well."""
    yield where
    for one in where.every:
        yield from _all_of(one)


def _face(value: Any) -> Hashable:
    """Return what is equal for JSON values that are the same; for others it may be equal too, as for 1 and true."""
    return value if isinstance(value, str | int | float | None) else None
