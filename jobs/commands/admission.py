"""From requests to accepted jobs: checked, written by the store, and on their way to the broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from jobs.broker import Push, Pushed
from jobs.commands.arguments import Signatures
from jobs.commands.defaults import filled
from jobs.commands.options import build_spec
from jobs.commands.parts import Parts
from jobs.commands.request import Enqueued, EnqueueRequest, accepted_job
from jobs.errors import BrokerUnavailable, QueueFull, RequestError, StoreUnavailable
from jobs.job import FINAL, Durability, Job, JobSpec
from jobs.store import Accepted
from jobs.viewer import Viewer


class _Candidate(msgspec.Struct, frozen=True):
    """A checked request that asks to be accepted; `args` are its decoded arguments."""

    spec: JobSpec
    args: Any

    def enqueued(self) -> Enqueued:
        return Enqueued(job=accepted_job(self.spec, args=self.args, at_ms=self.spec.created_ms))


class Admission:
    """Turns requests into jobs. What it answers with needs no other read."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._signatures = Signatures()

    async def admit(self, viewer: Viewer, requests: Sequence[EnqueueRequest]) -> list[Enqueued | RequestError]:
        """Check and accept each request by itself; an answer for each, in order.

        Raises StoreUnavailable, and BrokerUnavailable for tasks whose durability is MEMORY. Then some of
        the requests may have been accepted; keys make it safe to repeat them.
        """
        candidates = [await self._check(viewer, request) for request in requests]
        memory = [one for one in candidates if isinstance(one, _Candidate) and _is_memory(one)]
        stored = [one for one in candidates if isinstance(one, _Candidate) and not _is_memory(one)]
        answers = await self._keep(memory) | await self._accept(stored)
        return [answers[one.spec.id] if isinstance(one, _Candidate) else one for one in candidates]

    async def _check(self, viewer: Viewer, request: EnqueueRequest) -> _Candidate | RequestError:
        try:
            definition = await self._parts.published.task(request.task)
            given = filled(request.args, definition.args_schema)
            args = self._signatures.encode(definition, given, max_bytes=self._parts.settings.payload_max_bytes)
            spec = build_spec(request, definition, job_id=self._parts.new_id(), args=args, at_ms=self._parts.clock())
        except RequestError as error:
            return error
        if spec.idempotency_key:
            # Keys of different viewers must never meet: one would be shown the other's job.
            spec = msgspec.structs.replace(spec, idempotency_key=f"{viewer.id} {spec.idempotency_key}")
        return _Candidate(spec, given)

    async def _keep(self, candidates: list[_Candidate]) -> dict[str, Enqueued | RequestError]:
        """Hand MEMORY jobs to the broker, which is all that knows them until the recorder has read of them."""
        if not candidates:
            return {}
        self._parts.store.disk.check()  # an embedded Redis writes to the same one
        try:
            answers = await self._parts.broker.push([Push(spec=one.spec) for one in candidates])
        except QueueFull as error:
            # Of many jobs the first ones may be in.
            taken = await self._parts.broker.jobs([one.spec.id for one in candidates])
            return {one.spec.id: one.enqueued() if one.spec.id in taken else error for one in candidates}
        if Pushed.LATE in answers:
            raise BrokerUnavailable("Redis was lost while the jobs were on their way; please repeat.")
        return {one.spec.id: one.enqueued() for one in candidates}

    async def _accept(self, candidates: list[_Candidate]) -> dict[str, Enqueued | RequestError]:
        if not candidates:
            return {}
        results = await self._parts.store.accept.accept_many([one.spec for one in candidates])
        pairs = list(zip(candidates, results, strict=True))
        fresh = [one for one, result in pairs if isinstance(result, Accepted) and not result.duplicate]
        self._parts.pusher.add([Push(spec=one.spec) for one in fresh])
        answers: dict[str, Enqueued | RequestError] = {one.spec.id: one.enqueued() for one in fresh}
        answers |= {one.spec.id: result for one, result in pairs if isinstance(result, RequestError)}
        taken = [(one, result) for one, result in pairs if isinstance(result, Accepted) and result.duplicate]
        if taken:
            holders = await self._parts.newest.find_many([result.job_id for _, result in taken])
            for one, result in taken:
                answers[one.spec.id] = await self._settle(one, result.job_id, holders.get(result.job_id))
        return answers

    async def _settle(self, candidate: _Candidate, holder_id: str, holder: Job | None) -> Enqueued | RequestError:
        """Decide about a key that is taken: a holder that has ended, even if unrecorded as yet, gives it up."""
        if holder and not (candidate.spec.key and holder.state in FINAL):
            return Enqueued(job=holder, duplicate=True)
        try:
            accepted = await self._parts.store.accept.accept(candidate.spec, released=frozenset({holder_id}))
        except RequestError as error:
            return error
        if not accepted.duplicate:
            self._parts.pusher.add([Push(spec=candidate.spec)])
            return candidate.enqueued()
        holder = await self._parts.newest.find(accepted.job_id)
        if holder is None:
            raise StoreUnavailable("The job that held the key was removed at this moment; please repeat.")
        return Enqueued(job=holder, duplicate=True)


def _is_memory(candidate: _Candidate) -> bool:
    return candidate.spec.durability is Durability.MEMORY
