"""Expected failures, as data: what was asked for cannot be done, and why."""

from __future__ import annotations

from enum import StrEnum

import strawberry

from api.schema.job import Job
from jobs import errors
from jobs import job as vocabulary


@strawberry.enum
class UserErrorCode(StrEnum):
    """Why something was refused: in `userErrors`, and as `extensions.code` of errors. Stable: programs rely on it."""

    BAD_REQUEST = "BAD_REQUEST"
    """The request cannot be carried out; the message says why."""
    UNKNOWN_TASK = "UNKNOWN_TASK"
    """No worker has published a task of this name."""
    INVALID_ARGUMENTS = "INVALID_ARGUMENTS"
    """The arguments do not fit the task's signature."""
    INVALID_OPTION = "INVALID_OPTION"
    """An option is outside of what is allowed."""
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    """The arguments are larger than the largest payload allowed."""
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    """The idempotency key was used within 24 hours with other arguments."""
    NOT_FOUND = "NOT_FOUND"
    """The object does not exist, or the viewer may not see it."""
    INVALID_STATE = "INVALID_STATE"
    """The object's state does not allow this."""
    INVALID_CURSOR = "INVALID_CURSOR"
    """The cursor is not one of this list."""
    QUEUE_FULL = "QUEUE_FULL"
    """The queue has no room for another job now."""
    FORBIDDEN = "FORBIDDEN"
    """The viewer's role does not allow this."""


@strawberry.interface
class UserError:
    """A failure that the caller can do something about. Nothing was changed."""

    message: str
    """What is wrong, for people."""
    field: str | None
    """The field of the input that is at fault, where one is."""
    code: UserErrorCode
    """What is wrong, for programs."""


@strawberry.type
class ValidationError(UserError):
    """A part of the input is not acceptable."""

    path: list[str]
    """The way to the faulty part within the input, outermost name first; places in lists count from 0."""


@strawberry.type
class NotFoundError(UserError):
    """The object does not exist, or the viewer may not see it."""


@strawberry.type
class InvalidStateError(UserError):
    """The object's state does not allow this."""

    job: vocabulary.Job | None = strawberry.field(graphql_type=Job | None)
    """The job as it is, where this is about a job."""


@strawberry.type
class DuplicateJobError(UserError):
    """The idempotency key already belongs to a job with other arguments."""

    existing_job: vocabulary.Job | None = strawberry.field(graphql_type=Job | None)
    """The job that the key belongs to, if it can be shown."""


@strawberry.type
class QueueFullError(UserError):
    """The queue has no room for another job now; the same request may succeed later."""


@strawberry.type
class ForbiddenError(UserError):
    """The viewer's role does not allow this."""


@strawberry.type
class RefusedError(UserError):
    """The request cannot be carried out, for a reason that has no type of its own."""


USER_ERRORS = (
    ValidationError,
    NotFoundError,
    InvalidStateError,
    DuplicateJobError,
    QueueFullError,
    ForbiddenError,
    RefusedError,
)

_PLAIN: dict[type[errors.RequestError], type[UserError]] = {
    errors.NotFound: NotFoundError,
    errors.QueueFull: QueueFullError,
    errors.Forbidden: ForbiddenError,
}
_VALIDATION = (
    errors.UnknownTask,
    errors.InvalidArguments,
    errors.InvalidOption,
    errors.PayloadTooLarge,
    errors.InvalidCursor,
)


def user_error(
    error: errors.RequestError, path: list[str], job: vocabulary.Job | None = None, *, message: str = ""
) -> UserError:
    """Show a refusal as data. `path` and `message` are those of the error, in the names of the input.

    `job` is the one concerned.
    """
    known = error.code in UserErrorCode.__members__
    code = UserErrorCode(error.code) if known else UserErrorCode.BAD_REQUEST
    message, name = message or str(error), path[0] if path else None
    if isinstance(error, _VALIDATION):
        return ValidationError(message=message, field=name, code=code, path=path)
    if isinstance(error, errors.InvalidState):
        return InvalidStateError(message=message, field=name, code=code, job=job)
    if isinstance(error, errors.IdempotencyMismatch):
        return DuplicateJobError(message=message, field=name, code=code, existing_job=job)
    plain = _PLAIN.get(type(error), RefusedError)
    return plain(message=message, field=name, code=code)
