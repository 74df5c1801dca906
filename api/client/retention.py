"""`queueql retention ...`: how long things are kept."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.client import retention_document as document
from api.client.call import call
from api.client.option import AsJson, Token, Url, iso_length, read_length

if TYPE_CHECKING:
    from datetime import datetime

    from api.client.link import Link
    from api.client.screen import Screen

app = typer.Typer(no_args_is_help=True, help="How long things are kept: list, preview, set, remove.")


class Kind(StrEnum):
    """RetentionKind of the schema."""

    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    DEAD = "DEAD"
    ATTEMPT = "ATTEMPT"
    LOG = "LOG"
    EVENT = "EVENT"
    SNAPSHOT = "SNAPSHOT"
    ROLLUP_MINUTE = "ROLLUP_MINUTE"
    ROLLUP_HOUR = "ROLLUP_HOUR"
    SLOW_QUERY = "SLOW_QUERY"
    QUARANTINE = "QUARANTINE"
    KEY = "KEY"
    TOKEN = "TOKEN"  # noqa: S105  # the name of a kind


_JOBS = {Kind.COMPLETED, Kind.CANCELLED, Kind.DEAD}
YOUNG = (
    "Jobs that ended within the replay window (QUEUEQL_REPLAY_WINDOW_S, 10 minutes) stay for now; they do not count."
)

Which = Annotated[Kind, typer.Argument(metavar="KIND", case_sensitive=False, help="What is kept: COMPLETED, LOG, ...")]
Queue = Annotated[str | None, typer.Option(help="Only for jobs of this queue.")]
Keep = Annotated[str | None, typer.Option(help="How long: 12h, 30d.")]
Count = Annotated[int | None, typer.Option(help="How many jobs of each queue, the newest.")]
Every = Annotated[str | None, typer.Option(help="How often the rest is removed: 1h, 1d.")]


@app.command("list")
def list_policies(url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """List the policies in force, with their last and next runs."""

    async def command(link: Link, screen: Screen) -> None:
        from api.client.page import every

        policies = await every(link, document.RETENTION_LIST, "retentionPolicies")
        if screen.as_json:
            screen.json({"policies": policies})
        else:
            _print(screen, policies)

    call(command, url=url, token=token, as_json=as_json)


@app.command()
def preview(
    kind: Which,
    queue: Queue = None,
    keep: Keep = None,
    count: Count = None,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Count what a policy would remove now; with neither --keep nor --count, what the one in force would."""
    policy = _policy(kind, queue, keep, count)

    async def command(link: Link, screen: Screen) -> None:
        from api.client.screen import Column
        from api.client.text import count as count_text
        from api.client.text import local

        found = (await link.run(document.RETENTION_PREVIEW, {"policy": policy}))["retentionPreview"]
        if screen.as_json:
            screen.json(found)
            return
        screen.line(("Would be removed: ", "dim"), (count_text(found["count"]), "bold"))
        columns = [Column("QUEUE", folds=True), Column("COUNT", right=True), Column("OLDEST"), Column("NEWEST")]
        rows = [
            (one["queue"] or "-", count_text(one["count"]), local(one["oldestAt"]), local(one["newestAt"]))
            for one in found["shares"]
        ]
        screen.table(columns, rows, "Nothing.")
        if kind in _JOBS:
            screen.say(YOUNG)

    call(command, url=url, token=token, as_json=as_json)


@app.command("set")
def set_policy(
    kind: Which,
    queue: Queue = None,
    keep: Keep = None,
    count: Count = None,
    every: Every = None,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Put a policy in force. With --keep and --count, what violates either goes; with neither, everything is kept."""
    policy = _policy(kind, queue, keep, count) | ({"every": iso_length(read_length(every))} if every else {})
    _change(document.RETENTION_SET, "retentionSet", policy, url=url, token=token, as_json=as_json)


@app.command()
def remove(kind: Which, queue: Queue = None, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Remove a policy that was set; shows the one that is in force instead."""
    which = _policy(kind, queue, None, None)
    _change(document.RETENTION_REMOVE, "retentionRemove", which, url=url, token=token, as_json=as_json)


def _policy(kind: Kind, queue: str | None, keep: str | None, count: int | None) -> dict[str, Any]:
    given = {"kind": kind.value, "queue": queue, "keepCount": count, "keepFor": keep and iso_length(read_length(keep))}
    return {name: value for name, value in given.items() if value is not None}


def _change(
    mutation: str, name: str, given: dict[str, Any], *, url: str | None, token: str | None, as_json: bool
) -> None:
    async def command(link: Link, screen: Screen) -> None:
        from api.client.refusal import refuse

        payload = (await link.run(mutation, {"input": given}))[name]
        refuse(payload["userErrors"])
        if screen.as_json:
            screen.json(payload["policy"])
        else:
            _print(screen, [payload["policy"]])

    call(command, url=url, token=token, as_json=as_json)


def _days(length: str) -> str:
    """Return a length of time as people write policies: 90 days are not 12 weeks and 6 days."""
    from api.client.text import seconds_of, seconds_text

    days, rest = divmod(seconds_of(length), 86_400)
    return f"{days:,.0f} d" if days and not rest else seconds_text(seconds_of(length))


def _next(at: str | None, now: datetime) -> str:
    """Return when a policy is carried out; one that was set now is overdue, since what it replaced was."""
    from api.client.text import moment, relative

    return "due now" if at and moment(at) <= now else relative(at, now)


def _print(screen: Screen, policies: list[dict[str, Any]]) -> None:
    from api.client.screen import Column
    from api.client.text import relative

    columns = [
        Column("KIND"), Column("QUEUE", folds=True), Column("KEEP", right=True), Column("COUNT", right=True),
        Column("EVERY", right=True), Column("LAST RUN", rank=1), Column("REMOVED", right=True, rank=2),
        Column("IN ALL", right=True, rank=4), Column("NEXT RUN", rank=3),
    ]  # fmt: skip
    now = screen.now()

    def row(one: dict[str, Any]) -> tuple[str, ...]:
        bounds = one["keepFor"] is not None or one["keepCount"] is not None
        return (
            one["kind"],
            one["queue"] or "-",
            _days(one["keepFor"]) if one["keepFor"] else "-" if bounds else "for ever",
            "-" if one["keepCount"] is None else f"{one['keepCount']:,}",
            _days(one["every"]),
            relative(one["ranAt"], now),
            f"{one['removed']:,}",
            f"{int(one['removedTotal']):,}",
            _next(one["nextRunAt"], now),
        )

    screen.table(columns, [row(one) for one in policies], "No policies.")
