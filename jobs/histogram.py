"""Histograms of durations that can be added up and subtracted. No I/O."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import accumulate, islice
from operator import add, sub

import msgspec

GROWTH = 1.1
"""Each bucket ends at so many times its beginning."""
ERROR_MAX = (GROWTH - 1) / (GROWTH + 1)
"""A percentile that is read from a histogram is off by at most this part of the exact value: 4.8 %."""
LONGEST_MS = 366 * 86_400_000
"""Longer durations count as this one, so that sums stay within 64 bits."""

_PER_LOG = 1 / math.log(GROWTH)


def _bucket(duration_ms: int) -> int:
    return 1 + int(math.log(duration_ms) * _PER_LOG) if duration_ms > 0 else 0


_LAST = _bucket(LONGEST_MS)
_MIDDLE = 2 * GROWTH / (GROWTH + 1)
"""Of a bucket that begins at 1: as far, in parts of the value, from its lowest value as from its highest."""
_MIDDLES = [0.0, *(_MIDDLE * GROWTH ** (bucket - 1) for bucket in range(1, _LAST + 1))]
_encode = msgspec.json.Encoder().encode
_decode_one = msgspec.json.Decoder(list[int]).decode
_decode = msgspec.json.Decoder(list[list[int]]).decode


class Histogram(msgspec.Struct, gc=False, eq=False):
    """How often durations in milliseconds came about, by buckets that grow by 10 %.

    A percentile is at most 4.8 % (`ERROR_MAX`) off the exact one by nearest rank; zero is exact. Histograms are added
    and subtracted bucket by bucket, which makes the error no greater. `str()` writes `first bucket,count,count,...` up
    to the last bucket that is not empty; `read` takes that, or many of them with `;` between them.
    """

    first: int = 0
    """First bucket of `known`."""
    known: list[int] | None = msgspec.field(default_factory=list)
    """How many are in each bucket from there on; None where that was not read yet."""
    text: str = ""
    """What it is to be read from."""
    more: Histogram | None = None
    less: Histogram | None = None
    """What it is the difference of."""
    ranks: list[int] | None = None
    """Sums of `known` up to each bucket."""

    @classmethod
    def of(cls, durations_ms: Iterable[int]) -> Histogram:
        """Make the histogram of these durations."""
        made = cls()
        for one in durations_ms:
            made.add(one)
        return made

    @classmethod
    def read(cls, text: str) -> Histogram:
        """Read what `str()` wrote, or several of those; what cannot be read counts as empty."""
        return cls(0, None, text) if text else cls()

    def minus(self, less: Histogram) -> Histogram:
        """Return what is left without what was counted before, which must be a part of this one."""
        return Histogram(0, None, "", self, less)

    @classmethod
    def sum(cls, histograms: Iterable[Histogram]) -> Histogram:
        """Add histograms up; it is a new one."""
        parts = [(one.first, counts) for one in histograms if (counts := one._dense())]
        return cls(*_sum(parts)) if len(parts) != 1 else cls(parts[0][0], parts[0][1].copy())

    def plus(self, other: Histogram) -> Histogram:
        """Return both added up; they stay as they are."""
        known, added = self._dense(), other._dense()
        if not added:
            return self
        at = other.first - self.first
        if not known or at < 0 or at + len(added) > len(known):
            return Histogram.sum((self, other))
        sums = known.copy()
        sums[at : at + len(added)] = map(add, islice(known, at, None), added)
        return Histogram(self.first, sums)

    @property
    def counts(self) -> dict[int, int]:
        """Bucket: how many. Bucket 0 is for zero, bucket n for durations from GROWTH ** (n - 1) ms on."""
        counts = self._dense()
        return {bucket: count for bucket, count in enumerate(counts, self.first) if count}

    @property
    def total(self) -> int:
        """How many durations were counted."""
        return sum(self._dense())

    def __bool__(self) -> bool:
        return any(self._dense())

    def __str__(self) -> str:
        counts = self._dense()
        return _encode([self.first, *counts]).decode()[1:-1] if counts else ""

    def __repr__(self) -> str:
        return f"Histogram({self.counts})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]  # it changes

    def add(self, duration_ms: int) -> None:
        """Count a duration from 0 to LONGEST_MS."""
        bucket, counts = _bucket(duration_ms), self._dense()
        if not counts:
            self.first = bucket
        if bucket < self.first:
            counts[:0] = [0] * (self.first - bucket)
            self.first = bucket
        if bucket >= self.first + len(counts):
            counts += [0] * (bucket - self.first - len(counts) + 1)
        counts[bucket - self.first] += 1
        self.ranks = None

    def percentile(self, part: float) -> float | None:
        """Return the duration in milliseconds that `part` (0 to 1) of all do not exceed; None where there is none."""
        if self.ranks is None:
            self.ranks = list(accumulate(self._counted()))
        if not self.ranks or self.ranks[-1] <= 0:
            return None
        wanted = max(1, math.ceil(part * self.ranks[-1] - 1e-9))
        return _MIDDLES[self.first + bisect_left(self.ranks, wanted)]

    def _counted(self) -> Iterable[int]:
        """Return the counts from the first bucket on, to be gone through once."""
        if self.known is None and self.more is not None and self.less is not None:
            more, less = self.more._dense(), self.less._dense()
            if self.more.first == self.less.first and len(more) == len(less):
                self.first = self.more.first
                return map(sub, more, less)  # without a list of its own: a series has thousands of them
        return self._dense()

    def _dense(self) -> list[int]:
        """Return the counts from the first bucket on."""
        if self.known is None:  # not before somebody asks: most that are read are never looked into
            if self.more is not None and self.less is not None:
                self.known = _difference(self.more._dense(), self.less._dense(), self.less.first - self.more.first)
                self.first = self.more.first
            else:
                self.first, self.known = _read(self.text)
        return self.known


Dense = tuple[int, list[int]]
"""First bucket, and the counts from there on."""


def _sum(parts: list[Dense]) -> Dense:
    if len(parts) <= 1:
        return parts[0] if parts else (0, [])
    first, sums = parts[0][0], parts[0][1].copy()
    for begin, counts in parts[1:]:
        at = begin - first
        if at < 0:
            sums[:0] = [0] * -at
            first, at = begin, 0
        if (lack := at + len(counts) - len(sums)) > 0:
            sums += [0] * lack
        sums[at : at + len(counts)] = map(add, islice(sums, at, None), counts)
    return first, sums


def _difference(more: list[int], less: list[int], at: int) -> list[int]:
    if at == 0 and len(more) == len(less):
        return list(map(sub, more, less))
    left = more.copy()
    if 0 <= at <= len(more) - len(less):
        left[at : at + len(less)] = map(sub, islice(more, at, None), less)
    return left


def _read(text: str) -> Dense:
    if ";" not in text:
        try:
            counts = _decode_one(f"[{text}]")
        except msgspec.DecodeError:
            return 0, []
        return (counts.pop(0), counts) if _is_valid(counts) else (0, [])
    try:
        found = _decode(f"[[{text.replace(';', '],[')}]]")
    except msgspec.DecodeError:
        found = list(_readable(text))
    return _sum([(one.pop(0), one) for one in found if _is_valid(one)])


def _is_valid(numbers: list[int]) -> bool:
    return len(numbers) > 1 and 0 <= numbers[0] <= _LAST - len(numbers) + 2


def _readable(text: str) -> Iterator[list[int]]:
    for part in text.split(";"):
        with suppress(msgspec.DecodeError):
            yield _decode_one(f"[{part}]")
