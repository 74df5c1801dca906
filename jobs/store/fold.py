"""Folding events into jobs and attempts: pure, one event after the other, without any database.

What is older than what a job already shows, and what comes after its final state, has no effect.
"""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from jobs import event as events
from jobs.event import JobEvent
from jobs.job import FINAL, AttemptState, Failure, JobSpec, Reason, State
from jobs.store.rows import clean
from jobs.store.tally import Place, Tally, Was

_FINAL = {str(state) for state in FINAL}
_spec = msgspec.json.Decoder(JobSpec)
_encode = msgspec.json.Encoder().encode
_VERSION_MAX = (1 << 63) - 1
"""Of a bigint."""


class JobRow(msgspec.Struct):
    """The FOLDED columns of a job, in their order."""

    run: int = 1
    version: int = 0
    state: str = "QUEUED"
    attempts: int = 0
    attempt_base: int = 0
    uncharged: int = 0
    crashes: int = 0
    recoveries: int = 0
    progress: str | None = None
    progress_ms: int = 0
    checkpoint: str | None = None
    result: str | None = None
    reason: str | None = None
    error: str | None = None
    worker: str | None = None
    cancel_requested: bool = False
    updated_ms: int = 0
    due_ms: int | None = None
    started_ms: int | None = None
    finished_ms: int | None = None


class AttemptRow(msgspec.Struct):
    """A row of the attempt table, in the order of its columns."""

    job_id: str
    run: int
    number: int
    state: str
    worker: str | None
    started_ms: int
    finished_ms: int | None
    error: str | None
    cpu_us: int | None = None

    def follow(self, later: AttemptRow) -> None:
        """Take over what came later. An attempt ends once; record.py says the same in SQL."""
        if self.state == AttemptState.ACTIVE:
            self.state, self.finished_ms, self.error = later.state, later.finished_ms, later.error
            self.cpu_us = later.cpu_us
            self.worker = later.worker or self.worker
            self.started_ms = min(self.started_ms, later.started_ms)


LogRow = tuple[str, int, int, int, int, str, str | None, str | None]
"""job_id, run, attempt, at_ms, level, message, context, stack"""


class Fold:
    """Jobs as they were stored, and what a batch of events makes of them."""

    def __init__(
        self, stored: dict[str, JobRow], places: dict[str, Place] | None = None, created: dict[str, int] | None = None
    ) -> None:
        self._rows = stored
        self.tally = Tally(places or {}, created or {})
        self.changed: set[str] = set()
        self.new: dict[str, JobSpec] = {}
        """Jobs that only Redis knew (MEMORY)."""
        self.attempts: dict[tuple[str, int, int], AttemptRow] = {}
        self.logs: list[LogRow] = []

    def row(self, job_id: str) -> JobRow:
        """Return the row of a job in `changed` or `new`."""
        return self._rows[job_id]

    def add(self, event: JobEvent) -> None:
        """Fold one event. Events of jobs that nobody knows any more are passed over.

        Raises OverflowError for one whose version no table could hold, also where a later one would replace it.
        """
        if event.version > _VERSION_MAX:
            raise OverflowError(f"The version is {event.version}; {_VERSION_MAX} is the highest there can be.")
        row = self._rows.get(event.job)
        if row is None:
            if not isinstance(event, events.Enqueued) or not event.spec:
                return
            spec = self.new[event.job] = _spec.decode(event.spec)
            self.tally.places[event.job] = (clean(spec.queue), clean(spec.task))
            self.tally.created[event.job] = spec.created_ms
            row = self._rows[event.job] = JobRow(run=event.run)
        was = (row.run, row.version, row.state)
        if isinstance(event, events.Logged):
            self._log(row, event)
        elif isinstance(event, events.Progressed):
            self._progress(row, event)
        elif isinstance(event, events.Quarantined):
            self._quarantined(row, event)
            self.tally.moved(event, was, row)
        elif event.run > row.run or (event.run == row.run and row.state not in _FINAL and _counts(row, event)):
            if event.run > row.run:
                self._lose(row, event)
                _begin_run(row, event.run)
            self._transition(row, event)
            row.version = max(row.version, event.version)
            row.updated_ms = min(row.updated_ms, event.at_ms) if _waits_on(event, was, row) else event.at_ms
            self.tally.moved(event, was, row)
            self.changed.add(event.job)

    def _log(self, row: JobRow, event: events.Logged) -> None:
        if event.run != row.run:
            return
        number = event.attempt + row.attempt_base
        stack, context = clean(event.stack) or None, event.context or None
        self.logs.append(
            (event.job, event.run, number, event.at_ms, int(event.level), clean(event.message), context, stack)
        )

    def _progress(self, row: JobRow, event: events.Progressed) -> None:
        stale = event.version < row.version or event.at_ms < row.progress_ms
        if event.run == row.run and not stale and row.state not in _FINAL:
            row.progress, row.progress_ms = event.progress, event.at_ms
            row.checkpoint = event.checkpoint or row.checkpoint
            row.updated_ms = max(row.updated_ms, event.at_ms)
            self.changed.add(event.job)

    def _transition(self, row: JobRow, event: JobEvent) -> None:  # noqa: PLR0912  # one case for each event
        match event:
            case events.Enqueued():
                self._enqueued(row, event)
            case events.Due():
                self._lose(row, event)
                row.state = State.QUEUED
            case events.Started():
                self._started(row, event)
            case events.Completed():
                self._end(row, event, AttemptState.COMPLETED)
                _final(row, State.COMPLETED, event.at_ms)
                row.result, row.error = event.result, None
            case events.RetryingLater():
                self._end(row, event, AttemptState.FAILED, event.error)
                row.state, row.due_ms, row.error = State.RETRYING, event.due_ms, event.error
            case events.Snoozed():
                self._end(row, event, AttemptState.SNOOZED, counts=False)
                row.state, row.due_ms = State.SCHEDULED, event.due_ms
            case events.Released():
                self._end(row, event, AttemptState.RELEASED, counts=False)
                row.state = State.QUEUED
            case events.Reaped():
                self._end(row, event, AttemptState.LOST, event.error or _lost(event.worker), counts=False)
                row.state, row.crashes = State.QUEUED, event.crashes
            case events.Died():
                poison = event.reason is Reason.POISON
                self._end(row, event, AttemptState.LOST if poison else AttemptState.FAILED, event.error)
                _final(row, State.DEAD, event.at_ms)
                row.reason, row.error = str(event.reason), event.error
                row.crashes += poison
            case events.CancelRequested():
                row.cancel_requested = True
            case events.Cancelled():
                self._end(row, event, AttemptState.CANCELLED)
                _final(row, State.CANCELLED, event.at_ms)
            case events.Progressed() | events.Logged() | events.Quarantined():
                pass
            case _:
                assert_never(event)

    def _enqueued(self, row: JobRow, event: events.Enqueued) -> None:
        self._lose(row, event)
        row.state, row.due_ms = event.state, event.due_ms or None
        row.attempt_base, row.worker, row.cancel_requested = 0, None, False
        row.recoveries += event.recovered

    def _started(self, row: JobRow, event: events.Started) -> None:
        self._lose(row, event)
        self.tally.started(event, row)
        if event.attempt + row.attempt_base <= row.attempts:
            row.attempt_base = row.attempts + 1 - event.attempt
        row.attempts = event.attempt + row.attempt_base
        row.state, row.started_ms, row.worker = State.ACTIVE, event.at_ms, event.worker
        self._attempt(
            AttemptRow(event.job, row.run, row.attempts, AttemptState.ACTIVE, event.worker, event.at_ms, None, None)
        )

    def _quarantined(self, row: JobRow, event: events.Quarantined) -> None:
        """Show the job as one that waits: the reconciler puts it back. The version may be a guess, and the run."""
        if row.state not in _FINAL and (event.run >= row.run or not event.run):
            self._lose(row, event)
            if row.state == State.ACTIVE:
                row.state, row.worker = State.QUEUED, None
            row.version, row.updated_ms = max(row.version, event.version), event.at_ms
            self.changed.add(event.job)

    def _lose(self, row: JobRow, event: events.Event) -> None:
        """Close the attempt that was running when Redis lost the job, or lost its start, or gave it up."""
        if _is_open(row, row.attempts):
            self.tally.ended(event, AttemptState.LOST, row.started_ms)
            self._close(row, event, row.attempts, AttemptState.LOST, _lost(row.worker or "unknown"))
            row.uncharged += 1

    def _end(
        self, row: JobRow, event: Any, state: AttemptState, error: str | None = None, *, counts: bool = True
    ) -> None:
        """Close an attempt once: an older copy of Redis may end one again that history has seen end."""
        number = event.attempt + row.attempt_base if event.attempt else 0
        if number != row.attempts:
            self._lose(row, event)
        if number > row.attempts or _is_open(row, number):
            # Of a worker that is lost nobody can tell what it took.
            cpu_us = None if isinstance(event, events.Reaped) else event.cpu_us
            self.tally.ended(event, state, row.started_ms if number == row.attempts else None, cpu_us)
            row.attempts = number
            row.uncharged += not counts
            self._close(row, event, number, state, error, cpu_us)
        row.worker = None

    def _close(  # noqa: PLR0913, PLR0917  # what is known of an attempt that ends
        self,
        row: JobRow,
        event: events.Event,
        number: int,
        state: AttemptState,
        error: str | None,
        cpu_us: int | None = None,
    ) -> None:
        # Where the start was never recorded, the end is all that is known.
        self._attempt(AttemptRow(event.job, row.run, number, state, None, event.at_ms, event.at_ms, error, cpu_us))

    def _attempt(self, attempt: AttemptRow) -> None:
        key = (attempt.job_id, attempt.run, attempt.number)
        if key in self.attempts:
            self.attempts[key].follow(attempt)
        else:
            self.attempts[key] = attempt


def _is_open(row: JobRow, number: int) -> bool:
    """Tell whether an attempt is running. Only the last one can be, and only while the job is ACTIVE."""
    return row.state == State.ACTIVE and number == row.attempts


def _counts(row: JobRow, event: JobEvent) -> bool:
    """Tell whether an event of this run is news. The end of the run always is.

    Where Redis came back with an older copy, a job may reach its end under a version that was recorded before.
    """
    return event.version > row.version or isinstance(event, events.Completed | events.Died | events.Cancelled)


def _waits_on(event: JobEvent, was: Was, row: JobRow) -> bool:
    """Tell whether a manual retry only reached Redis, at first or again: it has waited since it was asked for."""
    queued = (row.run, State.QUEUED) == (was[0], was[2]) and row.state == State.QUEUED
    return isinstance(event, events.Enqueued) and queued and row.run > 1 and not row.attempts


def _begin_run(row: JobRow, run: int) -> None:
    fresh = JobRow(run=run, recoveries=row.recoveries)
    for name in JobRow.__struct_fields__:
        setattr(row, name, getattr(fresh, name))


def _final(row: JobRow, state: State, at_ms: int) -> None:
    row.state, row.finished_ms, row.checkpoint = state, at_ms, None


def _lost(worker: str) -> str:
    message = f"The worker {worker} died or lost its lease."
    return _encode(Failure(type="WORKER_LOST", message=message)).decode()
