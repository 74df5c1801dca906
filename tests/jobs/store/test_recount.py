"""Rollups: whatever happens to recorders, the figures are those of a recount of what was recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobs.errors import Stale
from jobs.event import Completed, Died, JobEvent, Position, Quarantined
from jobs.job import Durability, JobSpec, State
from jobs.rollup import Figures
from jobs.store import Store
from jobs.store.rollup import Key
from tests.factories import make_spec
from tests.jobs.store.counted import check_attempts, check_states, shaped, stored
from tests.jobs.store.recount import Recount
from tests.jobs.store.story import BEGIN_MS, Tale

PLACES = [("a", "x"), ("a", "y"), ("b", "x")]
GAPS_MS = st.sampled_from([1, 700, 40_000, 3_000_000, 50_000_000])
LATE_MS = st.sampled_from([-700, -70_000, -5_000_000, -90_000_000, -200_000_000])
"""Clocks were set back, or somebody was held up for long: what happened then is added to what is there already."""
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
@example(
    acts=[(0, step, 1, 1) for step in ("enqueued", "started", "unreadable", "run")], fates=["recorded"], cuts=[]
)  # what cannot be written is replaced within its batch by what can
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
