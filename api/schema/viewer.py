"""The viewer: who asks, and what they may do."""

from __future__ import annotations

import strawberry

from api.context import Info
from jobs import viewer as vocabulary
from jobs.viewer import Role

strawberry.enum(Role)


@strawberry.type
class Viewer:
    """The person or program behind this request."""

    id: strawberry.ID
    """Id of the token or session that signed the request in."""
    name: str
    """What the token is called."""
    role: Role
    """What it may do."""


@strawberry.type
class ViewerQuery:
    """Queries of the viewer."""

    @strawberry.field(graphql_type=Viewer | None)
    def viewer(self, info: Info) -> vocabulary.Viewer:
        """Who asks: the person or program behind this request."""
        return info.context.viewer
