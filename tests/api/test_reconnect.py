"""Clients as their users have them, when the server that they follow stops: they go on at another, and miss nothing."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api.server import address_of, listen, running
from jobs.client import Client
from tests.api.caller import Caller
from tests.api.jobs_of import enqueue
from tests.clients import node
from tests.factories import make_settings

# The first test installs the packages.
pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize(("library", "ended"), [("graphql-ws", [1001]), ("graphql-sse", [])])
async def test_a_client_goes_on_at_another_server(
    library: str, ended: list[int], api: Caller, published: Client, issue: Callable[..., Awaitable[str]]
) -> None:
    await asyncio.to_thread(node.install)
    with listen("127.0.0.1", 0) as listener:
        first = running(published, make_settings(), listener)
        await first.__aenter__()
        async with following(library, [address_of(listener), api.address], await issue()) as lines:
            seen = await until_seen(lines, [await enqueued(api)], again=api)
            assert [line["connected"] for line in seen if "connected" in line] == [1]

            await first.__aexit__(None, None, None)
            missed = [await enqueued(api) for _ in range(3)]
            seen = await until_seen(lines, missed)
    assert [line["connected"] for line in seen if "connected" in line] == [2]
    assert [line["closed"] for line in seen if "closed" in line] == ended
    assert [job for line in seen for job in line.get("jobs", ())] == missed
    assert [line["gap"] for line in seen if line.get("gap")] == []


async def enqueued(api: Caller) -> str:
    job_id: str = (await enqueue(api))["job"]["id"]
    return job_id


@asynccontextmanager
async def following(library: str, addresses: list[str], token: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run the script that follows; gives what it prints."""
    urls = ",".join(f"http://{address}/graphql" for address in addresses)
    process = await asyncio.create_subprocess_exec(
        "node",
        "reconnect.mjs",
        library,
        cwd=node.HERE,
        env={**os.environ, "QUEUEQL_URLS": urls, "QUEUEQL_TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def until_seen(
    lines: asyncio.StreamReader, jobs: list[str], *, again: Caller | None = None
) -> list[dict[str, Any]]:
    """Read lines until all these jobs were seen. `again`: enqueue more until then, as events before are not seen."""
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        while not {job for line in seen for job in line.get("jobs", ())} >= set(jobs):
            try:
                line = await asyncio.wait_for(lines.readline(), 0.2 if again else None)
            except TimeoutError:
                assert again
                jobs = [await enqueued(again)]
                continue
            assert line, "the client has ended"
            seen.append(json.loads(line))
    return seen
