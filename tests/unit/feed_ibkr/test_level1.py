"""Single ticks of level 1 become quotes that were."""

from __future__ import annotations

from feed_ibkr.core.level1 import Level1, trade_of
from tests.support.builders import T0

BID, ASK, BID_SIZE, ASK_SIZE = 1, 2, 0, 3


def said(*ticks: tuple[int, float, float] | tuple[int, float] | None) -> list[tuple[float, float, float, float]]:
    """What comes of ticks; None: the packet is over."""
    line = Level1("EURUSD")
    quotes = []
    for tick in ticks:
        if tick is None:
            quotes += line.flush(T0)
        elif len(tick) == 3:
            quotes += line.price(*tick, T0)
        else:
            quotes += line.size(*tick, T0)
    return [(q.bid, q.ask, q.bid_size, q.ask_size) for q in quotes]


def test_both_sides_of_one_packet_are_one_quote() -> None:
    assert said((BID, 1.1, 5), (BID_SIZE, 5), (ASK, 1.2, 6), (ASK_SIZE, 6), None) == [(1.1, 1.2, 5, 6)]


def test_every_price_of_a_burst_in_one_packet_is_seen() -> None:
    burst = ((BID, 1.1, 5), (ASK, 1.2, 6), (BID, 1.15, 5), (BID, 1.05, 5), (ASK, 1.21, 6), None)
    assert said(*burst) == [(1.1, 1.2, 5, 6), (1.15, 1.2, 5, 6), (1.05, 1.21, 5, 6)]


def test_sides_that_cross_between_two_packets_wait_for_one_another() -> None:
    assert said((BID, 1.1, 5), (ASK, 1.2, 6), None, (BID, 1.3, 5), None, (ASK, 1.4, 6), None) == [
        (1.1, 1.2, 5, 6),
        (1.3, 1.4, 5, 6),
    ]


def test_no_quote_on_a_side_is_no_quote() -> None:
    assert said((BID, -1.0, 0), (ASK, -1.0, 0), None, (BID, 1.1, 0), (ASK, 1.2, 6), None) == []


def test_a_size_alone_is_news_and_its_repetition_is_not() -> None:
    first = ((BID, 1.1, 5), (ASK, 1.2, 6), None)
    assert said(*first, (BID_SIZE, 5), None, (BID_SIZE, 9), None) == [(1.1, 1.2, 5, 6), (1.1, 1.2, 9, 6)]


def test_delayed_ids_mean_the_same() -> None:
    assert said((66, 1.1, 5), (69, 5), (67, 1.2, 6), None) == [(1.1, 1.2, 5, 6)]


def test_a_trade_is_told_with_the_venues_milliseconds() -> None:
    trade = trade_of("SPY", "701.28;1;1348075471534;67854;701.46918464;true", T0)
    assert trade is not None
    assert (trade.price, trade.size, trade.ts_event_ns, trade.ts_recv_ns) == (701.28, 1.0, 1_348_075_471_534_000_000, T0)
    assert trade_of("SPY", ";;1348075471534;67854;701.46918464;true", T0) is None
    assert trade_of("SPY", "", T0) is None
