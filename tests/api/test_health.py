"""What monitors are told over HTTP, and who is told what."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis.asyncio

from api.client.address import Address
from api.client.health import report
from api.client.link import Link
from api.client.screen import Screen
from jobs.broker import Vitals
from jobs.broker.process import Processes
from jobs.client import Client
from jobs.snapshot import ProcessFigures, ProcessKind
from tests.api.caller import Answer, Caller
from tests.factories import make_vitals, make_worker_info
from tests.redis_server import RedisServer
from tests.wait import eventually

DOC = Path(__file__).parents[2] / "docs" / "metrics.md"

Serve = Callable[..., Awaitable[Caller]]
Issue = Callable[..., Awaitable[str]]


@pytest.fixture(autouse=True)
async def services(client: Client) -> Processes:
    """A services process has said that it is there."""
    processes = Processes(client.broker)
    await processes.say("services", make_process(), for_s=60)
    return processes


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


async def test_jobs_that_nobody_serves_turn_their_queue_red_and_the_whole_but_not_the_api(
    api: Caller, anonymous: Caller, client: Client
) -> None:
    await api.data("mutation {noopEnqueue {job {id}}}")
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
    await services.say("other", make_process(pid=2, faults=("The recorder fails: SomeError: secret.",)), for_s=60)
    said = await health(anonymous, status=503)
    assert said["components"]["services"] == {"ok": False, "detail": "The recorder fails."}
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
    assert said["components"]["workers"] == {"ok": False, "detail": "Workers that do not answer: 1 of 1."}


async def test_without_redis_every_part_that_needs_it_says_so(
    api: Caller, anonymous: Caller, redis_server: RedisServer
) -> None:
    redis_server.stop()
    try:
        said = await health(anonymous, status=503)
        red = {name for name, part in said["components"].items() if not part["ok"]}
        assert {"broker", "system", "workers", "queues"} <= red
        assert said["components"]["store"]["ok"]
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
