"""Commands on workers: what operators want a running one to be like. It does so with its next sign of life."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobs.commands.gate import command
from jobs.commands.parts import Parts
from jobs.errors import InvalidOption, InvalidState, NotFound, Stale
from jobs.name import check_queue
from jobs.roster import Roster, Worker, WorkerState, WorkerWish
from jobs.viewer import Permission, Viewer

CONCURRENCY_MAX = 10_000
QUEUES_MAX = 100
_TRIES = 5


class WorkerCommands:
    """Update, quiet, resume and stop. Each adds to what was wished before, and returns the worker as it is now.

    A worker follows within about a second. It forgets what it was told when its process ends.
    All raise Forbidden, NotFound for a worker that is not alive, and BrokerUnavailable.
    """

    def __init__(self, parts: Parts) -> None:
        self.gate = parts.gate
        self._broker = parts.broker
        self._roster = Roster(parts.broker)

    @command(Permission.OPERATE, "worker.update")
    async def update(
        self,
        _viewer: Viewer,
        worker_id: str,
        *,
        concurrency: int | None = None,
        queues: Sequence[str] | None = None,
    ) -> Worker:
        """Change how many jobs it runs at a time, and the queues it serves; None leaves either as it is.

        What runs goes on. Raises InvalidOption, InvalidState for a worker that stops.
        """
        changes: dict[str, object] = {}
        if concurrency is not None:
            changes["concurrency"] = _checked_concurrency(concurrency)
        if queues is not None:
            changes["queues"] = _checked_queues(queues)
        if not changes:
            raise InvalidOption("Say what to change: `concurrency`, `queues`, or both.")
        return await self._steer(worker_id, **changes)

    @command(Permission.OPERATE, "worker.quiet")
    async def quiet(self, _viewer: Viewer, worker_id: str) -> Worker:
        """Let it take no new jobs, and go on with what runs. Raises InvalidState for a worker that stops."""
        return await self._steer(worker_id, quiet=True)

    @command(Permission.OPERATE, "worker.resume")
    async def resume(self, _viewer: Viewer, worker_id: str) -> Worker:
        """Let it take jobs again. Raises InvalidState for a worker that stops."""
        return await self._steer(worker_id, quiet=False)

    @command(Permission.OPERATE, "worker.stop")
    async def stop(self, _viewer: Viewer, worker_id: str) -> Worker:
        """Let what runs end within the worker's grace, give back the rest, end the process. Repeating is allowed."""
        return await self._steer(worker_id, stop=True)

    async def _steer(self, worker_id: str, **changes: object) -> Worker:
        for _ in range(_TRIES):
            worker = await self._find(worker_id)
            stops = worker.wish.stop or worker.state is WorkerState.STOPPING
            if stops and "stop" not in changes:
                raise InvalidState("The worker stops already.", path=("id",))
            wish: WorkerWish = msgspec.structs.replace(worker.wish, **changes)
            try:
                if not await self._broker.steer(worker_id, wish, instead_of=worker.wish):
                    raise _not_found(worker_id)
            except Stale:
                continue  # somebody else was faster: add to what they wish
            return msgspec.structs.replace(worker, wish=wish)
        raise InvalidState("Others change this worker at the same moment; repeat it.", path=("id",))

    async def _find(self, worker_id: str) -> Worker:
        worker = await self._roster.find(worker_id)
        if worker is None:
            raise _not_found(worker_id)
        return worker


def _checked_concurrency(concurrency: int) -> int:
    if not 1 <= concurrency <= CONCURRENCY_MAX:
        raise InvalidOption(
            f"`concurrency` must be between 1 and {CONCURRENCY_MAX:,}; to take no jobs, make the worker quiet.",
            path=("concurrency",),
        )
    return concurrency


def _checked_queues(queues: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(queues))
    if not 1 <= len(names) <= QUEUES_MAX:
        raise InvalidOption(
            f"A worker serves 1 to {QUEUES_MAX} queues; to take no jobs, make it quiet.", path=("queues",)
        )
    for number, name in enumerate(queues):
        check_queue(name, "queues", number)
    return names


def _not_found(worker_id: str) -> NotFound:
    return NotFound(f'There is no worker "{worker_id[:128]}".', path=("id",))
