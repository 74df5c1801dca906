"""Commands on access: tokens for programs, codes and sessions for browsers."""

from __future__ import annotations

from jobs.commands.gate import command
from jobs.commands.parts import Parts
from jobs.store import TokenKind
from jobs.viewer import SYSTEM, Permission, Role, Viewer


class TokenCommands:
    """Issue and exchange."""

    def __init__(self, parts: Parts) -> None:
        self.gate = parts.gate
        self._parts = parts

    @command(Permission.ADMINISTER, "token.issue")
    async def issue(
        self,
        _viewer: Viewer,
        kind: TokenKind,
        *,
        name: str,
        role: Role,
        ttl_s: float | None = None,
        secret: str | None = None,
    ) -> str:
        """Make a token and return its secret, which is stored nowhere. `ttl_s`: until it expires; None: never.

        Raises Forbidden, StoreUnavailable.
        """
        return await self._parts.store.tokens.issue(kind, name, role, ttl_s, secret)

    async def exchange(self, code: str) -> str | None:
        """Turn a one-time code into the secret of a browser session; None where it is spent, expired or wrong.

        The code itself is the permission, so there is no viewer. Raises StoreUnavailable.
        """
        return await self.gate.run(
            SYSTEM, Permission.ADMINISTER, "token.exchange", lambda: self._parts.store.tokens.exchange(code)
        )
