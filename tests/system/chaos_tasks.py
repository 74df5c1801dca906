"""Tasks of the chaos run. Each attempt leaves a line in a ledger of its own, outside of the product."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from jobs import Context, task


@task(queue="chaos", max_attempts=5, timeout=60)
async def work(_ctx: Context, number: int) -> int:
    """Sleep a little, and write down that this attempt ran to its end."""
    await asyncio.sleep(0.02)
    write_down(str(number))
    return number


@task(queue="chaos", max_attempts=1)
async def hold(ctx: Context) -> int:
    """Write down when it begins; the first attempt does not end by itself."""
    write_down(str(time.time()))
    if ctx.attempt == 1:
        await asyncio.Event().wait()
    return ctx.attempt


def write_down(line: str) -> None:
    """Add a line to the ledger, whole or not at all."""
    ledger = os.open(Path(os.environ["CHAOS_LEDGER"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(ledger, f"{line}\n".encode())
    finally:
        os.close(ledger)
