"""The first way in: the admin token, and the link that signs a browser in."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.settings import Settings
from jobs.store import Store
from jobs.store.config import database_url
from jobs.store.migrate import Migrator
from jobs.store.token import TokenKind, Tokens
from jobs.up.folder import DataFolder
from jobs.viewer import Role

CODE_TTL_S = 3_600.0
"""How long the link that `queueql up` prints can be used, once."""


@dataclass(frozen=True)
class Access:
    """What opens the API: a token for programs, a one-time code for a browser."""

    token: str
    code: str


async def migrate(settings: Settings) -> list[str]:
    """Bring the database up to date; return the names of the migrations that were applied. Raises StartError.

    An admin token that the settings give is made valid.
    """
    if not settings.database_url:
        DataFolder(settings.data).make()
    url = database_url(settings)
    applied = await Migrator().migrate(url)
    if settings.admin_token:
        store = await Store.open(url)
        try:
            await ensure_admin(store.tokens, settings.admin_token)
        finally:
            await store.close()
    return applied


async def prepare(settings: Settings, folder: DataFolder) -> Access:
    """Bring the database up to date and see to it that an admin can sign in. Raises StartError."""
    await Migrator().migrate(settings.database_url)
    store = await Store.open(settings.database_url)
    try:
        token = await ensure_admin(store.tokens, settings.admin_token or folder.read_token())
        if not settings.admin_token:
            folder.keep_token(token)
        code = await store.tokens.issue(TokenKind.CODE, "sign-in link", Role.ADMIN, CODE_TTL_S)
        return Access(token, code)
    finally:
        await store.close()


async def ensure_admin(tokens: Tokens, secret: str) -> str:
    """Make `secret` (empty: a new one) the value of an admin token, unless it is one already. Returns the secret."""
    if secret and await tokens.authenticate(secret):
        return secret
    return await tokens.issue(TokenKind.API, "admin", Role.ADMIN, None, secret=secret or None)
