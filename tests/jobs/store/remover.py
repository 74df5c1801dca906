"""A process that removes all jobs that completed a minute ago or earlier: remover.py URL."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from jobs.clock import now_ms
from jobs.retention import Kind, Policy
from jobs.store import Store


async def main(url: str) -> None:
    store = await Store.open(url)
    async for _ in store.retention.run(Policy(kind=Kind.COMPLETED, keep_s=60), now_ms=now_ms(), grace_ms=60_000):
        pass
    await store.close()


asyncio.run(main(sys.argv[1]))
