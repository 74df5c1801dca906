"""SAQ's words for the states of a job."""

from __future__ import annotations

from saq.job import Status

from jobs.job import FINAL, State

STATUS = {
    State.BLOCKED: Status.QUEUED,
    State.SCHEDULED: Status.QUEUED,
    State.QUEUED: Status.QUEUED,
    State.RETRYING: Status.QUEUED,
    State.ACTIVE: Status.ACTIVE,
    State.COMPLETED: Status.COMPLETE,
    State.CANCELLED: Status.ABORTED,
    State.DEAD: Status.FAILED,
}
"""An ACTIVE job that was asked to stop is ABORTING to SAQ; NEW is what was not enqueued."""

FINAL_STATUSES = frozenset(STATUS[state] for state in FINAL)


def status_of(state: State, cancel_requested: bool) -> Status:
    """Return the status that SAQ's users see."""
    return Status.ABORTING if state is State.ACTIVE and cancel_requested else STATUS[state]


def status_told(text: str) -> Status:
    """Return the status that a message to listeners names (lua/note.lua)."""
    return Status.ABORTING if text == "ABORTING" else STATUS[State(text)]
