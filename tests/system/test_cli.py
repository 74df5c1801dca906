"""What cannot start says so in one sentence, with an exit code of its own, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import redis

from jobs.store import Migrator
from tests.databases import run_sql
from tests.redis_server import RedisServer
from tests.system.product import ROOT

Run = Callable[..., subprocess.CompletedProcess[str]]
SERVER = {"starlette", "strawberry", "graphql", "uvicorn", "redis", "tortoise", "saq", "asyncpg", "jsonschema_rs"}
"""Libraries that only servers and workers need."""
NOWHERE = "redis://127.0.0.1:1"


@pytest.fixture
def run(folder: Path) -> Run:
    """Run a command in a user's folder that is not QueueQL's."""

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QUEUEQL_")}
        return subprocess.run(
            [sys.executable, "-P", "-m", "queueql", *arguments],
            cwd=folder, env={**kept, **environ}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def migrated(folder: Path, sqlite_template: Path) -> None:
    """Put a database of the newest schema into the data folder."""
    (folder / ".queueql").mkdir(mode=0o700)
    shutil.copy(sqlite_template, folder / ".queueql" / "queueql.db")


def sentence(result: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line on stderr of a command that ended with this code."""
    assert result.returncode == code, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("queueql: ")
    return lines[0].removeprefix("queueql: ")


def test_a_misspelt_variable(run: Run) -> None:
    assert "Did you mean QUEUEQL_PORT?" in sentence(run("up", QUEUEQL_PROT="1"), 2)


def test_a_taken_port_before_anything_starts(run: Run, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"127.0.0.1:{port}" in sentence(run("up", "--port", str(port)), 3)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize("command", ["up", "api", "worker", "services"])
def test_a_redis_that_does_not_answer(command: str, run: Run) -> None:
    said = sentence(run(command, QUEUEQL_REDIS_URL=NOWHERE, QUEUEQL_PORT="0"), 5)
    assert "127.0.0.1:1" in said


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize("command", ["api", "worker", "services"])
def test_no_redis_at_all(command: str, run: Run) -> None:
    assert "start `queueql up`, or set QUEUEQL_REDIS_URL" in sentence(run(command), 5)


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize("command", ["up", "api", "worker", "services"])
def test_a_redis_that_evicts(command: str, run: Run, folder: Path) -> None:
    server = RedisServer(folder)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        said = sentence(run(command, QUEUEQL_REDIS_URL=server.url, QUEUEQL_PORT="0"), 6)
    finally:
        server.stop()
    assert "noeviction" in said


@pytest.mark.parametrize("command", ["api", "worker", "services"])
def test_a_database_that_is_behind(command: str, run: Run, redis_url: str, empty_url: str) -> None:
    said = sentence(run(command, QUEUEQL_REDIS_URL=redis_url, QUEUEQL_DATABASE_URL=empty_url, QUEUEQL_PORT="0"), 8)
    assert "queueql migrate" in said


@pytest.mark.parametrize("command", ["api", "migrate"])
def test_a_database_that_is_ahead(command: str, run: Run, redis_url: str, database_url: str) -> None:
    statement = "INSERT INTO aerich (version, app, content) VALUES ('9999_later.py', 'models', '{}')"
    if database_url.startswith("postgres"):
        asyncio.run(run_sql(database_url, statement))
    else:
        with closing(sqlite3.connect(database_url.removeprefix("sqlite://"))) as database, database:
            database.execute(statement)
    said = sentence(run(command, QUEUEQL_REDIS_URL=redis_url, QUEUEQL_DATABASE_URL=database_url, QUEUEQL_PORT="0"), 9)
    assert "newer" in said


@pytest.mark.parametrize("command", ["api", "migrate", "up"])
def test_a_database_that_does_not_answer(command: str, run: Run, redis_url: str) -> None:
    url = "postgres://nobody:secret@127.0.0.1:1/none"
    said = sentence(run(command, QUEUEQL_REDIS_URL=redis_url, QUEUEQL_DATABASE_URL=url, QUEUEQL_PORT="0"), 7)
    assert "secret" not in said


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize("command", [["up", "--workers", "3"], ["worker"]])
def test_a_tasks_module_that_does_not_exist(command: list[str], run: Run, redis_url: str) -> None:
    said = sentence(run(*command, "--tasks", "acme.tasks", QUEUEQL_REDIS_URL=redis_url, QUEUEQL_PORT="0"), 10)
    assert "There is no tasks module acme.tasks" in said


@pytest.mark.parametrize("package", ["jobs", "api"])
@pytest.mark.parametrize("kind", ["package", "module"])
def test_a_users_package_that_hides_ours(package: str, kind: str, run: Run, folder: Path) -> None:
    if kind == "package":
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
    else:
        (folder / f"{package}.py").touch()
    said = sentence(run("up", PYTHONPATH=str(folder)), 11)
    assert f"hides QueueQL's own package `{package}`" in said


@pytest.mark.usefixtures("migrated")
def test_a_users_package_that_ours_hides(run: Run, folder: Path, redis_url: str) -> None:
    (folder / "api").mkdir()
    (folder / "api" / "models.py").touch()
    (folder / "my_tasks.py").write_text("import api.models\n")
    said = sentence(run("worker", "--tasks", "my_tasks", QUEUEQL_REDIS_URL=redis_url), 11)
    assert "my_tasks needs api.models" in said


def test_a_folder_that_only_looks_like_ours_does_no_harm(run: Run, folder: Path) -> None:
    (folder / "jobs").mkdir()
    (folder / "migrations").mkdir()
    assert run("migrate", PYTHONPATH=str(folder)).returncode == 0


def test_migrate_says_what_it_did(run: Run) -> None:
    assert run("migrate").stdout.splitlines() == Migrator().versions()
    assert run("migrate").stdout == "The database is up to date already.\n"


def test_the_schema_is_printed_without_any_server(run: Run) -> None:
    printed = run("schema")
    assert printed.stdout == (ROOT / "schema.graphql").read_text(encoding="utf-8")


def test_an_unknown_option_is_a_mistake_of_use(run: Run) -> None:
    assert run("up", "--prot", "1").returncode == 2


def test_settings_of_the_command_line_are_known_to_all(run: Run) -> None:
    assert run("migrate", QUEUEQL_URL="http://jobs.example", QUEUEQL_TOKEN="t").returncode == 0
    assert "begins with http://" in sentence(run("migrate", QUEUEQL_URL="jobs.example"), 2)


def test_options_that_start_a_worker_do_not_go_with_a_subcommand(run: Run) -> None:
    done = run("worker", "--tasks", "acme", "list")
    assert done.returncode == 2
    assert "they do not go with a subcommand" in " ".join(done.stderr.replace("│", " ").split())


def test_shells_can_complete_commands_and_values(run: Run) -> None:
    for words, wanted in (("queueql jo", "job"), ("queueql job li", "list"), ("queueql job list --state DE", "DEAD")):
        given = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        assert run(_QUEUEQL_COMPLETE="complete_bash", **given).stdout.split() == [wanted]


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [(["--help"], {*SERVER, "aiohttp"}), (["job", "list", "--url", "http://127.0.0.1:1"], SERVER)],
)
def test_commands_start_without_the_server(arguments: list[str], unwanted: set[str], folder: Path) -> None:
    program = (
        "import sys\nfrom queueql import main\ntry:\n    main()\n"
        "finally:\n    print('IMPORTED', *{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    imported = set(done.stderr.splitlines()[-1].removeprefix("IMPORTED ").split())
    assert "typer" in imported
    assert imported & unwanted == set()


def test_an_installed_queueql_has_all_it_needs(folder: Path) -> None:
    """Build the wheel, and look into it: what is read from files at run time must be there."""
    out = folder / "out"
    subprocess.run(
        [sys.executable, "-c", "import setuptools.build_meta as b, sys; b.build_wheel(sys.argv[1])", str(out)],
        cwd=_copy_of_the_source(folder), check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = out.glob("*.whl")
    site = folder / "site"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(site)], check=True)
    environ = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"]}
    program = (
        "import queueql, jobs.broker.scripts, jobs.store.migrate as m, api.page; print(queueql.__file__, m.FOLDER)"
    )
    # -S leaves out the environment's link to the source; the libraries are added by hand.
    environ["PYTHONPATH"] += os.pathsep + sysconfig.get_path("purelib")
    printed = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=folder, env=environ, capture_output=True, text=True, check=True
    ).stdout
    assert printed.split() == [str(site / "queueql.py"), str(site / "migrations" / "models")]
    assert list((site / "api" / "dashboard" / "dist").glob("index.html"))
    assert {path.name for path in (site / "jobs/broker/lua").iterdir()} == {
        path.name for path in (ROOT / "jobs/broker/lua").iterdir()
    }


def _copy_of_the_source(folder: Path) -> Path:
    copy = folder / "source"
    for package in ("api", "jobs", "migrations"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    for name in ("pyproject.toml", "queueql.py", "requirements.in", "README.md"):
        shutil.copy(ROOT / name, copy / name)
    return copy
