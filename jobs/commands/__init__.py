"""Changing: what mutations do. Every command passes the gate (gate.py)."""

from __future__ import annotations

from jobs.commands.job import JobCommands
from jobs.commands.parts import Parts
from jobs.commands.quarantine import QuarantineCommands
from jobs.commands.request import Enqueued, EnqueueRequest
from jobs.commands.retention import Cleaned, RetentionCommands
from jobs.commands.slow_query import SlowQueryCommands
from jobs.commands.task import TaskCommands
from jobs.commands.token import TokenCommands
from jobs.commands.worker import WorkerCommands
from jobs.rescue import Rescued, RescuedJob, RescueReason
from jobs.store import TokenKind

__all__ = [
    "Cleaned",
    "Commands",
    "EnqueueRequest",
    "Enqueued",
    "JobCommands",
    "QuarantineCommands",
    "RescueReason",
    "Rescued",
    "RescuedJob",
    "RetentionCommands",
    "SlowQueryCommands",
    "TaskCommands",
    "TokenCommands",
    "TokenKind",
    "WorkerCommands",
]


class Commands:
    """The first door, by noun."""

    def __init__(self, parts: Parts) -> None:
        self.job = JobCommands(parts)
        self.slow_query = SlowQueryCommands(parts)
        self.task = TaskCommands(parts)
        self.token = TokenCommands(parts)
        self.worker = WorkerCommands(parts)
        self.quarantine = QuarantineCommands(parts)
        self.retention = RetentionCommands(parts)
