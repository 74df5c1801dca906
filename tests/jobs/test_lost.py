"""Who vanished without a goodbye, and who has taken whose place."""

from __future__ import annotations

import pytest

from jobs.broker.process import Known
from jobs.lost import lost
from jobs.snapshot import ProcessFigures, ProcessKind

AT_MS = 1_000_000
LONG_AGO_MS = 900_000
JUST_NOW_MS = 999_000


def known(kind: ProcessKind, pid: int, seen_ms: int, *, since_ms: int = 1, host: str = "a") -> Known:
    figures = ProcessFigures(kind=kind, host=host, pid=pid, version="0", started_ms=0, seen_ms=seen_ms)
    return Known(figures, since_ms, holds=seen_ms == JUST_NOW_MS)


WORKER, SERVICES = ProcessKind.WORKER, ProcessKind.SERVICES
GONE = known(WORKER, 1, LONG_AGO_MS)


@pytest.mark.parametrize(
    ("others", "pids"),
    [
        ([], [1]),
        ([known(WORKER, 2, JUST_NOW_MS)], [1]),  # it was there before
        ([known(WORKER, 2, JUST_NOW_MS, since_ms=LONG_AGO_MS + 1)], []),  # started again
        ([known(WORKER, 2, JUST_NOW_MS, since_ms=LONG_AGO_MS + 1, host="b")], [1]),
        ([known(SERVICES, 2, JUST_NOW_MS, since_ms=LONG_AGO_MS + 1)], [1]),
        ([known(WORKER, 1, JUST_NOW_MS)], []),  # it is back
        ([known(WORKER, 1, LONG_AGO_MS - 9)], [1]),  # what it said, and its lease
        ([known(WORKER, 2, LONG_AGO_MS + 9, since_ms=LONG_AGO_MS + 1)._replace(ended=True)], []),  # and ended since
        ([known(WORKER, 1, LONG_AGO_MS - 9)._replace(ended=True)], []),  # it was back, and ended
        ([known(WORKER, 2, LONG_AGO_MS - 9)._replace(ended=True)], [1]),
        ([known(WORKER, 2, LONG_AGO_MS + 2), known(WORKER, 3, JUST_NOW_MS, since_ms=LONG_AGO_MS + 1)], [2]),
        ([known(WORKER, 2, LONG_AGO_MS - 1), known(WORKER, 3, JUST_NOW_MS, since_ms=LONG_AGO_MS + 1)], [2]),
        (  # one after the other, and the last one is there
            [
                known(WORKER, 2, LONG_AGO_MS + 20, since_ms=LONG_AGO_MS + 1),
                known(WORKER, 3, JUST_NOW_MS, since_ms=LONG_AGO_MS + 30),
            ],
            [],
        ),
        ([known(SERVICES, 9, AT_MS - 9_001), known(SERVICES, 8, AT_MS - 9_000)], [9, 1]),
    ],
)
def test_who_is_lost(others: list[Known], pids: list[int]) -> None:
    assert [one.pid for one in lost([GONE, *others], [], AT_MS)] == pids
