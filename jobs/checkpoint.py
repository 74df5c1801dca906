"""What a run keeps for its next attempt, and the receipts of those who wait until Redis has it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any

import msgspec

from jobs.interrupt import Interrupt, Interrupted

CHECKPOINT_MAX_BYTES = 16_384
"""Longest checkpoint, as JSON, with what `ctx.chunks` adds to it."""

Receipt = Future[Interrupt | None]
"""Done when a checkpoint has arrived in Redis, with None, or never will, with the reason."""

_encode = msgspec.json.Encoder().encode


class Saved(msgspec.Struct, frozen=True, omit_defaults=True):
    """A checkpoint as it is kept: the task's own value, and how far each batch has come."""

    value: msgspec.Raw = msgspec.Raw(b"null")
    batches: dict[str, msgspec.Raw] = {}


_decode = msgspec.json.Decoder(Saved).decode


class Checkpoints:
    """The checkpoints of one attempt; for any thread. `text` is what an earlier attempt left."""

    __slots__ = ("_count", "_lock", "_receipts", "_unsent", "saved")

    def __init__(self, text: str) -> None:
        self.saved = _decode(text) if text else Saved()
        self._lock = threading.Lock()
        self._unsent = ""
        self._count = 0
        self._receipts: list[tuple[int, Receipt]] = []

    @property
    def value(self) -> Any:
        """The task's own value."""
        return msgspec.json.decode(self.saved.value)

    def batch(self, name: str) -> bytes | None:
        """Return the state of a batch, in JSON; None where it has none."""
        found = self.saved.batches.get(name)
        return None if found is None else bytes(found)

    def keep_value(self, value: Any) -> Receipt:
        """Keep another value. Raises TypeError or ValueError for what is not JSON, or too long."""
        raw = msgspec.Raw(_encode(value))
        return self._keep(lambda saved: Saved(raw, saved.batches))

    def keep_batch(self, name: str, state: bytes) -> Receipt:
        """Keep another state of a batch. Raises ValueError for one that is too long."""
        return self._keep(lambda saved: Saved(saved.value, {**saved.batches, name: msgspec.Raw(state)}))

    def keep_text(self, text: str) -> Receipt:
        """Keep what `take` of the same attempt in another process returned."""
        return self._keep(lambda _: _decode(text))

    def _keep(self, change: Callable[[Saved], Saved]) -> Receipt:
        receipt = Receipt()
        receipt.set_running_or_notify_cancel()  # from here on nobody can cancel it
        with self._lock:
            saved = change(self.saved)
            text = _encode(saved)
            if len(text) > CHECKPOINT_MAX_BYTES:
                raise ValueError(f"The checkpoint has {len(text)} bytes as JSON; {CHECKPOINT_MAX_BYTES} are allowed.")
            self.saved, self._unsent = saved, text.decode()
            self._count += 1
            self._receipts.append((self._count, receipt))
        return receipt

    @property
    def waiting(self) -> bool:
        """True while there is something to take."""
        return bool(self._unsent)

    def take(self) -> tuple[str, int]:
        """Hand over the latest checkpoint, if it was not yet, and its number for `settle`."""
        with self._lock:
            text, self._unsent = self._unsent, ""
            return text, self._count

    def settle(self, number: int = sys.maxsize, why_not: Interrupt | None = None) -> None:
        """Tell those who wait that the checkpoints up to this number have arrived, or why they never will."""
        with self._lock:
            settled = [receipt for own, receipt in self._receipts if own <= number]
            self._receipts = [item for item in self._receipts if item[0] > number]
        for receipt in settled:
            receipt.set_result(why_not)


class Arrival:
    """Waits for a receipt: a coroutine by awaiting it, a thread by `wait`."""

    def __init__(self, receipt: Receipt, check: Callable[[], None]) -> None:
        self._receipt = receipt
        self._check = check

    def __await__(self) -> Generator[Any, None, None]:
        self._end((yield from asyncio.wrap_future(self._receipt).__await__()))

    def wait(self) -> None:
        """Block until then. Raises as awaiting does."""
        self._end(self._receipt.result())

    def _end(self, why_not: Interrupt | None) -> None:
        if why_not is not None:
            raise Interrupted(why_not)
        self._check()


def in_coroutine() -> bool:
    """Tell whether the caller could await something; a thread can only block."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
