"""Where SAQ's single calls meet our lanes: who waits for a job, and who brings one back."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque

import structlog

from jobs.broker import Finished, Lane, Renewal, Reserved, SessionLost, Vitals, WorkerInfo
from jobs.clock import now_ms
from jobs.errors import QueueQLError
from jobs.outcome import Outcome
from jobs.saq.batch import Batch
from jobs.saq.place import Place
from jobs.saq.session import SaqBroker, SaqSession
from jobs.worker.lease import Lease

log = structlog.get_logger(__name__)

RETRY_S = 0.5


class Desk:
    """Serves one queue for one process.

    Callers who wait for a job are the free slots of one lane: a call of it brings a job to each and takes
    along what was finished meanwhile. While it waits in Redis for new jobs, a second lane takes what is
    finished. The session is opened when it is first needed; when it is lost, another one takes its place.
    """

    def __init__(self, broker: SaqBroker, queue: str, renew_s: float) -> None:
        self._broker = broker
        self._queue = queue
        self._renew_s = renew_s
        self._session: SaqSession | None = None
        self._lease: Lease | None = None
        self._opening = asyncio.Lock()
        self._waiting: deque[Place] = deque()
        self._finished: list[tuple[Finished, asyncio.Future[bool]]] = []
        self._news = asyncio.Event()
        self._listens = False
        self._closing = False
        self._serving: asyncio.Task[None] | None = None
        self._aside: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._tokens: dict[str, str] = {}
        """Of the jobs that are here, by their ids."""
        self.unstarted: set[str] = set()
        """Ids of the jobs that were handed out and did not start yet."""
        self.start: Batch[Reserved, bool] = Batch(self._start)
        self.put_back: Batch[Reserved, bool] = Batch(self._put_back)

    # The session

    async def session(self) -> SaqSession:
        """Return the session, opened now if there is none. Raises BrokerUnavailable, EpochChanged."""
        async with self._opening:
            if self._session is None:
                self._session = await self._broker.open_session(self._info())
                self._lease = Lease(self._session, self._renew_s, self._vitals, self._heard)
                self._lease.start()
            return self._session

    def _info(self) -> WorkerInfo:
        return WorkerInfo(
            host=socket.gethostname(), pid=os.getpid(), version="saq", queues=[self._queue], tasks=[],
            concurrency=max(1, len(self._waiting)), started_ms=now_ms(),
        )  # fmt: skip

    def _vitals(self) -> Vitals:
        return Vitals(concurrency=max(1, len(self._waiting)), queues=(self._queue,))

    def _heard(self, renewal: Renewal) -> None:
        # SAQ's worker looks at its jobs itself whether they were cancelled.
        if renewal.lost:
            log.warning("saq.session_lost", queue=self._queue)
        elif renewal.is_new_epoch and (self._keeping is None or self._keeping.done()):
            self._keeping = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        """Say which jobs are here: an older copy of Redis may believe that more are. The next renewal repeats it."""
        try:
            if self._session:
                await self._session.keep([*self._tokens.values()])
        except Exception as error:  # what is to be done about it the lanes do
            log.debug("saq.not_kept", queue=self._queue, error=str(error))

    async def _lose(self, session: SaqSession) -> None:
        """Leave a session that is over; its jobs are given to others."""
        if self._session is session:
            lease, self._session, self._lease = self._lease, None, None
            self.unstarted.clear()
            self._tokens.clear()
            if lease:
                await lease.stop()
            await session.close()

    # Waiting for jobs

    async def reserve(self, timeout_s: float) -> Reserved | None:
        """Wait for a job; None: there was none in time (0: wait for ever). Cancelling this loses no job."""
        place = Place()
        self._waiting.append(place)
        self._wake()
        timer = asyncio.get_running_loop().call_later(timeout_s, place.note_late) if timeout_s > 0 else None
        try:
            return await place.given
        except asyncio.CancelledError:
            given = place.given
            if not given.cancelled() and given.exception() is None and (reserved := given.result()):
                self.take_back([reserved])
            raise
        finally:
            if timer:
                timer.cancel()

    def _wake(self) -> None:
        self._news.set()
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())

    def _wanted(self) -> int:
        while self._waiting and self._waiting[0].taken:
            self._waiting.popleft()
        return sum(not place.taken for place in self._waiting)

    async def _serve(self) -> None:
        while not self._closing:
            if not self._finished and not self._wanted():
                self._news.clear()
                await self._news.wait()
                continue
            await asyncio.sleep(0)  # whoever comes in the same turn of the loop goes along
            try:
                session = await self.session()
                wait_ms = await self._step(session, 0, self._wanted())
                if wait_ms and self._wanted() and not self._finished:
                    await self._listen(session.lane(0), wait_ms)
            except SessionLost:
                await self._lose(session)
            except Exception as error:  # whoever waits hears of it; the desk stays open
                self._fail(error)
                await asyncio.sleep(RETRY_S)

    async def _listen(self, lane: Lane, wait_ms: int) -> None:
        self._listens = True
        try:
            await lane.wait([self._queue], wait_ms)
        finally:
            self._listens = False

    async def _step(self, session: SaqSession, number: int, want: int) -> int:
        batch, self._finished = self._finished, []
        asking = list(self._waiting) if want else []
        try:
            step = await session.lane(number).step([item for item, _ in batch], want, [self._queue])
        except BaseException as error:
            for _, future in batch:
                _settle(future, error)
            raise
        stale = set(step.stale)
        for item, future in batch:
            self._forget(item.id, item.token)
            if not future.done():
                future.set_result(item.id not in stale)
        self._hand_out(step.reserved)
        for place in asking:
            place.note_asked()
        return step.wait_ms

    def _hand_out(self, jobs: list[Reserved]) -> None:
        left = deque(jobs)
        self._tokens |= {reserved.id: reserved.token for reserved in jobs}
        while left and self._waiting:
            place = self._waiting.popleft()
            if not place.taken:
                reserved = left.popleft()
                self.unstarted.add(reserved.id)
                place.give(reserved)
        self.take_back(list(left))

    def take_back(self, jobs: list[Reserved]) -> None:
        """Give jobs back that were handed out for nobody."""
        for reserved in jobs:
            task = asyncio.create_task(self.put_back(reserved))
            task.add_done_callback(_told)

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, QueueQLError):
            log.error("saq.desk_failed", queue=self._queue, exc_info=error)
        while self._waiting:
            place = self._waiting.popleft()
            if not place.taken:
                place.given.set_exception(error)

    # Bringing jobs back

    async def finish(self, reserved: Reserved, outcome: Outcome, last_fields: list[str]) -> bool:
        """Give back a job; False: it was not the caller's any more, and what it did has no effect."""
        session = await self.session()
        session.hold(reserved)
        session.last_fields(reserved.id, last_fields)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._finished.append((Finished(reserved.id, reserved.token, outcome), future))
        if self._listens:
            if self._aside is None or self._aside.done():
                self._aside = asyncio.create_task(self._step_aside())
        else:
            self._wake()
        return await asyncio.shield(future)

    async def _step_aside(self) -> None:
        while self._finished and self._listens:
            try:
                session = await self.session()
                await self._step(session, 1, 0)
            except SessionLost:
                await self._lose(session)
            except Exception as error:  # whoever brought a job back heard of it; the rest is tried again
                log.warning("saq.desk_failed", queue=self._queue, error=str(error))
                await asyncio.sleep(RETRY_S)
        if self._finished:
            self._wake()

    async def _start(self, jobs: list[Reserved]) -> list[bool]:
        session = await self.session()
        try:
            answer = await session.start(jobs)
        except SessionLost:
            await self._lose(session)
            answer = [False] * len(jobs)
        self.unstarted.difference_update(job.id for job in jobs)
        return answer

    async def _put_back(self, jobs: list[Reserved]) -> list[bool]:
        answer = await self._broker.call("put_back", [(job.id, job.token) for job in jobs])
        for job in jobs:
            self._forget(job.id, job.token)
            self.unstarted.discard(job.id)
            if self._session:
                self._session.let_go(job.id)
        return [bool(item) for item in answer]

    async def take(self, job_id: str) -> str:
        """Reserve a waiting job by its id; return its token, "" where it is not waiting. Raises SessionLost."""
        session = await self.session()
        token: str = (await self._broker.call("take", (session.id, [job_id])))[0]
        if token:
            self._tokens[job_id] = token
        return token

    def _forget(self, job_id: str, token: str) -> None:
        if self._tokens.get(job_id) == token:
            del self._tokens[job_id]

    async def close(self) -> None:
        """Give back what was handed out and not started, and end the session."""
        self._closing = True
        self._news.set()
        for task in (self._serving, self._aside, self._keeping):
            if task:
                task.cancel()
                await asyncio.wait([task])
        for place in self._waiting:
            place.give(None)
        self._waiting.clear()
        for _, future in self._finished:
            future.cancel()
        self._finished.clear()
        if self._session:
            await self._lose(self._session)


def _settle(future: asyncio.Future[bool], error: BaseException) -> None:
    """End a finish whose call failed: a session that is over has lost its jobs."""
    if future.done():
        return
    if isinstance(error, SessionLost):
        future.set_result(False)
    elif isinstance(error, asyncio.CancelledError):
        future.cancel()
    else:
        future.set_exception(error)


def _told(task: asyncio.Task[bool]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.warning("saq.job_left_to_reaper", error=str(error))
