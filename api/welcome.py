"""What `queueql up` tells the person who started it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.tasks import DEMO
from jobs.up.address import is_loopback
from jobs.up.run import Running

_ENQUEUE = 'mutation { jobEnqueue(input: {task: "demo_countdown"}) { job { id state } userErrors { message } } }'
_LIST = "{ tasks { nodes { name } } }"


def announce(running: Running) -> None:
    """Print where QueueQL is, how to get in and what to do next; plain text where stdout is no terminal."""
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    console.print(Text.assemble(("QueueQL", "bold green"), " runs at ", (running.url, "bold"), _seconds(running)))
    console.print()
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold", no_wrap=True)
    for name, value in _facts(running):
        facts.add_row(f"  {name}", value)
    console.print(facts)
    console.print()
    console.print(Text("  Try it from another terminal:", style="dim"))
    for line in _curl(running):
        console.print(f"    {line}", markup=False)
    console.print()
    if not is_loopback(running.settings.host):
        console.print(
            Text(f"  Other machines can reach {running.settings.host}. They need a token, too.", style="yellow")
        )
    console.print(Text("  " + _next_step(running), style="dim"))
    console.print()


def farewell() -> None:
    """Say that the stop has begun."""
    text = "Stopping: running jobs end or are given back. Ctrl-C again stops at once."
    Console(highlight=False, soft_wrap=True).print(Text(text, style="dim"))


def _seconds(running: Running) -> Text:
    return Text(f"  (ready in {running.started_in_s:.1f} s)", style="dim")


def _facts(running: Running) -> list[tuple[str, str]]:
    settings = running.settings
    return [
        ("Sign in", f"{running.url}/signin?code={running.access.code}  (works once)"),
        ("Token", f"{running.access.token}  (kept in {_short(settings.data / 'admin-token')})"),
        ("Data", _short(settings.data)),
        ("Tasks", ", ".join(settings.tasks)),
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
        return "Tasks of your own: ./run --tasks your.module (README). Ctrl-C stops everything."
    return "Ctrl-C stops everything."


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
