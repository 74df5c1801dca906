"""A job stays for as long as a key leads to it."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.clock import now_ms
from jobs.job import JobSpec, State
from jobs.retention import CLOCKS_APART_MAX_S, DAY_S, HOUR_S, Kind, Policy
from jobs.store import Store, ended
from jobs.store.keys import IDEMPOTENCY_MS, Claims
from tests.factories import make_spec
from tests.jobs.store.past import GRACE_MS, NOW_MS, Past, ago, left, run


async def test_a_job_stays_as_long_as_its_idempotency_key_leads_to_it(store: Store, past: Past) -> None:
    edge = NOW_MS - IDEMPOTENCY_MS - CLOCKS_APART_MAX_S * 1000
    specs = await past.ended(edge - 120_000, edge + 120_000, lines=0)
    keyed = await past.ended(edge + 60_000, idempotency_key="once", lines=0)
    expired = await past.ended(edge - 120_000, idempotency_key="before", lines=0)
    policy = Policy(kind=Kind.COMPLETED, keep_s=HOUR_S)
    assert (await store.retention.preview(policy, now_ms=NOW_MS, grace_ms=GRACE_MS)).value == 3
    assert await run(store, policy) == 3
    assert (await left(store, specs), await left(store, keyed), await left(store, expired)) == ([], [0], [])


async def _led_to(store: Store, past: Past) -> tuple[JobSpec, JobSpec]:
    """A job without an idempotency key, and one that it stands for, which has one."""
    holder, asked = make_spec(key="k"), make_spec(key="k", idempotency_key="once")
    await store.accept.accept(holder)
    assert (await store.accept.accept(asked)).job_id == holder.id
    return holder, asked


async def test_a_job_stays_as_long_as_the_idempotency_key_of_another_leads_to_it(store: Store, past: Past) -> None:
    holder, asked = await _led_to(store, past)
    at_ms = now_ms()
    await past.end(holder, at_ms - HOUR_S * 1000, State.COMPLETED)
    policy = Policy(kind=Kind.COMPLETED, keep_count=0)
    assert not (await store.retention.preview(policy, now_ms=at_ms, grace_ms=GRACE_MS)).value
    assert await run(store, policy, now_ms=at_ms) == 0
    repeated = await store.accept.accept(make_spec(key="k", idempotency_key="once"))
    assert (repeated.job_id, repeated.duplicate) == (holder.id, True)
    later_ms = at_ms + IDEMPOTENCY_MS + (CLOCKS_APART_MAX_S + 60) * 1000
    assert (await store.retention.preview(policy, now_ms=later_ms, grace_ms=GRACE_MS)).value == 1
    assert await run(store, policy, now_ms=later_ms) == 1
    assert (await store.accept.accept(asked)).job_id == asked.id


async def test_a_key_that_comes_to_lead_to_a_job_between_a_look_and_its_removal_keeps_it(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spec,) = await past.ended(ago(HOUR_S), lines=0)
    find = ended.Ended.find

    async def slowly(self: ended.Ended) -> bool:
        found = await find(self)
        key = "INSERT INTO job_key (hash, kind, scope, job_id, expires_ms) VALUES ('a', 'idempotency', '', $1, $2)"
        if found:
            async with store._database.transaction() as transaction:
                await transaction.execute(key, (spec.id, NOW_MS + 1))
        return found

    monkeypatch.setattr(ended.Ended, "find", slowly)
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_count=0)) == 0
    assert await left(store, [spec]) == [0]


@pytest.mark.parametrize("dialect", ["postgres"])
async def test_a_job_is_not_removed_while_a_key_is_made_to_lead_to_it(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = make_spec(key="k")
    await store.accept.accept(holder)
    write = Claims.write
    removed: list[int] = []

    async def slowly(self: Claims, transaction: Any) -> None:
        await past.end(holder, ago(HOUR_S), State.COMPLETED)
        removed.append(await run(store, Policy(kind=Kind.COMPLETED, keep_count=0)))
        await write(self, transaction)

    monkeypatch.setattr(Claims, "write", slowly)
    assert (await store.accept.accept(make_spec(key="k", idempotency_key="once"))).job_id == holder.id
    assert removed == [0]
    assert await left(store, [holder]) == [0]


async def test_a_key_that_another_job_holds_by_now_stays(store: Store, past: Past) -> None:
    (first,) = await past.ended(ago(2 * DAY_S), key="k", lines=0)
    second = make_spec(key="k")
    assert not (await store.accept.accept(second)).duplicate
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S)) == 1
    assert await left(store, [first]) == []
    third = await store.accept.accept(make_spec(key="k"))
    assert third.duplicate
    assert third.job_id == second.id
