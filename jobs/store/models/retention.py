"""How long things are kept."""

from tortoise import fields
from tortoise.models import Model


class RetentionPolicy(Model):
    """What is kept of one kind of record; `queue` is empty where it is for those queues that have none of their own."""

    id = fields.BigIntField(primary_key=True)
    queue = fields.CharField(max_length=255)
    kind = fields.CharField(max_length=32)
    keep_s = fields.BigIntField(null=True)
    """Null: whatever their age."""
    keep_count = fields.BigIntField(null=True)
    """The newest so many are kept; null: however many."""
    every_s = fields.BigIntField()
    updated_ms = fields.BigIntField()
    ran_ms = fields.BigIntField(null=True)
    removed = fields.BigIntField(db_default=0)
    """In its last run."""
    removed_total = fields.BigIntField(db_default=0)

    class Meta:
        """Table and indexes."""

        table = "retention_policy"
        unique_together = (("queue", "kind"),)
