"""Tasks that the tests of the API publish."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from jobs.context import Context
from jobs.task import Registry, task

registry = Registry()


class Colour(enum.Enum):
    RED = "dark red"
    BLUE = "blue"


@dataclass
class Address:
    street: str
    house_number: int = 1
    neighbours: list[Address] = field(default_factory=list)


@task(registry=registry)
async def noop() -> None:
    """Do nothing."""


@task(registry=registry, queue="email", max_attempts=5, timeout=30)
async def send_mail(  # noqa: PLR0917  # a job's arguments have names
    ctx: Context,
    to: str,
    copies: int = 1,
    colour: Colour = Colour.RED,
    cc: list[str] | None = None,
    address: Address | None = None,
    not_before: datetime | None = None,
    patience: timedelta = timedelta(minutes=5),
    campaign: UUID | None = None,
    speed: Literal["slow", "very fast"] = "slow",
    extra: dict[str, int] | None = None,
    either: int | str = 0,
    factor: float = 1.0,
) -> int:
    """Send a mail.

    Args:
        to: Whom it goes to.
        copies: How many.
    """
    return copies


@task(registry=registry)
async def anything(**arguments: Any) -> None:
    """Take whatever comes."""
