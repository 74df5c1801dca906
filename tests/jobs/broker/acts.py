"""What callers, workers, services and misfortune do, each act drawn at random and compared with the model."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.broker import Cancelling, Finished, Push, scripts
from jobs.broker.scripts import SessionLost
from jobs.errors import EpochChanged
from jobs.event import Quarantined
from jobs.job import FINAL
from jobs.outcome import Complete
from tests.factories import make_vitals
from tests.jobs.broker.callers import Callers
from tests.jobs.broker.draw import RECENT
from tests.jobs.broker.machine import QUEUES
from tests.jobs.broker.workers import Workers

LATE_SCRIPTS = ("step", "start", "put_back", "report", "enqueue")
"""Scripts whose requests may arrive once more, at any time, without any effect."""


class Acts(Callers, Workers):
    """Everything that can happen to jobs, each act by its name."""

    # Upkeep

    def let_time_pass(self) -> None:
        self.world.advance(self.random.choice([500, 2_000, 4_000]))
        if self.chance(2):
            before_ms = self.world.now_ms()
            self.world.wait(self.world.broker.promote_due())
            self.world.became_due(self.world.observe(), before_ms, self.world.now_ms())
        if not self.chance(3):
            self.world.reap()

    def let_leases_run_out(self) -> None:
        """Nobody renews; the reaper looks often enough."""
        for _ in range(4):
            self.world.advance(4_000)
            self.world.reap()

    def let_tombstones_pass(self) -> None:
        self.world.advance(20_000)
        for job_id in self.world.redis.tombstones:
            self.world.client.delete(f"{{qq}}:done:{job_id}")
        self.world.redis.tombstones.clear()

    def record(self) -> None:
        self.world.record()

    def forget(self) -> None:
        forgotten = self.world.wait(self.world.broker.forget(self.world.position()))
        assert forgotten == self.world.redis.forget(self.world.recorded)

    def discard(self) -> None:
        """Say of a job that a run before its own has ended, which history knows."""
        job_id = self.one(sorted(one for one, row in self.world.rows.items() if row.run > 1))
        if job_id:
            run = self.world.rows[job_id].run - 1
            removed = self.world.redis.discard(job_id, run)
            assert self.world.wait(self.world.broker.discard([(job_id, run)])) == removed
            if removed:
                del self.world.story.states[job_id]

    def rescue(self) -> None:
        """Push what history knows as unfinished and Redis does not know, as jobs/rescue.py does."""
        self.world.record()
        for job_id in self.world.unfinished():
            known, row = self.world.redis.jobs.get(job_id), self.world.rows[job_id]
            if row.version and (known is None or known.push.run < row.run):
                self.world.push_recovered(job_id)

    # What goes wrong

    def something_arrives_late(self) -> None:
        sent = [item for item in self.world.broker.sent if item[0] in LATE_SCRIPTS][-3 * RECENT :]
        item = self.one(sent)
        if not item or item[2] != str(self.world.broker.epoch):
            return
        script, request, epoch = item
        before_ms = self.world.now_ms()
        try:
            answer = self.world.wait(scripts.run(self.world.broker.client, script, request, epoch))
        except SessionLost:
            assert request[0] not in self.world.redis.sessions
            return
        if script == "enqueue":
            deadline_ms, _, (fields,) = request
            self.world.pushed(self._read(fields), answer[0], before_ms, deadline_ms)

    def _read(self, fields: tuple[Any, ...]) -> Push:
        job_id, run, _, _, _, due_ms, _, _, attempts, uncharged, crashes, recoveries, checkpoint, version, end = fields
        return Push(
            spec=self.world.specs[job_id], run=run, attempts=attempts, uncharged=uncharged, crashes=crashes,
            recoveries=recoveries, checkpoint=checkpoint, version=version, due_ms=due_ms, cancelled=end,
        )  # fmt: skip

    def somebody_believes_in_an_older_epoch(self) -> None:
        if item := self.one(self.world.broker.sent[-3 * RECENT :]):
            with pytest.raises(EpochChanged):
                self.world.wait(
                    scripts.run(self.world.broker.client, item[0], item[1], str(self.world.broker.epoch - 1))
                )

    def damage(self) -> None:
        """Damage a job; whoever comes across it sets it aside, and the reconciler puts it back."""
        world, name = self.world, self.random.choice("svagc")
        live = [one for one, job in world.redis.jobs.items() if job.state not in FINAL and one in world.rows]
        job_id = self.one(sorted(live))
        if not job_id or world.older:
            return
        job = world.redis.jobs[job_id]
        if self.chance(2):
            world.client.hdel(f"{{qq}}:job:{job_id}", name)
        else:
            world.client.hset(f"{{qq}}:job:{job_id}", name, self.random.choice(["", "-1", "x", "1e3"]))
        assert world.wait(world.broker.cancel([job_id])) == [Cancelling.UNKNOWN]
        if name == "s":  # nobody knows what it was
            world.redis.miscounted[world.specs[job_id].queue, str(job.state)] += 1
        del world.redis.jobs[job_id]
        assert [type(event) for event in world.observe()] == [Quarantined]
        world.record()
        set_aside = world.wait(world.broker.set_aside(world.position()))
        assert job_id in set_aside
        world.wait(world.broker.put_back(set_aside.values()))
        assert world.push_recovered(job_id) == "NEW"

    def start_a_new_server(self) -> None:
        self.world.reconcile()

    def lose_everything(self) -> None:
        self.world.wipe()

    def keep_a_copy(self) -> None:
        self.world.keep_copy()

    def come_back_with_an_older_copy(self) -> None:
        if self.world.copy:
            self.world.restore_copy()

    # The end

    def finish_everything(self) -> None:
        """Let all workers die, run all jobs to their end, and let the recorder do its work: nothing is left."""
        world = self.world
        world.reconcile()
        while world.redis.sessions:
            self.let_leases_run_out()
        # An older copy may have had ends that were not recorded when it was made, and never will be.
        world.record()
        self.forget()
        self.let_tombstones_pass()
        self.rescue()
        session = world.open_session()
        while any(job.state not in FINAL for job in world.redis.jobs.values()):
            world.advance(4_000)
            session.renew(make_vitals())
            jobs = world.step(session, [], 100, QUEUES, suspects_max=100)
            for job in jobs:
                self.start_one(session, job)
            world.step(session, [Finished(job.id, job.token, Complete("1")) for job in jobs], 0, QUEUES)
        world.wait(session.close())
        world.redis.end_session(session.id)
        world.compare()
        world.record()
        assert not world.unfinished()
        self.forget()
        world.empty(world.compare())
