"""Trimming: a stream loses what every reader has passed and what is older than the window, and nothing else."""

from __future__ import annotations

from barque.bus.redis_bus import RedisBus
from barque.bus.step import Position
from barque.messages import Topic
from tests.support.builders import NS, T0, a_quote
from tests.support.driving import publish

FIVE = [[a_quote(T0 + i * NS)] for i in range(5)]


async def read_up_to(bus: RedisBus, reader: str, entry_id: str) -> None:
    await bus.register(reader, 20, [Topic.TICKS], False, "w1")
    await bus.mirror(reader, 1, {Topic.TICKS: Position(entry_id, 1)}, ("PING",))


async def test_nothing_goes_that_the_slowest_reader_has_not_passed(bus: RedisBus) -> None:
    await publish(bus, Topic.TICKS, FIVE)
    ids = [entry.entry_id for entry in await bus.range(Topic.TICKS)]
    await read_up_to(bus, "fast", ids[4])
    await read_up_to(bus, "slow", ids[2])
    assert await bus.trim(window_s=-3_600) == 2
    assert [entry.entry_id for entry in await bus.range(Topic.TICKS)] == ids[2:]


async def test_what_is_younger_than_the_window_stays_although_everybody_has_passed_it(bus: RedisBus) -> None:
    await publish(bus, Topic.TICKS, FIVE)
    ids = [entry.entry_id for entry in await bus.range(Topic.TICKS)]
    await read_up_to(bus, "fast", ids[4])
    assert await bus.trim(window_s=3_600) == 0
    assert [entry.entry_id for entry in await bus.range(Topic.TICKS)] == ids


async def test_a_book_is_trimmed_at_most_once_a_minute(bus: RedisBus) -> None:
    await publish(bus, Topic.TICKS, FIVE[:2])
    ids = [entry.entry_id for entry in await bus.range(Topic.TICKS)]
    await read_up_to(bus, "only", ids[1])
    assert await bus.trim(window_s=-3_600) == 1
    await publish(bus, Topic.TICKS, FIVE[2:])
    await read_up_to(bus, "only", (await bus.last(Topic.TICKS, 1))[0].entry_id)
    assert await bus.trim(window_s=-3_600) == 0
