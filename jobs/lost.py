"""Which processes vanished without a goodbye: one rule for workers, whose lease ran out, and for all others."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.broker.process import Known
from jobs.roster import Worker
from jobs.snapshot import ProcessFigures, ProcessKind

QUIET_MS = 9_000
"""Who has said nothing for so long is lost; processes speak every five seconds, workers more often with their lease."""


def lost(processes: Sequence[Known], workers: Sequence[Worker], at_ms: int) -> list[ProcessFigures]:
    """Return who vanished without a goodbye, the last one first.

    A worker that has a lease is there, and nobody misses who ended in order, nor whom it replaced: a process of the
    same kind that began on the same host since then has taken the place of one that vanished.
    """
    heard = [one for one in processes if one.ended or at_ms - one.figures.seen_ms <= QUIET_MS]
    there = {(ProcessKind.WORKER, worker.host, worker.pid) for worker in workers} | {_place(one) for one in heard}
    vanished = {_place(one): one for one in sorted(processes, key=_seen_ms) if _place(one) not in there}
    found = []
    for one in sorted(vanished.values(), key=_seen_ms, reverse=True):
        for other in heard:
            if _place(other)[:2] == _place(one)[:2] and other.since_ms > _seen_ms(one):
                heard.remove(other)
                break
        else:
            found.append(one.figures)
        heard.append(one)  # it may itself have taken the place of one before
    return found


def _place(one: Known) -> tuple[ProcessKind, str, int]:
    return one.figures.kind, one.figures.host, one.figures.pid


def _seen_ms(one: Known) -> int:
    return one.figures.seen_ms
