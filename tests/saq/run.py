"""Runs SAQ's own tests on our Queue: `python -P -m tests.saq.run saq|ours REDIS_URL CLASS|CLASS.TEST ...`.

A process of its own, since SAQ's tests leave sockets, tasks and threads behind. Writes a line of JSON for each
test that SAQ does not skip: its name, and the last line of what went wrong, "" where nothing did.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import sys
import unittest
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import redis
import saq.worker

from jobs.saq import Queue, Worker
from tests.saq import stand_in
from tests.saq.source import saq_tests

CLASSES = {
    "TestQueueError": "test_queue",
    "TestRedisQueue": "test_queue",
    "TestJobRedisQueue": "test_job",
    "TestWorkerRedisQueue": "test_worker",
    "TestHttpRedis": "test_worker",
}
"""Those for Redis. The others are for PostgreSQL, or for what SAQ does without a queue."""
TEST_ENDS_S = 30.0


def our_worker(queue: saq.Queue, *args: Any, **options: Any) -> saq.worker.Worker[Any]:
    """Make our worker; a queue that is far away, behind HTTP, has SAQ's own."""
    make: Callable[..., saq.worker.Worker[Any]] = Worker if isinstance(queue, Queue) else saq.worker.Worker
    return make(queue, *args, **options)


WORKERS: dict[str, Callable[..., saq.worker.Worker[Any]]] = {"saq": saq.worker.Worker, "ours": our_worker}


def tests(worker: str, names: list[str]) -> Iterator[unittest.TestSuite]:
    """Yield SAQ's tests of these names. They make their workers with the one of this name."""
    for name in names:
        file = CLASSES[name.partition(".")[0]]
        spec = importlib.util.spec_from_file_location(file, saq_tests() / f"{file}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        vars(module)["Worker"] = WORKERS[worker]
        yield unittest.defaultTestLoader.loadTestsFromName(name, module)


class Report(unittest.TestResult):
    """Gives each test an empty Redis, and says how it ended."""

    def __init__(self, client: redis.Redis, to: TextIO) -> None:
        super().__init__()
        self._client, self._to = client, to
        self._wrong: str | None = ""

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802  # unittest's own name
        """Empty Redis."""
        faulthandler.dump_traceback_later(TEST_ENDS_S, exit=True)
        self._client.flushall()
        self._wrong = ""

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802  # as above
        """Keep what is wrong."""
        self._wrong = self._exc_info_to_string(err, test).strip().splitlines()[-1]  # type: ignore[attr-defined]  # not in typeshed

    addFailure = addError  # noqa: N815  # as above

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802  # as above
        """Say nothing of it."""
        self._wrong = None

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802  # as above
        """Write how it ended."""
        if self._wrong is not None:
            print(json.dumps([test.id().partition(".")[2], self._wrong]), file=self._to, flush=True)


def main() -> None:
    worker, url, *names = sys.argv[1:]
    to, sys.stdout = sys.stdout, sys.stderr  # logs go there
    stand_in.place(url)
    with redis.Redis.from_url(url) as client:
        unittest.TestSuite(tests(worker, names)).run(Report(client, to))


if __name__ == "__main__":
    main()
