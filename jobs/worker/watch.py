"""Watches the event loop from a thread: says which job blocks it, and ends the process where that job never ends."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Collection, Sequence
from time import monotonic
from types import FrameType

import msgspec
import structlog

from jobs.broker import Finished, Session
from jobs.errors import BrokerUnavailable, EpochChanged, QueueQLError
from jobs.retry import STACK_MAX, readable
from jobs.worker import attempt as attempts
from jobs.worker.attempt import Attempt
from jobs.worker.pulse import Pulse

log = structlog.get_logger(__name__)

EVERY_S = 0.5
BLOCKED_S = 2.0
"""A loop that has not answered for so long is blocked."""
GRACE_S = 5.0
"""A job that blocks the loop is given so long beyond its timeout."""
GIL_LEASES = 3
"""Where no thread can run for so many leases, because code in C keeps the interpreter, the process is ended.

By then the reaper has taken its jobs. A process that was frozen for so long, and comes back, ends as well; for less,
it goes on."""
EXIT_CODE = 70
"""Of a process that ended itself because a job would not let its loop go."""

STDERR = 2
"""Whatever has become of `sys.stderr`: code in C writes there."""
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))

Surrender = Callable[[Collection[Attempt], str], Sequence[Finished]]
"""Decides how everything ends that the worker has; these attempts have overrun their time, and this is the stack."""


class Block(msgspec.Struct, frozen=True):
    """What blocks the loop."""

    attempt: Attempt | None
    """None: it is not the task's own coroutine, but something that a job has left on the loop."""
    place: str
    """The line of the author's code that runs: file, number and function."""
    stack: str


class Watch:
    """Looks every half a second. `surrender` is called in the thread."""

    def __init__(self, pulse: Pulse, session: Session, lease_s: float, surrender: Surrender) -> None:
        self._pulse = pulse
        self._session = session
        self._lease_s = lease_s
        self._surrender = surrender
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._blocked_since_s: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._pulse.ask()
        self._thread.start()

    async def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while True:
            self._arm()
            if self._stop.wait(EVERY_S):
                break
            try:
                self._look()
            except RuntimeError:  # the loop is closed
                break
            except Exception:  # a thread that ends here would watch no more
                log.exception("watch.failed")
        faulthandler.cancel_dump_traceback_later()

    def _arm(self) -> None:
        """Let a timer that needs no interpreter end the process, unless it is set anew in time."""
        faulthandler.dump_traceback_later(GIL_LEASES * self._lease_s, exit=True, file=STDERR)

    def _look(self) -> None:
        late_s = self._pulse.unanswered_s()
        self._pulse.ask()
        if late_s < BLOCKED_S:
            if self._blocked_since_s is not None:
                log.info("worker.loop_answers", blocked_s=round(monotonic() - self._blocked_since_s, 1))
                self._blocked_since_s = self._pulse.blocked_by = None
            return
        block = self._find()
        if self._blocked_since_s is None:
            self._blocked_since_s = monotonic() - late_s
            self._say(block, late_s)
        overdue = self._overdue(block)
        if overdue:
            self._end(overdue, block)

    def _find(self) -> Block:
        task = asyncio.current_task(self._loop)
        running = list(self._pulse.running.values())
        attempt = next((attempt for attempt in running if task is not None and attempt.runner is task), None)
        place, stack = _describe(sys._current_frames().get(self._loop_thread))
        return Block(attempt, place, stack)

    def _say(self, block: Block, late_s: float) -> None:
        attempt = block.attempt
        job, name = (attempt.reserved.id, attempt.task.name) if attempt else (None, None)
        self._pulse.blocked_by = job
        log.warning("worker.loop_blocked", job=job, task=name, place=block.place, stack=block.stack)
        if attempt is not None:  # sent once the loop is back
            attempt.context.warning(
                f"The job has blocked its worker's event loop for {late_s:.0f} s, at {block.place}; "
                "nothing else can run there meanwhile.",
                place=block.place,
                stack=block.stack,
            )

    def _overdue(self, block: Block) -> list[Attempt]:
        """Return the attempt that blocks, if its time is over; where that is not known, all whose time is."""
        suspected = [block.attempt] if block.attempt else list(self._pulse.running.values())
        now = monotonic()
        return [
            attempt
            for attempt in suspected
            if (timeout_s := attempt.reserved.spec.timeout_s) and attempt.begun_s + timeout_s + GRACE_S < now
        ]

    def _end(self, overdue: Sequence[Attempt], block: Block) -> None:
        try:
            self._session.abandon(self._surrender(overdue, block.stack))
        except (BrokerUnavailable, EpochChanged) as error:
            log.warning("worker.not_surrendered", reason=str(error))
            return  # tried again with the next look: without Redis nobody else could run them either
        except QueueQLError as error:  # the session is over already
            log.warning("worker.session_lost", reason=str(error))
        log.critical(
            "worker.ends_blocked",
            jobs=[attempt.reserved.id for attempt in overdue],
            tasks=sorted({attempt.task.name for attempt in overdue}),
            place=block.place,
        )
        os._exit(EXIT_CODE)


def _describe(frame: FrameType | None) -> tuple[str, str]:
    """Say where in the author's code a thread is, and how it came there from the task's function."""
    frames = traceback.extract_stack(frame) if frame is not None else traceback.StackSummary()
    first = 0
    for number, summary in enumerate(frames, 1):
        if summary.filename == attempts.__file__:
            first = number
    frames = traceback.StackSummary.from_list(frames[first:])
    own = [summary for summary in frames if not summary.filename.startswith((*_LIBRARIES, "<"))]
    if not frames:
        return "an unknown place", ""
    last = (own or frames)[-1]
    return f"{last.filename}, line {last.lineno}, in {last.name}", readable("".join(frames.format()), STACK_MAX)
