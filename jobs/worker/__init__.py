"""The worker: reserves jobs, runs their tasks, and gives back how they ended."""

from jobs.worker.attempt import Hooks
from jobs.worker.engine import Engine
from jobs.worker.payloads import NotFetched, Payloads

__all__ = ["Engine", "Hooks", "NotFetched", "Payloads"]
