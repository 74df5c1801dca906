"""Every error of QueueQL, in one tree; each has a stable code that clients may rely on.

QueueQLError
├── RequestError            the caller asked for something that cannot be done; nothing was changed
│   ├── UnknownTask         UNKNOWN_TASK
│   ├── InvalidArguments    INVALID_ARGUMENTS
│   ├── InvalidOption       INVALID_OPTION
│   ├── PayloadTooLarge     PAYLOAD_TOO_LARGE
│   ├── IdempotencyMismatch IDEMPOTENCY_MISMATCH
│   ├── NotFound            NOT_FOUND
│   ├── InvalidState        INVALID_STATE
│   ├── InvalidCursor       INVALID_CURSOR
│   ├── QueueFull           QUEUE_FULL
│   └── Forbidden           FORBIDDEN
├── Unavailable             a part that is needed does not answer; the same request may succeed later
│   ├── StoreUnavailable    STORE_UNAVAILABLE
│   │   └── DiskFull        DISK_FULL
│   └── BrokerUnavailable   BROKER_UNAVAILABLE
├── Stale                   STALE: the job was taken over, or is no longer in the state that was assumed
├── EpochChanged            EPOCH_CHANGED: Redis was started anew, replaced, or lost its data
├── StartError              a process cannot start; one sentence and an exit code
│   ├── SettingInvalid      exit code 2
│   ├── PortTaken           3
│   ├── DataFolderTaken     4
│   ├── RedisUnreachable    5
│   ├── RedisEvicts         6
│   ├── DatabaseUnreachable 7
│   ├── SchemaBehind        8
│   ├── SchemaAhead         9
│   ├── TasksNotFound       10
│   ├── PackageShadowed     11
│   └── TaskInvalid         12
├── BackupError             BACKUP: a backup cannot be made, read or restored; one sentence and an exit code
│   ├── BackupInvalid       18
│   ├── DatabaseInUse       19
│   └── BackupFailed        22
└── CommandError            a command could not do at the API what it was told; one sentence and an exit code
    ├── ApiUnreachable      13
    ├── TokenRefused        14
    ├── Refused             15
    ├── Missing             16
    └── ApiFault            17
"""

from __future__ import annotations

from typing import ClassVar


class QueueQLError(Exception):
    """Base of all errors that QueueQL raises on purpose. `code` is stable, the message is for people."""

    code: ClassVar[str] = "INTERNAL"


class RequestError(QueueQLError):
    """What was asked for cannot be done and nothing was changed.

    `path` leads to the faulty part of the request, outermost name first: `("args", "to")`.
    """

    code = "BAD_REQUEST"

    def __init__(self, message: str, *, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


class UnknownTask(RequestError):
    """No worker has published a task of this name."""

    code = "UNKNOWN_TASK"


class InvalidArguments(RequestError):
    """The arguments do not fit the task's signature; `path` begins with `args`."""

    code = "INVALID_ARGUMENTS"


class InvalidOption(RequestError):
    """An option of a command (queue, time, attempts, tags ...) is outside of what is allowed."""

    code = "INVALID_OPTION"


class PayloadTooLarge(RequestError):
    """The arguments of a job exceed the largest payload that the settings allow."""

    code = "PAYLOAD_TOO_LARGE"


class IdempotencyMismatch(RequestError):
    """The idempotency key was used within 24 hours with other arguments. `job_id` is the job that it belongs to."""

    code = "IDEMPOTENCY_MISMATCH"

    def __init__(self, message: str, *, path: tuple[str | int, ...] = (), job_id: str = "") -> None:
        super().__init__(message, path=path)
        self.job_id = job_id


class NotFound(RequestError):
    """The object does not exist, or the viewer may not see it."""

    code = "NOT_FOUND"


class InvalidState(RequestError):
    """The state of a job or worker does not allow what was asked for."""

    code = "INVALID_STATE"


class InvalidCursor(RequestError):
    """A cursor that this API did not issue, or one of another list or order."""

    code = "INVALID_CURSOR"


class QueueFull(RequestError):
    """Redis has no room for a job of a queue whose durability is MEMORY."""

    code = "QUEUE_FULL"


class Forbidden(RequestError):
    """The viewer's role does not allow this command."""

    code = "FORBIDDEN"


class Unavailable(QueueQLError):
    """A part that this request needs does not answer now; the same request may succeed later."""

    code = "UNAVAILABLE"


class StoreUnavailable(Unavailable):
    """The database cannot be reached or refuses to write."""

    code = "STORE_UNAVAILABLE"


class DiskFull(StoreUnavailable):
    """The disk of the database has no room, or too little of it to take new jobs in."""

    code = "DISK_FULL"


class BrokerUnavailable(Unavailable):
    """Redis cannot be reached or refuses to write."""

    code = "BROKER_UNAVAILABLE"


class Stale(QueueQLError):
    """Somebody else owns the job by now, or its state changed first. What was sent had no effect."""

    code = "STALE"


class EpochChanged(QueueQLError):
    """Redis was started anew, replaced, or lost its data. The reconciler fills it; repeat with the new epoch."""

    code = "EPOCH_CHANGED"


class StartError(QueueQLError):
    """A process cannot start. The message is one sentence that names the cause and the remedy."""

    code = "START"
    exit_code: ClassVar[int] = 1


class SettingInvalid(StartError):
    """A setting has a value that is not allowed, or its name is unknown."""

    exit_code = 2


class PortTaken(StartError):
    """Another process listens on the address."""

    exit_code = 3


class DataFolderTaken(StartError):
    """Another QueueQL runs on the same data folder."""

    exit_code = 4


class RedisUnreachable(StartError):
    """Redis does not answer at the configured URL."""

    exit_code = 5


class RedisEvicts(StartError):
    """Redis has an eviction policy, so it would drop jobs when its memory is full."""

    exit_code = 6


class DatabaseUnreachable(StartError):
    """The database does not answer at the configured URL."""

    exit_code = 7


class SchemaBehind(StartError):
    """The database is older than the code; `queueql migrate` brings it up to date."""

    exit_code = 8


class SchemaAhead(StartError):
    """The database was migrated by a newer version of QueueQL."""

    exit_code = 9


class TasksNotFound(StartError):
    """A module named by --tasks or QUEUEQL_TASKS cannot be imported."""

    exit_code = 10


class PackageShadowed(StartError):
    """A package `jobs` or `api` in the user's folder hides QueueQL's own."""

    exit_code = 11


class TaskInvalid(StartError):
    """A task's signature or options cannot be published: what is wrong, and what to write instead."""

    exit_code = 12


class BackupError(QueueQLError):
    """A backup cannot be made, read or restored. The message is one sentence; the database is as it was."""

    code = "BACKUP"
    exit_code: ClassVar[int] = 1


class BackupInvalid(BackupError):
    """The file is no backup, is damaged, is of another kind of database, or of a newer QueueQL."""

    exit_code = 18


class DatabaseInUse(BackupError):
    """Something is still running on the database that is to be replaced."""

    exit_code = 19


class BackupFailed(BackupError):
    """A program, a permission or room that a backup needs is not there."""

    exit_code = 22


class CommandError(QueueQLError):
    """A command of the command line could not do at the API what it was told. The message is one sentence."""

    code = "COMMAND"
    exit_code: ClassVar[int] = 1


class ApiUnreachable(CommandError):
    """Nothing answers where the API should be."""

    exit_code = 13


class TokenRefused(CommandError):
    """There is no token, or the API does not accept it."""

    exit_code = 14


class Refused(CommandError):
    """The API refused the request; nothing was changed. `reason` is the API's stable code."""

    exit_code = 15

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class Missing(Refused):
    """The API knows no object of this id or name."""

    exit_code = 16


class ApiFault(CommandError):
    """The API answered that it cannot answer now, or with what is no answer."""

    exit_code = 17
