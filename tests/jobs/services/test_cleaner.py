"""The cleaner runs what is due, on its own timetable, and lets go whenever it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs.client import Client
from jobs.clock import now_ms
from jobs.job import State
from jobs.retention import DAY_S, HOUR_S, SHIPPED, Kind, Policy
from jobs.services import cleaner as module
from jobs.services.cleaner import Cleaner
from jobs.store import Store
from tests.bench.fill import fill
from tests.jobs.services.cleaning import ago, all_ran, are_gone, has_run, standing, wait_for
from tests.jobs.store.past import Past, left, rows
from tests.wait import until


def test_how_soon_a_policy_runs_is_what_documents_say() -> None:
    assert module.LOOK_S == 5.0
    root = Path(__file__).parents[3]
    for name in ("docs/retention.md", "schema.graphql"):
        assert "runs within about five seconds, unless" in (root / name).read_text(encoding="utf-8")
        assert "runs within about ten seconds" not in (root / name).read_text(encoding="utf-8")


async def test_every_policy_runs_and_then_again_when_it_is_due(
    client: Client, past: Past, make_cleaner: Callable[[], Awaitable[Cleaner]]
) -> None:
    old = await past.ended(ago(40 * DAY_S), ago(29 * DAY_S))
    dead = await past.ended(ago(91 * DAY_S), ago(89 * DAY_S), state=State.DEAD)
    cleaner = await make_cleaner()
    with capture_logs() as logs:
        cleaner.start()
        await wait_for(lambda: all_ran(client.store))
    assert (await left(client.store, old), await left(client.store, dead)) == ([1], [1])
    said = {line["kind"]: line["removed"] for line in logs if line["event"] == "cleaner.ran"}
    assert set(said) == {str(kind) for kind in SHIPPED}
    assert (said["COMPLETED"], said["DEAD"], said["LOG"]) == (1, 1, 1)  # the line of the job that is still DEAD
    first = await standing(client.store, Kind.COMPLETED)
    assert (first.removed, first.removed_total, first.is_shipped) == (1, 1, True)
    assert first.next_ms is not None
    assert abs(first.next_ms - now_ms() - HOUR_S * 1000) < 30_000
    await client.store.retention.set(Policy(kind=Kind.COMPLETED, queue="default", keep_count=0), now_ms=now_ms())
    await wait_for(lambda: has_run(client.store, Kind.COMPLETED, "default"))
    assert await left(client.store, old) == []
    assert await standing(client.store, Kind.COMPLETED) == first
    assert cleaner.health().ok


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
    await wait_for(lambda: all_ran(client.store))
    old = await past.ended(ago(2 * DAY_S))
    await client.store.retention.note_run(policy, 0, ran_ms=now_ms() - 30_000)
    seen = len(looks)
    await until(lambda: len(looks) > seen + 2)
    assert await left(client.store, old) == [0]
    await client.store.retention.note_run(policy, 0, ran_ms=now_ms() - 61_000)
    await wait_for(lambda: are_gone(client.store, old))


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
        await wait_for(lambda: has_run(store, Kind.COMPLETED, ""))
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
