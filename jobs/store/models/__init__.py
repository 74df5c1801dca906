"""The tables, one file per noun. aerich reads them to write migrations; at run time the store speaks SQL.

Times are milliseconds since 1970. What JSON is not searched is text.
"""

from jobs.store.models.attempt import Attempt
from jobs.store.models.backup import Backup
from jobs.store.models.job import Job, JobKey, JobTag
from jobs.store.models.leader import Leader
from jobs.store.models.log import LogLine
from jobs.store.models.progress import Epoch, Recorder
from jobs.store.models.quarantine import Quarantine
from jobs.store.models.queue import Queue
from jobs.store.models.retention import RetentionPolicy
from jobs.store.models.rollup import Rollup
from jobs.store.models.slow_query import SlowQuery
from jobs.store.models.snapshot import HealthSnapshot
from jobs.store.models.task import Task
from jobs.store.models.token import Token

__all__ = [
    "Attempt",
    "Backup",
    "Epoch",
    "HealthSnapshot",
    "Job",
    "JobKey",
    "JobTag",
    "Leader",
    "LogLine",
    "Quarantine",
    "Queue",
    "Recorder",
    "RetentionPolicy",
    "Rollup",
    "SlowQuery",
    "Task",
    "Token",
]
