"""Subscriptions, over WebSocket and over server-sent events."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.asyncio

from jobs.client import Client
from jobs.job import LogLevel, Progress
from jobs.outcome import Complete
from tests.api.caller import Caller, Events, Socket
from tests.jobs.hand import Hand
from tests.wait import until

EVENTS = """
subscription ($where: JobWhere, $after: Cursor, $ids: [ID!]) {
  jobEvents(where: $where, after: $after, jobIds: $ids) {
    events { __typename jobId run version at job { id state } ... on JobLogged { level message } }
    edges { cursor node { __typename } }
    endCursor
    gap { reason }
  }
}
"""
JOB = "subscription ($id: ID!) {job(id: $id) {state progress {percentage} result}}"
ENQUEUE = 'mutation ($task: String! = "noop", $args: JSON) {jobEnqueue(input: {task: $task, args: $args}) {job {id}}}'


async def enqueue(api: Caller, **given: Any) -> str:
    job_id: str = (await api.data(ENQUEUE, **given))["jobEnqueue"]["job"]["id"]
    return job_id


class Read:
    """What has arrived, whichever way it came."""

    def __init__(self, source: Socket | Events) -> None:
        self._source = source
        self.events: list[dict[str, Any]] = []
        self.gaps: list[str] = []
        self.cursor = ""

    async def until(self, count: int) -> list[str]:
        """Read until so many events have come; return their types."""
        while len(self.events) < count:
            await self.batch()
        return [event["__typename"] for event in self.events]

    async def batch(self) -> None:
        async with asyncio.timeout(10):
            if isinstance(self._source, Socket):
                result = await self._source.next("1")
            else:
                name, result = await self._source.next()
                assert name == "next", result
        batch = result["data"]["jobEvents"]
        assert [edge["node"]["__typename"] for edge in batch["edges"]] == [one["__typename"] for one in batch["events"]]
        if batch["edges"]:
            assert batch["endCursor"] == batch["edges"][-1]["cursor"]
        self.events += batch["events"]
        self.gaps += [batch["gap"]["reason"]] if batch["gap"] else []
        self.cursor = batch["endCursor"]


async def run_a_job(api: Caller, hand: Hand) -> str:
    job_id = await enqueue(api)
    job = await hand.start()
    await hand.progress(job, Progress(done=1, total=2))
    await hand.log(job, LogLevel.WARNING, "careful")
    await hand.finish(job, Complete("1"))
    return job_id


STORY = ["JobEnqueued", "JobStarted", "JobProgressed", "JobLogged", "JobCompleted"]


async def test_events_over_a_websocket(api: Caller, hand: Hand) -> None:
    async with api.socket() as socket:
        await socket.subscribe("1", EVENTS)
        read = Read(socket)
        await read.batch()
        assert read.events == []
        job_id = await run_a_job(api, hand)
        assert await read.until(5) == STORY
        assert {event["jobId"] for event in read.events} == {job_id}
        assert read.events[-1]["job"] == {"id": job_id, "state": "COMPLETED"}
        begun = int(read.events[0]["version"])
        assert [int(event["version"]) - begun for event in read.events] == [0, 1, 1, 1, 2]
        assert (read.events[3]["level"], read.events[3]["message"]) == ("WARNING", "careful")
        assert read.gaps == []


async def test_events_over_sse(api: Caller, hand: Hand) -> None:
    async with api.events(EVENTS, accept="text/event-stream, application/json") as events:
        assert events.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert "no-cache" in events.answer.headers["cache-control"]
        await run_a_job(api, hand)
        assert await Read(events).until(5) == STORY
        assert b"\r" not in events.raw


async def test_a_subscription_goes_on_where_another_ended(api: Caller, hand: Hand) -> None:
    async with api.socket() as socket:
        await socket.subscribe("1", EVENTS, where={})
        read = Read(socket)
        await read.batch()
        first = await enqueue(api)
        await read.until(1)
    missed = [await enqueue(api) for _ in range(3)]
    async with api.socket() as socket, api.events(EVENTS, after=read.cursor) as events:
        await socket.subscribe("1", EVENTS, after=read.cursor)
        for again in (Read(socket), Read(events)):
            await again.until(3)
            assert [event["jobId"] for event in again.events] == missed
            assert again.gaps == []
    assert first not in missed


async def test_filters(api: Caller, client: Client) -> None:
    async with api.socket() as socket:
        await socket.subscribe("1", EVENTS, where={"tasks": ["send_mail"]})
        read = Read(socket)
        await read.batch()
        await enqueue(api)
        wanted = await enqueue(api, task="send_mail", args={"to": "x"})
        await read.until(1)
        assert read.events[0]["jobId"] == wanted
    async with api.events(EVENTS, ids=["0197c0de-0000-7000-8000-000000000000"], after=None) as events:
        await Read(events).batch()
        await enqueue(api)
        await until(lambda: not client.pusher.waiting)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await events.next()


async def test_a_gap_is_told(api: Caller, redis_client: redis.asyncio.Redis, client: Client) -> None:
    async with api.events(EVENTS) as events:
        await enqueue(api)
        read = Read(events)
        await read.until(1)
    before = read.cursor
    for _ in range(3):
        await enqueue(api)
    await until(lambda: not client.pusher.waiting)
    (stream,) = [key async for key in redis_client.scan_iter(_type="STREAM")]
    assert await redis_client.xtrim(stream, maxlen=1, approximate=False) == 3
    async with api.events(EVENTS, after=before) as events:
        read = Read(events)
        await read.until(1)
        assert read.gaps == ["CURSOR_TOO_OLD"]


async def test_one_job_to_its_end(api: Caller, hand: Hand) -> None:
    job_id = await enqueue(api)
    async with api.socket() as socket, api.events(JOB, id=job_id) as events:
        await socket.subscribe("1", JOB, id=job_id)
        assert (await socket.next("1"))["data"]["job"]["state"] == "QUEUED"
        assert await hand.complete("[1]") == job_id
        states: list[dict[str, Any]] = []
        while (message := await socket.receive())["type"] == "next":
            states.append(message["payload"]["data"]["job"])
        assert message == {"id": "1", "type": "complete"}
        assert (states[-1]["state"], states[-1]["result"]) == ("COMPLETED", [1])
        seen = []
        while (event := await events.next())[0] == "next":
            seen.append(event[1]["data"]["job"]["state"])
        assert event == ("complete", None)
        assert (seen[0], seen[-1]) == ("QUEUED", "COMPLETED")


async def test_a_job_that_does_not_exist(api: Caller) -> None:
    async with api.socket() as socket, api.events(JOB, id="nope") as events:
        await socket.subscribe("1", JOB, id="nope")
        message = await socket.receive()
        assert message["payload"]["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        assert (await socket.receive())["type"] == "complete"
        name, result = await events.next()
        assert (name, result["errors"][0]["extensions"]["code"]) == ("next", "NOT_FOUND")
        assert await events.next() == ("complete", None)


async def test_a_filter_without_values(api: Caller) -> None:
    empty: list[dict[str, Any]] = [{"ids": []}, {"where": {"states": []}}]
    for variables in empty:
        async with api.socket() as socket:
            await socket.subscribe("1", EVENTS, **variables)
            message = await socket.receive()
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "INVALID_OPTION")


async def test_text_that_is_no_unicode(api: Caller) -> None:
    sentence = "variables.where.owners[0] contains half of a surrogate pair, which is not valid Unicode."
    async with api.socket() as socket:
        await socket.subscribe("1", EVENTS, where={"owners": ["\ud800"]})
        message = await socket.receive()
        assert (message["id"], message["type"], message["payload"][0]["message"]) == ("1", "error", sentence)
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}  # the others go on


async def test_a_cursor_of_somewhere_else(api: Caller) -> None:
    async with api.socket() as socket, api.events(EVENTS, after="nope") as events:
        await socket.subscribe("1", EVENTS, after="nope")
        message = await socket.receive()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "INVALID_CURSOR")
        name, result = await events.next()
        assert (name, result["errors"][0]["extensions"]["code"]) == ("next", "INVALID_CURSOR")
        assert await events.next() == ("complete", None)


async def test_whoever_leaves_is_forgotten(api: Caller, client: Client) -> None:
    async with api.events(EVENTS), api.socket() as socket:
        await socket.subscribe("1", EVENTS)
        await until(lambda: client.feed.hub.subscribers == 2)
        await socket.send(id="1", type="complete")
        await until(lambda: client.feed.hub.subscribers == 1)
        await socket.subscribe("1", EVENTS)
        await until(lambda: client.feed.hub.subscribers == 2)
    await until(lambda: client.feed.hub.subscribers == 0)


QUEUE = "subscription ($name: String!) {queue(name: $name) {name counts {queued active}}}"
JOBS = "subscription ($where: JobWhere) {jobs(where: $where, first: 2) {nodes {id state} totalCount {value}}}"
LOGS = """
subscription ($id: ID!, $after: Cursor, $level: LogLevel! = DEBUG) {
  jobLogs(id: $id, after: $after, levelMin: $level) {nodes {message level} edges {cursor node {id}} endCursor}
}
"""


async def test_a_queue_live(api: Caller, hand: Hand) -> None:
    await enqueue(api)
    job = await hand.start()
    async with api.socket() as socket, api.events(QUEUE, name="nope") as events:
        await socket.subscribe("1", QUEUE, name="default")
        shown = (await socket.next("1"))["data"]["queue"]
        assert shown == {"name": "default", "counts": {"queued": 0, "active": 1}}
        await hand.finish(job, Complete("1"))
        while (await socket.next("1"))["data"]["queue"]["counts"]["active"]:
            pass
        name, result = await events.next()
        assert (name, result["errors"][0]["extensions"]["code"]) == ("next", "NOT_FOUND")
        assert await events.next() == ("complete", None)


async def test_a_list_live(api: Caller, hand: Hand) -> None:
    first = await enqueue(api)
    async with api.socket() as socket:
        await socket.subscribe("1", JOBS, where={"text": "task:noop"})
        page = (await socket.next("1"))["data"]["jobs"]
        assert page == {"nodes": [{"id": first, "state": "QUEUED"}], "totalCount": {"value": 1}}
        second = await enqueue(api)
        await hand.complete()
        await hand.record()
        while len(page["nodes"]) < 2 or page["nodes"][1]["state"] != "COMPLETED":
            page = (await socket.next("1"))["data"]["jobs"]
        assert [node["id"] for node in page["nodes"]] == [second, first]
        await socket.subscribe("2", JOBS.replace("first: 2", "first: 1000"))
        message = await socket.receive()
        assert (message["id"], message["type"]) == ("2", "error")
        assert message["payload"][0]["extensions"]["code"] == "INVALID_OPTION"


async def test_a_log_live(api: Caller, hand: Hand) -> None:
    job_id = await enqueue(api)
    job = await hand.start()
    await hand.log(job, LogLevel.INFO, "one")
    await hand.record()
    async with api.socket() as socket, api.events(LOGS, id=job_id, after="nope") as wrong:
        await socket.subscribe("1", LOGS, id=job_id)
        batch = (await socket.next("1"))["data"]["jobLogs"]
        assert batch["nodes"] == [{"message": "one", "level": "INFO"}]
        assert batch["endCursor"] == batch["edges"][0]["cursor"]
        await hand.log(job, LogLevel.DEBUG, "two")
        await hand.log(job, LogLevel.ERROR, "three")
        await hand.finish(job, Complete("1"))
        await hand.record()
        async with api.events(LOGS, id=job_id, after=batch["endCursor"], level="WARNING") as events:
            name, result = await events.next()
            assert [line["message"] for line in result["data"]["jobLogs"]["nodes"]] == ["three"]
            assert await events.next() == ("complete", None)
        found: list[str] = []
        while (message := await socket.receive())["type"] == "next":
            found += [line["message"] for line in message["payload"]["data"]["jobLogs"]["nodes"]]
        assert (found, message["type"]) == (["two", "three"], "complete")
        name, result = await wrong.next()
        assert (name, result["errors"][0]["extensions"]["code"]) == ("next", "INVALID_CURSOR")
