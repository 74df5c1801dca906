"""The tasks of the chaos run. Each attempt leaves its lines in the ledger; most answer with their number.

The same functions run under SAQ's own worker (bare_saq.py), which gives them its own context.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from typing import Any

from jobs import Context, Snooze, task
from jobs.retry import fixed
from tests.system.chaos.ledger import BEGIN, END, FAIL, KILL, write

QUEUE = "chaos"
HANG_TIMEOUT_S = 1.5
SOON = fixed(0.3)


class Planned(Exception):
    """A failure that belongs to the plan."""


def _done(ctx: Any, number: int) -> int:
    write(END, ctx, number)
    return number


def _fail(ctx: Any, number: int) -> None:
    write(FAIL, ctx, number)
    raise Planned(f"Job {number} fails, as planned.")


def digest(text: str) -> str:
    """What a task answers with that was given much."""
    return hashlib.sha256(text.encode()).hexdigest()


@task(queue=QUEUE)
async def probe() -> None:
    """Show that everything is there."""


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def quick(ctx: Context, number: int) -> int:
    write(BEGIN, ctx, number)
    await asyncio.sleep(0.02)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def reporting(ctx: Context, number: int) -> int:
    write(BEGIN, ctx, number)
    for step in range(5):
        await ctx.progress(step, of=5)
        await ctx.info("a step", step=step)
        await asyncio.sleep(0.05)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def slow(ctx: Context, number: int, seconds: float) -> int:
    write(BEGIN, ctx, number)
    await asyncio.sleep(seconds)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=5, timeout=60)
def threaded(ctx: Context, number: int, seconds: float) -> int:
    write(BEGIN, ctx, number)
    time.sleep(seconds)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=5, timeout=60, backoff=SOON)
async def flaky(ctx: Context, number: int) -> int:
    """Fails twice."""
    write(BEGIN, ctx, number)
    if (ctx.failures if isinstance(ctx, Context) else ctx["job"].attempts) <= 2:
        _fail(ctx, number)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=2, timeout=60, backoff=SOON)
async def failing(ctx: Context, number: int) -> int:
    write(BEGIN, ctx, number)
    _fail(ctx, number)
    return number


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def snoozing(ctx: Context, number: int) -> int:
    write(BEGIN, ctx, number)
    if ctx.attempt == 1:
        write(FAIL, ctx, number)
        raise Snooze(0.5)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=1, timeout=60)
async def revived(ctx: Context, number: int) -> int:
    """Fails in its first run; somebody retries it by hand."""
    write(BEGIN, ctx, number)
    if ctx.run == 1:
        _fail(ctx, number)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def delayed(ctx: Context, number: int) -> int:
    write(BEGIN, ctx, number)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def keyed(ctx: Context, number: int, seconds: float) -> int:
    write(BEGIN, ctx, number)
    await asyncio.sleep(seconds)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def waiting(ctx: Context, number: int) -> int:
    """Is cancelled before its time."""
    write(BEGIN, ctx, number)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def endless(ctx: Context, number: int) -> int:
    """Is cancelled while it runs."""
    write(BEGIN, ctx, number)
    await asyncio.sleep(20)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def unencodable(ctx: Context, number: int) -> Any:
    write(BEGIN, ctx, number)
    _done(ctx, number)
    return object()


@task(queue=QUEUE, max_attempts=1, timeout=HANG_TIMEOUT_S)
async def hanging(ctx: Context, number: int) -> int:
    write(BEGIN, ctx, number)
    await asyncio.Event().wait()
    return number


@task(queue=QUEUE, max_attempts=1, timeout=HANG_TIMEOUT_S)
def hanging_thread(ctx: Context, number: int, seconds: float) -> int:
    """Goes on past its timeout; a thread cannot be ended."""
    write(BEGIN, ctx, number)
    time.sleep(seconds)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=1, timeout=HANG_TIMEOUT_S)
async def blocking(ctx: Context, number: int, seconds: float) -> int:
    """Blocks the event loop of its worker."""
    write(BEGIN, ctx, number)
    time.sleep(seconds)  # noqa: ASYNC251  # that is the fault
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=1, timeout=HANG_TIMEOUT_S)
async def stalling(ctx: Context, number: int, seconds: float) -> int:
    """Blocks the event loop for so long that its worker ends itself."""
    write(BEGIN, ctx, number)
    time.sleep(seconds)  # noqa: ASYNC251  # that is the fault
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=1, timeout=HANG_TIMEOUT_S, isolation="process")
def stuck(ctx: Context, number: int) -> int:
    """Never ends by itself, and can be ended."""
    write(BEGIN, ctx, number)
    time.sleep(600)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=5, timeout=60, isolation="process")
def crashing(ctx: Context, number: int) -> int:
    """Takes the process down that it has for itself."""
    write(BEGIN, ctx, number)
    write(KILL, ctx, number)
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@task(queue=QUEUE, max_attempts=5, timeout=60, isolation="process")
def isolated(ctx: Context, number: int, seconds: float) -> int:
    write(BEGIN, ctx, number)
    time.sleep(seconds)
    return _done(ctx, number)


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def poison(ctx: Context, number: int) -> int:
    write(BEGIN, ctx, number)
    write(KILL, ctx, number)
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def large(ctx: Context, number: int, text: str) -> str:
    write(BEGIN, ctx, number)
    write(END, ctx, number)
    return digest(text)


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def huge(ctx: Context, number: int, text: str) -> str:
    write(BEGIN, ctx, number)
    write(END, ctx, number)
    return digest(text)


@task(queue=QUEUE, max_attempts=5, timeout=60)
async def fat(ctx: Context, number: int, size: int) -> str:
    """Answers with much."""
    write(BEGIN, ctx, number)
    write(END, ctx, number)
    return text_of(number, size)


def text_of(number: int, size: int) -> str:
    """Make a text of so many bytes that no other job has."""
    head = f"{number}:"
    return head + "x" * (size - len(head))
