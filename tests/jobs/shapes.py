"""Types that tasks of the tests take and return."""

from __future__ import annotations

import dataclasses
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Optional
from uuid import UUID

import msgspec
import pydantic


class Colour(Enum):
    RED = 1
    DEEP_BLUE = "deep blue"


@dataclasses.dataclass
class Address:
    street: str
    colour: Colour = Colour.RED


class Person(pydantic.BaseModel):
    name: str
    born: date | None = None
    addresses: list[Address] = []


class Measured(pydantic.BaseModel):
    value: float


class Point(msgspec.Struct):
    x: int
    y: int = 0


class Opaque:
    pass


ORIGIN = Point(1)


def everything(
    *,
    person: Person,
    when: datetime,
    ids: list[UUID],
    price: Decimal,
    colour: Colour = Colour.DEEP_BLUE,
    wait: timedelta = timedelta(seconds=90),
    note: Optional[str] = None,  # noqa: UP045  # both forms are in use
    point: Point = ORIGIN,
    table: dict[str, list[int]] = {"a": [1]},  # noqa: B006  # published, never changed
) -> Person:
    """Use every type.

    Args:
        person: who it is
        price (Decimal): what it
            costs
        note: free text
    """
    return person
