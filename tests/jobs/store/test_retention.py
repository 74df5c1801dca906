"""Retention: what is too old or too many goes, with all that belongs to it; nothing else ever does."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.clock import new_id, now_ms
from jobs.errors import InvalidState, NotFound
from jobs.job import FINAL, Durability, State
from jobs.page import PageRequest
from jobs.retention import DAY_S, HOUR_S, SHIPPED, Kind, Policy, Standing
from jobs.store import Store, ended, pace
from jobs.store.database import Dialect
from jobs.where import JobWhere
from tests.bench.fill import fill
from tests.factories import make_spec
from tests.jobs.store.past import GRACE_MS, NOW_MS, Past, ago, batches, left, rows, run
from tests.jobs.store.story import Story, Tale


@pytest.fixture
def past(store: Store, story: Story) -> Past:
    return Past(store, story)


async def test_jobs_go_by_age_with_all_that_belongs_to_them(store: Store, past: Past) -> None:
    fields: dict[str, Any] = {"tags": ("a", "b"), "lines": 3}
    young = await past.ended(ago(DAY_S - 1), key="k1", **fields)
    kept = await rows(store)
    old = await past.ended(ago(3 * DAY_S), ago(2 * DAY_S), key="", idempotency_key="", **fields)
    old += await past.ended(ago(2 * DAY_S), key="k2", idempotency_key="i2", owner="ann", **fields)
    assert (await rows(store))["job_key"] == kept["job_key"] + 2
    preview = await store.retention.preview(Policy(kind=Kind.COMPLETED, keep_s=DAY_S), now_ms=NOW_MS, grace_ms=GRACE_MS)
    assert (preview.value, preview.whole) == (3, True)
    assert [(share.queue, share.oldest_ms, share.newest_ms) for share in preview.shares] == [
        ("default", ago(3 * DAY_S), ago(2 * DAY_S))
    ]
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S)) == 3
    assert await left(store, old) == []
    assert await left(store, young) == [0]
    assert await rows(store) == kept
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S)) == 0


async def test_jobs_go_by_number_also_those_that_ended_in_the_same_moment(store: Store, past: Past) -> None:
    together = ago(5 * HOUR_S)
    specs = await past.ended(ago(9 * HOUR_S), lines=0)
    for job_id in sorted((new_id() for _ in range(6)), reverse=True):
        specs += await past.ended(together, id=job_id, lines=0)
    specs += await past.ended(ago(HOUR_S), ago(HOUR_S), lines=0)
    policy = Policy(kind=Kind.COMPLETED, keep_count=4)
    assert (await store.retention.preview(policy, now_ms=NOW_MS, grace_ms=GRACE_MS)).value == 5
    assert await run(store, policy) == 5
    kept = await left(store, specs)
    assert kept[-2:] == [7, 8]
    ids = sorted(spec.id for spec in specs[1:7])
    assert {specs[place].id for place in kept[:2]} == set(ids[-2:])
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_count=9)) == 0
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_count=0)) == 4


async def test_what_is_too_old_or_too_many_goes(store: Store, past: Past) -> None:
    specs = await past.ended(ago(3 * DAY_S), ago(2 * DAY_S), ago(HOUR_S), ago(HOUR_S - 1), lines=0)
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S, keep_count=3)) == 2
    assert await left(store, specs) == [2, 3]
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S, keep_count=1)) == 1
    assert await left(store, specs) == [3]


async def test_states_and_queues_are_counted_apart_and_a_policy_of_ones_own_replaces_the_other(
    store: Store, past: Past
) -> None:
    mail = await past.ended(*[ago(DAY_S)] * 3, queue="mail")
    report = await past.ended(*[ago(DAY_S)] * 3, queue="report")
    dead = await past.ended(*[ago(DAY_S)] * 3, queue="mail", state=State.DEAD)
    await store.retention.set(Policy(kind=Kind.COMPLETED, keep_count=2), now_ms=1)
    await store.retention.set(Policy(kind=Kind.COMPLETED, queue="mail", keep_s=7 * DAY_S), now_ms=1)
    standing = {(one.policy.kind, one.policy.queue): one for one in await store.retention.standing()}
    assert await run(store, standing[Kind.COMPLETED, ""].policy) == 1
    assert await run(store, standing[Kind.COMPLETED, "mail"].policy) == 0
    assert [len(await left(store, specs)) for specs in (mail, report, dead)] == [3, 2, 3]
    assert await store.retention.remove(Kind.COMPLETED, "mail")
    assert not await store.retention.remove(Kind.COMPLETED, "mail")
    assert await run(store, standing[Kind.COMPLETED, ""].policy) == 1
    assert [len(await left(store, specs)) for specs in (mail, report, dead)] == [2, 2, 3]


async def test_policies_stand_as_they_were_set_and_remember_their_runs(store: Store) -> None:
    standing = await store.retention.standing()
    assert [one.policy for one in standing] == list(SHIPPED.values())
    assert all(one.is_shipped and one.next_ms == 0 for one in standing)
    shipped = SHIPPED[Kind.DEAD]
    await store.retention.note_run(shipped, 5, ran_ms=NOW_MS)
    await store.retention.note_run(shipped, 2, ran_ms=None)  # it was stopped

    async def dead(queue: str = "") -> Standing:
        found = [
            one for one in await store.retention.standing() if (one.policy.kind, one.policy.queue) == (Kind.DEAD, queue)
        ]
        return found[0]

    assert await dead() == Standing(policy=shipped, is_shipped=True, ran_ms=NOW_MS, removed=2, removed_total=7)
    assert (await dead()).next_ms == NOW_MS + 6 * HOUR_S * 1000
    own = Policy(kind=Kind.DEAD, keep_count=20, every_s=60)
    await store.retention.set(own, now_ms=NOW_MS)
    assert await dead() == Standing(policy=own, is_shipped=False, ran_ms=NOW_MS, removed=2, removed_total=7)
    await store.retention.set(Policy(kind=Kind.DEAD, queue="mail", every_s=60), now_ms=NOW_MS)
    assert (await dead("mail")).next_ms is None  # it keeps everything
    assert await store.retention.remove(Kind.DEAD, "")
    assert (await dead()).policy == shipped
    assert await store.retention.remove(Kind.DEAD, "mail")
    await store.retention.note_run(Policy(kind=Kind.DEAD, queue="mail"), 1, ran_ms=NOW_MS)
    assert len(await store.retention.standing()) == len(SHIPPED)
    assert (await dead()).ran_ms is None


async def test_jobs_that_ended_a_moment_ago_stay_whatever_the_policy(store: Store, past: Past) -> None:
    specs = await past.ended(NOW_MS - GRACE_MS - 1, NOW_MS - GRACE_MS, lines=0)
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_count=0, keep_s=0)) == 1
    assert await left(store, specs) == [1]


async def test_a_job_whose_tags_cannot_be_read_goes_as_any_other(store: Store, past: Past) -> None:
    specs = await past.ended(*[ago(2 * DAY_S)] * 3)
    async with store._database.transaction() as transaction:
        await transaction.execute("UPDATE job SET tags = '{' WHERE id = $1", (specs[1].id,))
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S)) == 3


async def test_of_a_heavy_job_no_more_is_counted_than_that_it_is_one(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spec,) = await past.ended(ago(2 * DAY_S), lines=ended.HEAVY + 200)
    jobs = ended.Ended(store._database, "default", State.COMPLETED, now_ms=NOW_MS, grace_ms=GRACE_MS)
    await jobs.bound(Policy(kind=Kind.COMPLETED, keep_s=DAY_S))
    assert await jobs.find()
    assert [(one.id, one.rows) for one in jobs._found] == [(spec.id, ended.HEAVY + 1 + 1)]


async def test_a_job_that_was_retried_stays(store: Store, past: Past) -> None:
    specs = await past.ended(*[ago(2 * DAY_S)] * 3, state=State.DEAD)
    await store.accept.rerun(specs[1].id)
    assert await run(store, Policy(kind=Kind.DEAD, keep_s=DAY_S)) == 2
    assert await left(store, specs) == [1]
    await past.end(specs[1], NOW_MS, State.DEAD, run=2)
    assert await run(store, Policy(kind=Kind.DEAD, keep_s=DAY_S)) == 0


async def test_a_job_that_is_retried_between_a_look_and_its_removal_stays(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = await past.ended(*[ago(2 * DAY_S)] * 3, state=State.DEAD)
    find = ended.Ended.find
    retried: list[str] = []

    async def slowly(self: ended.Ended) -> bool:
        found = await find(self)
        if found and not retried:
            retried.append(specs[1].id)
            await store.accept.rerun(specs[1].id)
        return found

    monkeypatch.setattr(ended.Ended, "find", slowly)
    assert await run(store, Policy(kind=Kind.DEAD, keep_s=DAY_S)) == 2
    assert await left(store, specs) == [1]
    assert len((await store.search.attempts([specs[1].id]))[specs[1].id]) == 1


async def test_retrying_while_everything_is_removed_leaves_each_job_whole_or_gone(store: Store, past: Past) -> None:
    specs = await past.ended(*[ago(2 * DAY_S)] * 60, state=State.DEAD, tags=("t",), key="", lines=2)
    retried: list[str] = []

    async def retry() -> None:
        for spec in reversed(specs):
            try:
                await store.accept.rerun(spec.id)
                retried.append(spec.id)
            except (NotFound, InvalidState):
                pass

    removed, _ = await asyncio.gather(run(store, Policy(kind=Kind.DEAD, keep_s=DAY_S)), retry())
    assert removed + len(retried) == len(specs)
    known = await store.search.jobs_by_id([spec.id for spec in specs])
    assert sorted(known) == sorted(retried)
    assert all(job.state is State.QUEUED and job.run == 2 for job in known.values())
    for job_id in retried:
        assert len((await store.search.attempts([job_id]))[job_id]) == 1
        assert len((await store.search.logs(job_id, PageRequest())).items) == 2
    kept = len(retried)
    assert await rows(store) == {"job": kept, "job_tag": kept, "job_key": 0, "attempt": kept, "log_line": 2 * kept}


async def test_a_job_that_has_talked_a_lot_goes_in_several_transactions_itself_last(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "HEAVY", 20)
    monkeypatch.setitem(pace.STEP_MIN, store.dialect, 300)
    monkeypatch.setattr("jobs.store.pace.SHARE_MIN_S", 0.0)
    specs = await past.ended(ago(2 * DAY_S), lines=900)
    specs += await past.ended(ago(2 * DAY_S), lines=1)
    seen = []
    async with aclosing(batches(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S))) as sweeps:
        async for removed in sweeps:
            seen.append((removed, (await rows(store))["job"]))
    assert seen[:2] == [(0, 2)] * 2
    assert sum(removed for removed, _ in seen) == 2
    assert all(jobs == 2 - sum(one for one, _ in seen[: place + 1]) for place, (_, jobs) in enumerate(seen))
    assert not any((await rows(store)).values())


async def test_a_job_that_has_talked_more_than_was_counted_goes_in_steps_as_well(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "_FIND", ended._FIND.replace(f"LIMIT {ended.HEAVY + 1}", "LIMIT 200"))
    monkeypatch.setattr(ended, "HEAVY", 150)
    monkeypatch.setattr("jobs.store.pace.SHARE_MIN_S", 0.0)
    await past.ended(ago(2 * DAY_S), lines=3_000)
    left = [3_000]
    async with aclosing(batches(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S))) as sweeps:
        left += [(await rows(store))["log_line"] async for _ in sweeps]
    assert max(before - after for before, after in pairwise(left)) <= pace.STEP_MAX[store.dialect]
    assert not any((await rows(store)).values())


async def test_whoever_stops_in_the_middle_leaves_whole_jobs(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pace.STEP_MIN, store.dialect, 300)
    monkeypatch.setattr("jobs.store.pace.SHARE_MIN_S", 0.0)
    await past.ended(*[ago(2 * DAY_S)] * 200, tags=("t",), lines=2)
    sweeps = batches(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S))
    removed = await anext(sweeps)
    await sweeps.aclose()
    assert 0 < removed < 200
    kept = 200 - removed
    assert await rows(store) == {"job": kept, "job_tag": kept, "job_key": 0, "attempt": kept, "log_line": 2 * kept}
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S)) == kept


def test_a_busy_machine_makes_steps_smaller_but_not_too_small(dialect: Dialect) -> None:
    steps = pace.Pace(dialect)
    for _ in range(9):
        steps.note_step(steps.rows, pace.STEP_S / 100)
    assert steps.rows == pace.STEP_MAX[dialect]
    steps.note_step(steps.rows, pace.STEP_S * 1.5)
    assert pace.STEP_MIN[dialect] < steps.rows < pace.STEP_MAX[dialect]
    steps.note_step(steps.rows, pace.STEP_S * 100)
    assert steps.rows == pace.STEP_MIN[dialect]


async def test_a_late_event_of_a_removed_job_brings_nothing_back(store: Store, past: Past, story: Story) -> None:
    (spec,) = await past.ended(ago(2 * DAY_S), durability=Durability.MEMORY)
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S)) == 1
    late = Tale(spec, version=2_000_000)
    late.started().logged("late").completed()
    await story.record(late)
    assert not any((await rows(store)).values())


async def test_cleaning_by_hand_takes_what_was_asked_for_and_nothing_else(store: Store, past: Past) -> None:
    mail = await past.ended(ago(2 * DAY_S), ago(60), queue="mail")
    dead = await past.ended(ago(2 * DAY_S), queue="mail", state=State.DEAD)
    other = await past.ended(ago(2 * DAY_S), queue="other")

    async def clean(*queues: str, states: tuple[State, ...] = (State.COMPLETED,), older_s: int = DAY_S) -> int:
        cleaned = store.retention.clean(queues, states, older_s=older_s, now_ms=NOW_MS, grace_ms=GRACE_MS)
        return sum([removed async for removed in cleaned])

    assert await clean("mail") == 1
    assert [await left(store, specs) for specs in (mail, dead, other)] == [[1], [0], [0]]
    assert await clean(states=(State.COMPLETED, State.DEAD), older_s=0) == 2
    assert [await left(store, specs) for specs in (mail, dead, other)] == [[1], [], []]


# Nothing that is not final


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    """How far each job has come, when, and how many runs it has had."""
    steps = st.sampled_from(["accepted", "queued", "active", "retrying", "snoozed", "completed", "dead", "cancelled"])
    return draw(st.lists(st.tuples(steps, st.integers(0, 3), st.integers(1, 2)), min_size=1, max_size=12))


@pytest.mark.parametrize("dialect", ["sqlite"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    jobs=stories(),
    keep_s=st.none() | st.sampled_from([0, DAY_S, 2 * DAY_S]),
    keep_count=st.none() | st.integers(0, 4),
)
async def test_only_jobs_that_have_ended_and_violate_the_policy_go(
    store: Store, story: Story, jobs: list[tuple[str, int, int]], keep_s: int | None, keep_count: int | None
) -> None:
    queue = make_spec().id[-12:]
    ends: dict[State, list[tuple[int, str]]] = {state: [] for state in FINAL}
    kept: set[str] = set()
    for step, days, runs in jobs:
        spec = make_spec(queue=queue)
        await store.accept.accept(spec)
        at_ms = ago(days * DAY_S + HOUR_S)
        for number in range(1, runs + 1):
            last = number == runs
            tale = Tale(spec, run=number)
            tale.at_ms = at_ms - 30
            if not last or step == "dead":
                tale.enqueued().started().died()
            elif step != "accepted":
                tale.enqueued()
                _go_on(tale, step)
            await story.record(tale)
            if not last:
                await store.accept.rerun(spec.id)
        state = {"completed": State.COMPLETED, "dead": State.DEAD, "cancelled": State.CANCELLED}.get(step)
        if state:
            job = await store.search.job(spec.id)
            assert job
            assert job.finished_ms
            ends[state].append((job.finished_ms, spec.id))
        else:
            kept.add(spec.id)
    expected = set(kept)
    for kind, state in ((Kind.COMPLETED, State.COMPLETED), (Kind.DEAD, State.DEAD), (Kind.CANCELLED, State.CANCELLED)):
        newest = sorted(ends[state], reverse=True)
        for place, (finished_ms, job_id) in enumerate(newest):
            too_old = keep_s is not None and finished_ms < ago(keep_s)
            if not too_old and (keep_count is None or place < keep_count):
                expected.add(job_id)
        await run(store, Policy(kind=kind, queue=queue, keep_s=keep_s, keep_count=keep_count))
    found = await store.search.jobs(JobWhere(queues=(queue,)), PageRequest(limit=100))
    assert {job.id for job in found.items} == expected


def _go_on(tale: Tale, step: str) -> None:
    if step != "queued":
        tale.started()
    match step:
        case "retrying":
            tale.retrying()
        case "snoozed":
            tale.snoozed()
        case "completed":
            tale.completed()
        case "cancelled":
            tale.cancelled(1)


# Killed


_WHOLE = (
    "SELECT job.id, (SELECT count(*) FROM attempt WHERE job_id = job.id) AS attempts,"
    " (SELECT count(*) FROM log_line WHERE job_id = job.id) AS lines, tags FROM job WHERE state = 'COMPLETED'"
)
_TAGGED = "SELECT job_id, tag FROM job_tag"
_ORPHANS = "SELECT count(*) AS n FROM {} WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.id = job_id)"


async def test_a_process_that_is_killed_in_the_middle_has_removed_whole_jobs(database_url: str) -> None:
    await fill(database_url, 4_000)
    store = await Store.open(database_url)
    try:
        fetch = store._database.fetch
        before = {row["id"]: (row["attempts"], row["lines"], row["tags"]) for row in await fetch(_WHOLE)}
        remover = subprocess.Popen([sys.executable, str(Path(__file__).with_name("remover.py")), database_url])
        try:
            async with asyncio.timeout(30):
                while (await rows(store))["job"] > 4_000 - 50:
                    await asyncio.sleep(0.002)
        finally:
            remover.send_signal(signal.SIGKILL)
            remover.wait()
        after = {row["id"]: (row["attempts"], row["lines"], row["tags"]) for row in await fetch(_WHOLE)}
        assert 0 < len(after) < len(before)
        assert all(before[job_id] == one for job_id, one in after.items())
        tagged = {(row["job_id"], row["tag"]) for row in await fetch(_TAGGED)}
        assert {(job_id, tag) for job_id, one in after.items() for tag in json.loads(one[2])} <= tagged
        assert [(await fetch(_ORPHANS.format(table)))[0]["n"] for table in ("job_tag", "attempt", "log_line")] == [
            0
        ] * 3
        again = store.retention.run(Policy(kind=Kind.COMPLETED, keep_s=60), now_ms=now_ms(), grace_ms=60_000)
        assert sum([removed async for removed in again]) > 0
    finally:
        await store.close()
