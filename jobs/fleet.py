"""The processes beside this one and the queues that they serve, as one process hears of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from operator import attrgetter

import msgspec

from jobs.amount import amount
from jobs.broker import Broker
from jobs.broker.process import Processes
from jobs.broker.waiting import waiting_since
from jobs.ending import end
from jobs.errors import StoreUnavailable
from jobs.job import State
from jobs.line import Lines, Queue
from jobs.lookout import SYSTEM
from jobs.lost import QUIET_MS, lost
from jobs.probe import NO_REDIS, STUCK_S, Check, Health
from jobs.queue_health import SPAN_S, UNSERVED_S, QueueFacts, QueueHealth, QueueStatus, judge
from jobs.recent import Recent
from jobs.roster import Roster, Worker, WorkerState
from jobs.snapshot import ProcessFigures, ProcessKind
from jobs.store import Store
from jobs.store.totals import Lately

SILENT_MS = 5_000
"""A worker that has said nothing for so long is taken for frozen. Its lease may hold for longer."""
STORE_S = 1.0
"""How long the database may take to say what only it knows; without it the rest is told all the same."""
_NAMES = {
    ProcessKind.WORKER: ("worker", "workers"),
    ProcessKind.SERVICES: ("services process", "services processes"),
    ProcessKind.API: ("API process", "API processes"),
}


class Roll(msgspec.Struct, frozen=True):
    """Everybody, at one moment."""

    at_ms: int
    """By the clock of Redis."""
    workers: list[Worker]
    services: list[ProcessFigures]
    queues: list[Queue]
    waiting_since: dict[str, int]
    ended: dict[str, Lately] | None
    """How jobs ended within `SPAN_S`, by queue; None: the database did not say."""
    lost: Sequence[ProcessFigures] = ()
    """Processes that vanished without a goodbye, until they are back, replaced, or it was two minutes ago."""
    left_ms: int = 0
    """When a worker last ended in order."""
    has_tasks: bool = False
    """Whether workers have ever published a task."""

    def missing(self, kind: ProcessKind) -> str:
        """Say which processes of a kind are lost; empty where none is."""
        seen = [one.seen_ms for one in self.lost if one.kind is kind]
        if not seen:
            return ""
        ago = f"{amount(round(max(0, self.at_ms - max(seen)) / 1000), 'second')} ago"
        one, many = _NAMES[kind]
        return f"A {one} was lost {ago}." if len(seen) == 1 else f"{len(seen)} {many} were lost, the last one {ago}."

    def served_ms(self, queue: str = "") -> int:
        """When a worker last may have served a queue, or any, of those that do so no longer; 0: not known."""
        known = [self.left_ms, *(one.seen_ms for one in self.lost if one.kind is ProcessKind.WORKER)]
        for worker in self.workers:
            if not self.answers(worker) and (not queue or queue in worker.queues):
                known.append(worker.seen_ms - self._stuck_ms(worker))
        return max(known)

    def silent_ms(self, worker: Worker) -> int:
        """For how long a worker has said nothing."""
        return max(0, self.at_ms - worker.seen_ms)

    def answers(self, worker: Worker) -> bool:
        """Tell whether a worker is neither frozen nor blocked, asks for jobs, and sends what they say."""
        return self.silent_ms(worker) <= SILENT_MS and self._stuck_ms(worker) <= STUCK_S * 1000

    @property
    def present(self) -> Collection[Worker]:
        """The workers, one for each process: of two sessions of one it is the newer one that counts."""
        by_age = sorted(self.workers, key=attrgetter("seen_ms"))
        return {(worker.host, worker.pid): worker for worker in by_age}.values()

    @property
    def down(self) -> set[tuple[ProcessKind, str, int]]:
        """Kind, host and pid of those that are lost, and of workers that do not answer."""
        return self.gone | {(ProcessKind.WORKER, one.host, one.pid) for one in self.present if not self.answers(one)}

    @property
    def gone(self) -> set[tuple[ProcessKind, str, int]]:
        """Kind, host and pid of those that are lost, and of workers that say nothing: what they said last is old."""
        silent = {(ProcessKind.WORKER, one.host, one.pid) for one in self.present if self.silent_ms(one) > SILENT_MS}
        return silent | {(one.kind, one.host, one.pid) for one in self.lost}

    @staticmethod
    def _stuck_ms(worker: Worker) -> int:
        return max(worker.loop_lag_ms or 0, worker.still_ms)


class Fleet:
    """Says how the others are. What it says is a second old at most."""

    def __init__(self, store: Store, broker: Broker, *, wait_max_s: float) -> None:
        self._store = store
        self._broker = broker
        self._lines = Lines(store, broker)
        self._roster = Roster(broker)
        self._wait_max_s = wait_max_s
        self.roll = Recent(self._read)
        self._processes = Processes(broker)
        self._names: Sequence[str] = ()
        self._has_tasks = False
        self._asking: asyncio.Task[dict[str, Lately] | None] | None = None
        self._checks = [
            Check(component, ask, NO_REDIS)  # the database is not waited for
            for component, ask in (
                (SYSTEM, self._system),
                ("services", self._services),
                ("workers", self._workers),
                ("queues", self._queues),
            )
        ]

    async def health(self) -> Sequence[Health]:
        """Ask for all of them, for a few seconds at most. Never raises."""
        return await asyncio.gather(*(check.health() for check in self._checks))

    async def queues(self) -> list[QueueHealth]:
        """Return how each queue is, by name. Raises Unavailable."""
        roll = await self.roll.get()
        return [judge(_figures(roll, queue), wait_max_s=self._wait_max_s) for queue in roll.queues]

    async def close(self) -> None:
        """Ask no more."""
        for check in self._checks:
            await check.close()
        await end(self._asking)

    async def _read(self) -> Roll:
        names, ended = await self._history()
        queues = await self._lines.read(names)
        waiting = [queue.name for queue in queues if queue.counts[State.QUEUED]]
        since = await waiting_since(self._broker, waiting) if waiting else {}
        workers, processes, left_ms = (
            await self._roster.all(),
            await self._processes.known(),
            await self._processes.left_ms(),
        )
        at_ms = await self._broker.now_ms()
        return Roll(
            at_ms=at_ms,
            workers=workers,
            services=[
                one.figures
                for one in processes
                if one.figures.kind is ProcessKind.SERVICES and one.holds and at_ms - one.figures.seen_ms <= QUIET_MS
            ],
            queues=queues,
            waiting_since=since,
            ended=ended,
            lost=lost(processes, workers, at_ms),
            left_ms=left_ms,
            has_tasks=self._has_tasks,
        )

    async def _history(self) -> tuple[Sequence[str], dict[str, Lately] | None]:
        """Return the names of the queues and how their jobs ended; while the database is away, the names known last.

        Who waits is not who asks: a question that is cancelled would wait for a frozen database still.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_store(), name="fleet asks the store")
        await asyncio.wait([self._asking], timeout=STORE_S)
        return self._names, self._asking.result() if self._asking.done() else None

    async def _ask_store(self) -> dict[str, Lately] | None:
        try:
            self._names = await self._lines.names()
            self._has_tasks = self._has_tasks or await self._store.catalogue.has_tasks()
            return await self._store.totals.lately(SPAN_S, self._names)
        except StoreUnavailable:
            return None

    async def _system(self) -> Health:
        if await self._broker.is_prepared():
            return Health(SYSTEM, True, "The job system is initialised.")
        return Health(SYSTEM, False, "Redis is not prepared for jobs: the services have to do that.")

    async def _services(self) -> Health:
        roll = await self.roll.get()
        total = len(roll.services)
        if not total:
            return Health(
                "services", False, "No services process answers: nobody records what happens, repairs or cleans."
            )
        faults = Counter(fault for one in roll.services for fault in one.faults)
        whose = [f"{number} of {total} services processes: " if total > 1 else "" for number in faults.values()]
        said = [roll.missing(ProcessKind.SERVICES), *sorted(map("".join, zip(whose, faults, strict=True)))]
        wrong = " ".join(filter(None, said))
        return Health("services", not wrong, wrong or f"All that are there answer: {total}.")

    async def _workers(self) -> Health:
        roll = await self.roll.get()
        total, silent = len(roll.workers), sum(not roll.answers(worker) for worker in roll.workers)
        said = [roll.missing(ProcessKind.WORKER)]
        if silent:
            said.append(f"Workers that do not answer: {silent} of {total}.")
        if not total and roll.has_tasks and roll.at_ms - roll.served_ms() > UNSERVED_S * 1000:
            said.append("There is no worker.")
        wrong = " ".join(filter(None, said))
        return Health("workers", not wrong, wrong or f"All that are there answer: {total}.")

    async def _queues(self) -> Health:
        queues = await self.queues()
        status = Counter(queue.status for queue in queues)
        stopped, degraded = status[QueueStatus.UNHEALTHY], status[QueueStatus.DEGRADED]
        if stopped:
            return Health("queues", False, f"Queues that do not move: {stopped} of {len(queues)}; see /health/queues.")
        return Health("queues", True, f"All of them move: {len(queues)}; degraded: {degraded}.")


def _figures(roll: Roll, queue: Queue) -> QueueFacts:
    serving = [
        worker
        for worker in roll.workers
        if queue.name in worker.queues and worker.state is WorkerState.RUNNING and roll.answers(worker)
    ]
    since = roll.waiting_since.get(queue.name)
    ended = roll.ended.get(queue.name, Lately(0, 0)) if roll.ended is not None else None
    return QueueFacts(
        name=queue.name,
        waiting=queue.counts[State.QUEUED],
        active=queue.counts[State.ACTIVE],
        workers=len(serving),
        oldest_wait_s=0.0 if since is None else max(0, roll.at_ms - since) / 1000,
        unserved_s=max(0, roll.at_ms - roll.served_ms(queue.name)) / 1000,
        finished=ended.finished if ended else None,
        dead=ended.dead if ended else None,
    )
