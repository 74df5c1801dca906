"""What callers do, each act drawn at random and compared with the model; and what brings it to Redis later."""

from __future__ import annotations

from jobs.broker import Push
from jobs.job import FINAL, Durability, Priority, State
from jobs.store.fold import JobRow
from tests.factories import make_spec
from tests.jobs.broker.draw import RECENT, Draw
from tests.jobs.broker.machine import QUEUES, is_memory


class Callers(Draw):
    """They push, cancel and run again; the reconciler does what of it was left undone."""

    def push(self) -> None:
        queue, priority = self.random.choice(QUEUES), self.random.choice(list(Priority))
        durability = Durability.MEMORY if self.chance(4) else Durability.STORE
        due_ms = self.world.now_ms() + 3_250 if self.chance(4) else 0
        spec = make_spec(queue=queue, priority=priority, scheduled_ms=due_ms, durability=durability)
        self.world.specs[spec.id] = spec
        if not is_memory(spec):
            self.world.rows[spec.id] = JobRow()
        self.world.push(Push(spec=spec), deadline_ms=self.world.now_ms() - 1 if self.chance(8) else None)

    def push_again(self) -> None:
        """Push a run of a job that was pushed before, which has no more time than it had then."""
        pushes = sorted(self.world.deadlines)[-RECENT:]
        if known := self.one(pushes):
            job_id, number = known
            push = Push(spec=self.world.specs[job_id], run=number)
            self.world.push(push, deadline_ms=self.world.deadlines[known])

    def push_unpushed(self) -> None:
        for job_id in self.world.unfinished():
            row = self.world.rows[job_id]
            if row.version == 0:
                cancelled = job_id in self.world.requested()
                self.world.push(Push(spec=self.world.specs[job_id], run=row.run, cancelled=cancelled))

    def run_again(self) -> None:
        rows = self.world.rows
        job_id = self.one(sorted(one for one in rows if rows[one].state in (State.DEAD, State.CANCELLED)))
        if job_id:
            rows[job_id] = JobRow(run=rows[job_id].run + 1, recoveries=rows[job_id].recoveries)
            if not self.chance(4):
                self.world.push(Push(spec=self.world.specs[job_id], run=rows[job_id].run))

    def cancel(self) -> None:
        if job_id := self.job():
            row = self.world.rows.get(job_id)
            if row is None or State(row.state) in FINAL or self.chance(6):
                # nobody wrote that down, or it was meant for an earlier run
                self.world.cancel(job_id, row.run - 1 if row else 0)
                return
            self.world.requests[job_id] = row.run
            if self.chance(4):
                self.world.untold.add(job_id)
            else:
                self.world.cancel(job_id, row.run)

    def bring_requests(self) -> None:
        """Cancel what is to be cancelled, also what Redis does not know, as jobs/cancel.py does."""
        for job_id in self.world.cancel_known():
            self.world.push_recovered(job_id)
