"""A worker far from Redis, and services beside it that look for dead workers and stuck jobs as fast as they can."""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from jobs.client import Client
from jobs.commands import Enqueued, EnqueueRequest
from jobs.event import START
from jobs.job import State
from jobs.process import signal_group, spawn
from jobs.services import Services, reaper, reconciler
from jobs.viewer import SYSTEM
from jobs.where import JobWhere
from tests.jobs.services.distant_tasks import registry
from tests.tcp_proxy import TcpProxy
from tests.wait import eventually

JOBS = 60
ONE_WAY_S = 0.15
LEASE_S = 2.5


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "INTERVAL_S", 0.02)
    monkeypatch.setattr(reconciler, "INTERVAL_S", 0.02)
    monkeypatch.setattr(reconciler, "UNPUSHED_EVERY_S", 0.0)
    monkeypatch.setattr(reconciler, "UNPUSHED_AGE_MS", 100)
    monkeypatch.setattr(reconciler, "COMPARE_EVERY_S", 0.0)


@asynccontextmanager
async def distant_worker(redis_url: str, folder: Path) -> AsyncIterator[None]:
    settings = json.dumps({"lease_s": LEASE_S, "renew_s": 0.3, "concurrency": 8})
    module = "tests.jobs.services.distant_tasks"
    command = [sys.executable, "-P", "-m", "tests.jobs.worker.process", redis_url, module, settings]
    with (folder / "worker.log").open("wb") as output:
        process = await spawn(command, environ={"PYTHONPATH": str(Path.cwd())}, output=output)
    try:
        yield
    finally:
        signal_group(process, signal.SIGKILL)
        await process.wait()


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.usefixtures("hurried")
async def test_each_job_of_a_distant_worker_runs_once(
    open_client: Callable[..., Awaitable[Client]], redis_url: str, folder: Path
) -> None:
    client = await open_client()
    await client.commands.task.publish(registry.definitions())
    ledger = folder / "ledger"
    services = Services(client.store, client.broker, client.settings)

    async def all_ended() -> bool:
        rescued = await client.commands.job.rescue_stuck(SYSTEM)
        assert rescued.total == 0
        return (await client.store.search.count(JobWhere(states=(State.COMPLETED,)), limit=JOBS + 1)).value == JOBS

    with TcpProxy(redis_url) as proxy, capture_logs() as logs:
        proxy.delay_s = ONE_WAY_S
        services.start()
        async with distant_worker(proxy.url, folder):
            (worker,) = await eventually(client.broker.workers, within_s=20)
            requests = [EnqueueRequest(task="write", args={"path": str(ledger)}) for _ in range(JOBS)]
            answers = await client.commands.job.enqueue_many(SYSTEM, requests)
            assert all(isinstance(answer, Enqueued) for answer in answers)
            await eventually(all_ended, within_s=40)
            (renewed,) = await client.broker.workers()
        await services.stop()
    ran = Counter(ledger.read_text(encoding="utf-8").split())
    assert len(ran) == JOBS
    assert set(ran.values()) == {1}
    kinds = Counter(type(event).__name__ for _, event in await client.broker.stream.read(START, 100_000))
    assert (kinds["Started"], kinds["Completed"], kinds["Reaped"]) == (JOBS, JOBS, 0)
    assert renewed.id == worker.id
    assert renewed.seen_ms - worker.seen_ms > LEASE_S * 1000  # or nobody had to renew anything
    assert [line["event"] for line in logs if line["log_level"] != "info"] == []
