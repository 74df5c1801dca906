"""Reading history: every filter, and pages that show everything exactly once."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest

from jobs.clock import new_id, now_ms
from jobs.job import FINAL, Durability, Job, JobSpec, State
from jobs.page import Counted, Direction, Page, PageRequest
from jobs.store import Store
from jobs.store.rows import args_of
from jobs.where import JobWhere, TimeRange
from jobs.where_fit import fits
from tests.factories import make_spec
from tests.jobs.store.story import Story, Tale

CREATED_MS = 1_790_000_000_000
STEP_MS = 60_000


def spec_at(number: int, **fields: object) -> JobSpec:
    """A job whose id and creation are `number` minutes after the first."""
    created_ms = CREATED_MS + number * STEP_MS
    time = f"{created_ms:012x}"
    return make_spec(id=f"{time[:8]}-{time[8:]}{new_id()[13:]}", created_ms=created_ms, **fields)  # type: ignore[arg-type]  # fields of a job


@pytest.fixture
async def jobs(store: Store, story: Story) -> list[Job]:
    """Forty jobs, the oldest first, of every state, with queues, tasks, owners and tags in all mixtures."""
    specs = [
        spec_at(
            number,
            task=f"task{number % 3}",
            queue=f"queue{number % 4}",
            owner=f"u{number % 5}" if number % 5 else "",
            tags=tuple(f"t{n}" for n in range(number % 4)) + (("rare",) if number == 7 else ()),
            scheduled_ms=2**42 if number % 8 == 1 else 0,
        )
        for number in range(40)
    ]
    await store.accept.accept_many(specs)
    for number, spec in enumerate(specs):
        tale = Tale(spec).enqueued(due_ms=spec.scheduled_ms)
        await story.record(
            {
                2: tale.started(),
                3: Tale(spec).enqueued().started().retrying(),
                4: Tale(spec).enqueued().started().completed(),
                5: Tale(spec).enqueued().cancelled(),
                6: Tale(spec).enqueued().started().died(),
            }.get(number % 8, Tale(spec).enqueued(due_ms=spec.scheduled_ms))
        )
    found = await store.search.jobs_by_id([spec.id for spec in specs])
    return [found[spec.id] for spec in specs]


FILTERS = [
    JobWhere(),
    JobWhere(states=(State.DEAD,)),
    JobWhere(states=(State.COMPLETED,)),
    JobWhere(states=tuple(FINAL)),
    JobWhere(states=(State.QUEUED, State.ACTIVE)),
    JobWhere(tasks=("task1",)),
    JobWhere(tasks=("task1", "task2", "none")),
    JobWhere(queues=("queue3",)),
    JobWhere(queues=("queue3", "queue0"), tasks=("task0",), states=(State.QUEUED, State.DEAD)),
    JobWhere(queues=("queue2",), tasks=("task0",), states=(State.DEAD,)),
    JobWhere(owners=("u3",)),
    JobWhere(owners=("u1", "u2")),
    JobWhere(tags=("t1",)),
    JobWhere(tags=("rare", "t2")),
    JobWhere(tags=("t0",), queues=("queue1",), states=(State.SCHEDULED,)),
    JobWhere(created=TimeRange(from_ms=CREATED_MS + 10 * STEP_MS)),
    JobWhere(created=TimeRange(until_ms=CREATED_MS + 10 * STEP_MS)),
    JobWhere(created=TimeRange(from_ms=CREATED_MS + 5 * STEP_MS, until_ms=CREATED_MS + 15 * STEP_MS), tags=("t1",)),
    JobWhere(tags=("'; DROP TABLE job; --",), owners=("%", "_")),
]


async def test_every_filter_finds_what_is_meant_in_order(store: Store, jobs: list[Job]) -> None:
    for where, direction in product(FILTERS, Direction):
        expected = [job for job in jobs if fits(where, job)]
        if direction is Direction.DESC:
            expected.reverse()
        page = await store.search.jobs(where, PageRequest(limit=100), direction)
        assert page.items == expected, (where, direction)
        assert (page.has_next, page.has_previous) == (False, False)
        assert await store.search.count(where) == Counted(len(expected), True)
        assert await store.search.count(where, limit=3) == Counted(min(3, len(expected)), len(expected) <= 3)


async def test_pages_in_both_ways_show_everything_exactly_once(store: Store, jobs: list[Job]) -> None:
    for where, direction in product(FILTERS, Direction):
        whole = (await store.search.jobs(where, PageRequest(limit=100), direction)).items
        for limit in (1, 3, 7):
            assert await walk(store, where, direction, limit, backward=False) == whole
            assert await walk(store, where, direction, limit, backward=True) == whole


async def walk(store: Store, where: JobWhere, direction: Direction, limit: int, *, backward: bool) -> list[Job]:
    pages: list[Page[Job]] = []
    cursor: str | None = None
    while True:
        asked = PageRequest(limit=limit, backward=backward, **({"before" if backward else "after": cursor}))
        page = await store.search.jobs(where, asked, direction)
        pages.append(page)
        assert len(page.items) == len(page.cursors) <= limit
        if not (page.has_previous if backward else page.has_next):
            break
        assert len(page.items) == limit
        cursor = page.cursors[0 if backward else -1]
    assert [page.has_next for page in pages] == (
        [False] + [True] * (len(pages) - 1) if backward else [True] * (len(pages) - 1) + [False]
    )
    ordered = pages[::-1] if backward else pages
    return [job for page in ordered for job in page.items]


async def test_a_search_that_looks_job_by_job_says_how_far_it_came(
    store: Store, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.store.job_search.WINDOW", 10)
    for where in (
        JobWhere(finished=TimeRange(from_ms=1)),
        JobWhere(states=(State.COMPLETED,)),
        JobWhere(queues=("queue0", "queue2"), none=(JobWhere(tasks=("task1",)),)),
        JobWhere(tags=("t0", "t1"), none=(JobWhere(error="boom"),)),
    ):
        expected = [job for job in jobs if fits(where, job)]
        for direction, backward in product(Direction, (False, True)):
            found: list[Job] = []
            cursor: str | None = None
            pages = 0
            while True:
                asked = PageRequest(limit=4, backward=backward, **({"before" if backward else "after": cursor}))
                page = await store.search.jobs(where, asked, direction)
                found = page.items + found if backward else found + page.items
                pages += 1
                if not (page.has_previous if backward else page.has_next):
                    break
                cursor = page.reached or page.cursors[0 if backward else -1]
            assert found == (expected if direction is Direction.ASC else expected[::-1]), (where, direction, backward)
            assert pages > 2
        counted = await store.search.count(where)
        assert not counted.whole
        assert counted.value <= len(expected)


async def test_a_search_that_takes_long_ends_with_what_it_has(
    store: Store, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.store.job_search.FIRST", 32)
    monkeypatch.setattr("jobs.store.job_search.LOOK_MS", 0.0)
    where = JobWhere(finished=TimeRange(from_ms=1))
    page = await store.search.jobs(where, PageRequest(limit=100))
    assert page.items == [job for job in jobs[:7:-1] if fits(where, job)]
    assert page.reached
    assert page.has_next
    assert await store.search.count(where) == Counted(len(page.items), False)
    rest = await store.search.jobs(where, PageRequest(limit=100, after=page.reached))
    assert rest.items == [job for job in jobs[7::-1] if fits(where, job)]
    assert rest.reached is None


@pytest.mark.parametrize(
    "where",
    [
        JobWhere(tags=("t0",), queues=("queue3",)),
        JobWhere(every=(JobWhere(queues=("queue2",)), JobWhere(every=(JobWhere(states=(State.ACTIVE,)),)))),
        JobWhere(tags=("t0",), none=(JobWhere(states=tuple(state for state in State if state is not State.DEAD)),)),
        JobWhere(some=(JobWhere(tags=("rare",)), JobWhere(states=(State.RETRYING,), tasks=("task0",)))),
        JobWhere(tasks=("task0",), error="boom"),
    ],
)
async def test_what_an_index_makes_short_is_found_whole(
    store: Store, jobs: list[Job], monkeypatch: pytest.MonkeyPatch, where: JobWhere
) -> None:
    """The window holds 12 of 40 jobs: of the indexes that could lead, the one with fewer has to."""
    monkeypatch.setattr("jobs.store.job_search.WINDOW", 12)
    expected = [job for job in jobs if fits(where, job)]
    for direction in Direction:
        page = await store.search.jobs(where, PageRequest(limit=100), direction)
        assert page.items == (expected if direction is Direction.ASC else expected[::-1])
        assert page.reached is None
    assert await store.search.count(where) == Counted(len(expected), True)


async def test_a_job_with_two_of_the_tags_counts_once(store: Store) -> None:
    specs = [spec_at(number, tags=("a", "b") if number else ("b",)) for number in range(4)]
    await store.accept.accept_many(specs)
    assert await store.search.count(JobWhere(tags=("a", "b")), limit=3) == Counted(3, False)
    assert await store.search.count(JobWhere(tags=("a", "b")), limit=4) == Counted(4, True)


async def test_a_window_between_two_cursors(store: Store, jobs: list[Job]) -> None:
    cursors = (await store.search.jobs(JobWhere(), PageRequest(limit=100), Direction.ASC)).cursors
    for backward in (False, True):
        asked = PageRequest(limit=4, after=cursors[10], before=cursors[20], backward=backward)
        page = await store.search.jobs(JobWhere(), asked, Direction.ASC)
        assert page.items == (jobs[16:20] if backward else jobs[11:15])
        assert (page.has_next, page.has_previous) == (True, True)


async def test_a_page_stays_in_place_while_jobs_come_and_go(store: Store, jobs: list[Job]) -> None:
    first = await store.search.jobs(JobWhere(), PageRequest(limit=5))
    await store.accept.accept(spec_at(100))
    second = await store.search.jobs(JobWhere(), PageRequest(limit=5, after=first.cursors[-1]))
    assert second.items == jobs[::-1][5:10]


async def test_by_id(store: Store, jobs: list[Job]) -> None:
    ids = [job.id for job in jobs]
    assert await store.search.jobs_by_id([*ids[:3], "none", "'"]) == {job.id: job for job in jobs[:3]}
    assert await store.search.jobs_by_id([]) == {}
    assert await store.search.job("none") is None
    found = await store.search.attempts([*ids, "none"])
    assert {job_id: len(attempts) for job_id, attempts in found.items()} == {
        **{job.id: job.attempts for job in jobs},
        "none": 0,
    }
    assert await store.search.queues() == ["queue0", "queue1", "queue2", "queue3"]


async def test_what_has_ended_and_what_has_not(store: Store, jobs: list[Job]) -> None:
    ended = {job.id: 1 for job in jobs if job.state in FINAL}
    assert await store.search.final_among([*(job.id for job in jobs), "none"]) == ended
    assert await store.search.final_among([]) == {}
    seen: list[str] = []
    while found := await store.search.unfinished(after_id=seen[-1] if seen else "", limit=7):
        seen += [job.spec.id for job in found]
    assert seen == [job.id for job in jobs if job.state not in FINAL]


async def test_what_is_to_be_pushed_is_read_without_large_arguments_that_the_store_keeps(store: Store) -> None:
    text = "é" * 20_000
    large, small, memory = (
        make_spec(args={"text": text}),
        make_spec(args={"text": "x"}),
        make_spec(args={"text": text}, durability=Durability.MEMORY),
    )
    for spec in (large, small, memory):
        await store.accept.accept(spec)
    for found in (
        await store.search.unfinished(after_id="", limit=10),
        await store.search.unpushed(created_before_ms=now_ms() + 60_000, limit=10),
        await store.search.unfinished_among([large.id, small.id, memory.id]),
    ):
        specs = {job.spec.id: job.spec for job in found}
        assert bytes(specs[large.id].args) == b"{}"
        assert specs[large.id].payload_bytes > 20_000
        assert args_of(specs[small.id]) == {"text": "x"}
        assert args_of(specs[memory.id]) == {"text": text}
        assert specs[memory.id].payload_bytes == specs[small.id].payload_bytes == 0
    args = await store.search.args(large.id)
    assert args
    assert msgspec.json.decode(args) == {"text": text}
    assert await store.search.args("nobody") is None
