"""Statements that took long."""

from tortoise import fields
from tortoise.models import Model


class SlowQuery(Model):
    """A statement that took longer than the threshold at least once; `fingerprint` is SHA-256 of it."""

    fingerprint = fields.CharField(max_length=64, primary_key=True, generated=False)
    sql = fields.TextField()
    count = fields.BigIntField()
    """How many times it was slow."""
    total_ms = fields.FloatField()
    """Of those times."""
    worst_ms = fields.FloatField()
    worst_at_ms = fields.BigIntField()
    last_at_ms = fields.BigIntField()
    process = fields.TextField()
    """Where it was slowest."""

    class Meta:
        """Table."""

        table = "slow_query"
