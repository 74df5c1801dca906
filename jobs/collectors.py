"""Collecting: every figure of the system, each from its source, side by side.

A collector that fails, or takes too long, leaves its figures out and says why; the others go on. Those that ask the
database begin when it has said who is connected, so that it does not find them; they wait a second for that at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

import structlog

from jobs.broker import Broker
from jobs.broker.figures import Lag, recorder_lag, redis_figures, stream_figures
from jobs.broker.process import Processes
from jobs.clock import Clock
from jobs.errors import BrokerUnavailable, QueueQLError, StoreUnavailable
from jobs.line import Lines, Queue
from jobs.patience import Patience
from jobs.pool import with_pools
from jobs.probe import told
from jobs.roster import Roster
from jobs.section import error_figures, process_section, queue_section, with_lag, with_workers, worker_figures
from jobs.snapshot import ProcessFigures, RecorderFigures, RedisFigures, Snapshot
from jobs.store import Store
from jobs.store.sums import Ended

log = structlog.get_logger(__name__)

TIMEOUT_S = 5.0
"""How long each collector may take; a call to Redis gives up earlier by itself."""
STORE_S = 1.0
"""How long the others wait for the database to say who is connected, and those who could do without it for its word."""
HEARD_S = 3.0
"""How long it is waited for this process to be heard for the first time."""

T = TypeVar("T")


class Collectors:
    """Collects. Any number may do so at a time, in any process; none of them changes anything.

    `heard` is set once this process has said how it is: before, it would be missing among the processes.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        clock: Clock,
        *,
        timeout_s: float = TIMEOUT_S,
        heard: asyncio.Event | None = None,
    ) -> None:
        self._store = store
        self._broker = broker
        self._clock = clock
        self._timeout_s = timeout_s
        self._lines = Lines(store, broker)
        self._roster = Roster(broker)
        self._processes = Processes(broker)
        self._heard = heard
        self._patience: defaultdict[str, Patience] = defaultdict(partial(Patience, gives_up=True))
        self._names: Sequence[str] | None = None
        self._failing: set[str] = set()

    async def collect(self) -> Snapshot:
        """Return how the system is now. Never raises: what is not known is None, and named in `faults`."""
        if self._heard:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARD_S):
                    await self._heard.wait()
        at_ms, began_s = self._clock(), time.monotonic()
        faults: dict[str, str] = {}
        async with asyncio.TaskGroup() as side_by_side:

            def start(name: str, collect: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T | None]:
                return side_by_side.create_task(self._try(faults, name, collect))

            database, redis = start("database", self._store.server.figures), start("redis", self._redis)
            workers, processes = start("workers", self._roster.all), start("processes", self._alive)
            stream = start("stream", self._stream)

            def start_after(name: str, collect: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T | None]:
                async def later() -> T:
                    await asyncio.wait([database], timeout=STORE_S)  # it would find our own statements running
                    return await collect()

                return start(name, later)

            queues, ended = start_after("queues", self._queues), start_after("ended", self._ended)
            start_after("store", self._writes)
            hour, lag = start_after("attempts", self._store.sums.last_hour), start_after("recorder", self._lag)
        took_ms = round(1000 * (time.monotonic() - began_s))
        alive = with_workers(processes.result(), workers.result())
        return Snapshot(
            at_ms=at_ms,
            took_ms=took_ms,
            queues=queue_section(queues.result(), ended.result()),
            workers=worker_figures(workers.result(), hour.result()),
            database=with_pools(database.result(), alive),
            redis=redis.result() or RedisFigures(connected=False),
            recorder=with_lag(stream.result(), lag.result()),
            processes=process_section(alive),
            errors=error_figures(hour.result()),
            faults=dict(sorted(faults.items())),
        )

    async def close(self) -> None:
        """End what goes on still: questions that were not answered in time."""
        for patience in list(self._patience.values()):
            await patience.close()

    async def _try(self, faults: dict[str, str], name: str, collect: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        try:
            found = await self._patience[name].wait(collect(), self._timeout_s)
        except TimeoutError:
            self._fail(faults, name, f"This took longer than {self._timeout_s:g} seconds.")
        except Exception as error:  # whatever it is, the other figures are wanted all the same
            self._fail(faults, name, told(error), error)
        else:
            if name in self._failing:
                self._failing.discard(name)
                log.info("collector.works_again", collector=name)
            return found
        return None

    def _fail(self, faults: dict[str, str], name: str, why: str, error: Exception | None = None) -> None:
        faults[name] = why
        if name not in self._failing:  # once per outage, however many look
            self._failing.add(name)
            known = error is None or isinstance(error, QueueQLError)
            log.warning("collector.failed", collector=name, error=str(error or why), exc_info=None if known else error)

    async def _queues(self) -> list[Queue]:
        try:
            self._names = await self._patience["names"].wait(self._lines.names(), STORE_S)
        except (StoreUnavailable, TimeoutError) as error:
            if self._names is None:  # queues are never removed, so those that are known are still there
                raise StoreUnavailable("The database does not say which queues there are.") from error
        return await self._lines.read(self._names)

    async def _ended(self) -> dict[str, Ended]:
        return await self._store.sums.ended(await self._lines.names())

    async def _writes(self) -> None:
        """Find out whether the database takes what is written: figures may be read from one that does not."""
        health = await self._store.health()
        if not health.ok:
            raise StoreUnavailable(health.detail)

    async def _redis(self) -> RedisFigures:
        return await redis_figures(self._broker)

    async def _stream(self) -> RecorderFigures:
        return await stream_figures(self._broker)

    async def _lag(self) -> Lag:
        return await recorder_lag(self._broker, await self._store.history.position())

    async def _alive(self) -> list[ProcessFigures]:
        if self._heard and not self._heard.is_set():
            raise BrokerUnavailable("This process has not been heard yet.")
        return await self._processes.all()
