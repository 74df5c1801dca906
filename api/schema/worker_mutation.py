"""Mutations of workers: what operators want a running one to be like. What cannot be done is answered as data."""

from __future__ import annotations

from collections.abc import Awaitable

import strawberry

from api.context import Info
from api.schema.enqueue_input import input_path
from api.schema.error import UserError, user_error
from api.schema.worker import Worker, session_of
from jobs.errors import RequestError
from jobs.queries.worker import Worker as WorkerRecord


@strawberry.input
class WorkerUpdateInput:
    """What to change of a running worker. It keeps it until its process ends."""

    id: strawberry.ID
    """Id of the worker, or its session."""
    concurrency: int | None = None
    """Jobs that it is to run at a time, 1 to 10,000; as it is where it is left out. What runs goes on."""
    queues: list[str] | None = None
    """Names of the queues that it is to serve, 1 to 100 of them; as they are where it is left out."""


@strawberry.input
class WorkerQuietInput:
    """Which worker is to take no new jobs."""

    id: strawberry.ID
    """Id of the worker, or its session."""


@strawberry.input
class WorkerResumeInput:
    """Which worker is to take jobs again."""

    id: strawberry.ID
    """Id of the worker, or its session."""


@strawberry.input
class WorkerStopInput:
    """Which worker is to stop."""

    id: strawberry.ID
    """Id of the worker, or its session."""


@strawberry.type
class WorkerUpdatePayload:
    """What became of a worker that was to be changed."""

    worker: WorkerRecord | None = strawberry.field(graphql_type=Worker | None, default=None)
    """The worker as it is now; `wanted` says what it is about to be like."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


@strawberry.type
class WorkerQuietPayload:
    """What became of a worker that was to take no new jobs."""

    worker: WorkerRecord | None = strawberry.field(graphql_type=Worker | None, default=None)
    """The worker as it is now; `wanted` says what it is about to be like."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


@strawberry.type
class WorkerResumePayload:
    """What became of a worker that was to take jobs again."""

    worker: WorkerRecord | None = strawberry.field(graphql_type=Worker | None, default=None)
    """The worker as it is now; `wanted` says what it is about to be like."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


@strawberry.type
class WorkerStopPayload:
    """What became of a worker that was to stop."""

    worker: WorkerRecord | None = strawberry.field(graphql_type=Worker | None, default=None)
    """The worker as it is now; it is gone once its jobs have ended."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


async def _answer(command: Awaitable[WorkerRecord]) -> tuple[WorkerRecord | None, list[UserError]]:
    try:
        return await command, []
    except RequestError as error:
        return None, [user_error(error, input_path(error))]


@strawberry.type
class WorkerMutation:
    """Mutations of workers."""

    @strawberry.mutation(graphql_type=WorkerUpdatePayload | None)
    async def worker_update(self, info: Info, input: WorkerUpdateInput) -> WorkerUpdatePayload:
        """Change how many jobs a running worker runs at a time, and which queues it serves, within about a second.

        Args:
            input: Which worker, and what to change.
        """
        update = info.context.client.commands.worker.update
        worker, errors = await _answer(
            update(info.context.viewer, session_of(input.id), concurrency=input.concurrency, queues=input.queues)
        )
        return WorkerUpdatePayload(worker=worker, user_errors=errors)

    @strawberry.mutation(graphql_type=WorkerQuietPayload | None)
    async def worker_quiet(self, info: Info, input: WorkerQuietInput) -> WorkerQuietPayload:
        """Let a worker take no new jobs, and go on with those that it runs. Before a deploy, say.

        Args:
            input: Which worker.
        """
        quiet = info.context.client.commands.worker.quiet
        worker, errors = await _answer(quiet(info.context.viewer, session_of(input.id)))
        return WorkerQuietPayload(worker=worker, user_errors=errors)

    @strawberry.mutation(graphql_type=WorkerResumePayload | None)
    async def worker_resume(self, info: Info, input: WorkerResumeInput) -> WorkerResumePayload:
        """Let a quiet worker take jobs again.

        Args:
            input: Which worker.
        """
        resume = info.context.client.commands.worker.resume
        worker, errors = await _answer(resume(info.context.viewer, session_of(input.id)))
        return WorkerResumePayload(worker=worker, user_errors=errors)

    @strawberry.mutation(graphql_type=WorkerStopPayload | None)
    async def worker_stop(self, info: Info, input: WorkerStopInput) -> WorkerStopPayload:
        """End a worker's process in order: its jobs may end within its grace, the rest is given back to its queues.

        What keeps the process running (`queueql up`, a service manager) starts a new one, as it was configured.
        To take a worker out of service for longer, make it quiet instead.

        Args:
            input: Which worker.
        """
        stop = info.context.client.commands.worker.stop
        worker, errors = await _answer(stop(info.context.viewer, session_of(input.id)))
        return WorkerStopPayload(worker=worker, user_errors=errors)
