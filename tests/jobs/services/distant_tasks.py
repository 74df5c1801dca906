"""What a distant worker runs."""

from __future__ import annotations

import asyncio
import os

from jobs import Context
from jobs.task import Registry, task

registry = Registry()


@task(registry=registry, max_attempts=3)
async def write(ctx: Context, path: str) -> None:
    """Write into a ledger that this ran."""
    await asyncio.sleep(0.1)
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ledger, f"{ctx.job_id}\n".encode())
    os.close(ledger)
