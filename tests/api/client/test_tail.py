"""The end of a log: a server that answers like an API whose history is behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from api.client.address import Address
from api.client.link import Link
from api.client.option import Level
from api.client.tail import tail

Answer = dict[str, Any] | int


def answer(state: str, *messages: str, finished: bool, attempts: int = 1) -> Answer:
    edges = [{"cursor": message, "node": {"message": message}} for message in messages]
    nodes = [{"run": 1, "finishedAt": "2026-03-01T12:00:00Z" if finished else None}] if attempts else []
    return {
        "state": state,
        "run": 1,
        "attemptCount": attempts,
        "attempts": {"nodes": nodes},
        "logs": {"edges": edges, "pageInfo": {"hasNextPage": False}},
    }


@asynccontextmanager
async def link_to(*answers: Answer) -> AsyncIterator[tuple[Link, list[Any], list[str]]]:
    """A link to a server that gives these answers, or fails with these statuses, one after the other."""
    asked: list[Any] = []
    said: list[str] = []

    async def serve(request: web.Request) -> web.Response:
        one = answers[len(asked)]
        asked.append((await request.json())["variables"]["after"])
        if isinstance(one, int):
            return web.Response(status=one)
        return web.json_response({"data": {"job": one}})

    app = web.Application()
    app.router.add_post("/graphql", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with aiohttp.ClientSession() as session:
            host, port = runner.addresses[0]
            yield Link(session, Address(f"http://{host}:{port}", "token", "a test"), said.append), asked, said
    finally:
        await runner.cleanup()


async def messages(link: Link) -> list[str]:
    return [line["message"] async for line in tail(link, "1", Level.DEBUG, follow=True)]


async def test_what_reaches_history_after_the_end_is_printed() -> None:
    behind = (
        answer("ACTIVE", "a", finished=False),
        answer("COMPLETED", finished=False),  # history does not have the end yet
        answer("COMPLETED", finished=True),  # its log was read before its end was there
        answer("COMPLETED", "b", finished=True),
    )
    async with link_to(*behind) as (link, asked, _):
        assert await messages(link) == ["a", "b"]
        assert asked == [None, "a", "a", "a"]


async def test_a_job_that_never_began_has_no_end_to_wait_for() -> None:
    never = answer("CANCELLED", finished=False, attempts=0)
    async with link_to(never, never) as (link, asked, _):
        assert await messages(link) == []
        assert len(asked) == 2


async def test_an_api_that_is_away_is_waited_for_and_that_is_said_once() -> None:
    done = answer("COMPLETED", "a", finished=True)
    async with link_to(503, 502, done, answer("COMPLETED", finished=True)) as (link, _, said):
        assert await messages(link) == ["a"]
        assert [text.rpartition(";")[2].strip() for text in said] == [
            "trying again until it is back.",
            "The API is back.",
        ]
