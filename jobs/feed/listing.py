"""Subscriptions to lists of jobs: their first page."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobs.errors import NotFound
from jobs.feed.recorded import Recorded
from jobs.feed.state import States, StateSubscription
from jobs.job import Job
from jobs.page import Direction, Page, PageRequest
from jobs.store import Store
from jobs.where import JobWhere

PAUSE_S = 1.0


class Listing(msgspec.Struct, frozen=True, cache_hash=True):
    """Which list."""

    where: JobWhere
    limit: int
    direction: Direction
    identity: bytes
    """Tells filters apart that Python holds for equal: 1 is not true in JSON."""


class ListedPage(Page[Job], frozen=True, kw_only=True):
    """The first page of a list."""

    where: JobWhere
    """Which list it is the beginning of."""


ListSubscription = StateSubscription[Listing, ListedPage]


class ListStates(States[Listing, ListedPage]):
    """The lists that are watched in this process. Whatever is recorded may change any of them."""

    pause_s = PAUSE_S

    def __init__(self, recorded: Recorded, store: Store) -> None:
        super().__init__()
        self._recorded = recorded
        self._store = store
        recorded.follow(self)

    def watch(self, where: JobWhere, limit: int, direction: Direction) -> ListSubscription:
        """Follow the first page of a list."""
        key = Listing(where, limit, direction, msgspec.json.encode(where))
        return StateSubscription(self, key, face=_face, missing=NotFound("There is no such list."))

    def recorded(self, _job_ids: frozenset[str] | None) -> None:
        """Take in that history has something new."""
        self.change()

    def _listen(self) -> None:
        self._recorded.wake(frozenset())  # whatever happened, lists are told

    async def _read(self, keys: Sequence[Listing]) -> dict[Listing, ListedPage]:
        return {key: await self._page(key) for key in keys}

    async def _page(self, key: Listing) -> ListedPage:
        page = await self._store.search.jobs(key.where, PageRequest(limit=key.limit), key.direction)
        return ListedPage(**msgspec.structs.asdict(page), where=key.where)


def _face(page: Page[Job]) -> object:
    """Return what of a page can change; comparing arguments each time would be dear."""
    jobs = [(job.id, job.run, job.version, job.state, job.progress, job.cancel_requested) for job in page.items]
    return (jobs, page.has_next, page.reached)
