"""Runs a bench by its name and prints what it measured."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from jobs.errors import SettingInvalid
from tests.bench import engine

BENCHES = {"engine": engine.run}


def run(name: str, *, as_json: bool, jobs: int) -> None:
    """Run the bench and print its figures. Raises SettingInvalid for a name that is none."""
    if name not in BENCHES:
        raise SettingInvalid(f"There is no bench {name!r}; there is: {', '.join(BENCHES)}.")
    load = os.getloadavg()[0]
    figures = asyncio.run(BENCHES[name](jobs=-(-jobs // engine.CHUNK) * engine.CHUNK))
    figures |= {"cores": os.cpu_count(), "load_before": round(load, 2)}
    if as_json:
        typer.echo(orjson.dumps(figures, option=orjson.OPT_INDENT_2).decode())
    else:
        Console().print(_table(figures))


def _table(figures: dict[str, Any]) -> Table:
    table = Table(title=f"{figures['ratio']} times SAQ; {figures['cores']} cores, load before {figures['load_before']}")
    table.add_column("")
    systems = [name for name in figures if isinstance(figures[name], dict)]
    for system in systems:
        table.add_column(system, justify="right")
    rows = dict.fromkeys(key for system in systems for key in figures[system])
    for row in rows:
        table.add_row(row, *(f"{figures[system][row]:,}" if row in figures[system] else "" for system in systems))
    return table
