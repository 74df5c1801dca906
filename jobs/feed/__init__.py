"""Listening: the event log, logs, and the state of jobs, lists, queues and workers, live."""

from __future__ import annotations

from collections.abc import Collection

from jobs.broker import Broker
from jobs.feed.batch import EventBatch, Gap, GapReason
from jobs.feed.events import EventSubscription
from jobs.feed.facts import FactBook
from jobs.feed.filter import EventFilter
from jobs.feed.health import HealthStates, HealthSubscription, SnapshotStates
from jobs.feed.hub import Hub
from jobs.feed.job import JobSubscription, Watches
from jobs.feed.listing import ListedPage, ListStates, ListSubscription
from jobs.feed.log import LogBatch, LogSubscription, LogTails
from jobs.feed.queue import QueueStates, QueueSubscription
from jobs.feed.recorded import Recorded
from jobs.feed.worker import RollCall, WorkerSnapshot, WorkersSubscription, WorkerSubscription
from jobs.job import LogLevel
from jobs.line import Lines
from jobs.newest import Newest
from jobs.page import Direction
from jobs.probe import STUCK_S, Health
from jobs.recent import Recent
from jobs.roster import Roster
from jobs.snapshot import Snapshot
from jobs.store import Store
from jobs.viewer import Permission, Viewer, authorise
from jobs.where import JobWhere

__all__ = [
    "EventBatch",
    "EventSubscription",
    "Feed",
    "Gap",
    "GapReason",
    "HealthSubscription",
    "JobSubscription",
    "ListSubscription",
    "ListedPage",
    "LogBatch",
    "LogSubscription",
    "QueueSubscription",
    "WorkerSnapshot",
    "WorkerSubscription",
    "WorkersSubscription",
]


class Feed:
    """The third door. All subscriptions of a process share one reader of the stream."""

    def __init__(self, store: Store, broker: Broker, newest: Newest, present: Recent[Snapshot]) -> None:
        self._broker = broker
        self._newest = newest
        self.hub = Hub(broker, FactBook(broker, newest))
        self._watches = Watches(self.hub, newest)
        self._recorded = Recorded(self.hub, store)
        self._lists = ListStates(self._recorded, store)
        self._logs = LogTails(self._recorded, store, newest)
        self._queues = QueueStates(self.hub, Lines(store, broker))
        self._roll_call = RollCall(Roster(broker))
        self._health = HealthStates(present)
        self._snapshots = SnapshotStates(store)
        readers = (
            self._watches, self._recorded, self._lists, self._queues, self._roll_call, self._health, self._snapshots,
        )  # fmt: skip
        self.duties = [reader.duty for reader in readers]
        """Of all that read states for subscribers; the hub is not one of them."""

    def reading(self) -> Health:
        """Tell whether states are read for those who wait for them."""
        still = ", ".join(duty.name for duty in self.duties if duty.still_s > STUCK_S)
        if still:
            return Health("subscriptions", False, f"Readers that stand still, whose subscribers wait: {still}.")
        return Health("subscriptions", True, "States are read for whoever waits for them.")

    def job_events(
        self, viewer: Viewer, where: JobWhere | None = None, after: str | None = None, job_ids: Collection[str] = ()
    ) -> EventSubscription:
        """Subscribe to what happens to the jobs that are meant, from now on or after a cursor.

        `states` of the filter are the states that the events lead to. Raises Forbidden, InvalidCursor.
        """
        authorise(viewer, Permission.READ)
        wanted = EventFilter.of(where, job_ids)
        return EventSubscription(self.hub, self._broker, wanted, after=after)

    def job(self, viewer: Viewer, job_id: str) -> JobSubscription:
        """Subscribe to the state of one job: the latest only, the present one at once, until it is final.

        Raises Forbidden.
        """
        authorise(viewer, Permission.READ)
        return JobSubscription(self._watches, self._newest, job_id)

    def jobs(
        self, viewer: Viewer, where: JobWhere, limit: int, direction: Direction = Direction.DESC
    ) -> ListSubscription:
        """Subscribe to the first page of a list: as it is now, then at most once a second, the latest only.

        Raises Forbidden.
        """
        authorise(viewer, Permission.READ)
        return self._lists.watch(where, limit, direction)

    def job_log(
        self, viewer: Viewer, job_id: str, level_min: LogLevel = LogLevel.DEBUG, after: str | None = None
    ) -> LogSubscription:
        """Subscribe to what a job logs: the lines that are there, then those that follow, until it has ended.

        `after` is a cursor of the list of its lines. Raises Forbidden.
        """
        authorise(viewer, Permission.READ)
        return LogSubscription(self._logs, job_id, level_min, after)

    def queue(self, viewer: Viewer, name: str) -> QueueSubscription:
        """Subscribe to one queue: as it is now, then at most four times a second, the latest only. Raises Forbidden."""
        authorise(viewer, Permission.READ)
        return self._queues.watch(name)

    def worker(self, viewer: Viewer, worker_id: str) -> WorkerSubscription:
        """Subscribe to one worker: as it is now, then at most once a second; None once it is gone. Raises Forbidden."""
        authorise(viewer, Permission.READ)
        return WorkerSubscription(self._roll_call, worker_id)

    def workers(self, viewer: Viewer, limit: int) -> WorkersSubscription:
        """Subscribe to all workers: as they are now, then at most once a second. Raises Forbidden."""
        authorise(viewer, Permission.READ)
        return WorkersSubscription(self._roll_call, limit)

    def health(self, viewer: Viewer) -> HealthSubscription:
        """Subscribe to the whole system: as it is now, then every two seconds. Raises Forbidden."""
        authorise(viewer, Permission.READ)
        return self._health.watch()

    def snapshots(self, viewer: Viewer) -> HealthSubscription:
        """Subscribe to the newest snapshot: the one there is, then each that is taken. Raises Forbidden."""
        authorise(viewer, Permission.READ)
        return self._snapshots.watch()

    @property
    def watched(self) -> int:
        """How many subscriptions to single jobs there are."""
        return self._watches.count

    @property
    def watched_workers(self) -> int:
        """How many subscriptions to workers there are."""
        return self._roll_call.count

    @property
    def followed(self) -> int:
        """How many subscriptions to lists, logs, queues and the whole system there are."""
        return self._lists.count + self._logs.count + self._queues.count + self._health.count + self._snapshots.count

    async def close(self) -> None:
        """End all subscriptions and stop reading."""
        await self._health.close()
        await self._snapshots.close()
        await self._queues.close()
        await self._lists.close()
        await self._logs.close()
        await self._recorded.close()
        await self._roll_call.close()
        await self._watches.close()
        await self.hub.close()
