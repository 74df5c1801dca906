"""Attempts."""

from tortoise import fields
from tortoise.models import Model


class Attempt(Model):
    """One run of a task; `error` is JSON of Failure."""

    id = fields.BigIntField(primary_key=True)
    job_id = fields.CharField(max_length=128)
    run = fields.IntField()
    number = fields.IntField()
    state = fields.CharField(max_length=32)
    worker = fields.TextField(null=True)
    started_ms = fields.BigIntField()
    finished_ms = fields.BigIntField(null=True)
    error = fields.TextField(null=True)
    cpu_us = fields.BigIntField(null=True)
    """Processor time in microseconds, where it is known."""

    class Meta:
        """Table and indexes."""

        table = "attempt"
        unique_together = (("job_id", "run", "number"),)
