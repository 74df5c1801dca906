"""GET /metrics, in the formats of Prometheus and of OpenMetrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

from api.errors import away, unauthorized
from api.metrics.scrape import Scrape
from api.monitor import Monitors
from jobs.errors import Unavailable
from jobs.once import Once


class _Collected:
    """What the encoders of prometheus_client read from."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class MetricsEndpoint:
    """Answers monitors. Metrics name queues, tasks and hosts, so they are for those who may read."""

    def __init__(self, scrape: Scrape, monitors: Monitors) -> None:
        self._scrape = scrape
        self._monitors = monitors
        self._text: Once[str, bytes] = Once()

    async def answer(self, request: Request) -> Response:
        """Answer with all metrics; those whose source does not answer are missing."""
        try:
            if await self._monitors.viewer(request) is None:
                return unauthorized()
        except Unavailable as error:
            return away(error)
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        text = await self._text.get(media_type, partial(self._encoded, encode))
        return Response(text, headers={"content-type": media_type, "cache-control": "no-store"})

    async def _encoded(self, encode: Callable[[_Collected], bytes]) -> bytes:
        families = await self._scrape.families()
        return await asyncio.to_thread(encode, _Collected(families))  # of ten thousands of samples it takes a second
