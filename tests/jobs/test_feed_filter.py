"""Which events a subscriber gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from jobs import event as events
from jobs.client import Client
from jobs.job import State
from jobs.where import JobWhere, PathWhere, TimeRange
from tests.jobs.hand import Hand
from tests.jobs.reading import VIEWER, Reading, enqueue
from tests.wait import until

OpenClient = Callable[..., Awaitable[Client]]

pytestmark = pytest.mark.usefixtures("published")


async def test_filters_meet_what_never_changes_about_a_job(client: Client, live: Callable[..., Reading]) -> None:
    wanted: dict[str, Reading] = {
        "task": live(where=JobWhere(tasks=("send_mail",))),
        "queue": live(where=JobWhere(queues=("email", "other"))),
        "owner": live(where=JobWhere(owners=("u1",))),
        "tag": live(where=JobWhere(tags=("a", "b"))),
        "memory": live(where=JobWhere(owners=("u1",), tasks=("fleeting",))),
        "both": live(where=JobWhere(owners=("u1",), tags=("b",))),
    }
    everything = live()
    mail = await enqueue(client, "send_mail", args={"to": "a"})
    other = await enqueue(client, queue="other", tags=("b", "c"))
    owned = await enqueue(client, owner="u1")
    memory = await enqueue(client, "fleeting", owner="u1", tags=("b",))
    from_then_on = live(where=JobWhere(created=TimeRange(from_ms=memory.created_ms + 1)))
    await until(lambda: not client.pusher.waiting)
    for job in (mail, other, owned, memory):
        await client.commands.job.cancel(VIEWER, job.id)
    await everything.until(8)
    expected = {
        "task": {mail.id},
        "queue": {mail.id, other.id},
        "owner": {owned.id, memory.id},
        "tag": {other.id, memory.id},
        "memory": {memory.id},
        "both": {memory.id},
    }
    for name, ids in expected.items():
        found = await wanted[name].until(2 * len(ids))
        assert {event.job for event in found} == ids, name
    replayed = live(where=JobWhere(tags=("b",)), after=f"{client.broker.epoch}-1-0-0")
    assert {event.job for event in await replayed.until(4)} == {other.id, memory.id}
    new = await enqueue(client)
    assert [event.job for event in await from_then_on.until(1)] == [new.id]


async def test_filters_over_all_of_a_job(client: Client, hand: Hand, live: Callable[..., Reading]) -> None:
    by_args = live(where=JobWhere(args=(PathWhere(path="to", equals=("ann",)),)))
    by_error = live(where=JobWhere(error="no", states=(State.DEAD,)))
    neither = live(where=JobWhere(none=(JobWhere(tasks=("send_mail",)), JobWhere(states=(State.DEAD,)))))
    one, true = [live(where=JobWhere(metadata=(PathWhere(path="x", equals=(value,)),))) for value in (1, True)]
    mail = await enqueue(client, "send_mail", args={"to": "ann"}, metadata={"x": 1})
    plain = await enqueue(client, "noop", metadata={"x": True})
    assert await hand.kill() == plain.id
    await enqueue(client, "noop")
    assert {event.job for event in await by_args.until(1)} == {mail.id}
    assert [(event.job, type(event)) for event in await by_error.until(1)] == [(plain.id, events.Died)]
    assert [(event.job, type(event)) for event in (await neither.until(3))[:2]] == [
        (plain.id, events.Enqueued),
        (plain.id, events.Started),
    ]
    assert {event.job for event in await one.until(1)} == {mail.id}
    assert {event.job for event in await true.until(3)} == {plain.id}


async def test_facts_of_jobs_that_redis_has_forgotten_come_from_history(
    client: Client, hand: Hand, live: Callable[..., Reading], open_client: OpenClient
) -> None:
    whole = live()
    await enqueue(client, tags=("t",))
    await enqueue(client)
    await hand.complete()
    await hand.complete()
    await whole.until(6)
    await hand.record()
    for key in await client.broker.client.keys("*job:*"):
        await client.broker.client.delete(key)
    fresh = await open_client()
    reading = Reading(fresh.feed.job_events(VIEWER, JobWhere(tags=("t",)), after=f"{client.broker.epoch}-1-0-0"))
    found = await reading.until(3)
    assert {event.job for event in found} == {whole.events[0][1].job}


async def test_filters_meet_the_state_that_an_event_leads_to(
    client: Client, hand: Hand, live: Callable[..., Reading]
) -> None:
    ended = live(where=JobWhere(states=(State.COMPLETED, State.CANCELLED)))
    job = await enqueue(client)
    mine = live(job_ids=(job.id,), where=JobWhere(states=(State.ACTIVE,)))
    await hand.complete()
    other = await enqueue(client)
    await until(lambda: not client.pusher.waiting)
    await client.commands.job.cancel(VIEWER, other.id)
    completed, cancelled = await ended.until(2)
    assert isinstance(completed, events.Completed)
    assert isinstance(cancelled, events.Cancelled)
    (started,) = await mine.until(1)
    assert isinstance(started, events.Started)
    assert started.job == job.id
