"""A process that accepts a job every few milliseconds: accepting.py URL. For `figures` on a line it says how it went.

It answers with a line of JSON: the waits of all acceptances since the last answer, in milliseconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import orjson
import structlog

sys.path.insert(0, str(Path(__file__).parents[2]))

from jobs.store import Store
from tests.factories import make_spec

PAUSE_S = 0.005


async def main(url: str) -> None:
    store = await Store.open(url)
    waits: list[float] = []
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    asked = asyncio.create_task(reader.readline())
    while True:
        began_s = time.perf_counter()
        await store.accept.accept(make_spec(queue="arriving", tags=("now",)))
        waits.append((time.perf_counter() - began_s) * 1000)
        if asked.done():
            if not asked.result():
                break
            sys.stdout.write(orjson.dumps(waits).decode() + "\n")
            sys.stdout.flush()
            waits.clear()
            asked = asyncio.create_task(reader.readline())
        await asyncio.sleep(PAUSE_S)
    await store.close()


structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # answers alone go to standard output
asyncio.run(main(sys.argv[1]))
