"""The cleaner runs what is due, on its own timetable, and lets go whenever it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs.client import Client
from jobs.clock import now_ms
from jobs.errors import StoreUnavailable
from jobs.job import State
from jobs.retention import DAY_S, HOUR_S, SHIPPED, Kind, Policy, Standing
from jobs.services import cleaner as module
from jobs.services.cleaner import Cleaner
from jobs.store import Store
from tests.bench.fill import fill
from tests.jobs.store.past import Past, left, rows
from tests.jobs.store.story import Story
from tests.wait import until


@pytest.fixture
async def make_cleaner(
    open_client: Callable[..., Awaitable[Client]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], Awaitable[Cleaner]]]:
    """Makes cleaners in connections of their own; they are stopped after the test."""
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    made: list[Cleaner] = []

    async def make_cleaner() -> Cleaner:
        client = await open_client()
        made.append(Cleaner(client.store, client.broker, replay_window_s=60.0))
        made[-1].leadership._lease_ms = 900
        return made[-1]

    yield make_cleaner
    for cleaner in made:
        await cleaner.stop()


@pytest.fixture
def past(client: Client) -> Past:
    return Past(client.store, Story(client.store))


def ago(seconds: float) -> int:
    return now_ms() - int(seconds * 1000)


async def standing(store: Store, kind: Kind, queue: str = "") -> Standing:
    (one,) = [one for one in await store.retention.standing() if (one.policy.kind, one.policy.queue) == (kind, queue)]
    return one


async def ran(store: Store) -> bool:
    return all(one.ran_ms for one in await store.retention.standing())


async def wait_for(condition: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_every_policy_runs_and_then_again_when_it_is_due(
    client: Client, past: Past, make_cleaner: Callable[[], Awaitable[Cleaner]]
) -> None:
    old = await past.ended(ago(40 * DAY_S), ago(29 * DAY_S))
    dead = await past.ended(ago(91 * DAY_S), ago(89 * DAY_S), state=State.DEAD)
    cleaner = await make_cleaner()
    with capture_logs() as logs:
        cleaner.start()
        await wait_for(lambda: ran(client.store))
    assert (await left(client.store, old), await left(client.store, dead)) == ([1], [1])
    said = {line["kind"]: line["removed"] for line in logs if line["event"] == "cleaner.ran"}
    assert set(said) == {str(kind) for kind in SHIPPED}
    assert (said["COMPLETED"], said["DEAD"], said["LOG"]) == (1, 1, 1)  # the line of the job that is still DEAD
    first = await standing(client.store, Kind.COMPLETED)
    assert (first.removed, first.removed_total, first.is_shipped) == (1, 1, True)
    assert first.next_ms is not None
    assert abs(first.next_ms - now_ms() - HOUR_S * 1000) < 30_000
    await client.store.retention.set(Policy(kind=Kind.COMPLETED, queue="default", keep_count=0), now_ms=now_ms())
    await wait_for(lambda: _ran(client.store, Kind.COMPLETED, "default"))
    assert await left(client.store, old) == []
    assert await standing(client.store, Kind.COMPLETED) == first
    assert cleaner.health().ok


async def _ran(store: Store, kind: Kind, queue: str) -> bool:
    return (await standing(store, kind, queue)).ran_ms is not None


async def test_a_run_that_is_due_again_runs_again(
    client: Client, past: Past, make_cleaner: Callable[[], Awaitable[Cleaner]], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy(kind=Kind.COMPLETED, keep_s=DAY_S, every_s=60)
    await client.store.retention.set(policy, now_ms=now_ms())
    cleaner = await make_cleaner()
    look, looks = cleaner._due, []

    def count(*args: Any) -> list[Policy]:
        looks.append(1)
        return look(*args)

    monkeypatch.setattr(cleaner, "_due", count)
    cleaner.start()
    await wait_for(lambda: ran(client.store))
    old = await past.ended(ago(2 * DAY_S))
    await client.store.retention.note_run(policy, 0, ran_ms=now_ms() - 30_000)
    seen = len(looks)
    await until(lambda: len(looks) > seen + 2)
    assert await left(client.store, old) == [0]
    await client.store.retention.note_run(policy, 0, ran_ms=now_ms() - 61_000)
    await wait_for(lambda: _gone(client.store, old))


async def _gone(store: Store, specs: list[Any]) -> bool:
    return not await left(store, specs)


async def test_one_of_two_cleans_and_the_other_takes_over_in_the_middle(
    database_url: str, open_client: Callable[..., Awaitable[Client]], make_cleaner: Callable[[], Awaitable[Cleaner]]
) -> None:
    await fill(database_url, 2_000)
    store = (await open_client()).store
    await store.retention.set(Policy(kind=Kind.COMPLETED, keep_s=0), now_ms=1)
    before = await completed(store)
    first, second = await make_cleaner(), await make_cleaner()
    with capture_logs() as logs:
        first.start()
        await wait_for(lambda: _fewer(store, 1_950))
        assert "It has removed" in first.health().detail
        second.start()
        began = asyncio.get_running_loop().time()
        await first.stop()
        assert asyncio.get_running_loop().time() - began < 2.0
        assert [line["event"] for line in logs if line.get("kind") == "COMPLETED"] == ["cleaner.cut_short"]
        cut = await standing(store, Kind.COMPLETED)
        assert cut.ran_ms is None
        assert 0 < cut.removed_total < before
        await wait_for(lambda: _ran(store, Kind.COMPLETED, ""))
    done = await standing(store, Kind.COMPLETED)
    assert await completed(store) + done.removed_total == before
    assert done.removed_total == done.removed + cut.removed_total
    assert [line["event"] for line in logs if line.get("kind") == "COMPLETED"] == ["cleaner.cut_short", "cleaner.ran"]


async def completed(store: Store) -> int:
    (row,) = await store._database.fetch("SELECT count(*) AS n FROM job WHERE state = 'COMPLETED'")
    return int(row["n"])


async def _fewer(store: Store, count: int) -> bool:
    return (await rows(store))["job"] < count


async def test_whoever_leads_no_more_stops_in_the_middle(
    database_url: str, open_client: Callable[..., Awaitable[Client]], make_cleaner: Callable[[], Awaitable[Cleaner]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    await fill(database_url, 2_000)
    store = (await open_client()).store
    await store.retention.set(Policy(kind=Kind.COMPLETED, keep_s=0), now_ms=1)
    cleaner = await make_cleaner()
    answers = iter([True, True, True])  # the turn, the policy, and the first batch

    async def holds() -> bool:
        return next(answers, False)

    monkeypatch.setattr(cleaner.leadership, "holds", holds)
    await cleaner.turn()
    kept = (await rows(store))["job"]
    assert 1_000 < kept < 2_000
    assert (await standing(store, Kind.COMPLETED)).ran_ms is None
    await cleaner.turn()
    assert (await rows(store))["job"] == kept


async def test_policies_that_time_out_or_fail_keep_no_other_from_running(
    client: Client, past: Past, make_cleaner: Callable[[], Awaitable[Cleaner]], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await past.ended(ago(40 * DAY_S))
    cleaner = await make_cleaner()
    retention = cleaner._store.retention
    run, asked = retention.run, []

    def fail(policy: Policy, **more: Any) -> Any:
        asked.append(policy.kind)
        if policy.kind is Kind.COMPLETED and asked.count(policy.kind) < 3:
            raise StoreUnavailable("The database does not answer in time.")
        if policy.kind is Kind.QUARANTINE:
            raise KeyError("a bug")
        return run(policy, **more)

    monkeypatch.setattr(retention, "run", fail)
    cleaner.start()
    await wait_for(lambda: _gone(client.store, old))
    await wait_for(lambda: _ran(client.store, Kind.TOKEN, ""))
    assert set(asked[: len(SHIPPED)]) == set(SHIPPED)  # nothing is tried again before all others
    await until(lambda: "KeyError" in cleaner.health().detail)
    assert not cleaner.health().ok
    assert not await _ran(client.store, Kind.QUARANTINE, "")
    monkeypatch.undo()
    await wait_for(lambda: ran(client.store))
    await until(lambda: cleaner.health().ok)


_CHANGES = {
    "the policy": Policy(kind=Kind.COMPLETED),
    "that of a queue": Policy(kind=Kind.COMPLETED, queue="some"),
    "restored": None,
}


@pytest.mark.parametrize("change", _CHANGES)
async def test_a_run_ends_where_policies_are_changed_or_the_database_is_restored(
    database_url: str, open_client: Callable[..., Awaitable[Client]], make_cleaner: Callable[[], Awaitable[Cleaner]],
    monkeypatch: pytest.MonkeyPatch, change: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(module, "LOOK_AGAIN_S", 0.0)
    await fill(database_url, 2_000)
    store = (await open_client()).store
    await store.retention.set(Policy(kind=Kind.COMPLETED, keep_s=0), now_ms=1)
    cleaner = await make_cleaner()
    run = cleaner._store.retention.run

    async def slowly(policy: Policy, **more: Any) -> AsyncIterator[int]:
        async for batch in run(policy, **more):
            if new := _CHANGES[change]:
                await store.retention.set(new, now_ms=1)
            else:
                async with store._database.transaction() as transaction:
                    await transaction.execute("UPDATE epoch SET run_id = ''")
            yield batch

    monkeypatch.setattr(cleaner._store.retention, "run", slowly)
    await cleaner.turn()
    kept = (await rows(store))["job"]
    assert 1_000 < kept < 2_000
    assert (await standing(store, Kind.COMPLETED)).ran_ms is None


async def test_nothing_is_removed_by_a_clock_of_redis_that_is_wrong(
    client: Client, past: Past, make_cleaner: Callable[[], Awaitable[Cleaner]], monkeypatch: pytest.MonkeyPatch
) -> None:
    young, old = await past.ended(ago(DAY_S)), await past.ended(ago(40 * DAY_S))
    cleaner = await make_cleaner()
    told = cleaner._broker.now_ms
    ahead_ms = 31 * DAY_S * 1000

    async def ahead() -> int:
        return await told() + ahead_ms

    monkeypatch.setattr(cleaner._broker, "now_ms", ahead)
    cleaner.start()
    await until(lambda: not cleaner.health().ok)
    assert "The clock of Redis is 744.0 hours ahead of that of this machine" in cleaner.health().detail
    assert (await left(client.store, young), await left(client.store, old)) == ([0], [0])
    await client.store.retention.note_run(SHIPPED[Kind.COMPLETED], 0, ran_ms=now_ms() + ahead_ms)
    monkeypatch.undo()
    await wait_for(lambda: _gone(client.store, old))
    await until(lambda: cleaner.health().ok)
    assert await left(client.store, young) == [0]
