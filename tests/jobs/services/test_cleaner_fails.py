"""The cleaner where something fails: what it removed is known, and the other policies run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs.client import Client
from jobs.clock import now_ms
from jobs.errors import StoreUnavailable
from jobs.retention import DAY_S, SHIPPED, Kind, Policy
from jobs.services.cleaner import Cleaner
from tests.jobs.services.cleaning import ago, all_ran, are_gone, has_run, standing, wait_for
from tests.jobs.store.past import Past, left
from tests.wait import until


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
    await wait_for(lambda: are_gone(client.store, old))
    await wait_for(lambda: has_run(client.store, Kind.TOKEN, ""))
    assert set(asked[: len(SHIPPED)]) == set(SHIPPED)  # nothing is tried again before all others
    await until(lambda: "KeyError" in cleaner.health().detail)
    assert not cleaner.health().ok
    assert not await has_run(client.store, Kind.QUARANTINE, "")
    monkeypatch.undo()
    await wait_for(lambda: all_ran(client.store))
    await until(lambda: cleaner.health().ok)


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
    await wait_for(lambda: are_gone(client.store, old))
    await until(lambda: cleaner.health().ok)
    assert await left(client.store, young) == [0]


AWAY = StoreUnavailable("The database does not answer.")
COMPLETED = Policy(kind=Kind.COMPLETED, keep_count=0)


@pytest.fixture
async def cleaner(client: Client, past: Past, make_cleaner: Callable[[], Awaitable[Cleaner]]) -> Cleaner:
    """A cleaner that is to remove the completed jobs of three queues; any other policy has run."""
    for queue in ("a", "b", "c"):
        await past.ended(ago(DAY_S), ago(DAY_S), queue=queue)
    await client.store.retention.set(COMPLETED, now_ms=now_ms())
    for one in await client.store.retention.standing():
        if one.policy != COMPLETED:
            await client.store.retention.note_run(one.policy, 0, ran_ms=now_ms())
    return await make_cleaner()


def failing(cleaner: Cleaner, queues: int) -> Callable[..., AsyncIterator[int]]:
    """Return a run that fails once it is through with so many queues."""
    run = cleaner._store.retention.run

    async def fails(policy: Policy, **more: Any) -> AsyncIterator[int]:
        left = queues
        async for removed in run(policy, **more):
            yield removed
            left -= not removed
            if not left:
                raise AWAY

    return fails


async def test_what_a_run_removed_that_failed_half_way_is_noted_and_logged(
    client: Client, cleaner: Cleaner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaner._store.retention, "run", failing(cleaner, 2))
    with capture_logs() as logs, pytest.raises(StoreUnavailable):
        await cleaner.turn()
    noted = await standing(client.store, Kind.COMPLETED)
    assert (noted.removed, noted.removed_total, noted.ran_ms) == (4, 4, None)
    assert [line["removed"] for line in logs if line["event"] == "cleaner.cut_short"] == [4]
    monkeypatch.undo()
    await cleaner.turn()
    noted = await standing(client.store, Kind.COMPLETED)
    assert (noted.removed, noted.removed_total) == (2, 6)


async def test_what_could_not_be_noted_is_noted_with_the_next_run(
    client: Client, cleaner: Cleaner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_args: Any, **_more: Any) -> None:
        raise AWAY

    monkeypatch.setattr(cleaner._store.retention, "run", failing(cleaner, 1))
    monkeypatch.setattr(cleaner._store.retention, "note_run", away)
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await cleaner.turn()
    assert [line["removed"] for line in logs if line["event"] == "cleaner.cut_short"] == [2, 2]
    assert (await standing(client.store, Kind.COMPLETED)).removed_total == 0
    monkeypatch.undo()
    await cleaner.turn()
    noted = await standing(client.store, Kind.COMPLETED)
    assert (noted.removed, noted.removed_total) == (6, 6)
    assert not cleaner._removed


async def test_a_policy_that_was_replaced_or_removed_is_not_remembered(
    client: Client, cleaner: Cleaner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_args: Any, **_more: Any) -> None:
        raise AWAY

    retention = client.store.retention
    own = Policy(kind=Kind.COMPLETED, queue="a", keep_count=0)
    await retention.set(own, now_ms=now_ms())
    monkeypatch.setattr(cleaner._store.retention, "run", failing(cleaner, 1))
    monkeypatch.setattr(cleaner._store.retention, "note_run", away)
    with pytest.raises(StoreUnavailable):
        await cleaner.turn()
    assert set(cleaner._failed_s) == {COMPLETED, own}
    monkeypatch.undo()
    await retention.remove(own.kind, own.queue)
    await retention.set(Policy(kind=Kind.COMPLETED), now_ms=now_ms())
    await cleaner.turn()
    assert not cleaner._failed_s
    assert dict(cleaner._removed) == {(Kind.COMPLETED, ""): 2}  # it is the same policy to whoever looks
