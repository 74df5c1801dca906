"""Queries, through the client, on real servers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from jobs.client import Client
from jobs.commands import EnqueueRequest
from jobs.errors import BrokerUnavailable, InvalidCursor
from jobs.job import FINAL, Job, LogLevel, Progress, State
from jobs.outcome import Complete
from jobs.page import Counted, Direction, PageRequest
from jobs.queries import keyset
from jobs.store import TokenKind
from jobs.viewer import SYSTEM, Role, Viewer
from jobs.where import JobWhere
from tests.factories import make_worker_info
from tests.jobs.hand import Hand
from tests.jobs.tasks import registry
from tests.redis_server import RedisServer
from tests.wait import until

VIEWER = Viewer(id="v", name="viewer", role=Role.VIEWER)


@pytest.fixture(autouse=True)
async def _published(client: Client) -> None:
    await client.commands.task.publish(registry.definitions())


async def enqueue(client: Client, task: str = "noop", **fields: Any) -> Job:
    return (await client.commands.job.enqueue(SYSTEM, EnqueueRequest(task=task, **fields))).job


# Jobs


async def test_a_job_is_as_new_as_either_room_knows(client: Client, hand: Hand) -> None:
    get = client.queries.job.get
    job = await enqueue(client)
    reserved = await hand.start()
    await hand.progress(reserved, Progress(done=1, total=2))
    live = await get(VIEWER, job.id)
    assert live is not None
    assert (live.state, live.attempts) == (State.ACTIVE, 1)
    assert live.progress is not None
    assert live.progress.percentage == 50
    await hand.finish(reserved, Complete("[1]"))
    unrecorded = await get(VIEWER, job.id)
    assert unrecorded is not None
    await hand.record()
    recorded = await get(VIEWER, job.id)
    assert recorded is not None
    assert unrecorded == recorded
    assert (recorded.state, recorded.result) == (State.COMPLETED, [1])


async def test_many_jobs_are_found_by_id_and_the_missing_ones_left_out(client: Client) -> None:
    one, two = await enqueue(client), await enqueue(client, "fleeting")
    found = await client.queries.job.get_many(VIEWER, [two.id, one.id, "no", one.id, "\x00"])
    assert set(found) == {one.id, two.id}


async def test_history_answers_while_redis_is_away(client: Client, redis_server: RedisServer) -> None:
    job = await enqueue(client)
    await until(lambda: client.pusher.pushed)
    redis_server.kill()
    try:
        found = await client.queries.job.get(VIEWER, job.id)
        assert found is not None
        assert found.state is State.QUEUED
        with pytest.raises(BrokerUnavailable):  # it may be a job that is not recorded yet
            await client.queries.job.get(VIEWER, "0197c0de-0000-7000-8000-000000000000")
    finally:
        redis_server.start()


async def test_jobs_are_listed_filtered_and_counted(client: Client) -> None:
    jobs = [await enqueue(client, tags=("even",) if number % 2 == 0 else ()) for number in range(5)]
    query = client.queries.job
    page = await query.page(VIEWER, JobWhere(), PageRequest(limit=2))
    assert [job.id for job in page.items] == [jobs[4].id, jobs[3].id]
    rest = await query.page(VIEWER, JobWhere(), PageRequest(limit=5, after=page.cursors[-1]))
    assert [job.id for job in rest.items] == [jobs[2].id, jobs[1].id, jobs[0].id]
    even = await query.page(VIEWER, JobWhere(tags=("even",)), PageRequest(), Direction.ASC)
    assert [job.id for job in even.items] == [jobs[0].id, jobs[2].id, jobs[4].id]
    assert await query.count(VIEWER, JobWhere(tags=("even",))) == Counted(3, True)


async def test_a_count_ends_at_a_thousand(client: Client) -> None:
    requests = [EnqueueRequest(task="noop") for _ in range(1_000)]
    await client.commands.job.enqueue_many(SYSTEM, requests)
    assert await client.queries.job.count(VIEWER, JobWhere()) == Counted(1_000, True)
    await enqueue(client)
    assert await client.queries.job.count(VIEWER, JobWhere()) == Counted(1_000, False)


async def test_attempts_and_logs_are_history(client: Client, hand: Hand) -> None:
    job = await enqueue(client)
    reserved = await hand.start()
    await hand.log(reserved, LogLevel.DEBUG, "one")
    await hand.log(reserved, LogLevel.ERROR, "two")
    await hand.finish(reserved, Complete("null"))
    await hand.record()
    attempts = await client.queries.job.attempts(VIEWER, [job.id])
    assert [(attempt.run, attempt.number, attempt.state) for attempt in attempts[job.id]] == [(1, 1, "COMPLETED")]
    lines = await client.queries.job.logs(VIEWER, job.id, PageRequest())
    assert [line.message for line in lines.items] == ["one", "two"]
    errors = await client.queries.job.logs(VIEWER, job.id, PageRequest(), LogLevel.ERROR)
    assert [line.message for line in errors.items] == ["two"]


# Queues


async def test_a_queue_that_a_worker_serves_is_there_before_its_first_job(client: Client, hand: Hand) -> None:
    queue = await client.queries.queue.get(VIEWER, "default")
    assert queue is not None
    assert set(queue.counts.values()) == {0}
    assert (await client.queries.queue.page(VIEWER, PageRequest())).items == [queue]
    assert await client.queries.queue.get(VIEWER, "nope") is None


async def test_queues_show_what_waits_in_them_now(client: Client, hand: Hand) -> None:
    for queue in ("default", "default", "b", "a"):
        await enqueue(client, queue=queue)
    await hand.start()
    page = await client.queries.queue.page(VIEWER, PageRequest(limit=2))
    assert [queue.name for queue in page.items] == ["a", "b"]
    assert (page.has_next, page.has_previous) == (True, False)
    rest = await client.queries.queue.page(VIEWER, PageRequest(limit=2, after=page.cursors[-1]))
    assert [queue.name for queue in rest.items] == ["default"]
    counts = rest.items[0].counts
    assert set(counts) == set(State) - FINAL
    assert (counts[State.QUEUED], counts[State.ACTIVE], counts[State.RETRYING]) == (1, 1, 0)
    assert await client.queries.queue.get(VIEWER, "default") == rest.items[0]
    assert await client.queries.queue.get(VIEWER, "nope") is None


# Tasks


async def test_tasks_are_what_workers_have_published(client: Client) -> None:
    names = [definition.name for definition in registry.definitions()]
    page = await client.queries.task.page(VIEWER, PageRequest(limit=2))
    assert [task.name for task in page.items] == names[:2]
    assert await client.queries.task.get(VIEWER, "send_mail") == registry.definitions()[-1]
    assert await client.queries.task.get(VIEWER, "nope") is None
    assert await client.queries.task.definitions() == registry.definitions()


async def test_what_another_process_publishes_is_seen_within_a_second(
    open_client: Callable[..., Awaitable[Client]], client: Client
) -> None:
    now = 1_000_000
    other = await open_client(clock=lambda: now)
    version = await other.queries.task.version()
    new = msgspec.structs.replace(registry.definitions()[0], name="another")
    await client.commands.task.publish([new])
    assert await other.queries.task.version() == version
    now += 1_000
    assert await other.queries.task.version() != version
    assert await other.queries.task.get(VIEWER, "another") == new


# Workers


async def test_workers_are_those_that_hold_a_lease(client: Client, hand: Hand) -> None:
    session = await client.broker.open_session(make_worker_info("b", "a"))
    first, second = (await client.queries.worker.page(VIEWER, PageRequest())).items
    assert (second.id, second.queues, second.active) == (session.id, ("b", "a"), 0)
    await enqueue(client)
    await hand.start()
    busy = await client.queries.worker.get(VIEWER, first.id)
    assert busy is not None
    assert busy.active == 1
    await session.close()
    assert await client.queries.worker.get(VIEWER, session.id) is None


# Tokens


async def test_a_token_is_believed_for_five_seconds_without_asking(
    open_client: Callable[..., Awaitable[Client]], client: Client
) -> None:
    now = 1_000_000
    other = await open_client(clock=lambda: now)
    secret = await client.commands.token.issue(SYSTEM, TokenKind.API, name="ci", role=Role.OPERATOR)
    viewer = await other.queries.token.authenticate(secret)
    assert viewer is not None
    assert (viewer.name, viewer.role) == ("ci", Role.OPERATOR)
    assert await other.queries.token.authenticate(secret) is viewer
    now += 5_000
    assert await other.queries.token.authenticate(secret) is not viewer
    assert await other.queries.token.authenticate("\ud800") is None


# Pages of lists in memory

NAMES = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("request_", "names", "more"),
    [
        (PageRequest(limit=2), "ab", (True, False)),
        (PageRequest(limit=2, after=keyset.encode("b")), "cd", (True, True)),
        (PageRequest(limit=2, after=keyset.encode("bb")), "cd", (True, True)),
        (PageRequest(limit=9, after=keyset.encode("d")), "e", (False, True)),
        (PageRequest(limit=9, after=keyset.encode("e")), "", (False, True)),
        (PageRequest(limit=2, backward=True), "de", (False, True)),
        (PageRequest(limit=2, backward=True, before=keyset.encode("d")), "bc", (True, True)),
        (PageRequest(limit=9, backward=True, before=keyset.encode("c")), "ab", (True, False)),
        (PageRequest(limit=9, after=keyset.encode("a"), before=keyset.encode("c")), "b", (True, True)),
        (PageRequest(limit=9, after=keyset.encode("d"), before=keyset.encode("b")), "", (True, True)),
    ],
)
def test_windows_of_names(request_: PageRequest, names: str, more: tuple[bool, bool]) -> None:
    page = keyset.window(NAMES, request_)
    assert "".join(page.items) == names
    assert (page.has_next, page.has_previous) == more
    assert [keyset.decode(cursor) for cursor in page.cursors] == page.items


@pytest.mark.parametrize("cursor", ["", "!", "é", "abc", base64.urlsafe_b64encode(b"\xff\xfe").decode(), "bjI6YQ"])
def test_foreign_cursors_are_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        keyset.window(NAMES, PageRequest(after=cursor))


async def test_when_a_token_was_used_is_written_beside_the_requests(client: Client) -> None:
    secret = await client.commands.token.issue(SYSTEM, TokenKind.API, name="t", role=Role.VIEWER)
    database = client.store._database

    async def used_ms() -> int | None:
        (row,) = await database.fetch("SELECT last_used_ms FROM token")
        found: int | None = row["last_used_ms"]
        return found

    async with database.transaction() as busy:
        await busy.execute("UPDATE token SET name = name")
        assert await asyncio.wait_for(client.queries.token.authenticate(secret), 1)
        assert await used_ms() is None
    async with asyncio.timeout(10):
        while not (first := await used_ms()):
            await asyncio.sleep(0.01)
    await client.store.tokens.note_use({(await _viewer_id(client, secret)): first + 59_000})
    assert await used_ms() == first
    await client.store.tokens.note_use({(await _viewer_id(client, secret)): first + 60_000})
    assert await used_ms() == first + 60_000


async def _viewer_id(client: Client, secret: str) -> str:
    viewer = await client.queries.token.authenticate(secret)
    assert viewer is not None
    return viewer.id
