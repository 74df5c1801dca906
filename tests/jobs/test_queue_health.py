"""The rule by which a queue is well."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.queue_health import SPAN_S, UNSERVED_S, QueueFacts, QueueFault, QueueStatus, judge

WELL, DEGRADED, UNHEALTHY = QueueStatus.HEALTHY, QueueStatus.DEGRADED, QueueStatus.UNHEALTHY
LONG = SPAN_S + 1


@pytest.mark.parametrize(
    ("figures", "status", "faults"),
    [
        ({}, WELL, []),
        ({"workers": 0}, WELL, []),  # nothing waits
        ({"waiting": 1}, WELL, []),
        ({"waiting": 1, "workers": 0, "oldest_wait_s": UNSERVED_S + 1}, UNHEALTHY, ["NO_WORKER"]),
        ({"waiting": 1, "workers": 0, "oldest_wait_s": UNSERVED_S}, WELL, []),  # a worker may be about to start
        ({"waiting": 1, "workers": 0, "oldest_wait_s": 20.0, "unserved_s": UNSERVED_S}, WELL, []),  # or again
        ({"waiting": 1, "workers": 0, "oldest_wait_s": 20.0, "unserved_s": 16.0}, UNHEALTHY, ["NO_WORKER"]),
        (
            {"waiting": 1, "workers": 0, "oldest_wait_s": LONG, "finished": 0, "unserved_s": 1.0},
            DEGRADED,
            ["LONG_WAIT"],
        ),
        ({"waiting": 5, "oldest_wait_s": 60.0}, WELL, []),
        ({"waiting": 5, "oldest_wait_s": 60.1}, DEGRADED, ["LONG_WAIT"]),
        ({"waiting": 5, "oldest_wait_s": LONG, "finished": 0}, UNHEALTHY, ["STANDSTILL", "LONG_WAIT"]),
        ({"waiting": 5, "oldest_wait_s": LONG, "finished": 0, "active": 1}, DEGRADED, ["LONG_WAIT"]),
        ({"waiting": 5, "oldest_wait_s": LONG, "finished": 1}, DEGRADED, ["LONG_WAIT"]),
        ({"waiting": 5, "oldest_wait_s": LONG}, DEGRADED, ["LONG_WAIT"]),  # nobody knows what finished
        ({"waiting": 5, "finished": 0}, WELL, []),
        ({"finished": 100, "dead": 10}, WELL, []),
        ({"finished": 100, "dead": 11}, DEGRADED, ["DEAD_LETTERS"]),
        ({"finished": 1, "dead": 1}, DEGRADED, ["DEAD_LETTERS"]),
        ({"finished": 0, "dead": 0}, WELL, []),
        (
            {"waiting": 1, "workers": 0, "oldest_wait_s": 16.0, "finished": 1, "dead": 1},
            UNHEALTHY,
            ["NO_WORKER", "DEAD_LETTERS"],
        ),
    ],
)
def test_the_rule(figures: dict[str, Any], status: QueueStatus, faults: list[str]) -> None:
    queue = QueueFacts(**{"name": "mail", "waiting": 0, "active": 0, "workers": 1} | figures)
    found = judge(queue, wait_max_s=60.0)
    assert (found.status, list(found.faults)) == (status, [QueueFault(fault) for fault in faults])
