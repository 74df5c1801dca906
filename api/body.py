"""Reading bodies: no more than is allowed, whatever the client says about their length, and JSON of any depth."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request

BODY_MAX = 4 * 1024 * 1024
"""Largest body of a request that is signed in, where payloads are small. Of one that is not, nothing is read at all."""
PAYLOADS_MAX = 4
"""So many of the largest payloads that the settings allow fit into a body in any case."""


REST_S = 1.0
"""How long a body that is too large is read on, so that the client gets to the answer."""


class TooLarge(Exception):
    """The body is larger than is allowed."""


class NotJson(Exception):
    """The text is not JSON. The message says why."""


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read a body. Raises TooLarge, once what follows was thrown away: within bounds."""
    length = request.headers.get("content-length", "0")
    stream = request.stream()
    if length.isdecimal() and int(length) > max_bytes:
        await _throw_away(stream, max_bytes)
        raise TooLarge
    body = bytearray()
    async for chunk in stream:
        body += chunk
        if len(body) > max_bytes:
            body.clear()
            await _throw_away(stream, max_bytes)
            raise TooLarge
    return bytes(body)


async def _throw_away(stream: AsyncIterator[bytes], max_bytes: int) -> None:
    """Read on, as much as a body may have and for `REST_S`.

    A connection that is closed with something unread is reset, and the answer may be lost with it.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REST_S):
            async for chunk in stream:
                max_bytes -= len(chunk)
                if max_bytes < 0:
                    return


def decode(text: bytes | str) -> Any:
    """Read JSON. Raises NotJson.

    NaN, lone surrogates and numbers beyond a double are let through: they are refused later, with the path to where
    they are (surrogates: see `not_unicode`).
    """
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise NotJson("It is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return json.loads(text)
    except RecursionError:
        raise NotJson("It is nested too deeply.") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise NotJson(f"{error}.") from None


def not_unicode(value: object, name: str) -> str | None:
    """Return the place in a JSON value, called `name`, of the first text with half of a surrogate pair; None: nowhere.

    Such a text can be escaped in JSON but neither stored nor sent.
    """
    try:
        msgspec.json.encode(value)
    except (UnicodeEncodeError, RecursionError):
        pass
    else:
        return None
    todo = [(name, value)]
    while todo:
        place, part = todo.pop()
        if isinstance(part, str) and not _is_unicode(part):
            return place
        if isinstance(part, list):
            todo += [(f"{place}[{index}]", item) for index, item in enumerate(part)][::-1]
        elif isinstance(part, dict):
            if not all(map(_is_unicode, part)):
                return f"a name in {place}"
            todo += [(f"{place}.{key}", item) for key, item in part.items()][::-1]
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def encode(value: object) -> bytes:
    """Write JSON."""
    return msgspec.json.encode(value)
