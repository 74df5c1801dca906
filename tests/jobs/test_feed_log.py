"""The feed: logs, live, through the client, on real servers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobs.client import Client
from jobs.errors import InvalidCursor, NotFound
from jobs.job import LogLevel
from jobs.outcome import Complete
from jobs.page import PageRequest
from tests.jobs.hand import Hand
from tests.jobs.reading import VIEWER, counting, enqueue, following

pytestmark = pytest.mark.usefixtures("published")


async def lines(stream: Any, count: int) -> tuple[list[str], str]:
    """Read until there are so many lines; return them and the last cursor."""
    found: list[str] = []
    cursor = ""
    while len(found) < count:
        batch = await following(stream)
        found += [line.message for line in batch.lines]
        cursor = batch.cursors[-1]
    return found, cursor


@pytest.mark.usefixtures("recording")
async def test_a_log_is_shown_as_it_is_then_as_it_grows_until_the_job_ends(client: Client, hand: Hand) -> None:
    job = await enqueue(client)
    reserved = await hand.start()
    await hand.log(reserved, LogLevel.INFO, "one")
    await hand.log(reserved, LogLevel.WARNING, "two")
    every = client.feed.job_log(VIEWER, job.id)
    severe = client.feed.job_log(VIEWER, job.id, LogLevel.WARNING)
    assert (await lines(every, 2))[0] == ["one", "two"]
    found, cursor = await lines(severe, 1)
    assert found == ["two"]
    for number in range(150):
        await hand.log(reserved, LogLevel.DEBUG, str(number))
    await hand.log(reserved, LogLevel.ERROR, "three")
    assert (await lines(every, 151))[0] == [*map(str, range(150)), "three"]
    assert (await lines(severe, 1))[0] == ["three"]
    again = client.feed.job_log(VIEWER, job.id, LogLevel.WARNING, after=cursor)
    assert (await lines(again, 1))[0] == ["three"]
    page = await client.queries.job.logs(VIEWER, job.id, PageRequest(after=cursor), LogLevel.WARNING)
    assert [line.message for line in page.items] == ["three"]
    await hand.log(reserved, LogLevel.INFO, "last")
    await hand.finish(reserved, Complete("null"))
    assert [line.message async for batch in every for line in batch.lines] == ["last"]
    assert [batch async for batch in severe] == []
    over = client.feed.job_log(VIEWER, job.id)
    assert len([line async for batch in over for line in batch.lines]) == 154


async def test_a_log_of_nothing_is_refused(client: Client) -> None:
    stream = client.feed.job_log(VIEWER, "0197c0de-0000-7000-8000-000000000000")
    with pytest.raises(NotFound):
        await following(stream)
    job = await enqueue(client)
    with pytest.raises(InvalidCursor):
        await following(client.feed.job_log(VIEWER, job.id, after="nope"))


@pytest.mark.usefixtures("recording")
async def test_who_is_at_the_same_place_of_a_log_shares_what_is_read(client: Client, hand: Hand) -> None:
    job = await enqueue(client)
    reserved = await hand.start()
    await hand.log(reserved, LogLevel.INFO, "one")
    streams = [client.feed.job_log(VIEWER, job.id) for _ in range(20)]
    for stream in streams:
        assert (await lines(stream, 1))[0] == ["one"]
    waiting = [asyncio.create_task(following(stream)) for stream in streams]
    await asyncio.wait(waiting, timeout=0.2)
    async with counting(client.store.search, "logs") as calls:
        await hand.log(reserved, LogLevel.INFO, "two")
        assert [[line.message for line in batch.lines] for batch in await asyncio.gather(*waiting)] == [["two"]] * 20
        assert len(calls) <= 4


@pytest.mark.usefixtures("recording")
async def test_who_comes_after_a_line_does_not_share_what_was_read_before_it(
    client: Client, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await enqueue(client)
    reserved = await hand.start()
    begun, go_on = asyncio.Event(), asyncio.Event()
    logs = client.store.search.logs

    async def held(*given: Any, **named: Any) -> Any:
        page = await logs(*given, **named)
        if not begun.is_set():
            begun.set()
            await go_on.wait()
        return page

    monkeypatch.setattr(client.store.search, "logs", held)
    first = asyncio.create_task(following(client.feed.job_log(VIEWER, job.id)))
    await begun.wait()
    await hand.log(reserved, LogLevel.INFO, "one")
    assert (await lines(client.feed.job_log(VIEWER, job.id, LogLevel.INFO), 1))[0] == ["one"]
    assert (await lines(client.feed.job_log(VIEWER, job.id), 1))[0] == ["one"]
    go_on.set()
    assert [line.message for line in (await first).lines] == ["one"]
