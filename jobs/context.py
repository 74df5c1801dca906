"""What a running task is given: who it is, and ways to say how it goes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping
from enum import StrEnum
from math import isfinite
from typing import Any, ClassVar

import msgspec
import pydantic_core

from jobs.clock import now_ms
from jobs.job import JobSpec, LogLevel, Progress
from jobs.job_view import JobView
from jobs.retry import MESSAGE_MAX, readable, stack

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


class Interrupt(StrEnum):
    """Why a running task is to end early."""

    CANCEL = "CANCEL"
    """Somebody cancelled the job."""
    TIMEOUT = "TIMEOUT"
    """It has run for longer than its timeout."""
    RELEASE = "RELEASE"
    """The worker stops and gives the job back."""
    LOST = "LOST"
    """The worker's lease ran out; another worker may run the job by now."""


class Interrupted(Exception):
    """Raised by `Context.check` in a task that is to end early; let it pass."""

    def __init__(self, interrupt: Interrupt) -> None:
        super().__init__(f"The task is to end early: {interrupt}.")
        self.interrupt = interrupt


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


class Said(msgspec.Struct, frozen=True):
    """What a task has reported since it was last asked."""

    progress: Progress | None
    lines: list[Line]


class Surroundings(msgspec.Struct, frozen=True):
    """What the contexts of one worker have in common."""

    notify: Callable[[Context], None]
    """Called, from any thread, when a context has something to report."""
    shared: Mapping[str, Any] = {}
    """Items that every SAQ function finds in its context."""
    job_view: Callable[[Context], Any] = JobView
    """Makes what a SAQ function finds as `ctx["job"]`."""


class Context(MutableMapping[str, Any]):
    """One attempt, as the task that runs it sees it.

    Reporting (`progress`, `log` and its short forms) works in coroutines, with or without `await`,
    and in threads. It never waits for Redis: what is reported is sent in batches at
    least every 0.2 seconds and before the attempt ends.

    As a mapping it is the context of a SAQ function: `ctx["job"]`, `ctx["worker"]`, and whatever
    the worker's startup hooks put there.
    """

    is_task_context: ClassVar[bool] = True

    __slots__ = (
        "_around", "_base", "_confessed", "_dropped", "_items", "_lines", "_progress", "_turn",
        "attempt", "failures", "interrupt", "pending", "reported", "run", "spec", "started_ms", "token",
    )  # fmt: skip

    def __init__(self, spec: JobSpec, run: int, attempt: int, failures: int, around: Surroundings) -> None:
        self.spec = spec
        self.run = run
        """1 for the first run; a job that is retried by hand runs again."""
        self.attempt = attempt
        """Number of this attempt within the run, 1 for the first; snoozed and lost ones are counted too."""
        self.failures = failures
        """Attempts that count against `max_attempts`, this one included."""
        self.interrupt: Interrupt | None = None
        """Why the task is to end early; None: it may go on."""
        self.token = ""
        """The worker's right to speak for the job."""
        self.pending = False
        self.reported = False
        self.started_ms = time.time_ns() // 1_000_000
        self._around = around
        self._items: dict[str, Any] | None = None
        self._progress: tuple[float, float, str, str, int] | None = None
        self._base: tuple[float, int] | None = None
        self._lines: deque[Line] | None = None
        self._dropped = self._confessed = 0
        self._turn = 0.0

    # Who the job is

    @property
    def job_id(self) -> str:
        """Id of the job."""
        return self.spec.id

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.spec.task

    @property
    def queue(self) -> str:
        """Name of the queue that the job waited in."""
        return self.spec.queue

    @property
    def max_attempts(self) -> int:
        """How many attempts may fail; the last of them ends the job."""
        return self.spec.max_attempts

    @property
    def is_last_attempt(self) -> bool:
        """True where the job is DEAD if this attempt fails."""
        return self.failures >= self.spec.max_attempts

    @property
    def owner(self) -> str | None:
        """Whom the job belongs to, if that was given."""
        return self.spec.owner or None

    @property
    def tags(self) -> tuple[str, ...]:
        """The job's tags."""
        return self.spec.tags

    @property
    def metadata(self) -> dict[str, Any]:
        """What the caller attached to the job."""
        return self.spec.metadata

    @property
    def args(self) -> dict[str, Any]:
        """The arguments as plain JSON values, before they were given their types."""
        decoded: dict[str, Any] = msgspec.json.decode(self.spec.args)
        return decoded

    @property
    def idempotency_key(self) -> str:
        """The same for all attempts of this run: hand it to services that drop repeated requests."""
        return f"{self.spec.id}-{self.run}"

    # Ending early

    @property
    def cancelled(self) -> bool:
        """True once the task is to end early; a thread should look at it now and then."""
        return self.interrupt is not None

    def check(self) -> None:
        """Raise Interrupted once the task is to end early; for threads, which cannot be stopped from outside."""
        if self.interrupt is not None:
            raise Interrupted(self.interrupt)

    # Reporting

    def progress(self, done: float, of: float = 0.0, step: str = "", message: str = "") -> Reported:
        """Report how far the task has come: `await ctx.progress(20, of=100, step="import")`.

        `done` and `of` are in any unit; 0 for `of` means that the total is not known. Only the
        latest report counts, so calling it often is cheap. Raises ValueError for what is not a finite number.
        """
        if not isfinite(done) or not isfinite(of):
            raise ValueError(f"Progress is counted in finite numbers, not {done} of {of}.")
        self._progress = (done, of, step, message, now_ms())
        return self._say()

    def log(self, level: LogLevel, message: str, *, exc_info: BaseException | None = None, **context: Any) -> Reported:
        """Write a line to the job's log: `await ctx.log(LogLevel.INFO, "imported", rows=20)`.

        `context` is stored as JSON, what JSON does not know as its repr; `exc_info` adds the stack of an exception.
        """
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
            self._around.notify(self)
        now = time.monotonic()
        if now - self._turn < TURN_S:
            return _DONE
        first, self._turn = self._turn == 0.0, now
        return _DONE if first else _TURN

    def take(self) -> Said:
        """Hand over what was reported since the last time; for the worker."""
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
        return Said(self._estimated(*latest) if latest else None, lines)

    def _estimated(self, done: float, total: float, step: str, message: str, at_ms: int) -> Progress:
        """Add the estimated end: the rate since the first report, or since the start while there is only one."""
        first, since_ms = self._base or (0.0, self.started_ms)
        if self._base is None:
            self._base = (done, at_ms)
        gained, elapsed_ms = done - first, at_ms - since_ms
        eta_ms = 0
        if total > 0 and gained > 0 and elapsed_ms > 0:
            left_ms = elapsed_ms * max(0.0, total - done) / gained
            eta_ms = at_ms + round(left_ms) if left_ms < ETA_MAX_MS else 0
        return Progress(
            done=float(done), total=float(total), step=readable(str(step), 256),
            message=readable(str(message), MESSAGE_MAX), at_ms=at_ms, eta_ms=eta_ms,
        )  # fmt: skip

    # SAQ's view

    def _own(self) -> dict[str, Any]:
        if self._items is None:
            self._items = {"job": self._around.job_view(self), **self._around.shared}
        return self._items

    def __getitem__(self, key: str) -> Any:
        return self._own()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._own()[key] = value

    def __delitem__(self, key: str) -> None:
        del self._own()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._own())

    def __len__(self) -> int:
        return len(self._own())

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<Context of {self.spec.task} {self.spec.id}, attempt {self.attempt}>"


def _encoded(context: dict[str, Any]) -> str:
    """Write the context of a log line; whatever it holds, the line is not lost."""
    try:
        text = pydantic_core.to_json(context, fallback=repr, inf_nan_mode="strings").decode()
    except Exception:  # values are strangers: their repr may raise anything
        text = msgspec.json.encode({"unreadable": list(context)}).decode()
    if len(text) > CONTEXT_MAX:
        return msgspec.json.encode({"shortened": readable(text, CONTEXT_MAX // 4)}).decode()
    return text
