"""What a running task is given: who it is, and ways to say how it goes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, ClassVar, TypeVar

import msgspec

from jobs.batch import Batch, Terms
from jobs.interrupt import Interrupt, Interrupted
from jobs.job import JobSpec
from jobs.job_view import JobView
from jobs.outbox import Line, Outbox, Said
from jobs.source import Fetch, Paged, Source, source_of

__all__ = ["Context", "Interrupt", "Interrupted", "Line", "Said", "Surroundings"]

T = TypeVar("T")

_NAME = re.compile(r"[\w.-]{0,64}")


class Surroundings(msgspec.Struct, frozen=True):
    """What the contexts of one worker have in common."""

    notify: Callable[[Context], None]
    """Called, from any thread, when a context has something to report."""
    shared: Mapping[str, Any] = {}
    """Items that every SAQ function finds in its context."""
    job_view: Callable[[Context], Any] = JobView
    """Makes what a SAQ function finds as `ctx["job"]`."""


class Context(Outbox, MutableMapping[str, Any]):
    """One attempt, as the task that runs it sees it.

    Reporting (`progress`, `log` and its short forms) works in coroutines, with or without `await`,
    and in threads. It never waits for Redis: what is reported is sent in batches at
    least every 0.2 seconds and before the attempt ends.

    As a mapping it is the context of a SAQ function: `ctx["job"]`, `ctx["worker"]`, and whatever
    the worker's startup hooks put there.
    """

    is_task_context: ClassVar[bool] = True

    __slots__ = ("_around", "_items", "_names", "attempt", "failures", "run", "spec", "token")

    def __init__(  # noqa: PLR0913, PLR0917  # what Reserved says of an attempt, and where it runs
        self, spec: JobSpec, run: int, attempt: int, failures: int, around: Surroundings, checkpoint: str = ""
    ) -> None:
        super().__init__(around.notify, checkpoint)
        self.spec = spec
        self.run = run
        """1 for the first run; a job that is retried by hand runs again."""
        self.attempt = attempt
        """Number of this attempt within the run, 1 for the first; snoozed and lost ones are counted too."""
        self.failures = failures
        """Attempts that count against `max_attempts`, this one included."""
        self.token = ""
        """The worker's right to speak for the job."""
        self._around = around
        self._items: dict[str, Any] | None = None
        self._names: frozenset[str] = frozenset()

    # Who the job is

    @property
    def job_id(self) -> str:
        """Id of the job."""
        return self.spec.id

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.spec.task

    @property
    def queue(self) -> str:
        """Name of the queue that the job waited in."""
        return self.spec.queue

    @property
    def max_attempts(self) -> int:
        """How many attempts may fail; the last of them ends the job."""
        return self.spec.max_attempts

    @property
    def is_last_attempt(self) -> bool:
        """True where the job is DEAD if this attempt fails."""
        return self.failures >= self.spec.max_attempts

    @property
    def owner(self) -> str | None:
        """Whom the job belongs to, if that was given."""
        return self.spec.owner or None

    @property
    def tags(self) -> tuple[str, ...]:
        """The job's tags."""
        return self.spec.tags

    @property
    def metadata(self) -> dict[str, Any]:
        """What the caller attached to the job."""
        return self.spec.metadata

    @property
    def args(self) -> dict[str, Any]:
        """The arguments as plain JSON values, before they were given their types."""
        decoded: dict[str, Any] = msgspec.json.decode(self.spec.args)
        return decoded

    @property
    def idempotency_key(self) -> str:
        """The same for all attempts of this run: hand it to services that drop repeated requests."""
        return f"{self.spec.id}-{self.run}"

    # Many items

    def chunks(  # noqa: PLR0913  # all but the first two are options with names
        self,
        items: Iterable[T] | AsyncIterable[T],
        size: int = 100,
        *,
        name: str = "",
        total: int | None = None,
        failed_max: int | None = None,
        after: str | None = None,
    ) -> Batch[T]:
        """Work on items in chunks; a run that goes on after a crash goes on behind the last finished chunk.

            async for chunk in ctx.chunks(users, size=100):
                for user in chunk:
                    with chunk.item(user.id):  # an error is recorded, and the batch goes on
                        await update(user)

        In a function that is not a coroutine: `for chunk in ctx.chunks(...)`. The items must come in the same
        order in every attempt. A batch that was begun keeps its `size`.
        `name` tells the batches of one task apart. `total`: how many items there are, where `len(items)` does not say.
        `failed_max`: one more item that fails ends the attempt with its error.
        `after`: the `chunk.after` that the task's own database has ("": none yet), instead of what was saved here.
        Raises TypeError for a set, ValueError for a size below 1 and a name that was used in this attempt.
        """
        if size < 1:
            raise ValueError(f"A chunk has 1 item or more, not {size}.")
        return self._batch(source_of(items), Terms(name, self._key(name), size, total, failed_max, after))

    def pages(
        self,
        fetch: Fetch[T],
        *,
        name: str = "",
        total: int | None = None,
        failed_max: int | None = None,
        after: str | None = None,
    ) -> Batch[T]:
        """Work on items in chunks, each of which is a page that `fetch` gets by its cursor.

        `fetch(cursor)`, a function or a coroutine function, returns the items and the next page's cursor: any JSON
        value, None behind the last page. The first page's cursor is None. All else is as in `chunks`.
        """
        return self._batch(Paged(fetch), Terms(name, self._key(name), 0, total, failed_max, after))

    def _key(self, name: str) -> str:
        return f"{self.idempotency_key}/{name}" if name else self.idempotency_key

    def _batch(self, source: Source[T], terms: Terms) -> Batch[T]:
        if not _NAME.fullmatch(terms.name):
            raise ValueError("The name of a batch has up to 64 letters, digits, dots, dashes and underscores.")
        if terms.name in self._names:
            raise ValueError(f"This attempt had a batch of the name {terms.name!r} already: give each its own.")
        self._names |= {terms.name}
        return Batch(self, source, terms)

    # SAQ's view

    def _own(self) -> dict[str, Any]:
        if self._items is None:
            self._items = {"job": self._around.job_view(self), **self._around.shared}
        return self._items

    def __getitem__(self, key: str) -> Any:
        return self._own()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._own()[key] = value

    def __delitem__(self, key: str) -> None:
        del self._own()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._own())

    def __len__(self) -> int:
        return len(self._own())

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<Context of {self.spec.task} {self.spec.id}, attempt {self.attempt}>"
