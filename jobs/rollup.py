"""What happened within a span of time, in figures that can be added up, and histograms of durations. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from operator import attrgetter

import msgspec

from jobs.job import AttemptState, State

GROWTH = 1.1
"""Each bucket of a histogram ends at so many times its beginning."""
ERROR_MAX = (GROWTH - 1) / (GROWTH + 1)
"""A percentile that is read from a histogram is off by at most this part of the exact value: 4.8 %."""
LONGEST_MS = 366 * 86_400_000
"""Longer durations count as this one, so that sums stay within 64 bits."""

_PER_LOG = 1 / math.log(GROWTH)
_MIDDLE = 2 * GROWTH / (GROWTH + 1)
"""Of a bucket that begins at 1: as far, in parts of the value, from its lowest value as from its highest."""


class Histogram:
    """How often durations in milliseconds came about, by buckets that grow by 10 %.

    A percentile is at most 4.8 % (`ERROR_MAX`) off the exact one by nearest rank; zero is exact. Histograms are added
    bucket by bucket, which makes the error no greater. `str()` writes `bucket,count,bucket,count` without the empty
    buckets; `read` takes that, or many of them with `;` between them, whose sum it returns.
    """

    __slots__ = ("_counts", "_text")

    def __init__(self, counts: dict[int, int] | None = None, text: str = "") -> None:
        self._counts = {} if counts is None and not text else counts
        self._text = text

    @property
    def counts(self) -> dict[int, int]:
        """Bucket: how many. Bucket 0 is for zero, bucket n for durations from GROWTH ** (n - 1) ms on."""
        if self._counts is None:  # not before somebody asks: most that are read are never looked into
            self._counts = _counts(self._text)
        return self._counts

    @classmethod
    def of(cls, durations_ms: Iterable[int]) -> Histogram:
        """Make the histogram of these durations."""
        made = cls()
        for one in durations_ms:
            made.add(one)
        return made

    @classmethod
    def read(cls, text: str) -> Histogram:
        """Read what `str()` wrote, or several of those. One that cannot be read counts as empty."""
        return cls(None, text)

    @classmethod
    def sum(cls, histograms: Iterable[Histogram]) -> Histogram:
        """Add histograms up; it is a new one."""
        sums: dict[int, int] = {}
        for one in histograms:
            _add(sums, one.counts.items())
        return cls(sums)

    def __str__(self) -> str:
        return _encode([*chain.from_iterable(self.counts.items())]).decode()[1:-1]

    def __repr__(self) -> str:
        return f"Histogram({self.counts})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]  # it changes

    def add(self, duration_ms: int) -> None:
        """Count a duration from 0 to LONGEST_MS."""
        bucket, counts = _bucket(duration_ms), self.counts
        counts[bucket] = counts.get(bucket, 0) + 1

    @property
    def total(self) -> int:
        """How many durations were counted."""
        return sum(self.counts.values())

    def percentile(self, part: float) -> float | None:
        """Return the duration in milliseconds that `part` (0 to 1) of all do not exceed; None where there is none."""
        wanted = max(1, math.ceil(part * self.total - 1e-9))
        seen = 0
        for bucket, count in sorted(self.counts.items()):
            seen += count
            if seen >= wanted:
                return _MIDDLE * GROWTH ** (bucket - 1) if bucket else 0.0
        return None


def _bucket(duration_ms: int) -> int:
    return 1 + int(math.log(duration_ms) * _PER_LOG) if duration_ms > 0 else 0


def _counts(text: str) -> dict[int, int]:
    """Read histograms, thousands of them perhaps, and add them up."""
    found: Iterable[list[int]]
    try:
        found = _decode(f"[[{text.replace(';', '],[')}]]")
    except msgspec.DecodeError:
        found = _readable(text)
    sums = [0] * (_LAST + 1)
    for one in found:
        numbers = iter(one)
        pairs = zip(numbers, numbers, strict=False)
        if ";" not in text:
            return {bucket: count for bucket, count in pairs if 0 <= bucket <= _LAST}
        with suppress(IndexError):
            for bucket, count in pairs:
                sums[bucket] += count
    return {bucket: count for bucket, count in enumerate(sums) if count}


def _add(sums: dict[int, int], counts: Iterable[tuple[int, int]]) -> None:
    if not sums:
        sums.update(counts)
        return
    for bucket, count in counts:
        sums[bucket] = sums.get(bucket, 0) + count


_LAST = _bucket(LONGEST_MS)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[list[int]]).decode


def _readable(text: str) -> Iterator[list[int]]:
    for part in text.split(";"):
        try:
            yield from _decode(f"[[{part}]]")
        except msgspec.DecodeError:
            continue


class Figures(msgspec.Struct):
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
    """Sum of `runs`: from the start of an attempt to its end, where both are known."""
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
