"""One job, live, until it ends: a progress bar in a terminal, lines in a pipe, JSON for programs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from api.client import document
from api.client.link import Link
from api.client.option import Level
from api.client.screen import COLOURS, Screen, log_parts
from api.client.tail import tail
from api.client.text import (
    clock,
    data,
    failure_text,
    moment,
    one_line,
    percent,
    progress_text,
    safe,
    seconds_text,
    state_text,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EXIT_CODES = {"COMPLETED": 0, "DEAD": 20, "CANCELLED": 21}
"""By the final state of the job that was waited for."""


class View(Protocol):
    """Where a watched job is shown."""

    wants_log: bool

    def job(self, job: dict[str, Any]) -> None:
        """Show the job as it is now."""

    def log(self, line: dict[str, Any]) -> None:
        """Show a line that it logged."""


async def watch(link: Link, job_id: str, view: View) -> dict[str, Any]:
    """Show a job until it ends, and return it as it ended. Raises CommandError."""

    async def logs() -> None:
        async for line in tail(link, job_id, Level.DEBUG, follow=True):
            view.log(line)

    last: dict[str, Any] = {}
    async with asyncio.TaskGroup() as tasks:
        async for news in link.stream(document.JOB_LIVE, lambda: {"id": job_id}):
            if news is None:
                continue
            if view.wants_log and not last:
                tasks.create_task(logs(), name="client log")
            last = news["job"]
            view.job(last)
    return last


async def watch_to_end(link: Link, screen: Screen, job_id: str) -> int:
    """Show a job until it ends, say how it ended, and return the exit code. Raises CommandError."""
    if screen.as_json:
        return EXIT_CODES[(await watch(link, job_id, JsonView(screen)))["state"]]
    with view_of(screen) as view:
        job = await watch(link, job_id, view)
    print_end(screen, job)
    return EXIT_CODES[job["state"]]


@contextmanager
def view_of(screen: Screen) -> Iterator[View]:
    """Return the view for this screen."""
    if not screen.is_terminal:
        yield Lines(screen)
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[state]}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=screen.console, transient=True) as progress:
        yield Bar(screen, progress)


def print_end(screen: Screen, job: dict[str, Any]) -> None:
    """Say how a job ended."""
    state = job["state"]
    began = job["startedAt"] or job["createdAt"]
    took = seconds_text((moment(job["finishedAt"]) - moment(began)).total_seconds()) if job["finishedAt"] else ""
    attempts = f", attempt {job['attemptCount']} of {job['maxAttempts']}" if job["attemptCount"] > 1 else ""
    screen.line((state, COLOURS.get(state, "")), f" {job['id']}", (f"  {took}{attempts}", "dim"))
    if state == "COMPLETED" and job["result"] is not None:
        screen.line(data(job["result"]))
    if state == "DEAD":
        reason = job["reason"] or ""
        screen.line((f"{reason}: ", "red") if reason else "", failure_text(job["error"]))


class JsonView:
    """A line of JSON for each state of the job."""

    wants_log = False

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def job(self, job: dict[str, Any]) -> None:
        """Print the job."""
        self._screen.json(job)

    def log(self, line: dict[str, Any]) -> None:
        """Not asked for."""


class Silent(JsonView):
    """Shows nothing."""

    def job(self, job: dict[str, Any]) -> None:
        """Show nothing."""


class Lines:
    """A line for each change of the state or the step, and for each tenth of the way."""

    wants_log = True

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._shown: object = None

    def job(self, job: dict[str, Any]) -> None:
        """Print the job where it is worth a line."""
        progress = job["progress"]
        tenth = int(progress["percentage"] // 10) if progress else 0
        news = (job["state"], job["attemptCount"], progress and progress["step"], tenth, job["cancelRequested"])
        if news == self._shown:
            return
        self._shown = news
        text = progress_text(progress) if job["state"] == "ACTIVE" else ""
        error = failure_text(job["error"]) if job["state"] == "RETRYING" else ""
        self._screen.line(f"{clock(job['updatedAt'])} {job['state']:<9} {text}{error}".rstrip())

    def log(self, line: dict[str, Any]) -> None:
        """Print the line."""
        self._screen.line(*log_parts(line))


class Bar:
    """A progress bar at the bottom, with the log going by above it."""

    wants_log = True

    def __init__(self, screen: Screen, progress: Progress) -> None:
        self._screen = screen
        self._progress = progress
        self._row: TaskID | None = None

    def job(self, job: dict[str, Any]) -> None:
        """Move the bar."""
        if self._row is None:
            self._row = self._progress.add_task("", total=None, state="")
        progress = job["progress"]
        total = progress["total"] if progress else None
        step = one_line(progress["step"] or progress["message"] or "") if progress else ""
        amount = percent(progress) if progress and not total else ""
        room = max(10, self._screen.console.width - 58)
        self._progress.update(
            self._row,
            total=total,
            completed=progress["done"] if progress else 0,
            state=safe(state_text(job).partition(" ")[0]),
            description=f"{amount} {step}".strip()[:room],
        )

    def log(self, line: dict[str, Any]) -> None:
        """Print the line above the bar."""
        self._screen.line(*log_parts(line))
