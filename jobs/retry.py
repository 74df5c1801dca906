"""What happens after an attempt failed. Pure: the worker asks, and gets a small value back.

Delays are in seconds where authors write them and in milliseconds inside.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import timedelta

import msgspec

from jobs import outcome
from jobs.job import Backoff, BackoffKind, Failure, Reason

MESSAGE_MAX = 4_096
"""Longest message of a Failure, in characters."""
STACK_MAX = 16_384
"""Longest stack of a Failure, in characters; what is cut is its middle."""
DELAY_MAX_S = 366 * 86_400.0

Random = Callable[[], float]
"""Draws from 0 (included) to 1 (excluded)."""
Delay = float | timedelta
"""Seconds, or a timedelta."""


class Retry(Exception):
    """Raise it in a task to end the attempt as failed, and to say when the next one may begin.

    `delay` (seconds or a timedelta) replaces the task's backoff. The attempt counts: after the last
    one the job is DEAD. Raise it `from` the error that was the cause to keep that in the history.
    """

    def __init__(self, delay: Delay | None = None, message: str = "The task asked to be retried.") -> None:
        super().__init__(message)
        self.delay_ms = None if delay is None else _milliseconds(delay)


class Snooze(Exception):
    """Raise it in a task to be run again after `delay` (seconds or a timedelta). The attempt does not count."""

    def __init__(self, delay: Delay) -> None:
        super().__init__(f"The task asked to be run again after {delay}.")
        self.delay_ms = _milliseconds(delay)


class Cancel(Exception):
    """Raise it in a task to end the job as CANCELLED. The message goes to the job's log."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)


class NotRetryable(Exception):
    """Raise it, or a class derived from it, in a task to end the job as DEAD, whatever attempts it has left.

    The same holds for any exception whose class has the attribute `no_retry = True`, and for the
    classes named by the task's option `no_retry`.
    """

    no_retry = True


def exponential(base_s: float = 1.0, *, factor: float = 2.0, cap: float = 86_400.0, jitter: float = 0.1) -> Backoff:
    """Wait `base_s * factor ** (n - 1)` seconds after the n-th failure: `exponential(5, factor=5)` is 5, 25, 125.

    `cap` is the longest delay in seconds; `jitter` (0 to 1) is the part of each delay that is drawn
    at random. Raises ValueError.
    """
    return _checked(BackoffKind.EXPONENTIAL, base_s, factor, cap, jitter)


def linear(base_s: float = 1.0, *, cap: float = 86_400.0, jitter: float = 0.1) -> Backoff:
    """Wait `base_s * n` seconds after the n-th failure; `cap` and `jitter` as in `exponential`."""
    return _checked(BackoffKind.LINEAR, base_s, 1.0, cap, jitter)


def fixed(delay_s: float = 1.0, *, jitter: float = 0.0) -> Backoff:
    """Wait the same time in seconds after each failure; `jitter` as in `exponential`."""
    return _checked(BackoffKind.FIXED, delay_s, 1.0, max(delay_s, 86_400.0), jitter)


def _checked(kind: BackoffKind, base_s: float, factor: float, cap: float, jitter: float) -> Backoff:
    if not 0 <= base_s <= DELAY_MAX_S or not 0 <= cap <= DELAY_MAX_S:
        raise ValueError(f"A backoff's delays are between 0 and {DELAY_MAX_S:.0f} seconds.")
    if not 1 <= factor <= 100:
        raise ValueError(f"A backoff's factor is between 1 and 100, not {factor}.")
    if not 0 <= jitter <= 1:
        raise ValueError(f"A backoff's jitter is between 0 and 1, not {jitter}.")
    return Backoff(kind=kind, base_s=float(base_s), factor=float(factor), max_s=float(cap), jitter=float(jitter))


def delay_ms(backoff: Backoff, failures: int, random: Random) -> int:
    """Milliseconds until the next attempt, after `failures` (1 or more) attempts that counted."""
    match backoff.kind:
        case BackoffKind.EXPONENTIAL:
            seconds = _power(backoff.base_s, backoff.factor, failures - 1, backoff.max_s)
        case BackoffKind.LINEAR:
            seconds = backoff.base_s * failures
        case BackoffKind.FIXED:
            seconds = backoff.base_s
    seconds = min(seconds, backoff.max_s)
    certain = seconds * (1.0 - backoff.jitter)
    return max(0, round(1_000 * (certain + (seconds - certain) * random())))


def _power(base: float, factor: float, exponent: int, cap: float) -> float:
    try:
        return float(base * factor**exponent)
    except OverflowError:
        return cap if base > 0 else 0.0


class Budget(msgspec.Struct, frozen=True):
    """How many attempts of a job were charged, the one that just ended included, and what its spec allows."""

    failures: int
    max_attempts: int
    backoff: Backoff


def decide(
    error: BaseException, budget: Budget, random: Random, no_retry: tuple[type[BaseException], ...] = ()
) -> outcome.Outcome:
    """Tell how an attempt ends that raised `error`; `no_retry` are the task's own classes of final errors."""
    match sole(error):
        case Snooze(delay_ms=later):
            return outcome.Snooze(later)
        case Cancel():
            return outcome.Cancel()
        case final if isinstance(final, no_retry) or getattr(type(final), "no_retry", False) is True:
            return outcome.Die(Reason.NOT_RETRYABLE, failure(error))
        case Retry(delay_ms=int(later)) if budget.failures < budget.max_attempts:
            return outcome.RetryLater(failure(error), later)
        case _:
            return after_failure(failure(error), budget, random)


def sole(error: BaseException) -> BaseException:
    """Return the only error of a group, as a TaskGroup wraps it; any other error as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def after_failure(error: Failure, budget: Budget, random: Random) -> outcome.RetryLater | outcome.Die:
    """Retry by the backoff, or end the job when this was its last attempt."""
    if budget.failures >= budget.max_attempts:
        return outcome.Die(Reason.ATTEMPTS_EXHAUSTED, error)
    return outcome.RetryLater(error, delay_ms(budget.backoff, budget.failures, random))


def failure(error: BaseException) -> Failure:
    """Describe an exception: name of its class, message and stack, each of bounded length and valid Unicode."""
    try:
        message = str(error)
    except Exception as fault:  # a broken __str__ must not hide the error itself
        message = f"(its message cannot be read: {type(fault).__name__})"
    return Failure(type=type(error).__name__, message=readable(message, MESSAGE_MAX), stack=stack(error))


def stack(error: BaseException) -> str:
    """Stack of an exception and its causes, as Python prints it, at most STACK_MAX characters."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception as fault:  # as above: formatting calls __str__ and __repr__ of strangers
        text = f"(its stack cannot be formatted: {type(fault).__name__})"
    return readable(text, STACK_MAX)


def readable(text: str, limit: int) -> str:
    """Cut the middle of a text that is too long, and replace what UTF-8 cannot carry."""
    if len(text) > limit:
        head = limit // 4
        mark = f"\n... {len(text) - limit} characters left out ...\n"
        text = text[:head] + mark + text[-(limit - head - len(mark)) :]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _milliseconds(delay: Delay) -> int:
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
    if not 0 <= seconds <= DELAY_MAX_S:
        raise ValueError(f"A delay is between 0 and {DELAY_MAX_S:.0f} seconds, not {seconds}.")
    return round(seconds * 1_000)
