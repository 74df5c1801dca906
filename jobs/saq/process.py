"""The worker's process: imports the tasks, publishes them, and works until it is told to stop."""

from __future__ import annotations

from typing import Any

from jobs.client import Client
from jobs.lookout import Lookout
from jobs.modules import import_tasks
from jobs.probe_port import Probe
from jobs.saq.queue import Queue
from jobs.saq.session import SaqBroker
from jobs.saq.worker import Worker
from jobs.services.herald import Herald
from jobs.settings import Settings
from jobs.snapshot import ProcessKind
from jobs.task import default_registry
from jobs.worker import Payloads


async def serve(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then let running jobs end or give them back.

    Raises TasksNotFound, PackageShadowed, TaskInvalid, and what Client.open raises.
    """
    import_tasks(settings.tasks)
    client = await Client.open(settings)
    try:
        await client.commands.task.publish(default_registry.definitions())
        broker = await SaqBroker.open(settings.redis_url, settings)
        herald = Herald(ProcessKind.WORKER, client.store, broker)
        herald.start()
        try:
            await _work(settings, broker, Payloads(client.store.search.args))
        finally:
            await herald.stop()
            await broker.close()
    finally:
        await client.close()


async def _work(settings: Settings, broker: SaqBroker, payloads: Payloads) -> None:
    names = settings.queues or default_registry.queues()
    queue = Queue.from_url(settings.redis_url, name=names[0], settings=settings, broker=broker, payloads=payloads)
    worker: Worker[Any] = Worker(
        queue,
        default_registry,
        queues=names,
        concurrency=settings.concurrency,
        shutdown_grace_period_s=settings.grace_s,
    )
    try:
        async with Probe(settings.host, settings.probe_port, Lookout(worker.health)):
            await worker.start()
    finally:
        await queue.disconnect()
