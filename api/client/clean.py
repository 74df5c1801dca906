"""`queueql job clean`: jobs that have ended are removed for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from api.client import retention_document as document
from api.client.call import call
from api.client.option import AsJson, State, Token, Url, iso_length, read_length
from jobs.amount import amount

if TYPE_CHECKING:
    from api.client.link import Link
    from api.client.screen import Screen

States = Annotated[
    list[State],
    typer.Option("--state", case_sensitive=False, help="COMPLETED, CANCELLED or DEAD; more than one may be."),
]
Queues = Annotated[list[str] | None, typer.Option("--queue", help="Only jobs of this queue; more than one may be.")]
Older = Annotated[str, typer.Option(help="How long ago they have ended at least.")]


def clean(
    state: States,
    queue: Queues = None,
    older_than: Older = "24h",
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Remove jobs that have ended, with their attempts and log lines, for good. Ctrl-C stops in the middle."""
    given = {"states": [one.value for one in state], "queues": queue, "olderThan": iso_length(read_length(older_than))}
    removed = 0

    async def command(link: Link, screen: Screen) -> None:
        from api.client.refusal import refuse

        nonlocal removed
        goes_on = True
        while goes_on:
            payload = (await link.run(document.JOB_CLEAN, {"input": given}))["jobsClean"]
            refuse(payload["userErrors"])
            removed += payload["removedCount"]
            goes_on = not payload["isComplete"]
        if screen.as_json:
            screen.json({"removedCount": removed})
        else:
            screen.line((amount(removed, "job"), "bold"), " was removed." if removed == 1 else " were removed.")

    call(
        command,
        url=url,
        token=token,
        as_json=as_json,
        when_stopped=lambda: f"Stopped; {amount(removed, 'job')} or more removed so far.",
    )
