"""A worker in a process of its own: `python -m tests.jobs.worker.process REDIS_URL MODULE SETTINGS`."""

from __future__ import annotations

import asyncio
import importlib
import json
import signal
import sys

from jobs.broker import Broker
from jobs.worker import Engine
from tests.factories import make_settings


async def main(redis_url: str, module: str, options: str) -> None:
    settings = make_settings(**json.loads(options))
    broker = await Broker.open(redis_url, settings)
    await broker.refresh_epoch()
    engine = Engine(broker, importlib.import_module(module).registry, settings)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, engine.request_stop)
    await engine.run_until_stopped()
    await broker.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
