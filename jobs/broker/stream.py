"""The stream of events: reading from a position, following its end, and trimming what nobody needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec
import structlog

from jobs.broker import keys
from jobs.event import JobEvent, Position

if TYPE_CHECKING:
    from jobs.broker.queue import Broker

log = structlog.get_logger(__name__)


class _Entry(msgspec.Struct, array_like=True):
    epoch: int
    events: list[JobEvent]


class _RawEntry(msgspec.Struct, array_like=True):
    epoch: int
    events: list[msgspec.Raw]


_decode_entry = msgspec.msgpack.Decoder(_Entry).decode
_decode_raw_entry = msgspec.msgpack.Decoder(_RawEntry).decode
_decode_event = msgspec.msgpack.Decoder(JobEvent).decode

_ENTRIES = 128

PositionedEvent = tuple[Position, JobEvent]


def decode_entry(entry_id: bytes, payload: bytes) -> list[PositionedEvent]:
    """Read one entry of the stream. An event of an unknown kind, from a newer version, is skipped and logged."""
    ms, seq = (int(part) for part in entry_id.split(b"-"))
    try:
        entry = _decode_entry(payload)
    except msgspec.ValidationError:
        return _decode_tolerantly(ms, seq, payload)
    return [(Position(entry.epoch, ms, seq, index), event) for index, event in enumerate(entry.events)]


def _decode_tolerantly(ms: int, seq: int, payload: bytes) -> list[PositionedEvent]:
    raw = _decode_raw_entry(payload)
    events = []
    for index, item in enumerate(raw.events):
        try:
            events.append((Position(raw.epoch, ms, seq, index), _decode_event(item)))
        except msgspec.ValidationError as error:
            log.warning("stream.unreadable_event", entry=f"{ms}-{seq}", index=index, error=str(error))
    return events


class Stream:
    """Readers of the stream of events."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.client = broker.dedicated_client()
        self._scanned: tuple[int, Position, str] | None = None
        """Epoch, a position, and the entry up to which nothing comes after that position."""

    async def read(self, after: Position, limit: int, *, block_ms: int = 0) -> list[PositionedEvent]:
        """Return about `limit` events after a position, whole entries at a time, in order.

        Waits up to `block_ms` for the first one. Raises BrokerUnavailable.
        """
        events = await self._read(after, limit)
        if not events and block_ms:
            await self._broker.ask(self.client.xread({keys.EVENTS: self._start(after)}, count=1, block=block_ms))
            events = await self._read(after, limit)
        return events

    def _start(self, after: Position) -> str:
        if self._scanned and self._scanned[:2] == (self._broker.epoch, after):
            return self._scanned[2]
        if after.epoch == self._broker.epoch:
            return after.entry
        # After a loss the new stream may begin with ids that are lower than the position's.
        return "0-0"

    async def _read(self, after: Position, limit: int) -> list[PositionedEvent]:
        # The entry of the position itself is read again: the position may lie within it.
        start, events = self._start(after), list[PositionedEvent]()
        while len(events) < limit:
            entries = await self._broker.ask(self._broker.client.xrange(keys.EVENTS, min=start, count=_ENTRIES))
            for entry_id, fields in entries:
                events.extend(item for item in decode_entry(entry_id, fields[b"e"]) if item[0] > after)
            if len(entries) < _ENTRIES:
                break
            start = f"({entries[-1][0].decode()}"
        if entries and not events:
            self._scanned = (self._broker.epoch, after, entries[-1][0].decode())
        return events

    async def tail(self, after: Position, *, limit: int = 1000) -> AsyncIterator[list[PositionedEvent]]:
        """Yield batches of events after a position as they come, an empty one each second without any.

        Raises BrokerUnavailable; the caller goes on from the last position that it saw.
        """
        while True:
            events = await self.read(after, limit, block_ms=1000)
            if events:
                after = events[-1][0]
            yield events

    async def first(self) -> Position | None:
        """Return the position of the oldest event that is still there; None where there is none."""
        entries = await self._broker.ask(self._broker.client.xrange(keys.EVENTS, count=1))
        return decode_entry(entries[0][0], entries[0][1][b"e"])[0][0] if entries else None

    async def last(self) -> Position:
        """Return the position of the newest event; the beginning of the epoch where there is none."""
        entries = await self._broker.ask(self._broker.client.xrevrange(keys.EVENTS, count=1))
        if not entries:
            return Position(self._broker.epoch, 0, 0, 0)
        return decode_entry(entries[0][0], entries[0][1][b"e"])[-1][0]

    async def trim(self, recorded: Position, keep_from_ms: int) -> int:
        """Remove entries that are recorded and older than `keep_from_ms` in the time of Redis; return how many."""
        if recorded.epoch != self._broker.epoch:
            return 0
        oldest = f"{min(recorded.ms, keep_from_ms)}-0"
        return int(await self._broker.ask(self._broker.client.xtrim(keys.EVENTS, minid=oldest, approximate=True)))

    async def close(self) -> None:
        """Close the connection."""
        await self.client.aclose()
