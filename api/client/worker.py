"""`queueql worker ...`: workers, watched and steered. Without a subcommand, `queueql worker` is one (api/cli.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.client import document
from api.client.call import call
from api.client.option import AsJson, Token, Url

if TYPE_CHECKING:
    from api.client.link import Link
    from api.client.screen import Screen

app = typer.Typer()

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the worker, as `worker list` shows it.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help="Ids of workers, as `worker list` shows them.")]
MaybeIds = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of workers.")]
MaybeId = Annotated[str | None, typer.Argument(metavar="ID", help="Id of the worker; all where it is left out.")]
All = Annotated[bool, typer.Option("--all", help="All workers that are alive.")]
Concurrency = Annotated[int | None, typer.Option(help="Jobs at a time, 1 to 10,000.")]
Queues = Annotated[list[str] | None, typer.Option("--queue", help="Queue to serve; may be given more than once.")]


@app.command("list")
def list_workers(url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """List all workers that are alive."""

    async def command(link: Link, screen: Screen) -> None:
        from api.client.page import every
        from api.client.worker_table import print_workers

        workers = await every(link, document.WORKER_LIST, "workers")
        if screen.as_json:
            screen.json({"workers": workers})
        else:
            print_workers(screen, workers, "No worker is alive.")

    call(command, url=url, token=token, as_json=as_json)


@app.command()
def show(worker_id: Id, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Show all that is known of a worker, and what it runs."""

    async def command(link: Link, screen: Screen) -> None:
        from api.client.refusal import found
        from api.client.worker_table import print_worker

        worker = found((await link.run(document.WORKER_SHOW, {"id": worker_id}))["worker"], "worker", worker_id)
        if screen.as_json:
            screen.json(worker)
        else:
            print_worker(screen, worker)

    call(command, url=url, token=token, as_json=as_json)


@app.command()
def watch(worker_id: MaybeId = None, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Watch one worker until it is gone, or all of them. With --json, a line each second."""

    async def command(link: Link, screen: Screen) -> None:
        from api.client.worker_watch import watch_all, watch_one

        if worker_id is None:
            await watch_all(link, screen)
        else:
            await watch_one(link, screen, worker_id)

    call(command, url=url, token=token, as_json=as_json)


@app.command()
def update(
    worker_id: Id,
    concurrency: Concurrency = None,
    queue: Queues = None,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Change how many jobs a worker runs at a time, and which queues it serves. It keeps that until it ends."""
    wanted: dict[str, Any] = {"id": worker_id, "concurrency": concurrency, "queues": queue}
    if concurrency is None and not queue:
        raise typer.BadParameter("Say what to change: --concurrency, --queue.")

    async def command(link: Link, screen: Screen) -> None:
        from api.client.refusal import refuse
        from api.client.worker_table import print_worker

        given = {name: value for name, value in wanted.items() if value is not None}
        payload = (await link.run(document.WORKER_UPDATE, {"input": given}))["workerUpdate"]
        refuse(payload["userErrors"])
        if screen.as_json:
            screen.json(payload["worker"])
        else:
            print_worker(screen, payload["worker"])

    call(command, url=url, token=token, as_json=as_json)


@app.command()
def quiet(
    worker_ids: MaybeIds = None, every: All = False, url: Url = None, token: Token = None, as_json: AsJson = False
) -> None:
    """Let workers take no new jobs, and go on with those that they run. Before a deploy, say."""
    _change(document.WORKER_QUIET, "workerQuiet", worker_ids, every=every, url=url, token=token, as_json=as_json)


@app.command()
def resume(
    worker_ids: MaybeIds = None, every: All = False, url: Url = None, token: Token = None, as_json: AsJson = False
) -> None:
    """Let quiet workers take jobs again."""
    _change(document.WORKER_RESUME, "workerResume", worker_ids, every=every, url=url, token=token, as_json=as_json)


@app.command()
def stop(
    worker_ids: MaybeIds = None, every: All = False, url: Url = None, token: Token = None, as_json: AsJson = False
) -> None:
    """End workers in order: their jobs may end first. Whatever keeps a worker running starts another one."""
    _change(document.WORKER_STOP, "workerStop", worker_ids, every=every, url=url, token=token, as_json=as_json)


def _change(
    mutation: str,
    name: str,
    ids: list[str] | None,
    *,
    every: bool,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    if bool(ids) == every:
        raise typer.BadParameter("Name workers by their ids, or say --all.")

    async def command(link: Link, screen: Screen) -> int:
        from api.client.change import change_each
        from api.client.page import every as every_of
        from api.client.worker_table import state_text

        targets = ids or [one["session"] for one in await every_of(link, document.WORKER_LIST, "workers")]
        return await change_each(
            link, screen, mutation, targets, payload=name, noun="worker",
            state=lambda worker: (worker["session"], state_text(worker)),
        )  # fmt: skip

    call(command, url=url, token=token, as_json=as_json)
