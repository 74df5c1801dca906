"""Processes that were forked from one that had imported everything, and wait to be told to begin.

Importing takes most of a start. Done once instead of in every process, it is short, and the memory is shared.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import setproctitle

from jobs.errors import QueueQLError, StartError
from jobs.process import ends_with_parent

SUPPORTED = sys.platform == "linux"
"""Elsewhere forking is not safe (macOS), or the end of a fork cannot be waited for without a thread."""


_SENTENCE_MAX = 10_000


class Forked:
    """A waiting process; after `begin` it is used like an `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, pipe: int, error: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.said = ""
        """Why it ended, where it could say so in a sentence."""
        self._pipe = pipe
        self._error = error
        self._told = False
        self._ended = asyncio.Event()

    @property
    def pipes(self) -> tuple[int, int]:
        """Its parent's ends of the pipes to it and from it."""
        return self._pipe, self._error

    def begin(self, environ: Mapping[str, str]) -> None:
        """Let it run, with this environment. To be called once, in a running loop."""
        self._told = True
        watched = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(watched, self._reap, watched)
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._pipe, "w") as pipe:
            json.dump(dict(environ), pipe)

    def dismiss(self) -> None:
        """End it without ever letting it run. Does nothing once it has been told to begin, or to end."""
        if self._told:
            return
        self._told = True
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        for pipe in self.pipes:
            os.close(pipe)

    def _reap(self, watched: int) -> None:
        asyncio.get_running_loop().remove_reader(watched)
        os.close(watched)
        _, status = os.waitpid(self.pid, 0)
        os.set_blocking(self._error, False)  # what it started may hold the other end
        with contextlib.suppress(BlockingIOError), os.fdopen(self._error, "rb", buffering=0) as error:
            self.said = (error.read(_SENTENCE_MAX) or b"").decode(errors="replace")
        self.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set()

    async def wait(self) -> int:
        """Wait for its end and return the exit code; negative for a signal."""
        await self._ended.wait()
        return self.returncode or 0

    def terminate(self) -> None:
        """Ask it to end."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGTERM)


def fork(names: Sequence[str], become: Callable[[str], None]) -> dict[str, Forked]:
    """Fork one process per name. Each runs `become(name)` once it is told to begin, and ends with it.

    A QueueQLError that `become` raises is not printed, but kept for whoever waits: several processes may have the
    same one.

    To be called in the main thread of a process that has no other, before it opens anything.
    """
    if not SUPPORTED:
        return {}
    gc.freeze()  # the collector would touch, and so copy, what is shared
    waiting: dict[str, Forked] = {}
    for name in names:
        reader, writer = os.pipe()
        error_reader, error_writer = os.pipe()
        dies_with_parent = ends_with_parent(signal.SIGKILL)
        pid = os.fork()
        if pid == 0:
            for pipe in (writer, error_reader, *(pipe for other in waiting.values() for pipe in other.pipes)):
                os.close(pipe)
            os.setsid()
            dies_with_parent()
            _wait_and_become(name, reader, error_writer, become)
        os.close(reader)
        os.close(error_writer)
        waiting[name] = Forked(pid, writer, error_reader)
    gc.unfreeze()
    return waiting


def _wait_and_become(name: str, reader: int, error_writer: int, become: Callable[[str], None]) -> NoReturn:
    setproctitle.setproctitle(f"queueql {name}")
    code = 1
    try:
        with os.fdopen(reader) as pipe:
            environ = pipe.read()
        if environ:  # otherwise the parent has ended, or thought better of it
            os.environ.clear()
            os.environ.update(json.loads(environ))
            become(name)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except QueueQLError as error:
        os.write(error_writer, str(error).encode(errors="replace")[:_SENTENCE_MAX])
        code = error.exit_code if isinstance(error, StartError) else 1
    except BaseException:  # nothing may return into the parent's code
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
