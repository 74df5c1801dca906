"""Tasks: functions that can be run as jobs, and the registry that knows them."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload

import msgspec

from jobs.errors import TaskInvalid
from jobs.job import Backoff, Durability, Priority
from jobs.retry import exponential
from jobs.schema import summary
from jobs.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")

NAME_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""What names of tasks and queues are made of."""
Isolation = Literal["thread", "process"]
ATTEMPTS_MAX = 1_000
TIMEOUT_MAX_S = 30 * 86_400.0


class TaskDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker publishes of a task, so that the API knows it without importing its code."""

    name: str
    description: str = ""
    queue: str = "default"
    args_schema: dict[str, Any]
    """JSON Schema of the arguments: an object with one property per parameter. The definitions of
    named types are in `$defs`; `x-queueql-type` is the Python name of a type and `x-queueql-names`
    the names of an enum's members."""
    result_schema: dict[str, Any] | None = None
    """JSON Schema of the result; None where the function's return type is not annotated."""
    max_attempts: int = 3
    backoff: Backoff = Backoff()
    timeout_s: float = 300.0
    priority: Priority = Priority.NORMAL
    durability: Durability = Durability.STORE

    def hash(self) -> str:
        """Return a digest of everything here; equal definitions have equal digests in every process."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


class Task(Generic[P, R]):
    """A function that can be run as a job. Calling it calls the function, as if it were not a task."""

    def __init__(
        self,
        function: Callable[P, R],
        definition: TaskDefinition,
        signature: Signature,
        no_retry: tuple[type[BaseException], ...],
        *,
        isolated: bool = False,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.definition = definition
        self.signature = signature
        self.no_retry = no_retry
        self.isolated = isolated
        """Its attempts run in a process of their own."""

    @property
    def name(self) -> str:
        """Name that jobs ask for."""
        return self.definition.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a task, as its author gives them to the decorator."""

    name: str | None = None
    queue: str = "default"
    max_attempts: int = 3
    backoff: Backoff = Backoff()
    timeout_s: float = 300.0
    priority: Priority = Priority.NORMAL
    durability: Durability = Durability.STORE
    no_retry: tuple[type[BaseException], ...] = ()
    isolation: Isolation | None = None

    def check(self, name: str) -> None:
        """Raise TaskInvalid for a value that is not allowed."""
        for what, value in (("name", name), ("queue", self.queue)):
            if not NAME_PATTERN.fullmatch(value):
                raise TaskInvalid(
                    f"Task {name}: the {what} {value!r} is not allowed; letters, digits, '.', '_' and '-' are, "
                    "at most 128 of them."
                )
        if not 1 <= self.max_attempts <= ATTEMPTS_MAX:
            raise TaskInvalid(f"Task {name}: max_attempts is between 1 and {ATTEMPTS_MAX}, not {self.max_attempts}.")
        if not 0 <= self.timeout_s <= TIMEOUT_MAX_S:
            raise TaskInvalid(
                f"Task {name}: timeout is between 0 (no limit) and {TIMEOUT_MAX_S:.0f} seconds, not {self.timeout_s}."
            )
        if self.isolation not in (None, "thread", "process"):
            raise TaskInvalid(f"Task {name}: isolation is 'process', 'thread' or None, not {self.isolation!r}.")


class Registry:
    """The tasks that a worker can run, by name."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}

    def add(self, function: Callable[P, R], options: Options | None = None) -> Task[P, R]:
        """Make a task of a function and keep it. Raises TaskInvalid.

        A Task that another registry made is kept as it is, with its own options.
        """
        if isinstance(function, Task):
            return self._keep(function)
        options = options or Options()
        name = options.name or str(getattr(function, "__name__", ""))
        options.check(name)
        signature = Signature(function, name)
        definition = TaskDefinition(
            name=name,
            description=summary(inspect.getdoc(function) or "") if inspect.isroutine(function) else "",
            queue=options.queue,
            args_schema=signature.args_schema,
            result_schema=signature.result_schema,
            max_attempts=options.max_attempts,
            backoff=options.backoff,
            timeout_s=float(options.timeout_s),
            priority=Priority(options.priority),
            durability=Durability(options.durability),
        )
        isolated = options.isolation == "process"
        return self._keep(Task(function, definition, signature, options.no_retry, isolated=isolated))

    def _keep(self, task: Task[P, R]) -> Task[P, R]:
        known = self._tasks.get(task.name)
        if known is not None and _origin(known) != _origin(task):
            raise TaskInvalid(
                f"Task {task.name}: {_origin(known)} and {_origin(task)} have the same name; "
                'give one of them another: @task(name="...").'
            )
        self._tasks[task.name] = task
        return task

    def get(self, name: str) -> Task[..., Any] | None:
        """Return the task of this name."""
        return self._tasks.get(name)

    def __iter__(self) -> Iterator[Task[..., Any]]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)

    def definitions(self) -> list[TaskDefinition]:
        """Return what is to be published, ordered by name."""
        return sorted((task.definition for task in self), key=lambda definition: definition.name)

    def queues(self) -> list[str]:
        """Return the queues that the tasks name as theirs, and `default`, ordered by name."""
        return sorted({"default", *(task.definition.queue for task in self)})


def _origin(task: Task[..., Any]) -> str:
    function = task.function
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


default_registry = Registry()
"""The registry of `@task`, which workers run unless they are given another one."""


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    name: str | None = None,
    queue: str = "default",
    max_attempts: int = 3,
    backoff: Backoff | None = None,
    timeout: float = 300.0,
    priority: Priority = Priority.NORMAL,
    durability: Durability = Durability.STORE,
    no_retry: tuple[type[BaseException], ...] = (),
    isolation: Isolation | None = None,
    registry: Registry | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(  # noqa: PLR0913  # the options are what authors read and write; all but the first are named
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = "default",
    max_attempts: int = 3,
    backoff: Backoff | None = None,
    timeout: float = 300.0,
    priority: Priority = Priority.NORMAL,
    durability: Durability = Durability.STORE,
    no_retry: tuple[type[BaseException], ...] = (),
    isolation: Isolation | None = None,
    registry: Registry | None = None,
) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task of a function: `@task`, or `@task(queue="email", max_attempts=5)`.

    name           what jobs ask for; the function's name by default
    queue          where its jobs wait unless the caller says otherwise
    max_attempts   runs in all, the first included
    backoff        delay between attempts: `exponential(...)`, `linear(...)` or `fixed(...)`
    timeout        seconds that one attempt may take; 0: no limit
    priority       order within the queue
    durability     STORE: no accepted job is lost; MEMORY: faster, what Redis loses is lost
    no_retry       classes of exceptions that end the job without another attempt
    isolation      "process": every attempt runs in a process of its own, which is killed where it does not end
                   when its time is over or the job is cancelled; the function is found by importing its module
    registry       another registry than the default one

    Without isolation async functions run in the worker's event loop, others in threads, which cannot be stopped
    from outside. Raises TaskInvalid; for a function that cannot be imported the worker does, at its start.
    """
    options = Options(
        name=name,
        queue=queue,
        max_attempts=max_attempts,
        backoff=exponential() if backoff is None else backoff,
        timeout_s=timeout,
        priority=priority,
        durability=durability,
        no_retry=tuple(no_retry),
        isolation=isolation,
    )
    target = default_registry if registry is None else registry
    if function is not None:
        return target.add(function, options)
    return lambda function: target.add(function, options)
