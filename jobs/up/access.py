"""The first way in: the admin token, and the link that signs a browser in."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.settings import Settings
from jobs.store import Migrator, Store, TokenKind
from jobs.store.config import database_url
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
            await store.tokens.issue(TokenKind.API, "admin", Role.ADMIN, secret=settings.admin_token)
        finally:
            await store.close()
    return applied


async def prepare(settings: Settings, folder: DataFolder) -> Access:
    """Bring the database up to date and see to it that an admin can sign in. Raises StartError."""
    await Migrator().migrate(settings.database_url)
    store = await Store.open(settings.database_url)
    try:
        token = settings.admin_token or folder.read_token()
        viewer = await store.tokens.authenticate(token) if token else None
        if viewer is None or viewer.role is not Role.ADMIN:
            # The settings rule; a token of the folder that was revoked does not come back.
            token = await store.tokens.issue(TokenKind.API, "admin", Role.ADMIN, secret=settings.admin_token or None)
        if not settings.admin_token:
            folder.keep_token(token)
        code = await store.tokens.issue(TokenKind.CODE, "sign-in link", Role.ADMIN, CODE_TTL_S)
        return Access(token, code)
    finally:
        await store.close()
