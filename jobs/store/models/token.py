"""Access."""

from tortoise import fields
from tortoise.models import Model


class Token(Model):
    """A secret that opens the API (`kind` API or SESSION), or a code that is exchanged for one (CODE)."""

    id = fields.CharField(max_length=64, primary_key=True, generated=False)
    kind = fields.CharField(max_length=32)
    name = fields.TextField()
    role = fields.CharField(max_length=32)
    secret_sha256 = fields.CharField(max_length=64, unique=True)
    created_ms = fields.BigIntField()
    expires_ms = fields.BigIntField(null=True)
    last_used_ms = fields.BigIntField(null=True)
    revoked_ms = fields.BigIntField(null=True)

    class Meta:
        """Table."""

        table = "token"
