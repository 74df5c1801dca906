"""Changing: what mutations do. Every command passes the gate (gate.py)."""

from __future__ import annotations

from jobs.commands.job import JobCommands
from jobs.commands.parts import Parts
from jobs.commands.request import Enqueued, EnqueueRequest
from jobs.commands.task import TaskCommands
from jobs.commands.token import TokenCommands
from jobs.store import TokenKind

__all__ = ["Commands", "EnqueueRequest", "Enqueued", "JobCommands", "TaskCommands", "TokenCommands", "TokenKind"]


class Commands:
    """The first door, by noun."""

    def __init__(self, parts: Parts) -> None:
        self.job = JobCommands(parts)
        self.task = TaskCommands(parts)
        self.token = TokenCommands(parts)
