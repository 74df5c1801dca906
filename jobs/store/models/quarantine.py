"""Records that could not be read."""

from tortoise import fields
from tortoise.models import Model


class Quarantine(Model):
    """One record as it was found; `digest` tells the same record found again."""

    id = fields.BigIntField(primary_key=True)
    at_ms = fields.BigIntField()
    source = fields.CharField(max_length=32)
    ref = fields.CharField(max_length=255)
    reason = fields.TextField()
    record = fields.TextField()
    digest = fields.CharField(max_length=64, unique=True)

    class Meta:
        """Table."""

        table = "quarantine"
