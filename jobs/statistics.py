"""What is asked of statistics, and what they answer: windows, and how they are put together from spans. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import msgspec

from jobs.rollup import Figures


class Span(IntEnum):
    """A length of time that figures are kept of, in seconds; spans begin at multiples of it (UTC)."""

    MINUTE = 60
    """From one minute to the next."""
    HOUR = 3_600
    """From one hour to the next."""
    DAY = 86_400
    """From one day to the next."""

    @property
    def ms(self) -> int:
        """Its length in milliseconds."""
        return self * 1000

    def since(self, at_ms: int) -> int:
        """Return since when the row of a moment counts.

        That of a minute counts since its hour began, that of an hour since its day began, that of a day since ever.
        """
        period_ms = _PERIOD_MS[self]
        return at_ms - at_ms % period_ms if period_ms else 0

    def until(self, at_ms: int) -> int:
        """Return until when rows count since the same moment as that of this one."""
        period_ms = _PERIOD_MS[self]
        return self.since(at_ms) + period_ms if period_ms else 1 << 62


_PERIOD_MS = {Span.MINUTE: Span.HOUR.ms, Span.HOUR: Span.DAY.ms, Span.DAY: 0}


class Mark(msgspec.Struct, frozen=True):
    """Where a row is looked for: the last one of these, if there is one, counts since `Span.since`."""

    span: Span
    from_ms: int
    until_ms: int
    sign: int = 1
    """-1: what it counts is taken away."""


EVER = Mark(Span.DAY, 0, 1 << 62)
"""What has happened since ever."""


def marks(at_ms: int, sign: int = 1) -> Iterator[Mark]:
    """Return where the rows are that together count what happened before a whole minute: three at most."""
    day_ms, hour_ms = Span.HOUR.since(at_ms), Span.MINUTE.since(at_ms)
    for span, from_ms, until_ms in ((Span.DAY, 0, day_ms), (Span.HOUR, day_ms, hour_ms), (Span.MINUTE, hour_ms, at_ms)):
        if from_ms < until_ms:
            yield Mark(span, from_ms, until_ms, sign)


class Window(msgspec.Struct, frozen=True):
    """From a moment on until another one, which is not within it any more."""

    from_ms: int
    until_ms: int
    precision: Span = Span.MINUTE
    """Its ends are as asked for, but for so much."""

    @property
    def length_s(self) -> float:
        """How long it is."""
        return (self.until_ms - self.from_ms) / 1000

    def marks(self) -> list[Mark]:
        """Return what tells of a window whose ends are whole minutes: all before its end, less all before it."""
        return [*marks(self.until_ms), *marks(self.from_ms, -1)]

    def before(self) -> Window:
        """Return the window of the same length that ends where this one begins."""
        return Window(2 * self.from_ms - self.until_ms, self.from_ms, self.precision)


class Kept(msgspec.Struct, frozen=True):
    """Since when there are figures of each minute and of each hour; before, only coarser ones are left."""

    minutes_ms: int
    """Begins an hour."""
    hours_ms: int
    """Begins a day."""

    def has(self, span: Span, at_ms: int) -> bool:
        """Whether there are figures of such spans at a moment."""
        match span:
            case Span.MINUTE:
                return at_ms >= self.minutes_ms
            case Span.HOUR:
                return at_ms >= self.hours_ms
            case _:
                return True

    def precision(self, at_ms: int) -> Span:
        """Return the finest span there is at a moment."""
        return next(span for span in Span if self.has(span, at_ms))

    def down(self, at_ms: int) -> tuple[int, Span]:
        """Return the last moment up to this one that figures tell of, and how precise that is."""
        at_ms -= at_ms % Span.MINUTE.ms
        precision = self.precision(at_ms)
        found_ms = at_ms - at_ms % precision.ms
        return found_ms, precision if found_ms < at_ms else Span.MINUTE

    def window(self, from_ms: int, until_ms: int) -> Window:
        """Return the smallest window that has this one within it and that figures tell of."""
        begin_ms, coarse = self.down(from_ms)
        end_ms, other = self.down(until_ms)
        if end_ms < until_ms:
            other = max(other, self.precision(end_ms))
            end_ms += self.precision(end_ms).ms
        return Window(begin_ms, end_ms, max(coarse, other))

    def step(self, wanted: Span, from_ms: int) -> Span:
        """Return the step that a series from a moment on can have."""
        return max(wanted, self.precision(from_ms - from_ms % wanted.ms))


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A window as it is asked for."""

    from_ms: int | None = None
    until_ms: int | None = None
    """None: now."""
    length_ms: int | None = None
    """In place of `from_ms`."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What statistics are to be about: None stands for all."""

    queue: str | None = None
    task: str | None = None
    by_queue: bool = False
    """Apart for each queue."""
    by_task: bool = False
    """Apart for each task."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one queue, task and time."""

    queue: str | None
    """None where it is about all of them."""
    task: str | None
    at_ms: int
    """When its time begins."""
    figures: Figures


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of a window."""

    window: Window
    step: Span | None
    """Length of the spans that they are about; None: the window as a whole."""
    parts: list[Part]
    """By queue, task and time, without those in which nothing happened."""
    total: Figures = msgspec.field(default_factory=Figures)
    """What happened in the window in all, also in what `parts` leaves out; of steps nothing is added up."""
    is_complete: bool = True
    """Whether `parts` has all queues and tasks that were asked for."""
