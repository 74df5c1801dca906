"""Who asks, and what they may do. One function decides; everything not allowed is refused."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from jobs.errors import Forbidden


class Role(StrEnum):
    """What a viewer may do; each role includes the ones before it."""

    VIEWER = "VIEWER"
    """Reads."""
    OPERATOR = "OPERATOR"
    """Reads, enqueues, and changes jobs, queues and workers."""
    ADMIN = "ADMIN"
    """Everything, access of others included."""


class Permission(StrEnum):
    """What a command or query asks for."""

    READ = "READ"
    OPERATE = "OPERATE"
    ADMINISTER = "ADMINISTER"


_ALLOWED = {
    Role.VIEWER: {Permission.READ},
    Role.OPERATOR: {Permission.READ, Permission.OPERATE},
    Role.ADMIN: {Permission.READ, Permission.OPERATE, Permission.ADMINISTER},
}


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """The person or program behind a request."""

    id: str
    name: str
    role: Role


SYSTEM = Viewer(id="system", name="system", role=Role.ADMIN)
"""QueueQL itself: its own loops, and code that runs inside of a worker."""


def allows(viewer: Viewer, permission: Permission) -> bool:
    """Tell whether the viewer may do this."""
    return permission in _ALLOWED[viewer.role]


def authorise(viewer: Viewer, permission: Permission) -> None:
    """Return if the viewer may do this. Raises Forbidden."""
    if not allows(viewer, permission):
        raise Forbidden(f"Your role {viewer.role} does not allow this; it needs {permission}.")
