"""What tasks log."""

from tortoise import fields
from tortoise.models import Model


class LogLine(Model):
    """One line; `context` is a JSON object."""

    id = fields.BigIntField(primary_key=True)
    job_id = fields.CharField(max_length=128)
    run = fields.IntField()
    attempt = fields.IntField()
    at_ms = fields.BigIntField()
    level = fields.SmallIntField()
    message = fields.TextField()
    context = fields.TextField(null=True)
    stack = fields.TextField(null=True)

    class Meta:
        """Table and indexes."""

        table = "log_line"
        indexes = (("job_id", "id"),)
