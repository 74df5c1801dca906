"""The process that the processes of jobs are forked from: it imports the tasks once, forks fast, and reaps.

It runs no job and has no thread, so forking is safe, and it notices the end of each child and of the worker at once.
Each child has a process group of its own, which is killed with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import struct
import traceback
from collections.abc import Sequence
from types import FrameType

import msgspec
import setproctitle

from jobs import logs
from jobs.process import ends_with_parent
from jobs.worker import child

FORK, KILL = b"f", b"k"
COMMAND = struct.Struct("!cI")
"""To the nursery: FORK (along with the child's end of its wire) or KILL, and the child's number."""
NEWS = struct.Struct("!Ii")
"""From the nursery: a child's number, and its exit code; negative for a signal."""
NOT_FORKED = 256
"""Exit code of a child that could not be forked."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker tells the nursery at its start."""

    parent: int
    """Process id of the worker."""
    modules: Sequence[str]
    """Modules with tasks."""
    log_level: str
    """Empty: the worker's process has not set a log up, so its children do not either."""
    log_json: bool


def begin(control: int, text: str) -> None:
    """Be the nursery until the worker ends; `control` is the descriptor of the socket to it."""
    setting = msgspec.json.decode(text, type=Setting)
    ends_with_parent(signal.SIGKILL, setting.parent)()
    setproctitle.setproctitle("queueql nursery")
    Nursery(socket.socket(fileno=control), setting).run()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN, this is not passed on to programs that a task starts."""


class Nursery:
    """Forks, kills and reaps children as the worker asks."""

    def __init__(self, control: socket.socket, setting: Setting) -> None:
        self._control = control
        self._setting = setting
        self._numbers: dict[int, int] = {}
        """Number of each child, by process id."""
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waker, False)

    def run(self) -> None:
        """Import the tasks, then do what is asked until the worker is gone."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, _ignore)  # an order for the whole group is the worker's to carry out
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        if self._setting.log_level:
            logs.set_up("job", level=self._setting.log_level, json=self._setting.log_json)
        for module in self._setting.modules:
            try:
                importlib.import_module(module)
            except BaseException:  # the job whose module it is fails with the same error
                traceback.print_exc()
        gc.collect()
        gc.freeze()  # the collector would touch, and so copy, what is shared
        ends_with_parent(signal.SIGHUP, self._setting.parent)()  # from here on it can tidy up before it ends
        try:
            while self._serve():
                pass
        finally:
            for pid in self._numbers:
                _kill(pid)
            for pid in self._numbers:
                os.waitpid(pid, 0)

    def _serve(self) -> bool:
        """Deal with what has come; False: the worker is gone."""
        sources = (self._control.fileno(), self._wake)
        readable, _, _ = select.select(sources, (), ())
        if self._wake in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
            if os.getppid() != self._setting.parent:  # something else may hold the socket to it open
                return False
            self._reap()
        if sources[0] not in readable:
            return True
        try:
            data, fds, _, _ = socket.recv_fds(self._control, COMMAND.size, 1)
        except ConnectionResetError:  # the worker has died before it read everything
            return False
        if not data:
            return False
        command, number = COMMAND.unpack(data)
        if command == FORK:
            os.set_inheritable(fds[0], False)  # by programs that a task starts
            self._fork(number, fds[0])
        else:
            for pid in [pid for pid, known in self._numbers.items() if known == number]:
                _kill(pid)
        return True

    def _fork(self, number: int, wire: int) -> None:
        dies_with_nursery = ends_with_parent(signal.SIGKILL)
        try:
            pid = os.fork()
        except OSError:
            traceback.print_exc()
            os.close(wire)
            self._tell(number, NOT_FORKED)
            return
        if pid == 0:
            try:
                os.setsid()
                dies_with_nursery()
                self._become_child(wire)
            except BaseException:  # nothing may return into the nursery's loop
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(wire)
        self._numbers[pid] = number

    def _become_child(self, wire: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (self._control.detach(), self._wake, self._waker):
            os.close(descriptor)
        child.serve(socket.socket(fileno=wire))

    def _reap(self) -> None:
        for pid in list(self._numbers):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                _kill_group(pid)  # what it has started and left behind
                self._tell(self._numbers.pop(pid), os.waitstatus_to_exitcode(status))

    def _tell(self, number: int, code: int) -> None:
        with contextlib.suppress(OSError):  # the worker is gone, which the next turn notices
            self._control.sendall(NEWS.pack(number, code))


def _kill(pid: int) -> None:
    """Kill a child that is not reaped yet; it may not have a group of its own yet."""
    _kill_group(pid)
    os.kill(pid, signal.SIGKILL)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
