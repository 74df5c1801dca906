"""Connections whose calls can be cancelled at any moment."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio.connection import AbstractConnection


class _Cancellable(AbstractConnection):
    """Up to Python 3.11 `asyncio.wait_for`, which redis-py sends with, can swallow a cancellation; this one does not.

    Otherwise a timeout of a caller that runs out at that moment never comes.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        await super().send_packed_command(command, check_health)
        if task and task.cancelling() > before:
            await self.disconnect(nowait=True)  # its answer would be taken for that of the next command
            raise asyncio.CancelledError


def cancellable(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return this class of connections with calls that can be cancelled."""
    return type(f"Cancellable{connection_class.__name__}", (_Cancellable, connection_class), {})
