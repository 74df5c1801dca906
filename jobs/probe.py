"""How a process says whether it does its work: the words for it, and the port where others ask.

/livez and /readyz are answered from a thread, so that a process whose event loop is blocked turns red
instead of hanging. What the thread answers the loop has found out before, once a second.
"""

from __future__ import annotations

import asyncio
import socket
import socketserver
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple, Self

import msgspec
import structlog

from jobs.ending import end
from jobs.errors import PortTaken, QueueQLError

log = structlog.get_logger(__name__)

ASK_S = 2.0
"""How long a component may take to say that it works."""
EVERY_S = 1.0
STUCK_S = 10.0
"""What has made no progress for so long is not ready."""
DEAD_S = 60.0
"""A process whose event loop has not turned for so long will not recover by itself."""
REQUESTS = 16
"""Requests that are answered at a time; more are turned away."""
REQUEST_S = 2.0
_POLL_S = 0.1
"""How soon the thread hears that it is to end."""


class Health(NamedTuple):
    """Whether a component makes progress, and a sentence about it."""

    component: str
    ok: bool
    detail: str


class Answer(NamedTuple):
    """What /readyz says: a status, a media type, and the document."""

    status: int
    media_type: str
    body: dict[str, Any]


def readiness(parts: Sequence[Health]) -> Answer:
    """200 where every component makes progress, else 503 with what does not (RFC 9457)."""
    components = {part.component: {"ok": part.ok, "detail": part.detail} for part in parts}
    failing = " ".join(f"{part.component}: {part.detail}" for part in parts if not part.ok)
    if not failing:
        return Answer(200, "application/json", {"status": "ready", "components": components})
    problem = {"type": "about:blank", "title": "Not ready", "status": 503, "detail": failing, "code": "NOT_READY"}
    return Answer(503, "application/problem+json", problem | {"components": components})


class Check:
    """Asks a component whether it works: one question at a time, whoever wants to know.

    `ask` returns a sentence, or raises a QueueQLError that says why it does not.
    """

    def __init__(self, component: str, ask: Callable[[], Awaitable[str]]) -> None:
        self._component = component
        self._ask = ask
        self._asking: asyncio.Task[Health] | None = None

    async def health(self) -> Health:
        """Ask, and wait for `ASK_S` at most. Never raises."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer(), name=f"health of {self._component}")
        done, _ = await asyncio.wait([self._asking], timeout=ASK_S)
        if not done or self._asking.cancelled():
            return Health(self._component, False, f"The {self._component} has not answered for {ASK_S:.0f} seconds.")
        return self._asking.result()

    async def close(self) -> None:
        """Ask no more."""
        await end(self._asking)

    async def _answer(self) -> Health:
        try:
            return Health(self._component, True, await self._ask())
        except QueueQLError as error:
            return Health(self._component, False, str(error))


class Probe:
    """`async with Probe(host, port, ask):` answers on that port while the block runs; port 0: nothing.

    `ask` says how the components are. Raises PortTaken where the address cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        ask: Callable[[], Awaitable[Sequence[Health]]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = (host, port)
        self._ask = ask
        self._monotonic = monotonic
        self._turned_at = self._asked_at = monotonic()
        self._parts: Sequence[Health] = [Health("process", False, "The process starts.")]
        self._server: _Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        if self._address[1]:
            self._server = self._listen()
            thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), name="probe", daemon=True)
            thread.start()
            self._tasks = [asyncio.create_task(self._turn(), name="heart"), asyncio.create_task(self._look())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            await end(task)
        if self._server:
            await asyncio.to_thread(self._server.shutdown)
            self._server.server_close()

    def live(self) -> bool:
        """Tell whether the event loop still turns. May be called by any thread."""
        return self._monotonic() - self._turned_at < DEAD_S

    def ready(self) -> Answer:
        """Say how the components are. May be called by any thread."""
        now, parts = self._monotonic(), [*self._parts]
        blocked_s, silent_s = now - self._turned_at, now - self._asked_at
        # Whoever is blocked does not ask either, and has asked a little before it turned for the last time.
        if max(blocked_s, silent_s) > STUCK_S and blocked_s > STUCK_S / 2:
            parts.append(Health("event_loop", False, f"The event loop has been blocked for {blocked_s:.0f} seconds."))
        elif silent_s > STUCK_S:
            parts.append(Health("event_loop", False, f"No component has answered for {silent_s:.0f} seconds."))
        else:
            parts.append(Health("event_loop", True, "The event loop turns."))
        return readiness(parts)

    def _listen(self) -> _Server:
        host, port = self._address
        try:
            return _Server(host, port, self)
        except OSError as error:
            raise PortTaken(
                f"The probe cannot listen on {host}:{port} ({error.strerror}); choose another QUEUEQL_PROBE_PORT."
            ) from None

    async def _turn(self) -> None:
        while True:
            self._turned_at = self._monotonic()
            await asyncio.sleep(EVERY_S)

    async def _look(self) -> None:
        while True:
            try:
                self._parts = await self._ask()
                self._asked_at = self._monotonic()
            except Exception:  # whoever asks is told that nothing answers
                log.exception("probe.fault")
            await asyncio.sleep(EVERY_S)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Not http.server's: that one looks its own name up."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, host: str, port: int, probe: Probe) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.probe = probe
        self._room = threading.BoundedSemaphore(REQUESTS)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("probe.request_failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_S
    server_version = "QueueQL"
    sys_version = ""
    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/livez":
            live = self.server.probe.live()
            self._send(200 if live else 503, "text/plain; charset=utf-8", b"ok\n" if live else b"blocked\n")
        elif path == "/readyz":
            answer = self.server.probe.ready()
            self._send(answer.status, answer.media_type, msgspec.json.encode(answer.body))
        else:
            self._send(404, "text/plain; charset=utf-8", b"There are /livez and /readyz.\n")

    def _send(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
        """Say nothing: probes come every few seconds."""
