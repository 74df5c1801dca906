"""What happened within a span of time, in figures that can be added up and subtracted. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import add, attrgetter

import msgspec

from jobs.histogram import LONGEST_MS, Histogram
from jobs.job import AttemptState, State


class Figures(msgspec.Struct, gc=False):
    """What happened within a span of time, in one queue and task or in several."""

    accepted: int = 0
    """Runs that began: jobs, and their manual retries."""
    started: int = 0
    """Attempts."""
    completed: int = 0
    """Runs that ended COMPLETED."""
    failed: int = 0
    """Attempts that failed, the last ones of their runs too."""
    dead: int = 0
    """Runs that ended DEAD."""
    cancelled: int = 0
    """Runs that ended CANCELLED."""
    lost: int = 0
    """Attempts whose worker was lost."""
    snoozed: int = 0
    """Attempts that asked to be run again later."""
    released: int = 0
    """Attempts that a stopping worker gave back."""
    entered_blocked: int = 0
    """Jobs that came into the state less those that left it; so are the next four."""
    entered_scheduled: int = 0
    entered_queued: int = 0
    entered_active: int = 0
    entered_retrying: int = 0
    wait_ms: int = 0
    """Sum of `waits`: from when an attempt could begin to its start."""
    run_ms: int = 0
    """Sum of `runs`: from the start of an attempt to its end, where both are known: not of those that were lost."""
    cpu_us: int = 0
    """Processor time of the attempts of which it is known."""
    cpu_known: int = 0
    """How many these are."""
    waits: Histogram = msgspec.field(default_factory=Histogram)
    runs: Histogram = msgspec.field(default_factory=Histogram)

    @classmethod
    def sum(cls, figures: Sequence[Figures]) -> Figures:
        """Add figures up; they may be the only ones given."""
        if len(figures) == 1:
            return figures[0]
        waits, runs = Histogram.sum(one.waits for one in figures), Histogram.sum(one.runs for one in figures)
        sums = dict(zip(SUMS, map(sum, zip(*map(numbers, figures), strict=True)), strict=True))
        return cls(waits=waits, runs=runs, **sums)

    @classmethod
    def of(cls, sums: Iterable[int], waits: Histogram, runs: Histogram) -> Figures:
        """Make figures of numbers in the order of SUMS."""
        return cls(*sums, waits, runs)  # type: ignore[call-arg, arg-type]  # mypy cannot know how many they are

    def plus(self, other: Figures) -> Figures:
        """Return both added up; they stay as they are."""
        sums = map(add, numbers(self), numbers(other))
        return Figures.of(sums, self.waits.plus(other.waits), self.runs.plus(other.runs))

    def wait(self, duration_ms: int) -> None:
        """Count the wait of one attempt."""
        duration_ms = min(max(0, duration_ms), LONGEST_MS)
        self.wait_ms += duration_ms
        self.waits.add(duration_ms)

    def run(self, duration_ms: int) -> None:
        """Count how long one attempt ran."""
        duration_ms = min(max(0, duration_ms), LONGEST_MS)
        self.run_ms += duration_ms
        self.runs.add(duration_ms)

    def compute(self, cpu_us: int) -> None:
        """Count the processor time of one attempt, in microseconds."""
        self.cpu_us += min(max(0, cpu_us), LONGEST_MS * 1000)
        self.cpu_known += 1

    def enter(self, state: str, by: int) -> None:
        """Count that a job came into (1) or left (-1) a state that is not final."""
        name = ENTERED[state]
        setattr(self, name, getattr(self, name) + by)

    def end_run(self, state: str) -> None:
        """Count that a run reached this final state."""
        name = _RUN_ENDED[state]
        setattr(self, name, getattr(self, name) + 1)

    def end_attempt(self, state: AttemptState) -> None:
        """Count that an attempt ended so, where there is a figure for it."""
        if name := _ATTEMPT_ENDED.get(state):
            setattr(self, name, getattr(self, name) + 1)


SUMS = Figures.__struct_fields__[:-2]
"""The figures that are numbers."""
numbers = attrgetter(*SUMS)
"""Returns those of some figures, in that order."""
ENTERED: dict[str, str] = {
    State.BLOCKED: "entered_blocked",
    State.SCHEDULED: "entered_scheduled",
    State.QUEUED: "entered_queued",
    State.ACTIVE: "entered_active",
    State.RETRYING: "entered_retrying",
}
_RUN_ENDED: dict[str, str] = {
    State.COMPLETED: "completed",
    State.DEAD: "dead",
    State.CANCELLED: "cancelled",
}
_ATTEMPT_ENDED: dict[AttemptState, str] = {
    AttemptState.FAILED: "failed",
    AttemptState.LOST: "lost",
    AttemptState.SNOOZED: "snoozed",
    AttemptState.RELEASED: "released",
}
