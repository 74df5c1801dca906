"""How much processor time a coroutine takes, although it shares its thread with others."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from time import thread_time_ns
from typing import Any


@types.coroutine
def metered(coroutine: Coroutine[Any, Any, Any], spent: Callable[[int], None]) -> Generator[Any, Any, Any]:
    """Run the coroutine, and say at its end how many nanoseconds of processor time its steps have taken.

    What it starts besides, tasks and threads, is not part of it. A step costs a microsecond more than without.
    """
    taken_ns, value, error = 0, None, None
    try:
        while True:
            begun_ns = thread_time_ns()
            try:
                waits_for = coroutine.send(value) if error is None else coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                taken_ns += thread_time_ns() - begun_ns
            value = error = None
            try:
                value = yield waits_for
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as raised:  # into the coroutine, as Python would without this in between
                error = raised
    finally:
        spent(taken_ns)
