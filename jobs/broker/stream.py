"""The stream of events: reading from a position, following its end, and trimming what nobody needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from jobs.broker import keys
from jobs.event import JobEvent, Position
from jobs.quarantine import Source, Unreadable, as_text, unreadable

if TYPE_CHECKING:
    from jobs.broker.queue import Broker


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
SAMPLES = 100
"""Nodes of the stream that are looked at to tell its size."""
_DAMAGE = (ValueError, RecursionError)

PositionedEvent = tuple[Position, JobEvent]


class Reading(msgspec.Struct, frozen=True):
    """A part of the stream, whole entries."""

    events: list[PositionedEvent]
    end: Position
    """Everything up to here was read."""
    unread: list[Unreadable]
    """Events of a newer version, or damaged ones. They stand for nothing that is known of a job."""
    hole: bool
    """Events may have been removed that came right after the position."""


def decode_entry(entry_id: bytes, fields: Mapping[bytes, bytes], epoch: int) -> Reading:
    """Read one entry of the stream. `epoch` is the present one; an entry of a later one is damaged."""
    ms, seq = (int(part) for part in entry_id.split(b"-"))
    payload = fields.get(b"e", b"")
    try:
        entry = _decode_entry(payload)
        if entry.epoch <= epoch and entry.events:
            events = [(Position(entry.epoch, ms, seq, index), event) for index, event in enumerate(entry.events)]
            return Reading(events, events[-1][0], [], hole=False)
    except _DAMAGE:
        pass
    return _decode_tolerantly(Position(epoch, ms, seq, 0), payload)


def _decode_tolerantly(place: Position, payload: bytes) -> Reading:
    try:
        raw = _decode_raw_entry(payload)
        if raw.epoch > place.epoch:
            raise ValueError(f"The entry is of epoch {raw.epoch}, which has not begun.")
    except _DAMAGE as error:
        return Reading([], place, [_unread(place, error, payload)], hole=False)
    events, unread = list[PositionedEvent](), list[Unreadable]()
    position = place = Position(raw.epoch, place.ms, place.seq, 0)
    for index, item in enumerate(raw.events):
        position = Position(place.epoch, place.ms, place.seq, index)
        try:
            events.append((position, _decode_event(item)))
        except _DAMAGE as error:
            unread.append(_unread(position, error, bytes(item)))
    return Reading(events, position, unread, hole=False)


def _unread(position: Position, error: Exception, record: bytes) -> Unreadable:
    return unreadable(Source.EVENT, str(position), error, as_text(record))


class Stream:
    """Readers of the stream of events."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.client = broker.dedicated_client()
        self._scanned: tuple[int, Position, str] | None = None
        """Epoch, a position, and the entry up to which nothing comes after that position."""

    async def read(self, after: Position, limit: int, *, block_ms: int = 0) -> list[PositionedEvent]:
        """Return about `limit` events after a position, as `scan` does, without those that cannot be read."""
        return (await self.scan(after, limit, block_ms=block_ms)).events

    async def scan(self, after: Position, limit: int, *, block_ms: int = 0) -> Reading:
        """Read about `limit` events after a position, whole entries at a time, in order.

        Waits up to `block_ms` for the first one. Raises BrokerUnavailable, EpochChanged.
        """
        reading = await self._read(after, limit)
        if reading.end == after and block_ms:
            await self._broker.ask(self.client.xread({keys.EVENTS: self._start(after)}, count=1, block=block_ms))
            reading = await self._read(after, limit)
        return reading

    def _start(self, after: Position) -> str:
        if self._scanned and self._scanned[:2] == (self._broker.epoch, after):
            return self._scanned[2]
        if after.epoch == self._broker.epoch:
            return after.entry
        # After a loss the new stream may begin with ids that are lower than the position's.
        return "0-0"

    async def _read(self, after: Position, limit: int) -> Reading:
        # The entry of the position itself is read again: the position may lie within it.
        start, end, hole = self._start(after), after, False
        events, unread = list[PositionedEvent](), list[Unreadable]()
        first_page = True
        while len(events) + len(unread) < limit:
            entries = await self._broker.ask(self._broker.client.xrange(keys.EVENTS, min=start, count=_ENTRIES))
            if entries and first_page:
                hole = start not in {"0-0", entries[0][0].decode()}
            for entry_id, fields in entries:
                found = await self._decode(entry_id, fields)
                if found.end > after:
                    events.extend(item for item in found.events if item[0] > after)
                    unread.extend(one for one in found.unread if Position.parse(one.ref) > after)
                    end = found.end
            if len(entries) < _ENTRIES:
                break
            start, first_page = f"({entries[-1][0].decode()}", False
        if entries and end == after:
            self._scanned = (self._broker.epoch, after, entries[-1][0].decode())
        return Reading(events, end, unread, hole)

    async def _decode(self, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Reading:
        reading = decode_entry(entry_id, fields, self._broker.epoch)
        if reading.unread and reading.end.epoch == self._broker.epoch:
            # Perhaps it is only newer than what this process knows of.
            reading = decode_entry(entry_id, fields, await self._broker.refresh_epoch())
        return reading

    async def first(self) -> Position | None:
        """Return the position of the oldest event that is still there; None where there is none."""
        entries = await self._broker.ask(self._broker.client.xrange(keys.EVENTS, count=1))
        if not entries:
            return None
        end = (await self._decode(*entries[0])).end
        return Position(end.epoch, end.ms, end.seq, 0)

    async def last(self) -> Position:
        """Return the position of the newest event; the beginning of the epoch where there is none."""
        entries = await self._broker.ask(self._broker.client.xrevrange(keys.EVENTS, count=1))
        if not entries:
            return Position(self._broker.epoch, 0, 0, 0)
        return (await self._decode(*entries[0])).end

    async def is_whole(self) -> bool:
        """Tell whether no event was ever removed from it. Raises BrokerUnavailable."""
        if not await self._broker.ask(self._broker.client.exists(keys.EVENTS)):
            return True
        facts = await self._broker.ask(self._broker.client.xinfo_stream(keys.EVENTS))
        return bool(facts["entries-added"] == facts["length"])

    async def size_bytes(self) -> int:
        """Return about how much memory the stream takes. Raises BrokerUnavailable."""
        usage = await self._broker.ask(self._broker.client.memory_usage(keys.EVENTS, samples=SAMPLES))
        return int(usage or 0)

    async def trim(self, recorded: Position, keep_from_ms: int) -> int:
        """Remove entries that are recorded and older than `keep_from_ms` in the time of Redis; return how many."""
        if recorded.epoch != self._broker.epoch:
            return 0
        # One entry stays of those that could go: so readers who are there can tell that nothing is missing.
        oldest = recorded.entry
        if recorded.ms > keep_from_ms:
            before = self._broker.client.xrevrange(keys.EVENTS, max=f"({keep_from_ms}-0", count=1)
            oldest = next((entry_id.decode() for entry_id, _ in await self._broker.ask(before)), "0-0")
        removed = 0
        while part := int(await self._broker.ask(self._broker.client.xtrim(keys.EVENTS, minid=oldest))):
            removed += part
        return removed

    async def close(self) -> None:
        """Close the connection."""
        await self.client.aclose()
