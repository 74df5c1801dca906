"""Redis or the database is away: what goes on, what is refused, what says so, and how soon all is well again."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path

import pytest

from api.client.health import EXIT_UNHEALTHY
from tests.databases import new_postgres
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.system.command_line import CommandLine, sentence
from tests.system.fleet import NAMES, Fleet, enqueue, until_state
from tests.system.product import Api, Refused
from tests.tcp_proxy import TcpProxy
from tests.wait import until

NOTICED_S = 10.0
BACK_S = 5.0
STUCK_S = 15.0
LET_GO_S = 30.0
"""How long the server may hold the locks of a connection that vanished, on a busy machine."""


async def test_redis_falls_silent_and_comes_back(folder: Path, redis_server: RedisServer) -> None:
    redis_server.flush()
    database_url = f"sqlite://{folder}/queueql.db"
    with TcpProxy(redis_server.url) as proxy:
        fleet = Fleet(folder, proxy.url, database_url)
        async with fleet.running() as api:
            await enqueue(api, "begin", file=str(folder / "before"))
            await until((folder / "before").exists)
            proxy.strand()  # what is open dies without a word
            proxy.hold()
            await asyncio.gather(*(fleet.until(name, ready=False, within_s=NOTICED_S) for name in NAMES))
            meanwhile = await enqueue(api, "begin", file=str(folder / "meanwhile"))
            proxy.release()
            await enqueue(api, "begin", file=str(folder / "after"))
            await until((folder / "after").exists, within_s=BACK_S)
            await fleet.until_ready(BACK_S)
            await until_state(api, meanwhile, "COMPLETED", 30)
            assert (folder / "meanwhile").exists()
            assert fleet.said("worker", r"warning +\] (\S+)") == ["broker.away"]
            assert len(fleet.said("worker", r"(broker\.back)")) == 1
            loops = fleet.said("services", r"warning.*loop\.fault +loop=(\w+)")
            assert len(loops) == len(set(loops))
            assert {"recorder", "reconciler"} <= set(loops)


async def test_postgresql_falls_silent_and_comes_back(
    folder: Path, postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    redis_server.flush()
    with new_postgres(postgres_server) as url, TcpProxy(url) as proxy:
        fleet = Fleet(folder, redis_server.url, proxy.url)
        async with fleet.running() as api:
            running = await enqueue(api, "until_told", file=str(folder / "running"))
            await until((folder / "running").exists)
            await until_state(api, running, "ACTIVE", 10)
            proxy.strand()
            proxy.hold()
            refusing = asyncio.create_task(refused(api, folder))
            await asyncio.gather(*(fleet.until(name, ready=False, within_s=NOTICED_S) for name in ("api", "services")))
            assert await refusing == "STORE_UNAVAILABLE"
            await check_verdict(CommandLine(fleet.url))
            (folder / "running").unlink()  # its job ends, and says so to Redis
            proxy.release()
            await fleet.until_ready(BACK_S + NOTICED_S + LET_GO_S)
            await until_state(api, running, "COMPLETED", 10)
            await enqueue(api, "begin", file=str(folder / "after"))
            await until((folder / "after").exists, within_s=BACK_S)
            proxy.refuse()
            assert await refused(api, folder) == "STORE_UNAVAILABLE"
            proxy.release()
            await fleet.until_ready(BACK_S)
        assert not (folder / "refused").exists()


async def check_verdict(queueql: CommandLine) -> None:
    """`queueql health` says what is wrong, though nobody can look up who asks for the figures."""
    shown, found = await asyncio.gather(
        asyncio.to_thread(queueql, "health", code=EXIT_UNHEALTHY),
        asyncio.to_thread(queueql.json, "health", code=EXIT_UNHEALTHY),
    )
    assert shown.stdout.startswith("UNHEALTHY: ")
    assert "\nstore " in shown.stdout
    assert sentence(shown).startswith("The figures of the system cannot be read: The API at ")
    assert (found["status"], found["components"]["store"]["ok"]) == ("unhealthy", False)
    assert "queues" not in found


async def refused(api: Api, folder: Path) -> str:
    began = time.monotonic()
    with pytest.raises(Refused) as refusal:
        await enqueue(api, "begin", file=str(folder / "refused"))
    assert time.monotonic() - began < 15
    return refusal.value.code


async def test_sqlite_is_locked_by_somebody_else(folder: Path, redis_server: RedisServer) -> None:
    redis_server.flush()
    fleet = Fleet(folder, redis_server.url, f"sqlite://{folder}/queueql.db")
    async with fleet.running() as api:
        running = await enqueue(api, "until_told", file=str(folder / "running"))
        await until((folder / "running").exists)
        with contextlib.closing(sqlite3.connect(folder / "queueql.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            refusing = asyncio.create_task(refused(api, folder))
            await asyncio.gather(*(fleet.until(name, ready=False, within_s=NOTICED_S) for name in ("api", "services")))
            (folder / "running").unlink()
            assert await refusing == "STORE_UNAVAILABLE"
            other.rollback()
        await fleet.until_ready(BACK_S + NOTICED_S)
        await until_state(api, running, "COMPLETED", 10)
        await enqueue(api, "begin", file=str(folder / "after"))
        await until((folder / "after").exists, within_s=BACK_S)


async def test_a_worker_whose_event_loop_is_blocked_says_so(folder: Path, redis_server: RedisServer) -> None:
    redis_server.flush()
    fleet = Fleet(folder, redis_server.url, f"sqlite://{folder}/queueql.db")
    async with fleet.running() as api:
        await enqueue(api, "block", file=str(folder / "blocks"))
        await until((folder / "blocks").exists)
        await fleet.until("worker", ready=False, within_s=STUCK_S)
        assert "The event loop has been blocked" in (await fleet.ready("worker"))["detail"]
        (folder / "blocks").unlink()
        await fleet.until("worker", ready=True, within_s=BACK_S)
