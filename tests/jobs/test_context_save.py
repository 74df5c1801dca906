"""What a task saves through its context: it arrives, or the task hears that it does not."""

from __future__ import annotations

import asyncio

import pytest

from jobs.checkpoint import CHECKPOINT_MAX_BYTES
from jobs.context import Interrupt, Interrupted
from tests.factories import make_context
from tests.wait import until


async def test_a_save_returns_when_it_has_arrived() -> None:
    context, told = make_context(checkpoint='{"value":{"page":3},"batches":{"b":1}}')
    assert context.checkpoint == {"page": 3}
    context.progress(1, of=2)
    context.take()
    told.clear()
    saving = asyncio.ensure_future(context.save({"page": 4}))
    assert context.urgent
    assert told == [context]
    said = context.take()
    assert (said.checkpoint, said.saves) == ('{"value":{"page":4},"batches":{"b":1}}', 1)
    assert said.progress is not None
    assert (said.progress.done, context.urgent, context.take().checkpoint) == (1, False, "")
    await asyncio.sleep(0)
    assert not saving.done()
    context.settle(said.saves)
    await saving
    assert context.checkpoint == {"page": 4}


async def test_a_save_that_was_not_the_last_arrives_with_the_last() -> None:
    context, _ = make_context()
    first, second = (asyncio.ensure_future(context.save(page)) for page in (1, 2))
    said = context.take()
    assert (said.checkpoint, said.saves) == ('{"value":2}', 2)
    third = asyncio.ensure_future(context.save(3))
    context.settle(said.saves)
    await asyncio.gather(first, second)
    assert not third.done()
    context.settle(context.take().saves)
    await third


async def test_a_save_of_an_attempt_that_is_over_raises() -> None:
    context, _ = make_context()
    waiting = asyncio.ensure_future(context.save(1))
    context.interrupt = Interrupt.LOST
    refused, _ = make_context()
    answered = asyncio.ensure_future(refused.save(1))
    refused.settle(refused.take().saves, Interrupt.LOST)
    for saving in (waiting, answered, context.save(2)):
        with pytest.raises(Interrupted, match="LOST"):
            await saving


async def test_a_task_that_is_cancelled_keeps_what_it_saves_and_hears_of_it() -> None:
    context, _ = make_context()
    context.interrupt = Interrupt.CANCEL
    saving = context.save(1)
    said = context.take()
    assert said.checkpoint == '{"value":1}'
    context.settle(said.saves)
    with pytest.raises(Interrupted, match="CANCEL"):
        await saving


async def test_a_thread_blocks_until_its_save_has_arrived() -> None:
    context, told = make_context()
    saving = asyncio.create_task(asyncio.to_thread(context.save, 1))
    await until(lambda: bool(told))
    assert not saving.done()
    context.settle(context.take().saves)
    await saving
    lost = asyncio.create_task(asyncio.to_thread(context.save, 2))
    await until(lambda: context.urgent)
    context.interrupt = Interrupt.LOST
    with pytest.raises(Interrupted):
        await lost


@pytest.mark.parametrize("value", ["x" * CHECKPOINT_MAX_BYTES, object(), {"a": {1, 2, object()}}, "\udc80"])
async def test_what_cannot_be_saved_is_refused_and_the_last_is_kept(value: object) -> None:
    context, told = make_context(checkpoint='{"value":1}')
    with pytest.raises((TypeError, ValueError)):
        context.save(value)
    assert (context.checkpoint, told) == (1, [])
