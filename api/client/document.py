"""Everything that the command line asks of the API. A test validates each document against schema.graphql."""

from __future__ import annotations

_FAILURE = "fragment FailureParts on Failure { type message stack }"

_PROGRESS = "fragment ProgressParts on Progress { done total percentage step message failed estimatedEndAt updatedAt }"

_ROW = """
fragment JobRow on Job {
  id task queue state reason priority key owner tags run attemptCount maxAttempts crashes cancelRequested
  createdAt scheduledAt startedAt finishedAt updatedAt worker
  progress { ...ProgressParts }
  error { ...FailureParts }
}
"""

_JOB = """
fragment JobParts on Job {
  ...JobRow
  args metadata result retryOf recoveries durability timeout version viewerCanCancel viewerCanRetry
  backoff { kind base factor max jitter }
}
"""

_LINE = "fragment LineParts on LogLine { at level message context stack run attempt }"

_ATTEMPT = """
fragment AttemptParts on Attempt { run number state startedAt finishedAt duration worker error { ...FailureParts } }
"""

_WORKER = """
fragment WorkerParts on Worker {
  id session host pid state active concurrency queues tasks cpu memoryBytes loopLag isResponding finished failed
  startedAt seenAt fetchedAt version
  blockedBy { id task }
  runningJobs { jobId task startedAt }
  wanted { concurrency queues isQuiet isStopping }
}
"""

_TASK = """
fragment TaskParts on Task {
  name description queue priority maxAttempts timeout durability mutation argsSchema resultSchema
  backoff { kind base factor max jitter }
}
"""

_REFUSAL = "fragment Refusal on UserError { code message field }"

_ROW_PARTS = _ROW + _PROGRESS + _FAILURE
_JOB_PARTS = _JOB + _ROW_PARTS

JOB_ENQUEUE = (
    """
mutation JobEnqueue($input: JobEnqueueInput!) {
  jobEnqueue(input: $input) {
    job { ...JobParts } isDuplicate
    userErrors { ...Refusal ... on DuplicateJobError { existingJob { id } } }
  }
}
"""
    + _JOB_PARTS
    + _REFUSAL
)

JOB_LIST = (
    """
query JobList($where: JobWhere, $first: Int!, $after: Cursor, $orderBy: JobOrder, $all: Boolean!, $count: Boolean!) {
  jobs(where: $where, first: $first, after: $after, orderBy: $orderBy) {
    nodes { ...JobRow ...JobParts @include(if: $all) }
    pageInfo { hasNextPage endCursor }
    totalCount @include(if: $count) { value precision }
  }
}
"""
    + _JOB_PARTS
)

JOB_SHOW = (
    """
query JobShow($id: ID!, $lines: Int!) {
  job(id: $id) {
    ...JobParts
    attempts(last: 100) { nodes { ...AttemptParts } pageInfo { hasPreviousPage } }
    logs(last: $lines) { nodes { ...LineParts } pageInfo { hasPreviousPage } }
  }
}
"""
    + _JOB_PARTS
    + _ATTEMPT
    + _LINE
)

JOB_LOGS = (
    """
query JobLogs($id: ID!, $after: Cursor, $level: LogLevel!) {
  job(id: $id) {
    logs(first: 100, after: $after, levelMin: $level) {
      nodes { ...LineParts }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""
    + _LINE
)

LOG_LIVE = (
    """
subscription LogLive($id: ID!, $after: Cursor, $level: LogLevel!) {
  jobLogs(id: $id, after: $after, levelMin: $level) { edges { cursor node { ...LineParts } } }
}
"""
    + _LINE
)

JOB_LIVE = "subscription JobLive($id: ID!) { job(id: $id) { ...JobParts } }" + _JOB_PARTS

JOB_RETRY = (
    """
mutation JobRetry($id: ID!) {
  jobRetry(input: { id: $id }) { job { ...JobParts } userErrors { ...Refusal } }
}
"""
    + _JOB_PARTS
    + _REFUSAL
)

JOB_CANCEL = (
    """
mutation JobCancel($id: ID!) {
  jobCancel(input: { id: $id }) { job { ...JobParts } userErrors { ...Refusal } }
}
"""
    + _JOB_PARTS
    + _REFUSAL
)

JOB_RESCUE = (
    """
mutation JobRescue($within: Duration!) {
  jobsRescueStuck(input: { within: $within }) {
    rescued { jobId reason job { task state } } totalCount isComplete
    userErrors { ...Refusal }
  }
}
"""
    + _REFUSAL
)

_COUNTS = "fragment CountParts on QueueCounts { queued scheduled active retrying blocked }"

QUEUE_LIST = (
    """
query QueueList($after: Cursor) {
  queues(first: 100, after: $after) {
    nodes { name counts { ...CountParts } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
    + _COUNTS
)

QUEUE_SHOW = (
    """
query QueueShow($name: String!) {
  queue(name: $name) { name counts { ...CountParts } }
  workers(first: 100) { nodes { ...WorkerParts } }
}
"""
    + _COUNTS
    + _WORKER
)

TASK_LIST = (
    """
query TaskList($after: Cursor) {
  tasks(first: 100, after: $after) { nodes { ...TaskParts } pageInfo { hasNextPage endCursor } }
}
"""
    + _TASK
)

TASK_SHOW = "query TaskShow($name: String!) { task(name: $name) { ...TaskParts } }" + _TASK

WORKER_LIST = (
    """
query WorkerList($after: Cursor) {
  workers(first: 100, after: $after) { nodes { ...WorkerParts } pageInfo { hasNextPage endCursor } }
}
"""
    + _WORKER
)

WORKER_SHOW = "query WorkerShow($id: ID!) { worker(id: $id) { ...WorkerParts } }" + _WORKER

WORKER_LIVE = "subscription WorkerLive($id: ID!) { worker(id: $id) { ...WorkerParts } }" + _WORKER

WORKERS_LIVE = "subscription WorkersLive { workers { totalCount nodes { ...WorkerParts } } }" + _WORKER

WORKER_UPDATE = (
    """
mutation WorkerUpdate($input: WorkerUpdateInput!) {
  workerUpdate(input: $input) { worker { ...WorkerParts } userErrors { ...Refusal } }
}
"""
    + _WORKER
    + _REFUSAL
)

WORKER_QUIET = (
    """
mutation WorkerQuiet($id: ID!) {
  workerQuiet(input: { id: $id }) { worker { ...WorkerParts } userErrors { ...Refusal } }
}
"""
    + _WORKER
    + _REFUSAL
)

WORKER_RESUME = (
    """
mutation WorkerResume($id: ID!) {
  workerResume(input: { id: $id }) { worker { ...WorkerParts } userErrors { ...Refusal } }
}
"""
    + _WORKER
    + _REFUSAL
)

WORKER_STOP = (
    """
mutation WorkerStop($id: ID!) {
  workerStop(input: { id: $id }) { worker { ...WorkerParts } userErrors { ...Refusal } }
}
"""
    + _WORKER
    + _REFUSAL
)

EVENT_LIVE = (
    """
subscription EventLive($where: JobWhere, $jobIds: [ID!], $after: Cursor) {
  jobEvents(where: $where, jobIds: $jobIds, after: $after) {
    edges {
      cursor
      node {
        __typename jobId run version at
        job { task }
        ... on JobEnqueued { state queue priority waitsUntil recovered }
        ... on JobStarted { attempt worker }
        ... on JobProgressed { attempt progress { ...ProgressParts } }
        ... on JobLogged { attempt level message context stack }
        ... on JobCompleted { attempt result }
        ... on JobRetrying { attempt dueAt error { ...FailureParts } }
        ... on JobSnoozed { attempt dueAt }
        ... on JobReleased { attempt }
        ... on JobReaped { attempt crashes worker }
        ... on JobDied { attempt reason error { ...FailureParts } }
        ... on JobCancelled { attempt }
        ... on JobQuarantined { damage record }
      }
    }
    endCursor
    gap { reason }
  }
}
"""
    + _PROGRESS
    + _FAILURE
)

HEALTH = """
query Health {
  systemHealth {
    at
    faults { collector reason }
    queues {
      total { ...JobFigureParts }
      each { name jobs { ...JobFigureParts } }
    }
    workers { total active idle stuck slots running processedHour failedHour averageRun }
    database {
      dialect sizeBytes freeBytes walBytes connections connectionsActive connectionsMax
      poolSize poolActive poolIdle poolWaiting queries slowQueries queriesMinute averageQuery
    }
    redis {
      isConnected version uptime memoryUsedBytes memoryMaxBytes hitRate keys connections operationsPerSecond
      evicted isAppendOnly isAppendOk policy
    }
    recorder { lagEvents lag streamEntries streamBytes isHolding }
    processes {
      total { count cpu memoryBytes loopLag }
      each { kind host pid version startedAt cpu memoryBytes loopLag faults pool { size active waiting averageQuery } }
    }
    errors { deadHour notificationsFailedHour }
  }
}
fragment JobFigureParts on JobFigures { waiting delayed active blocked completed failed cancelled dead }
"""
