"""The address that the API listens on, and how this machine reaches it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from ipaddress import ip_address

from jobs.errors import PortTaken, SettingInvalid
from jobs.settings import PREFIX

ASK_TIMEOUT_S = 5.0


def free_port(host: str, port: int) -> int:
    """Check that the address can be listened on, and return its port; 0 chooses one.

    Raises PortTaken, or SettingInvalid for a host that is not of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise SettingInvalid(f"{PREFIX}HOST: {host} is not an address.") from None
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise PortTaken(f"Cannot listen on {host}:{port} ({error.strerror}): choose another --port.") from None
        return int(probe.getsockname()[1])


def reachable(host: str) -> str:
    """Return the host to put into a link: a wildcard address is reached through loopback."""
    with contextlib.suppress(ValueError):
        address = ip_address(host)
        if address.is_unspecified:
            return "127.0.0.1" if address.version == 4 else "[::1]"
        return f"[{host}]" if address.version == 6 else host
    return host


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


async def ask(host: str, port: int, path: str) -> tuple[int, str]:
    """Status and body of a GET, without an HTTP library; status 0 where nothing answers."""
    name = reachable(host)
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(name.strip("[]"), port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return 0, ""
    status = head.split(b" ", 2)[1] if head.startswith(b"HTTP/") else b"0"
    return int(status), body.decode(errors="replace")
