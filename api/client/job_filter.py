"""Which jobs: the options that lists and streams share, as the `JobWhere` of the schema."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from api.client.option import State, read_past

Text = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILTER", help="As people type it: 'state:dead queue:mail args.user.id:42 age:<1h'."),
]
States = Annotated[list[State] | None, typer.Option("--state", case_sensitive=False, help="In this state.")]
Tasks = Annotated[list[str] | None, typer.Option("--task", help="Of this task.")]
Queues = Annotated[list[str] | None, typer.Option("--queue", help="In this queue.")]
Owners = Annotated[list[str] | None, typer.Option("--owner", help="Belonging to this owner.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="With this tag.")]
Since = Annotated[str | None, typer.Option(help="Accepted at this time or later: 2h, 3d, 2026-03-01.")]
Until = Annotated[str | None, typer.Option(help="Accepted before this time: 2h, 3d, 2026-03-01.")]


def where(
    *,
    now: datetime,
    text: list[str] | None,
    states: list[State] | None,
    tasks: list[str] | None,
    queues: list[str] | None,
    owners: list[str] | None,
    tags: list[str] | None,
    since: str | None,
    until: str | None,
) -> dict[str, Any] | None:
    """Return the filter; None where nothing was said. Raises typer.BadParameter."""
    created = {
        "from": since and read_past(since, now).isoformat(),
        "until": until and read_past(until, now).isoformat(),
    }
    parts = {
        "text": " ".join(text or ()),
        "states": states,
        "tasks": tasks,
        "queues": queues,
        "owners": owners,
        "tags": tags,
        "createdAt": {name: value for name, value in created.items() if value},
    }
    return {name: value for name, value in parts.items() if value} or None
