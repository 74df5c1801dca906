"""What this process of the API was asked, and how that went."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from api.deadline import TooLate
from api.execution.operation import Rejected, is_fault
from api.metrics.sheet import Sheet

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Kind(StrEnum):
    """What was asked for."""

    QUERY = "query"
    MUTATION = "mutation"
    SUBSCRIPTION = "subscription"
    UNKNOWN = "unknown"
    """A document that could not be read, or does not fit the schema."""


class Outcome(StrEnum):
    """How it went."""

    OK = "ok"
    """Without errors; what a mutation refuses in `userErrors` is data."""
    ERROR = "error"
    """With errors that are not ours alone: forbidden, not available now ..."""
    FAULT = "fault"
    """With an error of ours."""
    REJECTED = "rejected"
    """It was not run."""
    TIMEOUT = "timeout"
    """It took longer than it may."""


class Traffic:
    """Counts operations."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ended: Counter[tuple[Kind, Outcome]] = Counter()
        self._buckets: dict[Kind, list[int]] = {}
        self._sums: Counter[Kind] = Counter()
        self._open: Counter[str] = Counter()

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Count what cannot be prepared in this block."""
        try:
            yield
        except Rejected:
            self._ended[Kind.UNKNOWN, Outcome.REJECTED] += 1
            raise

    async def run(self, is_mutation: bool, work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        """Await the result of a query or mutation, and count it. Raises what the work raises."""
        kind = Kind.MUTATION if is_mutation else Kind.QUERY
        began, outcome = self._monotonic(), Outcome.ERROR
        try:
            result = await work
            outcome = _outcome(result)
        except Rejected as rejected:
            outcome = _of(rejected)
            raise
        except Exception:
            outcome = Outcome.FAULT
            raise
        finally:
            self._ended[kind, outcome] += 1
            took_s = self._monotonic() - began
            self._buckets.setdefault(kind, [0] * (len(BOUNDS_S) + 1))[bisect_left(BOUNDS_S, took_s)] += 1
            self._sums[kind] += took_s  # type: ignore[assignment]  # a Counter adds up anything
        return result

    @contextmanager
    def subscription(self, transport: str) -> Iterator[None]:
        """Count a subscription for as long as the block runs, and how it ended."""
        self._open[transport] += 1
        outcome = Outcome.OK
        try:
            yield
        except Rejected as rejected:
            outcome = _of(rejected)
            raise
        except Exception:
            outcome = Outcome.FAULT
            raise
        finally:
            self._open[transport] -= 1
            self._ended[Kind.SUBSCRIPTION, outcome] += 1

    def show(self, sheet: Sheet) -> None:
        """Put all of it in."""
        for (kind, outcome), count in sorted(self._ended.items()):
            sheet.put("queueql_api_operations_total", count, kind, outcome)
        for kind, counts in sorted(self._buckets.items()):
            seen, buckets = 0, []
            for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), counts, strict=True):
                seen += count
                buckets.append((bound, float(seen)))
            sheet.histogram("queueql_api_operation_seconds", buckets, self._sums[kind], kind)
        for transport in ("sse", "websocket"):
            sheet.put("queueql_subscriptions_open", self._open[transport], transport)


def _outcome(result: dict[str, Any]) -> Outcome:
    errors = result.get("errors")
    if not errors:
        return Outcome.OK
    return Outcome.FAULT if is_fault(errors) else Outcome.ERROR


def _of(rejected: Rejected) -> Outcome:
    if isinstance(rejected, TooLate):
        return Outcome.TIMEOUT
    return Outcome.FAULT if is_fault(rejected.errors) else Outcome.REJECTED
