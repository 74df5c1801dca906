"""Which jobs are meant: the filter that lists, counts and subscriptions share, as clients write it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import strawberry

from api.context import Info
from api.schema.scalars import JSON, milliseconds
from jobs import where as vocabulary
from jobs.errors import InvalidOption
from jobs.job import Priority, Reason, State
from jobs.where_text import parse


@strawberry.input
class TimeRange:
    """A span of time. An end that is left out is open."""

    from_: datetime | None = strawberry.field(name="from", default=None)
    """At this time or later."""
    until: datetime | None = None
    """Before this time."""

    def read(self) -> vocabulary.TimeRange:
        """Return it as the doors know it."""
        return vocabulary.TimeRange(
            from_ms=milliseconds(self.from_) if self.from_ else None,
            until_ms=milliseconds(self.until) if self.until else None,
        )


@strawberry.input
class PathWhere:
    """What a value within a JSON document is to be. Everything that is given must hold."""

    path: str
    """Where the value is: `user.id`, or `items[0].name` with places of lists in brackets."""
    equals: JSON | None = strawberry.UNSET
    """This very text, number, true, false or null, or one of a list of these; 1 equals 1.0, but not "1" or true."""
    contains: str | None = None
    """A text that has this within it, in small letters or capitals."""
    at_least: float | None = None
    """A number as great as this or greater."""
    at_most: float | None = None
    """A number as small as this or smaller."""
    exists: bool | None = None
    """Whether there is a value at all; null is one."""

    def read(self, place: vocabulary.Place) -> vocabulary.PathWhere:
        """Return it as the doors know it. Raises InvalidOption."""
        values: tuple[Any, ...] = ()
        if self.equals is not strawberry.UNSET:
            values = tuple(self.equals) if isinstance(self.equals, list) else (self.equals,)
        if any(isinstance(value, dict | list) for value in values):
            raise InvalidOption(
                "`equals` compares texts, numbers, true, false and null, not objects and lists.", path=("where", *place)
            )
        return vocabulary.PathWhere(
            path=self.path,
            equals=values,
            contains=self.contains or "",
            at_least=self.at_least,
            at_most=self.at_most,
            exists=self.exists,
        )


@strawberry.input
class JobWhere:
    """Which jobs are meant. Every part that is given must hold; within a list any of the values may.

    A list has 1 to 100 values; to mean all, leave it out. Texts are compared letter for letter; where one is looked for
    within another, in `error` and `contains`, A to Z are the same as a to z.
    """

    states: list[State] | None = None
    """In one of these states."""
    tasks: list[str] | None = None
    """Of one of these tasks, by name."""
    queues: list[str] | None = None
    """In one of these queues, by name."""
    keys: list[str] | None = None
    """With one of these deduplication keys."""
    owners: list[str] | None = None
    """Belonging to one of these owners."""
    tags: list[str] | None = None
    """With one of these tags."""
    priorities: list[Priority] | None = None
    """Of one of these priorities."""
    reasons: list[Reason] | None = None
    """DEAD for one of these reasons."""
    parents: list[strawberry.ID] | None = None
    """Made from one of these jobs, by id."""
    error: str | None = None
    """With this text in the type or the message of the last error, in small letters or capitals."""
    args: list[PathWhere] | None = None
    """Whose arguments have these values."""
    metadata: list[PathWhere] | None = None
    """Whose metadata has these values."""
    created: TimeRange | None = strawberry.field(name="createdAt", default=None)
    """Accepted in this span."""
    updated: TimeRange | None = strawberry.field(name="updatedAt", default=None)
    """Last changed in this span."""
    scheduled: TimeRange | None = strawberry.field(name="scheduledAt", default=None)
    """Whose time is, or was, in this span."""
    started: TimeRange | None = strawberry.field(name="startedAt", default=None)
    """Whose last attempt began in this span."""
    finished: TimeRange | None = strawberry.field(name="finishedAt", default=None)
    """That reached their final state in this span."""
    every: list[JobWhere] | None = strawberry.field(name="and", default=None)
    """All of these hold too."""
    some: list[JobWhere] | None = strawberry.field(name="or", default=None)
    """At least one of these holds too."""
    none: list[JobWhere] | None = strawberry.field(name="not", default=None)
    """None of these holds."""
    text: str | None = None
    """The same as people type it: `state:dead queue:mail args.user.id:42 error:TIMEOUT age:<1h`. Must hold too.

    A term is FIELD:VALUE; `a,b` are alternatives, `-` before a term negates it, `OR` stands between terms, parentheses
    group, `>=` and the like compare times and numbers, and a time is a date, a moment or an age such as `2h`.
    """

    def read(self, info: Info) -> vocabulary.JobWhere:
        """Return the filter as the doors know it. Raises InvalidOption where it does not make sense."""
        where = self._read((), info.context.client.clock())
        try:
            vocabulary.check(where)
        except InvalidOption as error:
            raise _renamed(error) from None
        return where

    def _read(self, place: vocabulary.Place, now_ms: int) -> vocabulary.JobWhere:
        if len(place) > 2 * vocabulary.DEPTH_MAX:
            raise InvalidOption(
                f"A filter has at most {vocabulary.DEPTH_MAX} branches within each other.", path=("where", *place)
            )
        parts: dict[str, Any] = {"error": self.error or ""}
        for name in vocabulary.LISTS:
            parts[name] = tuple(self._list(name, place))
        for name in vocabulary.TIMES:
            span = getattr(self, name)
            parts[name] = None if span is None else span.read()
        for name in vocabulary.DOCUMENTS:
            parts[name] = tuple(one.read((*place, name, at)) for at, one in enumerate(self._list(name, place)))
        for name, shown in vocabulary.BRANCHES.items():
            branches: list[JobWhere] = self._list(name, place)
            parts[name] = tuple(one._read((*place, shown, at), now_ms) for at, one in enumerate(branches))
        if self.text:
            try:
                parts["every"] += (parse(self.text, now_ms),)
            except InvalidOption as error:  # what its fields would be called is not what the client wrote
                raise InvalidOption(str(error), path=("where", *place, "text")) from None
        return vocabulary.JobWhere(**parts)

    def _list(self, name: str, place: vocabulary.Place) -> list[Any]:
        values: list[Any] | None = getattr(self, name)
        if values is not None and not values:
            name = vocabulary.BRANCHES.get(name, name)
            raise InvalidOption(
                f"`{name}` is empty, so no job would fit; leave it out to mean all.", path=("where", *place, name)
            )
        return values or []


def _renamed(error: InvalidOption) -> InvalidOption:
    """Return the error in the names of the input: `createdAt`, where the doors say `created`."""
    message = str(error)
    for name in vocabulary.TIMES:
        message = message.replace(f"`{name}`", f"`{name}At`")
    path = tuple(f"{part}At" if part in vocabulary.TIMES else part for part in error.path)
    return InvalidOption(message, path=path)
