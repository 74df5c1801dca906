"""The stream of events: what cannot be read is passed over and handed on, and holes are told."""

from __future__ import annotations

import msgspec
import pytest
import redis.asyncio

from jobs.broker import Broker, Push, keys
from jobs.event import START, Position
from jobs.quarantine import Source
from tests.factories import make_spec

FUTURE = ["folded", "a-job", 7, 8, "of a newer version"]


async def entry(redis_client: redis.asyncio.Redis, payload: bytes, *, field: str = "e") -> str:
    return (await redis_client.xadd(keys.EVENTS, {field: payload})).decode()  # type: ignore[no-any-return]  # redis-py says Any


async def push(broker: Broker) -> str:
    spec = make_spec()
    await broker.push([Push(spec=spec)])
    return spec.id


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1 no msgpack",
        b"\xdc\xff\xff" + b"\x91" * 40,
        msgspec.msgpack.encode("text"),
        msgspec.msgpack.encode([1]),
        msgspec.msgpack.encode(["1", []]),
        msgspec.msgpack.encode([9, [FUTURE]]),
        msgspec.msgpack.encode([1, [FUTURE]]),
        msgspec.msgpack.encode([1, [[]]]),
        msgspec.msgpack.encode([1, [["due", "a-job", 1, 2, 3], ["due", "a-job", "x", 2, 3]]])[:-3] + b"\xff\xfe\xc1",
    ],
)
async def test_an_entry_that_cannot_be_read_is_handed_on_and_passed(
    broker: Broker, redis_client: redis.asyncio.Redis, payload: bytes
) -> None:
    first = await push(broker)
    entry_id = await entry(redis_client, payload)
    second = await push(broker)
    reading = await broker.stream.scan(START, 100)
    assert [event.job for _, event in reading.events] == [first, second]
    (record,) = reading.unread
    assert record.source is Source.EVENT
    assert record.ref == f"1-{entry_id}-0"
    assert record.reason
    again = await broker.stream.scan(reading.end, 100)
    assert (again.events, again.unread, again.end, again.hole) == ([], [], reading.end, False)


async def test_at_the_end_of_the_stream_the_position_goes_past_it(
    broker: Broker, redis_client: redis.asyncio.Redis
) -> None:
    await push(broker)
    await entry(redis_client, b"?")
    reading = await broker.stream.scan(START, 100)
    assert reading.end == await broker.stream.last()
    assert (await broker.stream.scan(reading.end, 100, block_ms=10)).unread == []


async def test_what_can_be_read_of_an_entry_is_read(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    entry_id = await entry(
        redis_client, msgspec.msgpack.encode([1, [["due", "a", 1, 2, 3], FUTURE, ["due", "b", 1, 2, 3]]])
    )
    reading = await broker.stream.scan(START, 100)
    assert [(str(position), event.job) for position, event in reading.events] == [
        (f"1-{entry_id}-0", "a"),
        (f"1-{entry_id}-2", "b"),
    ]
    assert [record.ref for record in reading.unread] == [f"1-{entry_id}-1"]
    assert "folded" in reading.unread[0].record
    inside = await broker.stream.scan(reading.events[0][0], 100)
    assert [event.job for _, event in inside.events] == ["b"]
    assert len(inside.unread) == 1
    assert (await broker.stream.scan(Position.parse(reading.unread[0].ref), 100)).unread == []


async def test_an_entry_without_its_field_is_unreadable(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    await entry(redis_client, b"x", field="other")
    assert len((await broker.stream.scan(START, 100)).unread) == 1
    assert (await broker.stream.first()) == (await broker.stream.last())


async def test_an_entry_of_an_epoch_that_this_process_does_not_know_yet_is_read(
    broker: Broker, redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.set(keys.EPOCH, 2)
    await entry(redis_client, msgspec.msgpack.encode([2, [["due", "a", 1, 2, 3]]]))
    reading = await broker.stream.scan(START, 100)
    assert ([event.job for _, event in reading.events], reading.unread) == (["a"], [])


async def test_a_reader_is_told_of_what_was_removed_before_it_read(
    broker: Broker, redis_client: redis.asyncio.Redis
) -> None:
    await push(broker)
    position = await broker.stream.last()
    await push(broker)
    await push(broker)
    assert not (await broker.stream.scan(position, 1)).hole
    last = await broker.stream.last()
    await redis_client.xtrim(keys.EVENTS, minid=last.entry, approximate=False)
    assert (await broker.stream.scan(position, 100)).hole
    assert not (await broker.stream.scan(last, 100)).hole


async def test_trimming_keeps_the_place_up_to_which_everything_is_recorded(broker: Broker) -> None:
    for _ in range(300):
        await push(broker)
    recorded = await broker.stream.last()
    for _ in range(300):
        await push(broker)
    assert await broker.stream.trim(recorded, await broker.now_ms() + 1) >= 100
    reading = await broker.stream.scan(recorded, 1_000)
    assert (len(reading.events), reading.hole) == (300, False)
