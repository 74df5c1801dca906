"""What the kernel says of each process, a hundred times a second: processor time and memory, from /proc."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path

EVERY_S = 0.01
SLOW_S = 0.5
"""How often it looks while no snapshot is near."""
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME = 11, 12
"""Places in /proc/PID/stat behind the name of the process."""

_at = itemgetter(0)


class Vitals:
    """Looks again and again, in a thread of its own. `with vitals:`"""

    def __init__(self, pids: Callable[[], Sequence[int]]) -> None:
        self._pids = pids
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vitals", daemon=True)
        self._of: dict[int, list[tuple[float, float, float, int]]] = defaultdict(list)
        """By process: when it was looked at, from and to, how long it had used a processor, its memory."""
        self.near = False
        """Whether a snapshot is near."""

    def __enter__(self) -> Vitals:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def knows(self, pid: int) -> bool:
        """Tell whether it has looked at it."""
        return pid in self._of

    def busy_s(self, pid: int, since_s: float, until_s: float) -> tuple[float, float]:
        """How long it had used a processor: no less than this by `since_s`, no more than that by `until_s`."""
        looks = self._around(pid, since_s, until_s)
        return looks[0][2], looks[-1][2]

    def memory(self, pid: int, since_s: float, until_s: float) -> tuple[int, int]:
        """Its resident memory in that time, at least and at most."""
        sizes = [look[3] for look in self._around(pid, since_s, until_s)]
        return min(sizes), max(sizes)

    def forget(self, before_s: float) -> None:
        for pid, looks in list(self._of.items()):
            self._of[pid] = looks[bisect_left(looks, before_s, key=_at) :]

    def _around(self, pid: int, since_s: float, until_s: float) -> list[tuple[float, float, float, int]]:
        """The looks of that time, the one before and the one after."""
        looks = self._of[pid]
        first = max(0, bisect_right(looks, since_s, key=itemgetter(1)) - 1)
        return looks[first : bisect_left(looks, until_s, key=_at) + 1]

    def _run(self) -> None:
        due_s, pids = 0.0, list[int]()
        while not self._stop.is_set():
            if time.time() >= due_s:
                due_s, pids = time.time() + 1.0, list(self._pids())
            for pid in pids:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    self._look(pid)
            self._stop.wait(EVERY_S if self.near else SLOW_S)

    def _look(self, pid: int) -> None:
        began_s = time.time()
        parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        busy_s = (int(parts[_UTIME]) + int(parts[_STIME])) * _TICK_S
        self._of[pid].append((began_s, time.time(), busy_s, pages * _PAGE))
