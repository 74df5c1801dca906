"""Threads for tasks that are no coroutines."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Work = Callable[[], None]


class Threads:
    """As many threads as there is work at a time; the worker's slots bound it.

    They are daemons, unlike those of concurrent.futures: a thread that does not end cannot keep a
    stopped worker from exiting.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._count = 0

    def submit(self, work: Work) -> None:
        """Run the work, which must not raise, in a thread that is free, or in a new one."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                self._count += 1
                threading.Thread(target=self._serve, name=f"task-{self._count}", daemon=True).start()
        self._work.put(work)

    def _serve(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            work()
            with self._lock:
                self._idle += 1

    def close(self) -> None:
        """Let every thread end after what it does now."""
        with self._lock:
            for _ in range(self._count):
                self._work.put(None)
            self._count = self._idle = 0
