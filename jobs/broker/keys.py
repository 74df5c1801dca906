"""Every key in Redis, in one place. The scripts build the same names (lua/base.lua).

All share one hash tag, so that a cluster keeps them on one node.

| key                    | type   | what                                                                     |
|------------------------|--------|--------------------------------------------------------------------------|
| epoch                  | string | copy of the store's epoch; missing or lower: Redis lost its data         |
| began                  | string | when that epoch began; older pushes are late                             |
| run                    | string | run_id of the server process in which that epoch began                   |
| cleared                | string | the epoch in which Redis has dropped what history knows as ended         |
| reconciled             | string | the epoch in which Redis was last compared with the store to the end; 0: none |
| clock                  | string | offset of the clock in ms; only tests set it                             |
| job:ID                 | hash   | a job that has not ended, or whose end is not recorded yet (base.lua)    |
| done:ID                | string | run of a job that ended and is recorded; expires                         |
| quarantine:ID          | any    | what was found instead of a sound job, as it was; expires                |
| lost                   | list   | ENTRY:ID of jobs that were set aside and are not pushed again yet        |
| ready:QUEUE:PRIORITY   | zset   | ids of QUEUED jobs that nobody holds, next first                         |
| suspects:QUEUE         | zset   | the same for those whose process died twice; a session runs few at a time |
| due                    | zset   | ids of SCHEDULED and RETRYING jobs by their time                         |
| wake:QUEUE, wake::due  | list   | at most one marker: there may be work; expires                           |
| leases                 | zset   | worker sessions by the end of their lease                                |
| reaping                | set    | sessions whose jobs are being taken back                                 |
| session:SESSION        | hash   | info, vitals, wish, seen, last answer of each lane                       |
| session:SESSION:suspects | set  | ids of suspects that it holds                                          |
| held:SESSION           | set    | ids of jobs that the session reserved                                    |
| cancel:SESSION         | set    | ids of its running jobs that are to be cancelled                         |
| count:QUEUE            | hash   | jobs per live state                                                      |
| events                 | stream | what happened; field `e`                                                 |
| saq:QUEUE:KEY          | hash   | the job that holds a key of SAQ, and its notes (jobs/saq)                |
| kept:ID                | hash   | an ended job of SAQ, for its ttl                                         |
| behind                 | string | nothing is reserved until the recorder has caught up; expires            |
| finals                 | list   | ENTRY:RUN:ID of final jobs, in the order of the stream                   |
| processes              | zset   | ids of processes by when they are gone unless they are heard of again    |
| process:ID             | hash   | what a process said of itself, when first and last; of who vanished too |
| left                   | string | when a worker last ended in order                                        |
| token, turn*, reaper   | string | counters and the reaper's last call                                      |
"""

from __future__ import annotations

PREFIX = "{qq}"

EPOCH = f"{PREFIX}:epoch"
RECONCILED = f"{PREFIX}:reconciled"
CLEARED = f"{PREFIX}:cleared"
RUN = f"{PREFIX}:run"
CLOCK = f"{PREFIX}:clock"
LOST = f"{PREFIX}:lost"
EVENTS = f"{PREFIX}:events"
BEHIND = f"{PREFIX}:behind"
LEASES = f"{PREFIX}:leases"
PROCESSES = f"{PREFIX}:processes"
LEFT = f"{PREFIX}:left"
DUE = f"{PREFIX}:due"
WAKE_DUE = f"{PREFIX}:wake::due"
JOB_PATTERN = f"{PREFIX}:job:*"


def job(job_id: str) -> str:
    """Key of a job."""
    return f"{PREFIX}:job:{job_id}"


def job_id(key: bytes) -> str:
    """Id of the job that a key belongs to."""
    return key.decode().removeprefix(f"{PREFIX}:job:")


def wake(queue: str) -> str:
    """Key of the marker that a queue has work."""
    return f"{PREFIX}:wake:{queue}"


def counts(queue: str) -> str:
    """Key of a queue's counters."""
    return f"{PREFIX}:count:{queue}"


def ready(queue: str) -> list[str]:
    """Keys of all places where the runnable jobs of a queue are."""
    return [*(f"{PREFIX}:ready:{queue}:{priority}" for priority in range(5)), f"{PREFIX}:suspects:{queue}"]


def session(session_id: str) -> str:
    """Key of a worker session."""
    return f"{PREFIX}:session:{session_id}"


def held(session_id: str) -> str:
    """Key of the set of jobs that a session holds."""
    return f"{PREFIX}:held:{session_id}"


def process(process_id: str) -> str:
    """Key of what a process says of itself."""
    return f"{PREFIX}:process:{process_id}"
