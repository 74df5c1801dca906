"""Where a command prints: tables that fit the terminal, whole lines into a pipe, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.client.text import clock, local, log_line, safe

COLOURS = {
    "ACTIVE": "cyan", "RUNNING": "green", "COMPLETED": "green", "DEAD": "red", "FAILED": "red", "LOST": "red",
    "CANCELLED": "yellow", "RETRYING": "yellow", "QUIET": "yellow", "STOPPING": "yellow", "STARTING": "cyan",
    "DEBUG": "dim", "WARNING": "yellow", "ERROR": "red",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    rank: int = 0
    """Where the terminal is too narrow, the columns of the highest rank are left out first; 0: never."""
    folds: bool = False
    """Whether long values may go on in the next line."""
    right: bool = False


class Screen:
    """Standard output, and standard error for what is said beside the result."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # both are text files
        self.is_terminal = sys.stdout.isatty() and not as_json
        self.console = Console(highlight=False, markup=False, emoji=False)

    def now(self) -> datetime:
        """Return the time by the clock here."""
        return datetime.now().astimezone()

    def json(self, value: object) -> None:
        """Print a JSON document in one line, and at once."""
        sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Say something beside the result, in one line."""
        sys.stdout.flush()
        sys.stderr.write(f"queueql: {safe(text)}\n")
        sys.stderr.flush()

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Print a line; a part may be a pair of a text and its style. Long lines go on in the next one."""
        text = Text.assemble(*parts)
        if self.is_terminal:
            self.console.print(text, soft_wrap=True)
        else:
            sys.stdout.write(text.plain + "\n")
            sys.stdout.flush()

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]], nothing: str) -> None:
        """Print a table, or a sentence where it has no rows (on standard error, for a pipe)."""
        lines = [[safe(cell) for cell in row] for row in rows]
        if lines and self.is_terminal:
            self.console.print(self.grid(columns, lines))
        elif lines:
            for row in plain(columns, lines):
                self.line(row)
        elif self.is_terminal:
            self.line((nothing, "dim"))
        else:
            self.say(nothing)

    def grid(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
        """Return a table as it fits the terminal."""
        shown = _fitting(columns, _widths(columns, rows), self.console.width)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for at in shown:
            column = columns[at]
            table.add_column(
                column.title,
                no_wrap=not column.folds,
                overflow="fold",
                justify="right" if column.right else "left",
            )
        for row in rows:
            table.add_row(*(Text(row[at], style=COLOURS.get(row[at].partition(" ")[0], "")) for at in shown))
        return table

    def facts(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Print names and values below each other; empty values are left out."""
        shown = [(name, value) for name, value in pairs if value not in {"", "-"}]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            style = COLOURS.get(value.partition(" ")[0], "")
            indented = safe(value).replace("\n", "\n" + " " * (width + 2))
            self.line((f"{name:<{width}}  ", "dim"), (indented, style))

    def heading(self, text: str) -> None:
        """Print the title of a part."""
        self.line()
        self.line((text, "bold"))

    def log(self, line: Mapping[str, Any]) -> None:
        """Print one log line of a job, with its date."""
        (_, style), *rest = log_parts(line)
        self.line((f"{local(line['at'])} ", style), *rest)


def log_parts(line: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a log line, with its time of day, in parts that have styles."""
    level = line["level"]
    return [(f"{clock(line['at'])} ", "dim"), (f"{level:<7} ", COLOURS.get(level, "")), (log_line(line), "")]


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return the lines of a table for a pipe: every row is one line, and nothing is left out."""
    lines = [[column.title for column in columns], *([" ".join(cell.split()) for cell in row] for row in rows)]
    widths = _widths(columns, lines)
    for line in lines:
        cells = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        yield "  ".join(cells).rstrip()


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max([len(column.title), *(len(row[at]) for row in rows)]) for at, column in enumerate(columns)]


def _fitting(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """Return the places of the columns that have room beside each other; a folding column needs little."""
    shown = list(range(len(columns)))

    def needed() -> int:
        return sum((min(widths[at], 16) if columns[at].folds else widths[at]) + 2 for at in shown) - 2

    while needed() > room:
        last = max(shown, key=lambda at: columns[at].rank)
        if columns[last].rank == 0:
            break
        shown.remove(last)
    return shown
