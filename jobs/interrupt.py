"""Why a running task is to end early, and how it hears of it."""

from __future__ import annotations

from enum import StrEnum


class Interrupt(StrEnum):
    """Why a running task is to end early."""

    CANCEL = "CANCEL"
    """Somebody cancelled the job."""
    TIMEOUT = "TIMEOUT"
    """It has run for longer than its timeout."""
    RELEASE = "RELEASE"
    """The worker stops and gives the job back."""
    LOST = "LOST"
    """The attempt is over without having ended here; another worker may run the job by now."""


class Interrupted(Exception):
    """Raised by `Context.check` and `Context.save` in a task that is to end early; let it pass."""

    def __init__(self, interrupt: Interrupt) -> None:
        super().__init__(f"The task is to end early: {interrupt}.")
        self.interrupt = interrupt
