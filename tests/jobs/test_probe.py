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

from jobs import probe
from jobs.errors import BrokerUnavailable, PortTaken
from jobs.probe import Check, Health, Probe
from tests.wait import until

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
    async with asyncio.timeout(5):
        while (answer := await ready(port))[0] != status:
            await asyncio.sleep(0.02)
    return answer[1]


@pytest.mark.usefixtures("hurried")
async def test_a_process_is_ready_once_its_parts_are_and_not_before(port: int) -> None:
    parts: list[Health] = [Health("part", False, "It starts.")]

    async def ask() -> list[Health]:
        return parts

    async with Probe("127.0.0.1", port, ask):
        assert await asyncio.to_thread(get, port, "/livez") == (200, "text/plain; charset=utf-8", b"ok\n")
        problem = await until_status(port, 503)
        parts = [WELL]
        body = await until_status(port, 200)
        assert (await asyncio.to_thread(get, port, "/readyz?verbose"))[1] == "application/json"
        assert (await asyncio.to_thread(get, port, "/"))[0] == 404
    assert body["status"] == "ready"
    assert body["components"]["part"] == {"ok": True, "detail": "It works."}
    assert (problem["code"], problem["status"], problem["type"]) == ("NOT_READY", 503, "about:blank")
    with pytest.raises(OSError):  # noqa: PT011  # refused, reset: it is gone
        get(port, "/livez")


@pytest.mark.usefixtures("hurried")
async def test_a_blocked_event_loop_is_told_of_while_it_is_blocked(port: int) -> None:
    async with Probe("127.0.0.1", port, well):
        await until_status(port, 200)
        time.sleep(0.4)  # noqa: ASYNC251  # what is tested
        status, media_type, body = get(port, "/readyz")
        assert (status, media_type) == (503, "application/problem+json")
        assert "event_loop: The event loop has been blocked" in json.loads(body)["detail"]
        assert get(port, "/livez")[0] == 200
        time.sleep(0.4)  # noqa: ASYNC251  # what is tested
        assert get(port, "/livez")[0] == 503
        await until_status(port, 200)


@pytest.mark.usefixtures("hurried")
async def test_parts_that_do_not_answer_are_not_ready(port: int) -> None:
    answers = asyncio.Event()
    answers.set()

    async def ask() -> list[Health]:
        await answers.wait()
        return [WELL]

    async with Probe("127.0.0.1", port, ask):
        await until_status(port, 200)
        answers.clear()
        assert "No component has answered" in (await until_status(port, 503))["detail"]
        answers.set()
        await until_status(port, 200)


async def test_who_says_nothing_keeps_nobody_else_from_asking(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "REQUESTS", 2)
    monkeypatch.setattr(probe._Handler, "timeout", 30.0)
    async with Probe("127.0.0.1", port, well):
        with socket.create_connection(("127.0.0.1", port)):
            # Connections are accepted in the order in which they were made, and nobody had a slot before these two.
            with socket.create_connection(("127.0.0.1", port)), pytest.raises(OSError):  # noqa: PT011  # turned away
                await asyncio.to_thread(get, port, "/livez")
            async with asyncio.timeout(5):
                while True:
                    with contextlib.suppress(OSError):  # the second one's slot is about to be free
                        assert (await asyncio.to_thread(get, port, "/livez"))[0] == 200
                        break


async def test_who_says_nothing_is_let_go(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "REQUESTS", 1)
    monkeypatch.setattr(probe._Handler, "timeout", 0.05)
    async with Probe("127.0.0.1", port, well):
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.settimeout(5)
            assert await asyncio.to_thread(silent.recv, 1) == b""


async def test_a_port_that_is_taken_is_named(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTaken, match="QUEUEQL_PROBE_PORT"):
        async with Probe("127.0.0.1", port, well):
            pass
    async with Probe("127.0.0.1", 0, well):  # none is wanted
        pass


async def test_a_component_is_asked_one_question_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ASK_S", 0.1)
    asked, answers = 0, asyncio.Event()

    async def ask() -> str:
        nonlocal asked
        asked += 1
        await answers.wait()
        if asked > 1:
            raise BrokerUnavailable("Redis does not answer.")
        return "Redis answers."

    check = Check("broker", ask)
    assert [ok for _, ok, _ in await asyncio.gather(*(check.health() for _ in range(5)))] == [False] * 5
    assert not (await check.health()).ok
    assert asked == 1
    answers.set()
    assert await check.health() == Health("broker", True, "Redis answers.")
    assert await check.health() == Health("broker", False, "Redis does not answer.")
    answers.clear()
    waiting = asyncio.create_task(check.health())
    await until(lambda: asked == 3)
    await check.close()
    assert not (await waiting).ok
