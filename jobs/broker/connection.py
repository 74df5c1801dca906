"""The connection to Redis: clients, calls of scripts, the epoch and the clock."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from logging import INFO, NOTSET, WARNING
from typing import Any
from weakref import WeakSet

import redis
import redis.asyncio
import redis.exceptions
import structlog

from jobs.broker import keys, scripts
from jobs.broker.cancellable import cancellable
from jobs.errors import BrokerUnavailable, EpochChanged, QueueFull, RedisEvicts, RedisUnreachable
from jobs.probe import NO_REDIS, Check, Health

log = structlog.get_logger(__name__)

VERSION_MIN = 7
CALL_TIMEOUT_S = 4.0
"""Together with a new connection less than 5 seconds: a worker that waited for a dead one fetches again by then."""
BLOCK_MAX_MS = 2_000
"""How long a call may ask Redis to wait: short enough to tell a silent server from one that waits."""
CONNECTIONS = 32
RETRY_S = 0.2
TAIL_S = 2 * CALL_TIMEOUT_S
"""Connections that died in an outage are found dead one after the other, for so long after its end."""
_KEEPALIVE = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": 4_000}
"""A peer that is gone without a word is noticed after four seconds, also where nothing is sent (Linux)."""


class Outage:
    """Says once that Redis is away, whoever of a process notices it first, and once that it is back.

    May be used by all threads.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._guard = threading.Lock()
        self._said = NOTSET
        self._over_at = -TAIL_S

    def began(self, error: Exception) -> None:
        """Take note of a call that failed."""
        # A new epoch is part of every start.
        level = INFO if isinstance(error, EpochChanged) else WARNING
        with self._guard:
            if level > self._said and self._monotonic() - self._over_at >= TAIL_S:
                self._said = level
                log.log(level, "broker.away", error=str(error))

    def ended(self) -> None:
        """Take note of a call that was answered."""
        if self._said == NOTSET:
            return
        with self._guard:
            if self._said != NOTSET:
                self._said = NOTSET
                self._over_at = self._monotonic()
                log.info("broker.back")


class Connection:
    """One Redis, as a process reaches it. Every call has a timeout."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._clients: WeakSet[redis.asyncio.Redis] = WeakSet()
        self.client = self._new_client(CONNECTIONS)
        self.epoch = 0
        self.outage = Outage()
        self._check = Check("broker", self._ask, NO_REDIS)

    async def check(self) -> None:
        """Raise RedisUnreachable, or RedisEvicts where Redis would drop jobs when it is full."""
        try:
            info = await self.client.info()
        except (redis.exceptions.RedisError, OSError) as error:
            why = str(error).rstrip(".")
            raise RedisUnreachable(f"Redis does not answer at {_without_password(self._url)}: {why}.") from None
        version = str(info.get("valkey_version") or info.get("redis_version", "0"))
        if int(version.split(".", maxsplit=1)[0]) < VERSION_MIN:
            raise RedisUnreachable(f"Redis {version} is too old; QueueQL needs {VERSION_MIN}.0 or newer.")
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise RedisEvicts(
                f"Redis has maxmemory-policy {policy} and would drop jobs when it is full; set it to noeviction."
            )

    async def health(self) -> Health:
        """Ask whether Redis answers and is prepared. Never raises."""
        return await self._check.health()

    async def _ask(self) -> str:
        if not await self.read_epoch():
            raise BrokerUnavailable("Redis is empty; the services have to prepare it.")
        return "Redis answers."

    async def close(self) -> None:
        """Close all connections."""
        await self._check.close()
        await self.client.aclose()

    def dedicated_client(self) -> redis.asyncio.Redis:
        """Make a client of its own for calls that block, for `BLOCK_MAX_MS` at most."""
        return self._new_client(2)

    def _new_client(self, connections: int) -> redis.asyncio.Redis:
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            self._url, max_connections=connections, timeout=CALL_TIMEOUT_S, **_options(self._url)
        )
        pool.connection_class = cancellable(pool.connection_class)
        client = redis.asyncio.Redis.from_pool(pool)
        self._clients.add(client)
        return client

    def thread_client(self) -> redis.Redis:
        """Make a client for one thread."""
        return redis.Redis.from_url(self._url, **_options(self._url))

    async def ask(self, call: Awaitable[Any] | Any) -> Any:
        """Await a command of a client; its faults become ours. Raises BrokerUnavailable, QueueFull."""
        try:
            return await call
        except (redis.exceptions.RedisError, OSError) as error:
            fault = scripts.translate(error)
            await self._let_go(fault)
            raise fault from error

    async def call(self, script: str, request: Any) -> Any:
        """Call a script; a change of epoch is noticed and the call repeated once.

        Raises BrokerUnavailable, EpochChanged, SessionLost, QueueFull.
        """
        try:
            return await self._run(self.client, script, request)
        except EpochChanged:
            await self.refresh_epoch()
            return await self._run(self.client, script, request)

    async def _run(self, client: redis.asyncio.Redis, script: str, request: Any) -> Any:
        try:
            return await scripts.run(client, script, request, str(self.epoch))
        except BrokerUnavailable as error:
            await self._let_go(error)
            raise

    async def _let_go(self, error: Exception) -> None:
        """Close the connections that wait for use after one has died: what it died of, most of them have died of."""
        if isinstance(error, BrokerUnavailable):
            for client in list(self._clients):
                with contextlib.suppress(redis.exceptions.RedisError, OSError):
                    await client.connection_pool.disconnect(inuse_connections=False)

    async def insist(self, client: redis.asyncio.Redis, script: str, request: Any) -> Any:
        """Call a script until Redis answers; only for scripts that may be repeated. Raises SessionLost."""
        while True:
            try:
                answer = await self._run(client, script, request)
            except (BrokerUnavailable, EpochChanged, QueueFull) as error:
                self.outage.began(error)
                await asyncio.sleep(RETRY_S)
                if isinstance(error, EpochChanged):
                    await self._try_refresh_epoch()
            else:
                self.outage.ended()
                return answer

    async def _try_refresh_epoch(self) -> None:
        try:
            await self.refresh_epoch()
        except (BrokerUnavailable, EpochChanged) as error:
            log.debug("broker.epoch_unknown", reason=str(error))

    async def read_epoch(self) -> int:
        """Read the broker's copy of the epoch; 0 where it has none. Raises BrokerUnavailable."""
        return int(await self.ask(self.client.get(keys.EPOCH)) or 0)

    async def refresh_epoch(self) -> int:
        """Believe in the broker's epoch from now on. Raises BrokerUnavailable.

        Raises EpochChanged for a lower one than was believed in: Redis came back with an older copy, and what is
        done before the reconciler has seen that would be lost on history.
        """
        self._believe(await self.read_epoch())
        return self.epoch

    def refresh_epoch_sync(self, client: redis.Redis) -> None:
        """Do the same from a thread."""
        value: Any = client.get(keys.EPOCH)
        self._believe(int(value or 0))

    def _believe(self, epoch: int) -> None:
        if epoch < self.epoch:
            raise EpochChanged("Redis was started anew or lost its data; it is being compared with the store.")
        self.epoch = epoch

    async def raise_epoch(self, number: int, *, cleared: bool = True) -> int:
        """Begin an epoch, unless a higher one holds; return what holds. Raises BrokerUnavailable.

        `cleared`: no job here can have ended elsewhere. Otherwise none is reserved before `set_cleared`.
        """
        request = (number, await self.run_id(), cleared)
        self.epoch = int(await scripts.run(self.client, scripts.RAISE, request, ""))
        return self.epoch

    async def began_here(self) -> bool:
        """Tell whether the epoch began in the server process that answers. Raises BrokerUnavailable."""
        began = await self.ask(self.client.get(keys.RUN))
        return began is not None and began.decode() == await self.run_id()

    async def set_cleared(self, epoch: int) -> None:
        """Let jobs be reserved: what has ended according to history is gone. Raises BrokerUnavailable."""
        await self.ask(self.client.set(keys.CLEARED, epoch))

    async def is_prepared(self) -> bool:
        """Tell whether jobs may be reserved: an epoch began, and nothing here had ended before it.

        Raises BrokerUnavailable.
        """
        epoch, cleared = await self.ask(self.client.mget(keys.EPOCH, keys.CLEARED))
        return epoch is not None and epoch == cleared

    async def is_reconciled(self) -> bool:
        """Tell whether somebody has cleared and filled Redis to the end in this epoch. Raises BrokerUnavailable."""
        # Both, because a reconciler that was held up may say last what it has done in an earlier epoch.
        found = await self.ask(self.client.mget(keys.CLEARED, keys.RECONCILED))
        return [int(epoch or 0) for epoch in found] == [self.epoch, self.epoch]

    async def has_reconciler(self) -> bool:
        """Tell whether somebody fills this Redis from a store, or ever did. Raises BrokerUnavailable."""
        return bool(await self.ask(self.client.exists(keys.RECONCILED)))

    async def set_reconciled(self, epoch: int) -> None:
        """Remember that Redis is filled. Raises BrokerUnavailable."""
        await self.ask(self.client.set(keys.RECONCILED, epoch))

    async def run_id(self) -> str:
        """Return the id of the running server process; another one means that it was started anew."""
        return str((await self.ask(self.client.info("server")))["run_id"])

    async def now_ms(self) -> int:
        """Return the time of Redis."""
        seconds, micros = await self.ask(self.client.time())
        return int(seconds) * 1000 + int(micros) // 1000


def _options(url: str) -> dict[str, Any]:
    options: dict[str, Any] = {"socket_timeout": CALL_TIMEOUT_S, "socket_connect_timeout": CALL_TIMEOUT_S}
    if not url.startswith("unix:"):
        known = {getattr(socket, name, None): value for name, value in _KEEPALIVE.items()}
        options["socket_keepalive"] = True
        options["socket_keepalive_options"] = {name: value for name, value in known.items() if name is not None}
    return options


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://***@{tail}" if at else url
