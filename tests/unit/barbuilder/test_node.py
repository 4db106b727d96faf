"""The bar builder: bars, marks, lateness and quarantine, said by messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.messages import Bar, FeedStatus, Mark, Message, Topic
from barque.messages.market import PriceType
from barque.node import Node, Rank
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, a_trade, clock, eurusd, usdjpy

MS = 10**6
nan = float("nan")


def a_node(prices: tuple[PriceType, ...] = ("bid",), spike: float = 0.3, interval: str = "1m", **config: Any) -> BarBuilderNode:
    """A builder of EURUSD bars."""
    bars = (BarsConfig(symbols=("EURUSD",), interval=interval, prices=prices),)
    return BarBuilderNode(BarBuilderConfig(bars=bars, **config), [eurusd(max_spike_fraction=spike), usdjpy()])


def said(node: Node, *messages: Message) -> list[Message]:
    """All that the node answers."""
    return [output for message in messages for _, output in node.handle(message)]


def bars(messages: Iterable[Message]) -> list[Bar]:
    return [message for message in messages if isinstance(message, Bar)]


def marks(messages: Iterable[Message]) -> list[Mark]:
    return [message for message in messages if isinstance(message, Mark)]


def ohlc(bar: Bar) -> tuple[float, float, float, float, int]:
    return bar.open, bar.high, bar.low, bar.close, bar.tick_count


def bid(at_s: float, price: float, **changes: Any) -> Message:
    """A quote `at_s` seconds after T0, one unit wide."""
    return a_quote(T0 + round(at_s * 1_000) * MS, bid=price, ask=price + 1, **changes)


def test_it_is_a_market_data_node() -> None:
    node: Node = a_node()
    assert (node.name, node.rank, node.order_path) == ("barbuilder", Rank.BARBUILDER, False)
    assert tuple(node.inputs) == (Topic.CLOCK, Topic.TICKS, Topic.BARS)


def test_a_tick_of_the_next_bucket_closes_the_bar_at_once() -> None:
    node = a_node()
    closing = bid(60, 12)
    [bar] = bars(said(node, bid(0, 10), bid(10, 12), bid(20, 9), bid(59.999, 11), closing))
    assert bar == a_bar(T0, open=10, high=12, low=9, close=11, tick_count=4, root=closing.id)


def test_the_clock_closes_a_bar_once_its_grace_has_passed() -> None:
    node = a_node()
    said(node, bid(0, 10))
    assert not bars(said(node, clock(T0 + MINUTE), clock(T0 + MINUTE + 499 * MS)))
    [bar] = bars(said(node, clock(T0 + MINUTE + 500 * MS), clock(T0 + 2 * MINUTE)))
    assert (ohlc(bar), bar.root) == ((10, 10, 10, 10, 1), "")


def test_a_tick_within_the_grace_still_counts() -> None:
    node = a_node()
    said(node, bid(0, 10), clock(T0 + MINUTE + 100 * MS), bid(59.9, 12))
    [bar] = bars(said(node, clock(T0 + MINUTE + 500 * MS)))
    assert ohlc(bar) == (10, 12, 10, 12, 2)


def test_every_price_has_its_bar_in_the_order_configured() -> None:
    node = a_node(("mid", "last", "ask", "bid"))
    said(node, a_quote(T0, bid=10, ask=12), a_trade(T0, price=13, size=5), a_quote(T0 + NS, bid=11, ask=13))
    done = bars(said(node, clock(T0 + 2 * MINUTE)))
    assert [(bar.price, *ohlc(bar)) for bar in done] == [
        ("mid", 11, 12, 11, 12, 2),
        ("ask", 12, 13, 12, 13, 2),
        ("bid", 10, 11, 10, 11, 2),
        ("last", 13, 13, 13, 13, 1),
    ]


def test_volume_is_the_traded_size_and_trades_are_never_duplicates() -> None:
    node = a_node(("last",))
    same = a_trade(T0 + NS, price=10, size=2)
    [bar] = bars(
        said(node, a_trade(T0, price=10, size=1.5), same, same, a_trade(T0 + 2 * NS, price=11, size=0), clock(T0 + 2 * MINUTE))
    )
    assert (*ohlc(bar), bar.volume) == (10, 11, 10, 11, 4, 5.5)
    assert node.counters["duplicate"] == 0


def test_a_late_tick_never_reopens_a_bar() -> None:
    node = a_node()
    [first] = bars(said(node, bid(10, 10), bid(70, 10)))
    [second] = bars(said(node, bid(59.999, 10.5), bid(71, 10), bid(5, 9.5), clock(T0 + 3 * MINUTE)))
    assert ohlc(first) == (10, 10, 10, 10, 1)
    assert ohlc(second) == (10, 10, 10, 10, 2)
    assert (node.counters["late"], node.counters["bars"]) == (2, 2)


def test_a_tick_of_a_bucket_the_clock_has_closed_is_late() -> None:
    node = a_node()
    said(node, bid(0, 10), clock(T0 + 2 * MINUTE))
    assert not bars(said(node, bid(59, 11), clock(T0 + 5 * MINUTE)))
    assert (node.counters["late"], node.counters["bars"]) == (1, 1)


def test_an_out_of_order_tick_inside_the_open_bar_amends_it() -> None:
    node = a_node()
    [bar] = bars(said(node, bid(10, 10), bid(30, 11), bid(20, 10.5), bid(25, 10.9), clock(T0 + 2 * MINUTE)))
    assert ohlc(bar) == (10, 11, 10, 11, 4), "neither open nor close, but counted"
    node = a_node()
    [bar] = bars(
        said(node, bid(10, 10), bid(30, 11), bid(20, 10.2), bid(25, 11.5), bid(5, 9.5), bid(7, 9.7), clock(T0 + 2 * MINUTE))
    )
    assert ohlc(bar) == (9.5, 11.5, 9.5, 11, 6), "the earliest is the open, whenever it came"


def test_of_two_ticks_of_one_time_the_first_is_the_open_and_the_second_the_close() -> None:
    [bar] = bars(said(a_node(), bid(10, 10), bid(10, 10.5), clock(T0 + 2 * MINUTE)))
    assert ohlc(bar) == (10, 10.5, 10, 10.5, 2)


def test_an_exact_duplicate_quote_is_counted_and_not_applied() -> None:
    node = a_node()
    again = bid(10, 10)
    [bar] = bars(said(node, again, again, bid(11, 10), clock(T0 + 2 * MINUTE)))
    assert (bar.tick_count, node.counters["duplicate"]) == (2, 1)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (a_quote(T0 + NS, bid=nan), "nan"),
        (a_quote(T0 + NS, ask=float("inf")), "nan"),
        (a_quote(T0 + NS, bid=float("-inf")), "nan"),
        (a_quote(T0 + NS, bid=0.0), "non_positive"),
        (a_quote(T0 + NS, bid=-1.0, ask=-0.5), "non_positive"),
        (a_quote(T0 + NS, bid=1.39, ask=1.38), "crossed"),
        (a_quote(T0 + NS, bid=1.2, ask=1.3869), "spike"),
        (a_quote(T0 + NS, bid=1.3868, ask=1.6), "spike"),
        (a_trade(T0 + NS, price=nan), "nan"),
        (a_trade(T0 + NS, size=nan), "nan"),
        (a_trade(T0 + NS, price=0.0), "non_positive"),
        (a_trade(T0 + NS, size=-1.0), "negative_size"),
        (a_trade(T0 + NS, price=1.6), "spike"),
        (a_trade(2**64 - 1), "bad_time"),
        (a_quote(-1), "bad_time"),
        (a_quote(T0 + NS, symbol="XXXYYY"), "unknown_symbol"),
        (a_trade(T0 + NS, symbol="XXXYYY"), "unknown_symbol"),
    ],
)
def test_a_bad_tick_is_counted_by_its_reason_and_is_in_no_bar_and_no_mark(bad: Message, reason: str) -> None:
    node = a_node(("bid", "ask", "last"), spike=0.1)
    said(node, a_quote(T0), a_trade(T0))
    assert said(node, bad) == []
    assert node.counters[reason] == 1
    assert node.counters["ticks"] == 3
    assert [bar.tick_count for bar in bars(said(node, clock(T0 + 2 * MINUTE)))] == [1, 1, 1]


def test_a_tick_just_inside_the_spike_fraction_is_good() -> None:
    node = a_node(spike=0.25)
    said(node, bid(0, 100), bid(1, 125), bid(2, 94))
    assert node.counters["spike"] == 0
    said(node, bid(3, 118))
    assert node.counters["spike"] == 1, "94 -> 118 is 25.5 %"


def test_five_ticks_that_agree_are_a_new_level() -> None:
    node = a_node()
    said(node, bid(0, 100), *(bid(second, 200 + second) for second in (1, 2, 3, 4)))
    assert node.counters["spike"] == 4
    [bar] = bars(said(node, bid(5, 205), bid(6, 206), clock(T0 + 2 * MINUTE)))
    assert (ohlc(bar), node.counters["spike"]) == ((100, 206, 100, 206, 3), 4)


def test_spikes_that_disagree_are_never_a_level() -> None:
    node = a_node()
    said(node, bid(0, 100), *(bid(second, 200 if second % 2 else 300) for second in range(1, 20)))
    assert node.counters["spike"] == 19


def test_a_good_tick_between_spikes_ends_their_run() -> None:
    node = a_node()
    run = [bid(second, 200) for second in (1, 2, 3, 4)]
    said(node, bid(0, 100), *run, bid(5, 101), *(bid(second, 200) for second in (6, 7, 8, 9)))
    assert node.counters["spike"] == 8


def test_gaps_stay_empty_unless_filling_is_asked_for() -> None:
    done = bars(said(a_node(), bid(0, 10), bid(119, 11), bid(200, 12), clock(T0 + 10 * MINUTE)))
    assert [(bar.ts_open_ns - T0) // MINUTE for bar in done] == [0, 1, 3]


def test_a_short_gap_is_filled_with_flat_bars_and_a_longer_one_is_not() -> None:
    node = a_node(fill_gaps=True)
    after = bid(179.9, 12)
    done = bars(said(node, bid(59.9, 10), after, bid(301, 13), clock(T0 + 10 * MINUTE)))
    assert [((bar.ts_open_ns - T0) // MINUTE, *ohlc(bar)) for bar in done] == [
        (0, 10, 10, 10, 10, 1),
        (1, 10, 10, 10, 10, 0),
        (2, 12, 12, 12, 12, 1),
        (5, 13, 13, 13, 13, 1),
    ]
    assert (done[1].volume, done[1].root) == (0, after.id)


def test_a_gap_is_filled_where_the_clock_closed_the_bar_before_it() -> None:
    node = a_node(("bid", "ask"), fill_gaps=True)
    said(node, bid(30, 10), clock(T0 + MINUTE + 500 * MS))
    done = bars(said(node, bid(150, 12)))
    assert [(bar.price, bar.ts_open_ns - T0, bar.close) for bar in done] == [("bid", MINUTE, 10), ("ask", MINUTE, 11)]


def test_the_first_tick_is_marked_at_once_and_the_next_mark_waits_its_interval() -> None:
    node = a_node()
    [first] = marks(said(node, bid(0, 10)))
    assert (first.symbol, first.ts_event_ns, first.bid, first.ask) == ("EURUSD", T0, 10, 11)
    assert first.last != first.last
    assert marks(said(node, bid(0.1, 10.1), bid(0.249, 10.2))) == []
    [second] = marks(said(node, bid(0.25, 10.3)))
    assert (second.ts_event_ns, second.bid) == (T0 + 250 * MS, 10.3)


def test_the_clock_marks_what_a_tick_left_unsaid_once_and_at_the_ticks_time() -> None:
    node = a_node()
    said(node, bid(0, 10), a_trade(T0 + 50 * MS, price=10.5), bid(0.1, 10.1))
    assert said(node, clock(T0 + 249 * MS)) == []
    [mark] = said(node, clock(T0 + 250 * MS))
    assert (mark.ts_event_ns, mark.bid, mark.ask, mark.last) == (T0 + 100 * MS, 10.1, 11.1, 10.5)
    assert said(node, clock(T0 + NS), clock(T0 + 30 * NS)) == []


def test_an_instrument_without_bars_is_marked_too() -> None:
    assert [mark.symbol for mark in said(a_node(), a_quote(symbol="USDJPY", bid=90, ask=90.1))] == ["USDJPY"]


def test_a_feed_of_bars_moves_the_marks_of_a_symbol_without_ticks() -> None:
    node = a_node()
    [first] = said(node, a_bar(T0, price="bid", close=1.3869))
    assert (first.ts_event_ns, first.bid) == (T0 + MINUTE, 1.3869)
    assert said(node, a_bar(T0, price="ask", close=1.3871)) == []
    [both] = said(node, clock(T0 + MINUTE + 250 * MS))
    assert (both.bid, both.ask) == (1.3869, 1.3871)


def test_a_bar_that_waited_for_its_other_side_does_not_hold_back_the_mark_of_the_next() -> None:
    node = a_node()
    said(node, a_bar(T0, price="bid", close=1.0), a_bar(T0, price="ask", close=1.1))
    assert said(node, a_bar(T0 + MINUTE, price="bid", close=1.2)) == []
    assert len(said(node, clock(T0 + 3 * MINUTE))) == 1
    [mark] = said(node, a_bar(T0 + 2 * MINUTE, price="bid", close=1.3), a_bar(T0 + 2 * MINUTE, price="ask", close=1.4))
    assert (mark.ts_event_ns, mark.bid, mark.ask) == (T0 + 3 * MINUTE, 1.3, 1.4)


def test_bid_and_ask_bars_of_one_time_make_one_mark_never_a_crossed_one() -> None:
    node = a_node()
    said(node, a_bar(T0, price="bid", close=1.0), a_bar(T0, price="ask", close=1.1))
    assert said(node, a_bar(T0 + MINUTE, price="bid", close=1.2)) == []
    [mark] = said(node, a_bar(T0 + MINUTE, price="ask", close=1.3))
    assert (mark.ts_event_ns, mark.bid, mark.ask) == (T0 + 2 * MINUTE, 1.2, 1.3)


def test_mid_and_last_bars_move_marks_too() -> None:
    [mid] = said(a_node(), a_bar(price="mid", close=1.5))
    assert (mid.bid, mid.ask, mid.price) == (1.5, 1.5, 1.5)
    [last] = said(a_node(), a_bar(price="last", close=1.5))
    assert (last.last, last.price) == (1.5, 1.5)


def test_bars_of_a_symbol_with_ticks_are_our_own_and_ignored() -> None:
    node = a_node()
    said(node, bid(0, 10))
    before = node.snapshot()
    assert said(node, a_bar(T0, close=99.0)) == []
    assert node.snapshot() == before


@pytest.mark.parametrize("changes", [{"close": nan}, {"close": 0.0}, {"symbol": "XXXYYY"}])
def test_a_bar_that_cannot_be_a_mark_is_counted(changes: dict[str, Any]) -> None:
    node = a_node()
    assert said(node, a_bar(**changes)) == []
    assert (node.counters["refused_bars"], node.counters["ticks"]) == (1, 0)


def test_a_feeds_status_changes_nothing() -> None:
    assert said(a_node(), FeedStatus(feed="x", ts_event_ns=T0, state="heartbeat")) == []


def test_one_tick_closes_bars_of_every_interval_in_configured_order_before_the_mark() -> None:
    specs = tuple(BarsConfig(symbols=("EURUSD",), interval=interval, prices=("ask", "bid")) for interval in ("5m", "1m"))
    node = BarBuilderNode(BarBuilderConfig(bars=specs), [eurusd()])
    said(node, bid(299, 10))
    outputs = said(node, bid(300, 11))
    assert [(bar.interval, bar.price) for bar in bars(outputs)] == [("5m", "ask"), ("5m", "bid"), ("1m", "ask"), ("1m", "bid")]
    assert outputs[-1:] == marks(outputs)


def test_a_tick_late_for_one_interval_still_counts_in_a_longer_one() -> None:
    specs = tuple(BarsConfig(symbols=("EURUSD",), interval=interval, prices=("bid",)) for interval in ("1m", "5m"))
    node = BarBuilderNode(BarBuilderConfig(bars=specs), [eurusd()])
    said(node, bid(30, 10), bid(90, 11), bid(40, 10.5))
    minute, five = bars(said(node, clock(T0 + 10 * MINUTE)))
    assert (minute.tick_count, five.tick_count, node.counters["late"]) == (1, 3, 1)


def test_a_new_bar_in_the_configuration_starts_empty_and_the_others_go_on() -> None:
    node = a_node(("bid",))
    said(node, bid(0, 10), bid(1, 12))
    specs = (BarsConfig(symbols=("EURUSD",), prices=("bid",)), BarsConfig(symbols=("EURUSD",), interval="5m", prices=("bid",)))
    successor = BarBuilderNode(BarBuilderConfig(bars=specs), [eurusd(max_spike_fraction=0.3)])
    successor.restore(node.snapshot())
    minute, five = bars(said(successor, bid(0.5, 11.5), bid(30, 11), clock(T0 + 10 * MINUTE)))
    assert (ohlc(minute), ohlc(five)) == ((10, 12, 10, 11, 4), (11, 11, 11, 11, 1))
    assert successor.counters["late"] == 1, "what is older than the newest tick came before the new bar"


def test_a_snapshot_is_small_and_empty_bytes_are_a_new_node() -> None:
    node = a_node(("bid", "ask", "mid", "last"))
    fresh = node.snapshot()
    said(node, *(bid(second, 10 + second % 7) for second in range(1_000)))
    assert len(node.snapshot()) < 1_000
    node.restore(b"")
    assert node.snapshot() == fresh
