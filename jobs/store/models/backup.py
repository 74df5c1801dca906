"""Backups."""

from tortoise import fields
from tortoise.models import Model


class Backup(Model):
    """A backup that was made, and whether it could be restored."""

    id = fields.CharField(max_length=128, primary_key=True, generated=False)
    path = fields.TextField()
    size_bytes = fields.BigIntField()
    created_ms = fields.BigIntField()
    counts = fields.TextField()
    """JSON: rows by table at that moment."""
    verified_ms = fields.BigIntField(null=True)
    """When it was last restored into a scratch place."""
    fault = fields.TextField(null=True)
    """What that found, null where nothing was wrong."""

    class Meta:
        """Table."""

        table = "backup"
