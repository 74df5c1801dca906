"""The command line as a process, in a pipe or in a terminal, signed in at the product."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import Any

from tests.system.product import ROOT, TOKEN

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROGRAM = [sys.executable, "-P", "-m", "queueql"]


class CommandLine:
    """Runs `queueql`, signed in at the API of this URL unless options say otherwise."""

    def __init__(self, url: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QUEUEQL_")}
        self.environ = {**kept, "QUEUEQL_URL": url, "QUEUEQL_TOKEN": TOKEN, "TZ": "UTC"}

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command and check its exit code."""
        done = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback (most recent" not in done.stderr
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with --json and return its document."""
        (line,) = self(*arguments, "--json", code=code).stdout.splitlines()
        return json.loads(line)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that goes on."""
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=ROOT, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def enqueue(self, task: str, *arguments: str) -> str:
        """Enqueue a job and return its id."""
        job_id: str = self.json("job", "enqueue", task, *arguments)["job"]["id"]
        return job_id

    def show(self, columns: int, *arguments: str) -> list[str]:
        """Run a command in a terminal and return the lines it shows."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(PROGRAM[0], [*PROGRAM, *arguments], {**self.environ, "TERM": "xterm-256color"})  # noqa: S606  # no shell
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        shown = b""
        try:
            while part := os.read(terminal, 65_536):
                shown += part
        except OSError:  # the other end has closed
            pass
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        assert status == 0, shown.decode()
        return [
            line.rstrip() for line in ANSI.sub("", shown.decode()).replace("\r\n", "\n").split("\n") if line.strip()
        ]


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = done.stderr.splitlines()
    assert line.startswith("queueql: ")
    return line.removeprefix("queueql: ")
