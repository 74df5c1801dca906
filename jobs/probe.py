"""How a process says whether it does its work: the words for it, and the questions that are asked of its parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jobs.ending import end
from jobs.errors import QueueQLError

ASK_S = 2.0
"""How long a component may take to say that it works."""
EVERY_S = 1.0
STUCK_S = 10.0
"""What has made no progress for so long is not ready."""
DEAD_S = 60.0
"""A process whose event loop has not turned for so long will not recover by itself."""


class Health(NamedTuple):
    """Whether a component makes progress, and a sentence about it."""

    component: str
    ok: bool
    detail: str


class Answer(NamedTuple):
    """What is said to whoever asks: a status, a media type, and the document."""

    status: int
    media_type: str
    body: Mapping[str, Any]


def well(status: str, **more: object) -> Answer:
    """Say that all is well."""
    return Answer(200, "application/json", {"status": status, **more})


def unwell(title: str, detail: str, *, code: str, **more: object) -> Answer:
    """Say what is not well: 503, as problem details (RFC 9457). `code` is stable."""
    problem = {"type": "about:blank", "title": title, "status": 503, "detail": detail, "code": code}
    return Answer(503, "application/problem+json", {**problem, **more})


def failing(parts: Sequence[Health]) -> str:
    """Return what is wrong with the parts, in a sentence for each; empty where nothing is."""
    return " ".join(f"{part.component}: {part.detail}" for part in parts if not part.ok)


def components(parts: Sequence[Health]) -> dict[str, dict[str, Any]]:
    """Return the parts as the answers show them."""
    return {part.component: {"ok": part.ok, "detail": part.detail} for part in parts}


def readiness(parts: Sequence[Health]) -> Answer:
    """200 where every component makes progress, else 503 with what does not."""
    if wrong := failing(parts):
        return unwell("Not ready", wrong, code="NOT_READY", components=components(parts))
    return well("ready", components=components(parts))


class Check:
    """Asks a component whether it works: one question at a time, whoever wants to know.

    `ask` returns a sentence where it does, a Health where it may not, or raises a QueueQLError that says why not.
    """

    def __init__(self, component: str, ask: Callable[[], Awaitable[str | Health]]) -> None:
        self._component = component
        self._ask = ask
        self._asking: asyncio.Task[Health] | None = None

    async def health(self) -> Health:
        """Ask, and wait for `ASK_S` at most. Never raises."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer(), name=f"health of {self._component}")
        done, _ = await asyncio.wait([self._asking], timeout=ASK_S)
        if not done or self._asking.cancelled():
            return Health(self._component, False, f"The {self._component} has not answered for {ASK_S:.0f} seconds.")
        return self._asking.result()

    async def close(self) -> None:
        """Ask no more."""
        await end(self._asking)

    async def _answer(self) -> Health:
        try:
            said = await self._ask()
        except QueueQLError as error:
            return Health(self._component, False, str(error))
        return said if isinstance(said, Health) else Health(self._component, True, said)
