"""The worker's engine: opens sessions, one after the other, and works under each until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import random as random_numbers
import socket
from collections.abc import Callable, Mapping, Sequence
from logging import INFO, WARNING
from time import monotonic
from typing import Any

import structlog

from jobs.amount import amount
from jobs.broker import Broker, Session, WorkerInfo, WorkerWish
from jobs.clock import Clock, now_ms
from jobs.context import Context, Surroundings
from jobs.ending import end
from jobs.errors import EpochChanged, QueueFull
from jobs.job_view import JobView
from jobs.probe import STUCK_S, Health
from jobs.retry import Random
from jobs.settings import Settings
from jobs.task import Registry
from jobs.version import version
from jobs.worker.attempt import Hooks, Terms
from jobs.worker.payloads import Payloads
from jobs.worker.place import importable, locate, modules
from jobs.worker.pool import Pool
from jobs.worker.pulse import Pulse
from jobs.worker.slots import Slots
from jobs.worker.tenure import Plan, Tenure
from jobs.worker.threads import Threads

log = structlog.get_logger(__name__)

RETRY_S = 0.5
RENEWAL_S = 5.0
"""How long one renewal of the lease may take, with an attempt that was not answered before it."""


class Engine:
    """Runs the jobs of some queues in this process. Signals are its owner's business.

    queues       queues to serve; by default those of the settings, else the queues of the tasks and `default`
    concurrency  jobs at a time; by default that of the settings
    hooks        what to do around every attempt
    shared       items of every SAQ function's context
    job_view     makes what SAQ functions find as `ctx["job"]`
    payloads     fetches large arguments from the store; without it, such jobs wait for another worker
    on_stop      called when an operator wants this worker to stop, instead of `request_stop`
    """

    def __init__(  # noqa: PLR0913  # the parts it is made of; all but the first three are named and optional
        self,
        broker: Broker,
        registry: Registry,
        settings: Settings,
        *,
        queues: Sequence[str] = (),
        concurrency: int = 0,
        hooks: Hooks | None = None,
        shared: Mapping[str, Any] | None = None,
        job_view: Callable[[Context], Any] = JobView,
        payloads: Payloads | None = None,
        on_stop: Callable[[], None] | None = None,
        clock: Clock = now_ms,
        random: Random = random_numbers.random,
    ) -> None:
        self.queues = list(queues or settings.queues or registry.queues())
        self.concurrency = concurrency or settings.concurrency
        self._on_stop = on_stop or self.request_stop
        self._broker = broker
        self._registry = registry
        self._settings = settings
        self._hooks = hooks or Hooks()
        self._shared = shared or {}
        self._job_view = job_view
        self._payloads = payloads or Payloads()
        self._clock = clock
        self._random = random
        self._threads = Threads()
        self._pool = Pool(lambda: modules(self._registry), log_json=settings.log_json)
        self._slots = Slots(self.concurrency)
        self._plan = Plan(registry, self.queues, settings.lease_s, settings.renew_s, self._terms, self._apply)
        self._opened = asyncio.Event()
        self._stop = asyncio.Event()
        self._session: Session | None = None
        self._tenure: Tenure | None = None
        self._pulse: Pulse | None = None
        self._wish = WorkerWish()
        self._working: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def session_id(self) -> str | None:
        """Id under which the API lists this worker; None while it has no lease."""
        return self._session.id if self._session else None

    def health(self) -> list[Health]:
        """Tell whether the worker holds its lease and its parts do what they have to."""
        session, pulse = self._session, self._pulse
        if self._stop.is_set():
            return [Health("worker", False, "The worker stops.")]
        if session is None or pulse is None:
            return [Health("worker", False, "The worker has no lease; it waits for Redis.")]
        unrenewed_s = monotonic() - session.renewed_s
        if unrenewed_s > self._settings.renew_s + RENEWAL_S:
            return [Health("worker", False, f"The lease has not been renewed for {unrenewed_s:.0f} seconds.")]
        for still_s, what in pulse.still():
            if still_s > STUCK_S:
                return [Health("worker", False, f"{what} for {still_s:.0f} seconds.")]
        return [Health("worker", True, f"The worker runs {amount(len(pulse.running), 'job')}.")]

    async def start(self) -> None:
        """Begin to work; returns once the worker has its lease, so it waits while Redis is away, or is to stop.

        Raises TaskInvalid for a task that is to run in a process of its own and cannot.
        """
        isolated = [locate(task) for task in self._registry if task.isolated]
        if isolated:
            self._pool.prepare()
        self._working = asyncio.create_task(self._work())
        events = [asyncio.create_task(event.wait()) for event in (self._opened, self._stop)]
        try:
            await asyncio.wait([self._working, *events], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in events:
                await end(waiting)

    def request_stop(self) -> None:
        """Ask `run_until_stopped` to stop; may be called by a handler of signals."""
        self._stop.set()

    async def run_until_stopped(self) -> None:
        """Work until `request_stop` or `stop` is called, or this is cancelled; then stop in order."""
        try:
            if self._working is None:
                await self.start()
            stop = asyncio.create_task(self._stop.wait())
            await asyncio.wait([stop, *([self._working] if self._working else [])], return_when=asyncio.FIRST_COMPLETED)
            await end(stop)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Reserve no more, let what runs end for at most `grace_s`, give back the rest. Stopping twice is allowed.

        Cancelling this call does not cancel the transitions of the jobs that end.
        """
        self._stop.set()
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        working, tenure = self._working, self._tenure
        if working is not None and tenure is None:
            await end(working)
        elif working is not None and tenure is not None:
            await tenure.drain(self._settings.grace_s)
            # What is finished has until the lease would run out; after that it is the reaper's anyway.
            await asyncio.wait([working], timeout=self._settings.lease_s)
            working.cancel()
        if working is not None:
            await asyncio.wait([working])
        self._threads.close()
        await self._pool.close()
        log.info("worker.stopped")

    async def _work(self) -> None:
        pulse = self._pulse = Pulse(self._slots, lambda: self._plan.queues, self._clock)
        while not self._stop.is_set():
            session = self._session = await self._open()
            if self._stop.is_set():
                await session.close()
                break
            self._plan.suspects_apart = self._suspects_apart()
            tenure = self._tenure = Tenure(session, self._plan, self._slots, pulse)
            self._opened.set()
            try:
                await tenure.run()
            except* Exception:  # a fault of ours or of Redis: its jobs are left to the reaper, work goes on
                log.exception("worker.session_failed", session=session.id)
                await asyncio.sleep(RETRY_S)
            finally:
                self._session = self._tenure = None

    async def _open(self) -> Session:
        """Open a session, however long that takes."""
        waiting = False
        while True:
            try:
                # With what operators wished, so that whoever wishes something next adds to it.
                wish = self._wish if self._wish != WorkerWish() else None
                session = await self._broker.open_session(self._info(), wish)
            except Exception as error:  # whatever it is: a worker that ended here would leave nobody to say so
                if not waiting:
                    level = INFO if isinstance(error, EpochChanged | QueueFull) else WARNING
                    log.log(level, "worker.waits_for_broker", reason=str(error))
                waiting = True
                await asyncio.sleep(RETRY_S)
            else:
                log.info("worker.started", session=session.id, queues=self.queues, concurrency=self.concurrency)
                return session

    def _apply(self, wish: WorkerWish) -> None:
        """Become what operators want this worker to be like."""
        if wish == self._wish:
            return
        self._wish = wish
        if wish.stop:
            self._on_stop()
            return
        self._slots.most = wish.concurrency or self.concurrency
        self._slots.quiet = wish.quiet
        self._plan.queues = list(wish.queues or self.queues)
        log.info("worker.changed", concurrency=self._slots.most, queues=self._plan.queues, quiet=wish.quiet)
        if self._tenure is not None:
            self._tenure.reconsider()

    def _terms(self, notify: Callable[[Context], None]) -> Terms:
        surroundings = Surroundings(notify, self._shared, self._job_view)
        size_max = self._settings.payload_max_bytes
        return Terms(surroundings, self._hooks, self._threads, self._random, size_max, self._pool, self._payloads)

    def _suspects_apart(self) -> bool:
        """Tell whether every task could as well run in a process without this worker's hooks and shared items."""
        alone = self._hooks == Hooks() and not self._shared.keys() - {"worker"}
        return alone and all(importable(task) for task in self._registry)

    def _info(self) -> WorkerInfo:
        return WorkerInfo(
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version(),
            queues=self.queues,
            tasks=sorted(task.name for task in self._registry),
            concurrency=self.concurrency,
            started_ms=self._clock(),
        )
