"""Jobs as they were accepted, from what Redis has of them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobs.broker import keys
from jobs.broker.queue import Broker
from jobs.job import JobSpec

_spec = msgspec.json.Decoder(JobSpec)


async def specs(broker: Broker, ids: Sequence[str]) -> list[JobSpec]:
    """Return those of the jobs that Redis has and that can be read. Raises BrokerUnavailable."""
    async with broker.client.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            pipeline.hget(keys.job(job_id), "b")
        texts = await broker.ask(pipeline.execute(raise_on_error=False)) if ids else []
    found = []
    for text in texts:
        try:
            if isinstance(text, bytes):
                found.append(_spec.decode(text))
        except ValueError:
            continue  # whichever script reads it next sets it aside
    return found
