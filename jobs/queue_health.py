"""The rule by which a queue is well, in one place. It knows nothing of where its figures come from."""

from __future__ import annotations

import math
from enum import StrEnum

import msgspec

SPAN_S = 600.0
"""Over so long it is counted what finished and what died."""

UNSERVED_S = 15.0
"""For so long there may be no worker: one that is started again takes less, so a deployment is no fault."""


class QueueStatus(StrEnum):
    """How a queue is."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    """It moves, and somebody should look at it."""
    UNHEALTHY = "UNHEALTHY"
    """It does not move."""


class QueueFault(StrEnum):
    """What is wrong with a queue."""

    NO_WORKER = "NO_WORKER"
    """Jobs have waited for `UNSERVED_S`, and for as long no worker that answers has served the queue."""
    STANDSTILL = "STANDSTILL"
    """Workers serve it, jobs have waited for longer than `SPAN_S`, and none finished meanwhile or runs."""
    LONG_WAIT = "LONG_WAIT"
    """The oldest of the jobs that could run has waited for longer than is allowed."""
    DEAD_LETTERS = "DEAD_LETTERS"
    """Jobs died within `SPAN_S`, and more than a tenth of those that ended."""


_STOPPED = frozenset({QueueFault.NO_WORKER, QueueFault.STANDSTILL})
DEAD_SHARE = 0.1


class QueueFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a queue. A figure is None where its source did not answer: no rule is applied to it then."""

    name: str
    waiting: int
    """Jobs that could run now."""
    active: int
    workers: int
    """That serve it, take jobs and answer."""
    oldest_wait_s: float | None = None
    """For how long the first of them has waited; 0 where none waits."""
    unserved_s: float = math.inf
    """At least for how long no worker may have served it, where none does."""
    finished: int | None = None
    """Jobs that ended within `SPAN_S`, in whatever way."""
    dead: int | None = None
    """Those among them that died."""


class QueueHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a queue is, and why."""

    name: str
    status: QueueStatus
    faults: dict[QueueFault, str]
    """A sentence for each."""
    facts: QueueFacts


def judge(queue: QueueFacts, *, wait_max_s: float) -> QueueHealth:
    """Apply the rule. `wait_max_s`: how long a job that could run may wait."""
    faults: dict[QueueFault, str] = {}
    waits_s = queue.oldest_wait_s or 0.0
    jobs = "One job waits" if queue.waiting == 1 else f"{queue.waiting:,} jobs wait"
    if queue.waiting and not queue.workers:
        if queue.unserved_s > UNSERVED_S and (queue.oldest_wait_s is None or waits_s > UNSERVED_S):
            faults[QueueFault.NO_WORKER] = f"{jobs}, and no worker that answers serves this queue."
    elif queue.waiting and queue.finished == 0 and not queue.active and waits_s > SPAN_S:
        faults[QueueFault.STANDSTILL] = f"{jobs}, and none has finished or runs for {SPAN_S / 60:.0f} minutes."
    if waits_s > wait_max_s:
        faults[QueueFault.LONG_WAIT] = f"A job that could run has waited for {waits_s:,.0f} seconds."
    if queue.dead and queue.dead > DEAD_SHARE * (queue.finished or queue.dead):
        died = "One job" if queue.dead == 1 else f"{queue.dead:,} jobs"
        faults[QueueFault.DEAD_LETTERS] = f"{died} died within {SPAN_S / 60:.0f} minutes."
    return QueueHealth(name=queue.name, status=_status(faults), faults=faults, facts=queue)


def _status(faults: dict[QueueFault, str]) -> QueueStatus:
    if _STOPPED & faults.keys():
        return QueueStatus.UNHEALTHY
    return QueueStatus.DEGRADED if faults else QueueStatus.HEALTHY
