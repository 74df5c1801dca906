"""Rescuing stuck jobs through the API."""

from __future__ import annotations

from jobs.client import Client
from jobs.clock import now_ms
from tests.api.caller import Caller
from tests.api.clock import ShiftedClock
from tests.api.jobs_of import enqueue
from tests.factories import make_spec

RESCUE = """
mutation ($input: JobsRescueStuckInput) {
  jobsRescueStuck(input: $input) {
    rescued { jobId reason job { id state } } totalCount isComplete
    userErrors { __typename code field }
  }
}
"""


async def test_stuck_jobs_are_named_with_their_reason(api: Caller, client: Client, clock: ShiftedClock) -> None:
    await enqueue(api)
    spec = make_spec(created_ms=now_ms())
    await client.store.accept.accept(spec)
    assert (await api.data(RESCUE))["jobsRescueStuck"] == {
        "rescued": [], "totalCount": 0, "isComplete": True, "userErrors": [],
    }  # fmt: skip
    clock.advance_s += 10
    assert (await api.data(RESCUE, input={"within": "PT20S"}))["jobsRescueStuck"] == {
        "rescued": [{"jobId": spec.id, "reason": "NEVER_QUEUED", "job": {"id": spec.id, "state": "QUEUED"}}],
        "totalCount": 1,
        "isComplete": True,
        "userErrors": [],
    }
    assert (await api.data(RESCUE, input={}))["jobsRescueStuck"]["totalCount"] == 0


async def test_what_is_refused(api: Caller, reader: Caller) -> None:
    for within in ("PT0S", "PT31S"):
        payload = (await api.data(RESCUE, input={"within": within}))["jobsRescueStuck"]
        assert payload == {
            "rescued": [], "totalCount": 0, "isComplete": False,
            "userErrors": [{"__typename": "ValidationError", "code": "INVALID_OPTION", "field": "within"}],
        }  # fmt: skip
    (error,) = (await reader.data(RESCUE))["jobsRescueStuck"]["userErrors"]
    assert error["code"] == "FORBIDDEN"
