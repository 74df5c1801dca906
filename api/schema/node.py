"""Objects with an identity of their own, and the ids that lead back to them."""

from __future__ import annotations

import base64
import binascii

import strawberry

from jobs.errors import NotFound


@strawberry.interface
class Node:
    """An object that `node(id:)` finds again."""

    id: strawberry.ID
    """Opaque and stable; of no two objects the same."""


def node_id(kind: str, key: str) -> strawberry.ID:
    """Id of an object whose key is unique only among its own kind."""
    return strawberry.ID(base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("="))


def parse_node_id(text: str) -> tuple[str, str]:
    """Kind and key that `node_id` was given. A job's id stands for itself. Raises NotFound for anything else."""
    if len(text) == 36 and text.count("-") == 4:
        return "Job", text.lower()
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    kind, separator, key = decoded.partition(":")
    if not separator:
        raise NotFound("No object has this id.", path=("id",))
    return kind, key
