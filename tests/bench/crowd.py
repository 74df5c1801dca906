"""A process full of subscribers. Reads commands from its standard input, a line each, and answers with JSON.

pause    stop reading on all connections
resume   read on
report   say what has arrived so far
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
import zlib
from array import array
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from tests.bench.frames import Frames

DOCUMENT = """
subscription ($where: JobWhere, $after: Cursor) {
  jobEvents(where: $where, after: $after) {
    events { __typename jobId version at }
    endCursor
    gap { reason }
  }
}
"""
_RETRY_S = 0.05
_ALL = 20
"""Of so many messages one is looked at for its latency."""


class Event(msgspec.Struct, rename="camel"):
    """As far as it is counted."""

    job_id: str
    version: str
    at: str


class Gap(msgspec.Struct):
    """Events are missing."""

    reason: str


class Batch(msgspec.Struct, rename="camel"):
    """What a subscription delivers."""

    events: list[Event]
    end_cursor: str
    gap: Gap | None = None


class Data(msgspec.Struct, rename="camel"):
    """The result's data."""

    job_events: Batch


class Payload(msgspec.Struct):
    """A result."""

    data: Data | None = None
    errors: Any = None


class Message(msgspec.Struct):
    """A message of graphql-transport-ws."""

    type: str
    payload: Any = None


class Next(msgspec.Struct):
    """A message with a result."""

    payload: Payload


_next = msgspec.json.Decoder(Next)
_message = msgspec.json.Decoder(Message)


def chain(code: int, job_id: str, version: int | str) -> int:
    """Add an event to the checksum of all before it, so that two equal sums mean the same events in the same order."""
    return zlib.crc32(f"{job_id}:{version}".encode(), code)


class Crowd:
    """All subscribers of this process, and what they have in common."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.port: int = plan["port"]
        self.token: str = plan["token"]
        self.buffer_bytes: int = plan.get("buffer_bytes", 0)
        self.paused = False
        self.messages = 0
        self.latencies_ms = array("d")
        self.faults: list[str] = []
        self.subscribers = [Subscriber(self, where, plan["after"]) for where in plan["wheres"]]

    async def open(self) -> None:
        """Connect, fifty at a time."""
        for start in range(0, len(self.subscribers), 50):
            await asyncio.gather(*(one.connect() for one in self.subscribers[start : start + 50]))

    def pause(self, *, paused: bool) -> None:
        """Stop reading, or read on."""
        self.paused = paused
        for one in self.subscribers:
            if one.socket:
                (one.socket.transport.pause_reading if paused else one.socket.transport.resume_reading)()

    def report(self) -> dict[str, Any]:
        """Say what has arrived; the latencies begin anew."""
        times, self.latencies_ms = sorted(self.latencies_ms), array("d")
        return {
            "subscribed": sum(one.subscribed for one in self.subscribers),
            "events": sum(one.count for one in self.subscribers),
            "messages": self.messages,
            "counts": [one.count for one in self.subscribers],
            "sums": [one.code for one in self.subscribers],
            "gaps": [one.gaps for one in self.subscribers],
            "reconnects": sum(one.connects - 1 for one in self.subscribers),
            "p50_ms": times[len(times) // 2] if times else None,
            "p99_ms": times[int(len(times) * 0.99)] if times else None,
            "max_ms": times[-1] if times else None,
            "cpu_s": time.process_time(),
            "faults": self.faults[:5],
        }


class Subscriber:
    """One WebSocket with one subscription; comes back with its cursor when the server goes away."""

    def __init__(self, crowd: Crowd, where: Any, after: str | None) -> None:
        self._crowd = crowd
        self._where = where
        self._cursor = after
        self.socket: Frames | None = None
        self.subscribed = False
        self.connects = 0
        self.count = self.code = 0
        self.gaps: list[str] = []
        self._coming_back: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Connect, as soon as there is a server."""
        while True:
            try:
                raw = socket.socket()
                if self._crowd.buffer_bytes:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._crowd.buffer_bytes)
                raw.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(raw, ("127.0.0.1", self._crowd.port))
                await loop.create_connection(lambda: Frames(self), sock=raw)
            except OSError:
                raw.close()
                await asyncio.sleep(_RETRY_S)
            else:
                self.connects += 1
                return

    def opened(self, socket: Frames) -> None:
        self.socket = socket
        payload = {"Authorization": f"Bearer {self._crowd.token}"}
        socket.send(json.dumps({"type": "connection_init", "payload": payload}).encode())

    def received(self, text: bytes) -> None:
        if b'"type":"next"' in text[:60] or b'"type": "next"' in text[:60]:
            self._next(text)
            return
        message = _message.decode(text)
        if message.type == "connection_ack":
            variables = {"where": self._where, "after": self._cursor}
            subscribe = {"id": "1", "type": "subscribe", "payload": {"query": DOCUMENT, "variables": variables}}
            assert self.socket
            self.socket.send(json.dumps(subscribe).encode())
            self.subscribed = True
        elif message.type in {"error", "complete"}:
            self._crowd.faults.append(text.decode()[:500])

    def _next(self, text: bytes) -> None:
        crowd = self._crowd
        payload = _next.decode(text).payload
        if payload.data is None:
            crowd.faults.append(text.decode()[:500])
            return
        batch = payload.data.job_events
        for event in batch.events:
            self.code = zlib.crc32(f"{event.job_id}:{event.version}".encode(), self.code)
        self.count += len(batch.events)
        self._cursor = batch.end_cursor
        if batch.gap:
            self.gaps.append(batch.gap.reason)
        crowd.messages += 1
        if batch.events and crowd.messages % _ALL == 0:
            crowd.latencies_ms.append(time.time() * 1000 - _milliseconds(batch.events[0].at))

    def lost(self) -> None:
        self.socket, self.subscribed = None, False
        self._coming_back = asyncio.get_running_loop().create_task(self.connect())


def _milliseconds(at: str) -> float:
    """The time of day of an RFC 3339 text, on this day."""
    clock = int(at[11:13]) * 3600 + int(at[14:16]) * 60 + float(at[17:-1])
    midnight = time.time() // 86_400 * 86_400
    return (midnight + clock) * 1000


async def main() -> None:
    """Do what the plan, a file, says; then what the lines of the standard input say."""
    crowd = Crowd(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))  # noqa: ASYNC240  # before anything waits
    await crowd.open()
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    _say({"opened": len(crowd.subscribers)})
    while line := (await lines.readline()).decode().strip():
        if line in {"pause", "resume"}:
            crowd.pause(paused=line == "pause")
        _say(crowd.report())


def _say(what: dict[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    uvloop.run(main())
