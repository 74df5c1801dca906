"""The words of the sync: users, what the API says of them, and what a sync did."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SyncMode(StrEnum):
    """Which users a sync reads."""

    INCREMENTAL = "INCREMENTAL"
    """Those that changed since the last finished sync."""
    FULL = "FULL"
    """All of them."""


@dataclass(frozen=True)
class User:
    """A user as the API and the table hold it; times are ISO 8601 in UTC."""

    id: str
    name: str
    email: str
    department: str
    active: bool
    updated_at: str


@dataclass(frozen=True)
class UserError:
    """Why one user could not be read."""

    id: str
    code: str
    message: str


@dataclass(frozen=True)
class Page:
    """One answer of the API."""

    users: list[User]
    errors: list[UserError]
    total: int
    """Users on all pages."""
    end_cursor: str | None
    """Cursor of the next page's start; None on the last page."""


@dataclass(frozen=True)
class SyncResult:
    """What a sync did, all its attempts together."""

    synced: int
    """Users written."""
    skipped: int
    """Users that the table already had in this form."""
    failed: int
    """Users that could not be read; the table user_error says why."""
    batches: int
    seconds: float
    """Time spent working, waits between attempts not counted."""
