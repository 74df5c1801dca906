"""Which jobs are meant: one filter for lists, counts and live events. Pure: no I/O.

`jobs/store/where.py` writes it as SQL and `jobs/where_fit.py` decides about one job; both give the same answer for
every job.
Text is compared as it is, letter for letter, so that a database's own rules about case do not matter; only where a text
is looked for within another one, A to Z are the same as a to z.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

import msgspec

from jobs.errors import InvalidOption
from jobs.job import Priority, Reason, State

Scalar = str | int | float | bool | None
"""What a JSON document has at its ends."""

VALUES_MAX = 100
"""Values of one list."""
PARTS_MAX = 100
"""Parts of a filter, those of all its branches together."""
DEPTH_MAX = 10
"""Branches within branches."""
TEXT_MAX = 1_024
"""Longest text to compare with, in characters."""
STEPS_MAX = 16
"""Steps of one path."""
NUMBER_MAX = 2**53
"""Beyond, JSON readers disagree about numbers (RFC 8259, section 6)."""
TIME_MAX_MS = 253_402_300_800_000
"""The year 10000, where DateTime ends."""

_STEP = re.compile(r"\[(\d{1,6})\]|(?:^|\.)([^.\[\]\"\\\x00-\x1f]+)")

Place = tuple[str | int, ...]
"""Where in a filter something stands."""
Step = str | int
"""One step of a path: a key of an object, or a place of a list."""


class TimeRange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A span of time. An end that is None is open."""

    from_ms: int | None = None
    """At this time or later."""
    until_ms: int | None = None
    """Before this time."""

    def has(self, at_ms: int | None) -> bool:
        """Tell whether a time lies within; what has not happened yet does not."""
        if at_ms is None:
            return False
        return (self.from_ms is None or at_ms >= self.from_ms) and (self.until_ms is None or at_ms < self.until_ms)


class PathWhere(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a value within a JSON document is to be. Everything that is given must hold.

    `path` is written `user.id` or `items[0].name`: keys of objects, and places of lists in brackets.
    """

    path: str
    equals: tuple[Scalar, ...] = ()
    """One of these; a number equals a number, and nothing but true equals true."""
    contains: str = ""
    """A text that has this within it, in small letters or capitals."""
    at_least: float | None = None
    """A number as great as this or greater."""
    at_most: float | None = None
    """A number as small as this or smaller."""
    exists: bool | None = None
    """Whether there is a value at all; null is one."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The path, step by step. Empty where it cannot be read."""
        if self.path.startswith("."):
            return ()
        steps: list[Step] = []
        end = 0
        for match in _STEP.finditer(self.path):
            if match.start() != end:
                return ()
            end = match.end()
            steps.append(int(match[1]) if match[1] is not None else match[2])
        return tuple(steps) if end == len(self.path) else ()


class JobWhere(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which jobs are meant. Every part that is given must hold; within a list any of the values may."""

    states: tuple[State, ...] = ()
    tasks: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Deduplication keys."""
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    priorities: tuple[Priority, ...] = ()
    reasons: tuple[Reason, ...] = ()
    """Why a job is DEAD."""
    parents: tuple[str, ...] = ()
    """Ids of the jobs that these were made from."""
    error: str = ""
    """Within the type or the message of the last error, in small letters or capitals."""
    args: tuple[PathWhere, ...] = ()
    metadata: tuple[PathWhere, ...] = ()
    created: TimeRange | None = None
    updated: TimeRange | None = None
    scheduled: TimeRange | None = None
    started: TimeRange | None = None
    finished: TimeRange | None = None
    every: tuple[JobWhere, ...] = ()
    """All of these hold too."""
    some: tuple[JobWhere, ...] = ()
    """At least one of these holds too."""
    none: tuple[JobWhere, ...] = ()
    """None of these holds."""


LISTS = ("states", "tasks", "queues", "keys", "owners", "tags", "priorities", "reasons", "parents")
TIMES = ("created", "updated", "scheduled", "started", "finished")
DOCUMENTS = ("args", "metadata")
BRANCHES = {"every": "and", "some": "or", "none": "not"}
"""Names of the branches: in Python, whose own words theirs are, and as people read them."""


def parts_of(where: JobWhere) -> frozenset[str]:
    """Names of the parts that are given, those of all branches together."""
    names = set()
    for _, branch in _branches(where, ()):
        names |= {name for name in (*LISTS, *TIMES, *DOCUMENTS, "error") if getattr(branch, name)}
    return frozenset(names)


_SMALL = {ord(letter): letter.lower() for letter in string.ascii_uppercase}


def folded(text: str) -> str:
    """Return a text with small letters for A to Z. All others stay: databases disagree about them."""
    return text.lower() if text.isascii() else text.translate(_SMALL)


# Does it make sense?


def check(where: JobWhere) -> None:
    """Raise InvalidOption, with the path of the fault, for a filter that is too large or that no job can fit."""
    parts = 0
    for place, branch in _branches(where, ()):
        if len(place) // 2 > DEPTH_MAX:
            raise _fault(place[: 2 * DEPTH_MAX], f"A filter has at most {DEPTH_MAX} branches within each other.")
        parts += _check_branch(branch, place)
        if parts > PARTS_MAX:
            raise _fault((), f"A filter has at most {PARTS_MAX} parts.")


def _branches(where: JobWhere, place: Place) -> Iterator[tuple[Place, JobWhere]]:
    waiting = [(place, where)]
    while waiting:
        at, branch = waiting.pop()
        yield at, branch
        for name, shown in BRANCHES.items():
            waiting += [((*at, shown, number), one) for number, one in enumerate(getattr(branch, name))]


def _check_branch(where: JobWhere, place: Place) -> int:
    """Check one branch without those in it; return how many parts it has."""
    parts = 0
    for name in LISTS:
        values = getattr(where, name)
        parts += bool(values)
        if len(values) > VALUES_MAX:
            raise _fault((*place, name), f"`{name}` may have at most {VALUES_MAX} values.")
        for value in values:
            _check_text(value, (*place, name))
    _check_text(where.error, (*place, "error"))
    for name in TIMES:
        span = getattr(where, name)
        parts += span is not None
        _check_time(span, (*place, name))
    for name in DOCUMENTS:
        for number, one in enumerate(getattr(where, name)):
            parts += 1
            _check_path(one, (*place, name, number))
    return parts + bool(where.error) + 1


def _check_text(value: object, place: Place) -> None:
    if not isinstance(value, str):
        return
    if len(value) > TEXT_MAX:
        raise _fault(place, f"`{_name(place)}` has a text of {len(value):,} characters; {TEXT_MAX:,} are allowed.")
    if "\0" in value:
        raise _fault(place, f"`{_name(place)}` has a NUL character, which no job can have.")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _fault(place, f"`{_name(place)}` has half a surrogate pair, which is no character.")


def _check_time(span: TimeRange | None, place: Place) -> None:
    if span is None:
        return
    if span.from_ms is None and span.until_ms is None:
        raise _fault(place, f"`{_name(place)}` is a span of time without any end; give one, or leave it out.")
    for at_ms in (span.from_ms, span.until_ms):
        if at_ms is not None and not 0 <= at_ms <= TIME_MAX_MS:
            raise _fault(place, f"`{_name(place)}` is a time between 1970 and 9999.")


def _check_path(one: PathWhere, place: Place) -> None:
    name = place[-2]
    if len(one.path) > TEXT_MAX or not 1 <= len(one.steps) <= STEPS_MAX:
        raise _fault(
            place,
            f"`{name}` has the path {one.path[:80]!r}; a path is written user.id or items[0].name, with at most "
            f"{STEPS_MAX} steps.",
        )
    if not (one.equals or one.contains or one.exists is not None or (one.at_least, one.at_most) != (None, None)):
        raise _fault(place, f"`{name}` does not say what the value at {one.path} is to be.")
    if len(one.equals) > VALUES_MAX:
        raise _fault(place, f"`{name}` may have at most {VALUES_MAX} values.")
    for value in (one.path, *one.equals, one.contains, one.at_least, one.at_most):
        _check_text(value, place)
        if isinstance(value, int | float) and not abs(value) <= NUMBER_MAX:  # so written, NaN is caught too
            raise _fault(place, f"`{name}` has a number that JSON cannot carry exactly, one beyond 2^53.")


def _name(place: Place) -> str | int:
    return next(part for part in reversed(place) if isinstance(part, str))


def _fault(place: Place, sentence: str) -> InvalidOption:
    return InvalidOption(sentence, path=("where", *place))
