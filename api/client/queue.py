"""`queueql queue ...`: queues, with what waits in them and who serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.client import document
from api.client.call import call
from api.client.option import AsJson, Token, Url

if TYPE_CHECKING:
    from api.client.link import Link
    from api.client.screen import Screen

app = typer.Typer(no_args_is_help=True, help="Queues: list, show.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the queue.")]

_STATES = ("queued", "scheduled", "active", "retrying", "blocked")


@app.command("list")
def list_queues(url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """List all queues with the numbers of their jobs that have not ended."""

    async def command(link: Link, screen: Screen) -> None:
        from api.client.page import every
        from api.client.screen import Column

        queues = await every(link, document.QUEUE_LIST, "queues")
        if screen.as_json:
            screen.json({"queues": queues})
            return
        columns = [Column("QUEUE", folds=True), *(Column(state.upper(), right=True) for state in _STATES)]
        screen.table(columns, [(queue["name"], *_counts(queue)) for queue in queues], "No queues.")

    call(command, url=url, token=token, as_json=as_json)


@app.command()
def show(name: Name, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Show one queue and the workers that serve it."""

    async def command(link: Link, screen: Screen) -> None:
        from api.client.refusal import found
        from api.client.worker_table import print_workers

        data = await link.run(document.QUEUE_SHOW, {"name": name})
        queue = found(data["queue"], "queue", name)
        workers = [worker for worker in data["workers"]["nodes"] if name in worker["queues"]]
        if screen.as_json:
            screen.json({**queue, "workers": workers})
            return
        screen.line((name, "bold"))
        screen.facts(zip((state.capitalize() for state in _STATES), _counts(queue), strict=True))
        screen.heading("Workers")
        print_workers(screen, workers, "No worker serves it.")

    call(command, url=url, token=token, as_json=as_json)


def _counts(queue: dict[str, Any]) -> list[str]:
    return [f"{queue['counts'][state]:,}" for state in _STATES]
