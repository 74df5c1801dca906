"""Runs a bench by its name and prints what it measured."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
import structlog
import typer
from rich.console import Console
from rich.table import Table

from jobs.errors import SettingInvalid
from tests.bench import cleaning, engine, flow, growth, store, subscriptions

BENCHES: dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]] = {
    "cleaning": cleaning.run,
    "engine": engine.run,
    "flow": flow.run,
    "growth": growth.run,
    "store": store.run,
    "subscriptions": subscriptions.run,
}
OF_THE_STORE = {"cleaning", "growth", "store"}
"""Benches that take a number of rows, and a database."""


def run(name: str, *, as_json: bool, jobs: int, rows: int, database: str) -> None:
    """Run the bench and print its figures. Raises SettingInvalid for a name that is none."""
    if name not in BENCHES:
        raise SettingInvalid(f"There is no bench {name!r}; there is: {', '.join(BENCHES)}.")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # figures alone go to standard output
    load = os.getloadavg()[0]
    whole: dict[str, Any] = {"jobs": -(-jobs // engine.CHUNK) * engine.CHUNK}
    if name == "flow":
        whole["database"] = database
    figures = asyncio.run(BENCHES[name](**({"rows": rows, "database": database} if name in OF_THE_STORE else whole)))
    figures |= {"cores": os.cpu_count(), "load_before": round(load, 2)}
    if as_json:
        typer.echo(orjson.dumps(figures, option=orjson.OPT_INDENT_2).decode())
    else:
        figures.pop("tables", None)  # too wide for one
        Console().print(_table(figures))


def _table(figures: dict[str, Any]) -> Table:
    for name, one in figures.pop("timed", {}).items():
        for column, value in one.items():
            figures.setdefault(column, {})[name] = value
    facts = [f"{name}: {value}" for name, value in figures.items() if not isinstance(value, dict)]
    table = Table(title=", ".join(facts))
    table.add_column("")
    systems = [name for name in figures if isinstance(figures[name], dict)]
    for system in systems:
        table.add_column(system, justify="right")
    rows = dict.fromkeys(key for system in systems for key in figures[system])
    for row in rows:
        table.add_row(row, *(_shown(figures[system].get(row, "")) for system in systems))
    return table


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
