"""Making jobs and looking at them through the API."""

from __future__ import annotations

from typing import Any

from tests.api.caller import Caller

ENQUEUE = """
mutation ($input: JobEnqueueInput!) {
  jobEnqueue(input: $input) {
    job { id }
    isDuplicate
    userErrors {
      __typename message field code
      ... on ValidationError { path }
      ... on DuplicateJobError { existingJob { id } }
    }
  }
}
"""


async def enqueue(api: Caller, task: str = "noop", **given: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.data(ENQUEUE, input={"task": task, **given}))["jobEnqueue"]
    return payload


async def job_of(api: Caller, job_id: str, fields: str) -> dict[str, Any]:
    job: dict[str, Any] = (await api.data(f"query ($id: ID!) {{job(id: $id) {{{fields}}}}}", id=job_id))["job"]
    return job
