"""The users: as many as wanted, the same ones at every start, some of which cannot be read."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from graphql import GraphQLError

_FIRST_CHANGE = datetime(2026, 1, 1, tzinfo=UTC)
_NAMES = ("Ada", "Barbara", "Edsger", "Frances", "Grace", "Ken", "Leslie", "Margaret", "Niklaus", "Tony")
_FAMILIES = ("Allen", "Dijkstra", "Hamilton", "Hoare", "Hopper", "Lamport", "Liskov", "Lovelace", "Ritchie", "Wirth")
_DEPARTMENTS = ("Engineering", "Finance", "Legal", "Operations", "People", "Sales")

PAGE_MAX = 100


def fault(message: str, code: str) -> GraphQLError:
    """Make an error as clients of the API see it."""
    return GraphQLError(message, extensions={"code": code})


@dataclass
class User:
    """One user. `revision` counts the changes since the first."""

    number: int
    updated: datetime
    revision: int = 0
    unreadable: str = ""
    """The field that fails when it is read: `name` loses the whole user, `email` only itself."""

    @property
    def id(self) -> str:
        """Id that other systems keep."""
        return f"user-{self.number:06}"

    @property
    def name(self) -> str:
        """Given and family name."""
        if self.unreadable == "name":
            raise fault(f"The record of {self.id} is damaged.", "RECORD_DAMAGED")
        return f"{_NAMES[self.number % 10]} {_FAMILIES[self.number // 10 % 10]}"

    @property
    def email(self) -> str | None:
        """Address at work."""
        if self.unreadable == "email":
            raise fault(f"The mail system does not know {self.id}.", "MAILBOX_UNKNOWN")
        return f"{self.id}@example.com"

    @property
    def department(self) -> str:
        """Moves on with every change."""
        return _DEPARTMENTS[(self.number + self.revision) % len(_DEPARTMENTS)]

    @property
    def active(self) -> bool:
        """Whether the user may sign in."""
        return self.number % 20 != 0

    @property
    def updated_at(self) -> str:
        """Time of the last change."""
        return self.updated.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Directory:
    """`size` users; of every `failing_every` one cannot be read (0: all can be read)."""

    size: int
    failing_every: int = 0
    users: dict[str, User] = field(default_factory=dict)
    _order: list[tuple[datetime, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number in range(1, self.size + 1):
            user = User(number, _FIRST_CHANGE + timedelta(seconds=number), unreadable=self._unreadable(number))
            self.users[user.id] = user
            self._order.append((user.updated, user.id))

    def _unreadable(self, number: int) -> str:
        if not self.failing_every or number % self.failing_every:
            return ""
        return ("email", "name")[number // self.failing_every % 2]

    def touch(self, count: int) -> int:
        """Change the `count` users with the lowest numbers, each a second after the newest change so far."""
        touched = list(self.users.values())[: max(0, count)]
        newest = self._order[-1][0] if self._order else _FIRST_CHANGE
        for seconds, user in enumerate(touched, start=1):
            user.updated = newest + timedelta(seconds=seconds)
            user.revision += 1
        self._order = sorted((user.updated, user.id) for user in self.users.values())
        return len(touched)

    def page(self, first: int, after: str | None, where: dict[str, Any]) -> dict[str, Any]:
        """Read a page of users in the order of their last change. Raises GraphQLError for arguments out of range."""
        if not 1 <= first <= PAGE_MAX:
            raise fault(f"first is 1 to {PAGE_MAX}, not {first}.", "BAD_USER_INPUT")
        order = self._admitted(where.get("updatedSince"), where.get("ids"))
        start = bisect_right(order, _decode(after)) if after else 0
        page = order[start : start + first]
        return {
            "totalCount": len(order),
            "edges": [{"cursor": _encode(key), "userId": key[1], "node": self.users[key[1]]} for key in page],
            "pageInfo": {
                "hasNextPage": start + first < len(order),
                "endCursor": _encode(page[-1]) if page else None,
            },
        }

    def _admitted(self, since: str | None, ids: Sequence[str] | None) -> list[tuple[datetime, str]]:
        order = self._order
        if ids is not None:
            order = sorted((self.users[user_id].updated, user_id) for user_id in set(ids) & self.users.keys())
        return order[bisect_left(order, (_time(since), "")) :] if since else order


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise fault(f"{text!r} is not a time in ISO 8601.", "BAD_USER_INPUT") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _encode(key: tuple[datetime, str]) -> str:
    return base64.urlsafe_b64encode(f"{key[0].isoformat()} {key[1]}".encode()).decode()


def _decode(cursor: str) -> tuple[datetime, str]:
    try:
        time, user_id = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
        return datetime.fromisoformat(time), user_id
    except (ValueError, binascii.Error):
        raise fault("The cursor is not one of this API.", "BAD_USER_INPUT") from None
