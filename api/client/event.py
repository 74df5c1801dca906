"""`queueql event follow`: what happens to jobs, as it happens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.client import document, job_filter
from api.client import text as form
from api.client.call import call
from api.client.option import AsJson, Token, Url

if TYPE_CHECKING:
    from api.client.link import Link
    from api.client.screen import Screen

app = typer.Typer(no_args_is_help=True, help="Events: follow.")

JobIds = Annotated[list[str] | None, typer.Option("--job", help="Only events of this job; up to 100 times.")]
After = Annotated[str | None, typer.Option(help="Go on behind this cursor, which --json shows.")]

LOST = "CONNECTION_LOST"
"""The connection broke before the first event came, so that there is no cursor to go on from."""

_GAPS = {
    "TOO_SLOW": "this terminal did not read fast enough",
    "TRIMMED": "they were removed before they were read",
    "CURSOR_TOO_OLD": "the cursor is older than what is kept",
    "BROKER_LOST": "the broker was started anew, or lost its data",
    "UNREADABLE": "they cannot be read",
    LOST: "the connection broke",
}
_STYLES = {"Completed": "green", "Died": "red", "Retrying": "yellow", "Reaped": "yellow", "Cancelled": "yellow"}


@app.callback()
def main() -> None:
    """Keep `follow` a word of its own although it is the only one."""


@app.command()
def follow(
    text: job_filter.Text = None,
    job: JobIds = None,
    state: job_filter.States = None,
    task: job_filter.Tasks = None,
    queue: job_filter.Queues = None,
    owner: job_filter.Owners = None,
    tag: job_filter.Tags = None,
    after: After = None,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Print what happens to jobs, from now on or from a cursor on, until Ctrl-C. With --json, a line each.

    What is printed first is the cursor from which on nothing is missed.
    """
    now = datetime.now().astimezone()
    where = job_filter.where(
        now=now, text=text, states=state, tasks=task, queues=queue, owners=owner, tags=tag, since=None, until=None
    )

    async def command(link: Link, screen: Screen) -> None:
        cursor, has_begun = after, False

        def variables() -> dict[str, Any]:
            return {"where": where, "jobIds": job or None, "after": cursor}

        async for news in link.stream(document.EVENT_LIVE, variables):
            if news is None:
                if cursor is None:
                    _print_gap(screen, LOST)
                continue
            batch = news["jobEvents"]
            if batch["gap"]:
                _print_gap(screen, batch["gap"]["reason"])
            for edge in batch["edges"]:
                _print(screen, edge)
            cursor = batch["endCursor"]
            if not batch["edges"]:
                _print_cursor(screen, cursor, is_first=not has_begun)
            has_begun = True

    call(command, url=url, token=token, as_json=as_json)


def _print_gap(screen: Screen, reason: str) -> None:
    if screen.as_json:
        screen.json({"__typename": "Gap", "reason": reason})
    else:
        screen.line((f"-- events may be missing here: {_GAPS.get(reason, reason)} --", "yellow"))


def _print_cursor(screen: Screen, cursor: str, *, is_first: bool) -> None:
    if screen.as_json:
        screen.json({"__typename": "Cursor", "cursor": cursor})
    elif is_first:
        screen.line((f"-- what happens from now on; --after {cursor} comes back to here --", "dim"))


def _print(screen: Screen, edge: dict[str, Any]) -> None:
    event = edge["node"]
    if screen.as_json:
        screen.json({**event, "cursor": edge["cursor"]})
        return
    kind = event["__typename"].removeprefix("Job")
    task = event["job"]["task"] if event["job"] else ""
    screen.line(
        (f"{form.clock(event['at'])} ", "dim"),
        (f"{kind:<15} ", _STYLES.get(kind, "")),
        f"{event['jobId']}  ",
        (f"{form.safe(task)}  ", "bold"),
        describe(event),
    )


def _enqueued(event: dict[str, Any]) -> str:
    again = ", from history" if event["recovered"] else ""
    due = f" until {form.local(event['waitsUntil'])}" if event["waitsUntil"] else ""
    return f"{event['state']}{due} in {form.safe(event['queue'])}{again}"


_DESCRIBED: dict[str, Callable[[dict[str, Any]], str]] = {
    "JobEnqueued": _enqueued,
    "JobStarted": lambda event: f"attempt {event['attempt']}",
    "JobProgressed": lambda event: form.progress_text(event["progress"]),
    "JobLogged": lambda event: f"{event['level']} {form.one_line(form.log_line({**event, 'stack': None}))}",
    "JobCompleted": lambda event: "" if event["result"] is None else form.data(event["result"]),
    "JobRetrying": lambda event: f"at {form.local(event['dueAt'])}: {form.failure_text(event['error'])}",
    "JobSnoozed": lambda event: f"until {form.local(event['dueAt'])}",
    "JobReaped": lambda event: f"attempt {event['attempt']} was lost with its worker",
    "JobReleased": lambda event: f"attempt {event['attempt']} was given back",
    "JobDied": lambda event: f"{event['reason']}: {form.failure_text(event['error'])}",
    "JobQuarantined": lambda event: form.one_line(event["damage"]),
}


def describe(event: dict[str, Any]) -> str:
    """Return what an event says, in one line; empty where its type says it all."""
    described = _DESCRIBED.get(event["__typename"])
    return described(event) if described else ""
