"""The command `queueql`: options become settings, settings become processes, errors become sentences."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated

import typer

from api.client import event, job, queue, retention, task
from api.client import worker as worker_client
from api.client.health import health
from api.client.statistics import stats
from jobs.amount import amount
from jobs.errors import BackupError, CommandError, QueueQLError, SettingInvalid, StartError
from jobs.settings import Settings, load

_BEGAN = time.monotonic()

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Background jobs with a typed, live GraphQL API. Every option is also a variable: QUEUEQL_PORT=9000.",
)

AT_THE_API = "At a running API (options: --url, --token, --json)"

Host = Annotated[str | None, typer.Option(help="Address that the API listens on.  [default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option(help="Port that the API listens on; 0 chooses one.  [default: 8000]")]
Data = Annotated[Path | None, typer.Option(help="Folder of the embedded database and Redis.  [default: .queueql]")]
Tasks = Annotated[list[str] | None, typer.Option(help="Module with tasks; may be given more than once.")]
Workers = Annotated[int | None, typer.Option(help="Number of worker processes.  [default: 1]")]


def run(arguments: Sequence[str] | None = None) -> None:
    """Run a command line (default: this process's) and exit.

    What cannot start says so in one sentence, with an exit code of its own.
    """
    try:
        app(arguments, prog_name="queueql")
    except QueueQLError as error:
        sys.stderr.write(f"queueql: {error}\n")
        sys.exit(error.exit_code if isinstance(error, StartError | CommandError | BackupError) else 1)


@app.command()
def up(host: Host = None, port: Port = None, data: Data = None, tasks: Tasks = None, workers: Workers = None) -> None:
    """Start everything: Redis and SQLite in a data folder, the API, workers and services."""
    settings = _settings("up", host=host, port=port, data=data, tasks=tasks, workers=workers)
    from jobs.up.run import check, names  # noqa: PLC0415  # each command imports what it runs: all of them start fast

    check(settings)  # before anything that takes its time
    from api import preload, welcome  # noqa: PLC0415  # as above
    from jobs.up.forked import fork  # noqa: PLC0415  # as above
    from jobs.up.run import up as run_up  # noqa: PLC0415  # as above
    from jobs.up.supervisor import ChildFailed  # noqa: PLC0415  # as above

    preload.everything()
    waiting = fork(names(settings), lambda name: app([name.partition(" ")[0]], prog_name="queueql"))
    try:
        asyncio.run(run_up(settings, welcome.Screen(_BEGAN), waiting))
    except ChildFailed as failure:
        if not failure.printed:
            sys.stderr.write(f"queueql: {failure}\n")
        sys.exit(max(failure.exit_code, 1))


@app.command()
def api(host: Host = None, port: Port = None, data: Data = None) -> None:
    """Serve the GraphQL API. Any number of these may run."""
    settings = _settings("api", host=host, port=port, data=data)
    from api.server import serve  # noqa: PLC0415  # as above

    _serve(serve, settings)


@worker_client.app.callback(invoke_without_command=True)
def worker(context: typer.Context, tasks: Tasks = None, data: Data = None) -> None:
    """Run jobs; any number of these may run. With a subcommand: list, watch and steer those that do."""
    if context.invoked_subcommand is not None:
        if tasks or data:
            raise typer.BadParameter("--tasks and --data start a worker; they do not go with a subcommand.")
        return
    settings = _settings("worker", tasks=tasks, data=data)
    from jobs.saq.process import serve  # noqa: PLC0415  # as above
    from jobs.tasks import DEMO  # noqa: PLC0415  # as above

    _serve(serve, settings.model_copy(update={"tasks": settings.tasks or (DEMO,)}))


@app.command()
def services(data: Data = None) -> None:
    """Record history, start what is due, take back what was lost. Any number may run.

    One of them at a time cleans and takes snapshots and backups; where it ends, another one does.
    """
    settings = _settings("services", data=data)
    from jobs.services import serve  # noqa: PLC0415  # as above

    _serve(serve, settings)


@app.command()
def migrate(data: Data = None) -> None:
    """Bring the database up to date. With QUEUEQL_ADMIN_TOKEN, make that value the first admin token."""
    settings = _settings("migrate", data=data)
    from jobs.up.access import migrate as run_migrate  # noqa: PLC0415  # as above

    for name in asyncio.run(run_migrate(settings)) or ["The database is up to date already."]:
        typer.echo(name)


@app.command()
def backup(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH | verify PATH]",
            help="File to write, or a folder to write it in. Left out: the folder `backups` of the data folder.",
        ),
    ] = None,
    data: Data = None,
) -> None:
    """Back the database up into one file, while everything runs; `backup verify PATH` restores it into a scratch place.

    Redis needs no backup: it is filled again from what the database has accepted. Jobs of durability MEMORY that have
    not ended are in no backup.
    """
    paths = words or []
    verify = len(paths) == 2 and paths[0] == "verify"
    if len(paths) > 1 + verify or paths == ["verify"]:
        raise typer.BadParameter(
            "Give nothing, the path of a new file or folder, or `verify` and the path of a backup."
        )
    settings = _settings("backup", data=data)
    from jobs.up import backup as run_backup  # noqa: PLC0415  # as above

    if verify:
        manifest = asyncio.run(run_backup.verify(settings, Path(paths[1])))
        rows = sum(manifest.counts.values())
        typer.echo(
            f"{paths[1]} can be restored: {amount(manifest.counts.get('job', 0), 'job')}, {amount(rows, 'row')} in all."
        )
        return
    made = asyncio.run(run_backup.make(settings, Path(paths[0]) if paths else None))
    typer.echo(f"{made.path}  {amount(made.size_bytes, 'byte')}, {amount(made.counts.get('job', 0), 'job')}")
    sys.stderr.write(
        "It has every job that was accepted. Jobs of durability MEMORY that have not ended are not in it.\n"
    )


@app.command()
def restore(
    path: Annotated[Path, typer.Argument(help="The backup.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also while workers hold leases; PostgreSQL: end the connections of others.")
    ] = False,
    data: Data = None,
) -> None:
    """Replace the database by a backup. Nothing may run on it; the next start brings Redis in line."""
    settings = _settings("restore", data=data)
    from jobs.up import backup as run_backup  # noqa: PLC0415  # as above

    done = asyncio.run(run_backup.restore(settings, path, force=force))
    taken_at = run_backup.written(done.manifest.created_ms)
    jobs = done.manifest.counts.get("job", 0)
    typer.echo(f"{amount(jobs, 'job')} {'is as it was' if jobs == 1 else 'are as they were'} at {taken_at}.")
    for name in done.migrations:
        typer.echo(f"Migrated: {name}")
    if done.kept:
        typer.echo(f"The replaced database is {done.kept}")
    sys.stderr.write("Jobs that ended since may run again. The next start begins an epoch and fills Redis.\n")


@app.command()
def schema(tasks: Tasks = None) -> None:
    """Print the GraphQL schema; with --tasks also the mutations of those tasks."""
    from api.schema import print_sdl  # noqa: PLC0415  # as above

    if not tasks:
        typer.echo(print_sdl())
        return
    from jobs.modules import import_tasks  # noqa: PLC0415  # as above
    from jobs.task import default_registry  # noqa: PLC0415  # as above

    import_tasks(name for part in tasks for name in part.split(",") if name)
    typer.echo(print_sdl(default_registry.definitions()))


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="What to measure: cleaning, engine, flow, growth, store, subscriptions.")],
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    jobs: Annotated[int, typer.Option(help="Jobs to drain, in thousands rounded up.")] = 50_000,
    rows: Annotated[int, typer.Option(help="Jobs of `bench store`, `cleaning` and `growth`.")] = 1_000_000,
    database: Annotated[str, typer.Option(help="Database for the same and `flow`.  [default: a new SQLite]")] = "",
) -> None:
    """Measure QueueQL beside its peers. The benchmarks come with the source, not with the package."""
    try:
        from tests.bench import report  # noqa: PLC0415  # as above
    except ModuleNotFoundError:
        raise SettingInvalid("The benchmarks are part of the source: run ./run bench in a checkout.") from None
    report.run(name, as_json=json, jobs=jobs, rows=rows, database=database)


_NOUNS = {"job": job, "queue": queue, "task": task, "event": event, "retention": retention}
for noun, commands in _NOUNS.items():
    app.add_typer(commands.app, name=noun, rich_help_panel=AT_THE_API)
app.add_typer(worker_client.app, name="worker")
app.command(rich_help_panel=AT_THE_API)(health)
app.command(rich_help_panel=AT_THE_API)(stats)


def _settings(process: str, *, tasks: list[str] | None = None, **options: Path | str | int | None) -> Settings:
    modules = tuple(name for part in tasks for name in part.split(",") if name) if tasks else None
    settings = load(None, tasks=modules, **options)
    from jobs import logs  # noqa: PLC0415  # after the settings, whose faults are reported without a logger

    logs.set_up(process, level=settings.log_level, json=settings.log_json)
    return settings


def _serve(serve: Callable[[Settings], Coroutine[None, None, None]], settings: Settings) -> None:
    import uvloop  # noqa: PLC0415  # as above

    from jobs.up.folder import resolve  # noqa: PLC0415  # as above

    async def main() -> None:
        await serve(resolve(settings))

    uvloop.run(main())
