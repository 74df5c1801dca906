"""Work on many items in chunks: a finished chunk is saved, an item's error is recorded and does not stop the rest."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

import msgspec

from jobs.checkpoint import in_coroutine
from jobs.interrupt import Interrupted
from jobs.outbox import Outbox
from jobs.retry import Cancel, Retry, Snooze, failure, readable
from jobs.source import Place, Read, Source

T = TypeVar("T")

FAILURES_MAX = 20
"""Failed items that a batch keeps in its checkpoint; it counts all, and all are in the job's log."""
FAILURES_MAX_BYTES = 4_096
"""The same, as JSON."""
_NAME_MAX = 100
_MESSAGE_MAX = 200

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class ItemFailure:
    """An item that could not be dealt with. A task may return it."""

    item: str
    """As it was named in `chunk.item(...)`, at most 100 characters."""
    type: str
    """Name of the exception's class."""
    message: str
    """The exception's message, at most 200 characters."""


class Progression(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a batch has come: what is saved behind each chunk."""

    place: Place = Place()
    chunks: int = 0
    failed: int = 0
    failures: list[ItemFailure] = []
    state: dict[str, Any] = {}
    total: int | None = None
    is_over: bool = False


_decode = msgspec.json.Decoder(Progression).decode


class Terms(msgspec.Struct, frozen=True):
    """What was asked of a batch."""

    name: str
    key: str
    """What the keys of its chunks begin with."""
    size: int
    total: int | None
    failed_max: int | None
    after: str | None


class Batch(Generic[T]):
    """The chunks of one batch: `async for chunk in batch`, or `for chunk in batch` where there is no coroutine.

    A chunk is finished when the loop asks for the next one. Then its progress and its place are saved, and
    the loop goes on when Redis has them. What leaves the loop otherwise (an error, `break`) leaves the
    chunk unfinished: an attempt that follows begins with it.
    """

    def __init__(self, outbox: Outbox, source: Source[T], terms: Terms) -> None:
        self._outbox = outbox
        self._source = source
        self._terms = terms
        saved = outbox.batch(terms.name) if terms.after is None else terms.after.encode()
        reached = _decode(saved) if saved else Progression(Place(size=terms.size))
        self._place = reached.place
        self._chunks = reached.chunks
        self._is_over = reached.is_over
        self._chunk: Chunk[T] | None = None
        self._is_begun = False
        self.total = next((total for total in (terms.total, source.total) if total is not None), reached.total)
        """Items in all, if that is known; may be set when it is learned."""
        self.failed = reached.failed
        """Items that failed, those of earlier attempts included."""
        self.failures = reached.failures
        """The first of them, at most 20."""
        self.state = reached.state
        """The task's own figures: JSON that is saved with each chunk, and is here again in the next attempt."""

    @property
    def done(self) -> int:
        """Items in finished chunks, failed ones and those of earlier attempts included."""
        return self._place.done

    @property
    def chunks(self) -> int:
        """Finished chunks, those of earlier attempts included."""
        return self._chunks

    def __iter__(self) -> Iterator[Chunk[T]]:
        """Iterate in a function that is not a coroutine."""
        return self

    def __next__(self) -> Chunk[T]:
        """Save the chunk before, and return the next."""
        if in_coroutine():
            raise TypeError("A loop over chunks in a coroutine is written: async for chunk in ctx.chunks(...).")
        self._finish()
        while not self._is_over:
            read = self._source.read(self._begun())
            if inspect.isawaitable(read):
                if inspect.iscoroutine(read):
                    read.close()
                raise TypeError("These items come asynchronously: make the task a coroutine, and use async for.")
            if chunk := self._take(read):
                return chunk
        raise StopIteration

    def __aiter__(self) -> AsyncIterator[Chunk[T]]:
        """Iterate in a coroutine."""
        return self

    async def __anext__(self) -> Chunk[T]:
        """Save the chunk before, and return the next."""
        if saving := self._finish():
            await saving
        while not self._is_over:
            read = self._source.read(self._begun())
            if chunk := self._take(await read if inspect.isawaitable(read) else read):
                return chunk
        raise StopAsyncIteration

    def _begun(self) -> Place:
        if not self._is_begun:
            self._is_begun = True
            self._report()
        return self._place

    def _take(self, read: Read[T]) -> Chunk[T] | None:
        if not read.items:  # an empty page may be followed by others
            self._place = msgspec.structs.replace(self._place, cursor=read.cursor)
            self._is_over = read.is_last
            return None
        number = str(self._chunks + 1)
        if read.cursor is not None or self._place.cursor is not None:
            # The same page has the same beginning and end; one that has others by now is another one.
            number += "-" + hashlib.sha256(_encode([self._place.cursor, read.cursor])).hexdigest()[:16]
        self._chunk = Chunk(self, read, f"{self._terms.key}/{number}")
        return self._chunk

    def _finish(self) -> Awaitable[None] | None:
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            return None
        reached = self.behind(chunk.read)
        self._place, self._chunks, self._is_over = reached.place, reached.chunks, reached.is_over
        self._report()
        return self._outbox.save_batch(self._terms.name, _encode(reached))

    def _report(self) -> None:
        self._outbox.progress(self.done, of=self.total or 0, step=self._terms.name, failed=self.failed)

    def behind(self, read: Read[T]) -> Progression:
        """Tell how far the batch has come when these items are done."""
        place = msgspec.structs.replace(self._place, done=self.done + len(read.items), cursor=read.cursor)
        return Progression(
            place=place,
            chunks=self._chunks + 1,
            failed=self.failed,
            failures=self.failures,
            state=self.state,
            total=self.total,
            is_over=read.is_last,
        )

    def fail(self, item: object, error: Exception, chunk: int) -> bool:
        """Record that an item failed; False where more failed than may."""
        what = failure(error)
        name = readable(str(item), _NAME_MAX)
        self.failed += 1
        self._outbox.error(f"Item failed: {what.type}: {what.message}", exc_info=error, item=name, chunk=chunk)
        failures = [*self.failures, ItemFailure(name, what.type[:_NAME_MAX], readable(what.message, _MESSAGE_MAX))]
        if len(failures) <= FAILURES_MAX and len(_encode(failures)) <= FAILURES_MAX_BYTES:
            self.failures = failures
        most = self._terms.failed_max
        return most is None or self.failed <= most

    def check(self) -> None:
        """Raise Interrupted once the task is to end early."""
        self._outbox.check()


class Chunk(Generic[T]):
    """Some items of a batch, in order: `for item in chunk`."""

    __slots__ = ("_batch", "key", "number", "read")

    def __init__(self, batch: Batch[T], read: Read[T], key: str) -> None:
        self._batch = batch
        self.read = read
        self.number = batch.chunks + 1
        """1 for the first chunk of the batch."""
        self.key = key
        """The same whenever this chunk is worked on in this run of the job, and no other chunk has it."""

    @property
    def items(self) -> Sequence[T]:
        """The items."""
        return self.read.items

    def __iter__(self) -> Iterator[T]:
        """Iterate over the items."""
        return iter(self.read.items)

    def __len__(self) -> int:
        """Count the items."""
        return len(self.read.items)

    @property
    def after(self) -> str:
        """Where the batch stands when this chunk is finished, as JSON: for tasks that keep that in their own database.

        To be read when all items are done, in the transaction that commits them, and given back as the option `after`.
        """
        return _encode(self._batch.behind(self.read)).decode()

    def item(self, name: object) -> Item:
        """Work on one item: `with chunk.item(user.id): ...`. An error is recorded, and the batch goes on.

        What is meant for the worker passes: Interrupted, Retry, Snooze, Cancel, NotRetryable (also in a group of
        exceptions), and what is no Exception, such as CancelledError. In a thread that is to end early it
        raises Interrupted before the item is begun.
        """
        return Item(self._batch, self.number, name)


class Item:
    """The block in which one item is worked on."""

    __slots__ = ("_batch", "_chunk", "_name")

    def __init__(self, batch: Batch[Any], chunk: int, name: object) -> None:
        self._batch = batch
        self._chunk = chunk
        self._name = name

    def __enter__(self) -> None:
        """Begin. Raises Interrupted once the task is to end early."""
        self._batch.check()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Record an error."""
        if not isinstance(error, Exception) or _for_the_worker(error):
            return False
        return self._batch.fail(self._name, error, self._chunk)


def _for_the_worker(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_for_the_worker(part) for part in error.exceptions)
    return isinstance(error, Interrupted | Retry | Snooze | Cancel) or getattr(type(error), "no_retry", False) is True
