"""SAQ's Worker over our engine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import redis.exceptions
import saq.worker
from saq.job import Status
from saq.types import CtxType, FunctionsType

from jobs.broker.scripts import translate
from jobs.context import Context, Interrupt
from jobs.ending import end
from jobs.errors import EpochChanged, Unavailable
from jobs.probe import Health
from jobs.saq.cron import planned
from jobs.saq.function import registry_of
from jobs.saq.job import RunningJob, running_job
from jobs.saq.queue import Queue
from jobs.task import Registry
from jobs.worker import Engine, Hooks

logger = logging.getLogger("saq")

UPKEEP_ENDS_S = 1.0
"""How long a turn of upkeep may take to end when the worker stops."""


class Worker(saq.worker.Worker[CtxType]):
    """A `saq.Worker` whose jobs run in our engine: `Worker(queue, functions=[f, ("name", g)])`.

    Takes what SAQ's Worker takes, and as functions also a Registry of tasks; `queues` names further
    queues to serve. Hooks, context, cron jobs, statistics and timers are SAQ's. Different is:

    - A job that is aborted hears of it with the lease, within about a second: the timer `abort` has no effect.
    - A worker that dies is noticed by its lease: a job's `heartbeat` has no effect.
    - What does not end in `shutdown_grace_period_s` is given back, and that attempt does not count.
    - With `concurrency` 0 it runs no jobs and does the upkeep of the queue, as SAQ's own does.
    - With `burst`, and where `process` is called by hand, jobs run one by one as in SAQ's own worker.

    Raises TypeError where the queue is not one of ours.
    """

    def __init__(
        self, queue: Queue, functions: FunctionsType[CtxType] | Registry, *, queues: Sequence[str] = (), **options: Any
    ) -> None:
        if not isinstance(queue, Queue):
            raise TypeError(f"This worker needs a jobs.saq.Queue, not a {type(queue).__name__}.")
        if isinstance(functions, Registry):
            functions = [(task.name, task) for task in functions]
        super().__init__(queue, functions, **options)
        self._names = list(dict.fromkeys([queue.name, *queues]))
        self._queues = {queue.name: queue}
        self._engine: Engine | None = None
        self._upkeep: list[asyncio.Task[None]] = []

    # Start and stop

    async def start(self) -> None:
        """Work until `stop` is called, a signal comes, or this is cancelled. Raises RedisUnreachable, RedisEvicts."""
        if self.burst:
            await super().start()
            return
        logger.info("Worker starting: %r", self.queue)
        self.event = asyncio.Event()
        async with self._stop_lock:
            self._stopped = False
        loop = asyncio.get_running_loop()
        for number in self.SIGNALS:
            loop.add_signal_handler(number, self.event.set)
        try:
            for hook in self.startup or ():
                await hook(self.context)
            if self.concurrency:
                self._engine = await self._open_engine()
                await self._start_engine(self._engine)
            self._upkeep = await self.upkeep()
            await self.event.wait()
        except asyncio.CancelledError:
            pass  # as in SAQ: cancelling is one way to stop
        finally:
            logger.info("Worker shutting down")
            await self.stop()
            for number in self.SIGNALS:
                loop.remove_signal_handler(number)

    async def _start_engine(self, engine: Engine) -> None:
        """Start it, unless this is to stop while Redis keeps it waiting."""
        starting, stopping = asyncio.create_task(engine.start()), asyncio.create_task(self.event.wait())
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if self.event.is_set():
                await engine.stop()
            await starting
        finally:
            await end(stopping)
            await end(starting)

    async def health(self) -> list[Health]:
        """Tell whether the worker makes progress and Redis answers. Never raises."""
        broker = await self._our_queue().broker()
        if not self.concurrency:
            return [await broker.health()]
        engine = self._engine.health() if self._engine else [Health("worker", False, "The worker starts.")]
        return [*engine, await broker.health()]

    async def _open_engine(self) -> Engine:
        queue = self._our_queue()
        broker = await queue.broker()
        broker.worker_id, broker.on_ended = self.id, queue.count_ended
        hooks = Hooks(
            before=self._before if self.before_process else None,
            after=self._after if self.after_process else None,
        )
        return Engine(
            broker,
            registry_of(self.functions, queue.dump, queue.load),
            queue.settings.model_copy(update={"grace_s": float(self._shutdown_grace_period_s or 0)}),
            queues=self._names,
            concurrency=self.concurrency,
            hooks=hooks,
            shared=self.context,
            job_view=self._job_view,
            payloads=queue.payloads,
            on_stop=self.event.set,
        )

    def _our_queue(self) -> Queue:
        assert isinstance(self.queue, Queue)  # noqa: S101  # tells mypy what the constructor checked
        return self.queue

    async def stop(self) -> None:
        """Reserve no more, let jobs end within the grace, give back the rest, and call the shutdown hooks."""
        self.event.set()
        upkeep, self._upkeep = self._upkeep, []
        if upkeep:
            _, late = await asyncio.wait(upkeep, timeout=UPKEEP_ENDS_S)
            for task in late:
                task.cancel()
        if self._engine is not None:
            await self._engine.stop()  # whoever calls this waits for it, `start` too
        await super().stop()

    # Around a job

    def _job_view(self, context: Context) -> RunningJob:
        queue = self._queues.get(context.queue)
        if queue is None:
            queue = self._queues[context.queue] = self._our_queue().sibling(context.queue)
        job = running_job(queue, context)
        job.worker_id = self.id
        return job

    async def _before(self, context: Context) -> None:
        await self._before_process(context)  # type: ignore[arg-type]  # a mapping, as SAQ's context is

    async def _after(self, context: Context) -> None:
        job: RunningJob = context["job"]
        job.status = _ending(context)
        await self._after_process(context)  # type: ignore[arg-type]  # as above

    # Upkeep

    async def upkeep(self) -> list[asyncio.Task[None]]:
        """Start what is done from time to time."""
        if self.burst:
            return await super().upkeep()
        sweep, info = self.timers["sweep"], self.timers["worker_info"]
        return [
            asyncio.create_task(self._every(self.timers["schedule"], self.schedule)),
            asyncio.create_task(self._every(sweep, lambda: self.queue.sweep(sweep))),
            asyncio.create_task(self._every(info, lambda: self.worker_info(info + 1))),
        ]

    async def _every(self, pause_s: float, call: Callable[[], Awaitable[Any]]) -> None:
        while not self.event.is_set():
            try:
                await call()
            except Exception as error:  # the next turn may succeed
                if _is_away(error):  # the lease of the engine reports it already
                    logger.debug("Upkeep waits for Redis: %s", error)
                else:
                    logger.exception("Upkeep task failed unexpectedly")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.event.wait(), pause_s)

    async def schedule(self, lock: int = 1) -> None:
        """Enqueue the next tick of each cron job, by the clock of Redis, and make runnable what is due."""
        if self.cron_jobs:
            queue = self._our_queue()
            now_ms = await (await queue.broker()).now_ms()
            start = datetime.fromtimestamp(now_ms / 1000, self.cron_tz)
            for cron_job in self.cron_jobs:
                await queue.enqueue(**planned(cron_job, start, queue.dump))
        await self.queue.schedule(lock)


def _is_away(error: Exception) -> bool:
    """Tell whether Redis does not answer, refuses to work for now, or has just come back."""
    if isinstance(error, redis.exceptions.RedisError):
        error = translate(error)
    return isinstance(error, Unavailable | EpochChanged)


def _ending(context: Context) -> Status:
    """Return the status that the job is about to have."""
    if context.interrupt is Interrupt.CANCEL:
        return Status.ABORTED
    if context.interrupt is not None:
        return Status.QUEUED
    if "exception" in context:
        return Status.FAILED if context.is_last_attempt else Status.QUEUED
    return Status.COMPLETE
