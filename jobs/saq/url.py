"""The URL of a Redis that somebody else has a client of."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import redis.asyncio


def url_of(client: redis.asyncio.Redis) -> str:
    """Return the URL that a client was made with. Raises ValueError where it cannot be told."""
    pool = client.connection_pool
    options: dict[str, Any] = dict(pool.connection_kwargs)
    login = (
        f"{quote(options.get('username') or '', safe='')}:{quote(options['password'], safe='')}@"
        if options.get("password")
        else ""
    )
    database = options.get("db") or 0
    if issubclass(pool.connection_class, redis.asyncio.UnixDomainSocketConnection):
        return f"unix://{login}{options['path']}?db={database}"
    if "host" not in options:
        raise ValueError("The URL of this client cannot be told; give it as url=.")
    secure = issubclass(pool.connection_class, redis.asyncio.SSLConnection)
    query = urlencode({name: value for name, value in options.items() if name.startswith("ssl_") and value is not None})
    return (
        f"{'rediss' if secure else 'redis'}://{login}{options['host']}:{options.get('port', 6379)}/{database}?{query}"
    )
