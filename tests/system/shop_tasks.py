"""Tasks for tests that look at jobs from outside."""

from __future__ import annotations

import asyncio

from jobs import Context, task


@task(queue="mail", max_attempts=2)
async def send_mail(ctx: Context, to: str, copies: int = 1) -> str:
    """Send a mail."""
    await ctx.progress(1, of=1, step="send")
    await ctx.info("sent", to=to, copies=copies)
    return f"sent to {to}"


@task(queue="sync", max_attempts=1)
async def fail(ctx: Context) -> None:
    """Log a line that would colour the terminal, and fail."""
    await ctx.error("going \x1b[31mwrong")
    raise RuntimeError("It \x1b[31mfailed")


@task(queue="sync", max_attempts=1)
async def count(ctx: Context, steps: int, step_s: float = 0.1) -> int:
    """Count, with progress and a log line for each step."""
    for step in range(1, steps + 1):
        await asyncio.sleep(step_s)
        await ctx.progress(step, of=steps)
        await ctx.info(f"step {step}")
    return steps
