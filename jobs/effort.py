"""Whether work that is left to threads and child processes goes on: seen by the processor time that they take.

Whoever waits for such work says so by `Effort.expected()`, whoever does a part of it by `of_thread` or `of_process`.
What is frozen, or waits for a lock or a disk that does not answer, takes none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import psutil

Clock = Callable[[], float]
_expected: ContextVar[Effort | None] = ContextVar("effort", default=None)
_clock_of_thread: Callable[[int], int] | None = getattr(time, "pthread_getcpuclockid", None)  # not on macOS


class Effort:
    """What the threads and child processes do that a piece of work has now."""

    def __init__(self) -> None:
        self._clocks: dict[object, Clock] = {}
        self._seen: dict[object, float] = {}

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Tasks that are made in the block leave work to threads and processes for this."""
        token = _expected.set(self)
        try:
            yield
        finally:
            _expected.reset(token)

    def moved(self) -> bool:
        """Tell whether any of them has begun, ended, or taken processor time since the last call."""
        seen = {one: clock() for one, clock in list(self._clocks.items())}
        moved, self._seen = seen != self._seen, seen
        return moved

    @contextmanager
    def _counting(self, clock: Clock) -> Iterator[None]:
        one = object()
        self._clocks[one] = clock
        try:
            yield
        finally:
            del self._clocks[one]


@contextmanager
def of_thread() -> Iterator[None]:
    """Count what the present thread does in the block, where anybody expects it."""
    effort = _expected.get()
    if effort is None:
        yield
        return
    clock: Clock = time.monotonic  # where a thread has no clock it is taken to go on
    if _clock_of_thread is not None:
        clock = partial(time.clock_gettime, _clock_of_thread(threading.get_ident()))
    with effort._counting(clock):
        yield


@contextmanager
def of_process(pid: int) -> Iterator[None]:
    """Count what a child process does in the block, where anybody expects it."""
    effort = _expected.get()
    if effort is None:
        yield
        return
    with effort._counting(partial(_processor_s, pid)):
        yield


def _processor_s(pid: int) -> float:
    try:
        used = psutil.Process(pid).cpu_times()
    except psutil.Error:  # it has ended
        return -1.0
    return float(used.user + used.system)
