"""The signals that end `queueql up`."""

from __future__ import annotations

import asyncio
import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Signals, while the block runs: the first cancels the task that entered it, the next ones set `hurry`."""

    def __init__(self) -> None:
        self.hurry = asyncio.Event()
        self.requested = False
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> Stop:
        self._task = asyncio.current_task()
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _on_signal(self) -> None:
        if self.requested:
            self.hurry.set()
        elif self._task:
            self.requested = True
            self._task.cancel()
