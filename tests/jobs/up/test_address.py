from __future__ import annotations

import asyncio
import socket

import pytest

from jobs.errors import PortTaken, SettingInvalid
from jobs.up.address import ask, free_port, is_loopback, reachable


def test_a_taken_port_is_refused_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"^Cannot listen on 127\.0\.0\.1:{port} \(.*\): choose another --port\.$"):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", port) == port


def test_port_0_chooses_one() -> None:
    assert free_port("127.0.0.1", 0) > 0


@pytest.mark.parametrize("host", ["no.such.host.invalid", "not an address"])
def test_a_host_that_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(SettingInvalid, match=f"QUEUEQL_HOST: {host}"):
        free_port(host, 0)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(PortTaken):
        free_port("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "link", "loopback"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", False),  # noqa: S104  # nothing listens
        ("::", "[::1]", False),
        ("::1", "[::1]", True),
        ("localhost", "localhost", True),
        ("10.1.2.3", "10.1.2.3", False),
        ("queueql.example", "queueql.example", False),
    ],
)
def test_links_lead_to_where_the_api_listens(host: str, link: str, loopback: bool) -> None:
    assert reachable(host) == link
    assert is_loopback(host) is loopback


async def test_asking_gives_status_and_body_and_0_where_nothing_answers() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nwaits")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert await ask("127.0.0.1", port, "/readyz") == (503, "waits")
    assert await ask("127.0.0.1", port, "/readyz") == (0, "")
