"""What Redis says of itself, and how far the recorder is behind its stream."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from jobs.broker import keys
from jobs.broker.queue import Broker
from jobs.event import Position
from jobs.snapshot import LAG_MAX, RecorderFigures, RedisFigures

_PAGE = 256


class _Entry(msgspec.Struct, array_like=True):
    """An entry of the stream, whose events nobody reads here."""

    epoch: int
    events: list[msgspec.Raw]


_entry = msgspec.msgpack.Decoder(_Entry)


async def redis_figures(broker: Broker) -> RedisFigures:
    """Ask Redis how it is. Raises BrokerUnavailable."""
    info: dict[str, Any] = await broker.ask(broker.client.info())
    hits, misses = int(info.get("keyspace_hits", 0)), int(info.get("keyspace_misses", 0))
    return RedisFigures(
        connected=True,
        version=str(info.get("valkey_version") or info["redis_version"]),
        uptime_s=int(info["uptime_in_seconds"]),
        memory_used_bytes=int(info["used_memory"]),
        memory_max_bytes=int(info.get("maxmemory", 0)) or None,
        hit_rate=hits / (hits + misses) if hits + misses else None,
        keys=sum(int(value["keys"]) for name, value in info.items() if name.startswith("db") and "keys" in value),
        connections=int(info["connected_clients"]),
        operations_per_s=int(info["instantaneous_ops_per_sec"]),
        evicted=int(info["evicted_keys"]),
        append_only=bool(int(info.get("aof_enabled", 0))),
        append_ok=info.get("aof_last_write_status") == "ok" if int(info.get("aof_enabled", 0)) else None,
        policy=str(info.get("maxmemory_policy", "noeviction")),
    )


class Lag(NamedTuple):
    """How far the recorder is behind."""

    events: int
    """Counted up to LAG_MAX."""
    ms: int
    """Age of the oldest of them; 0 where there is none."""


async def recorder_lag(broker: Broker, recorded: Position) -> Lag:
    """Tell how far the recorder, which has come to this position, is behind. Raises BrokerUnavailable."""
    events, since_ms = await _unrecorded(broker, recorded)
    return Lag(events, 0 if since_ms is None else max(0, await broker.now_ms() - since_ms))


async def stream_figures(broker: Broker) -> RecorderFigures:
    """Tell how long the stream is that the recorder reads. Raises BrokerUnavailable."""
    async with broker.client.pipeline(transaction=False) as pipeline:
        pipeline.xlen(keys.EVENTS)
        pipeline.exists(keys.BEHIND)
        entries, behind = await broker.ask(pipeline.execute())
    return RecorderFigures(
        stream_entries=int(entries),
        stream_bytes=await broker.stream.size_bytes(),
        holding=bool(behind),
    )


async def _unrecorded(broker: Broker, recorded: Position) -> tuple[int, int | None]:
    """Count the events behind a position, up to LAG_MAX; return when the first of them happened, too."""
    # What is there after a loss of Redis is new, whatever its id.
    begun = recorded.epoch == await broker.read_epoch()
    start, events, since_ms = recorded.entry if begun else "0-0", 0, None
    while events < LAG_MAX:
        page = await broker.ask(broker.client.xrange(keys.EVENTS, min=start, count=_PAGE))
        for entry_id, fields in page:
            number = _events(fields)
            if begun and entry_id.decode() == recorded.entry:
                number -= recorded.index + 1
            if number > 0 and since_ms is None:
                since_ms = int(entry_id.split(b"-")[0])
            events += max(0, number)
        if len(page) < _PAGE:
            break
        start = f"({page[-1][0].decode()}"
    return min(events, LAG_MAX), since_ms


def _events(fields: dict[bytes, bytes]) -> int:
    """Return how many events an entry has; one that is damaged counts as one: it goes into quarantine."""
    try:
        return len(_entry.decode(fields[b"e"]).events)
    except (ValueError, KeyError):
        return 1
