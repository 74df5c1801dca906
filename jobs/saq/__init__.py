"""SAQ's contract over our broker: `from jobs.saq import Queue`."""

from jobs.saq.queue import Queue

__all__ = ["Queue"]
