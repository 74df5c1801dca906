"""What `queueql up` tells the person who started it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from jobs.tasks import DEMO
from jobs.up.address import is_loopback
from jobs.up.run import Running

_ENQUEUE = 'mutation { jobEnqueue(input: {task: "demo_countdown"}) { job { id state } userErrors { message } } }'
_LIST = "{ tasks { nodes { name } } }"


class Screen:
    """Where a person reads what happens; plain text where stdout is no terminal."""

    def __init__(self, began: float) -> None:
        """`began` is when the command began, as `time.monotonic()` gives it."""
        self._began = began
        self._console = Console(highlight=False, soft_wrap=True)

    def announce(self, running: Running) -> None:
        """Print where QueueQL is, how to get in and what to do next."""
        say = self._console.print
        seconds = f"  (ready in {time.monotonic() - self._began:.1f} s)"
        say()
        say(Text.assemble(("QueueQL", "bold green"), " runs at ", (running.url, "bold"), (seconds, "dim")))
        say()
        for name, value, note in _facts(running):
            say(Text.assemble((f"  {name:<9}", "dim"), value, (note and f"  {note}", "dim")))
        say()
        say(Text("  Try it from another terminal:", style="dim"))
        for line in _curl(running):
            say(Text(f"    {line}"))
        say()
        if not is_loopback(running.settings.host):
            say(Text(f"  Other machines can reach {running.settings.host}; they need a token, too.", style="yellow"))
        say(Text(f"  {_next_step(running)}", style="dim"))
        say()

    def farewell(self) -> None:
        """Say that the stop has begun."""
        text = "Stopping: running jobs end or are given back. Ctrl-C again stops at once."
        self._console.print(Text(text, style="dim"))


def _facts(running: Running) -> list[tuple[str, str, str]]:
    settings = running.settings
    return [
        ("Sign in", f"{running.url}/signin?code={running.access.code}", "(works once)"),
        ("Token", running.access.token, f"(kept in {_short(settings.token_file)})"),
        ("Data", _short(settings.data), ""),
        ("Tasks", ", ".join(settings.tasks), ""),
    ]


def _curl(running: Running) -> list[str]:
    body = json.dumps({"query": _ENQUEUE if running.settings.tasks == (DEMO,) else _LIST})
    return [
        f"curl -s {running.url}/graphql -H 'Content-Type: application/json' \\",
        f"  -H 'Authorization: Bearer {running.access.token}' \\",
        f"  -d '{body}'",
    ]


def _next_step(running: Running) -> str:
    if running.settings.tasks == (DEMO,):
        command = "./run" if (Path(__file__).parents[1] / "run").exists() else "queueql"
        return f"Tasks of your own: {command} up --tasks your.module (README). Ctrl-C stops everything."
    return "Ctrl-C stops everything."


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
