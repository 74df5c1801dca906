"""The processes of QueueQL: what each says of itself, for as long as that holds, and which have vanished."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from jobs.broker import keys
from jobs.broker.queue import Broker
from jobs.snapshot import ProcessFigures

_json = msgspec.json.Encoder()
_figures = msgspec.json.Decoder(ProcessFigures)


class Known(NamedTuple):
    """A process; a few minutes after it ended, or its word has run out, it is forgotten."""

    figures: ProcessFigures
    since_ms: int
    """When it spoke first, by the clock of Redis; 0 where it never spoke for itself."""
    holds: bool
    """Whether what it said holds still."""
    ended: bool = False
    """It said that it ended."""


class Processes:
    """Who is there besides the jobs: API, services and workers."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def say(self, process_id: str, figures: ProcessFigures, *, for_s: float) -> None:
        """Say how a process is. Unless it is said again, it is gone after `for_s` seconds.

        Raises BrokerUnavailable, EpochChanged.
        """
        await self._broker.call("process", (process_id, round(for_s * 1000), _json.encode(figures).decode()))

    async def leave(self, process_id: str) -> None:
        """Say that a process has ended. Raises BrokerUnavailable, EpochChanged."""
        await self._broker.call("process", (process_id, 0, ""))

    async def all(self) -> list[ProcessFigures]:
        """Return all that are alive, by kind, host and pid. Raises BrokerUnavailable."""
        return [one.figures for one in await self.known() if one.holds]

    async def known(self) -> list[Known]:
        """Return those too that have ended, and that have vanished: workers whose lease ran out, who said nothing more.

        Raises BrokerUnavailable.
        """
        broker = self._broker
        now_ms = await broker.now_ms()
        ends = {
            item.decode(): ends_ms
            for item, ends_ms in await broker.ask(broker.client.zrange(keys.PROCESSES, 0, -1, withscores=True))
        }
        async with broker.client.pipeline(transaction=False) as pipeline:
            for process_id in ends:
                pipeline.hmget(keys.process(process_id), ["seen", "since", "figures", "ended"])
            rows = await broker.ask(pipeline.execute())
        found = [
            Known(said, int(since or 0), ends_ms > now_ms and not ended, ended is not None)
            for ends_ms, (seen, since, text, ended) in zip(ends.values(), rows, strict=True)
            if text and (said := _read(seen, text)) is not None
        ]
        return sorted(found, key=lambda one: (one.figures.kind, one.figures.host, one.figures.pid))

    async def left_ms(self) -> int:
        """Return when a worker last ended in order, by the clock of Redis; 0: never. Raises BrokerUnavailable."""
        return int(await self._broker.ask(self._broker.client.get(keys.LEFT)) or 0)


def _read(seen: bytes | None, text: bytes) -> ProcessFigures | None:
    """Read what a process said; None where it is of another version and cannot be read."""
    try:
        return msgspec.structs.replace(_figures.decode(text), seen_ms=int(seen or 0))
    except ValueError:
        return None
