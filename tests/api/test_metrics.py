"""What Prometheus reads: real figures, in a text that its own checker accepts."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

from api.metrics.catalogue import CATALOGUE
from jobs.client import Client
from jobs.probe import Health
from jobs.recent import Recent
from jobs.services.herald import Herald
from jobs.snapshot import ProcessKind
from tests import promtool
from tests.api.caller import Caller
from tests.api.scraping import scrape, text, value
from tests.factories import make_worker_info
from tests.jobs.hand import Hand
from tests.redis_server import RedisServer
from tests.wait import until

DOC = Path(__file__).parents[2] / "docs" / "metrics.md"

Serve = Callable[..., Awaitable[Caller]]

pytestmark = pytest.mark.usefixtures("nothing_is_kept")


async def test_what_is_shown_is_written_in_a_thread(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(_registry: object) -> bytes:
        return threading.current_thread().name.encode()

    monkeypatch.setattr("api.metrics.endpoint.choose_encoder", lambda _accept: (encode, "text/plain"))
    assert await text(api) != threading.main_thread().name


async def test_promtool_and_a_strict_parser_accept_both_formats(api: Caller) -> None:
    await api.data("mutation {noopEnqueue {job {id}}}")
    plain = await text(api)
    await asyncio.to_thread(promtool.check, "check", "metrics", given=plain.encode())
    openmetrics = await text(api, "application/openmetrics-text;version=1.0.0")
    assert openmetrics.endswith("# EOF\n")
    shown = {family.name for family in read_openmetrics(openmetrics)}
    assert shown == {name.removesuffix("_total") for name in CATALOGUE} & shown


async def test_without_redis_the_rest_is_shown(api: Caller, redis_server: RedisServer) -> None:
    await api.data("mutation {noopEnqueue {job {id}}}")
    redis_server.stop()
    try:
        samples = await scrape(api)
        assert (value(samples, "up", component="broker"), value(samples, "up", component="store")) == (0, 1)
        assert value(samples, "queue_length", queue="default", state="queued") is None
        assert value(samples, "api_operations_total", kind="mutation", outcome="ok") == 1
    finally:
        redis_server.start()


async def test_a_source_that_never_answers_bounds_nobody_else(
    api: Caller, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up: list[str] = []

    async def never() -> None:
        await asyncio.Event().wait()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            given_up.append("totals")
            raise

    monkeypatch.setattr(client.store.totals, "each", slow)
    monkeypatch.setattr("api.metrics.scrape.SOURCE_S", 1.0)
    monkeypatch.setattr("api.metrics.scrape.ROLL_S", 0.2)
    monkeypatch.setattr("jobs.probe.ASK_S", 0.2)
    monkeypatch.setattr(client.fleet, "roll", Recent(never))
    async with asyncio.timeout(3):
        samples = await scrape(api)
    assert (value(samples, "up", component="workers"), value(samples, "up", component="store")) == (0, 1)
    assert value(samples, "worker_slots", hostname="test", pid="1") is None
    assert value(samples, "redis_up") == 1
    await until(lambda: given_up)  # SQLite's one reader is free again


async def test_who_may_read_them(anonymous: Caller, reader: Caller, serve: Serve, client: Client) -> None:
    refused = await anonymous.request("GET", "/metrics")
    assert (refused.status, refused.json["code"]) == (401, "UNAUTHENTICATED")
    assert "queueql_up" in await text(reader)
    async with Caller((await serve(metrics_open=True)).address) as anybody:
        assert "queueql_up" in await text(anybody)


async def test_who_was_let_in_is_let_in_while_the_database_is_away(
    api: Caller, reader: Caller, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        await asyncio.Event().wait()

    await text(api)
    monkeypatch.setattr("api.monitor.ASK_S", 0.1)
    monkeypatch.setattr(client.queries.token, "authenticate", away)
    assert "queueql_up" in await text(api)
    refused = await reader.request("GET", "/metrics")
    assert (refused.status, refused.json["code"]) == (503, "STORE_UNAVAILABLE")


async def test_every_part_that_is_said_to_be_well_is_a_component(api: Caller, client: Client) -> None:
    parts = [
        *await client.health(),
        *await client.fleet.health(),
        client.feed.reading(),
        Health("server", True, ""),
        Health("event_loop", True, ""),
    ]
    samples = await scrape(api)
    assert {dict(labels)["component"] for name, labels in samples if name == "queueql_up"} == {
        part.component for part in parts
    }


async def test_every_metric_is_shown_and_documented_as_it_is(api: Caller, client: Client, hand: Hand) -> None:
    """All but those that need another database, a limit, a backup or another process."""
    await api.data("mutation {noopEnqueue {job {id}}}")
    await until(lambda: not client.pusher.waiting)
    await hand.complete()
    await hand.record()
    herald = Herald(ProcessKind.API, client.store, client.broker)
    await herald.turn()
    session = await client.broker.open_session(make_worker_info())
    plain = await text(api)
    await asyncio.to_thread(promtool.check, "check", "metrics", given=plain.encode())
    shown = {
        name: (kind, documentation)
        for name, documentation in re.findall(r"# HELP (\w+) (.*)", plain)
        for kind in re.findall(rf"# TYPE {name} (\w+)", plain)
    }
    assert shown == {name: (family.kind, family.help) for name, family in CATALOGUE.items() if name in shown}
    unseen = {name for name in CATALOGUE.keys() - shown.keys() if not name.startswith("queueql_backup_")}
    assert unseen == {
        "queueql_database_connections", "queueql_database_connections_active", "queueql_database_connections_max",
        "queueql_redis_memory_max_bytes",
    }  # fmt: skip
    rows = re.findall(r"^\| `(queueql_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", DOC.read_text(encoding="utf-8"), re.M)
    assert rows == [
        (name, family.kind, ", ".join(f"`{label}`" for label in family.labels), family.help)
        for name, family in CATALOGUE.items()
    ]
    await session.close()
