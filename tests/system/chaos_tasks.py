"""Tasks of the chaos run. Each attempt leaves a line in a ledger of its own, outside of the product."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from jobs import Context, task


@task(queue="chaos", max_attempts=5, timeout=60)
async def work(_ctx: Context, number: int) -> int:
    """Sleep a little, and write down that this attempt ran to its end."""
    await asyncio.sleep(0.02)
    ledger = os.open(Path(os.environ["CHAOS_LEDGER"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(ledger, f"{number}\n".encode())
    finally:
        os.close(ledger)
    return number
