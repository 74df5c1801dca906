"""How soon a job runs again whose worker was killed."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import aiohttp
import pytest

from tests.system.product import Api, Product

WITHIN_S = 12.0


@pytest.mark.timeout(90)
async def test_a_killed_workers_job_runs_again_within_12_seconds(folder: Path) -> None:
    ledger = folder / "ledger"
    ledger.touch()
    with Product(folder, tasks="tests.system.hold_task", environ={"HOLD_LEDGER": str(ledger)}) as product:
        async with aiohttp.ClientSession() as session:
            api = Api(session, product.url)
            job = (await api.execute("mutation { holdEnqueue(input: {}) { job { id } } }"))["holdEnqueue"]["job"]
            await until_lines(ledger, 1)
            product.find("queueql worker").send_signal(signal.SIGKILL)
            killed_s = time.time()
            began_again_s = (await until_lines(ledger, 2))[1]
            assert began_again_s - killed_s < WITHIN_S
            document = "query Q($id: ID!) { job(id: $id) { state result crashes attempts { nodes { state } } } }"
            states: list[str] = []
            async with asyncio.timeout(10):
                # History may still be on its way when the job is known to have ended.
                while states != ["LOST", "COMPLETED"]:
                    await asyncio.sleep(0.05)
                    found = (await api.execute(document, {"id": job["id"]}))["job"]
                    states = [attempt["state"] for attempt in found["attempts"]["nodes"]]
            counted = "{ statistics { total { started lost run { count } } } }"
            total = (await api.execute(counted))["statistics"]["total"]
    assert total == {"started": "2", "lost": "1", "run": {"count": "1"}}
    assert found["state"] == "COMPLETED"
    assert found["crashes"] == 1
    assert found["result"] == 2


async def until_lines(ledger: Path, count: int) -> list[float]:
    """Wait until the ledger has so many lines."""
    async with asyncio.timeout(30):
        while len(lines := (await asyncio.to_thread(ledger.read_text)).splitlines()) < count:
            await asyncio.sleep(0.02)
    return [float(line) for line in lines]
