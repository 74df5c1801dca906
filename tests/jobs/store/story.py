"""Events as the broker emits them, in short."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobs import event as events
from jobs.event import JobEvent, Position
from jobs.job import Failure, JobSpec, LogLevel, Progress, Reason, State
from jobs.store import Store

BEGIN_MS = 1_800_000_000_000


def failure(message: str = "boom") -> str:
    return msgspec.json.encode(Failure(type="ValueError", message=message, stack="line 1")).decode()


def progress(done: float, at_ms: int = 0) -> str:
    return msgspec.json.encode(Progress(done=done, total=10, at_ms=at_ms)).decode()


class Tale:
    """What happens to one job: each call is one event, with the next version and a later time."""

    def __init__(self, spec: JobSpec, *, run: int = 1, version: int = 1_000_000, memory: bool = False) -> None:
        self.spec = spec
        self.run = run
        self.version = version
        self.at_ms = BEGIN_MS + version
        self.memory = memory
        self.events: list[JobEvent] = []

    def enqueued(self, *, recovered: bool = False, due_ms: int = 0) -> Tale:
        spec = msgspec.json.encode(self.spec).decode() if self.memory else ""
        state = State.SCHEDULED if due_ms else State.QUEUED
        return self._add(
            events.Enqueued, state, self.spec.queue, self.spec.task, self.spec.priority, due_ms, recovered, spec
        )

    def due(self) -> Tale:
        return self._add(events.Due)

    def started(self, attempt: int = 1, worker: str = "w1") -> Tale:
        return self._add(events.Started, attempt, worker)

    def progressed(self, done: float, attempt: int = 1, checkpoint: str = "") -> Tale:
        return self._add(events.Progressed, attempt, progress(done), checkpoint, raises=False)

    def logged(self, message: str, level: LogLevel = LogLevel.INFO, attempt: int = 1, context: str = "") -> Tale:
        return self._add(events.Logged, attempt, level, message, context, "", raises=False)

    def completed(self, attempt: int = 1, result: str = "42") -> Tale:
        return self._add(events.Completed, attempt, result)

    def retrying(self, attempt: int = 1, due_ms: int = BEGIN_MS * 2) -> Tale:
        return self._add(events.RetryingLater, attempt, due_ms, failure(f"attempt {attempt}"))

    def snoozed(self, attempt: int = 1, due_ms: int = BEGIN_MS * 2) -> Tale:
        return self._add(events.Snoozed, attempt, due_ms)

    def released(self, attempt: int = 1) -> Tale:
        return self._add(events.Released, attempt)

    def reaped(self, attempt: int = 1, crashes: int = 1) -> Tale:
        return self._add(events.Reaped, attempt, crashes, "w1")

    def died(self, attempt: int = 1, reason: Reason = Reason.ATTEMPTS_EXHAUSTED, message: str = "the end") -> Tale:
        return self._add(events.Died, attempt, reason, failure(message))

    def cancel_requested(self) -> Tale:
        return self._add(events.CancelRequested)

    def cancelled(self, attempt: int = 0) -> Tale:
        return self._add(events.Cancelled, attempt)

    def again(self, *, run: int = 1, version: int | None = None) -> Tale:
        """Go on in another run, or after a loss, with versions of a later epoch."""
        self.run = run
        self.version = version if version is not None else self.version
        return self

    def _add(self, kind: type[events.Event], *values: object, raises: bool = True) -> Tale:
        self.version += raises
        self.at_ms += 10
        self.events.append(kind(self.spec.id, self.version, self.at_ms, self.run, *values))  # type: ignore[arg-type]  # each kind has fields of its own
        return self


class Story:
    """Records events as the recorder does, from one position to the next."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ms = BEGIN_MS

    async def record(self, *tales: Tale | Sequence[JobEvent]) -> None:
        """Record what the tales hold, in one batch, and empty them."""
        batch: list[JobEvent] = []
        for tale in tales:
            if isinstance(tale, Tale):
                batch += tale.events
                tale.events = []
            else:
                batch += tale
        old = await self._store.history.position()
        self._ms += 1
        placed = [(Position(1, self._ms, 0, index), event) for index, event in enumerate(batch)]
        await self._store.history.record(placed, old=old, new=Position(1, self._ms, 0, len(batch)))
