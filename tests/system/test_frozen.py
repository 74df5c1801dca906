"""Whatever is frozen turns its own part red within 15 seconds, at every place that says how things are.

Here servers and whole processes are; the parts within a process are in test_frozen_loops.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
import pytest

from jobs.queue_health import UNSERVED_S
from tests.databases import new_postgres
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.system.fleet import Fleet, enqueue, until_state
from tests.system.product import TOKEN, Api
from tests.wait import eventually, until

RED_S = 15.0
GREEN_S = 20.0
ANSWER_S = 5.0
"""How long an answer may take, whatever is frozen."""
SCRAPE_S = 10.0
BLOCKED = "blocked"
BLOCK = """
import os, signal, time

def block(*_):
    while os.path.exists(os.environ["BLOCKED"]):
        time.sleep(0.05)

signal.signal(signal.SIGUSR1, block)
"""
"""For every Python in the fleet: where a signal arrives, its main thread, and with it its event loop, stands still."""


class Watch:
    """Asks a fleet how it is, as a monitor does."""

    def __init__(self, fleet: Fleet, session: aiohttp.ClientSession) -> None:
        self._fleet = fleet
        self._session = session

    async def get(self, path: str, *, probe: str = "") -> tuple[int, dict[str, Any]]:
        base = self._fleet.probes[probe] if probe else self._fleet.url
        began = time.monotonic()
        async with self._session.get(base + path, headers={"authorization": f"Bearer {TOKEN}"}) as answer:
            body: dict[str, Any] = await answer.json(content_type=None)
        assert time.monotonic() - began < ANSWER_S, path
        return answer.status, body

    async def until(
        self, component: str, *, ok: bool, path: str = "/health", probe: str = "", spared_s: float = 0.0
    ) -> dict[str, Any]:
        """Wait until a component is red, or is green with all the rest; return what is said then."""
        deadline = time.monotonic() + (GREEN_S if ok else RED_S + spared_s)
        while True:
            status, body = await self.get(path, probe=probe)
            if body["components"][component]["ok"] is ok and (status == 200 or not ok):
                assert (status == 200) is ok
                return body
            assert time.monotonic() < deadline, body
            await asyncio.sleep(0.1)

    async def says(self, component: str, words: str) -> bool:
        """Tell whether these words are said about a component, which is red."""
        part = (await self.get("/health"))[1]["components"][component]
        return words in part["detail"] and not part["ok"]

    async def metrics(self) -> dict[str, str]:
        """What /metrics says of the components."""
        began = time.monotonic()
        async with self._session.get(
            f"{self._fleet.url}/metrics", headers={"authorization": f"Bearer {TOKEN}"}
        ) as answer:
            assert answer.status == 200
            lines = (await answer.text()).splitlines()
        assert time.monotonic() - began < SCRAPE_S
        return dict(line.rsplit(" ", 1) for line in lines if line.startswith("queueql_"))


@contextlib.asynccontextmanager
async def watching(fleet: Fleet) -> AsyncIterator[tuple[Api, Watch]]:
    async with fleet.running() as api, aiohttp.ClientSession() as session:
        watch = Watch(fleet, session)
        await watch.until("services", ok=True)
        await watch.metrics()  # who was let in once is let in while the database cannot tell who they are
        yield api, watch


@contextlib.contextmanager
def frozen(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def blocked(fleet: Fleet, *names: str) -> Iterator[None]:
    """Block the event loops of these processes."""
    flag = fleet.folder / BLOCKED
    flag.touch()
    try:
        for name in names:
            fleet.processes[name].send(signal.SIGUSR1)
        yield
    finally:
        flag.unlink()


@pytest.mark.timeout(240)
async def test_each_component_is_frozen(
    folder: Path,
    redis_url: str,
    postgres_server: PostgresServer,
    own_redis: RedisServer,
    own_postgres: tuple[PostgresServer, Path],
) -> None:
    """Two fleets side by side: one whose servers are frozen, and one whose processes are.

    Neither is on SQLite, where a process that is frozen in its turn to write keeps it, and the store is red too.
    """
    server, place = own_postgres
    with new_postgres(server) as url, new_postgres(postgres_server) as other_url:
        servers = _fleet(folder / "servers", own_redis.url, url)
        processes = _fleet(folder / "processes", redis_url, other_url)
        async with asyncio.TaskGroup() as both:
            both.create_task(_freeze_servers(servers, own_redis, place, url))
            both.create_task(_freeze_processes(processes))


def _fleet(folder: Path, redis_url: str, database_url: str) -> Fleet:
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCK)
    return Fleet(folder, redis_url, database_url, {"BLOCKED": str(folder / BLOCKED)})


async def _freeze_servers(fleet: Fleet, redis: RedisServer, postgres: Path, url: str) -> None:
    async with watching(fleet) as (api, watch):
        await _redis(watch, redis)
        await _postgresql(watch, postgres)
        await _recorder_and_loop_of_worker(api, watch, fleet, url)


async def _freeze_processes(fleet: Fleet) -> None:
    async with watching(fleet) as (api, watch):
        await _services_and_worker(api, watch, fleet)
        await _event_loops(watch, fleet)
        await _api(watch, fleet)


async def _redis(watch: Watch, server: RedisServer) -> None:
    with frozen(server.pid):
        said = await watch.until("broker", ok=False)
        assert {"system", "workers", "queues", "services"} <= _red(said)
        assert said["components"]["store"]["ok"]
        assert (await watch.get("/readyz"))[0] == 503
        assert (await watch.get("/health/queues"))[0] == 503
        for probe in ("api", "services", "worker"):
            await watch.until("broker", ok=False, path="/readyz", probe=probe)
        shown = await watch.metrics()
        assert (shown['queueql_up{component="broker"}'], shown['queueql_up{component="store"}']) == ("0.0", "1.0")
        assert not [name for name in shown if name.startswith("queueql_queue_length")]
    await watch.until("broker", ok=True)


async def _postgresql(watch: Watch, folder: Path) -> None:
    postmaster = _postmaster(folder)
    with frozen(postmaster.pid, *(child.pid for child in postmaster.children(recursive=True))):
        said = await watch.until("store", ok=False)
        assert said["components"]["broker"]["ok"]
        await watch.until("store", ok=False, path="/readyz", probe="services")
        shown = await watch.metrics()
        assert (shown['queueql_up{component="store"}'], shown['queueql_up{component="broker"}']) == ("0.0", "1.0")
    await watch.until("store", ok=True)


async def _recorder_and_loop_of_worker(api: Api, watch: Watch, fleet: Fleet, url: str) -> None:
    """Somebody locks the table that the recorder writes; then the worker's event loop is blocked."""
    begun = fleet.folder / "begun"
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE attempt IN ACCESS EXCLUSIVE MODE")
            await enqueue(api, "begin", file=str(begun))
            await until(begun.exists)
            with blocked(fleet, "worker"):
                said = await watch.until("services", ok=False)
                assert "recorder" in said["components"]["services"]["detail"]
                assert said["components"]["store"]["ok"]
                await watch.until("recorder", ok=False, path="/readyz", probe="services")
                assert _red(await watch.until("workers", ok=False)) == {"services", "workers"}
                await watch.until("event_loop", ok=False, path="/readyz", probe="worker")
    finally:
        await connection.close()
    await watch.until("services", ok=True)


async def _services_and_worker(api: Api, watch: Watch, fleet: Fleet) -> None:
    with frozen(fleet.processes["worker"].pid):
        with frozen(fleet.processes["services"].pid):
            job = await _nobody_works(api, watch, fleet)
        await eventually(partial(watch.says, "workers", "A worker was lost"), within_s=GREEN_S)
    await until_state(api, job, "COMPLETED", GREEN_S)
    await watch.until("workers", ok=True)


async def _nobody_works(api: Api, watch: Watch, fleet: Fleet) -> str:
    assert _red(await watch.until("workers", ok=False)) <= {"workers", "services"}
    job = await enqueue(api, "begin", file=str(fleet.folder / "after"))
    said = await watch.until("queues", ok=False, spared_s=UNSERVED_S)
    assert "do not move" in said["components"]["queues"]["detail"]
    status, queues = await watch.get("/health/queues")
    assert (status, queues["queues"][0]["faults"][0]["code"]) == (503, "NO_WORKER")
    assert _red(await watch.until("services", ok=False)) == {"services", "workers", "queues"}
    assert (await watch.get("/readyz"))[0] == 200  # the API takes jobs all the same
    shown = await watch.metrics()
    assert shown['queueql_queue_healthy{queue="default"}'] == "0.0"
    assert shown['queueql_up{component="services"}'] == "0.0"
    assert "1.0" not in [number for name, number in shown.items() if name.startswith("queueql_worker_up")]
    return job


async def _event_loops(watch: Watch, fleet: Fleet) -> None:
    """A blocked API answers nobody, so it is its probe that says so."""
    with blocked(fleet, "services", "api"):
        for name in ("services", "api"):
            said = await watch.until("event_loop", ok=False, path="/readyz", probe=name)
            assert "The event loop has been blocked" in said["detail"]
            assert (await watch.get("/health", probe=name))[0] == 503
            assert (await watch.get("/livez", probe=name))[0] == 200  # it may come back
    for name in ("services", "api"):
        await watch.until("event_loop", ok=True, path="/readyz", probe=name)
    await watch.until("services", ok=True)


async def _api(watch: Watch, fleet: Fleet) -> None:
    """A process that is frozen as a whole is known by its silence, on both of its ports."""
    with frozen(fleet.processes["api"].pid):
        for probe in ("", "api"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await watch.get("/livez", probe=probe)
    await watch.until("services", ok=True)


@pytest.fixture
def own_redis(folder: Path) -> Iterator[RedisServer]:
    """A server that nobody else uses."""
    place = folder / "r"
    place.mkdir()
    server = RedisServer(place)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_postgres() -> Iterator[tuple[PostgresServer, Path]]:
    """A server that nobody else uses, and its folder."""
    with tempfile.TemporaryDirectory(prefix="qq-frozen-") as name:
        place = Path(name)
        place.chmod(0o755)  # the user whom the server runs as has to get in
        server = PostgresServer(place)
        server.start()
        yield server, place
        server.stop()


def _red(said: dict[str, Any]) -> set[str]:
    return {name for name, part in said["components"].items() if not part["ok"]}


def _postmaster(folder: Path) -> psutil.Process:
    (pid_file,) = folder.glob("qq-pg-*/data/postmaster.pid")
    return psutil.Process(int(pid_file.read_text().splitlines()[0]))
