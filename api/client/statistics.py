"""`queueql stats`: what happened to jobs lately."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.client.call import call
from api.client.option import AsJson, Token, Url, iso_length, read_length

if TYPE_CHECKING:
    from api.client.link import Link
    from api.client.screen import Screen


class Group(StrEnum):
    """What a table has a row for."""

    QUEUE = "queue"
    TASK = "task"
    BOTH = "both"


_GROUPS = {Group.QUEUE: "QUEUE", Group.TASK: "TASK", Group.BOTH: "QUEUE_AND_TASK"}


def stats(
    window: Annotated[str, typer.Option("--window", metavar="LENGTH", help="For how long, up to now.")] = "1h",
    queue: Annotated[str | None, typer.Option(help="Of this queue alone.")] = None,
    task: Annotated[str | None, typer.Option(help="Of this task alone.")] = None,
    by: Annotated[Group, typer.Option(help="What each row is about.")] = Group.TASK,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened to jobs lately: how many, how well, how long, and which tasks to look at."""
    asked = {"window": iso_length(read_length(window)), "queue": queue, "task": task, "groupBy": _GROUPS[by]}

    async def command(link: Link, screen: Screen) -> None:
        from api.client.statistics_document import STATISTICS

        found = (await link.run(STATISTICS, asked))["statistics"]
        if screen.as_json:
            screen.json(found)
        else:
            _print(screen, found, by)

    call(command, url=url, token=token, as_json=as_json)


def _print(screen: Screen, found: dict[str, Any], by: Group) -> None:
    from api.client.screen import Column
    from api.client.text import length, local

    total = found["total"]
    screen.facts(
        [
            ("From", local(found["from"])),
            ("Until", local(found["until"])),
            ("Enqueued", f"{int(total['accepted']):,}"),
            ("Completed", f"{int(total['completed']):,}"),
            ("Dead", f"{int(total['dead']):,}"),
            ("Cancelled", f"{int(total['cancelled']):,}"),
            ("Success", _share(total["successRate"])),
            ("Throughput", f"{total['throughput']:,.2f} jobs per second"),
            ("Wait", _spread(total["wait"])),
            ("Run", _spread(total["run"])),
            ("Waiting now", length(found["oldestWait"])),
        ]
    )
    screen.heading("Each")
    names = [name for name in ("queue", "task") if by in (name, Group.BOTH)]
    figures = ("ENQUEUED", "COMPLETED", "FAILED", "DEAD", "SUCCESS", "WAIT P95", "RUN P95", "CPU")
    columns = [
        *(Column(name.upper(), folds=True) for name in names),
        *(Column(name, right=True) for name in figures),
    ]
    rows = [[*(str(one[name]) for name in names), *_figures(one)] for one in found["groups"]]
    screen.table(columns, rows, "Nothing happened.")
    if found["bottlenecks"]:
        screen.heading("Worth a look")
        screen.facts(
            (one["task"], f"{one['kind'].lower().replace('_', ' ')}: {one['reason']}") for one in found["bottlenecks"]
        )


def _figures(one: dict[str, Any]) -> list[str]:
    from api.client.text import length

    counts = [f"{int(one[name]):,}" for name in ("accepted", "completed", "failed", "dead")]
    lengths = [length(one["wait"]["p95"]), length(one["run"]["p95"]), length(one["cpuPerRun"])]
    return [*counts, _share(one["successRate"]), *lengths]


def _spread(durations: dict[str, Any]) -> str:
    from api.client.text import length

    if durations["average"] is None:
        return "-"
    return f"{length(durations['average'])} on average, 95 % within {length(durations['p95'])}"


def _share(part: float | None) -> str:
    return "-" if part is None else f"{part * 100:.1f} %"
