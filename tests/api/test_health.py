"""What monitors are told over HTTP, and who is told what."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import redis.asyncio

from api.client.address import Address
from api.client.health import report
from api.client.link import Link
from api.client.screen import Screen
from jobs.broker import Session, Vitals, keys
from jobs.broker.process import Processes
from jobs.client import Client
from jobs.probe import NO_REDIS
from jobs.queue_health import UNSERVED_S
from jobs.snapshot import ProcessFigures, ProcessKind
from tests.api.caller import Answer, Caller
from tests.factories import make_vitals, make_worker_info
from tests.redis_server import RedisServer
from tests.wait import eventually

DOC = Path(__file__).parents[2] / "docs" / "metrics.md"

Serve = Callable[..., Awaitable[Caller]]
Issue = Callable[..., Awaitable[str]]

pytestmark = pytest.mark.usefixtures("nothing_is_kept")


@pytest.fixture(autouse=True)
async def services(client: Client) -> Processes:
    """A services process has said that it is there."""
    processes = Processes(client.broker)
    await processes.say("services", make_process(), for_s=60)
    return processes


@pytest.fixture(autouse=True)
async def worker(client: Client) -> AsyncIterator[Session]:
    """A worker has said that it serves another queue."""
    session = await open_worker(client, "other")
    yield session
    await session.close()


async def open_worker(client: Client, *queues: str, pid: int = 1) -> Session:
    """Open the session of a worker that is fine for a minute."""
    session = await client.broker.open_session(msgspec.structs.replace(make_worker_info(*queues), pid=pid))
    await asyncio.to_thread(session.renew, Vitals(concurrency=1, queues=queues))
    later_ms = await client.broker.now_ms() + 60_000
    await client.broker.client.hset(keys.session(session.id), "seen", later_ms)
    await client.broker.client.zadd(keys.LEASES, {session.id: later_ms})
    return session


async def lose(client: Client, session: Session, ago_s: int) -> None:
    """Let the lease of a worker end that was heard of so long ago."""
    redis = client.broker.client
    await client.broker.reap()  # after a pause the first one spares everybody
    await redis.hset(keys.session(session.id), "seen", await client.broker.now_ms() - 1_000 * ago_s)
    await redis.zadd(keys.LEASES, {session.id: 1})
    assert (await client.broker.reap())[1] == [session.id]


def make_process(**fields: Any) -> ProcessFigures:
    known = {"kind": ProcessKind.SERVICES, "host": "test", "pid": 1, "version": "0", "started_ms": 0, "seen_ms": 0}
    return ProcessFigures(**known | fields)


async def health(caller: Caller, path: str = "/health", *, status: int) -> dict[str, Any]:
    """Ask until the answer has this status: what is said may be a second old."""

    async def asked() -> Answer | None:
        answer = await caller.request("GET", path)
        return answer if answer.status == status else None

    answer = await eventually(asked)
    assert answer.media_type == ("application/json" if status == 200 else "application/problem+json")
    assert answer.headers["cache-control"] == "no-store"
    said: dict[str, Any] = answer.json
    return said


async def test_all_is_well(anonymous: Caller) -> None:
    said = await health(anonymous, status=200)
    assert (said["status"], said["initialised"]) == ("healthy", True)
    assert said["version"]
    assert set(said["components"]) == {
        "store", "quarantine", "broker", "pusher", "feed", "server", "event_loop", "system", "services", "workers",
        "queues", "subscriptions",
    }  # fmt: skip
    ready = await health(anonymous, "/readyz", status=200)
    assert ready["components"].items() <= said["components"].items()
    documented = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (yes|no) \|$", DOC.read_text(encoding="utf-8"), re.M))
    assert documented == {name: "yes" if name in ready["components"] else "no" for name in said["components"]}


async def test_a_redis_that_nobody_prepared_is_no_job_system(
    anonymous: Caller, redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.flushall()
    said = await health(anonymous, status=503)
    assert (said["code"], said["initialised"]) == ("UNHEALTHY", False)
    assert "system: Redis is not prepared" in said["detail"]


async def test_a_worker_that_is_lost_is_missed_until_it_is_back_or_replaced(
    anonymous: Caller, client: Client, services: Processes
) -> None:
    await health(anonymous, status=200)
    await lose(client, await open_worker(client, "default", pid=2), 40)
    said = await health(anonymous, status=503)
    assert re.fullmatch(r"A worker was lost 4\d seconds ago\.", said["components"]["workers"]["detail"])
    assert {name for name, part in said["components"].items() if not part["ok"]} == {"workers"}
    assert (await anonymous.request("GET", "/readyz")).status == 200
    assert [(one.host, one.pid) for one in (await client.fleet.roll.get()).lost] == [("test", 2)]
    await services.say("new", make_process(kind=ProcessKind.WORKER, pid=3), for_s=60)
    await health(anonymous, status=200)


async def test_without_any_worker_the_whole_is_red_but_not_while_it_is_started_again(
    anonymous: Caller, client: Client, worker: Session
) -> None:
    await health(anonymous, status=200)
    await worker.close()
    await eventually(partial(_says, anonymous, "workers", "All that are there answer: 0."))
    await client.broker.client.set(keys.LEFT, await client.broker.now_ms() - 1_000 * round(UNSERVED_S + 1))
    said = await health(anonymous, status=503)
    assert said["components"]["workers"] == {"ok": False, "detail": "There is no worker."}
    await open_worker(client, "other")
    await health(anonymous, status=200)


async def _says(caller: Caller, component: str, detail: str) -> bool:
    said = await health(caller, status=200)
    return bool(said["components"][component]["detail"] == detail)


async def test_a_services_process_that_vanished_is_missed(
    anonymous: Caller, client: Client, services: Processes
) -> None:
    await services.say("other", make_process(pid=2, faults=("It is stuck.",)), for_s=60)
    detail = (await health(anonymous, status=503))["components"]["services"]["detail"]
    assert detail == "1 of 2 services processes: It is stuck."
    await client.broker.client.hset(keys.process("other"), "seen", await client.broker.now_ms() - 30_000)
    await client.broker.client.hset(keys.process("services"), "since", 1)  # it was there before

    async def missed() -> bool:
        detail = (await health(anonymous, status=503))["components"]["services"]["detail"]
        return bool(re.fullmatch(r"A services process was lost 3\d seconds ago\.", detail))

    await eventually(missed)
    await services.leave("other")
    await health(anonymous, status=200)


async def test_jobs_that_nobody_serves_turn_their_queue_red_and_the_whole_but_not_the_api(
    api: Caller, anonymous: Caller, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.data("mutation {noopEnqueue {job {id}}}")
    await health(anonymous, status=200)  # whoever serves it may be about to start
    monkeypatch.setattr("jobs.queue_health.UNSERVED_S", -1.0)
    said = await health(anonymous, status=503)
    assert "Queues that do not move: 1 of 1" in said["components"]["queues"]["detail"]
    assert "default" not in str(said)
    assert (await anonymous.request("GET", "/readyz")).status == 200
    queues = await health(api, "/health/queues", status=503)
    (queue,) = queues["queues"]
    assert (queue["name"], queue["status"], queue["waiting"], queue["workers"]) == ("default", "unhealthy", 1, 0)
    assert [fault["code"] for fault in queue["faults"]] == ["NO_WORKER"]
    assert queue["oldestWaitS"] > 0
    session = await client.broker.open_session(make_worker_info())
    await asyncio.to_thread(session.renew, make_vitals())
    (queue,) = (await health(api, "/health/queues", status=200))["queues"]
    assert (queue["status"], queue["faults"], queue["workers"]) == ("healthy", [], 1)
    await health(anonymous, status=200)


async def test_queues_are_for_those_who_may_read(anonymous: Caller, reader: Caller, serve: Serve) -> None:
    refused = await anonymous.request("GET", "/health/queues")
    assert (refused.status, refused.json["code"]) == (401, "UNAUTHENTICATED")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert (await health(reader, "/health/queues", status=200))["queues"] == []
    async with Caller((await serve(metrics_open=True)).address) as anybody:
        await health(anybody, "/health/queues", status=200)


async def test_services_that_are_gone_or_fail_turn_the_whole_red(anonymous: Caller, services: Processes) -> None:
    await health(anonymous, status=200)
    await services.say("other", make_process(pid=2, faults=("The recorder fails: Redis is full.",)), for_s=60)
    said = await health(anonymous, status=503)
    assert said["components"]["services"] == {
        "ok": False,
        "detail": "1 of 2 services processes: The recorder fails: Redis is full.",
    }
    await services.leave("other")
    await health(anonymous, status=200)
    await services.leave("services")
    said = await health(anonymous, status=503)
    assert "No services process answers" in said["components"]["services"]["detail"]
    assert (await anonymous.request("GET", "/readyz")).status == 200


async def test_a_silent_worker_turns_the_whole_red(anonymous: Caller, client: Client) -> None:
    session = await client.broker.open_session(make_worker_info())
    await asyncio.to_thread(session.renew, Vitals(concurrency=1, queues=("default",), loop_lag_ms=11_000))
    said = await health(anonymous, status=503)
    assert said["components"]["workers"] == {"ok": False, "detail": "Workers that do not answer: 1 of 2."}


async def test_without_redis_every_part_that_needs_it_says_so(
    api: Caller, anonymous: Caller, redis_server: RedisServer
) -> None:
    redis_server.stop()
    try:
        said = await health(anonymous, status=503)
        red = {name for name, part in said["components"].items() if not part["ok"]}
        assert {"broker", "system", "workers", "queues"} <= red
        assert said["components"]["store"]["ok"]
        assert said["initialised"] is None
        assert {said["components"][name]["detail"] for name in ("broker", "system", "workers")} == {NO_REDIS}
        assert str(redis_server.folder) not in str(said)
        answer = await api.request("GET", "/health/queues")
        assert (answer.status, answer.json["code"]) == (503, "BROKER_UNAVAILABLE")
    finally:
        redis_server.start()


@pytest.mark.parametrize("as_json", [False, True])
async def test_the_command_line_begins_with_the_verdict(
    api: Caller, services: Processes, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    async def said(code: int) -> str:
        async with aiohttp.ClientSession() as session:
            address = Address(f"http://{api.address}", str(api.token), "the test")
            screen = Screen(as_json=as_json)
            assert await report(Link(session, address, screen.say), screen) == code
        return capsys.readouterr().out

    await health(api, status=200)
    well = await said(0)
    await services.leave("services")
    await health(api, status=503)
    unwell = await said(23)
    if as_json:
        assert [json.loads(text)["status"] for text in (well, unwell)] == ["healthy", "unhealthy"]
        assert json.loads(unwell)["components"]["services"]["ok"] is False
        assert json.loads(unwell)["redis"]["isConnected"]
    else:
        assert well.splitlines()[0] == "HEALTHY: every component makes progress."
        first, why, *rest = unwell.splitlines()
        assert first == "UNHEALTHY: services"
        assert re.fullmatch(r"services +No services process answers.*", why)
        assert "Redis" in rest
