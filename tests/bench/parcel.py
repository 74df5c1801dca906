"""The jobs that pass through the system in `bench flow`: most end well, some fail for good, some are cancelled."""

from __future__ import annotations

from jobs import Context, task
from jobs.commands.request import EnqueueRequest
from jobs.job import Backoff, BackoffKind

QUEUES = tuple(f"flow{number}" for number in range(4))
DEAD_SHARE, CANCELLED_SHARE, KEY_SHARE = 50, 100, 10
"""One job in so many fails for good, is cancelled, has a key."""


@task(queue=QUEUES[0])
async def parcel(ctx: Context, number: int, text: str) -> dict[str, int]:
    """Log two lines, and end well."""
    ctx.info("It has begun.", number=number)
    ctx.info("It is about to end.")
    return {"number": number, "length": len(text)}


@task(queue=QUEUES[0], max_attempts=2, backoff=Backoff(kind=BackoffKind.FIXED, base_s=0.1))
async def parcel_lost(ctx: Context, number: int, text: str) -> None:
    """Fail, as often as it may."""
    ctx.warning("It will fail.", number=number, length=len(text))
    raise ValueError(f"The parcel {number} is lost.")


def request(number: int) -> EnqueueRequest:
    """Make the request of a job: its number decides about its queue, its tags, and how it is to end."""
    return EnqueueRequest(
        task="parcel" if number % DEAD_SHARE else "parcel_lost",
        args={"number": number, "text": "lorem ipsum " * 10},
        queue=QUEUES[number % len(QUEUES)],
        tags=(f"batch-{number // 5_000}", f"region-{number % 5}"),
        key=f"key-{number}" if number % KEY_SHARE == 0 else None,
        delay_s=3_600.0 if is_cancelled(number) else None,
    )


def is_cancelled(number: int) -> bool:
    """Whether the job of this number is cancelled while it waits for its time."""
    return number % CANCELLED_SHARE == 1
