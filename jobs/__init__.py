"""QueueQL for authors of tasks: `from jobs import task, Context`."""

from jobs.batch import Batch, Chunk, ItemFailure
from jobs.context import Context, Interrupted
from jobs.job import Durability, LogLevel, Priority
from jobs.retry import Cancel, NotRetryable, Retry, Snooze, exponential, fixed, linear
from jobs.task import task

__all__ = [
    "Batch",
    "Cancel",
    "Chunk",
    "Context",
    "Durability",
    "Interrupted",
    "ItemFailure",
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
