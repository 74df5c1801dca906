"""One attempt: from a reserved job to its outcome."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic, thread_time_ns
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from jobs import outcome
from jobs.broker import Reserved
from jobs.context import Context, Interrupt, Surroundings
from jobs.errors import InvalidArguments
from jobs.job import Failure, Reason
from jobs.retry import Budget, Cancel, Random, after_failure, decide, failure, sole, stack
from jobs.signature import Unencodable
from jobs.task import Task
from jobs.worker import meter
from jobs.worker.payloads import NotFetched, Payloads
from jobs.worker.threads import Threads

if TYPE_CHECKING:
    from jobs.worker.pool import Pool

log = structlog.get_logger(__name__)

_OURS = {__file__, meter.__file__}
"""Files whose frames say nothing to whoever reads where a task failed."""
INSIST_S = 10.0
"""A coroutine that goes on after it was told to end is told again so often."""

Hook = Callable[[Context], Awaitable[None]]


class Hooks(msgspec.Struct, frozen=True):
    """What a worker does around every attempt. An error of `before` fails the attempt, one of `after` is logged.

    `after` finds the error of a failed attempt as `ctx["exception"]`.
    """

    before: Hook | None = None
    after: Hook | None = None


class Terms(msgspec.Struct, frozen=True):
    """What the attempts of one worker have in common."""

    surroundings: Surroundings
    hooks: Hooks
    threads: Threads
    random: Random
    result_max_bytes: int
    pool: Pool | None = None
    """Processes for those that run in one of their own; None: this is such a process."""
    payloads: Payloads = msgspec.field(default_factory=Payloads)


class Attempt:
    """A job that this worker has started, until it has ended here."""

    __slots__ = (
        "_context",
        "_fetches",
        "_terms",
        "begun_s",
        "cpu_us",
        "deadline",
        "interrupt",
        "outcome",
        "reserved",
        "runner",
        "task",
    )

    def __init__(self, reserved: Reserved, task: Task[..., Any], terms: Terms) -> None:
        self.reserved = reserved
        self.task = task
        self.interrupt: Interrupt | None = None
        self.begun_s = inf
        """Monotonic time, in seconds, at which it began to run here."""
        self.deadline = inf
        """Monotonic time, in seconds, at which something is to be done about it."""
        self.runner: asyncio.Task[None] | None = None
        """The asyncio task that runs it."""
        self.outcome: outcome.Outcome | None = None
        self.cpu_us: int | None = None
        """Processor time that the task took, in microseconds; None where it is not known."""
        self._terms = terms
        self._context: Context | None = None
        self._fetches = False

    @property
    def context(self) -> Context:
        """What the task is given; made when it is first asked for."""
        if self._context is None:
            reserved = self.reserved
            self._context = Context(
                reserved.spec, reserved.run, reserved.attempt, self._failures, self._terms.surroundings,
                reserved.checkpoint,
            )  # fmt: skip
            self._context.token = reserved.token
            self._context.interrupt = self.interrupt
        return self._context

    @property
    def has_reported(self) -> bool:
        """True where progress or log lines must reach Redis before the outcome."""
        return self._context is not None and self._context.reported

    @property
    def _failures(self) -> int:
        return self.reserved.attempt - self.reserved.uncharged

    # Running

    async def fetch_and_run(self) -> outcome.Outcome | None:
        """Do as `run` does, for a job whose arguments stayed in the store. Fetching them is not the task's time."""
        self.begun_s = self.deadline = inf
        self._fetches = True
        try:
            spec = await self._terms.payloads.complete(self.reserved.spec)
        except NotFetched as missing:
            self.context.warning(str(missing))
            return missing.outcome
        except asyncio.CancelledError:
            if self.interrupt is None:
                raise
            return self._ended_early(None)
        finally:
            self._fetches = False
        self.reserved = msgspec.structs.replace(self.reserved, spec=spec)
        self.begun_s = monotonic()
        self.deadline = self.begun_s + (spec.timeout_s or inf)
        return await self.run()

    async def run(self) -> outcome.Outcome | None:
        """Run the task and return how it ended; None where that is of no interest any more."""
        if self.interrupt is not None:
            return self._ended_early(None)
        signature, hooks = self.task.signature, self._terms.hooks
        try:
            try:
                kwargs = signature.decode(bytes(self.reserved.spec.args))
            except InvalidArguments as error:
                return outcome.Die(Reason.INVALID_ARGUMENTS, Failure(type="InvalidArguments", message=str(error)))
            if hooks.before is not None:
                await hooks.before(self.context)
            args = (self.context,) if signature.takes_context else ()
            if signature.is_async:
                result = await self._metered(self.task.function(*args, **kwargs))
            else:
                result = await self._in_thread(args, kwargs)
            ended = self._returned(result)
        except GeneratorExit:
            if self._is_closed():
                raise
            ended = self._raised(RuntimeError("The task raised GeneratorExit."))
        except BaseException as error:  # the worker goes on whatever a task raises, also SystemExit
            ended = self._raised(error)
            if hooks.after is not None:
                self.context["exception"] = error
        if hooks.after is not None:
            await self._after(hooks.after)
        return ended

    async def _metered(self, task: Awaitable[Any]) -> Any:
        return await (meter.metered(task, self._spent) if isinstance(task, CoroutineType) else task)

    def _spent(self, cpu_ns: int) -> None:
        self.cpu_us = cpu_ns // 1000

    def _is_closed(self) -> bool:
        """Tell whether Python closes the coroutine, instead of the task having raised GeneratorExit."""
        try:
            return asyncio.current_task() is not self.runner
        except RuntimeError:  # the loop has ended
            return True

    async def _in_thread(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function that is not a coroutine. Cancelling this would not end the thread, so nobody does."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
        variables = contextvars.copy_context()

        def work() -> None:
            result: Any = None
            raised: BaseException | None = None
            try:
                begun_ns = thread_time_ns()
                try:
                    result = variables.run(self.task.function, *args, **kwargs)
                finally:
                    self._spent(thread_time_ns() - begun_ns)
            except (KeyboardInterrupt, GeneratorExit) as error:  # would end the worker instead of the attempt
                raised = RuntimeError(f"The task raised {type(error).__name__}.")
            except BaseException as error:  # handed to the worker's loop, which decides
                raised = error
            try:
                loop.call_soon_threadsafe(_settle, ended, (result, raised))
            except RuntimeError:  # the loop is closed: the worker did not wait for this thread
                log.debug("attempt.ended_after_worker", job=self.reserved.id)

        self._terms.threads.submit(work)
        result, raised = await ended
        if raised is not None:
            raise raised
        return result

    async def _after(self, after: Hook) -> None:
        try:
            await after(self.context)
        except (Exception, asyncio.CancelledError):
            log.exception("worker.after_hook_failed", job=self.reserved.id)

    # Ending

    def _returned(self, result: Any) -> outcome.Outcome | None:
        if self.interrupt is Interrupt.TIMEOUT or self.interrupt is Interrupt.LOST:
            return self._ended_early(None)
        try:
            text = self.task.signature.encode(result)
            if len(text) > self._terms.result_max_bytes // 4:
                self._check_size(text)
        except Exception as error:  # Unencodable, or what a type's own serializer raises: the work is not repeated
            return outcome.Die(Reason.RESULT_UNENCODABLE, failure(error))
        return outcome.Complete(text)

    def _check_size(self, text: str) -> None:
        size, most = len(text.encode()), self._terms.result_max_bytes
        if size > most:
            raise Unencodable(f"The result has {size} bytes as JSON; {most} are allowed.")

    def _raised(self, error: BaseException) -> outcome.Outcome | None:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename in _OURS:
            trace = trace.tb_next
        error = error.with_traceback(trace)
        if self.interrupt is not None:
            return self._ended_early(error)
        asked = sole(error)
        if isinstance(asked, Cancel) and str(asked):
            self.context.info(str(asked))
        return decide(error, self._budget(), self._terms.random, self.task.no_retry)

    def _ended_early(self, error: BaseException | None) -> outcome.Outcome | None:
        match self.interrupt:
            case Interrupt.CANCEL:
                return outcome.Cancel()
            case Interrupt.RELEASE:
                return outcome.Release()
            case Interrupt.TIMEOUT:
                return self.overran("" if error is None else stack(error))
            case _:
                return None

    def overran(self, trace: str) -> outcome.Outcome:
        """Tell how it ends when its time is over."""
        message = f"The attempt took longer than its timeout of {self.reserved.spec.timeout_s:g} s."
        spent = Failure(type="TIMEOUT", message=message, stack=trace)
        return after_failure(spent, self._budget(), self._terms.random)

    def _budget(self) -> Budget:
        spec = self.reserved.spec
        return Budget(self._failures, spec.max_attempts, spec.backoff)

    # From outside

    def end_early(self, why: Interrupt) -> None:
        """Tell the task to end: a coroutine is cancelled, a thread can only look at `ctx.cancelled`."""
        if self.interrupt is not None and why is not Interrupt.LOST:
            return
        self.interrupt = why
        if self._context is not None:
            self._context.interrupt = why
        self.deadline = min(self.deadline, monotonic() + INSIST_S)
        self._cancel()

    def abandon(self) -> outcome.Outcome | None:
        """Decide how it ends although its task does not; what the task does later is ignored."""
        ended = self._ended_early(None)
        self.end_early(Interrupt.LOST)
        return ended

    def _cancel(self) -> None:
        if self.runner is not None and (self.task.signature.is_async or self._fetches):
            self.runner.cancel()

    def overdue(self, now: float) -> None:
        """Deal with a deadline that has passed: the timeout at first, then a reminder now and then."""
        about = {"job": self.reserved.id, "task": self.task.name}
        if self.interrupt is None:
            self.end_early(Interrupt.TIMEOUT)
            if not self.task.signature.is_async:
                log.warning("worker.thread_past_timeout", **about)
                self.context.warning("Past its timeout: a thread cannot be stopped, its slot is taken until it ends.")
        else:
            log.warning("worker.attempt_goes_on", why=self.interrupt, **about)
            self._cancel()
        self.deadline = now + INSIST_S


def _settle(ended: asyncio.Future[tuple[Any, BaseException | None]], value: tuple[Any, BaseException | None]) -> None:
    if not ended.done():
        ended.set_result(value)
