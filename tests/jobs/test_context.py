"""What a task says through its context, and what the context says to it."""

from __future__ import annotations

import math
import threading
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import LogLevel
from jobs.context import Interrupt, Interrupted, Said, Surroundings
from jobs.outbox import CONTEXT_MAX, LINES_MAX
from jobs.retry import MESSAGE_MAX
from tests.factories import make_context


def test_who_the_job_is() -> None:
    context, _ = make_context()
    assert (context.attempt, context.is_last_attempt, context.max_attempts) == (4, True, 3)
    assert (context.args, context.tags, context.metadata, context.owner) == ({"a": 1}, ("x",), {"m": 1}, "me")
    again, _ = make_context(spec=context.spec, attempt=5)
    other_run, _ = make_context(spec=context.spec, run=2)
    assert context.idempotency_key == again.idempotency_key != other_run.idempotency_key


def test_only_the_latest_progress_counts() -> None:
    context, told = make_context()
    for done in range(1_000):
        context.progress(done, of=1_000, step="s", message="m")
    assert told == [context]
    said = context.take()
    assert said.progress is not None
    assert (said.progress.done, said.progress.total, said.progress.step) == (999, 1_000, "s")
    assert context.take().progress is None
    context.progress(1_000, of=1_000)
    assert told == [context, context]


def test_an_absurd_rate_gives_no_estimate() -> None:
    context, _ = make_context()
    context.started_ms -= 1_000
    context.progress(1e-9, of=1e300)
    said = context.take()
    assert said.progress is not None
    assert said.progress.eta_ms == 0


def test_the_end_is_estimated_from_the_rate() -> None:
    context, _ = make_context()
    context.started_ms -= 10_000
    context.progress(25, of=100)
    said = context.take().progress
    assert said is not None
    assert said.eta_ms - said.at_ms == pytest.approx(30_000, rel=0.05)


def test_a_task_that_resumes_is_estimated_by_what_it_did_itself() -> None:
    context, _ = make_context()
    context.progress(5_000, of=10_000)
    first = context.take().progress
    assert first is not None
    context._base = (5_000.0, first.at_ms - 1_000)  # as if a second had passed
    context.progress(5_100, of=10_000)
    said = context.take().progress
    assert said is not None
    assert said.eta_ms - said.at_ms == pytest.approx(49_000, rel=0.05)


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_any_finite_progress_can_be_reported(done: float, total: float) -> None:
    context, _ = make_context()
    context.progress(done, of=total)
    said = context.take().progress
    assert said is not None
    assert 0 <= said.percentage <= 100


@pytest.mark.parametrize("done", [math.nan, math.inf])
def test_progress_that_is_no_number_is_refused(done: float) -> None:
    context, _ = make_context()
    with pytest.raises(ValueError, match="finite"):
        context.progress(done)
    with pytest.raises(TypeError):
        context.progress("half")  # type: ignore[arg-type]  # what this is about


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError


def test_what_cannot_be_sent_is_refused_where_it_is_said() -> None:
    context, _ = make_context()
    context.progress(Decimal(1), of=Decimal(4), step=1)  # type: ignore[arg-type]  # what this is about
    said = context.take().progress
    assert said is not None
    assert (said.done, said.total, said.step) == (1.0, 4.0, "1")
    with pytest.raises(TypeError):
        context.progress(1, failed=None)  # type: ignore[arg-type]  # as above
    with pytest.raises(RuntimeError):
        context.progress(1, message=Rude())  # type: ignore[arg-type]  # as above
    with pytest.raises(ValueError, match="loud"):
        context.log("loud", "message")  # type: ignore[arg-type]  # as above


class Polite:
    def __repr__(self) -> str:
        return "<polite>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, '{"value":1}'),
        (math.nan, '{"value":"NaN"}'),
        (Polite(), '{"value":"<polite>"}'),
        ({"a": [Polite()]}, '{"value":{"a":["<polite>"]}}'),
        (Rude(), '{"unreadable":["value"]}'),
        (10**400, '{"unreadable":["value"]}'),
    ],
)
def test_a_log_line_takes_any_context(value: object, text: str) -> None:
    context, _ = make_context()
    context.info("m", value=value)
    [line] = context.take().lines
    assert line[:4] == (LogLevel.INFO, "m", text, "")


def test_log_lines_are_bounded() -> None:
    context, told = make_context()
    context.error("x" * 100_000, value="y" * 100_000)
    [(_, message, encoded, _, _)] = context.take().lines
    assert len(message) <= MESSAGE_MAX
    assert len(encoded) <= CONTEXT_MAX
    for n in range(LINES_MAX + 5):
        context.debug(str(n))
    lines = context.take().lines
    assert len(lines) == LINES_MAX + 1
    assert lines[-1][1].startswith("5 log lines were dropped")
    assert len(told) == 2


def test_a_stack_comes_with_exc_info() -> None:
    context, _ = make_context()
    context.warning("m", exc_info=ValueError("odd"))
    assert "ValueError: odd" in context.take().lines[0][3]


def test_nothing_said_in_threads_stays_behind() -> None:
    context, told = make_context()
    taken: list[str] = []
    done = threading.Event()

    def talk() -> None:
        for n in range(5_000):
            context.info(str(n))
        done.set()

    thread = threading.Thread(target=talk)
    thread.start()
    while not done.is_set() or told:
        while told:
            told.pop()
            taken += [line[1] for line in context.take().lines]
    thread.join()
    taken += [line[1] for line in context.take().lines]
    plain = [int(text) for text in taken if text.isdigit()]
    dropped = sum(int(text.split()[0]) for text in taken if not text.isdigit())
    assert plain == sorted(plain)
    assert len(plain) + dropped == 5_000


async def test_reporting_may_be_awaited() -> None:
    context, _ = make_context()
    await context.progress(1)
    await context.log(LogLevel.DEBUG, "m")


def test_check_raises_once_the_task_is_to_end() -> None:
    context, _ = make_context()
    context.check()
    assert context.cancelled is False
    context.interrupt = Interrupt.CANCEL
    with pytest.raises(Interrupted, match="CANCEL"):
        context.check()


async def test_what_was_said_in_another_process_is_said_here() -> None:
    child, _ = make_context()
    context, _ = make_context()
    child.progress(2, of=4, failed=1)
    child.info("from there")
    context.info("from here")
    saving = child.save(7)
    over_the_pipe = msgspec.json.decode(msgspec.json.encode(child.take()), type=Said)
    receipt = context.relay(over_the_pipe)
    said = context.take()
    assert said.progress is not None
    assert (said.progress.done, said.progress.failed, said.checkpoint) == (2, 1, '{"value":7}')
    assert [line[1] for line in said.lines] == ["from here", "from there"]
    context.settle(said.saves)
    assert receipt is not None
    child.settle(over_the_pipe.saves, receipt.result(0))
    await saving
    child.info("more")
    assert context.relay(child.take()) is None
    assert [line[1] for line in context.take().lines] == ["more"]


def test_as_a_mapping_it_is_saqs_context() -> None:
    shared = {"worker": "w", "db": "d"}
    context, _ = make_context(around=Surroundings(lambda _: None, shared))
    assert (context["worker"], context["db"], context["job"].function) == ("w", "d", "noop")
    context["db"] = "own"
    del context["worker"]
    assert set(context) == {"job", "db"}
    assert shared == {"worker": "w", "db": "d"}
    assert len(context) == 2
    assert context.get("missing") is None
