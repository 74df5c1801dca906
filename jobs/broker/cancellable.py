"""Connections whose calls can be cancelled at any moment."""

from __future__ import annotations

import asyncio
from typing import Any

import redis.exceptions
from redis.asyncio.connection import AbstractConnection


class _Cancellable(AbstractConnection):
    """Up to Python 3.11 `asyncio.wait_for`, which redis-py sends with, can swallow a cancellation; this one does not.

    Otherwise a timeout of a caller that runs out at that moment never comes.
    """

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        try:
            await super().connect_check_health(check_health, retry_socket_connect)
        except RuntimeError as error:  # uvloop's word for a transport that was reset while it was set up
            await self.disconnect(nowait=True)
            raise redis.exceptions.ConnectionError(str(error)) from error

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        try:
            await super().send_packed_command(command, check_health)
        except AttributeError as error:  # somebody has closed it between its being taken and used
            raise redis.exceptions.ConnectionError("The connection was closed") from error
        except RuntimeError as error:  # the same, in the words of uvloop
            raise redis.exceptions.ConnectionError(str(error)) from error
        if task and task.cancelling() > before:
            await self.disconnect(nowait=True)  # its answer would be taken for that of the next command
            raise asyncio.CancelledError


def cancellable(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return this class of connections with calls that can be cancelled."""
    return type(f"Cancellable{connection_class.__name__}", (_Cancellable, connection_class), {})
