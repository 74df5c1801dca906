"""The workers that are alive, as they say that they are. The doors read workers through this."""

from __future__ import annotations

import msgspec

from jobs.broker import Broker, RunningJob, WorkerRecord, WorkerState, WorkerWish

__all__ = ["Roster", "RunningJob", "Worker", "WorkerState", "WorkerWish"]

LAG_MAX_MS = 1_000
"""An event loop that is later than this does not answer."""


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process that holds a lease. Figures are None until it has said them; times in it are by its own clock.

    `seen_ms` is by the clock of Redis.
    """

    id: str
    """Of its session: a worker that lost its lease comes back with another one."""
    host: str
    pid: int
    version: str
    """Of QueueQL."""
    tasks: tuple[str, ...]
    state: WorkerState
    queues: tuple[str, ...]
    """That it serves now."""
    concurrency: int
    """Jobs that it runs at a time, as of now."""
    active: int
    """Jobs that it holds now, those that are about to start too."""
    running: tuple[RunningJob, ...]
    """The longest running of its jobs, at most 100."""
    finished: int | None
    """Attempts that have ended since its start, whatever their outcome."""
    failed: int | None
    """Attempts among them that failed."""
    cpu: float | None
    """Processor cores that it uses."""
    memory_bytes: int | None
    loop_lag_ms: int | None
    """How late its event loop answers; while it does not, for how long it has not."""
    blocked_by: str | None
    """Id of the job that does not let its event loop answer, where it has not for two seconds and this is known."""
    fetched_ms: int | None
    """When it last heard about jobs."""
    still_ms: int
    """For how long one of its parts has stood still: what asks for jobs, sends what they say, or watches the loop."""
    started_ms: int
    seen_ms: int
    """Last renewal of its lease."""
    wish: WorkerWish
    """What operators want it to be like."""

    @property
    def is_responding(self) -> bool | None:
        """Tell whether its event loop answers; None where that is not known."""
        return None if self.loop_lag_ms is None else self.loop_lag_ms <= LAG_MAX_MS


class Roster:
    """Reads the workers. Raises BrokerUnavailable."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def all(self) -> list[Worker]:
        """Return all workers that are alive, the longest running first."""
        return [_worker(record) for record in await self._broker.workers()]

    async def find(self, worker_id: str) -> Worker | None:
        """Return a worker, None where it is not alive."""
        return next((worker for worker in await self.all() if worker.id == worker_id), None)


def _worker(record: WorkerRecord) -> Worker:
    info, vitals = record.info, record.vitals
    return Worker(
        id=record.id,
        host=info.host,
        pid=info.pid,
        version=info.version,
        tasks=tuple(info.tasks),
        state=vitals.state if vitals else WorkerState.STARTING,
        queues=vitals.queues if vitals else tuple(info.queues),
        concurrency=vitals.concurrency if vitals else info.concurrency,
        active=record.active,
        running=vitals.jobs if vitals else (),
        finished=vitals.finished if vitals else None,
        failed=vitals.failed if vitals else None,
        cpu=None if vitals is None or vitals.cpu is None else round(vitals.cpu, 3),
        memory_bytes=vitals.memory_bytes if vitals else None,
        loop_lag_ms=vitals.loop_lag_ms if vitals else None,
        blocked_by=vitals.blocked_by if vitals else None,
        fetched_ms=vitals.fetched_ms if vitals else None,
        still_ms=vitals.still_ms if vitals else 0,
        started_ms=info.started_ms,
        seen_ms=record.seen_ms,
        wish=record.wish,
    )
