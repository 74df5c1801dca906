"""Freezing single tasks of asyncio and threads, as a debugger would: what they wait for comes, they do not go on."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Coroutine, Generator, Iterator
from contextvars import ContextVar
from types import CoroutineType, FrameType, MethodType, TracebackType
from typing import Any

from jobs.store import postgres, sqlite

_ENGINES = {postgres.__file__, sqlite.__file__}
LOOK_S = 0.05
_owner: ContextVar[str] = ContextVar("owner", default="")


class Freezer:
    """`with Freezer() as freezer`: tasks made in the block can be frozen, and go on after `thaw`, and after the block.

    So can threads that run a method of ours: between two lines of it, not while something that it calls has a lock.
    A task is known by its owner, which is that of whoever made it (`owned`), and by its name or the function that it
    runs. Nothing is frozen while it waits for the database: a transaction that stays open would freeze others too.
    """

    def __init__(self) -> None:
        self._frozen: set[tuple[str, str]] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._start_thread = threading.Thread.start
        self.stopped: set[tuple[str, str]] = set()
        """What stands still by now, of what is to be frozen: owner and task."""

    def __enter__(self) -> Freezer:
        asyncio.get_running_loop().set_task_factory(self._make)
        # Threads have no factory. A method of this object would not be told which thread it is.
        threading.Thread.start = lambda thread: self._start(thread)  # type: ignore[method-assign,assignment]  # noqa: PLW0108  # see above
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().set_task_factory(None)
        threading.Thread.start = self._start_thread  # type: ignore[method-assign]  # as it was
        self.thaw()

    @staticmethod
    @contextlib.contextmanager
    def owned(owner: str) -> Iterator[None]:
        """What is started in the block, and what that starts, has this owner."""
        token = _owner.set(owner)
        try:
            yield
        finally:
            _owner.reset(token)

    def freeze(self, owner: str, task: str) -> None:
        """Freeze the tasks of this name, or that run the function of this name, those too that are made later."""
        self._frozen.add((owner, task))

    def thaw(self) -> None:
        """Let all of them go on."""
        self._frozen.clear()
        self.stopped.clear()
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def holds(self, owner: str, names: tuple[str, ...]) -> bool:
        """Tell whether a task is to stand still."""
        found = self._frozen.intersection((owner, name) for name in names)
        self.stopped |= found
        return bool(found)

    def wait(self) -> asyncio.Future[None]:
        """Return what a frozen task waits for."""
        thawed = asyncio.get_running_loop().create_future()
        self._waiting.append(thawed)
        return thawed

    def _make(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        if not isinstance(work, CoroutineType):
            return asyncio.Task(work, loop=loop, **options)
        steps = _Steps(work, self)
        steps.task = asyncio.Task(steps, loop=loop, **options)
        return steps.task

    def _start(self, thread: threading.Thread) -> None:
        owner, run, target = _owner.get(), thread.run, getattr(thread, "_target", None)
        if not (owner and isinstance(target, MethodType) and target.__module__.startswith("jobs.")):
            self._start_thread(thread)
            return
        code, name = target.__code__, target.__qualname__

        def stand(frame: FrameType, _event: str, _arg: Any) -> Any:
            if frame.f_code is not code:
                return None
            while self.holds(owner, (name,)):
                time.sleep(LOOK_S)
            return stand

        def traced() -> None:
            sys.settrace(stand)
            run()

        thread.run = traced  # type: ignore[method-assign]  # a trace is set in the thread itself
        self._start_thread(thread)


class _Steps(Coroutine[Any, Any, Any]):
    """The steps of a coroutine, the next of which may have to wait."""

    def __init__(self, work: CoroutineType[Any, Any, Any], freezer: Freezer) -> None:
        self._work = work
        self._freezer = freezer
        self._owner = _owner.get()
        self._error: BaseException | None = None
        self._value: Any = None
        self._is_held = False
        self.task: asyncio.Task[Any] | None = None

    def send(self, value: Any) -> Any:
        if not self._is_held:
            self._value = value
        return self._go_on()

    def throw(self, error: Any, *_rest: Any) -> Any:
        self._error = error
        return self._go_on()

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError  # a task calls send and throw

    def _go_on(self) -> Any:
        self._is_held = self._must_stand() and not _is_in_transaction(self._work)
        if self._is_held:
            thawed = self._freezer.wait()
            thawed._asyncio_future_blocking = True  # as its __await__ does
            return thawed
        error, self._error = self._error, None
        return self._work.throw(error) if error else self._work.send(self._value)

    def _must_stand(self) -> bool:
        name = self.task.get_name() if self.task else ""
        return self._freezer.holds(self._owner, (name, self._work.__qualname__))


def _is_in_transaction(work: Any) -> bool:
    while work is not None:
        frame: FrameType | None = getattr(work, "cr_frame", None) or getattr(work, "ag_frame", None)
        if frame is not None and frame.f_code.co_filename in _ENGINES:
            return True
        work = getattr(work, "cr_await", None) or getattr(work, "ag_await", None)
    return False
