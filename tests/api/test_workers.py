"""Workers through the API: how they are, what they are told, and both live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobs.broker import RunningJob, Session, Vitals, WorkerWish
from jobs.client import Client
from tests.api.caller import Caller
from tests.api.jobs_of import enqueue
from tests.factories import make_vitals, make_worker_info
from tests.wait import until

WORKER = """
fragment W on Worker {
  id session state queues concurrency active runningJobs { jobId task startedAt job { id state } }
  finished failed cpu memoryBytes loopLag isResponding blockedBy { id } fetchedAt
  wanted { concurrency queues isQuiet isStopping }
}
"""
ERRORS = "userErrors { __typename code field message ... on ValidationError { path } }"


@pytest.fixture
async def session(published: Client) -> AsyncIterator[Session]:
    session = await published.broker.open_session(make_worker_info())
    yield session
    await session.close()


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.feed.worker.READ_EVERY_S", 0.05)


async def steer(api: Caller, name: str, **given: Any) -> dict[str, Any]:
    kind = name[0].upper() + name[1:]
    document = f"mutation ($input: {kind}Input!) {{{name}(input: $input) {{worker {{...W}} {ERRORS}}}}}{WORKER}"
    payload: dict[str, Any] = (await api.data(document, input=given))[name]
    return payload


async def worker_of(api: Caller, session: Session) -> dict[str, Any]:
    data = await api.data(f"query ($id: ID!) {{worker(id: $id) {{...W}}}}{WORKER}", id=session.id)
    worker: dict[str, Any] = data["worker"]
    return worker


async def test_what_a_worker_has_not_said_is_null(api: Caller, session: Session) -> None:
    worker = await worker_of(api, session)
    assert {name for name, value in worker.items() if value is None} == {
        "finished", "failed", "cpu", "memoryBytes", "loopLag", "isResponding", "blockedBy", "fetchedAt", "wanted",
    }  # fmt: skip
    assert (worker["state"], worker["queues"], worker["concurrency"]) == ("STARTING", ["default"], 10)
    assert (worker["active"], worker["runningJobs"]) == (0, [])


async def test_the_figures_of_a_worker(api: Caller, session: Session) -> None:
    job_id = (await enqueue(api))["job"]["id"]
    vitals = Vitals(
        concurrency=3,
        queues=("a", "b"),
        active=1,
        jobs=(RunningJob(job_id, "noop", 1_000), RunningJob("gone", "noop", 2_000)),
        finished=3_000_000_000,
        failed=2,
        cpu=0.25 + 1e-9,
        memory_bytes=8_000_000_000,
        loop_lag_ms=1_500,
        blocked_by=job_id,
        fetched_ms=3_000,
    )
    await asyncio.to_thread(session.renew, vitals)
    worker = await worker_of(api, session)
    assert worker["runningJobs"] == [
        {"jobId": job_id, "task": "noop", "startedAt": "1970-01-01T00:00:01.000Z", "job": {"id": job_id, "state": "QUEUED"}},  # noqa: E501  # one line each
        {"jobId": "gone", "task": "noop", "startedAt": "1970-01-01T00:00:02.000Z", "job": None},
    ]  # fmt: skip
    figures = {name: worker[name] for name in ("finished", "failed", "cpu", "memoryBytes", "loopLag", "isResponding")}
    assert figures == {
        "finished": "3000000000",
        "failed": "2",
        "cpu": 0.25,
        "memoryBytes": "8000000000",
        "loopLag": "PT1.5S",
        "isResponding": False,
    }
    assert (worker["state"], worker["queues"], worker["concurrency"]) == ("RUNNING", ["a", "b"], 3)
    assert worker["blockedBy"] == {"id": job_id}
    assert worker["fetchedAt"] == "1970-01-01T00:00:03.000Z"


async def test_a_worker_is_steered(api: Caller, session: Session, client: Client) -> None:
    nothing = {"concurrency": None, "queues": None, "isQuiet": False, "isStopping": False}
    wanted = [
        await steer(api, "workerUpdate", id=session.id, concurrency=7),
        await steer(api, "workerUpdate", id=session.id, queues=["a", "b"]),
        await steer(api, "workerQuiet", id=(await worker_of(api, session))["id"]),
        await steer(api, "workerResume", id=session.id),
        await steer(api, "workerStop", id=session.id),
    ]
    assert [payload["userErrors"] for payload in wanted] == [[]] * 5
    assert [payload["worker"]["wanted"] for payload in wanted] == [
        nothing | {"concurrency": 7},
        nothing | {"concurrency": 7, "queues": ["a", "b"]},
        nothing | {"concurrency": 7, "queues": ["a", "b"], "isQuiet": True},
        nothing | {"concurrency": 7, "queues": ["a", "b"]},
        nothing | {"concurrency": 7, "queues": ["a", "b"], "isStopping": True},
    ]
    (record,) = await client.broker.workers()
    assert record.wish == WorkerWish(concurrency=7, queues=("a", "b"), stop=True)


async def test_what_cannot_be_is_answered_as_data(api: Caller, reader: Caller, session: Session) -> None:
    (error,) = (await steer(api, "workerUpdate", id=session.id, queues=["a", "b c"]))["userErrors"]
    assert (error["__typename"], error["field"], error["path"]) == ("ValidationError", "queues", ["queues", "1"])
    (error,) = (await steer(api, "workerUpdate", id=session.id))["userErrors"]
    assert (error["code"], error["field"]) == ("INVALID_OPTION", None)
    for name in ("workerQuiet", "workerResume", "workerStop"):
        payload = await steer(api, name, id="nobody")
        assert payload["worker"] is None
        assert [(error["__typename"], error["field"]) for error in payload["userErrors"]] == [("NotFoundError", "id")]
        (error,) = (await steer(reader, name, id=session.id))["userErrors"]
        assert error["code"] == "FORBIDDEN"
    await steer(api, "workerStop", id=session.id)
    (error,) = (await steer(api, "workerResume", id=session.id))["userErrors"]
    assert (error["__typename"], error["message"]) == ("InvalidStateError", "The worker stops already.")


ONE = f"subscription ($id: ID!) {{worker(id: $id) {{...W}}}}{WORKER}"
ALL = "subscription ($first: Int! = 100) {workers(first: $first) {totalCount nodes {session concurrency}}}"


async def test_one_worker_live(api: Caller, session: Session) -> None:
    async with api.socket() as socket, api.events(ONE, id=session.id) as events:
        await socket.subscribe("1", ONE, id=session.id)
        assert (await socket.next("1"))["data"]["worker"]["state"] == "STARTING"
        assert (await events.next())[1]["data"]["worker"]["state"] == "STARTING"
        await asyncio.to_thread(session.renew, make_vitals())
        assert (await socket.next("1"))["data"]["worker"]["state"] == "RUNNING"
        await session.close()
        async with asyncio.timeout(10):
            while (message := await socket.receive())["payload"] != {"data": {"worker": None}}:
                pass
            assert await socket.receive() == {"id": "1", "type": "complete"}
            while (event := await events.next())[1] != {"data": {"worker": None}}:
                pass
            assert await events.next() == ("complete", None)
        assert message["type"] == event[0] == "next"


async def test_all_workers_live(api: Caller, session: Session, client: Client) -> None:
    async with api.socket() as socket:
        await socket.subscribe("1", ALL, first=1)
        first = (await socket.next("1"))["data"]["workers"]
        assert first == {"totalCount": 1, "nodes": [{"session": session.id, "concurrency": 10}]}
        other = await client.broker.open_session(make_worker_info())
        second = (await socket.next("1"))["data"]["workers"]
        assert (second["totalCount"], len(second["nodes"])) == (2, 1)
        await other.close()
        assert (await socket.next("1"))["data"]["workers"] == first
        await socket.send(id="1", type="complete")
        await until(lambda: client.feed.watched_workers == 0)
        await socket.subscribe("2", ALL, first=101)
        message = await socket.receive()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "INVALID_OPTION")
        await socket.subscribe("3", ONE, id="nobody")
        message = await socket.receive()
        assert message["payload"]["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_whoever_may_only_read_sees_workers(reader: Caller, session: Session) -> None:
    async with reader.events(ALL) as events:
        assert (await events.next())[1]["data"]["workers"]["totalCount"] == 1
    assert (await worker_of(reader, session))["session"] == session.id
