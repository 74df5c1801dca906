"""The catalogue of tasks."""

from tortoise import fields
from tortoise.models import Model


class Task(Model):
    """What a worker last published of a task; `definition` is JSON of TaskDefinition, `hash` its own."""

    name = fields.CharField(max_length=255, primary_key=True, generated=False)
    hash = fields.CharField(max_length=64)
    definition = fields.TextField()
    published_ms = fields.BigIntField()

    class Meta:
        """Table."""

        table = "task"
