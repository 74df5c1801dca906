"""What a run is summed up with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.system.chaos import ledger
from tests.system.chaos.check import PROBE
from tests.system.chaos.evidence import Evidence
from tests.system.chaos.fault import Inflicted
from tests.system.chaos.plan import Plan
from tests.system.chaos.subscriber import GAP


def figures(
    plan: Plan, evidence: Evidence, inflicted: Sequence[Inflicted], deaths: Sequence[tuple[int, float]]
) -> dict[str, Any]:
    """Sum a run up. Durations are in seconds."""
    jobs = [job for job in evidence.history.values() if job["task"] != PROBE]
    lines = ledger.by_run(evidence.ledger)
    ends = [Counter(line.what for line in of_run)[ledger.END] for of_run in lines.values()]
    gaps = Counter(seen.job for record in evidence.subscribers for seen in record if seen.kind == GAP)
    deaths = [*deaths, *((line.pid, line.at_s) for line in evidence.ledger if line.what == ledger.KILL)]
    return {
        "seed": plan.seed,
        "deployment": str(plan.deployment),
        "faults": [fault.name for fault in plan.faults],
        "accepted": len({ack.job for acks in evidence.answers.acks.values() for ack in acks}),
        "refused": dict(evidence.answers.refused),
        "ended": dict(Counter(job["reason"] or job["state"] for job in jobs)),
        "attempts": sum(len(job["attempts"]["nodes"]) for job in jobs),
        "crashes": sum(job["crashes"] for job in jobs),
        "recoveries": sum(job["recoveries"] for job in jobs),
        "ran_twice": sum(count > 1 for count in ends),
        "events_seen": [sum(seen.kind != GAP for seen in record) for record in evidence.subscribers],
        "gaps": dict(gaps),
        "slowest_rerun_s": round(max(_reruns(evidence.ledger, deaths), default=0.0), 1),
        "slowest_recovery_s": round(max(_recoveries(evidence.ledger, inflicted), default=0.0), 1),
        "redis_bytes": sum(evidence.keys.values()),
    }


def _reruns(lines: Sequence[ledger.Line], deaths: Sequence[tuple[int, float]]) -> list[float]:
    """From the death of a worker until each job that it ran began again."""
    found = []
    for pid, died_s in deaths:
        of_pid = [line for line in lines if line.pid == pid and line.at_s <= died_s]
        ended = {line.job for line in of_pid if line.what in {ledger.END, ledger.FAIL}}
        for job in {line.job for line in of_pid if line.what == ledger.BEGIN} - ended:
            again = [
                line.at_s for line in lines if line.job == job and line.what == ledger.BEGIN and line.at_s > died_s
            ]
            if again:
                found.append(min(again) - died_s)
    return found


def _recoveries(lines: Sequence[ledger.Line], inflicted: Sequence[Inflicted]) -> list[float]:
    """From the end of each fault until a job began."""
    begins = sorted(line.at_s for line in lines if line.what == ledger.BEGIN)
    found = []
    for one in inflicted:
        later = [at_s for at_s in begins if at_s >= one.ended_s]
        if later:
            found.append(later[0] - one.ended_s)
    return found
