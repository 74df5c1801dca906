"""`queueql job enqueue`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.client import document
from api.client.argument import read_args, read_object
from api.client.call import call
from api.client.option import AsJson, Priority, Token, Url, iso_length, read_length, read_moment

if TYPE_CHECKING:
    from api.client.link import Link
    from api.client.screen import Screen

Task = Annotated[str, typer.Argument(metavar="TASK", help="Name of the task: `queueql task list`.")]
Pairs = Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Arguments of the task.")]
Args = Annotated[str | None, typer.Option(help="Arguments as a JSON object.")]
Queue = Annotated[str | None, typer.Option(help="Queue to wait in.  [default: the task's]")]
Order = Annotated[Priority | None, typer.Option(case_sensitive=False, help="Order in the queue.")]
Key = Annotated[str | None, typer.Option(help="While a job of this key has not ended, there is no second one.")]
OnceKey = Annotated[str | None, typer.Option("--idempotency-key", help="Within 24 hours, one job at most.")]
Delay = Annotated[str | None, typer.Option(help="Not before so long from now: 90s, 10m, 2d.")]
At = Annotated[str | None, typer.Option(help="Not before this time: 2026-03-01 18:00.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Label; may be given more than once.")]
Owner = Annotated[str | None, typer.Option(help="Whom the job belongs to.")]
Metadata = Annotated[str | None, typer.Option(help="JSON object that travels with the job.")]
Attempts = Annotated[int | None, typer.Option("--max-attempts", help="Attempts in all.")]
Timeout = Annotated[str | None, typer.Option(help="Longest time of one attempt: 90s, 1h; 0s for no limit.")]
Wait = Annotated[bool, typer.Option("--wait", help="Watch the job; the exit code tells how it ended.")]


def enqueue(
    task: Task,
    arguments: Pairs = None,
    args: Args = None,
    queue: Queue = None,
    priority: Order = None,
    key: Key = None,
    idempotency_key: OnceKey = None,
    delay: Delay = None,
    at: At = None,
    tag: Tags = None,
    owner: Owner = None,
    metadata: Metadata = None,
    max_attempts: Attempts = None,
    timeout: Timeout = None,
    wait: Wait = False,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Enqueue a job."""
    options = {
        "queue": queue,
        "priority": priority,
        "key": key,
        "idempotencyKey": idempotency_key,
        **_when(delay, at),
        "tags": tag,
        "owner": owner,
        "metadata": read_object(metadata, "--metadata"),
        "maxAttempts": max_attempts,
        "timeout": iso_length(read_length(timeout)) if timeout else None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    read_args(args, arguments or (), None)  # a mistake shows before anything is asked
    accepted: dict[str, Any] = {}

    async def command(link: Link, screen: Screen) -> int:
        from api.client.watch import EXIT_CODES, Silent, print_end, view_of, watch

        accepted.update(await _enqueue(link, task, args, arguments or [], given))
        job = accepted["job"]
        if not screen.as_json:
            screen.line((job["id"], "bold"), f"  {job['state']}", _note(accepted))
        if wait and screen.as_json:
            accepted["job"] = job = await watch(link, job["id"], Silent(screen))
        elif wait:
            with view_of(screen) as view:
                job = await watch(link, job["id"], view)
            print_end(screen, job)
        if screen.as_json:
            screen.json(accepted)
        return EXIT_CODES[job["state"]] if wait else 0

    def when_stopped() -> str:
        if not accepted:
            return "Interrupted; the job may have been accepted."
        job_id = accepted["job"]["id"]
        return f"Not waiting any more; the job goes on: queueql job watch {job_id}"

    call(command, url=url, token=token, as_json=as_json, when_stopped=when_stopped)


def _when(delay: str | None, at: str | None) -> dict[str, str]:
    if delay and at:
        raise typer.BadParameter("--delay and --at exclude each other.")
    if at:
        return {"scheduledAt": read_moment(at).isoformat()}
    return {"delay": iso_length(read_length(delay))} if delay else {}


async def _enqueue(link: Link, task: str, args: str | None, pairs: list[str], given: dict[str, Any]) -> dict[str, Any]:
    from api.client.refusal import refuse

    schema = None
    if pairs:
        known = (await link.run(document.TASK_SHOW, {"name": task}))["task"]
        schema = known and known["argsSchema"]
    values = {"task": task, "args": read_args(args, pairs, schema), **given}
    payload: dict[str, Any] = (await link.run(document.JOB_ENQUEUE, {"input": values}))["jobEnqueue"]
    refuse(payload.pop("userErrors"))
    return payload


def _note(accepted: dict[str, Any]) -> tuple[str, str]:
    if accepted["isDuplicate"]:
        return ("  (its key led to this job; nothing was enqueued)", "yellow")
    return ("", "")
