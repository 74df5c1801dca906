"""A WebSocket client that does no more than a benchmark needs, so that a thousand of them are not the limit."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from typing import Protocol, cast

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_NO_MASK = bytes(4)


class Reader(Protocol):
    """What is done with what arrives."""

    def opened(self, socket: Frames) -> None:
        """The handshake is done."""

    def received(self, text: bytes) -> None:
        """A message has arrived."""

    def lost(self) -> None:
        """The connection has ended, or could not begin."""


class Frames(asyncio.Protocol):
    """One connection to /graphql."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._unread = b""
        self._open = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            "GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def connection_lost(self, _error: Exception | None) -> None:
        self._reader.lost()

    def send(self, text: bytes, opcode: int = _TEXT) -> None:
        size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack(">H", len(text))
        # Masked with zeros, as the protocol allows: nothing has to be computed.
        self.transport.write(bytes([0x80 | opcode]) + size + _NO_MASK + text)

    def data_received(self, data: bytes) -> None:
        data = self._unread + data if self._unread else data
        start = 0
        if not self._open:
            start = data.find(b"\r\n\r\n") + 4
            if start < 4:
                self._unread = data
                return
            assert data.startswith(b"HTTP/1.1 101"), data[:200]
            self._open = True
            self._reader.opened(self)
        while (frame := _frame(data, start)) is not None:
            opcode, begin, start = frame
            self._handle(opcode, data[begin:start])
        self._unread = data[start:]

    def _handle(self, opcode: int, payload: bytes) -> None:
        if opcode == _TEXT:
            self._reader.received(payload)
        elif opcode == _PING:
            self.send(payload, _PONG)
        elif opcode == _CLOSE:
            self.transport.close()


def _frame(data: bytes, start: int) -> tuple[int, int, int] | None:
    """Return opcode, begin and end of the frame that begins here; None where it has not arrived whole."""
    if len(data) - start < 2:
        return None
    size, begin = data[start + 1], start + 2
    if size == 126:
        begin += 2
        size = int.from_bytes(data[start + 2 : begin])
    elif size == 127:
        begin += 8
        size = int.from_bytes(data[start + 2 : begin])
    if len(data) < begin + size or len(data) - start < begin - start:
        return None
    return data[start] & 0x0F, begin, begin + size
