"""The process of a job: runs one job after another as the worker orders, and tells it everything."""

from __future__ import annotations

import asyncio
import os
import queue
import random
import signal
import socket
import threading
from time import process_time_ns
from typing import NoReturn

import setproctitle

from jobs import outcome
from jobs.broker import Reserved
from jobs.context import Context, Interrupt, Surroundings
from jobs.retry import Budget, after_failure, failure
from jobs.worker.attempt import Attempt, Hooks, Terms
from jobs.worker.place import find
from jobs.worker.threads import Threads
from jobs.worker.wire import Ended, Order, Ready, Settled, Spoke, Stop, ToChild, Wire, ended

IDLE = "queueql job (idle)"


def serve(connection: socket.socket) -> NoReturn:
    """Run what the worker orders until it closes the connection or is gone."""
    os.register_at_fork(after_in_child=_heed_signals)
    setproctitle.setproctitle(IDLE)
    asyncio.run(Child(Wire(connection)).run())
    os._exit(0)


def _heed_signals() -> None:
    """Let a process that a task forks end by a signal, as any other: only the worker ends the task's own."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Child:
    """Runs one attempt at a time, as a worker would."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._outbox: queue.SimpleQueue[tuple[int, Context | Ended]] = queue.SimpleQueue()
        """What is said, and in which job of this process."""
        self._number = 0
        self._orders: asyncio.Queue[Order] = asyncio.Queue(1)
        self._threads = Threads()
        self._busy = False
        self._attempt: Attempt | None = None
        self._told: Interrupt | None = None

    async def run(self) -> NoReturn:
        """Wait for orders for as long as there is a worker."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), name="orders", daemon=True).start()
        threading.Thread(target=self._send, name="reports", daemon=True).start()
        self._wire.send(Ready())
        while True:
            order = await self._orders.get()
            # A task of its own, so that neither context variables nor a cancellation reach the next job.
            await asyncio.wait([asyncio.create_task(self._perform(order), name=order.spec.id)])

    async def _perform(self, order: Order) -> None:
        setproctitle.setproctitle(f"queueql job {order.spec.task} {order.spec.id}")
        how: outcome.Outcome | None = None
        self._number += 1
        begun_ns = process_time_ns()
        try:
            how = await self._run(order)
        finally:
            self._busy, self._attempt = False, None
            setproctitle.setproctitle(IDLE)
            self._outbox.put((self._number, ended(how or outcome.Release(), (process_time_ns() - begun_ns) // 1000)))

    async def _run(self, order: Order) -> outcome.Outcome | None:
        spec = order.spec
        try:
            task = find(order.place, spec.task)
        except BaseException as error:  # a module that fails here fails the attempt
            budget = Budget(order.attempt - order.uncharged, spec.max_attempts, spec.backoff)
            return after_failure(failure(error), budget, random.random)
        number = self._number
        around = Surroundings(lambda context: self._outbox.put((number, context)))
        terms = Terms(around, Hooks(), self._threads, random.random, order.result_max_bytes)
        reserved = Reserved(spec.id, "", order.run, order.attempt, order.uncharged, 0, spec, order.checkpoint)
        attempt = self._attempt = Attempt(reserved, task, terms)
        if self._told is not None:
            attempt.end_early(self._told)
        attempt.runner = asyncio.current_task()
        return await attempt.run()

    def _heed(self, message: ToChild) -> None:
        match message:
            case Order():
                self._busy, self._told = True, None
                self._orders.put_nowait(message)
            case Stop(why):
                self._told = why
                if self._attempt is not None:
                    self._attempt.end_early(why)
            case Settled(saves, why_not):
                if self._attempt is not None:
                    self._attempt.context.settle(saves, why_not)

    # Threads

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        while message := self._wire.read():
            loop.call_soon_threadsafe(self._heed, message)
        if not self._busy:
            os._exit(0)
        os.killpg(0, signal.SIGKILL)  # the worker is gone, and with it the right to run the job

    def _send(self) -> None:
        over = 0
        while True:
            number, item = self._outbox.get()
            if isinstance(item, Ended):
                over = number
                self._wire.send(item)
            elif number <= over:  # said by what the job has left behind: it would be taken for the next job's
                item.interrupt = Interrupt.LOST
            elif item.pending:
                self._wire.send(Spoke(item.take()))
