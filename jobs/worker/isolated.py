"""An attempt in a process of its own."""

from __future__ import annotations

import asyncio
import signal
from math import inf
from time import monotonic
from typing import Any

import structlog

from jobs import outcome
from jobs.broker import Reserved
from jobs.context import Interrupt, Said
from jobs.job import Failure
from jobs.task import Task
from jobs.worker.attempt import INSIST_S, Attempt, Terms
from jobs.worker.place import locate
from jobs.worker.pool import Pool
from jobs.worker.process import Died, Process
from jobs.worker.wire import Order, Place, Settled, Stop

log = structlog.get_logger(__name__)

SUSPECT_CRASHES = 2
"""A job that has lost its process so often runs in a fresh one, which no other job runs in."""
KILL_AFTER_S = {Interrupt.CANCEL: 0.5, Interrupt.TIMEOUT: 2.0, Interrupt.RELEASE: 2.0, Interrupt.LOST: 0.0}
"""How long a task may take to end once it was told to. With a lease that is renewed every second, a cancelled job
has ended 2 seconds after the request."""


class Isolated(Attempt):
    """The worker's side of it. The child decides how the attempt ends, unless it is killed or ends by itself."""

    __slots__ = ("_child", "_hiring", "_killing")

    def __init__(self, reserved: Reserved, task: Task[..., Any], terms: Terms) -> None:
        super().__init__(reserved, task, terms)
        self._hiring: asyncio.Task[Process] | None = None
        self._child: Process | None = None
        self._killing: asyncio.TimerHandle | None = None

    async def run(self) -> outcome.Outcome | None:
        """Run the task in a process and return how it ended; None where that is of no interest any more."""
        if self.interrupt is not None:
            return self._ended_early(None)
        hooks = self._terms.hooks
        try:
            if hooks.before is not None:
                await hooks.before(self.context)
            ended = await self._in_process()
            if hooks.after is not None and isinstance(ended, outcome.RetryLater | outcome.Die | outcome.Crash):
                self.context["exception"] = RuntimeError(f"{ended.error.type}: {ended.error.message}")
        except GeneratorExit:
            if self._is_closed():
                raise
            ended = self._raised(RuntimeError("A hook raised GeneratorExit."))
        except BaseException as error:  # of the hook, or of the start of a process
            ended = self._raised(error)
            if hooks.after is not None:
                self.context["exception"] = error
        if hooks.after is not None:
            await self._after(hooks.after)
        return ended

    async def _in_process(self) -> outcome.Outcome | None:
        pool, suspect = self._terms.pool, self.reserved.crashes >= SUSPECT_CRASHES
        assert pool is not None  # noqa: S101  # a worker has one
        order = self._order(locate(self.task))
        child = await self._hire(pool, fresh=suspect)
        if child is None:
            return self._ended_early(None)
        try:
            ended = await child.run(order, self._hear)
            self.cpu_us = child.cpu_us
        finally:
            self._child = None
            if self._killing is not None:
                self._killing.cancel()
            if suspect or self.interrupt is not None:  # what was interrupted may go on in a thread
                pool.kill(child)
            else:
                pool.give_back(child)
        if self.interrupt is Interrupt.LOST:
            return None
        if not isinstance(ended, Died):
            return ended
        return outcome.Crash(_crash(ended)) if self.interrupt is None else self._ended_early(None)

    async def _hire(self, pool: Pool, *, fresh: bool) -> Process | None:
        """Get a process; None where the attempt was told to end meanwhile. Raises NotStarted."""
        self.deadline = inf  # the start of a process is not the task's time
        hiring = self._hiring = asyncio.create_task(pool.hire(fresh=fresh))
        await asyncio.wait([hiring])
        self._hiring = None
        if self.interrupt is not None:
            if not hiring.cancelled() and hiring.exception() is None:
                pool.give_back(hiring.result())
            return None
        self._child = hiring.result()
        self.begun_s = monotonic()
        self.deadline = self.begun_s + (self.reserved.spec.timeout_s or inf)
        return self._child

    def _order(self, place: Place) -> Order:
        reserved = self.reserved
        return Order(
            place=place,
            spec=reserved.spec,
            run=reserved.run,
            attempt=reserved.attempt,
            uncharged=reserved.uncharged,
            checkpoint=reserved.checkpoint,
            result_max_bytes=self._terms.result_max_bytes,
        )

    def _hear(self, said: Said) -> None:
        receipt = self.context.relay(said)
        if receipt is not None:
            receipt.add_done_callback(lambda done: self._settled(said.saves, done.result()))

    def _settled(self, saves: int, why_not: Interrupt | None) -> None:
        if self._child is not None:  # else its process may have another job by now, which counts from 1 as well
            self._child.tell(Settled(saves, why_not))

    # From outside

    def _cancel(self) -> None:
        if self._hiring is not None:
            self._hiring.cancel()
        elif self._child is not None and self.interrupt is not None:
            self._child.tell(Stop(self.interrupt))
            if self._killing is not None:
                self._killing.cancel()
            later_s = KILL_AFTER_S[self.interrupt]
            self._killing = asyncio.get_running_loop().call_later(later_s, self._kill, self._child)
        elif self.runner is not None:
            self.runner.cancel()

    def _kill(self, child: Process) -> None:
        log.info("worker.process_killed", why=self.interrupt, job=self.reserved.id, task=self.task.name)
        if self.interrupt is not Interrupt.LOST:
            self.context.warning("Its process was killed: it had been told to end and went on.", why=self.interrupt)
        if self._terms.pool is not None:
            self._terms.pool.kill(child)

    def overdue(self, now: float) -> None:
        """Deal with a deadline that has passed."""
        if self.interrupt is None:
            self.end_early(Interrupt.TIMEOUT)
        else:
            self._cancel()
        self.deadline = now + INSIST_S


def _crash(died: Died) -> Failure:
    if died.code is None:
        how = "ended together with the one that it was forked from"
    elif died.code >= 0:
        how = f"ended by itself with exit code {died.code}"
    else:
        how = f"was killed by {_name(-died.code)}"
    return Failure(type="CRASHED", message=f"The process of the job {how}.")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
