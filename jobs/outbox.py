"""What a running task has said and nobody has carried away yet: progress, log lines, checkpoints.

Whoever carries it (the worker's reporter, or the pipe of a process that runs one task) is notified, calls
`take`, and calls `settle` when a checkpoint has arrived in Redis.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from math import isfinite
from typing import Any

import msgspec
import orjson
import pydantic_core

from jobs.checkpoint import Arrival, Checkpoints, Receipt, in_coroutine
from jobs.clock import now_ms
from jobs.interrupt import Interrupt, Interrupted
from jobs.job import LogLevel, Progress
from jobs.retry import MESSAGE_MAX, readable, stack
from jobs.signature import DIGITS_MAX

ETA_MAX_MS = 10 * 365 * 86_400_000
"""An estimate beyond ten years is none."""
LINES_MAX = 1_000
"""Log lines of one attempt that may wait to be sent; later ones are counted and dropped."""
CONTEXT_MAX = 16_384
"""Longest JSON context of one log line, in characters."""
TURN_S = 0.05
"""A coroutine that does nothing but report lets others run so often."""

Line = tuple[LogLevel, str, str, str, int]
"""Level, message, context as a JSON object or "", stack or "", and when it was written (ms, by this machine)."""
_Told = tuple[float, float, str, str, int, int]


class Said(msgspec.Struct, frozen=True, array_like=True):
    """What a task has reported since it was last asked."""

    progress: Progress | None
    lines: list[Line]
    checkpoint: str = ""
    """JSON that the next attempt is to begin with; comes with progress. "": nothing new."""
    saves: int = 0
    """Where there is a checkpoint: its number, to be handed to `settle`."""


class _Done:
    """Awaiting it returns at once, and it may as well not be awaited."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class _Turn:
    """Awaiting it lets others run first."""

    def __await__(self) -> Generator[None, None, None]:
        yield


Reported = _Done | _Turn
_DONE = _Done()
_TURN = _Turn()


class Outbox:
    """Takes what a task says, from any thread, without waiting for anything but the arrival of a checkpoint."""

    __slots__ = (
        "_base", "_checkpoints", "_confessed", "_dropped", "_interrupt", "_lines", "_notify", "_progress", "_shown",
        "_turn", "pending", "reported", "started_ms",
    )  # fmt: skip

    def __init__(self, notify: Callable[[Any], None], checkpoint: str = "") -> None:
        self.pending = False
        """There is something to take."""
        self.reported = False
        """There has been."""
        self.started_ms = time.time_ns() // 1_000_000
        self._notify = notify
        self._interrupt: Interrupt | None = None
        self._progress: _Told | Progress | None = None
        self._shown: Progress | None = None
        self._base: tuple[float, int] | None = None
        self._lines: deque[Line] | None = None
        self._dropped = self._confessed = 0
        self._turn = 0.0
        self._checkpoints = Checkpoints(checkpoint)

    # Ending early

    @property
    def interrupt(self) -> Interrupt | None:
        """Why the task is to end early; None: it may go on."""
        return self._interrupt

    @interrupt.setter
    def interrupt(self, why: Interrupt | None) -> None:
        self._interrupt = why
        if why is Interrupt.LOST:  # nobody will carry anything any more
            self._checkpoints.settle(why_not=why)

    @property
    def cancelled(self) -> bool:
        """True once the task is to end early; a thread should look at it now and then."""
        return self._interrupt is not None

    def check(self) -> None:
        """Raise Interrupted once the task is to end early; for threads, which cannot be stopped from outside."""
        if self._interrupt is not None:
            raise Interrupted(self._interrupt)

    # Reporting

    def progress(self, done: float, of: float = 0.0, step: str = "", message: str = "", *, failed: int = 0) -> Reported:
        """Report how far the task has come: `await ctx.progress(20, of=100, step="import")`.

        `done` and `of` are in any unit; 0 for `of` means that the total is not known; `failed` of those done
        could not be dealt with. Only the latest report counts, so calling it often is cheap.
        Raises ValueError or TypeError for what is not a finite number.
        """
        if not isfinite(done) or not isfinite(of):
            raise ValueError(f"Progress is counted in finite numbers, not {done} of {of}.")
        # Made what it is to be while the task is the one that hears of a fault: where it is sent, all jobs would.
        self._progress = (float(done), float(of), str(step), str(message), int(failed), now_ms())
        return self._say()

    def log(self, level: LogLevel, message: str, *, exc_info: BaseException | None = None, **context: Any) -> Reported:
        """Write a line to the job's log: `await ctx.log(LogLevel.INFO, "imported", rows=20)`.

        `context` is stored as JSON, what JSON does not know as its repr; `exc_info` adds the stack of an exception.
        Raises ValueError for what is not a level.
        """
        level = LogLevel(level)
        lines = self._lines
        if lines is None:
            lines = self._lines = deque()
        if len(lines) >= LINES_MAX:
            self._dropped += 1
            return self._say()
        trace = stack(exc_info) if exc_info is not None else ""
        encoded = _encoded(context) if context else ""
        lines.append((level, readable(str(message), MESSAGE_MAX), encoded, trace, now_ms()))
        return self._say()

    def debug(self, message: str, *, exc_info: BaseException | None = None, **context: Any) -> Reported:
        """Write a line of level DEBUG."""
        return self.log(LogLevel.DEBUG, message, exc_info=exc_info, **context)

    def info(self, message: str, *, exc_info: BaseException | None = None, **context: Any) -> Reported:
        """Write a line of level INFO."""
        return self.log(LogLevel.INFO, message, exc_info=exc_info, **context)

    def warning(self, message: str, *, exc_info: BaseException | None = None, **context: Any) -> Reported:
        """Write a line of level WARNING."""
        return self.log(LogLevel.WARNING, message, exc_info=exc_info, **context)

    def error(self, message: str, *, exc_info: BaseException | None = None, **context: Any) -> Reported:
        """Write a line of level ERROR."""
        return self.log(LogLevel.ERROR, message, exc_info=exc_info, **context)

    def _say(self) -> Reported:
        # What is new was stored before this flag is read, and take() lowers it before it looks:
        # so nothing stays behind, whichever thread speaks.
        if not self.pending:
            self.pending = self.reported = True
            self._notify(self)
        now = time.monotonic()
        if now - self._turn < TURN_S:
            return _DONE
        first, self._turn = self._turn == 0.0, now
        return _DONE if first else _TURN

    # Checkpoints

    @property
    def checkpoint(self) -> Any:
        """What this attempt, or an earlier one of the same run, saved last, as plain JSON values; None: nothing."""
        return self._checkpoints.value

    def save(self, value: Any) -> Awaitable[None]:
        """Keep any JSON value for the next attempt of this run, which finds it as `ctx.checkpoint`.

        `await ctx.save(page)` returns when Redis has it: what comes after may rely on it. In a function
        that is not a coroutine, `ctx.save(page)` blocks until then. The latest value counts.
        Raises Interrupted where the task is to end early; the value is kept nevertheless, unless the attempt
        is LOST. Raises ValueError or TypeError for what is not JSON of 16 kB at most.
        """
        return self._send(self._checkpoints.keep_value(value))

    def batch(self, name: str) -> bytes | None:
        """Return what was saved with `save_batch` under this name; for `ctx.chunks`."""
        return self._checkpoints.batch(name)

    def save_batch(self, name: str, state: bytes) -> Awaitable[None]:
        """Do as `save` with the state of a batch, in JSON; for `ctx.chunks`."""
        return self._send(self._checkpoints.keep_batch(name, state))

    def _send(self, receipt: Receipt) -> Awaitable[None]:
        self._hurry()
        arrival = Arrival(receipt, self.check)
        if in_coroutine():
            return arrival
        arrival.wait()
        return _DONE

    def _hurry(self) -> None:
        self.pending = self.reported = True
        self._notify(self)  # also where something else was pending already: that may wait, this may not
        if self._interrupt is Interrupt.LOST:  # it may have become so just before
            self._checkpoints.settle(why_not=Interrupt.LOST)

    # For whoever carries it

    @property
    def urgent(self) -> bool:
        """True while a checkpoint is to be taken: somebody waits for its arrival."""
        return self._checkpoints.waiting

    def take(self) -> Said:
        """Hand over what was said since the last time."""
        self.pending = False
        latest, self._progress = self._progress, None
        lines: list[Line] = []
        waiting = self._lines
        while waiting:
            lines.append(waiting.popleft())
        dropped = self._dropped - self._confessed
        if dropped:
            self._confessed += dropped
            lines.append((LogLevel.WARNING, f"{dropped} log lines were dropped: too many at once.", "", "", now_ms()))
        progress = None
        if latest is not None:
            progress = self._shown = latest if isinstance(latest, Progress) else self._estimated(latest)
        if not self._checkpoints.waiting:
            return Said(progress, lines)
        checkpoint, saves = self._checkpoints.take()
        return Said(progress or self._shown or Progress(done=0.0, at_ms=now_ms()), lines, checkpoint, saves)

    def settle(self, saves: int, why_not: Interrupt | None = None) -> None:
        """Tell those who wait that what was taken with this number has arrived in Redis, or why it never will."""
        self._checkpoints.settle(saves, why_not)

    def relay(self, said: Said) -> Receipt | None:
        """Say what was taken from the outbox of the same attempt in another process.

        Returns a receipt where it has a checkpoint.
        """
        if said.progress is not None:
            self._progress = said.progress
        if said.lines:
            self._lines = self._lines or deque()
            self._lines.extend(said.lines)
        if not said.checkpoint:
            self._say()
            return None
        receipt = self._checkpoints.keep_text(said.checkpoint)
        self._hurry()
        return receipt

    def _estimated(self, told: _Told) -> Progress:
        """Add the estimated end: the rate since the first report, or since the start while there is only one."""
        done, total, step, message, failed, at_ms = told
        first, since_ms = self._base or (0.0, self.started_ms)
        if self._base is None:
            self._base = (done, at_ms)
        gained, elapsed_ms = done - first, at_ms - since_ms
        eta_ms = 0
        if total > 0 and gained > 0 and elapsed_ms > 0:
            left_ms = elapsed_ms * max(0.0, total - done) / gained
            eta_ms = at_ms + round(left_ms) if left_ms < ETA_MAX_MS else 0
        return Progress(
            done=done, total=total, failed=failed, step=readable(step, 256),
            message=readable(message, MESSAGE_MAX), at_ms=at_ms, eta_ms=eta_ms,
        )  # fmt: skip


def _encoded(context: dict[str, Any]) -> str:
    """Write the context of a log line; whatever it holds, the line is not lost."""
    try:
        text = pydantic_core.to_json(context, fallback=repr, inf_nan_mode="strings").decode()
        if CONTEXT_MAX >= len(text) > DIGITS_MAX:
            orjson.loads(text)
    except Exception:  # values are strangers: their repr may raise anything
        text = msgspec.json.encode({"unreadable": list(context)}).decode()
    if len(text) > CONTEXT_MAX:
        return msgspec.json.encode({"shortened": readable(text, CONTEXT_MAX // 4)}).decode()
    return text
