"""Whether the process lives, whether it can do its work, and how the whole is. Open to all: says nothing of jobs."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.errors import away, unauthorized
from api.monitor import Monitors
from api.streams import Streams
from jobs.client import Client
from jobs.errors import Unavailable
from jobs.lookout import Lookout
from jobs.probe import Answer, unwell, well
from jobs.probe import Health as Part
from jobs.queries.queue import QueueHealth, QueueStatus

UNKEPT = {"cache-control": "no-store"}


def lookout(client: Client, streams: Streams) -> Lookout:
    """Return what this process knows of its parts, the server among them."""

    def server() -> list[Part]:
        stopping = streams.stopping
        return [Part("server", not stopping, "The server stops." if stopping else "The server answers.")]

    async def beyond() -> list[Part]:
        return [*await client.fleet.health(), client.feed.reading()]

    return Lookout(client.health, others=beyond, at_once=server)


class Health:
    """The questions that supervisors, load balancers and monitors ask."""

    def __init__(self, lookout: Lookout) -> None:
        self._lookout = lookout

    async def live(self, _request: Request) -> Response:
        """Answer 200 while the process runs its loop."""
        self._lookout.turn()
        return shown(self._lookout.live())

    async def ready(self, _request: Request) -> Response:
        """Answer 200 where every component of this process makes progress, else 503 with what does not."""
        await self._lookout.look()
        return shown(self._lookout.ready())

    async def health(self, _request: Request) -> Response:
        """Answer 200 where the whole system makes progress, else 503 with what does not."""
        await self._lookout.look()
        return shown(self._lookout.health())


class QueuesHealth:
    """How each queue is. It names queues, so it is for those who may read."""

    def __init__(self, client: Client, monitors: Monitors) -> None:
        self._client = client
        self._monitors = monitors

    async def answer(self, request: Request) -> Response:
        """Answer 200 where every queue moves, else 503."""
        try:
            viewer = await self._monitors.viewer(request)
            if viewer is None:
                return unauthorized()
            queues = await self._client.queries.queue.health(viewer)
        except Unavailable as error:
            return away(error)
        found = {"queues": [_queue(queue) for queue in queues]}
        stopped = [queue for queue in queues if queue.status is QueueStatus.UNHEALTHY]
        if not stopped:
            return shown(well("healthy", **found))
        detail = " ".join(f"{queue.name}: {' '.join(queue.faults.values())}" for queue in stopped)
        return shown(unwell("Not healthy", detail, code="UNHEALTHY", **found))


def _queue(queue: QueueHealth) -> dict[str, Any]:
    faults = [{"code": code, "detail": detail} for code, detail in queue.faults.items()]
    return {
        "name": queue.name,
        "status": queue.status.lower(),
        "faults": faults,
        "waiting": queue.facts.waiting,
        "active": queue.facts.active,
        "workers": queue.facts.workers,
        "oldestWaitS": queue.facts.oldest_wait_s,
    }


def shown(answer: Answer) -> Response:
    """Return an answer as HTTP shows it."""
    return Response(msgspec.json.encode(answer.body), answer.status, UNKEPT, answer.media_type)
