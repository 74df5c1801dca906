"""What a batch of events adds to the figures of each minute: pure, filled in while the events are folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.event import Event
from jobs.job import FINAL, AttemptState, State
from jobs.rollup import Figures

if TYPE_CHECKING:
    from jobs.store.fold import JobRow

Place = tuple[str, str]
"""Queue and task."""
Was = tuple[int, int, str]
"""Run, version and state of a job before an event."""

_FINAL = {str(state) for state in FINAL}
_DUE = (State.SCHEDULED, State.RETRYING)


class Tally:
    """Counts what events changed. Only those that the fold accepts are brought here, after they have changed the job.

    A job counts from its first recorded event on, that is with a version above 0. So the entered_ figures add up to
    what the table of jobs says, whatever was lost, and whatever came late.
    """

    def __init__(self, places: dict[str, Place], created: dict[str, int]) -> None:
        self.places = places
        """Job: its queue and task."""
        self.created = created
        """Job: when it was enqueued, by the clock of who did that."""
        self.minutes: dict[tuple[int, Place], Figures] = {}
        """(Minutes since 1970, queue and task): what happened."""

    def moved(self, event: Event, was: Was, row: JobRow) -> None:
        """Count a change from what the job was to what its row is now."""
        run, version, state = was
        counted, counts = version > 0, row.version > 0
        if counted and counts and run == row.run and state == row.state:
            return
        figures = self._of(event)
        if counted and state not in _FINAL:
            figures.enter(state, -1)
        if counts and row.state not in _FINAL:
            figures.enter(row.state, 1)
        if counts and (not counted or run != row.run):
            figures.accepted += 1
        if row.state in _FINAL and (state not in _FINAL or run != row.run):
            figures.end_run(row.state)

    def started(self, event: Event, row: JobRow) -> None:
        """Count an attempt that starts; the row is as it was before."""
        figures = self._of(event)
        figures.started += 1
        ready_ms = _ready_ms(row, self.created[event.job])
        if ready_ms is not None:
            figures.wait(event.at_ms - ready_ms)

    def ended(self, event: Event, state: AttemptState, started_ms: int | None, cpu_us: int | None = None) -> None:
        """Count an attempt that ends; `started_ms` is None where its start was never recorded.

        How long an attempt ran is not known where its worker was lost: that shows a lease later.
        """
        figures = self._of(event)
        figures.end_attempt(state)
        if cpu_us is not None:
            figures.compute(cpu_us)
        if started_ms is None:
            figures.started += 1
        elif state is not AttemptState.LOST:
            figures.run(event.at_ms - started_ms)

    def _of(self, event: Event) -> Figures:
        key = (event.at_ms // 60_000, self.places[event.job])
        figures = self.minutes.get(key)
        if figures is None:
            figures = self.minutes[key] = Figures()
        return figures


def _ready_ms(row: JobRow, created_ms: int) -> int | None:
    """Return since when a job that waits could have started; None where it does not wait, or nobody knows."""
    if row.state in _DUE:
        return row.due_ms
    if row.state != State.QUEUED:
        return None
    if not row.attempts and row.run == 1:
        # It may have reached Redis late. The clock that it was created by may be ahead of that of Redis.
        return min(max(created_ms, row.due_ms or 0), row.updated_ms)
    # What was due before the last attempt began says nothing of this one: the job was given back.
    if row.due_ms is not None and (row.started_ms is None or row.due_ms > row.started_ms):
        return min(row.due_ms, row.updated_ms)
    return row.updated_ms
