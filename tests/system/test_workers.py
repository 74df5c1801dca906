"""A worker process that an operator stops, under `queueql up`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.system.product import Api, Product

WORKERS = "{ workers { nodes { session pid state active } } }"
ENQUEUE = """
mutation ($steps: BigInt!) { demoCountdownEnqueue(input: {args: {steps: $steps}}) { job { id } } }
"""
STOP = "mutation ($id: ID!) { workerStop(input: {id: $id}) { userErrors { message } } }"
JOB = "query ($id: ID!) { job(id: $id) { state attemptCount } }"
LIVE = "subscription ($id: ID!) { worker(id: $id) { state active } }"


class Steering:
    def __init__(self, api: Api) -> None:
        self._api = api

    async def worker(self, **wanted: Any) -> dict[str, Any]:
        """Wait until there is exactly one worker, and it is like this."""
        async with asyncio.timeout(20):
            while True:
                found: list[dict[str, Any]] = (await self._api.execute(WORKERS))["workers"]["nodes"]
                if len(found) == 1 and found[0] == found[0] | wanted:
                    return found[0]
                await asyncio.sleep(0.05)

    async def stop(self, session: str) -> None:
        payload = (await self._api.execute(STOP, {"id": session}))["workerStop"]
        assert payload["userErrors"] == []

    async def enqueue(self, count: int) -> str:
        payload = (await self._api.execute(ENQUEUE, {"steps": count}))["demoCountdownEnqueue"]
        job_id: str = payload["job"]["id"]
        return job_id

    async def reach(self, job_id: str, state: str) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                job: dict[str, Any] = (await self._api.execute(JOB, {"id": job_id}))["job"]
                if job["state"] == state:
                    return job
                await asyncio.sleep(0.05)


@pytest.mark.timeout(90)
async def test_a_stopped_worker_lets_its_job_end_and_another_one_is_started(folder: Path) -> None:
    with Product(folder, tasks="jobs.tasks.demo") as product:
        async with aiohttp.ClientSession() as session:
            api = Api(session, product.url)
            steering = Steering(api)
            first = await steering.worker(state="RUNNING")
            running = await steering.enqueue(3)
            await steering.worker(state="RUNNING", active=1)
            seen: list[Any] = []

            async def follow() -> None:
                seen.extend([one["worker"] async for one in api.subscribe(LIVE, {"id": first["session"]})])

            async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
                tasks.create_task(follow())
                await steering.stop(first["session"])
            assert seen[-1] is None  # and the subscription has ended
            assert {one["state"] for one in seen if one} <= {"RUNNING", "STOPPING"}
            assert await steering.reach(running, "COMPLETED") == {"state": "COMPLETED", "attemptCount": 1}
            second = await steering.worker(state="RUNNING")  # `up` has started another one
            assert second["pid"] != first["pid"]
            await steering.reach(await steering.enqueue(1), "COMPLETED")
