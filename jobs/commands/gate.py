"""The one place that every command passes: it authorises and times, and it is where auditing belongs."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import msgspec
import structlog

from jobs.errors import BrokerUnavailable, EpochChanged, QueueQLError
from jobs.viewer import Permission, Viewer, authorise

P = ParamSpec("P")
T = TypeVar("T")

SLOW_S = 1.0

log = structlog.get_logger(__name__)


class Figures(msgspec.Struct):
    """How often a command was called and how it went, since the start of the process."""

    calls: int = 0
    refused: int = 0
    """Ended with an error on purpose, the viewer's role included."""
    failed: int = 0
    """Ended with a fault of ours."""
    seconds: float = 0.0
    """Time spent in all calls."""


class Gate:
    """Lets a viewer's command through, or raises Forbidden before anything has happened."""

    def __init__(self) -> None:
        self.figures: dict[str, Figures] = {}

    async def run(self, viewer: Viewer, permission: Permission, name: str, action: Callable[[], Awaitable[T]]) -> T:
        """Run one command in the name of a viewer. Raises Forbidden, and whatever the command raises."""
        figures = self.figures.setdefault(name, Figures())
        figures.calls += 1
        begun = time.perf_counter()
        try:
            authorise(viewer, permission)
            return await action()
        except EpochChanged as error:
            figures.refused += 1
            raise BrokerUnavailable(str(error)) from error  # to a caller it is the same: repeat it later
        except QueueQLError:
            figures.refused += 1
            raise
        except Exception:
            figures.failed += 1
            raise
        finally:
            taken = time.perf_counter() - begun
            figures.seconds += taken
            if taken > SLOW_S:
                log.warning("a command was slow", command=name, viewer=viewer.id, seconds=round(taken, 3))


class Gated(Protocol):
    """What holds commands: it has the gate that they pass."""

    @property
    def gate(self) -> Gate:
        """The gate of this process."""


G = TypeVar("G", bound=Gated)


def command(
    permission: Permission, name: str
) -> Callable[
    [Callable[Concatenate[G, Viewer, P], Awaitable[T]]],
    Callable[Concatenate[G, Viewer, P], Coroutine[Any, Any, T]],
]:
    """Make a method a command: called with a viewer first, it runs only through the gate.

    `name` is noun and verb, as in `job.enqueue`.
    """

    def decorate(
        method: Callable[Concatenate[G, Viewer, P], Awaitable[T]],
    ) -> Callable[Concatenate[G, Viewer, P], Coroutine[Any, Any, T]]:
        @functools.wraps(method)
        async def gated(self: G, viewer: Viewer, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return await self.gate.run(viewer, permission, name, lambda: method(self, viewer, *args, **kwargs))

        return gated

    return decorate
