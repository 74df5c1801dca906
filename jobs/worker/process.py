"""The worker's process: imports the tasks, publishes them, and works until it is told to stop."""

from __future__ import annotations

import asyncio

from jobs.client import Client
from jobs.modules import import_tasks
from jobs.settings import Settings
from jobs.stopping import wait_for_stop
from jobs.task import default_registry
from jobs.worker.engine import Engine


async def serve(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then let running jobs end or give them back.

    Raises TasksNotFound, PackageShadowed, TaskInvalid, and what Client.open raises.
    """
    import_tasks(settings.tasks)
    client = await Client.open(settings)
    try:
        await client.commands.task.publish(default_registry.definitions())
        engine = Engine(client.broker, default_registry, settings)
        working = asyncio.create_task(engine.run_until_stopped())
        stop = asyncio.create_task(wait_for_stop())
        await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        engine.request_stop()
        await working
    finally:
        await client.close()
