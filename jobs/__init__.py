"""QueueQL for authors of tasks: `from jobs import task, Context`."""

from jobs.context import Context
from jobs.job import Durability, LogLevel, Priority
from jobs.retry import Cancel, NotRetryable, Retry, Snooze, exponential, fixed, linear
from jobs.task import task

__all__ = [
    "Cancel",
    "Context",
    "Durability",
    "LogLevel",
    "NotRetryable",
    "Priority",
    "Retry",
    "Snooze",
    "exponential",
    "fixed",
    "linear",
    "task",
]
