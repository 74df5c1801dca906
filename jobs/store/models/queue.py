"""Queues."""

from tortoise import fields
from tortoise.models import Model


class Queue(Model):
    """A queue that has been used."""

    name = fields.CharField(max_length=255, primary_key=True, generated=False)
    durability = fields.CharField(max_length=32)
    created_ms = fields.BigIntField()

    class Meta:
        """Table."""

        table = "queue"
