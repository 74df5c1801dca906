"""SAQ's contract over our broker and engine: `from jobs.saq import Queue, Worker`."""

from jobs.saq.queue import Queue
from jobs.saq.worker import Worker

__all__ = ["Queue", "Worker"]
