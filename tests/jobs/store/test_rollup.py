"""Rollups: whatever happens to recorders, the figures are those of a recount of what was recorded."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.clock import now_ms
from jobs.errors import Stale
from jobs.event import Completed, Died, Enqueued, JobEvent, Position, Quarantined
from jobs.histogram import Histogram
from jobs.job import Durability, JobSpec, Reason, State
from jobs.rollup import ENTERED, SUMS, Figures, numbers
from jobs.statistics import Span
from jobs.store import Store
from jobs.store.rollup import Key
from tests.factories import make_spec
from tests.jobs.store.recount import Recount
from tests.jobs.store.story import BEGIN_MS, Story, Tale

PLACES = [("a", "x"), ("a", "y"), ("b", "x")]
GAPS_MS = st.sampled_from([1, 700, 40_000, 3_000_000, 50_000_000])
LATE_MS = st.sampled_from([-700, -70_000, -5_000_000, -90_000_000, -200_000_000])
"""Clocks were set back, or somebody was held up for long: what happened then is added to what is there already."""


async def stored(store: Store) -> dict[Key, Figures]:
    """What happened in the span of every row: what it counts less what the one before it counts since then."""
    rows = await store._database.fetch("SELECT * FROM rollup ORDER BY span_s, queue, task, at_ms")
    found: dict[Key, Figures] = {}
    begun: dict[Key, Figures] = {}
    for row in rows:
        line, at_ms = (row["span_s"], row["queue"], row["task"]), row["at_ms"]
        counted = Figures(
            **{name: row[name] for name in SUMS}, waits=Histogram.read(row["waits"]), runs=Histogram.read(row["runs"])
        )
        period = {60: at_ms // 3_600_000, 3_600: at_ms // 86_400_000, 86_400: 0}[row["span_s"]]
        found[*line, at_ms] = less(counted, begun.get((*line, period), Figures()))
        begun[*line, period] = counted
    assert len(found) == len(rows)
    return {key: one for key, one in found.items() if one != Figures()}


def less(figures: Figures, other: Figures) -> Figures:
    sums = {name: a - b for name, a, b in zip(SUMS, numbers(figures), numbers(other), strict=True)}
    waits, runs = (
        shaped({bucket: count - old.counts.get(bucket, 0) for bucket, count in new.counts.items()})
        for new, old in ((figures.waits, other.waits), (figures.runs, other.runs))
    )
    return Figures(**sums, waits=waits, runs=runs)


def shaped(counts: dict[int, int]) -> Histogram:
    """Make a histogram of this shape."""
    first = min(counts, default=0)
    return Histogram(first, [counts.get(bucket, 0) for bucket in range(first, max(counts, default=-1) + 1)])


async def check_states(store: Store) -> None:
    """What entered the states is what is in them."""
    for name in ("queue", "task", "''"):
        counted = await store._database.fetch(
            f"SELECT {name} AS name, state, count(*) AS jobs FROM job WHERE version > 0 GROUP BY 1, 2"  # noqa: S608  # our own names
        )
        for span in Span:
            entered: Counter[tuple[str, str]] = Counter()
            for (span_s, queue, task, _), figures in (await stored(store)).items():
                of = {"queue": queue, "task": task}.get(name, "")
                if span_s == span and bool(of) == (name != "''") and not (queue + task)[len(of) :]:
                    for state in OPEN:
                        entered[of, state] += getattr(figures, ENTERED[state])
            assert {key: number for key, number in entered.items() if number} == {
                (row["name"], row["state"]): row["jobs"] for row in counted if row["state"] in OPEN
            }


OPEN = [State.BLOCKED, State.SCHEDULED, State.QUEUED, State.ACTIVE, State.RETRYING]


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


STEPS = st.sampled_from(
    ["enqueued", "due", "started", "progressed", "logged", "completed", "retrying", "snoozed", "released", "reaped",
     "died", "cancel_requested", "cancelled", "recovered", "run", "replay", "quarantined", "rerun", "unreadable"]
)  # fmt: skip
ACTS = st.lists(st.tuples(st.integers(0, 3), STEPS, st.integers(1, 3), GAPS_MS | GAPS_MS | LATE_MS), max_size=40)
"""They need not make sense."""
LEGAL = {
    None: ["enqueued", "scheduled"],
    State.SCHEDULED: ["due", "due", "cancelled", "recovered"],
    State.RETRYING: ["due", "due", "cancelled", "recovered"],
    State.QUEUED: ["started", "started", "started", "cancelled", "recovered"],
    State.ACTIVE: ["completed", "retrying", "snoozed", "released", "reaped", "died", "cancelled", "cancel_requested",
                   "progressed", "logged", "recovered", "quarantined", "replay"],
    State.COMPLETED: ["replay"],
    State.DEAD: ["rerun", "replay"],
    State.CANCELLED: ["rerun", "replay"],
}  # fmt: skip
LIVES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), GAPS_MS), max_size=60)
"""They go from state to state as the broker lets them."""
FATES = st.lists(st.sampled_from(["recorded", "killed", "two"]), min_size=1, max_size=8)


class Play:
    """Jobs to which anything may happen in any order, and the recorders of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.recount = Recount()
        self.tales: list[Tale] = []
        self.batch: list[JobEvent] = []
        self.ms = BEGIN_MS
        self._number = 0

    @classmethod
    async def of(cls, store: Store) -> Play:
        """Begin in an empty database."""
        for table in ("job", "attempt", "rollup"):
            async with store._database.transaction() as transaction:
                await transaction.execute(f"DELETE FROM {table}")  # noqa: S608  # names of our own
        play = cls(store)
        await play._begin()
        return play

    async def _begin(self) -> None:
        self._number = (await self.store.history.position()).ms
        for number in range(4):
            queue, task = PLACES[number % len(PLACES)]
            memory = number % 2 == 1
            durability = Durability.MEMORY if memory else Durability.STORE
            spec = make_spec(task, queue=queue, created_ms=BEGIN_MS, durability=durability)
            if not memory:
                await self.store.accept.accept(spec)
                await self.accepted(spec)
            self.tales.append(Tale(spec, memory=memory))

    async def accepted(self, spec: JobSpec) -> None:
        """Tell the recount what acceptance wrote."""
        job = await self.store.search.job(spec.id)
        assert job
        self.recount.accepted(spec, job.run, job.updated_ms)

    async def act(self, number: int, step: str, value: int, gap_ms: int) -> None:  # noqa: PLR0912  # one for each step
        tale = self.tales[number]
        self.ms += gap_ms
        tale.at_ms = self.ms
        before = len(tale.events)
        match step:
            case "replay":
                if tale.events:
                    self.batch.append(tale.events[value % len(tale.events)])
            case "recovered":
                version = (tale.version // 1_000_000 + 1) * 1_000_000
                tale.again(run=tale.run, version=version).enqueued(recovered=True)
            case "run":
                tale.again(run=tale.run + 1).enqueued()
            case "rerun":
                await self.rerun(tale)
            case "enqueued":
                tale.enqueued(due_ms=self.ms + 5_000 if value == 3 else 0)
            case "due" | "cancel_requested":
                getattr(tale, step)()
            case "retrying" | "snoozed":
                getattr(tale, step)(value, self.ms + 1_000 * value)
            case "progressed":
                tale.progressed(value, attempt=value)
            case "logged":
                tale.logged("line", attempt=value)
            case "quarantined":
                tale.version += value
                run = tale.run if value < 3 else 0
                tale.events.append(Quarantined(tale.spec.id, tale.version, self.ms, run, "broken", "{}"))
            case "unreadable":
                if tale.events:
                    self.batch.append(msgspec.structs.replace(tale.events[-1], version=1 << 70))
            case _:
                getattr(tale, step)(value)
        # Of some attempts it is known what they took.
        self.batch += [
            msgspec.structs.replace(one, cpu_us=abs(gap_ms) * 10)
            if isinstance(one, Completed | Died) and value < 3
            else one
            for one in tale.events[before:]
        ]

    async def live(self, number: int, choice: int, gap_ms: int) -> None:
        """Do what can happen to the job next."""
        await self.record("recorded")
        tale = self.tales[number]
        job = await self.store.search.job(tale.spec.id)
        allowed = LEGAL[job.state if job and (job.version or job.run > 1) else None]
        if job and job.version == 0 and job.run > 1:
            allowed = ["enqueued"]
        step = allowed[choice % len(allowed)]
        attempt = (job.attempts if job else 0) + (step == "started")
        if step == "due" and job:
            gap_ms = max(gap_ms, (job.scheduled_ms or 0) - self.ms + gap_ms % 1_000)
        if step == "scheduled":
            await self.act(number, "enqueued", 3, gap_ms)
        elif step == "cancelled":
            await self.act(number, step, attempt if job and job.state is State.ACTIVE else 0, gap_ms)
        elif step == "quarantined":
            await self.act(number, step, 1, gap_ms)
        else:
            await self.act(number, step, attempt, gap_ms)

    async def rerun(self, tale: Tale) -> None:
        await self.record("recorded")
        job = await self.store.search.job(tale.spec.id)
        if job and job.state in (State.DEAD, State.CANCELLED) and not tale.memory:
            await self.store.accept.rerun(tale.spec.id)
            await self.accepted(tale.spec)
            tale.again(run=job.run + 1)

    async def record(self, fate: str) -> None:
        """Record what has happened since, in the face of a recorder's fate."""
        batch, self.batch = self.batch, []
        old = await self.store.history.position()
        self._number += 1
        placed = [(Position(1, self._number, 0, index), event) for index, event in enumerate(batch)]
        new = Position(1, self._number, 0, len(batch))

        async def record() -> None:
            await self.store.history.record(placed, old=old, new=new)

        if fate == "killed":
            recording = asyncio.create_task(record())
            for _ in range(len(batch) * 3 + self._number % 7):
                await asyncio.sleep(0)
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)
        if fate == "two":
            results = await asyncio.gather(record(), record(), return_exceptions=True)
            assert sorted(type(one).__name__ for one in results) == ["NoneType", "Stale"]
        elif await self.store.history.position() != new:
            await record()
        with pytest.raises(Stale):
            await record()
        for event in batch:
            if event.version < 1 << 63:
                self.recount.add(event)


def plain(rows: dict[Key, Figures]) -> dict[Key, Figures]:
    """Rows that only tell how many waits there were, not how long: nobody can know where events make no sense."""
    return {
        key: msgspec.structs.replace(one, wait_ms=0, waits=shaped({0: one.waits.total})) for key, one in rows.items()
    }


@given(acts=ACTS, fates=FATES, cuts=st.lists(st.integers(0, 40), max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_figures_are_those_of_a_recount(
    store: Store, acts: list[tuple[int, str, int, int]], fates: Sequence[str], cuts: list[int]
) -> None:
    play = await Play.of(store)
    for index, act in enumerate(acts):
        await play.act(*act)
        if index in cuts:
            await play.record(fates[index % len(fates)])
    await play.record(fates[0])
    assert plain(await stored(store)) == plain(play.recount.rows())
    await check_states(store)
    await check_attempts(store)


@given(lives=LIVES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_waits_and_runs_are_measured_from_when_a_job_could_start(
    store: Store, lives: list[tuple[int, int, int]]
) -> None:
    play = await Play.of(store)
    for one in lives:
        await play.live(*one)
    await play.record("recorded")
    assert await stored(store) == play.recount.rows()
    await check_states(store)
    await check_attempts(store)


async def check_attempts(store: Store) -> None:
    """What is told of attempts is what the table of attempts has."""
    found = await store._database.fetch("SELECT state, count(*) AS attempts FROM attempt GROUP BY 1")
    attempts = Counter({row["state"]: row["attempts"] for row in found})
    days = [one for key, one in (await stored(store)).items() if key[:3] == (86_400, "", "")]
    total = Figures.sum([*days, Figures()])
    assert total.started == sum(attempts.values())
    assert (total.failed, total.lost) == (attempts["FAILED"], attempts["LOST"])
    assert (total.snoozed, total.released) == (attempts["SNOOZED"], attempts["RELEASED"])
    (cpu,) = await store._database.fetch("SELECT sum(cpu_us) AS cpu_us, count(cpu_us) AS known FROM attempt")
    assert (total.cpu_us, total.cpu_known) == (int(cpu["cpu_us"] or 0), cpu["known"])
