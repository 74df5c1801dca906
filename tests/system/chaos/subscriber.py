"""Subscribers of the chaos run: they follow all events, over every break, and keep what they saw in its order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import aiohttp

from tests.system.product import Api, Closed, Refused

PAUSE_S = 0.1
SILENCE_S = 4.0
"""A connection on which not even an answer to a ping arrives for so long is given up."""

_EVENTS = """
subscription Events($after: Cursor, $where: JobWhere) {
  jobEvents(where: $where, after: $after) {
    endCursor gap { reason } events { __typename jobId run version }
  }
}
"""


@dataclass(frozen=True)
class Seen:
    """An event, or a gap that was announced (`kind` is then GAP, and `job` its reason)."""

    kind: str
    job: str
    run: int = 0
    version: int = 0


GAP = "GAP"


class Subscriber:
    """Comes back with its cursor whenever the connection breaks, each time to another API."""

    def __init__(
        self, session: aiohttp.ClientSession, urls: Sequence[str], where: dict[str, Any] | None = None
    ) -> None:
        self._apis = cycle([Api(session, url) for url in urls])
        self._where = where
        self._cursor: str | None = None
        self.began = asyncio.Event()
        self.record: list[Seen] = []
        self.connections = 0

    async def follow(self) -> None:
        """Read until cancelled."""
        for api in self._apis:
            variables = {"after": self._cursor, "where": self._where}
            try:
                async for data in api.subscribe(_EVENTS, variables, silence_s=SILENCE_S):
                    self._take(data["jobEvents"])
            except (OSError, aiohttp.ClientError, TimeoutError, Closed, Refused):
                await asyncio.sleep(PAUSE_S)
            self.connections += 1

    def _take(self, batch: dict[str, Any]) -> None:
        if batch["gap"]:
            self.record.append(Seen(GAP, batch["gap"]["reason"]))
        self.record += [
            Seen(event["__typename"], event["jobId"], event["run"], int(event["version"])) for event in batch["events"]
        ]
        self._cursor = batch["endCursor"]
        self.began.set()
