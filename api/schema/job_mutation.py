"""Mutations of jobs: enqueue, cancel, retry. What cannot be done is answered as data."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import strawberry

from api.context import Context, Info
from api.schema.enqueue_input import JobEnqueueInput, input_path
from api.schema.error import UserError, user_error
from api.schema.job import Job
from jobs import job as vocabulary
from jobs.commands.request import ENQUEUE_MANY_MAX, Enqueued, EnqueueRequest
from jobs.errors import IdempotencyMismatch, InvalidOption, InvalidState, RequestError, Unavailable
from jobs.viewer import Viewer

Told = Callable[[RequestError], tuple[str, list[str]]]
"""Message and path of a refusal, in the names of the input."""
"""The path of a refusal, in the names of the input."""


@strawberry.type
class JobEnqueuePayload:
    """What became of one job that was to be enqueued."""

    job: vocabulary.Job | None = strawberry.field(graphql_type=Job | None, default=None)
    """The accepted job, or the one that a key led to; null where the request was refused."""
    is_duplicate: bool = False
    """Whether a key led to a job that existed already; nothing was enqueued then."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


@strawberry.type
class JobsEnqueuePayload:
    """What became of many jobs that were to be enqueued."""

    results: list[JobEnqueuePayload] = strawberry.field(default_factory=list)
    """One result for each job of the input, in its order; empty where the whole call was refused."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the whole call was refused; the refusals of single jobs are in their results."""


@strawberry.type
class JobCancelPayload:
    """What became of a job that was to be cancelled."""

    job: vocabulary.Job | None = strawberry.field(graphql_type=Job | None, default=None)
    """
    The job: CANCELLED, or with `cancelRequested` until its worker has stopped it, or until the broker can be reached.

    The request is written down before this is answered, and is not lost.
    """
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


@strawberry.type
class JobRetryPayload:
    """What became of a job that was to be retried."""

    job: vocabulary.Job | None = strawberry.field(graphql_type=Job | None, default=None)
    """The job, in its next run."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


@strawberry.input
class JobsEnqueueInput:
    """Jobs to accept, each by itself: one that is refused does not stop the others."""

    jobs: list[JobEnqueueInput]
    """At most 1,000 jobs."""


@strawberry.input
class JobCancelInput:
    """Which job to cancel."""

    id: strawberry.ID
    """Id of the job."""


@strawberry.input
class JobRetryInput:
    """Which job to retry."""

    id: strawberry.ID
    """Id of the job."""


async def enqueue(context: Context, request: Callable[[], EnqueueRequest], told: Told) -> JobEnqueuePayload:
    """Enqueue one job; a refusal becomes data."""
    try:
        accepted = await context.client.commands.job.enqueue(context.viewer, request())
    except RequestError as error:
        return await _refused(context, error, told)
    return JobEnqueuePayload(job=accepted.job, is_duplicate=accepted.duplicate)


async def enqueue_many(context: Context, inputs: Sequence[JobEnqueueInput]) -> list[JobEnqueuePayload]:
    """Enqueue jobs, each by itself. Raises RequestError where the whole call is refused."""
    if len(inputs) > ENQUEUE_MANY_MAX:
        raise InvalidOption(f"At most {ENQUEUE_MANY_MAX:,} jobs fit into one call; split it.", path=("jobs",))
    requests: list[EnqueueRequest] = []
    answers: list[Enqueued | RequestError | None] = []
    for one in inputs:
        try:
            requests.append(one.read(one.task, _args(one)))
            answers.append(None)
        except RequestError as error:
            answers.append(error)
    accepted = iter(await context.client.commands.job.enqueue_many(context.viewer, requests))
    known = [next(accepted) if answer is None else answer for answer in answers]
    return list(await asyncio.gather(*(_payload(context, answer) for answer in known)))


def _args(one: JobEnqueueInput) -> object:
    return {} if one.args is None else one.args


async def _payload(context: Context, answer: Enqueued | RequestError) -> JobEnqueuePayload:
    if isinstance(answer, RequestError):
        return await _refused(context, answer, as_it_is)
    return JobEnqueuePayload(job=answer.job, is_duplicate=answer.duplicate)


def as_it_is(error: RequestError) -> tuple[str, list[str]]:
    """Tell a refusal in the names that the doors have."""
    return str(error), input_path(error)


async def _refused(context: Context, error: RequestError, told: Told) -> JobEnqueuePayload:
    holder = error.job_id if isinstance(error, IdempotencyMismatch) else ""
    job = await _as_it_is(context, holder) if holder else None
    message, path = told(error)
    return JobEnqueuePayload(user_errors=[user_error(error, path, job, message=message)])


async def _change(
    context: Context, job_id: str, command: Callable[[Viewer, str], Awaitable[vocabulary.Job]]
) -> tuple[vocabulary.Job | None, list[UserError]]:
    """Run a command on one job; a refusal becomes data, together with the job as it is."""
    try:
        return await command(context.viewer, job_id), []
    except InvalidState as error:
        return None, [user_error(error, input_path(error), await _as_it_is(context, job_id))]
    except RequestError as error:
        return None, [user_error(error, input_path(error))]


async def _as_it_is(context: Context, job_id: str) -> vocabulary.Job | None:
    try:
        return await context.loaders.jobs.load(job_id)
    except Unavailable:
        return None  # the refusal itself matters more than what illustrates it


@strawberry.type
class JobMutation:
    """Mutations of jobs."""

    @strawberry.mutation(graphql_type=JobEnqueuePayload | None)
    async def job_enqueue(self, info: Info, input: JobEnqueueInput) -> JobEnqueuePayload:
        """Enqueue a job of any task. Tasks have mutations of their own too, whose arguments are typed, in camelCase.

        Args:
            input: The job.
        """
        return await enqueue(info.context, lambda: input.read(input.task, _args(input)), as_it_is)

    @strawberry.mutation(graphql_type=JobsEnqueuePayload | None)
    async def jobs_enqueue(self, info: Info, input: JobsEnqueueInput) -> JobsEnqueuePayload:
        """Enqueue up to 1,000 jobs in one call, each by itself.

        Args:
            input: The jobs.
        """
        try:
            return JobsEnqueuePayload(results=await enqueue_many(info.context, input.jobs))
        except RequestError as error:
            return JobsEnqueuePayload(user_errors=[user_error(error, input_path(error))])

    @strawberry.mutation(graphql_type=JobCancelPayload | None)
    async def job_cancel(self, info: Info, input: JobCancelInput) -> JobCancelPayload:
        """Cancel a job: at once while it waits; one that runs is asked to stop.

        Args:
            input: Which job.
        """
        job, errors = await _change(info.context, input.id, info.context.client.commands.job.cancel)
        return JobCancelPayload(job=job, user_errors=errors)

    @strawberry.mutation(graphql_type=JobRetryPayload | None)
    async def job_retry(self, info: Info, input: JobRetryInput) -> JobRetryPayload:
        """Run a DEAD or CANCELLED job again, as its next run.

        Args:
            input: Which job.
        """
        job, errors = await _change(info.context, input.id, info.context.client.commands.job.retry)
        return JobRetryPayload(job=job, user_errors=errors)
