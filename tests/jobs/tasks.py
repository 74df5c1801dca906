"""Tasks that the tests of the doors publish."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from jobs.job import Durability
from jobs.task import Registry, task

registry = Registry()


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Address:
    street: str
    number: int = 1


@task(registry=registry)
async def noop() -> None:
    """Do nothing."""


@task(registry=registry, queue="email", max_attempts=5, timeout=30)
async def send_mail(
    *,
    to: str,
    copies: int = 1,
    colour: Colour = Colour.RED,
    cc: list[str] | None = None,
    address: Address | None = None,
    at: datetime | None = None,
    factor: float = 1.0,
) -> int:
    return copies


@task(registry=registry, durability=Durability.MEMORY)
async def fleeting(number: int = 0) -> None:
    pass
