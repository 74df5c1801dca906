"""How an attempt ended, as small values: the worker decides one, the broker applies it."""

from __future__ import annotations

import msgspec

from jobs.job import Failure, Reason


class Complete(msgspec.Struct, frozen=True):
    """The task returned; `result` is JSON."""

    result: str


class RetryLater(msgspec.Struct, frozen=True):
    """The task failed and has attempts left."""

    error: Failure
    delay_ms: int


class Snooze(msgspec.Struct, frozen=True):
    """The task asked to be run again after the delay; the attempt is not counted."""

    delay_ms: int


class Release(msgspec.Struct, frozen=True):
    """The worker stops; another one may run the job at once; the attempt is not counted."""


class Cancel(msgspec.Struct, frozen=True):
    """The job was cancelled while it ran, or cancelled itself."""


class Die(msgspec.Struct, frozen=True):
    """The job failed for good."""

    reason: Reason
    error: Failure


class Crash(msgspec.Struct, frozen=True):
    """The process of its own that ran the job ended before the job did; the attempt is not counted, the crash is."""

    error: Failure


Outcome = Complete | RetryLater | Snooze | Release | Cancel | Die | Crash
