"""A thousand subscribers on one API process, each of whom wants one in a hundred of the events of 1,000 jobs a second.

The API runs as `queueql api` on a Redis and a SQLite database. Jobs pass through the broker as
pushers and workers make them, three events each; nothing is recorded meanwhile, so that two cores suffice.

live      1,000 WebSockets with filters of 100 kinds; figures of the API from the middle of the run
resume    the API is killed with SIGKILL and started again; every subscriber comes back with its cursor
slow      subscribers to everything stop reading; what they cost, and the gap that they get when they read on
strawberry    Strawberry's own handling of the same subscription: its ASGI view over the same schema and feed
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from jobs.client import Client
from jobs.event import Position
from jobs.settings import Settings, load
from jobs.store import TokenKind
from jobs.store.migrate import Migrator
from jobs.viewer import SYSTEM, Role
from tests.bench.crowd import chain
from tests.bench.feeder import KINDS, Feeder, where_of
from tests.redis_server import RedisServer

JOBS_PER_S = 1_000
SUBSCRIBERS = 1_000
WARM_UP_S = 5.0
MEASURED_S = 20.0
RESUMED_S = 15.0
SLOW = 50
"""Subscribers that stop reading, each to all events."""
SLOW_S = 20.0
PEERS = 100
"""Subscribers that Strawberry's own handling gets."""
DEADLINE_S = 30
_STARTED_S = 30


class Api:
    """One server process on a fixed port."""

    def __init__(self, module: list[str], settings: Settings, folder: Path) -> None:
        self._module = module
        self._folder = folder
        self._environ = os.environ | {
            "QUEUEQL_REDIS_URL": settings.redis_url,
            "QUEUEQL_DATABASE_URL": settings.database_url,
            "QUEUEQL_DATA": str(settings.data),
            "QUEUEQL_PORT": str(settings.port),
        }
        self.port = settings.port
        self._process: asyncio.subprocess.Process | None = None
        self.info: psutil.Process

    async def start(self) -> None:
        """Start, and wait until it listens."""
        with (self._folder / "processes.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", *self._module, env=self._environ, stdout=log, stderr=log
            )
        self.info = psutil.Process(self._process.pid)
        async with asyncio.timeout(_STARTED_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._process
        self._process.kill()
        await self._process.wait()

    def cpu_s(self) -> float:
        """CPU seconds that it has used."""
        times = self.info.cpu_times()
        return float(times.user + times.system)

    def memory_kb(self) -> float:
        """Resident memory."""
        return float(self.info.memory_info().rss) / 1024


class Crowd:
    """A process of subscribers, see tests/bench/crowd.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        async with asyncio.timeout(DEADLINE_S):
            line = await self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def say(self, command: str) -> dict[str, Any]:
        """Send a command; return the report that answers it."""
        assert self._process.stdin
        self._process.stdin.write(f"{command}\n".encode())
        return await self._answer()

    @classmethod
    @asynccontextmanager
    async def of(cls, folder: Path, **plan: Any) -> AsyncIterator[Crowd]:
        """Open the subscribers of a plan while the block runs."""
        file = folder / "plan.json"
        await asyncio.to_thread(file.write_text, json.dumps(plan))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "tests.bench.crowd", str(file), limit=2**24,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        crowd = cls(process)
        try:
            await crowd._answer()
            yield crowd
        finally:
            process.kill()
            await process.wait()


class Bench:
    """One Redis, one database, one folder."""

    def __init__(self, folder: Path, client: Client, settings: Settings, token: str) -> None:
        self.folder = folder
        self.client = client
        self.settings = settings
        self.token = token

    async def cursor(self) -> str:
        """Where the stream ends now."""
        return str(await self.client.broker.stream.last())

    def crowd(self, wheres: list[Any], after: str | None, **more: Any) -> Any:
        """Open subscribers, one for each filter."""
        plan = {"port": self.settings.port, "token": self.token, "wheres": wheres, "after": after} | more
        return Crowd.of(self.folder, **plan)

    async def expected(self, feeder: Feeder, after: str) -> tuple[list[int], list[int]]:
        """Count and checksum, for each kind of jobs, of all that the stream has after a cursor."""
        counts, sums = [0] * KINDS, [0] * KINDS
        at, end = Position.parse(after), await self.client.broker.stream.last()
        while at < end:
            reading = await self.client.broker.stream.scan(at, 10_000)
            for _, event in reading.events:
                kind = feeder.kinds[event.job]
                counts[kind] += 1
                sums[kind] = chain(sums[kind], event.job, event.version)
            at = reading.end
        return counts, sums


@asynccontextmanager
async def _opened(jobs_per_s: float) -> AsyncIterator[tuple[Bench, Feeder]]:
    with tempfile.TemporaryDirectory(prefix="qq-bench-") as name:
        folder = Path(name)
        redis = RedisServer(folder)
        redis.start()
        settings = load(
            {}, redis_url=redis.url, database_url=f"sqlite:///{folder / 'bench.db'}", data=folder, port=_free_port(),
            lease_s=600.0, renew_s=100.0,
        )  # fmt: skip
        await Migrator().migrate(settings.database_url)
        client = await Client.open(settings)
        try:
            number, _ = await client.store.epoch.current()
            await client.broker.raise_epoch(await client.store.epoch.raise_to(number, await client.broker.run_id()))
            token = await client.commands.token.issue(SYSTEM, TokenKind.API, name="bench", role=Role.ADMIN)
            feeder = Feeder(client.broker, jobs_per_s)
            await feeder.run(0.2)
            yield Bench(folder, client, settings, token), feeder
        finally:
            await client.close()
            redis.stop()


def _free_port() -> int:
    import socket  # noqa: PLC0415  # nowhere else

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def live(bench: Bench, feeder: Feeder, subscribers: int) -> dict[str, Any]:
    """Measure the API with its subscribers, then kill it in the middle; check what arrived."""
    api = Api(["queueql", "api"], bench.settings, bench.folder)
    await api.start()
    try:
        await asyncio.sleep(1.0)
        before_kb = api.memory_kb()
        after = await bench.cursor()
        kinds = [number % KINDS for number in range(subscribers)]
        async with bench.crowd([where_of(kind) for kind in kinds], after) as crowd:
            await _until(crowd, lambda said: said["subscribed"] == subscribers)
            await asyncio.sleep(1.0)
            per_subscriber_kb = (api.memory_kb() - before_kb) / subscribers
            feeding = asyncio.create_task(feeder.run(WARM_UP_S + MEASURED_S + RESUMED_S))
            await asyncio.sleep(WARM_UP_S)
            figures = await _measure(api, crowd, MEASURED_S)
            await api.kill()
            away = time.monotonic()
            await api.start()
            away_s = time.monotonic() - away
            await feeding
            expected, sums = await bench.expected(feeder, after)
            said = await _until(crowd, lambda said: said["events"] >= sum(expected[kind] for kind in kinds))
            caught_up_s = time.monotonic() - away - RESUMED_S
        right = [
            (count, code, gaps) == (expected[kind], sums[kind], [])
            for kind, count, code, gaps in zip(kinds, said["counts"], said["sums"], said["gaps"], strict=True)
        ]
    finally:
        await api.kill()
    return figures | {
        "subscribers": subscribers,
        "memory_kb_per_subscriber": round(per_subscriber_kb, 1),
        "resume": {
            "reconnects": said["reconnects"],
            "away_s": round(away_s, 2),
            "behind_at_the_end_s": round(max(0.0, caught_up_s), 2),
            "deliveries": said["events"],
            "deliveries_expected": sum(expected[kind] for kind in kinds),
            "subscribers_with_every_event_in_order": sum(right),
            "faults": said["faults"],
        },
    }


async def _measure(api: Api, crowd: Crowd, seconds: float) -> dict[str, Any]:
    before = await crowd.say("report")
    cpu_s, began = api.cpu_s(), time.monotonic()
    await asyncio.sleep(seconds)
    said = await crowd.say("report")
    took_s, used_s = time.monotonic() - began, api.cpu_s() - cpu_s
    events, messages = said["events"] - before["events"], said["messages"] - before["messages"]
    return {
        "deliveries_per_s": round(events / took_s),
        "messages_per_s": round(messages / took_s),
        "cpu_us_per_delivery": round(used_s / max(1, events) * 1e6, 1),
        "cpu_us_per_message": round(used_s / max(1, messages) * 1e6, 1),
        "cpu_cores": round(used_s / took_s, 2),
        "client_cores": round((said["cpu_s"] - before["cpu_s"]) / took_s, 2),
        "latency_p50_ms": _rounded(said["p50_ms"]),
        "latency_p99_ms": _rounded(said["p99_ms"]),
        "latency_max_ms": _rounded(said["max_ms"]),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


async def _until(crowd: Crowd, done: Any) -> dict[str, Any]:
    """Wait until a report is as it should be, or for the deadline; return the last one."""
    deadline = time.monotonic() + DEADLINE_S
    while not done(said := await crowd.say("report")) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return said


async def run(*, jobs: int = 0) -> dict[str, Any]:
    """Measure."""
    async with _opened(JOBS_PER_S) as (bench, feeder):
        return {"queueql": await live(bench, feeder, SUBSCRIBERS)}
