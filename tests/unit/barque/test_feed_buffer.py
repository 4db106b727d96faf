"""The edge of a live feed: what it keeps while the bus is away, and that every loss is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from barque.bus.feed import PACK, TickBuffer
from barque.messages import FeedStatus, Message, Quote
from tests.support.builders import T0, a_quote


def quotes(first: int, count: int) -> list[Quote]:
    return [a_quote(T0 + i) for i in range(first, first + count)]


def numbers(messages: list[Message]) -> list[int]:
    return [m.ts_event_ns - T0 for m in messages if isinstance(m, Quote)]


def test_what_fits_comes_out_as_it_went_in() -> None:
    buffer = TickBuffer("f", capacity=5)
    buffer.offer(quotes(0, 3), 0.0)
    buffer.offer(quotes(3, 2), 0.0)
    assert buffer.take(T0) == quotes(0, 5)
    assert buffer.take(T0) == []
    assert (len(buffer), buffer.dropped) == (0, 0)


def test_beyond_its_capacity_the_oldest_go() -> None:
    buffer = TickBuffer("f", capacity=5)
    buffer.offer(quotes(0, 8), 0.0)
    assert (len(buffer), buffer.dropped) == (5, 3)
    assert numbers(buffer.take(T0)) == [3, 4, 5, 6, 7]


def test_ticks_older_than_their_time_go() -> None:
    buffer = TickBuffer("f", ttl_s=60.0)
    buffer.offer(quotes(0, 2), 0.0)
    buffer.offer(quotes(2, 1), 30.0)
    buffer.offer(quotes(3, 1), 60.0)
    assert buffer.dropped == 0, "60 s old is not older than 60 s"
    buffer.offer(quotes(4, 1), 60.1)
    assert buffer.dropped == 2
    assert numbers(buffer.take(T0)) == [2, 3, 4]


def test_a_gap_is_told_once_before_the_next_tick() -> None:
    buffer = TickBuffer("feed.x", capacity=2)
    buffer.offer(quotes(0, 3), 0.0)
    buffer.offer(quotes(3, 2), 0.0)
    first, *rest = buffer.take(T0 + 77)
    assert isinstance(first, FeedStatus)
    assert (first.feed, first.state, first.dropped, first.ts_event_ns) == ("feed.x", "gap", 3, T0 + 77)
    assert "3 ticks lost" in first.detail
    assert numbers(rest) == [3, 4]
    buffer.offer(quotes(5, 1), 0.0)
    assert buffer.take(T0) == quotes(5, 1)
    buffer.offer(quotes(6, 4), 0.0)
    (second, *_) = buffer.take(T0)
    assert isinstance(second, FeedStatus)
    assert (second.dropped, buffer.dropped) == (2, 5), "each gap tells its own losses"


def test_a_batch_is_never_longer_than_an_entry_may_be() -> None:
    buffer = TickBuffer("f", capacity=2 * PACK)
    buffer.offer(quotes(0, 2 * PACK + 1), 0.0)
    batches = []
    while batch := buffer.take(T0):
        batches.append(len(batch))
    assert max(batches) <= PACK
    assert sum(batches) == 2 * PACK + 1, "2,000 ticks and one gap"


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(1, 10), st.data())
def test_every_tick_comes_out_once_in_order_or_is_counted(offers: list[int], capacity: int, data: st.DataObject) -> None:
    buffer = TickBuffer("f", capacity=capacity)
    offered, out, told = 0, [], 0
    for count in [*offers, 0]:
        buffer.offer(quotes(offered, count), 0.0)
        offered += count
        if data.draw(st.booleans()):
            taken = buffer.take(T0)
            out += numbers(taken)
            told += sum(m.dropped for m in taken if isinstance(m, FeedStatus))
    taken = buffer.take(T0)
    out += numbers(taken)
    told += sum(m.dropped for m in taken if isinstance(m, FeedStatus))
    assert out == sorted(set(out))
    assert len(out) + told == offered
    assert told == buffer.dropped


def test_what_belongs_together_is_in_one_entry_however_many_it_is() -> None:
    buffer = TickBuffer("f", capacity=10_000)
    buffer.offer(quotes(0, PACK - 1), 0.0)
    buffer.offer(quotes(PACK - 1, 3), 0.0, whole=True)
    buffer.offer(quotes(PACK + 2, 1), 0.0)
    assert [len(buffer.take(T0)) for _ in range(3)] == [PACK + 2, 1, 0]


def test_it_is_known_when_what_was_lost_had_happened() -> None:
    buffer = TickBuffer("f", capacity=2)
    buffer.offer([*quotes(0, 4), a_quote(T0 + 9, symbol="USDJPY")], 0.0)
    assert buffer.take_lost() == {(Quote, "EURUSD"): (T0, T0 + 2)}
    assert buffer.take_lost() == {}
    assert buffer.room == 0
