"""A worker, one step at a time, and a recorder that records when it is told to."""

from __future__ import annotations

from jobs.broker import Finished, Report, Reserved, Session
from jobs.client import Client
from jobs.clock import now_ms
from jobs.job import Failure, LogLevel, Progress, Reason
from jobs.outcome import Complete, Die, Outcome
from jobs.services.recorder import Recorder
from tests.factories import make_worker_info
from tests.wait import until


class Hand:
    """Reserves, starts and finishes jobs of the queue `default`."""

    def __init__(self, client: Client, recorder: Recorder, session: Session) -> None:
        self._client = client
        self._recorder = recorder
        self.session = session
        self._lane = session.lane(0)

    @classmethod
    async def open(cls, client: Client, recorder: Recorder) -> Hand:
        return cls(client, recorder, await client.broker.open_session(make_worker_info("default")))

    async def close(self) -> None:
        await self.session.close()

    async def start(self) -> Reserved:
        """Start the next job, which may be on its way still."""
        await until(lambda: not self._client.pusher.waiting)
        reserved: list[Reserved] = []
        for _ in range(100):
            reserved = (await self._lane.step([], 1, ["default"])).reserved
            if reserved:
                break
            await self._lane.wait(["default"], 100)
        assert await self.session.start(reserved) == [True]
        return reserved[0]

    async def finish(self, job: Reserved, outcome: Outcome, cpu_us: int | None = None) -> None:
        step = await self._lane.step([Finished(job.id, job.token, outcome, cpu_us)], 0, ["default"])
        assert step.stale == []

    async def progress(self, job: Reserved, progress: Progress) -> None:
        await self.session.report([Report(id=job.id, token=job.token, progress=progress)])

    async def log(self, job: Reserved, level: LogLevel, message: str) -> None:
        await self.session.report([Report(id=job.id, token=job.token, logs=[(level, message, "", "", now_ms())])])

    async def complete(self, result: str = "null") -> str:
        """Run the next job to its end; return its id."""
        job = await self.start()
        await self.finish(job, Complete(result))
        return job.id

    async def kill(self) -> str:
        """Let the next job fail for good; return its id."""
        job = await self.start()
        await self.finish(job, Die(Reason.NOT_RETRYABLE, Failure(type="ValueError", message="no")))
        return job.id

    async def record(self) -> None:
        """Write everything that happened so far into history."""
        await self._recorder.finish()
