"""How a process says whether it does its work: the words for it, and the questions that are asked of its parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from jobs.ending import end
from jobs.errors import BrokerUnavailable, EpochChanged, QueueFull, QueueQLError, Stale, Unavailable

log = structlog.get_logger(__name__)

ASK_S = 2.0
"""How long a component may take to say that it works."""
EVERY_S = 1.0
STUCK_S = 10.0
"""What has made no progress for so long is not ready."""
NO_REDIS = "Redis does not answer."
NO_DATABASE = "The database does not answer."
DEAD_S = 60.0
"""A process whose event loop has not turned for so long will not recover by itself."""


class Health(NamedTuple):
    """Whether a component makes progress, and a sentence about it."""

    component: str
    ok: bool
    detail: str
    known: bool = True
    """False: it could not be asked, so that it may be well."""


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


_OURS = (Unavailable, EpochChanged, QueueFull, Stale)
"""Whose messages name no user's data; what others said to us comes in them behind a colon."""


def told(error: Exception) -> str:
    """Say what is wrong in a sentence for anybody: without hosts, paths or data. The whole text is for the log."""
    if isinstance(error, _OURS):
        return f"{str(error).partition(': ')[0].rstrip('.')}."
    return f"{type(error).__name__}; the log of the process says more."


class Check:
    """Asks a component whether it works: one question at a time, whoever wants to know.

    `ask` returns a sentence where it does, a Health where it may not, or raises an error that says why not.
    `silent` is what is said where it does not answer within `ASK_S`.
    """

    def __init__(self, component: str, ask: Callable[[], Awaitable[str | Health]], silent: str) -> None:
        self._component = component
        self._ask = ask
        self._silent = silent
        self._asking: asyncio.Task[Health] | None = None
        self._failing: type[Exception] | None = None

    async def health(self) -> Health:
        """Ask, and wait for `ASK_S` at most. Never raises."""
        asking = self._asking
        if asking is None or asking.done():
            asking = self._asking = asyncio.create_task(self._answer(), name=f"health of {self._component}")
        done, _ = await asyncio.wait([asking], timeout=ASK_S)
        if not done or asking.cancelled():
            return Health(self._component, False, self._silent, known=False)
        return asking.result()

    async def close(self) -> None:
        """Ask no more."""
        await end(self._asking)

    async def _answer(self) -> Health:
        try:
            said = await self._ask()
        except Exception as error:  # whatever it is, whoever asked is told
            self._note(error)
            return Health(self._component, False, told(error), known=False)
        self._failing = None
        return said if isinstance(said, Health) else Health(self._component, True, said)

    def _note(self, error: Exception) -> None:
        # One line per outage, and none where Redis is away: that is said for the whole process at once.
        is_new, self._failing = self._failing is not type(error), type(error)
        if is_new and not isinstance(error, BrokerUnavailable | EpochChanged):
            log.warning(
                "probe.fault",
                component=self._component,
                error=str(error),
                exc_info=None if isinstance(error, QueueQLError) else error,
            )
