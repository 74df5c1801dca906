"""The mutation that makes stuck jobs runnable, and says which ones."""

from __future__ import annotations

from datetime import timedelta

import strawberry

from api.context import Info
from api.schema.enqueue_input import input_path
from api.schema.error import UserError, user_error
from api.schema.job import Job
from jobs import job as vocabulary
from jobs.commands import RescuedJob as RescuedJobRecord
from jobs.commands import RescueReason
from jobs.errors import RequestError

strawberry.enum(RescueReason)


async def rescued_job(root: strawberry.Parent[RescuedJobRecord], info: Info) -> vocabulary.Job | None:
    """The job as it is by now."""
    return await info.context.loaders.jobs.load(root.id)


@strawberry.input
class JobsRescueStuckInput:
    """How to look for stuck jobs."""

    within: timedelta = timedelta(seconds=10)
    """For about how long to look at most, up to 30 seconds."""


@strawberry.type
class RescuedJob:
    """A job that was stuck, and is not any more."""

    id: strawberry.ID = strawberry.field(name="jobId")
    """Id of the job."""
    job_now: vocabulary.Job | None = strawberry.field(name="job", resolver=rescued_job, graphql_type=Job | None)
    reason: RescueReason
    """Why it was stuck."""


@strawberry.type
class JobsRescueStuckPayload:
    """What became of looking for stuck jobs."""

    rescued: list[RescuedJobRecord] = strawberry.field(graphql_type=list[RescuedJob], default_factory=list)
    """The first 100 jobs that were rescued."""
    total_count: int = 0
    """How many jobs were rescued."""
    is_complete: bool = False
    """Whether everything was looked at; false where it took too long. What is left is found within minutes."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


@strawberry.type
class RescueMutation:
    """The mutation that rescues jobs."""

    @strawberry.mutation(graphql_type=JobsRescueStuckPayload | None)
    async def jobs_rescue_stuck(self, info: Info, input: JobsRescueStuckInput | None = None) -> JobsRescueStuckPayload:
        """Look now for jobs that nobody is about to run although they are not finished, and make them runnable.

        The same is done on a timer, so that there should be none. Jobs of workers that are alive are left alone; a
        worker counts as lost 10 seconds after its last sign of life, unless it was configured otherwise.

        Args:
            input: How long to look.
        """
        within = (input or JobsRescueStuckInput()).within.total_seconds()
        try:
            found = await info.context.client.commands.job.rescue_stuck(info.context.viewer, within)
        except RequestError as error:
            return JobsRescueStuckPayload(user_errors=[user_error(error, input_path(error))])
        return JobsRescueStuckPayload(rescued=found.jobs, total_count=found.total, is_complete=found.is_complete)
