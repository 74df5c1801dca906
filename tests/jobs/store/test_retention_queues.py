"""What a policy would remove of each queue; queues that lose nothing are not looked at."""

from __future__ import annotations

import pytest

from jobs.job import FINAL
from jobs.retention import DAY_S, HOUR_S, Kind, Policy
from jobs.store import Store
from tests.jobs.store.past import GRACE_MS, NOW_MS, Past, ago, batches, run


async def test_a_preview_counts_what_a_run_removes_on_both_sides_of_the_keys(store: Store, past: Past) -> None:
    await past.ended(ago(3 * DAY_S), *[ago(2 * DAY_S)] * 2, lines=0)
    await past.ended(ago(2 * DAY_S), idempotency_key="expired", lines=0)
    await past.ended(ago(5 * HOUR_S), idempotency_key="held", lines=0)
    await past.ended(*[ago(4 * HOUR_S)] * 3, ago(3 * HOUR_S), lines=0)
    for policy, value, oldest_s, newest_s in (
        (Policy(kind=Kind.COMPLETED, keep_count=6), 3, 3 * DAY_S, 2 * DAY_S),
        (Policy(kind=Kind.COMPLETED, keep_count=3), 2, 2 * DAY_S, 4 * HOUR_S),
        (Policy(kind=Kind.COMPLETED, keep_s=0), 3, 4 * HOUR_S, 3 * HOUR_S),
    ):
        preview = await store.retention.preview(policy, now_ms=NOW_MS, grace_ms=GRACE_MS)
        (share,) = preview.shares
        assert (share.value, share.oldest_ms, share.newest_ms) == (value, ago(oldest_s), ago(newest_s))
        assert await run(store, policy) == value


async def test_a_preview_counts_up_to_its_bound(store: Store, past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.store.retention.COUNT_MAX", 5)
    await past.ended(*[ago(3 * DAY_S)] * 3, ago(2 * DAY_S), queue="a", lines=0)
    await past.ended(*[ago(3 * DAY_S)] * 4, queue="b", lines=0)
    await past.ended(*[ago(3 * DAY_S)] * 4, queue="c", lines=0)
    preview = await store.retention.preview(Policy(kind=Kind.COMPLETED, keep_s=DAY_S), now_ms=NOW_MS, grace_ms=GRACE_MS)
    assert [(share.queue, share.value, share.whole) for share in preview.shares] == [
        ("a", 4, True),
        ("b", 1, False),
        ("c", 1, False),
    ]
    assert preview.shares[0].newest_ms == ago(2 * DAY_S)
    assert not preview.whole


async def test_a_preview_of_more_queues_than_there_is_time_for_says_so(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    for queue in ("a", "b"):
        await past.ended(ago(3 * DAY_S), queue=queue, lines=0)
    policy = Policy(kind=Kind.COMPLETED, keep_s=DAY_S)
    assert (await store.retention.preview(policy, now_ms=NOW_MS, grace_ms=GRACE_MS)).whole
    monkeypatch.setattr("jobs.store.retention.COUNT_S", 0.0)
    preview = await store.retention.preview(policy, now_ms=NOW_MS, grace_ms=GRACE_MS)
    assert (preview.shares, preview.whole) == ([], False)


async def test_queues_with_nothing_to_remove_are_not_even_looked_at(store: Store, past: Past) -> None:
    async with store._database.transaction() as transaction:
        for name in ("x", "y"):
            await transaction.execute(
                "INSERT INTO queue (name, durability, created_ms) VALUES ($1, 'STORE', 0)", (name,)
            )
    await past.ended(ago(2 * DAY_S), queue="a")
    await past.ended(ago(HOUR_S), queue="b")
    await past.ended(ago(DAY_S + 1_800), queue="c", idempotency_key="held")
    seen = [removed async for removed in batches(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S))]
    assert seen == [1, 0, 0]  # a sign of life after each of the others
    cleaned = store.retention.clean((), FINAL, older_s=DAY_S, now_ms=NOW_MS, grace_ms=GRACE_MS)
    assert [removed async for removed in cleaned] == [0]
    assert [removed async for removed in batches(store, Policy(kind=Kind.COMPLETED, keep_count=1))] == [0, 0]
