"""Everything that speaks Redis."""

from jobs.broker.lease import Lane, Session
from jobs.broker.push import lean
from jobs.broker.queue import Broker
from jobs.broker.record import (
    Cancelling,
    Finished,
    Push,
    Pushed,
    Renewal,
    Report,
    Reserved,
    RunningJob,
    Step,
    Vitals,
    WorkerInfo,
    WorkerRecord,
    WorkerState,
    WorkerWish,
)
from jobs.broker.scripts import SessionLost
from jobs.broker.stream import PositionedEvent

__all__ = [
    "Broker",
    "Cancelling",
    "Finished",
    "Lane",
    "PositionedEvent",
    "Push",
    "Pushed",
    "Renewal",
    "Report",
    "Reserved",
    "RunningJob",
    "Session",
    "SessionLost",
    "Step",
    "Vitals",
    "WorkerInfo",
    "WorkerRecord",
    "WorkerState",
    "WorkerWish",
    "lean",
]
