"""What takes too long is not waited for: it goes on by itself, or is given up."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest

from jobs.patience import Patience
from tests.wait import until


@pytest.mark.parametrize("gives_up", [True, False])
async def test_late_work_goes_on_unless_it_is_given_up(gives_up: bool) -> None:
    patience, goes_on, ends = Patience(gives_up=gives_up), asyncio.Event(), []

    async def work() -> None:
        try:
            await goes_on.wait()
            ends.append("done")
        except asyncio.CancelledError:
            await goes_on.wait()  # as a driver that gives its connection up slowly
            ends.append("given up")
            raise

    with pytest.raises(TimeoutError):
        await patience.wait(work(), 0.01)
    assert not ends
    goes_on.set()
    await until(lambda: ends)
    assert ends == ["given up" if gives_up else "done"]
    await patience.close()


async def test_an_error_that_nobody_waits_for_any_more_is_silent() -> None:
    said: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        began.set()
        await goes_on.wait()
        raise ValueError

    waiting = asyncio.create_task(Patience().wait(fail(), 5))
    await began.wait()
    goes_on.set()
    await asyncio.sleep(0)
    waiting.cancel()  # in the turn in which the work fails
    with contextlib.suppress(asyncio.CancelledError):  # nothing may hold its frames
        await waiting
    await asyncio.sleep(0)
    del waiting
    gc.collect()
    assert said == []
