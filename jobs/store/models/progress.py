"""How far the system itself has come: two tables of one row."""

from tortoise import fields
from tortoise.models import Model


class Epoch(Model):
    """Which Redis the store trusts: a number that grows, and the run_id of the server."""

    id = fields.SmallIntField(primary_key=True, generated=False)
    number = fields.BigIntField()
    run_id = fields.TextField(db_default="")

    class Meta:
        """Table."""

        table = "epoch"


class Recorder(Model):
    """Up to where the events are recorded, as text of Position."""

    id = fields.SmallIntField(primary_key=True, generated=False)
    position = fields.TextField()

    class Meta:
        """Table."""

        table = "recorder"
