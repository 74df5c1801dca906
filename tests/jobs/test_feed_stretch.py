"""Sorting events for many filters at once gives every filter what it would find by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import event as vocabulary
from jobs.event import JobEvent, Position
from jobs.feed.batch import EMPTY_BATCH_BYTES
from jobs.feed.facts import FactBook
from jobs.feed.filter import Demand, EventFilter
from jobs.feed.stretch import BATCH_MAX, BATCH_MAX_BYTES, Stretch, bytes_of
from jobs.job import Job, Priority, State
from jobs.where import JobWhere, PathWhere

NAMES = ("a", "b", "c")
VALUES = (1, 1.0, True, "1", None, "x", 2)


class Book(FactBook):
    """A book whose jobs are at hand."""

    def __init__(self, jobs: dict[str, Job]) -> None:
        super().__init__(None, None)  # type: ignore[arg-type]  # nothing is looked up elsewhere
        self.jobs = jobs
        self.asked: list[str] = []

    async def read(self, job_ids: Sequence[str]) -> dict[str, Job]:
        self.asked += job_ids
        return {job_id: self.jobs[job_id] for job_id in job_ids if job_id in self.jobs}


def make_job(job_id: str, **fields: Any) -> Job:
    values: dict[str, Any] = {
        "task": "t", "queue": "q", "state": State.QUEUED, "priority": Priority.NORMAL, "args": {}, "max_attempts": 1,
        "created_ms": 1, "updated_ms": 1,
    }  # fmt: skip
    return Job(id=job_id, **(values | fields))


def make_events(*made: JobEvent) -> list[tuple[Position, JobEvent]]:
    return [(Position(1, 1, at, 0), event) for at, event in enumerate(made)]


def started(job_id: str) -> JobEvent:
    return vocabulary.Started(job_id, 1, 1, 1, 1, "w")


def completed(job_id: str, result: str = "") -> JobEvent:
    return vocabulary.Completed(job_id, 2, 2, 1, 1, result)


names = st.sampled_from(NAMES)
some = st.lists(names, min_size=1, max_size=2).map(tuple)
paths = st.builds(
    PathWhere,
    path=st.sampled_from(["x", "x.y", "z[0]"]),
    equals=st.lists(st.sampled_from(VALUES), min_size=1, max_size=4).map(tuple),
)
documents = st.fixed_dictionaries(
    {
        "x": st.sampled_from(VALUES) | st.fixed_dictionaries({"y": st.sampled_from(VALUES)}),
        "z": st.lists(st.sampled_from(VALUES), max_size=1),
    }
)
jobs = st.fixed_dictionaries({
    "task": names, "queue": names, "owner": names, "key": names, "retry_of": names,
    "tags": st.lists(names, max_size=2).map(tuple), "args": documents, "metadata": documents,
})  # fmt: skip
PARTS: dict[str, st.SearchStrategy[Any]] = {
    "tasks": some, "queues": some, "owners": some, "keys": some, "tags": some, "parents": some,
    "args": paths.map(lambda one: (one,)), "metadata": paths.map(lambda one: (one,)),
    "states": st.sampled_from([State.ACTIVE, State.COMPLETED]).map(lambda one: (one,)),
}  # fmt: skip
plain = (
    st.lists(st.sampled_from(sorted(PARTS)), max_size=2, unique=True)
    .flatmap(lambda chosen: st.fixed_dictionaries({name: PARTS[name] for name in chosen}))
    .map(lambda parts: JobWhere(**parts))
)
wheres = plain | st.builds(lambda one, other: JobWhere(every=(one, other)), plain, plain)


@given(
    made=st.lists(jobs, min_size=1, max_size=5),
    order=st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=20),
    filters=st.lists(st.tuples(wheres, st.lists(st.sampled_from("01234"), max_size=2)), min_size=1, max_size=4),
)
async def test_each_filter_finds_what_it_would_find_by_looking_at_every_event(
    made: list[dict[str, Any]], order: list[tuple[int, bool]], filters: list[tuple[JobWhere, list[str]]]
) -> None:
    known = {str(at): make_job(str(at), **fields) for at, fields in enumerate(made)}
    events = make_events(*(completed(str(at)) if ended else started(str(at)) for at, ended in order))
    wanted = [EventFilter.of(where, ids) for where, ids in filters]
    together, apart = Stretch(events, Book(known)), Stretch(events, Book(known))
    await together.learn(Demand(wanted))
    for one in wanted:
        await apart.learn_for(one)
        expected = [str(place) for place, event in events if one.fits(event, known.get(event.job))]
        for stretch in (together, apart):
            assert [cursor for batch in stretch.batches(one) for cursor, _ in batch.events] == expected


@pytest.mark.parametrize(
    ("asked", "is_", "found"),
    [(1, 1.0, 1), (1.0, 1, 1), (1, True, 0), (True, 1, 0), (0, False, 0), ("1", 1, 0), (None, None, 1), ("x", "x", 1)],
)
async def test_values_of_arguments_are_compared_as_json(asked: Any, is_: Any, found: int) -> None:
    stretch = Stretch(make_events(started("1")), Book({"1": make_job("1", args={"x": is_})}))
    wanted = EventFilter.of(JobWhere(args=(PathWhere(path="x", equals=(asked,)),)))
    await stretch.learn_for(wanted)
    assert sum(len(batch.events) for batch in stretch.batches(wanted)) == found


async def test_equal_filters_share_their_batches_and_look_up_once() -> None:
    book = Book({"1": make_job("1", tags=("a",))})
    stretch = Stretch(make_events(started("1"), completed("1")), book)
    one, other = (EventFilter.of(JobWhere(tags=("a",))) for _ in range(2))
    for wanted in (one, other):
        await stretch.learn_for(wanted)
    assert stretch.batches(one)[0] is stretch.batches(other)[0]
    assert book.asked == ["1"]


async def test_a_filter_that_comes_later_finds_what_the_first_one_did_not_need() -> None:
    known = {job_id: make_job(job_id, tags=("a",)) for job_id in ("1", "2")}
    stretch = Stretch(make_events(started("1"), completed("2")), Book(known))
    ended, every = (
        EventFilter.of(JobWhere(tags=("a",), states=states)) for states in ((State.COMPLETED,), tuple[State, ...]())
    )
    await stretch.learn_for(ended)
    assert [len(batch.events) for batch in stretch.batches(ended)] == [1]
    await stretch.learn_for(every)
    assert [len(batch.events) for batch in stretch.batches(every)] == [2]


def test_the_order_does_not_depend_on_what_is_asked_for() -> None:
    events = make_events(*(started(str(at)) for at in range(20)))
    (batch,) = Stretch(events, Book({})).batches(EventFilter.of(None, ("16", "8", "3", "1")))
    assert [event.job for _, event in batch.events] == ["1", "3", "8", "16"]


@pytest.mark.parametrize("size", [0, 100, 30_000, 10 * BATCH_MAX_BYTES])
def test_batches_are_bounded_in_number_and_in_memory(size: int) -> None:
    events = make_events(*(completed("1", "x" * size) for _ in range(2 * BATCH_MAX + 1)))
    batches = Stretch(events, Book({})).batches(EventFilter.of())
    assert [cursor for batch in batches for cursor, _ in batch.events] == [str(place) for place, _ in events]
    assert [batch.end_cursor for batch in batches] == [batch.events[-1][0] for batch in batches]
    for batch in batches:
        assert len(batch.events) <= BATCH_MAX
        assert batch.bytes == EMPTY_BATCH_BYTES + sum(bytes_of(event) for _, event in batch.events)
        assert batch.bytes <= BATCH_MAX_BYTES or len(batch.events) == 1
