"""Rollups: what is counted of a life, from when a job waits, and how long an attempt runs."""

from __future__ import annotations

import msgspec
import pytest

from jobs.clock import now_ms
from jobs.event import Enqueued
from jobs.histogram import Histogram
from jobs.job import Durability, Reason, State
from jobs.rollup import Figures
from jobs.store import Store
from tests.factories import make_spec
from tests.jobs.store.counted import check_attempts, check_states, stored
from tests.jobs.store.story import BEGIN_MS, Story, Tale


async def test_a_life_is_counted_in_each_span_and_place(store: Store, story: Story) -> None:
    spec = make_spec("x", queue="a", created_ms=BEGIN_MS + 10)
    await store.accept.accept(spec)
    tale = Tale(spec)
    tale.at_ms = BEGIN_MS
    tale.enqueued()
    tale.at_ms += 90_000
    tale.started()
    tale.at_ms += 4_000
    tale.completed()
    await story.record(tale)
    rows = await stored(store)
    minute_ms = BEGIN_MS + 60_000 - BEGIN_MS % 60_000
    day_ms = BEGIN_MS - BEGIN_MS % 86_400_000
    assert {key[1:3] for key in rows} == {("a", "x"), ("a", ""), ("", "x"), ("", "")}
    assert sorted({(key[0], key[3]) for key in rows}) == [
        (60, minute_ms - 60_000), (60, minute_ms), (3_600, BEGIN_MS - BEGIN_MS % 3_600_000), (86_400, day_ms)
    ]  # fmt: skip
    day = rows[86_400, "a", "x", day_ms]
    assert (day.accepted, day.started, day.completed, day.wait_ms, day.run_ms) == (1, 1, 1, 90_010, 4_010)
    assert (day.waits, day.runs) == (Histogram.of([90_010]), Histogram.of([4_010]))
    assert (day.entered_queued, day.entered_active) == (0, 0)
    first = rows[60, "a", "x", minute_ms - 60_000]
    assert (first.accepted, first.entered_queued, first.started) == (1, 1, 0)
    await check_states(store)


async def test_a_wait_begins_when_an_attempt_could_begin_and_a_lost_attempt_has_no_length(
    store: Store, story: Story
) -> None:
    spec = make_spec("x", queue="a")
    await store.accept.accept(spec)
    tale = Tale(spec)
    tale.at_ms = BEGIN_MS

    def after(gap_ms: int) -> Tale:
        tale.at_ms += gap_ms - 10
        return tale

    after(10).enqueued(due_ms=BEGIN_MS + 10_000)
    after(10_030).due()
    after(60).started(1)  # 100 ms after it was due
    after(5_000).released(1)
    after(300).started(2)  # after it was given back, not after it was due
    after(1_000).retrying(2, due_ms=tale.at_ms + 10 + 20_000)
    after(20_500).due()
    after(0).started(3)  # 500 ms after it was due
    after(700).again(version=2_000_000).enqueued(recovered=True)
    after(900).started(4)
    await story.record(tale)
    day_ms = BEGIN_MS - BEGIN_MS % 86_400_000
    day = (await stored(store))[86_400, "a", "x", day_ms]
    assert (day.waits, day.wait_ms) == (Histogram.of([100, 300, 500, 900]), 1_800)
    assert (day.runs, day.run_ms) == (Histogram.of([5_000, 1_000]), 6_000)
    assert (day.accepted, day.started, day.released, day.failed, day.lost) == (1, 4, 1, 1, 1)
    await check_states(store)
    await check_attempts(store)


@pytest.mark.parametrize("end", ["reaped", "poison"])
async def test_the_lease_of_a_lost_worker_is_no_run_time(store: Store, story: Story, end: str) -> None:
    spec = make_spec("x", queue="a", created_ms=BEGIN_MS)
    await store.accept.accept(spec)
    tale = Tale(spec)
    tale.at_ms = BEGIN_MS
    tale.enqueued().started()
    tale.at_ms += 12_000
    await story.record(tale.reaped() if end == "reaped" else tale.died(reason=Reason.POISON))
    (day,) = [one for key, one in (await stored(store)).items() if key[:3] == (86_400, "a", "x")]
    assert (day.started, day.lost, day.run_ms, day.runs) == (1, 1, 0, Histogram())


@pytest.mark.parametrize("durability", Durability)
@pytest.mark.parametrize("batches", [1, 3])
async def test_a_wait_includes_the_time_before_the_job_reached_redis(
    store: Store, story: Story, durability: Durability, batches: int
) -> None:
    spec = make_spec("x", queue="a", created_ms=BEGIN_MS, durability=durability)
    if durability is Durability.STORE:
        await store.accept.accept(spec)
    tale = Tale(spec, memory=durability is Durability.MEMORY)
    tale.at_ms = BEGIN_MS + 20_000 - 20
    tale.enqueued().again(version=2_000_000).enqueued(recovered=True).started()
    await recorded(story, tale, batches)
    assert (await whole(store)).waits == Histogram.of([20_010])


@pytest.mark.parametrize(("created_ms", "wait_ms"), [(BEGIN_MS + 3_600_000, 10), (BEGIN_MS - 500, 510)])
async def test_a_wait_is_no_shorter_than_the_time_in_redis(
    store: Store, story: Story, created_ms: int, wait_ms: int
) -> None:
    spec = make_spec("x", queue="a", created_ms=created_ms)  # by a clock that is ahead of that of Redis
    await store.accept.accept(spec)
    tale = Tale(spec)
    tale.at_ms = BEGIN_MS - 10
    await story.record(tale.enqueued().started())
    assert (await whole(store)).waits == Histogram.of([wait_ms])


async def test_a_scheduled_job_waits_from_its_time_though_redis_hears_of_it_late(store: Store, story: Story) -> None:
    spec = make_spec("x", queue="a", created_ms=BEGIN_MS, scheduled_ms=BEGIN_MS + 5_000)
    await store.accept.accept(spec)
    tale = Tale(spec)
    tale.at_ms = BEGIN_MS + 20_000 - 10
    tale.enqueued(due_ms=BEGIN_MS + 5_000)
    tale.events = [msgspec.structs.replace(one, state=State.QUEUED) for one in tale.events if isinstance(one, Enqueued)]
    tale.started()
    await story.record(tale)
    assert (await whole(store)).waits == Histogram.of([15_010])


@pytest.mark.parametrize("batches", [1, 3])
async def test_a_manual_retry_waits_since_it_was_asked_for(store: Store, story: Story, batches: int) -> None:
    spec = make_spec("x", queue="a", created_ms=now_ms() - 90_000)
    await store.accept.accept(spec)
    await story.record(Tale(spec).died(0))
    await store.accept.rerun(spec.id)
    job = await store.search.job(spec.id)
    assert job
    tale = Tale(spec, run=2, version=2_000_000)
    tale.at_ms = job.updated_ms + 20_000 - 20
    tale.enqueued().again(run=2, version=3_000_000).enqueued(recovered=True).started()
    await recorded(story, tale, batches)
    assert (await whole(store)).waits == Histogram.of([20_010])


async def recorded(story: Story, tale: Tale, batches: int) -> None:
    """Record a tale in so many batches."""
    size = len(tale.events) // batches
    for begin in range(0, len(tale.events), size):
        await story.record(tale.events[begin : begin + size])


async def whole(store: Store) -> Figures:
    """All that was ever counted."""
    return Figures.sum([one for key, one in (await stored(store)).items() if key[:3] == (86_400, "", "")])
