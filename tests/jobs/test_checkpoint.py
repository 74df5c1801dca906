"""A checkpoint outlives the Redis that it was saved in."""

from __future__ import annotations

from jobs.broker import Report
from jobs.client import Client
from jobs.job import Progress
from jobs.services.reconciler import Reconciler
from jobs.services.recorder import Recorder
from tests.factories import make_spec
from tests.jobs.hand import Hand


async def test_a_checkpoint_is_there_again_after_redis_was_wiped(client: Client, hand: Hand) -> None:
    spec = make_spec()
    await client.store.accept.accept(spec)
    reconciler = Reconciler(client.store, client.broker, clock=lambda: spec.created_ms + 3_600_000)
    await reconciler.turn()
    job = await hand.start()
    assert (job.id, job.checkpoint) == (spec.id, "")
    reports = [Report(id=job.id, token=job.token, progress=Progress(done=1), checkpoint='{"value":1}')]
    assert await hand.session.report(reports) == frozenset()
    await hand.record()
    await client.broker.client.flushall()
    await reconciler.turn()
    other = await Hand.open(client, Recorder(client.store, client.broker))
    again = await other.start()
    assert (again.id, again.attempt, again.checkpoint) == (spec.id, 2, '{"value":1}')
    await other.close()
