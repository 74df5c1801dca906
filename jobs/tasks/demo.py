"""A first task to play with, there until somebody names tasks of their own."""

from __future__ import annotations

import asyncio

from jobs import Context, task


class Failed(Exception):
    """What the countdown raises when it is asked to."""


@task(name="demo_countdown", max_attempts=3)
async def demo_countdown(ctx: Context, steps: int = 10, step_s: float = 0.5, fail_at: int | None = None) -> str:
    """Count down, step by step, with progress and log lines to watch.

    `fail_at` is the step at which the first attempt fails; the second one then goes through.
    """
    for step in range(1, steps + 1):
        await asyncio.sleep(step_s)
        await ctx.progress(step, of=steps, step=f"{steps - step} to go")
        if step == fail_at and ctx.attempt == 1:
            await ctx.warning("Failing, as asked", step=step)
            raise Failed(f"Step {step} failed, as fail_at={fail_at} asked for.")
    await ctx.info("Lift-off", steps=steps)
    return "Lift-off!"
