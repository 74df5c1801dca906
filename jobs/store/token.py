"""Access: secrets that open the API. Only their SHA-256 is stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from enum import StrEnum

from jobs.clock import Clock, new_id
from jobs.store.database import Database, Transaction
from jobs.viewer import Role, Viewer

SESSION_TTL_S = 7 * 86_400.0
"""How long a browser stays signed in."""
USED_MS = 60_000
"""The time of last use is written at most this often."""

_OPENS = (
    "SELECT id, name, role FROM token WHERE secret_sha256 = $1 AND kind IN ('API', 'SESSION')"
    " AND revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > $2)"
)
_SPEND = (
    "UPDATE token SET revoked_ms = $2, last_used_ms = $2 WHERE secret_sha256 = $1 AND kind = 'CODE'"
    " AND revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > $2) RETURNING name, role"
)
_INSERT = (
    "INSERT INTO token (id, kind, name, role, secret_sha256, created_ms, expires_ms)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (secret_sha256) DO UPDATE SET kind = excluded.kind,"
    " name = excluded.name, role = excluded.role, expires_ms = excluded.expires_ms, revoked_ms = NULL"
)


class TokenKind(StrEnum):
    """What a secret is for."""

    API = "API"
    """Programs."""
    SESSION = "SESSION"
    """A browser that signed in."""
    CODE = "CODE"
    """The link that signs a browser in, once; it opens nothing else."""


class Tokens:
    """Issues secrets and tells whose they are. All methods raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def issue(
        self, kind: TokenKind, name: str, role: Role, ttl_s: float | None = None, secret: str | None = None
    ) -> str:
        """Make a token and return its secret: `qq_<id>_<32 random bytes>`, or the one that is given.

        `ttl_s`: seconds until it expires; None: never. A given secret that exists already gets these values.
        """
        async with self._database.transaction() as transaction:
            return await self._insert(transaction, kind, Viewer(id=new_id(), name=name, role=role), ttl_s, secret)

    async def authenticate(self, secret: str) -> Viewer | None:
        """Return who has this secret; None where it is unknown, expired, revoked or a code."""
        digest, now_ms = _digest(secret), self._clock()
        rows = await self._database.fetch(_OPENS, (digest, now_ms))
        if not rows:
            return None
        row = rows[0]
        return Viewer(id=row["id"], name=row["name"], role=Role(row["role"]))

    async def exchange(self, code: str) -> str | None:
        """Spend a code for the secret of a new session; None where it is spent, expired or no code."""
        async with self._database.transaction() as transaction:
            rows = await transaction.fetch(_SPEND, (_digest(code), self._clock()))
            if not rows:
                return None
            viewer = Viewer(id=new_id(), name=rows[0]["name"], role=Role(rows[0]["role"]))
            return await self._insert(transaction, TokenKind.SESSION, viewer, SESSION_TTL_S)

    async def revoke(self, token_id: str) -> bool:
        """Make a token useless from now on; return whether it was valid."""
        async with self._database.transaction() as transaction:
            sql = "UPDATE token SET revoked_ms = $1 WHERE id = $2 AND revoked_ms IS NULL"
            return await transaction.execute(sql, (self._clock(), token_id)) > 0

    async def note_use(self, used: Mapping[str, int]) -> None:
        """Write when tokens, by id, were last used; not where that was less than `USED_MS` after what is written."""
        sql = "UPDATE token SET last_used_ms = $1 WHERE id = $2 AND COALESCE(last_used_ms, 0) <= $3"
        async with self._database.transaction() as transaction:
            for token_id, at_ms in used.items():
                await transaction.execute(sql, (at_ms, token_id, at_ms - USED_MS))

    async def _insert(
        self, transaction: Transaction, kind: TokenKind, viewer: Viewer, ttl_s: float | None, secret: str | None = None
    ) -> str:
        now_ms = self._clock()
        secret = secret or f"qq_{viewer.id.replace('-', '')}_{secrets.token_urlsafe(32)}"
        expires_ms = None if ttl_s is None else now_ms + int(ttl_s * 1000)
        values = (viewer.id, str(kind), viewer.name, str(viewer.role), _digest(secret), now_ms, expires_ms)
        await transaction.execute(_INSERT, values)
        return secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
