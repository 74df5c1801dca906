"""Retention: what is too old or too many goes, with all that belongs to it; nothing else ever does."""

from __future__ import annotations

from typing import Any

from jobs.clock import new_id
from jobs.job import Durability, State
from jobs.retention import DAY_S, HOUR_S, SHIPPED, Kind, Policy, Standing
from jobs.store import Store
from tests.jobs.store.past import GRACE_MS, NOW_MS, Past, ago, left, rows, run
from tests.jobs.store.story import Story, Tale


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
