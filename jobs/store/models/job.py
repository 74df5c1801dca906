"""Jobs, their tags and the keys that keep a job from being accepted twice."""

from typing import Any

from tortoise import fields
from tortoise.models import Model


class Job(Model):
    """A job as it was accepted, and as the recorder last folded its events.

    Newer is what has the greater (run, version). The indexes over states are partial and stand in the
    first migration.
    """

    id = fields.CharField(max_length=128, primary_key=True, generated=False)
    task = fields.CharField(max_length=255)
    queue = fields.CharField(max_length=255)
    state = fields.CharField(max_length=32)
    priority = fields.SmallIntField()
    args = fields.JSONField[Any]()
    run = fields.IntField(db_default=1)
    version = fields.BigIntField(db_default=0)
    attempts = fields.IntField(db_default=0)
    attempt_base = fields.IntField(db_default=0)
    """To be added to the broker's numbers of attempts, where it lost count and used some of them again."""
    uncharged = fields.IntField(db_default=0)
    """Attempts that do not count against max_attempts."""
    max_attempts = fields.IntField()
    crashes = fields.IntField(db_default=0)
    recoveries = fields.IntField(db_default=0)
    backoff = fields.TextField()
    timeout_s = fields.FloatField()
    durability = fields.CharField(max_length=32)
    owner = fields.TextField(null=True)
    tags = fields.TextField(db_default="[]")
    metadata = fields.JSONField[Any]()
    key = fields.TextField(null=True)
    idempotency_key = fields.TextField(null=True)
    retry_of = fields.CharField(max_length=128, null=True)
    progress = fields.TextField(null=True)
    progress_ms = fields.BigIntField(db_default=0)
    checkpoint = fields.TextField(null=True)
    """JSON that the next attempt of this run begins with."""
    result = fields.TextField(null=True)
    reason = fields.CharField(max_length=64, null=True)
    error = fields.TextField(null=True)
    worker = fields.TextField(null=True)
    cancel_requested = fields.BooleanField(db_default=False)
    cancel_run = fields.IntField(null=True)
    """The run that was to be cancelled last, whether the broker knows of it or not."""
    created_ms = fields.BigIntField()
    updated_ms = fields.BigIntField()
    scheduled_ms = fields.BigIntField(null=True)
    """As asked for at enqueue."""
    due_ms = fields.BigIntField(null=True)
    """When it is, or last was, to run next."""
    started_ms = fields.BigIntField(null=True)
    finished_ms = fields.BigIntField(null=True)

    class Meta:
        """Table and indexes."""

        table = "job"
        indexes = (("queue", "id"), ("task", "id"))


class JobTag(Model):
    """One tag of a job, to find jobs by."""

    id = fields.BigIntField(primary_key=True)
    tag = fields.CharField(max_length=255)
    job_id = fields.CharField(max_length=128)

    class Meta:
        """Table and indexes."""

        table = "job_tag"
        unique_together = (("tag", "job_id"),)


class JobKey(Model):
    """Who holds a key: `kind` is `unique` or `idempotency`, `scope` the task.

    `hash` is SHA-256 of kind, scope, owner (idempotency) and key; `args_hash` that of the arguments.
    """

    hash = fields.CharField(max_length=64, primary_key=True, generated=False)
    kind = fields.CharField(max_length=32)
    scope = fields.CharField(max_length=255)
    job_id = fields.CharField(max_length=128)
    args_hash = fields.CharField(max_length=64, db_default="")
    expires_ms = fields.BigIntField(null=True)

    class Meta:
        """Table."""

        table = "job_key"
