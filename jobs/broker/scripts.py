"""The Lua scripts by name, and the one way to call them."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any

import msgspec
import redis.asyncio
import redis.exceptions

from jobs.broker import keys
from jobs.errors import BrokerUnavailable, EpochChanged, QueueFull, Stale

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
DAMAGED = "\ufffd"
"""Stands for a text that is not UTF-8; it is no JSON either."""


class SessionLost(Stale):
    """The worker's lease ran out and its jobs were taken back."""


_SHARED = ("base", "job")
"""What all scripts begin with, in this order."""
_TAKE_IN = {"enqueue", "claim"}
"""Scripts that a full Redis refuses. All others finish work or free memory, and run also then."""
RAISE = "epoch"
"""The script that begins an epoch, and so may run in any process of the server."""
_AWAY = ("MISCONF", "NOREPLICAS", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "LOADING", "READONLY")
"""Errors of a Redis that does not do its work now, but will again."""


_GONE = (redis.exceptions.NoScriptError, redis.exceptions.WatchError)
"""What is heard when the server that learned a script, or was about to, is not the one that answers any more."""


def _load() -> dict[str, str]:
    folder = resources.files("jobs.broker") / "lua"
    texts = {entry.name.removesuffix(".lua"): entry.read_text() for entry in folder.iterdir()}
    shared = "\n".join(texts.pop(name) for name in _SHARED)
    flags = {name: "" if name in _TAKE_IN else " flags=allow-oom" for name in texts}
    return {name: f"#!lua{flags[name]}\n{shared}\n{text}" for name, text in texts.items()}


SOURCE = _load()
SHA = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in SOURCE.items()}


def decode(answer: bytes | msgspec.Raw) -> Any:
    """Decode what a script answers. One damaged text in it does not make the rest unreadable."""
    try:
        return _decode(answer)
    except UnicodeDecodeError:
        pass
    try:
        parts = _parts(answer)
    except msgspec.ValidationError:
        return DAMAGED
    return [decode(part) for part in parts]


def command(name: str, request: Any, epoch: str) -> tuple[str | bytes, ...]:
    """Build the command that calls a script which Redis knows already."""
    return ("EVALSHA", SHA[name], "1", keys.PREFIX, _encode(request), epoch)


def translate(error: redis.exceptions.RedisError | OSError) -> Exception:
    """Turn an error of Redis or of a script into ours."""
    text = str(error)
    if text == "EPOCH 0":
        return EpochChanged("Redis is empty; the services fill it.")
    if text.startswith("EPOCH") or isinstance(error, _GONE):
        return EpochChanged("Redis was started anew or lost its data; it is being compared with the store.")
    if text.startswith("LOST"):
        return SessionLost("The worker's lease ran out; its jobs were given to others.")
    if isinstance(error, redis.exceptions.OutOfMemoryError) or text.startswith("OOM"):
        return QueueFull("Redis is full.")
    away = redis.exceptions.ConnectionError | redis.exceptions.TimeoutError | redis.exceptions.ReadOnlyError | OSError
    if isinstance(error, away) or text.startswith(_AWAY):
        return BrokerUnavailable(f"Redis does not answer: {text}")
    return error


def _check_process(info: Any, run_id: Any) -> None:
    """Raise EpochChanged where the epoch began in another process of the server than the one that answers.

    A server that was started anew knows no script, so every script comes by here before it changes anything: an
    older copy of Redis is not worked on before the reconciler has begun an epoch for it.
    """
    if run_id is None or run_id.decode() != info["run_id"]:
        raise EpochChanged("Redis was started anew; it is being compared with the store.")


async def run(client: redis.asyncio.Redis, name: str, request: Any, epoch: str) -> Any:
    """Call a script and decode its answer. Raises BrokerUnavailable, EpochChanged, SessionLost, QueueFull."""
    execute: Any = client.execute_command
    try:
        try:
            answer = await execute(*command(name, request, epoch))
        except redis.exceptions.NoScriptError:
            await _teach(client, name)
            answer = await execute(*command(name, request, epoch))
    except (redis.exceptions.RedisError, OSError) as error:
        raise translate(error) from error
    return decode(answer)


async def _teach(client: redis.asyncio.Redis, name: str) -> None:
    """Teach the server a script, unless it is another process than the one that was checked."""
    if name == RAISE:
        await client.script_load(SOURCE[name])
        return
    async with client.pipeline() as pipeline:
        server: Any = pipeline
        await server.watch(keys.RUN)  # from here on a new connection is an error
        _check_process(await server.info("server"), await server.get(keys.RUN))
        server.multi()
        server.execute_command("SCRIPT LOAD", SOURCE[name])
        await server.execute()


def run_sync(client: redis.Redis, name: str, request: Any, epoch: str) -> Any:
    """Do the same as `run` from a thread."""
    execute: Any = client.execute_command
    try:
        try:
            answer = execute(*command(name, request, epoch))
        except redis.exceptions.NoScriptError:
            _teach_sync(client, name)
            answer = execute(*command(name, request, epoch))
    except (redis.exceptions.RedisError, OSError) as error:
        raise translate(error) from error
    return decode(answer)


def _teach_sync(client: redis.Redis, name: str) -> None:
    with client.pipeline() as pipeline:
        server: Any = pipeline
        server.watch(keys.RUN)
        _check_process(server.info("server"), server.get(keys.RUN))
        server.multi()
        server.execute_command("SCRIPT LOAD", SOURCE[name])
        server.execute()
