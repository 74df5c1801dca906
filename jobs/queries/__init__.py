"""Reading: what queries answer with."""

from __future__ import annotations

from jobs.queries.backup import BackupQueries
from jobs.queries.health import HealthQueries
from jobs.queries.job import JobQueries
from jobs.queries.metric import MetricQueries
from jobs.queries.quarantine import QuarantineQueries
from jobs.queries.queue import Queue, QueueQueries
from jobs.queries.retention import RetentionQueries
from jobs.queries.slow_query import SlowQueryQueries
from jobs.queries.statistics import StatisticsQueries
from jobs.queries.task import TaskQueries
from jobs.queries.token import TokenQueries
from jobs.queries.worker import Worker, WorkerQueries
from jobs.store import Backup, SlowQuery
from jobs.store.totals import Each

__all__ = [
    "Backup",
    "BackupQueries",
    "Each",
    "HealthQueries",
    "JobQueries",
    "MetricQueries",
    "QuarantineQueries",
    "Queries",
    "Queue",
    "QueueQueries",
    "RetentionQueries",
    "SlowQuery",
    "SlowQueryQueries",
    "StatisticsQueries",
    "TaskQueries",
    "TokenQueries",
    "Worker",
    "WorkerQueries",
]


class Queries:
    """The second door, by noun."""

    def __init__(  # noqa: PLR0913  # one for each noun
        self,
        *,
        job: JobQueries,
        queue: QueueQueries,
        backup: BackupQueries,
        slow_query: SlowQueryQueries,
        statistics: StatisticsQueries,
        task: TaskQueries,
        worker: WorkerQueries,
        token: TokenQueries,
        quarantine: QuarantineQueries,
        metric: MetricQueries,
        retention: RetentionQueries,
        health: HealthQueries,
    ) -> None:
        self.job = job
        self.health = health
        self.queue = queue
        self.backup = backup
        self.slow_query = slow_query
        self.statistics = statistics
        self.task = task
        self.worker = worker
        self.token = token
        self.quarantine = quarantine
        self.metric = metric
        self.retention = retention
