"""The port where a process says how it is, also while its event loop is blocked: it is answered from a thread."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

import msgspec
import structlog

from jobs import probe
from jobs.ending import end
from jobs.errors import PortTaken
from jobs.lookout import Lookout
from jobs.probe import Answer

log = structlog.get_logger(__name__)

REQUESTS = 16
"""Requests that are answered at a time; more are turned away."""
REQUEST_S = 2.0
_POLL_S = 0.1
"""How soon the thread hears that it is to end."""


class Probe:
    """`async with Probe(host, port, lookout):` answers on that port while the block runs; port 0: nothing.

    Closes the lookout at the end. Raises PortTaken where the address cannot be listened on.
    """

    def __init__(self, host: str, port: int, lookout: Lookout) -> None:
        self._address = (host, port)
        self._lookout = lookout
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
        await self._lookout.close()

    def _listen(self) -> _Server:
        host, port = self._address
        try:
            return _Server(host, port, self._lookout)
        except OSError as error:
            raise PortTaken(
                f"The probe cannot listen on {host}:{port} ({error.strerror}); choose another QUEUEQL_PROBE_PORT."
            ) from None

    async def _turn(self) -> None:
        while True:
            self._lookout.turn()
            await asyncio.sleep(probe.EVERY_S)

    async def _look(self) -> None:
        while True:
            await self._lookout.look()
            await asyncio.sleep(probe.EVERY_S)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Not http.server's: that one looks its own name up."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, host: str, port: int, lookout: Lookout) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answers = {"/livez": lookout.live, "/readyz": lookout.ready, "/health": lookout.health}
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
        answer = self.server.answers.get(self.path.partition("?")[0], _elsewhere)()
        body = msgspec.json.encode(answer.body)
        self.send_response(answer.status)
        self.send_header("content-type", answer.media_type)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
        """Say nothing: probes come every few seconds."""


def _elsewhere() -> Answer:
    detail = "There are /livez, /readyz and /health."
    problem = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": detail, "code": "NOT_FOUND"}
    return Answer(404, "application/problem+json", problem)
