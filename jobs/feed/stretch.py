"""Events in a row, sorted by what filters ask for: each filter looks only at those that may fit."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Iterator, Sequence

from jobs import event as vocabulary
from jobs.broker import PositionedEvent
from jobs.event import JobEvent
from jobs.feed.batch import EMPTY_BATCH_BYTES, EventBatch
from jobs.feed.facts import FactBook
from jobs.feed.filter import Demand, EventFilter, Facts, state_after
from jobs.feed.shelf import Shelf

BATCH_MAX = 500
"""Most events in one batch."""
BATCH_MAX_BYTES = 64 * 1024
"""A batch that takes more memory than this ends, unless it has one event only."""
_EVENT_BYTES = 500
"""What an event and its cursor take, beside its texts."""

_TEXTS: dict[type, tuple[str, ...]] = {
    vocabulary.Enqueued: ("spec",),
    vocabulary.Progressed: ("progress", "checkpoint"),
    vocabulary.Logged: ("message", "context", "stack"),
    vocabulary.Completed: ("result",),
    vocabulary.RetryingLater: ("error",),
    vocabulary.Reaped: ("error",),
    vocabulary.Died: ("error",),
    vocabulary.Quarantined: ("reason", "record"),
}
"""Texts of events that may be long."""


def bytes_of(event: JobEvent) -> int:
    """Return about how much memory an event takes in a batch."""
    return _EVENT_BYTES + sum(len(getattr(event, name)) for name in _TEXTS.get(type(event), ()))


class Stretch:
    """Events in a row. What filters share is done once: look-ups, sorting, and the batches of equal filters."""

    def __init__(self, events: Sequence[PositionedEvent], facts: FactBook) -> None:
        self.events = events
        self.ends_at = str(events[-1][0])
        self._known = facts.open()
        self._learning = asyncio.Lock()
        self._learnt: set[Hashable] = set()
        self._shelves: dict[tuple[Shelf, Facts], dict[Hashable, list[int]]] = {}
        self._batches: dict[EventFilter, list[EventBatch]] = {}

    async def learn(self, demand: Demand) -> None:
        """Find out what has to be known of the jobs. Raises Unavailable."""
        await self._known.learn(self.events, demand)

    async def learn_for(self, wanted: EventFilter) -> None:
        """Find out what one filter needs, once for all that need the same. Raises Unavailable."""
        need = (wanted.needs, wanted.where.states, wanted.job_ids)
        async with self._learning:
            if need not in self._learnt:
                await self._known.learn(self.events, Demand([wanted]))
                self._learnt.add(need)

    def batches(self, wanted: EventFilter) -> list[EventBatch]:
        """Return those of the events that fit, where enough is known of their jobs; the last batch ends where they end.

        Equal filters get the same batches.
        """
        batches = self._batches.get(wanted)
        if batches is None:
            fitting = [self.events[at] for at in self._candidates(wanted) if self._fits(self.events[at][1], wanted)]
            batches = self._batches[wanted] = list(_cut(fitting, self.ends_at))
        return batches

    def _fits(self, event: JobEvent, wanted: EventFilter) -> bool:
        return wanted.fits(event, self._known.job(event.job, wanted.needs))

    def _candidates(self, wanted: EventFilter) -> Iterable[int]:
        """Places of the events that may fit, in order."""
        if wanted.shelf is None:
            return range(len(self.events))
        key = (wanted.shelf, wanted.needs)
        if key not in self._shelves:
            self._shelves[key] = self._sort(*key)
        places = self._shelves[key]
        if len(wanted.values) == 1:
            return places.get(wanted.values[0], ())
        return sorted({at for value in wanted.values for at in places.get(value, ())})

    def _sort(self, shelf: Shelf, needs: Facts) -> dict[Hashable, list[int]]:
        places: dict[Hashable, list[int]] = {}
        values_of = shelf.values
        for at, (_, event) in enumerate(self.events):
            if not shelf.states or state_after(event) in shelf.states:
                for value in values_of(event, self._known.job(event.job, needs)):
                    places.setdefault(value, []).append(at)
        return places


def _cut(fitting: list[PositionedEvent], ends_at: str) -> Iterator[EventBatch]:
    """Make batches of a bounded size; the last one ends where all of the events do."""
    part: list[tuple[str, JobEvent]] = []
    size = EMPTY_BATCH_BYTES
    for position, event in fitting:
        weight = bytes_of(event)
        if part and (len(part) == BATCH_MAX or size + weight > BATCH_MAX_BYTES):
            yield EventBatch(events=part, end_cursor=part[-1][0], bytes=size)
            part, size = [], EMPTY_BATCH_BYTES
        part.append((str(position), event))
        size += weight
    if part:
        yield EventBatch(events=part, end_cursor=ends_at, bytes=size)
