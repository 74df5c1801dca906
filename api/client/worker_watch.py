"""Workers, live: a table that is kept up to date in a terminal, lines in a pipe, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from api.client import document
from api.client.link import Link
from api.client.screen import Screen
from api.client.worker_table import COLUMNS, print_line, rows_of


async def watch_one(link: Link, screen: Screen, worker_id: str) -> None:
    """Show a worker until it is gone. Raises CommandError."""
    with _shown(screen) as show:
        async for news in link.stream(document.WORKER_LIVE, lambda: {"id": worker_id}):
            if news is None:
                continue
            worker = news["worker"]
            if screen.as_json:
                screen.json(worker)
            elif worker:
                show([worker])
    if not screen.as_json:
        screen.line("The worker is gone.")


async def watch_all(link: Link, screen: Screen) -> None:
    """Show all workers until somebody stops it. Raises CommandError."""
    with _shown(screen) as show:
        async for news in link.stream(document.WORKERS_LIVE, dict):
            if news is None:
                continue
            if screen.as_json:
                screen.json(news["workers"])
            else:
                show(news["workers"]["nodes"])


class _Show:
    def __init__(self, screen: Screen, live: Any = None) -> None:
        self._screen = screen
        self._live = live

    def __call__(self, workers: list[dict[str, Any]]) -> None:
        if self._live is None:
            for worker in workers:
                print_line(self._screen, worker)
        else:
            self._live.update(self._screen.grid(COLUMNS, rows_of(self._screen, workers)), refresh=True)


@contextmanager
def _shown(screen: Screen) -> Iterator[_Show]:
    if not screen.is_terminal:
        yield _Show(screen)
        return
    from rich.live import Live

    with Live(console=screen.console, auto_refresh=False) as live:
        yield _Show(screen, live)
