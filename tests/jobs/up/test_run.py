"""Starting everything, as far as it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from jobs.settings import load
from jobs.up.run import child_environ

ROOT = Path(__file__).parents[3]
EARLY_END = """
import asyncio, os, sys
from pathlib import Path
from jobs.errors import DatabaseUnreachable
from jobs.settings import load
from jobs.up.forked import fork
from jobs.up.run import names, up

settings = load({}, data=Path(sys.argv[1]), port=0, redis_url="redis://127.0.0.1:1",
                database_url="postgres://a:b@127.0.0.1:1/c")
waiting = fork(names(settings), lambda name: None)
assert len(waiting) == 3
try:
    asyncio.run(up(settings, None, waiting))
except DatabaseUnreachable:
    for process in waiting.values():
        try:
            os.kill(process.pid, 0)
        except ProcessLookupError:
            print("gone")
        process.dismiss()
"""


def test_a_start_that_fails_early_ends_the_processes_that_wait(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY_END, str(folder / "data")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["gone"] * 3


def test_children_read_the_same_settings_and_no_token(folder: Path) -> None:
    given = {"admin_token": "secret", "token": "secret", "probe_port": 9000, "url": "http://jobs.example"}
    settings = load({}, data=folder, tasks=("a", "b"), **given)
    environ = child_environ(settings, {"PATH": "/bin", "QUEUEQL_ADMIN_TOKEN": "secret"})
    assert "secret" not in environ.values()
    assert environ["PATH"] == "/bin"
    unset = {"admin_token": "", "token": "", "probe_port": 0, "url": ""}
    assert load(environ) == settings.model_copy(update=unset)
