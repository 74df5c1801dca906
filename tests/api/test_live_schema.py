"""The schema follows the tasks while it is in use."""

from __future__ import annotations

import msgspec
import structlog.testing

from api.schema.live import LiveSchema
from jobs.client import Client
from jobs.task import Registry
from tests.api.caller import Caller
from tests.api.tasks import registry
from tests.wait import eventually

LIVE = "subscription {jobEvents {events {jobId job {task}}}}"


def later_tasks() -> Registry:
    later = Registry()

    async def brew(cups: int) -> None:
        """Brew coffee."""

    later.add(brew)
    return later


async def named(api: Caller, field: str) -> bool:
    data = await api.data("{__schema {mutationType {fields {name}}}}")
    return field in [one["name"] for one in data["__schema"]["mutationType"]["fields"]]


async def test_a_task_that_is_published_gets_its_mutation_and_nobody_is_cut_off(api: Caller, published: Client) -> None:
    async with api.socket() as socket, api.events(LIVE) as events:
        await socket.subscribe("1", LIVE)
        opening = {"data": {"jobEvents": {"events": []}}}
        assert await socket.next("1") == opening
        assert await events.next() == ("next", opening)
        assert not await named(api, "brewEnqueue")
        assert (await api.data('{task(name: "noop") {mutation}}'))["task"] == {"mutation": "noopEnqueue"}
        await published.commands.task.publish(later_tasks().definitions())
        await eventually(lambda: named(api, "brewEnqueue"))  # the server swaps it
        job = (await api.data("mutation {brewEnqueue(input: {args: {cups: 2}}) {job {id}}}"))["brewEnqueue"]["job"]
        expected = {"data": {"jobEvents": {"events": [{"jobId": job["id"], "job": {"task": "brew"}}]}}}
        assert await socket.next("1") == expected
        assert await events.next() == ("next", expected)
        await socket.subscribe("2", "mutation {brewEnqueue(input: {args: {cups: 3}}) {job {task}}}")
        messages = [await socket.receive() for _ in range(3)]
        assert {"brewEnqueue": {"job": {"task": "brew"}}} in [one.get("payload", {}).get("data") for one in messages]


async def test_documents_are_validated_again_by_the_new_schema(published: Client) -> None:
    live = LiveSchema(published.queries.task)
    await live.refresh()
    before = live.current
    text = "mutation {brewEnqueue(input: {args: {cups: 2}}) {job {id}}}"
    assert before.documents.prepare(text).errors
    await published.commands.task.publish(later_tasks().definitions())
    await live.refresh()
    assert live.current is not before
    assert live.current.documents.prepare(text).errors == []
    same = live.current
    await live.refresh()
    assert live.current is same


async def test_a_clash_is_told_and_stops_nobody_else(published: Client) -> None:
    noop = next(one for one in registry.definitions() if one.name == "noop")
    await published.commands.task.publish([msgspec.structs.replace(noop, name="no.op"), *later_tasks().definitions()])
    await published.commands.task.publish([msgspec.structs.replace(noop, name="no_op")])
    live = LiveSchema(published.queries.task)
    with structlog.testing.capture_logs() as logs:
        await live.refresh()
    told = [line["problem"] for line in logs if line["event"] == "api.name_clash"]
    assert len(told) == 2
    assert all("noOpEnqueue" in problem for problem in told)
    assert live.current.mutations["brew"] == "brewEnqueue"
    assert not {"no.op", "no_op"} & set(live.current.mutations)
