"""Figures that outlive the jobs they count."""

from tortoise import fields
from tortoise.models import Model


class Rollup(Model):
    """What has happened in one queue to the jobs of one task up to the end of the `span_s` seconds from `at_ms` on.

    It counts like a meter: minutes since their hour began, hours since their day began, days since ever. There is a row
    where something happened in its span. The times are those of the events. `entered_` columns are jobs that came into
    a state less those that left it, so that what they count since ever is how many were in it then.
    """

    id = fields.BigIntField(primary_key=True)
    span_s = fields.IntField()
    """60, 3,600 or 86,400."""
    at_ms = fields.BigIntField()
    queue = fields.CharField(max_length=255)
    task = fields.CharField(max_length=255)
    accepted = fields.BigIntField(db_default=0)
    """Runs that began to wait: jobs, and their manual retries."""
    started = fields.BigIntField(db_default=0)
    """Attempts."""
    completed = fields.BigIntField(db_default=0)
    failed = fields.BigIntField(db_default=0)
    """Attempts that failed, the last ones too."""
    dead = fields.BigIntField(db_default=0)
    cancelled = fields.BigIntField(db_default=0)
    lost = fields.BigIntField(db_default=0)
    """Attempts whose worker was lost."""
    snoozed = fields.BigIntField(db_default=0)
    released = fields.BigIntField(db_default=0)
    entered_blocked = fields.BigIntField(db_default=0)
    entered_scheduled = fields.BigIntField(db_default=0)
    entered_queued = fields.BigIntField(db_default=0)
    entered_active = fields.BigIntField(db_default=0)
    entered_retrying = fields.BigIntField(db_default=0)
    wait_ms = fields.BigIntField(db_default=0)
    """Sum, from when an attempt could begin to its start."""
    run_ms = fields.BigIntField(db_default=0)
    """Sum over attempts that ended."""
    cpu_us = fields.BigIntField(db_default=0)
    """Processor time in microseconds, where it is known: its sum."""
    cpu_known = fields.BigIntField(db_default=0)
    """Attempts whose processor time is known."""
    waits = fields.TextField(db_default="")
    """Histogram of the waits."""
    runs = fields.TextField(db_default="")
    """Histogram of the times that attempts ran."""

    class Meta:
        """Table and indexes."""

        table = "rollup"
        unique_together = (("span_s", "queue", "task", "at_ms"),)
        indexes = (("span_s", "at_ms"),)
