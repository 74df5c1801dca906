"""A process says how it is, also where its event loop no longer turns."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs import probe, probe_port
from jobs.errors import BackupFailed, BrokerUnavailable, DiskFull, PortTaken, StoreUnavailable
from jobs.lookout import SYSTEM, Lookout
from jobs.probe import NO_REDIS, Check, Health, told
from jobs.probe_port import Probe
from tests.wait import eventually, until

WELL = Health("part", True, "It works.")


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "EVERY_S", 0.02)
    monkeypatch.setattr(probe, "STUCK_S", 0.3)
    monkeypatch.setattr(probe, "DEAD_S", 0.6)


async def well() -> list[Health]:
    return [WELL]


def get(port: int, path: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=3) as answer:
            return answer.status, answer.headers["content-type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read()


async def ready(port: int) -> tuple[int, dict[str, Any]]:
    status, _, body = await asyncio.to_thread(get, port, "/readyz")
    return status, json.loads(body)


async def until_status(port: int, status: int) -> dict[str, Any]:
    async def like_this() -> tuple[int, dict[str, Any]] | None:
        answer = await ready(port)
        return answer if answer[0] == status else None

    return (await eventually(like_this))[1]


@pytest.mark.usefixtures("hurried")
async def test_a_process_is_ready_once_its_parts_are_and_not_before(port: int) -> None:
    parts: list[Health] = [Health("part", False, "It starts.")]

    async def ask() -> list[Health]:
        return parts

    async with Probe("127.0.0.1", port, Lookout(ask)):
        assert await asyncio.to_thread(get, port, "/livez") == (200, "application/json", b'{"status":"alive"}')
        problem = await until_status(port, 503)
        parts = [WELL]
        body = await until_status(port, 200)
        assert (await asyncio.to_thread(get, port, "/readyz?verbose"))[1] == "application/json"
        assert (await asyncio.to_thread(get, port, "/"))[:2] == (404, "application/problem+json")
    assert body["status"] == "ready"
    assert body["components"]["part"] == {"ok": True, "detail": "It works."}
    assert (problem["code"], problem["status"], problem["type"]) == ("NOT_READY", 503, "about:blank")
    with pytest.raises(OSError):  # noqa: PT011  # refused, reset: it is gone
        get(port, "/livez")


@pytest.mark.usefixtures("hurried")
async def test_a_blocked_event_loop_is_told_of_while_it_is_blocked(port: int) -> None:
    async with Probe("127.0.0.1", port, Lookout(well)):
        await until_status(port, 200)
        time.sleep(0.4)  # noqa: ASYNC251  # what is tested
        status, media_type, body = get(port, "/readyz")
        assert (status, media_type) == (503, "application/problem+json")
        assert "event_loop: The event loop has been blocked" in json.loads(body)["detail"]
        assert get(port, "/livez")[0] == 200
        time.sleep(0.4)  # noqa: ASYNC251  # what is tested
        status, media_type, body = get(port, "/livez")
        assert (status, media_type, json.loads(body)["code"]) == (503, "application/problem+json", "NOT_ALIVE")
        assert get(port, "/health")[0] == 503
        await until_status(port, 200)


@pytest.mark.usefixtures("hurried")
async def test_parts_that_do_not_answer_are_not_ready(port: int) -> None:
    answers = asyncio.Event()
    answers.set()

    async def ask() -> list[Health]:
        await answers.wait()
        return [WELL]

    async with Probe("127.0.0.1", port, Lookout(ask)):
        await until_status(port, 200)
        answers.clear()
        assert "No component has answered" in (await until_status(port, 503))["detail"]
        answers.set()
        await until_status(port, 200)


async def test_who_says_nothing_keeps_nobody_else_from_asking(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_port, "REQUESTS", 2)
    monkeypatch.setattr(probe_port._Handler, "timeout", 30.0)
    async with Probe("127.0.0.1", port, Lookout(well)):
        with socket.create_connection(("127.0.0.1", port)):
            # Connections are accepted in the order in which they were made, and nobody had a slot before these two.
            with socket.create_connection(("127.0.0.1", port)), pytest.raises(OSError):  # noqa: PT011  # turned away
                await asyncio.to_thread(get, port, "/livez")

            async def answered() -> bool:
                with contextlib.suppress(OSError):  # the second one's slot is about to be free
                    return (await asyncio.to_thread(get, port, "/livez"))[0] == 200
                return False

            await eventually(answered)


async def test_who_says_nothing_is_let_go(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_port, "REQUESTS", 1)
    monkeypatch.setattr(probe_port._Handler, "timeout", 0.05)
    async with Probe("127.0.0.1", port, Lookout(well)):
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.settimeout(5)
            assert await asyncio.to_thread(silent.recv, 1) == b""


async def test_a_port_that_is_taken_is_named(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTaken, match="QUEUEQL_PROBE_PORT"):
        async with Probe("127.0.0.1", port, Lookout(well)):
            pass
    async with Probe("127.0.0.1", 0, Lookout(well)):  # none is wanted
        pass


async def test_a_component_is_asked_one_question_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ASK_S", 0.1)
    asked, answers = 0, asyncio.Event()

    async def ask() -> str:
        nonlocal asked
        asked += 1
        await answers.wait()
        if asked > 1:
            raise BrokerUnavailable("Redis does not answer: Timeout reading from /tmp/redis.sock")
        return "Redis answers."

    check = Check("broker", ask, NO_REDIS)
    silent = Health("broker", False, "Redis does not answer.", known=False)
    assert await asyncio.gather(*(check.health() for _ in range(5))) == [silent] * 5
    assert await check.health() == silent
    assert asked == 1
    answers.set()
    assert await check.health() == Health("broker", True, "Redis answers.")
    assert await check.health() == silent
    answers.clear()
    waiting = asyncio.create_task(check.health())
    await until(lambda: asked == 3)
    await check.close()
    assert not (await waiting).ok


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BrokerUnavailable("Redis does not answer: Error 111 connecting to 10.0.0.1:6379."), "Redis does not answer."),
        (StoreUnavailable("The database does not answer in time."), "The database does not answer in time."),
        (DiskFull('The disk of the server is full: could not extend file "base/1"'), "The disk of the server is full."),
        (BackupFailed("/srv/backup exists already."), "BackupFailed; the log of the process says more."),
        (ValueError("Key (owner)=(alice@example.com)"), "ValueError; the log of the process says more."),
    ],
)
def test_what_is_told_of_an_error_names_no_place_and_no_data(error: Exception, said: str) -> None:
    assert told(error) == said


async def test_whatever_is_raised_is_told_and_logged_once_in_full() -> None:
    async def ask() -> str:
        raise ValueError("alice@example.com")

    check = Check("part", ask, NO_REDIS)
    with capture_logs() as lines:
        said = [await check.health() for _ in range(3)]
    assert said == [Health("part", False, "ValueError; the log of the process says more.", known=False)] * 3
    assert [(line["event"], line["component"], line["error"]) for line in lines] == [
        ("probe.fault", "part", "alice@example.com")
    ]
    await check.close()


async def test_what_is_wrong_elsewhere_is_told_and_keeps_nobody_from_working(port: int) -> None:
    others = [Health(SYSTEM, True, "It is initialised."), Health("workers", False, "None answers.")]

    async def ask() -> list[Health]:
        return others

    async with Probe("127.0.0.1", port, Lookout(well, others=ask)):
        await until_status(port, 200)
        status, media_type, body = await asyncio.to_thread(get, port, "/health")
        said = json.loads(body)
        assert (status, media_type, said["code"]) == (503, "application/problem+json", "UNHEALTHY")
        assert (said["detail"], said["initialised"]) == ("workers: None answers.", True)
        assert set(said["components"]) == {"part", "event_loop", SYSTEM, "workers"}
        assert said["version"]
        others[0] = Health(SYSTEM, False, NO_REDIS, known=False)

        async def unknown() -> bool:
            answer = await asyncio.to_thread(get, port, "/health")
            return json.loads(answer[2])["initialised"] is None

        await eventually(unknown)


async def test_however_many_ask_parts_are_asked_once_a_second() -> None:
    asked, now = 0, [100.0]

    async def ask() -> list[Health]:
        nonlocal asked
        asked += 1
        return [WELL]

    lookout = Lookout(ask, monotonic=lambda: now[0])
    assert lookout.ready().status == 503
    await asyncio.gather(*(lookout.look() for _ in range(5)))
    assert (asked, lookout.ready().status) == (1, 200)
    now[0] += 0.9
    await lookout.look()
    assert asked == 1
    now[0] += 0.2
    await lookout.look()
    assert asked == 2
