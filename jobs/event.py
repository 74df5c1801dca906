"""Events: what happened to a job. The Lua scripts emit them, the recorder and the feed read them.

One entry of the stream is one call of a script: its epoch and a msgpack array of events, each event
an array `[kind, job, version, at_ms, ...]` in the order of the fields below. Absent text is "".
"""

from __future__ import annotations

import msgspec

from jobs.job import LogLevel, Priority, Reason, State


class Event(msgspec.Struct, frozen=True, array_like=True):
    """Base of all events: the job, its version after the change, and the time of Redis."""

    job: str
    version: int
    at_ms: int


class Enqueued(Event, tag="enqueued", frozen=True, array_like=True):
    """The broker has the job. `spec` is its JSON where the store does not know it (MEMORY), else ""."""

    run: int
    state: State
    queue: str
    task: str
    priority: Priority
    due_ms: int
    recovered: bool
    """True where the job was put back after Redis had lost it."""
    spec: str


class Due(Event, tag="due", frozen=True, array_like=True):
    """Its time has come: from SCHEDULED or RETRYING to QUEUED."""

    run: int


class Started(Event, tag="started", frozen=True, array_like=True):
    """A worker began an attempt."""

    run: int
    attempt: int
    worker: str


class Progressed(Event, tag="progressed", frozen=True, array_like=True):
    """The task reported progress (`progress` is JSON of Progress). The version is not raised."""

    run: int
    attempt: int
    progress: str
    checkpoint: str = ""
    """JSON that the next attempt begins with, where the task saved one now."""


class Logged(Event, tag="logged", frozen=True, array_like=True):
    """The task wrote a log line. The version is not raised."""

    run: int
    attempt: int
    level: LogLevel
    message: str
    context: str
    """JSON object or ""."""
    stack: str


class Completed(Event, tag="completed", frozen=True, array_like=True):
    """The attempt ran to its end; `result` is JSON.

    `cpu_us`, here and below, is the processor time that the attempt took in microseconds, where it is known.
    """

    run: int
    attempt: int
    result: str
    cpu_us: int | None = None


class RetryingLater(Event, tag="retrying", frozen=True, array_like=True):
    """The attempt failed and the next one may begin at `due_ms`; `error` is JSON of Failure."""

    run: int
    attempt: int
    due_ms: int
    error: str
    cpu_us: int | None = None


class Snoozed(Event, tag="snoozed", frozen=True, array_like=True):
    """The task asked to be run again at `due_ms`."""

    run: int
    attempt: int
    due_ms: int
    cpu_us: int | None = None


class Released(Event, tag="released", frozen=True, array_like=True):
    """A stopping worker gave the job back; it is QUEUED again."""

    run: int
    attempt: int
    cpu_us: int | None = None


class Reaped(Event, tag="reaped", frozen=True, array_like=True):
    """The process that ran the job is gone, or lost its lease; the job is QUEUED again."""

    run: int
    attempt: int
    crashes: int
    worker: str
    error: str = ""
    """JSON of Failure, where more is known than that the worker is lost."""


class Died(Event, tag="died", frozen=True, array_like=True):
    """The job is DEAD. `attempt` is the attempt that ended with it, 0 where none was running."""

    run: int
    attempt: int
    reason: Reason
    error: str
    """JSON of Failure."""
    cpu_us: int | None = None


class CancelRequested(Event, tag="cancel_requested", frozen=True, array_like=True):
    """Somebody asked for a running job to be cancelled."""

    run: int


class Cancelled(Event, tag="cancelled", frozen=True, array_like=True):
    """The job is CANCELLED. `attempt` is the attempt that ended with it, 0 where none was running."""

    run: int
    attempt: int
    cpu_us: int | None = None


class Quarantined(Event, tag="quarantined", frozen=True, array_like=True):
    """What Redis had of the job could not be read and was set aside; the job is put back from history.

    `run` is 0 where even that could not be read.
    """

    run: int
    reason: str
    record: str
    """What was found, as JSON: the type of the key, and its content as far as it is text."""


JobEvent = (
    Enqueued
    | Due
    | Started
    | Progressed
    | Logged
    | Completed
    | RetryingLater
    | Snoozed
    | Released
    | Reaped
    | Died
    | CancelRequested
    | Cancelled
    | Quarantined
)


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in the history of all events: ordered by epoch, then by entry of the stream, then within it.

    Cursors of subscriptions and the recorder's bookmark are positions.
    """

    epoch: int
    ms: int
    seq: int
    index: int
    """Of the event within its entry; the bookmark of a whole entry is that of its last event."""

    def __str__(self) -> str:
        return f"{self.epoch}-{self.ms}-{self.seq}-{self.index}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read what `str()` wrote. Raises ValueError for anything else."""
        epoch, ms, seq, index = (int(part) for part in text.split("-"))
        return cls(epoch, ms, seq, index)

    @property
    def entry(self) -> str:
        """The stream id that Redis knows this place by."""
        return f"{self.ms}-{self.seq}"


START = Position(0, 0, 0, 0)
"""Before every event."""
