"""Subscribers who would get the same result share it, and nobody gets another one's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from graphql import parse

from api.execution import operation as running
from api.execution import shared
from api.execution.shared import Scope, SharedResults, inner_variables
from jobs.client import Client
from jobs.job import LogLevel
from jobs.outcome import Complete
from jobs.viewer import Role
from tests.api.caller import Caller, Socket
from tests.jobs.hand import Hand
from tests.wait import until

EVENTS = """
subscription ($where: JobWhere, $after: Cursor, $withJob: Boolean! = false) {
  jobEvents(where: $where, after: $after) {
    events { __typename jobId job @include(if: $withJob) { id viewerCanCancel } }
    endCursor
  }
}
"""
SCOPE = Scope("", None, b"", Role.ADMIN)


@pytest.fixture
def executions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each execution of a subscription had."""
    made: list[int] = []
    execute = running.execute_subscription_event

    def counted(executor: Any) -> Any:
        made.extend([len(executor.root_value.events)] if executor.root_value.events else [])
        return execute(executor)

    monkeypatch.setattr(running, "execute_subscription_event", counted)
    return made


@pytest.fixture
async def sockets(
    address: str, issue: Callable[..., Awaitable[str]]
) -> AsyncIterator[Callable[..., Awaitable[Socket]]]:
    """Opens sockets that are subscribed."""
    async with AsyncExitStack() as stack:

        async def opened(role: Role = Role.ADMIN, **variables: Any) -> Socket:
            caller = await stack.enter_async_context(Caller(address, await issue(role)))
            socket = await stack.enter_async_context(caller.socket())
            await socket.subscribe("1", EVENTS, **variables)
            if "after" not in variables:
                assert (await socket.next("1"))["data"]["jobEvents"]["events"] == []
            return socket

        yield opened


async def enqueue(api: Caller) -> str:
    job_id: str = (await api.data("mutation {noopEnqueue {job {id}}}"))["noopEnqueue"]["job"]["id"]
    return job_id


async def first_event(socket: Socket) -> dict[str, Any]:
    event: dict[str, Any] = (await socket.next("1"))["data"]["jobEvents"]["events"][0]
    return event


async def test_equal_subscribers_share_one_execution(
    api: Caller, client: Client, sockets: Callable[..., Awaitable[Socket]], executions: list[int]
) -> None:
    open_ = [await sockets(where={"queues": ["default"]}) for _ in range(5)]
    await until(lambda: client.feed.hub.subscribers == 5)
    job_id = await enqueue(api)
    for socket in open_:
        assert await first_event(socket) == {"__typename": "JobEnqueued", "jobId": job_id}
    assert executions == [1]


async def test_a_cursor_of_ones_own_does_not_hinder_sharing(
    api: Caller, client: Client, sockets: Callable[..., Awaitable[Socket]], executions: list[int]
) -> None:
    first = await sockets()
    await until(lambda: client.feed.hub.subscribers == 1)
    cursors = []
    for _ in range(3):
        last_id = await enqueue(api)
        cursors.append((await first.next("1"))["data"]["jobEvents"]["endCursor"])
    open_ = [await sockets(after=cursor) for cursor in cursors[:2]]
    for socket in open_:
        while (await socket.next("1"))["data"]["jobEvents"]["events"][-1]["jobId"] != last_id:
            pass
    await until(lambda: client.feed.hub.subscribers == 3)
    executions.clear()
    job_id = await enqueue(api)
    for socket in (first, *open_):
        assert (await first_event(socket))["jobId"] == job_id
    assert executions == [1]


async def test_rights_and_variables_within_are_told_apart(
    api: Caller, client: Client, sockets: Callable[..., Awaitable[Socket]], executions: list[int]
) -> None:
    admin, viewer = await sockets(withJob=True), await sockets(Role.VIEWER, withJob=True)
    plain = await sockets(withJob=False)
    await until(lambda: client.feed.hub.subscribers == 3)
    await enqueue(api)
    assert (await first_event(admin))["job"]["viewerCanCancel"] is True
    assert (await first_event(viewer))["job"]["viewerCanCancel"] is False
    assert "job" not in await first_event(plain)
    assert executions == [1, 1, 1]


async def test_whoever_goes_away_in_the_middle_takes_nothing_from_the_others(
    api: Caller, client: Client, sockets: Callable[..., Awaitable[Socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    going, staying = await sockets(withJob=True), await sockets(withJob=True)
    await until(lambda: client.feed.hub.subscribers == 2)
    asked, go_on = asyncio.Event(), asyncio.Event()
    get_many = client.queries.job.get_many

    async def held(*given: Any) -> Any:
        asked.set()
        await go_on.wait()
        return await get_many(*given)

    monkeypatch.setattr(client.queries.job, "get_many", held)
    job_id = await enqueue(api)
    await asked.wait()
    await going.send(id="1", type="complete")
    await until(lambda: client.feed.hub.subscribers == 1)
    go_on.set()
    assert (await first_event(staying))["job"]["id"] == job_id


async def test_results_are_kept_within_bounds_and_not_longer_than_anybody_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "KEPT_MAX_BYTES", 10_000)
    results = SharedResults()
    group = results.join(SCOPE)
    results.join(SCOPE)
    values = [object() for _ in range(20)]
    made: list[object] = []

    def make(value: object) -> bytes:
        made.append(value)
        return b"x" * 500

    for value in values:
        await group.get(value, make)
        await group.get(value, make)
    assert made == values
    assert 0 < results.bytes <= 10_000
    await group.get(values[-1], make)
    assert made == values
    await group.get(values[0], make)
    assert made == [*values, values[0]]
    results.leave(SCOPE)
    results.leave(SCOPE)
    assert results.bytes == 0


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ("subscription ($a: Int, $b: Int) {x(first: $a) {y(first: $b)}}", ["b"]),
        ("subscription ($a: Int, $b: Boolean) {x(first: $a) @include(if: $b) {y}}", ["b"]),
        ("subscription ($a: Int) {...F} fragment F on S {x(first: $a) {y}}", []),
        ("subscription ($a: Int) {... on S {x(first: [{a: $a}]) {y}}}", []),
        (
            "subscription ($a: Int, $b: Boolean) {x(first: $a) {...F}} fragment F on T {y @skip(if: $b) z(a: $a)}",
            ["a", "b"],
        ),
        ("subscription S($b: Boolean) @d(if: $b) {x}", ["b"]),
    ],
)
def test_variables_that_matter_to_results(document: str, names: list[str]) -> None:
    parsed = parse(document)
    assert inner_variables(parsed, parsed.definitions[0]) == names  # type: ignore[arg-type]  # an operation


async def test_a_client_that_stops_reading_gets_a_gap_when_it_reads_on(api: Caller, hand: Hand, client: Client) -> None:
    document = "subscription {jobEvents {events {jobId ... on JobLogged {message}} endCursor gap {reason}}}"
    async with api.raw_socket(max_queue=1) as raw, api.socket() as quick:
        slow = Socket(raw)
        await slow.send(type="connection_init", payload={"Authorization": f"Bearer {api.token}"})
        assert await slow.receive() == {"type": "connection_ack"}
        for socket in (slow, quick):
            await socket.subscribe("1", document)
        await until(lambda: client.feed.hub.subscribers == 2)
        await enqueue(api)
        job = await hand.start()
        seen = 0
        for number in range(300):
            await hand.log(job, LogLevel.INFO, f"{number} " + "x" * 20_000)
            while seen < number + 3:  # with its two other events
                batch = (await quick.next("1"))["data"]["jobEvents"]
                assert batch["gap"] is None
                seen += len(batch["events"])
        gap = None
        while gap is None:
            gap = (await slow.next("1"))["data"]["jobEvents"]["gap"]
        assert gap == {"reason": "TOO_SLOW"}
        await hand.finish(job, Complete("1"))
        while not any("message" not in event for event in (await slow.next("1"))["data"]["jobEvents"]["events"]):
            pass
