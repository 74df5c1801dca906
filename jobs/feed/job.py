"""A subscription to one job: its latest state only."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence

import structlog

from jobs.broker import PositionedEvent
from jobs.duty import Duty
from jobs.ending import end
from jobs.errors import NotFound, QueueQLError
from jobs.feed.hub import Hub
from jobs.job import FINAL, Job
from jobs.newest import Newest

log = structlog.get_logger(__name__)

PAUSE_S = 0.1
"""Between two readings of the watched jobs: no subscriber gets more than ten updates a second."""
RETRY_S = 0.5


class Watches:
    """The jobs that are watched in this process. Those that something happened to are read again, all at once."""

    def __init__(self, hub: Hub, newest: Newest) -> None:
        self._hub = hub
        self._newest = newest
        self._watched: dict[str, weakref.WeakSet[JobSubscription]] = {}
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self.duty = Duty("watches")
        hub.listen(self)

    @property
    def listening(self) -> bool:
        """Tell whether any job is watched."""
        for job_id in [job_id for job_id, watchers in self._watched.items() if not watchers]:
            self._forget(job_id)
        return bool(self._watched)

    @property
    def count(self) -> int:
        """How many subscriptions there are."""
        return sum(len(watchers) for watchers in self._watched.values())

    def add(self, subscription: JobSubscription) -> None:
        """Tell the subscription from now on what its job has become."""
        self._watched.setdefault(subscription.job_id, weakref.WeakSet()).add(subscription)
        if self._task is None or self._task.done():
            self.duty.start()
            self._task = asyncio.create_task(self._run(), name="feed watches")
        self._hub.wake()

    def remove(self, subscription: JobSubscription) -> None:
        """Tell it no more."""
        watchers = self._watched.get(subscription.job_id)
        if watchers is not None:
            watchers.discard(subscription)
            if not watchers:
                self._forget(subscription.job_id)

    def _forget(self, job_id: str) -> None:
        del self._watched[job_id]
        self._changed.discard(job_id)

    def heard(self, events: Sequence[PositionedEvent]) -> None:
        """Note which watched jobs something happened to."""
        if self._watched:
            self._change({event.job for _, event in events if event.job in self._watched})

    def missed(self) -> None:
        """Anything may have happened to any of them."""
        self._change(set(self._watched))

    def _change(self, job_ids: set[str]) -> None:
        if job_ids:
            self._changed |= job_ids
            self.duty.owe()
            self._wake.set()

    async def close(self) -> None:
        """End all subscriptions."""
        await end(self._task)
        self._task = None
        for watchers in list(self._watched.values()):
            for subscription in list(watchers):
                subscription.end()
        self._watched.clear()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self.duty.move()
            changed, self._changed = self._changed, set()
            try:
                await self._tell(changed)
            except QueueQLError as error:
                await self._try_again(changed, str(error))
            except Exception:  # the loop serves all subscribers of the process; it must outlive any one fault
                log.exception("feed.watch_fault")
                await self._try_again(changed, "a fault")
            else:
                self._failing = False
                self.duty.rest(PAUSE_S, more=self._wake.is_set())
                await asyncio.sleep(PAUSE_S)

    async def _tell(self, job_ids: set[str]) -> None:
        watched = [job_id for job_id in job_ids if job_id in self._watched]
        jobs = await self._newest.find_many(watched)
        for job_id in watched:
            for subscription in list(self._watched.get(job_id, ())):
                subscription.update(jobs.get(job_id))

    async def _try_again(self, job_ids: set[str], reason: str) -> None:
        if not self._failing:
            self._failing = True
            log.warning("feed.watch_waits", jobs=len(job_ids), reason=reason)
        self.duty.rest(RETRY_S, more=True)
        await asyncio.sleep(RETRY_S)
        self.duty.rest(0.0, more=self._wake.is_set())
        self._change(job_ids & self._watched.keys())


class JobSubscription:
    """A job as it is, then as it becomes; only the latest where it changes faster than it is read.

    Ends after the job's final state. Iterate over it; `aclose()` or dropping it ends it.
    """

    def __init__(self, watches: Watches, newest: Newest, job_id: str) -> None:
        self.job_id = job_id
        self._watches = watches
        self._newest = newest
        self._latest: Job | None = None
        self._shown: object = None
        self._wake = asyncio.Event()
        self._ended = False
        watches.add(self)  # before it is read for the first time, so that no change is missed

    def __aiter__(self) -> JobSubscription:
        return self

    async def __anext__(self) -> Job:
        """Wait for the next state. Raises at the first one NotFound, Unavailable."""
        if self._shown is None and not self._ended:
            job = await self._newest.find(self.job_id)
            if job is None:
                await self.aclose()
                raise NotFound(f'There is no job "{self.job_id[:128]}".', path=("id",))
            return self._show(job)
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            job, self._latest = self._latest, None
            if job and _face(job) != self._shown:
                return self._show(job)
        raise StopAsyncIteration

    def _show(self, job: Job) -> Job:
        self._shown = _face(job)
        if job.state in FINAL:
            self._watches.remove(self)
            self._ended = True
        return job

    async def aclose(self) -> None:
        """End the subscription and free what it holds."""
        self._watches.remove(self)
        self.end()

    # What the watches call

    def update(self, job: Job | None) -> None:
        """Take in what the job has become; None: it was removed."""
        if job is None:
            self.end()
        self._latest = job
        self._wake.set()

    def end(self) -> None:
        """Let the iteration end."""
        self._ended = True
        self._wake.set()


def _face(job: Job) -> object:
    """Return what of a job can change; comparing the arguments each time would be dear."""
    return (job.run, job.version, job.state, job.progress, job.cancel_requested)
