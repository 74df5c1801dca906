"""`queueql job ...`: jobs, listed, shown, watched and changed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.client import document, job_filter
from api.client.call import call
from api.client.clean import clean
from api.client.enqueue import enqueue
from api.client.option import AsJson, Level, Token, Url, iso_length, read_length

if TYPE_CHECKING:
    from api.client.link import Link
    from api.client.screen import Screen

PAGE = 100
LINES_SHOWN = 10

app = typer.Typer(no_args_is_help=True, help="Jobs: enqueue, list, show, watch, retry, cancel, clean.")
app.command()(enqueue)
app.command()(clean)

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the job.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help="Ids of jobs.")]
Limit = Annotated[int, typer.Option(min=1, help="So many at most.")]
OldestFirst = Annotated[bool, typer.Option("--oldest-first", help="Begin with the oldest.")]
LogLevel = Annotated[Level, typer.Option(case_sensitive=False, help="Only lines of this level and above.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")]
Within = Annotated[str, typer.Option(help="For about how long to look, up to 30s.")]


@app.command("list")
def list_jobs(
    text: job_filter.Text = None,
    state: job_filter.States = None,
    task: job_filter.Tasks = None,
    queue: job_filter.Queues = None,
    owner: job_filter.Owners = None,
    tag: job_filter.Tags = None,
    since: job_filter.Since = None,
    until: job_filter.Until = None,
    limit: Limit = 20,
    oldest_first: OldestFirst = False,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first. Options of the filter may be given more than once: any of the values will do."""
    now = datetime.now().astimezone()
    where = job_filter.where(
        now=now, text=text, states=state, tasks=task, queues=queue, owners=owner, tags=tag, since=since, until=until
    )
    order = {"field": "CREATED_AT", "direction": "ASC" if oldest_first else "DESC"}

    async def command(link: Link, screen: Screen) -> None:
        from api.client.show import print_jobs

        jobs: list[dict[str, Any]] = []
        total, cursor, goes_on = None, None, True
        while goes_on and len(jobs) < limit:
            variables = {"where": where, "orderBy": order, "after": cursor, "first": min(PAGE, limit - len(jobs))}
            flags = {"all": screen.as_json, "count": total is None}
            page = (await link.run(document.JOB_LIST, variables | flags))["jobs"]
            total = total or page["totalCount"]
            jobs += page["nodes"]
            cursor, goes_on = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
        if screen.as_json:
            screen.json({"jobs": jobs, "totalCount": total, "hasNextPage": goes_on})
        else:
            print_jobs(screen, jobs, total or {}, now)

    call(command, url=url, token=token, as_json=as_json)


@app.command()
def show(job_id: Id, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Show all that is known of a job, with its attempts and the end of its log."""

    async def command(link: Link, screen: Screen) -> None:
        from api.client.refusal import found
        from api.client.show import print_job

        lines = PAGE if screen.as_json else LINES_SHOWN
        job = found((await link.run(document.JOB_SHOW, {"id": job_id, "lines": lines}))["job"], "job", job_id)
        if screen.as_json:
            screen.json({**job, "attempts": job["attempts"]["nodes"], "logs": job["logs"]["nodes"]})
        else:
            print_job(screen, job)

    call(command, url=url, token=token, as_json=as_json)


@app.command()
def logs(
    job_id: Id,
    follow: Follow = False,
    level: LogLevel = Level.DEBUG,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Print what a job logged. With --json, a line of JSON each."""

    async def command(link: Link, screen: Screen) -> None:
        from api.client.tail import tail

        async for line in tail(link, job_id, level, follow=follow):
            if screen.as_json:
                screen.json(line)
            else:
                screen.log(line)

    call(command, url=url, token=token, as_json=as_json)


@app.command()
def watch(job_id: Id, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Watch a job until it ends; the exit code tells how. With --json, a line for each time it changes."""

    async def command(link: Link, screen: Screen) -> int:
        from api.client.watch import watch_to_end

        return await watch_to_end(link, screen, job_id)

    stopped = f"Not watching any more; the job goes on: queueql job watch {job_id}"
    call(command, url=url, token=token, as_json=as_json, when_stopped=lambda: stopped)


@app.command()
def retry(ids: Ids, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Run DEAD or CANCELLED jobs again, as their next run."""
    _change(document.JOB_RETRY, "jobRetry", ids, url=url, token=token, as_json=as_json)


@app.command()
def cancel(ids: Ids, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Cancel jobs: at once where they wait; those that run are asked to stop."""
    _change(document.JOB_CANCEL, "jobCancel", ids, url=url, token=token, as_json=as_json)


@app.command()
def rescue(within: Within = "10s", url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Look now for jobs that are stuck, and make them runnable. The services do the same on a timer."""
    length = iso_length(read_length(within))

    async def command(link: Link, screen: Screen) -> None:
        from api.client.refusal import refuse
        from api.client.show import print_rescued

        payload = (await link.run(document.JOB_RESCUE, {"within": length}))["jobsRescueStuck"]
        refuse(payload.pop("userErrors"))
        if screen.as_json:
            screen.json(payload)
        else:
            print_rescued(screen, payload)

    call(command, url=url, token=token, as_json=as_json)


def _change(mutation: str, name: str, ids: list[str], *, url: str | None, token: str | None, as_json: bool) -> None:
    async def command(link: Link, screen: Screen) -> int:
        from api.client.change import change_each
        from api.client.text import state_text

        return await change_each(
            link, screen, mutation, ids, payload=name, noun="job", state=lambda job: (job["id"], state_text(job))
        )

    call(command, url=url, token=token, as_json=as_json)
