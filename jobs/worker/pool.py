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

from jobs.worker.nursery import COMMAND, FORK, KILL, NEWS, Setting
from jobs.worker.process import NotStarted, Process

log = structlog.get_logger(__name__)

IDLE_MAX = 4
"""Processes that wait for a job; more are started as jobs come, and ended after them."""
START_S = 60.0
"""How long the imports of all tasks and one fork may take."""
END_S = 5.0
BOOT = "import sys, json; sys.path[:] = json.loads(sys.argv[2]); from jobs.worker.nursery import begin; "
BOOT += "begin(int(sys.argv[1]), sys.argv[3])"


class Pool:
    """All processes for jobs of one worker, and the nursery that forks them."""

    def __init__(self, modules: Callable[[], Iterable[str]], *, log_json: bool = False) -> None:
        self._modules = modules
        self._log_json = log_json
        self._children: dict[int, Process] = {}
        self._idle: list[Process] = []
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
                [sys.executable, "-P", "-c", BOOT, str(theirs.fileno()), json.dumps(sys.path),
                 msgspec.json.encode(setting).decode()],
                stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        ours.setblocking(False)
        self._control, self._news = ours, b""
        asyncio.get_running_loop().add_reader(ours, self._hear)

    async def hire(self, *, fresh: bool = False) -> Process:
        """Return a process that waits for a job: a new one where none does, or where `fresh` is asked for.

        Raises NotStarted.
        """
        if self._idle and not fresh:
            return self._idle.pop()
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

    async def _fork(self) -> Process:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            self.prepare()
            assert self._control is not None  # noqa: S101  # prepare() has made it
            self._number += 1
            child = self._children[self._number] = Process(self._number, reader, writer)
            try:
                socket.send_fds(self._control, [COMMAND.pack(FORK, child.number)], [theirs.fileno()])
            except OSError:  # the nursery has ended; what it leaves is told to all its children
                log.exception("pool.not_forked")
                self._ended(child.number, None)
        return child

    def give_back(self, child: Process) -> None:
        """Take a process whose job has ended: it waits for the next one, unless enough do."""
        if child.alive and len(self._idle) < IDLE_MAX and self._control is not None:
            self._idle.append(child)
        else:
            child.dismiss()

    def kill(self, child: Process) -> None:
        """Kill a process and all that it has started."""
        if self._control is not None and child.alive:
            with contextlib.suppress(OSError):
                self._control.send(COMMAND.pack(KILL, child.number))

    def _hear(self) -> None:
        """Read which children have ended; nothing at all: the nursery has."""
        assert self._control is not None  # noqa: S101  # it is what was read
        try:
            data = self._control.recv(4096)
        except BlockingIOError:
            return
        except OSError:  # it has ended before it read everything
            data = b""
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
