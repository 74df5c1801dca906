"""10,000 jobs through GraphQL while a worker and Redis are killed and Redis is flushed, in one process tree."""

from __future__ import annotations

import signal
from pathlib import Path

import aiohttp
import pytest

from jobs.embedded import socket_of
from tests.system.chaos import check, flush_all, history, read_ledger, run_with_faults
from tests.system.product import Api, Product, until_published

TOTAL = 10_000


@pytest.mark.timeout(180)
async def test_no_accepted_job_is_lost(folder: Path) -> None:
    ledger = folder / "ledger"
    environ = {"CHAOS_LEDGER": str(ledger)}
    with Product(folder, tasks="tests.system.chaos_tasks", environ=environ) as product:
        async with aiohttp.ClientSession() as session:
            api = Api(session, product.url)
            await until_published(api, "workEnqueue")

            async def kill_worker() -> None:
                product.find("queueql worker").send_signal(signal.SIGKILL)

            async def kill_redis() -> None:
                product.find("-server").send_signal(signal.SIGKILL)

            async def flush() -> None:
                await flush_all(f"unix://{socket_of(folder / 'data' / 'redis')}")

            accepted, events = await run_with_faults(
                api, ledger, TOTAL, [kill_worker, kill_redis, flush], timeout_s=120
            )
            check(accepted, await history(api), read_ledger(ledger), events)
