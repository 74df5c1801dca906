"""The worker's side of the processes that jobs run in: started when needed, used again, killed for certain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable

import msgspec
import structlog

from jobs import outcome
from jobs.context import Said
from jobs.worker.nursery import COMMAND, FORK, KILL, NEWS, Setting
from jobs.worker.wire import Ended, FromChild, Order, Ready, Spoke, ToChild, frame, outcome_of, read

log = structlog.get_logger(__name__)

IDLE_MAX = 4
"""Processes that wait for a job; more are started as jobs come, and ended after them."""
START_S = 60.0
"""How long the imports of all tasks and one fork may take."""
LAST_WORDS_S = 0.5
"""A process that is dead may have said something that was not read yet."""
END_S = 5.0
_BOOT = "import sys, json; sys.path[:] = json.loads(sys.argv[2]); from jobs.worker.nursery import begin; "
_BOOT += "begin(int(sys.argv[1]), sys.argv[3])"


class NotStarted(Exception):
    """A process for a job could not be started."""


class Died(msgspec.Struct, frozen=True):
    """The process ended in the middle of a job."""

    code: int | None
    """Its exit code, negative for a signal; None: it went down with the process that it was forked from."""


class Child:
    """One process. It runs one job at a time."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer
        loop = asyncio.get_running_loop()
        self._code: asyncio.Future[int | None] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._result: asyncio.Future[outcome.Outcome | Died] | None = None
        self._hear: Callable[[Said], None] = _unheard
        self.listening = asyncio.create_task(self._listen(), name=f"child {number}")

    @property
    def alive(self) -> bool:
        """True until it is known to have ended."""
        return not self._code.done() and not self.listening.done()

    async def ready(self) -> None:
        """Wait for its start. Raises NotStarted."""
        await asyncio.wait([self._ready, self.listening], return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done():
            raise NotStarted("A process for the job could not be started; the worker's output may say why.")

    async def run(self, order: Order, hear: Callable[[Said], None]) -> outcome.Outcome | Died:
        """Let it run a job; `hear` is called with what the task says."""
        self._result, self._hear = asyncio.get_running_loop().create_future(), hear
        self.tell(order)
        if self.listening.done():
            self._settle(Died(self._code.result()))
        try:
            return await self._result
        finally:
            self._result, self._hear = None, _unheard

    def tell(self, message: ToChild) -> None:
        """Send it a message; one that has ended does not hear it."""
        if not self._writer.is_closing():
            self._writer.write(frame(message))

    def dismiss(self) -> None:
        """Let it end; a job that it runs ends with it."""
        self._writer.close()

    async def _listen(self) -> None:
        try:
            while (message := await read(self._reader)) is not None:
                self._take(message)
        except Exception:  # a task has all means to spoil what its process says
            log.exception("pool.child_unreadable")
        self._writer.close()  # which ends it, should it have closed its end by itself
        self._settle(Died(await self._code))

    def _take(self, message: FromChild) -> None:
        match message:
            case Ready() if not self._ready.done():
                self._ready.set_result(None)
            case Spoke(said):
                self._hear(said)
            case Ended():
                self._settle(outcome_of(message))

    def _settle(self, how: outcome.Outcome | Died) -> None:
        if self._result is not None and not self._result.done():
            self._result.set_result(how)

    def ended(self, code: int | None) -> None:
        """Note its end."""
        if not self._code.done():
            self._code.set_result(code)
            # What it forked may hold the wire open; what it has said itself is read by then.
            asyncio.get_running_loop().call_later(LAST_WORDS_S, self._writer.transport.abort)


def _unheard(_said: Said) -> None:
    """Nobody listens: the job has ended."""


class Pool:
    """All processes for jobs of one worker, and the nursery that forks them."""

    def __init__(self, modules: Callable[[], Iterable[str]], *, log_json: bool = False) -> None:
        self._modules = modules
        self._log_json = log_json
        self._children: dict[int, Child] = {}
        self._idle: list[Child] = []
        self._number = 0
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._news = b""
        self._past: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        """Start the nursery, which imports the tasks meanwhile, unless it runs."""
        if self._nursery is not None:
            return
        self._past = [nursery for nursery in self._past if nursery.poll() is None]
        ours, theirs = socket.socketpair()
        level = logging.getLogger("jobs").getEffectiveLevel() if structlog.is_configured() else 0
        setting = Setting(
            parent=os.getpid(),
            modules=sorted(set(self._modules())),
            log_level=logging.getLevelName(level) if level else "",
            log_json=self._log_json,
        )
        with theirs:
            self._nursery = subprocess.Popen(  # noqa: S603  # our own interpreter
                [sys.executable, "-P", "-c", _BOOT, str(theirs.fileno()), json.dumps(sys.path),
                 msgspec.json.encode(setting).decode()],
                stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        ours.setblocking(False)
        self._control, self._news = ours, b""
        asyncio.get_running_loop().add_reader(ours, self._hear)

    async def hire(self, *, fresh: bool = False) -> Child:
        """Return a process that waits for a job: a new one where none does, or where `fresh` is asked for.

        Raises NotStarted.
        """
        while self._idle and not fresh:
            child = self._idle.pop()
            if child.alive:
                return child
        child = await self._fork()
        try:
            async with asyncio.timeout(START_S):
                await child.ready()
        except TimeoutError:
            self.kill(child)
            raise NotStarted(f"A process for the job was not ready within {START_S:.0f} s.") from None
        except BaseException:
            self.kill(child)
            raise
        return child

    async def _fork(self) -> Child:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            self.prepare()
            assert self._control is not None  # noqa: S101  # prepare() has made it
            self._number += 1
            child = self._children[self._number] = Child(self._number, reader, writer)
            try:
                socket.send_fds(self._control, [COMMAND.pack(FORK, child.number)], [theirs.fileno()])
            except OSError:  # the nursery has ended; what it leaves is told to all its children
                log.exception("pool.not_forked")
                self._ended(child.number, None)
        return child

    def give_back(self, child: Child) -> None:
        """Take a process whose job has ended: it waits for the next one, unless enough do."""
        if child.alive and len(self._idle) < IDLE_MAX and self._control is not None:
            self._idle.append(child)
        else:
            child.dismiss()

    def kill(self, child: Child) -> None:
        """Kill a process and all that it has started."""
        if self._control is not None and child.alive:
            with contextlib.suppress(OSError):
                self._control.send(COMMAND.pack(KILL, child.number))

    def _hear(self) -> None:
        """Read which children have ended; nothing at all: the nursery has."""
        assert self._control is not None  # noqa: S101  # it is what was read
        with contextlib.suppress(BlockingIOError):
            data = self._control.recv(4096)
            self._news += data
            while len(self._news) >= NEWS.size:
                number, code = NEWS.unpack(self._news[: NEWS.size])
                self._news = self._news[NEWS.size :]
                self._ended(number, code)
            if not data:
                log.warning("pool.nursery_ended", children=len(self._children))
                self._forget_nursery()

    def _forget_nursery(self) -> None:
        """Its children go down with it."""
        control, self._control = self._control, None
        if control is not None:
            asyncio.get_running_loop().remove_reader(control)
            control.close()
        if self._nursery is not None:
            self._past.append(self._nursery)
            self._nursery = None
        for number in list(self._children):
            self._ended(number, None)

    def _ended(self, number: int, code: int | None) -> None:
        child = self._children.pop(number, None)
        if child is not None:
            child.ended(code)
            if child in self._idle:
                self._idle.remove(child)

    async def close(self) -> None:
        """End all processes; jobs that still run in them end with them."""
        children = list(self._children.values())
        for child in children:
            child.dismiss()
        self._forget_nursery()
        for nursery in self._past:
            try:
                await asyncio.to_thread(nursery.wait, END_S)
            except subprocess.TimeoutExpired:
                nursery.kill()
                await asyncio.to_thread(nursery.wait)
        self._past.clear()
        await asyncio.gather(*(child.listening for child in children))
