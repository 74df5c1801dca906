"""Which process does what only one is to do."""

from tortoise import fields
from tortoise.models import Model


class Leader(Model):
    """Who leads a loop, and until when unless it says so again."""

    name = fields.CharField(max_length=64, primary_key=True, generated=False)
    holder = fields.TextField()
    until_ms = fields.BigIntField()

    class Meta:
        """Table."""

        table = "leader"
