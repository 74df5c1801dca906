from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import outcome
from jobs.job import Backoff, BackoffKind, Reason
from jobs.retry import (
    MESSAGE_MAX,
    STACK_MAX,
    Budget,
    Cancel,
    NotRetryable,
    Retry,
    Snooze,
    decide,
    delay_ms,
    exponential,
    failure,
    fixed,
    linear,
)

NO_JITTER = fixed(3)

backoffs = st.builds(
    Backoff,
    kind=st.sampled_from(BackoffKind),
    base_s=st.floats(0, 1_000),
    factor=st.floats(1, 100),
    max_s=st.floats(0, 86_400),
    jitter=st.floats(0, 1),
)


def half() -> float:
    return 0.5


def choose(error: BaseException, *, failures: int = 1, no_retry: tuple[type[BaseException], ...] = ()) -> object:
    return decide(error, Budget(failures, 3, NO_JITTER), half, no_retry)


def test_factor_five_gives_5_25_125_seconds() -> None:
    backoff = exponential(5, factor=5, jitter=0)
    assert [delay_ms(backoff, n, half) for n in (1, 2, 3)] == [5_000, 25_000, 125_000]


def test_linear_and_fixed() -> None:
    assert [delay_ms(linear(10, jitter=0), n, half) for n in (1, 2, 3)] == [10_000, 20_000, 30_000]
    assert [delay_ms(fixed(10), n, half) for n in (1, 2, 3)] == [10_000, 10_000, 10_000]


def test_the_cap_holds_for_any_number_of_failures() -> None:
    assert delay_ms(exponential(1, factor=10, cap=60, jitter=0), 5_000, half) == 60_000


@given(backoffs, st.integers(1, 2_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_stays_between_its_bounds(backoff: Backoff, failures: int, drawn: float) -> None:
    most = delay_ms(backoff, failures, lambda: 1.0)
    least = delay_ms(backoff, failures, lambda: 0.0)
    assert 0 <= least <= delay_ms(backoff, failures, lambda: drawn) <= most <= round(backoff.max_s * 1_000)
    assert least >= (1 - backoff.jitter) * most - 1


@given(backoffs, st.integers(1, 500))
def test_without_jitter_delays_never_shrink(backoff: Backoff, failures: int) -> None:
    assert delay_ms(backoff, failures, lambda: 1.0) <= delay_ms(backoff, failures + 1, lambda: 1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: exponential(-1),
        lambda: exponential(1, factor=0.5),
        lambda: exponential(1, jitter=2),
        lambda: linear(1, cap=-1),
        lambda: fixed(float("nan")),
        lambda: Snooze(-1),
        lambda: Retry(float("inf")),
    ],
)
def test_impossible_delays_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match="between"):
        make()  # type: ignore[operator]  # a lambda


def test_a_failure_is_retried_until_the_last_attempt() -> None:
    match choose(KeyError("x"), failures=2):
        case outcome.RetryLater(error, later):
            assert (error.type, later) == ("KeyError", 3_000)
        case other:
            pytest.fail(str(other))
    match choose(KeyError("x"), failures=3):
        case outcome.Die(reason, error):
            assert reason is Reason.ATTEMPTS_EXHAUSTED
        case other:
            pytest.fail(str(other))


def test_retry_names_its_own_delay_but_the_attempts_still_count() -> None:
    match choose(Retry(timedelta(minutes=1), "busy")):
        case outcome.RetryLater(error, 60_000):
            assert error.message == "busy"
        case other:
            pytest.fail(str(other))
    assert isinstance(choose(Retry()), outcome.RetryLater)
    assert isinstance(choose(Retry(5), failures=3), outcome.Die)


def test_snooze_and_cancel() -> None:
    assert choose(Snooze(2), failures=3) == outcome.Snooze(2_000)
    assert choose(Cancel("not needed")) == outcome.Cancel()


def test_a_group_of_one_counts_as_the_one() -> None:
    group = BaseExceptionGroup("group", [ExceptionGroup("inner", [Snooze(2)])])
    assert choose(group) == outcome.Snooze(2_000)
    both = ExceptionGroup("both", [Snooze(2), ValueError("x")])
    assert isinstance(choose(both), outcome.RetryLater)


def test_what_is_not_to_be_retried() -> None:
    class Refused(NotRetryable):
        pass

    class Marked(Exception):
        no_retry = True

    for result in (choose(Refused()), choose(Marked()), choose(ValueError("x"), no_retry=(ValueError,))):
        assert isinstance(result, outcome.Die)
        assert result.reason is Reason.NOT_RETRYABLE
    assert isinstance(choose(ValueError("x")), outcome.RetryLater)


def test_failures_are_bounded_and_readable() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("x" * 100_000 + "\ud800")
        if n % 2:
            deep(n - 1)
        deep(n - 1)

    with pytest.raises(ValueError, match="xxx") as caught:
        deep(200)
    described = failure(caught.value)
    assert len(described.message) <= MESSAGE_MAX
    assert len(described.stack) <= STACK_MAX
    assert "left out" in described.stack
    described.message.encode()
    assert "cannot be read" in failure(Broken()).message


def test_a_cause_stays_in_the_stack() -> None:
    error = Retry(1)
    error.__cause__ = ConnectionError("refused by the other side")
    assert "refused by the other side" in failure(error).stack
