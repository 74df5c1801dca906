"""What a worker and the process of a job say to each other: JSON messages with their length in front."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading

import msgspec

from jobs import outcome
from jobs.context import Interrupt, Said
from jobs.job import JobSpec

_LENGTH = struct.Struct("!I")
MESSAGE_MAX = 256 * 1024 * 1024
"""Longest message that is read, in bytes: more than any setting allows for arguments, results and log lines."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where the function of a task is found by importing."""

    module: str
    name: str


class Order(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Run this. The numbers are those of `Reserved`."""

    place: Place
    spec: JobSpec
    run: int
    attempt: int
    uncharged: int
    checkpoint: str
    result_max_bytes: int


class Stop(msgspec.Struct, frozen=True, tag=True):
    """End early what runs."""

    why: Interrupt


class Settled(msgspec.Struct, frozen=True, tag=True):
    """Checkpoints up to this number have arrived in Redis, or why they never will."""

    saves: int
    why_not: Interrupt | None


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The process waits for its first job."""


class Spoke(msgspec.Struct, frozen=True, tag=True):
    """What the task has said."""

    said: Said


class Ended(msgspec.Struct, frozen=True, tag=True):
    """How it ended: the name of an outcome's class, and the outcome."""

    kind: str
    outcome: msgspec.Raw
    cpu_us: int
    """Processor time that the process has taken for it."""


ToChild = Order | Stop | Settled
FromChild = Ready | Spoke | Ended

_to_child: msgspec.json.Decoder[ToChild] = msgspec.json.Decoder(ToChild)
_from_child: msgspec.json.Decoder[FromChild] = msgspec.json.Decoder(FromChild)
_encoder = msgspec.json.Encoder()
_KINDS: dict[str, type[outcome.Outcome]] = {
    kind.__name__: kind
    for kind in (outcome.Complete, outcome.RetryLater, outcome.Snooze, outcome.Release, outcome.Cancel, outcome.Die)
}


def ended(how: outcome.Outcome, cpu_us: int) -> Ended:
    """Pack an outcome."""
    return Ended(type(how).__name__, msgspec.Raw(_encoder.encode(how)), cpu_us)


def outcome_of(message: Ended) -> outcome.Outcome:
    """Unpack an outcome."""
    return msgspec.json.decode(message.outcome, type=_KINDS[message.kind])


def frame(message: ToChild | FromChild) -> bytes:
    """Encode a message for the way."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


async def read(reader: asyncio.StreamReader) -> FromChild | None:
    """Read the next message in the worker; None where the other end is closed."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MESSAGE_MAX:
            return None
        return _from_child.decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, OSError, msgspec.DecodeError):
        return None


class Wire:
    """The child's end. One thread reads, any thread sends."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reading = connection.makefile("rb")
        self._sending = threading.Lock()

    def read(self) -> ToChild | None:
        """Wait for the next message; None where the worker is gone."""
        try:
            head = self._reading.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                return None
            (length,) = _LENGTH.unpack(head)
            return _to_child.decode(self._reading.read(length))
        except (OSError, msgspec.DecodeError):
            return None

    def send(self, message: FromChild) -> None:
        """Send a message. Where the worker is gone it is dropped; the thread that reads will notice."""
        data = frame(message)
        with self._sending, contextlib.suppress(OSError):
            self._connection.sendall(data)
