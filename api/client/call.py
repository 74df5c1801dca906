"""How a command runs: it gets a link to the API and a screen, and whatever stops it becomes an exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

from api.client.address import find
from jobs.ending import end

if TYPE_CHECKING:  # only for the types: both take their time to import
    from api.client.link import Link
    from api.client.screen import Screen

EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_PIPE_CLOSED = 128 + signal.SIGPIPE

Command = Callable[["Link", "Screen"], Awaitable[int | None]]
"""Returns the exit code, where it is not 0. Raises CommandError."""


def call(
    command: Command,
    *,
    url: str | None,
    token: str | None,
    as_json: bool,
    when_stopped: Callable[[], str] | None = None,
) -> NoReturn:
    """Run a command to its end and exit. `when_stopped` gives the sentence that Ctrl-C is answered with.

    Raises CommandError, SettingInvalid.
    """
    address = find(url, token)
    from api.client.screen import Screen

    screen = Screen(as_json=as_json)

    async def main() -> int | None:
        import aiohttp

        from api.client.link import CONNECT_S, Link

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            return await command(Link(session, address, screen.say), screen)

    try:
        code = asyncio.run(_until_interrupted(main()))
        sys.stdout.flush()
    except (_Interrupted, KeyboardInterrupt):
        screen.say(when_stopped() if when_stopped else "Interrupted.")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # Python flushes standard output once more when it ends; what is left must go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_PIPE_CLOSED
    except BaseExceptionGroup as group:
        raise first_of(group) from None
    sys.exit(code or 0)


class _Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


async def _until_interrupted(command: Coroutine[Any, Any, int | None]) -> int | None:
    """Run to the end, or to the first SIGINT, which `asyncio.run` passes on as one cancellation: that can get lost."""
    running, interrupted = asyncio.create_task(command), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted.set)
    waiting = asyncio.create_task(interrupted.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not running.done():
        await end(running)
        raise _Interrupted
    return running.result()


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what stopped a group of tasks."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
