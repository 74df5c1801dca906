"""The processes of QueueQL: what each says of itself, for as long as that holds."""

from __future__ import annotations

import msgspec

from jobs.broker import keys
from jobs.broker.queue import Broker
from jobs.snapshot import ProcessFigures

_json = msgspec.json.Encoder()
_figures = msgspec.json.Decoder(ProcessFigures)


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
        broker = self._broker
        ids = [item.decode() for item in await broker.ask(broker.client.zrange(keys.PROCESSES, 0, -1))]
        async with broker.client.pipeline(transaction=False) as pipeline:
            for process_id in ids:
                pipeline.hmget(keys.process(process_id), ["seen", "figures"])
            rows = await broker.ask(pipeline.execute())
        found = [one for seen, text in rows if text and (one := _read(seen, text)) is not None]
        return sorted(found, key=lambda one: (one.kind, one.host, one.pid))


def _read(seen: bytes | None, text: bytes) -> ProcessFigures | None:
    """Read what a process said; None where it is of another version and cannot be read."""
    try:
        return msgspec.structs.replace(_figures.decode(text), seen_ms=int(seen or 0))
    except ValueError:
        return None
