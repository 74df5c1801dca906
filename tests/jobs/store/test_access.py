"""Tokens, the epoch and the catalogue."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from jobs.clock import now_ms
from jobs.errors import Stale
from jobs.job import Backoff, BackoffKind
from jobs.store import Store, TokenKind
from jobs.store.config import sqlite_path
from jobs.task import TaskDefinition
from jobs.viewer import Role

EMPTY = {"type": "object", "properties": {}, "additionalProperties": False}


def task(name: str = "a", **fields: object) -> TaskDefinition:
    return TaskDefinition(name=name, args_schema=EMPTY, **fields)  # type: ignore[arg-type]  # fields of a definition


# Tokens


async def test_a_token_tells_who_has_it(store: Store) -> None:
    secret = await store.tokens.issue(TokenKind.API, "deploy", Role.OPERATOR)
    assert secret.startswith("qq_")
    viewer = await store.tokens.authenticate(secret)
    assert viewer
    assert (viewer.name, viewer.role) == ("deploy", Role.OPERATOR)
    assert secret.split("_")[1] == viewer.id.replace("-", "")
    assert await store.tokens.authenticate(secret) == viewer
    for wrong in ("", secret[:-1], secret.upper(), "\x00", "ä" * 500, "\ud800"):
        assert await store.tokens.authenticate(wrong) is None


async def test_secrets_differ_and_none_is_stored(store: Store, database_url: str) -> None:
    secrets = [await store.tokens.issue(TokenKind.API, "x", Role.VIEWER) for _ in range(10)]
    assert len(set(secrets)) == 10
    assert min(map(len, secrets)) > 60
    path = sqlite_path(database_url)
    if path:
        content = b"".join(file.read_bytes() for file in Path(path).parent.glob("queueql.db*"))
        assert not any(secret.encode() in content for secret in secrets)


async def test_a_given_secret_stays_one_token(store: Store) -> None:
    for role in (Role.VIEWER, Role.ADMIN):
        assert await store.tokens.issue(TokenKind.API, "admin", role, None, "given") == "given"
    first = await store.tokens.authenticate("given")
    assert first
    assert first.role is Role.ADMIN


async def test_a_token_expires_and_can_be_revoked(database_url: str) -> None:
    time_ms = now_ms()
    store = await Store.open(database_url, clock=lambda: time_ms)
    short = await store.tokens.issue(TokenKind.SESSION, "short", Role.VIEWER, 10.0)
    lasting = await store.tokens.issue(TokenKind.API, "lasting", Role.VIEWER)
    viewer = await store.tokens.authenticate(lasting)
    assert viewer
    assert await store.tokens.authenticate(short)
    time_ms += 10_000
    assert await store.tokens.authenticate(short) is None
    assert await store.tokens.authenticate(lasting)
    assert await store.tokens.revoke(viewer.id)
    assert not await store.tokens.revoke(viewer.id)
    assert await store.tokens.authenticate(lasting) is None
    await store.close()


async def test_a_code_becomes_one_session_and_opens_nothing_itself(store: Store) -> None:
    code = await store.tokens.issue(TokenKind.CODE, "sign-in link", Role.ADMIN, 3600.0)
    assert await store.tokens.authenticate(code) is None
    sessions = await asyncio.gather(*(store.tokens.exchange(code) for _ in range(8)))
    (session,) = [session for session in sessions if session]
    viewer = await store.tokens.authenticate(session)
    assert viewer
    assert (viewer.name, viewer.role) == ("sign-in link", Role.ADMIN)
    assert await store.tokens.exchange(session) is None
    assert await store.tokens.exchange("none") is None


async def test_an_expired_code_is_worth_nothing(database_url: str) -> None:
    time_ms = now_ms()
    store = await Store.open(database_url, clock=lambda: time_ms)
    code = await store.tokens.issue(TokenKind.CODE, "link", Role.ADMIN, 60.0)
    time_ms += 60_000
    assert await store.tokens.exchange(code) is None
    await store.close()


# Epoch


async def test_the_epoch_grows_and_one_wins(store: Store) -> None:
    assert await store.epoch.current() == (0, "")
    results = await asyncio.gather(*(store.epoch.raise_to(0, f"r{n}") for n in range(6)), return_exceptions=True)
    assert sorted(map(repr, results)) == sorted(["1"] + [repr(Stale("Another process has raised the epoch."))] * 5)
    number, run_id = await store.epoch.current()
    assert (number, run_id) == (1, f"r{results.index(1)}")
    with pytest.raises(Stale):
        await store.epoch.raise_to(0, "late")
    assert await store.epoch.raise_to(7, "far ahead") == 8
    assert await store.epoch.current() == (8, "far ahead")


# Catalogue


async def test_tasks_are_published_and_the_newest_wins(store: Store) -> None:
    empty = await store.catalogue.version()
    first = task("a", backoff=Backoff(kind=BackoffKind.FIXED, base_s=3), max_attempts=9)
    assert await store.catalogue.publish([task("b"), first])
    version = await store.catalogue.version()
    assert version != empty
    assert await store.catalogue.tasks() == [first, task("b")]
    assert not await store.catalogue.publish([first, task("b")])
    assert await store.catalogue.version() == version
    changed = msgspec.structs.replace(first, description="new")
    assert await store.catalogue.publish([changed])
    assert await store.catalogue.version() != version
    assert await store.catalogue.tasks() == [changed, task("b")]
    assert not await store.catalogue.publish([])


async def test_workers_that_publish_at_once_agree(store: Store) -> None:
    definitions = [task(f"t{n}") for n in range(50)]
    changed = await asyncio.gather(*(store.catalogue.publish(definitions) for _ in range(5)))
    assert any(changed)
    assert len(await store.catalogue.tasks()) == 50
