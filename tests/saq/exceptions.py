"""SAQ's own tests that must not pass here: which, and the fault that passing would bring back."""

from __future__ import annotations

EXCEPTIONS = {
    "TestRedisQueue.test_abort": (
        "looks for the mark that SAQ sets beside a job when it aborts it: two keys, which a crash leaves half done, so "
        "that a job is aborting for ever. Ours is a flag of the job. All that the test asks before its last line holds."
    ),
    "TestRedisQueue.test_enqueue_scheduled": (
        "looks into SAQ's list of incomplete jobs: a second account of what is waiting, which a sweeper that dies "
        "between two calls leaves without a job that exists. Its counts, asked before, hold."
    ),
    "TestRedisQueue.test_finish_ttl_neutral": (
        "asks for the expiry of SAQ's key of the job, one record that whoever comes last overwrites, a stale worker "
        "too. What ttl=0 means holds, and tests/jobs/saq/test_both_workers.py shows how long a job can be read."
    ),
    "TestRedisQueue.test_schedule": (
        "wants a job that is due when it is enqueued to wait for some worker's next call of schedule(): with no worker "
        "alive that never comes, and the job never becomes runnable."
    ),
    "TestRedisQueue.test_stats": (
        "ends one job as aborted, failed and complete, and wants all three counted: a final state would not be final, "
        "and what comes last would overwrite a result."
    ),
    "TestRedisQueue.test_sweep": (
        "wants jobs swept that have run for longer than their timeout by the clock of whoever sweeps: with that clock "
        "30 seconds ahead, healthy jobs are stopped. Here the lease decides, by the clock of Redis."
    ),
    "TestWorkerRedisQueue.test_cron": (
        "wants a worker's call of schedule() to be what makes the job runnable: where that worker is dead or late, "
        "due jobs wait. Here every lane does it, and nothing is left to log. Behind HTTP, where it does not ask for "
        "the line in the log, the test passes."
    ),
}
"""Under SAQ's own worker and under ours."""

EXCEPTIONS_OF_OURS = {
    "TestWorkerRedisQueue.test_sweep_abort": (
        "wants a job stopped because its function has not called update() for its heartbeat: one that computes for "
        "longer than that is taken for dead, and runs twice. Here the worker's lease says that it is alive."
    ),
}
"""Under our worker only."""
