"""Health, as it was."""

from tortoise import fields
from tortoise.models import Model


class HealthSnapshot(Model):
    """The whole system at one moment. Sections are JSON, null where their collector failed."""

    id = fields.BigIntField(primary_key=True)
    slot_ms = fields.BigIntField(unique=True)
    """The moment that it was due, so that two leaders take one."""
    at_ms = fields.BigIntField()
    took_ms = fields.BigIntField()
    queues = fields.TextField(null=True)
    workers = fields.TextField(null=True)
    database = fields.TextField(null=True)
    redis = fields.TextField(null=True)
    notifications = fields.TextField(null=True)
    recorder = fields.TextField(null=True)
    processes = fields.TextField(null=True)
    errors = fields.TextField(null=True)
    """JSON of the error counts."""
    error_count = fields.BigIntField(null=True)
    faults = fields.TextField(db_default="{}")
    """JSON: what each collector that failed said."""

    class Meta:
        """Table and indexes."""

        table = "system_health_snapshots"
        indexes = (("at_ms",),)
