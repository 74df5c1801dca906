"""The tables, one file per noun. aerich reads them to write migrations; at run time the store speaks SQL.

Times are milliseconds since 1970. What JSON is not searched is text.
"""

from jobs.store.models.attempt import Attempt
from jobs.store.models.job import Job, JobKey, JobTag
from jobs.store.models.log import LogLine
from jobs.store.models.progress import Epoch, Recorder
from jobs.store.models.quarantine import Quarantine
from jobs.store.models.queue import Queue
from jobs.store.models.task import Task
from jobs.store.models.token import Token

__all__ = ["Attempt", "Epoch", "Job", "JobKey", "JobTag", "LogLine", "Quarantine", "Queue", "Recorder", "Task", "Token"]
