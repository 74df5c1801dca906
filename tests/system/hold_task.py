"""A task whose first attempt never ends by itself."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from jobs import Context, task


@task(max_attempts=1)
async def hold(ctx: Context) -> int:
    """Write down when it begins; the first attempt does not end by itself."""
    with Path(os.environ["HOLD_LEDGER"]).open("a", encoding="ascii") as ledger:  # noqa: ASYNC230  # one short line
        ledger.write(f"{time.time()}\n")
    if ctx.attempt == 1:
        await asyncio.Event().wait()
    return ctx.attempt
