"""The process: its port, its health, its page, its end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed

from api.page import BUNDLE
from api.server import address_of, listen, running
from jobs.client import Client
from jobs.errors import PortTaken
from tests.api.caller import Caller
from tests.factories import make_settings
from tests.redis_server import RedisServer
from tests.wait import eventually

ROOT = Path(__file__).parents[2]
LIVE = "subscription {jobEvents {endCursor}}"

Issue = Callable[..., Awaitable[str]]


def test_a_port_that_is_taken() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=re.escape(f"127.0.0.1:{port}")):
            listen("127.0.0.1", port)
    with pytest.raises(PortTaken, match=re.escape("nope.invalid")):
        listen("nope.invalid", 0)


async def test_alive_and_ready(anonymous: Caller) -> None:
    alive = await anonymous.request("GET", "/livez")
    assert (alive.status, alive.media_type, alive.json) == (200, "application/json", {"status": "alive"})
    ready = await anonymous.request("GET", "/readyz")
    assert (ready.status, ready.json["status"]) == (200, "ready")
    assert all(part["ok"] for part in ready.json["components"].values())


async def test_not_ready_without_redis_and_faults_are_told_as_such(
    api: Caller, anonymous: Caller, redis_server: RedisServer
) -> None:
    redis_server.stop()
    try:
        ready = await anonymous.request("GET", "/readyz")
        assert (ready.status, ready.media_type, ready.json["code"]) == (503, "application/problem+json", "NOT_READY")
        assert ready.json["components"]["broker"]["ok"] is False
        answer = await api.post("{workers {nodes {id}} viewer {role}}")
        assert (answer.status, answer.json["data"]) == (200, {"workers": None, "viewer": {"role": "ADMIN"}})
        (error,) = answer.json["errors"]
        assert error["extensions"]["code"] == "BROKER_UNAVAILABLE"
        assert "redis" not in error["message"].lower()
    finally:
        redis_server.start()


async def test_faults_are_masked(api: Caller, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(client.queries.worker, "page", broken)
    answer = await api.post("{workers {nodes {id}} viewer {role}}")
    assert answer.status == 200
    (error,) = answer.json["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["extensions"]["id"] in error["message"]
    assert b"secret" not in answer.body
    assert b"ZeroDivisionError" not in answer.body


async def test_a_browser_gets_the_page(anonymous: Caller) -> None:
    home = await anonymous.request("GET", "/", headers={"accept": "text/html"})
    assert (home.status, home.headers["location"]) == (307, "/graphql")
    page = await anonymous.request("GET", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (page.status, page.media_type) == (200, "text/html")
    assert page.body == (BUNDLE / "index.html").read_bytes()
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-cache"
    types = {".js": "javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    paths = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert paths
    for path in paths:
        asset = await anonymous.request("GET", path)
        assert asset.status == 200
        assert types[Path(path).suffix] in asset.media_type
        assert asset.headers["content-security-policy"] == page.headers["content-security-policy"]
        assert ("immutable" in asset.headers["cache-control"]) is ("/assets/" in path)


async def test_a_stop_ends_streams(published: Client, issue: Issue) -> None:
    token = await issue()
    with listen("127.0.0.1", 0) as listener:
        address = address_of(listener)
        async with AsyncExitStack() as open_streams, Caller(address, token) as caller:
            async with running(published, make_settings(), listener):
                live = await open_streams.enter_async_context(caller.socket())
                events = await open_streams.enter_async_context(caller.events(LIVE))
                await live.subscribe("1", LIVE)
            with pytest.raises(ConnectionClosed):
                await live.receive()
            assert live.raw.close_code == 1001
            assert await events.next() == ("", None)
            with pytest.raises(aiohttp.ClientError):
                await caller.request("GET", "/livez")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_ends_on_a_signal(published: Client, number: signal.Signals) -> None:
    settings = published.settings
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("QUEUEQL_")}
    environ |= {
        "QUEUEQL_REDIS_URL": settings.redis_url,
        "QUEUEQL_DATABASE_URL": settings.database_url,
        "QUEUEQL_PORT": str(port),
    }
    code = "import asyncio; from api.server import serve; from jobs.settings import load; asyncio.run(serve(load()))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT, env=environ)
    try:
        async with Caller(f"127.0.0.1:{port}") as caller:

            async def ready() -> bool:
                assert process.returncode is None
                try:
                    return bool((await caller.request("GET", "/readyz")).status == 200)
                except aiohttp.ClientConnectionError:
                    return False

            await eventually(ready, within_s=30)
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
