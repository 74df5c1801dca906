"""`queueql task ...`: what can be run, and with which arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.client import document
from api.client.call import call
from api.client.option import AsJson, Token, Url

if TYPE_CHECKING:
    from api.client.link import Link
    from api.client.screen import Screen

app = typer.Typer(no_args_is_help=True, help="Tasks: list, show.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the task.")]


@app.command("list")
def list_tasks(url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """List all tasks that workers have published."""

    async def command(link: Link, screen: Screen) -> None:
        from api.client.page import every
        from api.client.screen import Column
        from api.client.text import length

        tasks = await every(link, document.TASK_LIST, "tasks")
        if screen.as_json:
            screen.json({"tasks": tasks})
            return
        columns = (
            Column("TASK"), Column("QUEUE", rank=1), Column("ATTEMPTS", rank=2, right=True),
            Column("TIMEOUT", rank=3, right=True), Column("DESCRIPTION", folds=True),
        )  # fmt: skip
        rows = [
            (
                task["name"],
                task["queue"],
                str(task["maxAttempts"]),
                length(task["timeout"]),
                task["description"].partition("\n")[0],
            )
            for task in tasks
        ]
        screen.table(columns, rows, "No worker has published a task yet.")

    call(command, url=url, token=token, as_json=as_json)


@app.command()
def show(name: Name, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Show one task: its arguments, its options, and how to enqueue it."""

    async def command(link: Link, screen: Screen) -> None:
        from api.client.refusal import found

        task = found((await link.run(document.TASK_SHOW, {"name": name}))["task"], "task", name)
        if screen.as_json:
            screen.json(task)
        else:
            _print(screen, task)

    call(command, url=url, token=token, as_json=as_json)


def _print(screen: Screen, task: dict[str, Any]) -> None:
    from api.client.argument import signature
    from api.client.screen import Column
    from api.client.show import backoff_text
    from api.client.text import length, safe

    screen.line((task["name"], "bold"))
    if task["description"]:
        screen.line(safe(task["description"]))
    screen.line()
    screen.facts(
        [
            ("Queue", task["queue"]),
            ("Priority", task["priority"]),
            ("Attempts", str(task["maxAttempts"])),
            ("Backoff", backoff_text(task["backoff"])),
            ("Timeout", length(task["timeout"]) if task["timeout"] else "none"),
            ("Durability", task["durability"]),
            ("Mutation", task["mutation"] or ""),
        ]
    )
    arguments = signature(task["argsSchema"])
    if arguments:
        screen.heading("Arguments")
        columns = (Column("NAME"), Column("TYPE", folds=True), Column("DEFAULT", folds=True))
        described = any(row[3] for row in arguments)
        extra = (Column("DESCRIPTION", folds=True),) if described else ()
        screen.table((*columns, *extra), [row if described else row[:3] for row in arguments], "")
    required = "".join(f" {row[0]}=..." for row in arguments if row[2] == "(required)")
    screen.heading("Enqueue it")
    screen.line(f"queueql job enqueue {task['name']}{required} --wait")
