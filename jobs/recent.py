"""What many may want to know, asked for once a second at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from jobs.once import Once

T = TypeVar("T")

KEPT_S = 1.0


class Recent(Generic[T]):
    """Keeps what was read for `KEPT_S`; whoever asks while it is being read waits for that.

    A reading that fails is not kept: whoever waited for it gets its error.
    """

    def __init__(
        self, read: Callable[[], Coroutine[Any, Any, T]], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._once: Once[None, T] = Once()
        self._kept: tuple[float, T] | None = None

    async def get(self) -> T:
        """Return what was read within the last second, else what is read now. Raises what reading raises."""
        if self._kept is not None and self._monotonic() - self._kept[0] < KEPT_S:
            return self._kept[1]
        return await self._once.get(None, self._make)

    async def _make(self) -> T:
        began = self._monotonic()
        value = await self._read()
        self._kept = (began, value)
        return value
