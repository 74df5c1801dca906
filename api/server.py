"""The API's process: uvicorn on one address, stopped without cutting anybody off."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import structlog
import uvicorn
from starlette.types import ASGIApp

from api import health
from api.app import create_app
from api.streams import Streams
from api.websocket import FRAME_MAX
from jobs.client import Client
from jobs.errors import PortTaken
from jobs.garbage import collect_rarely
from jobs.probe_port import Probe
from jobs.services.herald import Herald
from jobs.settings import Settings
from jobs.snapshot import ProcessKind
from jobs.stopping import wait_for_stop

log = structlog.get_logger(__name__)

GRACE_S = 10
"""How long requests that run may go on after a stop."""
_BACKLOG = 2_048
_SEND_BUFFER = 128 * 1024
"""What the system keeps for a client that does not read (Linux doubles it); by itself it would take up to 4 MiB."""


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to whoever started it, and a word when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


async def serve(settings: Settings) -> None:
    """Run the API until SIGTERM or SIGINT, then end what is open and return.

    Raises PortTaken, and what Client.open raises.
    """
    collect_rarely()
    with listen(settings.host, settings.port) as listener:
        client = await Client.open(settings)
        herald = Herald(ProcessKind.API, client.store, client.broker)
        herald.start()
        try:
            async with running(client, settings, listener) as ended:
                stop = asyncio.create_task(wait_for_stop())
                await asyncio.wait({stop, ended}, return_when=asyncio.FIRST_COMPLETED)
                stop.cancel()
        finally:
            await herald.stop()
            await client.close()


@contextlib.asynccontextmanager
async def running(client: Client, settings: Settings, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Serve the API on a socket while the block runs. Gives the server's task, which ends early only by a fault.

    Raises PortTaken where the probe's port is.
    """
    streams = Streams()
    lookout = health.lookout(client, streams)
    app = create_app(client, settings, streams, lookout)
    async with (
        Probe(settings.host, settings.probe_port, lookout),
        _serving(app, settings, streams, listener) as task,
    ):
        yield task


@contextlib.asynccontextmanager
async def _serving(
    app: ASGIApp, settings: Settings, streams: Streams, listener: socket.socket
) -> AsyncIterator[asyncio.Task[None]]:
    config = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=FRAME_MAX,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="api server")
    listens = asyncio.create_task(server.listening.wait())
    await asyncio.wait({task, listens}, return_when=asyncio.FIRST_COMPLETED)
    log.info("api.listening", address=address_of(listener))
    try:
        yield task
    finally:
        listens.cancel()
        streams.drain()
        await asyncio.wait({task}, timeout=settings.drain_s)
        streams.stop()
        server.should_exit = True
        await task


def listen(host: str, port: int) -> socket.socket:
    """Bind an address; port 0 takes a free one. Raises PortTaken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortTaken(f"Cannot listen on {host}:{port} ({error.strerror}); choose another --host.") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # accepted sockets inherit it
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PortTaken(f"Cannot listen on {host}:{port} ({error.strerror}); choose another --port.") from None
    return listener


def address_of(listener: socket.socket) -> str:
    """Return where a socket listens, as part of a URL."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
