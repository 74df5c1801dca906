"""One session of a worker: from the opening of its lease until it is drained or lost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence

import msgspec
import structlog

from jobs import outcome
from jobs.broker import Finished, Lane, Renewal, Reserved, Session, SessionLost, WorkerWish
from jobs.context import Context, Interrupt
from jobs.job import Failure, Reason
from jobs.task import Registry
from jobs.worker.attempt import Attempt, Terms
from jobs.worker.isolated import SUSPECT_CRASHES, Isolated
from jobs.worker.lease import Lease
from jobs.worker.pulse import Pulse
from jobs.worker.reporter import Reporter
from jobs.worker.runner import Runner
from jobs.worker.slots import Slots
from jobs.worker.watch import Watch

log = structlog.get_logger(__name__)

LANES = 2
SUSPECTS_MAX = 4
"""Jobs that have lost their process twice, that a worker runs at a time, each in a process of its own."""
CLEAN_UP_S = 5.0
"""How long a task may take to end once the worker's grace is over."""


class Plan(msgspec.Struct):
    """What a worker does, in every session."""

    registry: Registry
    queues: Sequence[str]
    """May be changed while a session works; `Tenure.reconsider` makes it hold at once."""
    lease_s: float
    renew_s: float
    terms: Callable[[Callable[[Context], None]], Terms]
    """Makes the terms of attempts, given where their contexts announce what they report."""
    wished: Callable[[WorkerWish], None]
    """Called with what operators want the worker to be like."""
    suspects_apart: bool = False
    """Jobs that have lost their process twice may run in one of their own."""


class Tenure:
    """Reserves, runs and gives back jobs under one session.

    Each lane repeats one call: what is finished goes back, and new jobs come for the free slots. One
    lane at most listens for new jobs, and holds a slot meanwhile, so that what it is woken for can
    start here. The others wait for jobs to end.
    """

    def __init__(self, session: Session, plan: Plan, slots: Slots, pulse: Pulse) -> None:
        self._session = session
        self._plan = plan
        self._slots = slots
        self._pulse = pulse
        self._reporter = Reporter(session)
        self._terms = plan.terms(self._reporter.notify)
        self._runner = Runner(self._ended)
        pulse.running, pulse.reporting = self._runner.running, self._reporter.duty
        self._finished: deque[Finished] = deque()
        self._sent: dict[Lane, list[Finished]] = {}
        self._beginning: list[Sequence[Reserved]] = []
        self._unsent_reports = False
        self._listening: asyncio.Task[None] | None = None
        self._reconsidered = False
        self._more = True
        self._wait_ms = 0
        self._stopping = False
        self._grace_is_over = False
        self._lost = asyncio.Event()
        self._new_epoch = asyncio.Event()
        self._settled = asyncio.Event()

    @property
    def _share(self) -> int:
        """Slots that one lane may claim at a time."""
        return max(1, self._slots.most // LANES)

    # From the opening to the end

    async def run(self) -> None:
        """Work until the session is drained, or lost."""
        lease = Lease(self._session, self._plan.renew_s, self._pulse.vitals, self._heard)
        watch = Watch(self._pulse, self._session, self._plan.lease_s, self._surrender)
        lease.start()
        watch.start()
        try:
            # In a task of its own: on Python 3.11.2 (Debian 12) a task whose groups failed counts as being cancelled,
            # and every timeout in it raises CancelledError from then on.
            await asyncio.create_task(self._work(), name="lanes")
        except* SessionLost:
            log.warning("worker.session_lost", session=self._session.id, running=len(self._runner.running))
        finally:
            self._runner.end_early(Interrupt.LOST)  # whatever runs still has lost its right to count
            self._runner.close()
            await watch.stop()
            await lease.stop()
            await self._session.close()

    async def _work(self) -> None:
        """Run all lanes, and what goes on beside them, until the lanes end or one of them all fails."""
        async with asyncio.TaskGroup() as helpers:
            helping = [helpers.create_task(work) for work in (self._reporter.run(), self._until_lost(), self._keep())]
            async with asyncio.TaskGroup() as lanes:
                for number in range(LANES):
                    lanes.create_task(self._serve(self._session.lane(number)))
            for helper in helping:
                helper.cancel()

    async def _until_lost(self) -> None:
        await self._lost.wait()
        raise SessionLost("The worker's lease ran out; its jobs were given to others.")

    async def _keep(self) -> None:
        """Say in each new epoch which jobs are here: an older copy of Redis may believe that more are."""
        while True:
            await self._new_epoch.wait()
            self._new_epoch.clear()
            tokens = [item.token for items in (self._finished, *self._sent.values()) for item in items]
            tokens += [job.token for jobs in self._beginning for job in jobs]
            tokens += [attempt.reserved.token for attempt in self._runner.running.values()]
            await self._session.keep(tokens)

    def _heard(self, renewal: Renewal) -> None:
        if renewal.lost:
            self._lost.set()
            return
        if renewal.is_new_epoch:
            self._new_epoch.set()
        self._runner.end_early(Interrupt.CANCEL, renewal.cancelled)
        if renewal.wish is not None:
            self._plan.wished(renewal.wish)

    def reconsider(self) -> None:
        """Look again at the plan and the slots, which were changed."""
        if self._listening is not None:
            self._reconsidered = True
            self._listening.cancel()
        self._more = True
        self._slots.news.set()

    async def drain(self, grace_s: float) -> None:
        """Reserve no more, let what runs end within the grace, then give it back. `run` returns after it."""
        self._stopping = self._pulse.stopping = True
        self.reconsider()
        if not await self._settle(grace_s):
            log.info("worker.grace_is_over", running=len(self._runner.running))
            self._grace_is_over = True
            self._runner.end_early(Interrupt.RELEASE)
            if not await self._settle(CLEAN_UP_S):
                self._abandon()
        self._slots.news.set()

    async def _settle(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                while self._runner.running or self._beginning:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            return False
        return True

    def _abandon(self) -> None:
        """Give back jobs whose tasks do not end; they go on until the process exits, and no longer count."""
        for attempt in self._runner.forget():
            log.warning("worker.attempt_abandoned", job=attempt.reserved.id, task=attempt.task.name)
            ended = attempt.abandon()
            if ended is not None:
                self._finished.append(Finished(attempt.reserved.id, attempt.reserved.token, ended))

    def _surrender(self, overdue: Collection[Attempt], stack: str) -> list[Finished]:
        """Decide how everything ends that this session has: the process is about to end. Called in a thread."""
        given_back = [*self._finished, *(item for sent in self._sent.values() for item in sent)]
        given_back += [Finished(job.id, job.token, outcome.Release()) for jobs in self._beginning for job in jobs]
        for attempt in self._runner.running.values():
            ended = attempt.overran(stack) if attempt in overdue else outcome.Release()
            given_back.append(Finished(attempt.reserved.id, attempt.reserved.token, ended))
        return given_back

    # Lanes

    async def _serve(self, lane: Lane) -> None:
        slots = self._slots
        if self._plan.suspects_apart:
            lane.suspects_max = SUSPECTS_MAX
        while not (self._stopping and not self._runner.running and not self._finished):
            want = 0 if self._stopping else slots.claim(self._share)
            if want and not self._more and not self._finished and self._listening is None:
                slots.give_back(want - 1)
                await self._listen(lane)
                want = 1 + slots.claim(self._share - 1)
                await self._step(lane, want)
            elif self._finished or (want and self._more):
                await self._step(lane, want)
            else:
                slots.give_back(want)
                slots.news.clear()
                await slots.news.wait()
        slots.news.set()

    async def _listen(self, lane: Lane) -> None:
        queues = self._plan.queues
        self._reconsidered = False
        listening = self._listening = asyncio.create_task(lane.wait(queues, self._wait_ms))
        try:
            await asyncio.wait([listening])
            if self._reconsidered:
                await self._session.rouse(queues)  # it may have been woken at this moment
            if not listening.cancelled():
                listening.result()
        except BaseException:
            self._slots.give_back(1)
            raise
        finally:
            listening.cancel()
            self._listening = None

    async def _step(self, lane: Lane, want: int) -> None:
        """Send what is finished, reserve for the claimed slots, and start what came."""
        finished: list[Finished] = []
        try:
            want -= self._slots.revoke(want, all_of_them=self._stopping)
            self._sent[lane] = finished
            while self._finished:
                finished.append(self._finished.popleft())
            if self._unsent_reports:
                self._unsent_reports = False
                await self._reporter.flush()
            step = await lane.step(finished, want, self._plan.queues)
            del self._sent[lane]
            self._pulse.fetched()
            if step.stale:
                log.info("worker.results_dropped", session=self._session.id, jobs=len(step.stale))
            if want:
                self._learn(step.wait_ms)
            if step.reserved:
                want -= await self._begin(step.reserved)
        finally:
            self._slots.give_back(want)

    async def _begin(self, reserved: Sequence[Reserved]) -> int:
        """Start what came, and run what is confirmed; return how many slots that took."""
        if self._stopping or self._slots.quiet:
            await self._session.put_back(reserved)
            return 0
        self._beginning.append(reserved)
        try:
            return self._launch(reserved, await self._session.start(reserved))
        finally:
            self._beginning.remove(reserved)
            self._settled.set()

    def _learn(self, wait_ms: int) -> None:
        """Note when there may be more to reserve; another lane may fetch it at once."""
        if wait_ms == 0 and not self._more:
            self._slots.news.set()
        self._more, self._wait_ms = wait_ms == 0, wait_ms

    def _launch(self, reserved: Sequence[Reserved], confirmed: Sequence[bool]) -> int:
        """Run what was confirmed; return how many slots that took."""
        attempts = []
        for job, mine in zip(reserved, confirmed, strict=True):
            if not mine:
                continue
            task = self._plan.registry.get(job.spec.task)
            if task is None:
                self._refuse(job)
                continue
            apart = task.isolated or (job.crashes >= SUSPECT_CRASHES and self._plan.suspects_apart)
            attempt = (Isolated if apart else Attempt)(job, task, self._terms)
            self._slots.take(attempt)
            attempts.append(attempt)
        self._runner.launch(attempts)
        if self._grace_is_over:  # their start was being confirmed when the others were told
            self._runner.end_early(Interrupt.RELEASE)
        return len(attempts)

    def _refuse(self, job: Reserved) -> None:
        error = Failure(type="UNKNOWN_TASK", message=f"This worker has no task named {job.spec.task!r}.")
        self._finished.append(Finished(job.id, job.token, outcome.Die(Reason.UNKNOWN_TASK, error)))
        self._slots.news.set()

    def _ended(self, attempt: Attempt) -> None:
        self._slots.leave(attempt)
        self._pulse.ended(failed=isinstance(attempt.outcome, outcome.RetryLater | outcome.Die | outcome.Crash))
        if attempt.outcome is not None:
            reserved = attempt.reserved
            self._finished.append(Finished(reserved.id, reserved.token, attempt.outcome, attempt.cpu_us))
            if attempt.has_reported:
                self._unsent_reports = True
        if not self._runner.running:
            self._settled.set()
