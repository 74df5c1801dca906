"""What the answer to a cancel promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from tests.system.chaos import ledger
from tests.system.chaos.client import CancelAck

CLOCK_S = 0.05
"""How far the clocks of processes of one machine may seem apart."""
HEARS_S = 12.0
"""Within so long a worker hears that its job is to be cancelled, or loses it, whatever breaks meanwhile."""


def may_complete(job: dict[str, Any], ack: CancelAck | None) -> bool:
    """Tell whether the cancel was too late: answered so, or accepted, and the job ended before its worker heard of it.

    It may even begin then, where Redis could not be told: it was away, and the job was due when it came back.
    """
    if ack is None or ack.state in {"ENDED", "CANCELLED"}:
        return ack is not None and ack.state == "ENDED"
    return seconds(job["finishedAt"]) <= ack.at_s + HEARS_S


def begun_after(ack: CancelAck | None, lines: Sequence[ledger.Line]) -> Iterator[str]:
    """Find attempts that began although the job was CANCELLED, or long after it was to be."""
    if ack is None or ack.state == "ENDED":
        return
    late_s = CLOCK_S if ack.state == "CANCELLED" else HEARS_S
    for line in lines:
        if line.what == ledger.BEGIN and line.at_s > ack.at_s + late_s:
            yield f"began {line.at_s - ack.at_s:.2f} s after its cancel was answered with {ack.state}."


def seconds(moment: str) -> float:
    """Read a moment as seconds since 1970."""
    return datetime.fromisoformat(moment).timestamp()
