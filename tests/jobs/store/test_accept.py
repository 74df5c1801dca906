"""Acceptance: one commit for all who wait, and no job accepted twice."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest

from jobs.clock import new_id, now_ms
from jobs.errors import IdempotencyMismatch, InvalidArguments, InvalidState, NotFound, RequestError, StoreUnavailable
from jobs.job import Backoff, BackoffKind, Durability, JobSpec, Priority, State
from jobs.page import PageRequest
from jobs.store import Accepted, Store, group
from jobs.store.accept import Acceptor
from jobs.where import JobWhere
from tests.factories import make_spec
from tests.jobs.store.story import Story, Tale

WRITER = Path(__file__).with_name("writer.py")
DAY_MS = 24 * 3600 * 1000


def full_spec() -> JobSpec:
    return make_spec(
        "mail.send",
        args={"to": "ä@b.c", "n": 1.5, "deep": [{"a": None}]},
        queue="email",
        priority=Priority.LOW,
        scheduled_ms=now_ms() + 60_000,
        max_attempts=7,
        backoff=Backoff(kind=BackoffKind.LINEAR, base_s=2.5, jitter=0.0),
        timeout_s=12.5,
        owner="u17",
        tags=("tenant=42", "b"),
        metadata={"traceparent": "00-1", "n": 2},
        key="k",
        idempotency_key="i",
        retry_of="older",
    )


async def count(store: Store) -> int:
    return (await store.search.count(JobWhere(), limit=100_000)).value


async def test_an_accepted_job_is_kept_whole(store: Store) -> None:
    spec = full_spec()
    assert await store.accept.accept(spec) == Accepted(spec.id, duplicate=False)
    (found,) = await store.search.unfinished(after_id="", limit=10)
    assert msgspec.json.decode(msgspec.json.encode(found.spec)) == msgspec.json.decode(msgspec.json.encode(spec))
    assert (found.run, found.attempts, found.uncharged, found.crashes, found.recoveries) == (1, 0, 0, 0, 0)
    job = await store.search.job(spec.id)
    assert job
    assert (job.state, job.version, job.args["deep"]) == (State.SCHEDULED, 0, [{"a": None}])
    assert (job.tags, job.metadata, job.owner) == (spec.tags, spec.metadata, "u17")
    assert await store.search.queues() == ["email"]


async def test_the_same_job_may_be_accepted_again(store: Store) -> None:
    spec = full_spec()
    first = await store.accept.accept(spec)
    assert await store.accept.accept(spec) == first
    other_writing = msgspec.structs.replace(
        spec, args=msgspec.Raw(b'{"deep": [{"a":null}], "n":1.5, "to":"\\u00e4@b.c"}')
    )
    assert await store.accept.accept(other_writing) == first
    assert await count(store) == 1


async def test_an_id_never_gets_another_content(store: Store) -> None:
    spec = make_spec(args={"a": 1})
    await store.accept.accept(spec)
    with pytest.raises(RequestError):
        await store.accept.accept(msgspec.structs.replace(spec, args=msgspec.Raw(b'{"a":2}')))
    job = await store.search.job(spec.id)
    assert job
    assert job.args == {"a": 1}


async def test_a_key_belongs_to_one_job_of_a_task_until_it_ends(store: Store, story: Story) -> None:
    first = make_spec("a", key="k")
    await store.accept.accept(first)
    assert await store.accept.accept(make_spec("a", key="k")) == Accepted(first.id, duplicate=True)
    assert not (await store.accept.accept(make_spec("b", key="k"))).duplicate
    assert not (await store.accept.accept(make_spec("a", key="other"))).duplicate
    await story.record(Tale(first).enqueued().started().completed())
    second = make_spec("a", key="k")
    assert await store.accept.accept(second) == Accepted(second.id, duplicate=False)
    assert await store.accept.accept(make_spec("a", key="k")) == Accepted(second.id, duplicate=True)


async def test_a_holder_that_the_broker_knows_as_ended_gives_its_key_up(store: Store) -> None:
    first, second = make_spec(key="k"), make_spec(key="k")
    await store.accept.accept(first)
    assert (await store.accept.accept(second, released=frozenset({"another"}))).duplicate
    assert await store.accept.accept(second, released=frozenset({first.id})) == Accepted(second.id, duplicate=False)
    assert await store.accept.accept(make_spec(key="k"), released=frozenset({first.id})) == Accepted(
        second.id, duplicate=True
    )


async def test_an_idempotency_key_returns_the_first_job_also_after_its_end(store: Store, story: Story) -> None:
    first = make_spec(args={"a": 1, "b": 2}, idempotency_key="i", owner="u1")
    await store.accept.accept(first)
    await story.record(Tale(first).enqueued().started().completed())
    again = make_spec(args={"b": 2, "a": 1}, idempotency_key="i", owner="u1")
    assert await store.accept.accept(again) == Accepted(first.id, duplicate=True)
    with pytest.raises(IdempotencyMismatch) as mismatch:
        await store.accept.accept(make_spec(args={"a": 2}, idempotency_key="i", owner="u1"))
    assert mismatch.value.job_id == first.id
    assert not (await store.accept.accept(make_spec(idempotency_key="i", owner="u2"))).duplicate
    assert not (await store.accept.accept(make_spec("other", idempotency_key="i", owner="u1"))).duplicate


async def test_an_idempotency_key_is_forgotten_after_a_day(database_url: str) -> None:
    time_ms = now_ms()
    store = await Store.open(database_url, clock=lambda: time_ms)
    first, second = make_spec(idempotency_key="i"), make_spec(args={"x": 1}, idempotency_key="i")
    await store.accept.accept(first)
    time_ms += DAY_MS - 1
    with pytest.raises(IdempotencyMismatch):
        await store.accept.accept(second)
    time_ms += 1
    assert await store.accept.accept(second) == Accepted(second.id, duplicate=False)
    await store.close()


async def test_both_keys_agree_on_who_stands_for_a_job(store: Store) -> None:
    holder = make_spec(key="k")
    await store.accept.accept(holder)
    assert await store.accept.accept(make_spec(key="k", idempotency_key="i")) == Accepted(holder.id, duplicate=True)
    assert await store.accept.accept(make_spec(key="free", idempotency_key="i")) == Accepted(holder.id, duplicate=True)
    assert not (await store.accept.accept(make_spec(key="free"))).duplicate


async def test_one_commit_serves_many_and_a_conflict_fails_one_caller_only(store: Store) -> None:
    taken = make_spec(args={"a": 1}, idempotency_key="i")
    await store.accept.accept(taken)
    specs = [make_spec(key=f"k{n % 60}") for n in range(62)]
    wrong = make_spec(args={"a": 2}, idempotency_key="i")
    results = await asyncio.gather(*(store.accept.accept(spec) for spec in [*specs, wrong]), return_exceptions=True)
    assert isinstance(results.pop(), IdempotencyMismatch)
    assert results == [
        *(Accepted(spec.id, duplicate=False) for spec in specs[:60]),
        *(Accepted(spec.id, duplicate=True) for spec in specs[:2]),
    ]
    assert await count(store) == 61


async def test_many_in_one_call_have_a_result_each(store: Store) -> None:
    specs = [make_spec(tags=("t",)) for _ in range(1_000)]
    specs[500] = make_spec(args={"text": "\x00"})
    results = await store.accept.accept_many(specs)
    assert isinstance(results[500], InvalidArguments)
    assert [result for result in results if isinstance(result, Accepted)] == [
        Accepted(spec.id, duplicate=False) for spec in specs if spec is not specs[500]
    ]
    assert (await store.search.count(JobWhere(tags=("t",)), limit=10_000)).value == 999
    assert await store.accept.accept_many([]) == []


async def test_text_that_only_looks_like_a_null_character_is_kept(store: Store) -> None:
    spec = make_spec(args={"text": "a\\u0000b"})
    await store.accept.accept(spec)
    job = await store.search.job(spec.id)
    assert job
    assert job.args == {"text": "a\\u0000b"}


async def test_what_the_database_refuses_fails_its_own_caller_only(store: Store) -> None:
    good, bad = make_spec(), make_spec(max_attempts=1 << 70)
    results = await asyncio.gather(store.accept.accept(bad), store.accept.accept(good), return_exceptions=True)
    assert isinstance(results[0], Exception)
    assert results[1] == Accepted(good.id, duplicate=False)
    assert await count(store) == 1


async def test_a_caller_that_leaves_takes_nobody_along(store: Store) -> None:
    specs = [make_spec() for _ in range(20)]
    callers = [asyncio.create_task(store.accept.accept(spec)) for spec in specs]
    await asyncio.sleep(0)
    for caller in callers[::2]:
        caller.cancel()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, Accepted] * 10
    found = await store.search.jobs_by_id([spec.id for spec in specs])
    assert set(found) >= {spec.id for spec in specs[1::2]}


async def test_more_than_may_wait_is_refused_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "WAITING_MAX", 10)
    with pytest.raises(StoreUnavailable, match="too slow"):
        await store.accept.accept_many([make_spec() for _ in range(11)])
    await asyncio.sleep(0)  # the writer drops what was withdrawn
    await store.accept.accept_many([make_spec() for _ in range(10)])
    assert await count(store) == 10


async def test_closing_writes_what_waits_and_then_refuses(database_url: str) -> None:
    store = await Store.open(database_url)
    spec = make_spec()
    caller = asyncio.create_task(store.accept.accept(spec))
    await asyncio.sleep(0)
    await store.close()
    assert await caller == Accepted(spec.id, duplicate=False)
    with pytest.raises(StoreUnavailable):
        await store.accept.accept(make_spec())
    with pytest.raises(StoreUnavailable):
        await store.search.job(spec.id)
    await store.close()


async def test_two_stores_in_one_process_agree_on_keys(database_url: str, store: Store) -> None:
    other = await Store.open(database_url)
    acceptors: list[Acceptor] = [store.accept, other.accept]
    results = await asyncio.gather(
        *(acceptors[n % 2].accept(make_spec(key=f"k{n // 4}", idempotency_key=f"i{n // 4}")) for n in range(120))
    )
    await other.close()
    assert len({result.job_id for result in results}) == 30
    assert sum(not result.duplicate for result in results) == 30
    assert await count(store) == 30


async def test_processes_that_write_at_once_all_get_their_turn(database_url: str, store: Store) -> None:
    command = [sys.executable, "-W", "error", str(WRITER), database_url, "300"]
    writers = [await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for _ in range(3)]
    outputs = await asyncio.gather(*(writer.communicate() for writer in writers))
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    results = [output.splitlines()[-1].split() for output, _ in outputs]  # slow statements are logged before
    assert [accepted for accepted, _ in results] == [b"300"] * 3
    assert await count(store) == 900


async def test_a_dead_job_is_run_again(store: Store, story: Story) -> None:
    spec = full_spec()
    await store.accept.accept(spec)
    tale = Tale(spec).enqueued().started().logged("first").progressed(3).reaped().started(2).died(2)
    await story.record(tale)
    again, run = await store.accept.rerun(spec.id)
    assert run == 2
    assert again == msgspec.structs.replace(spec, args=again.args)
    job = await store.search.job(spec.id)
    assert job
    assert (job.state, job.run, job.version, job.attempts, job.crashes) == (State.QUEUED, 2, 0, 0, 0)
    assert (job.error, job.reason, job.progress, job.finished_ms, job.started_ms) == (None,) * 5
    assert len((await store.search.attempts([spec.id]))[spec.id]) == 2
    (found,) = await store.search.unpushed(created_before_ms=now_ms() + 1, limit=10)
    assert (found.spec.id, found.run) == (spec.id, 2)


async def test_only_what_died_or_was_cancelled_is_run_again(store: Store, story: Story) -> None:
    with pytest.raises(NotFound):
        await store.accept.rerun(new_id())
    waiting, done, cancelled = make_spec(), make_spec(), make_spec()
    await store.accept.accept_many([waiting, done, cancelled])
    await story.record(Tale(done).enqueued().started().completed(), Tale(cancelled).enqueued().cancelled())
    for spec in (waiting, done):
        with pytest.raises(InvalidState):
            await store.accept.rerun(spec.id)
    results = await asyncio.gather(*(store.accept.rerun(cancelled.id) for _ in range(5)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["InvalidState"] * 4 + ["tuple"]


async def test_a_rerun_takes_its_key_back_or_is_refused(store: Store, story: Story) -> None:
    first, second = make_spec(key="k"), make_spec(key="k")
    await store.accept.accept(first)
    await story.record(Tale(first).enqueued().cancelled())
    await store.accept.rerun(first.id)
    assert (await store.accept.accept(second)).duplicate
    await story.record(Tale(first, run=2).enqueued().cancelled())
    await store.accept.accept(second)
    with pytest.raises(InvalidState):
        await store.accept.rerun(first.id)


async def test_unpushed_jobs_are_those_without_any_event(store: Store, story: Story) -> None:
    # One of durability MEMORY is accepted here when it is run again.
    old, known, memory = make_spec(), make_spec(), make_spec(durability=Durability.MEMORY)
    await store.accept.accept_many([old, known, memory])
    await story.record(Tale(known).enqueued())
    found = await store.search.unpushed(created_before_ms=now_ms() + 1, limit=10)
    assert {job.spec.id for job in found} == {old.id, memory.id}
    assert await store.search.unpushed(created_before_ms=now_ms() - 60_000, limit=10) == []
    page = await store.search.jobs(JobWhere(), PageRequest())
    assert len(page.items) == 3
