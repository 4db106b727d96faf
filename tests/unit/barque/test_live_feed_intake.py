"""Each tick goes out once and in order, however often the venue says it: after a renewal, and around a gap that is filled."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.calendars import calendar
from barque.live_feed.config import LiveFeedConfig
from barque.live_feed.core import Act, FeedCore, Fill
from barque.live_feed.filling import before_snapshot, by_minute, inside, queries_of
from barque.live_feed.intake import Intake
from barque.live_feed.metrics import FeedMetrics
from barque.live_feed.source import Connected, Lost, MarketMessage, Subscription, SymbolNews
from barque.live_feed.state import FeedPlaces, decode
from barque.messages import Bar, Quote, Trade
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, a_trade

METRICS = FeedMetrics("test", "feed.x")


class Desk:
    """An intake with its core, and what comes out."""

    def __init__(self, subscription: Subscription, places: FeedPlaces | None = None) -> None:
        self.key = subscription.key
        self.core = FeedCore("feed.x", LiveFeedConfig(), [subscription], {subscription.symbol: calendar("24/7")})
        self.intake = Intake(self.core, METRICS, self._say, self._do)
        self.places = places or FeedPlaces()
        self.out: list[MarketMessage] = []
        self.entries: list[list[MarketMessage]] = []
        self.fills: list[Fill] = []
        self.intake.begin([subscription], self.places.published)
        known = {name: each.ts_event_ns for name, each in self.places.published.items()}
        self._do(self.core.begin(known, T0))
        self.core.on_time(T0)
        self.told(Connected(), T0)

    def _say(self, messages: Sequence[MarketMessage], whole: bool) -> None:
        self.out += messages
        self.places.advance(messages)
        if whole and messages:
            self.entries.append(list(messages))

    def _do(self, acts: Sequence[Act]) -> None:
        for act in acts:
            if isinstance(act, Fill):
                self.fills.append(act)
                if act.ahead:
                    self.intake.hold(act.subscription.key)

    def told(self, event: Connected | Lost | SymbolNews, at: int) -> None:
        self._do(self.core.told(event, at))
        if isinstance(event, Connected):
            self.intake.renewed()

    def hear(self, *messages: MarketMessage, at: int = 0) -> None:
        for message in messages:
            self.intake.take([message], at or message.ts_recv_ns if not isinstance(message, Bar) else at)


def trades(*rows: tuple[float, float, float]) -> list[Trade]:
    """(second, price, size)."""
    return [a_trade(T0 + int(s * NS), price=price, size=size) for s, price, size in rows]


TRADES = Subscription(symbol="EURUSD", kind="trades")
SNAPSHOTS = Subscription(symbol="EURUSD", kind="quotes", exact_times=False)


def test_equal_trades_of_one_second_are_both_real() -> None:
    desk = Desk(TRADES)
    twins = trades((1, 1.3, 5), (1, 1.3, 5), (2, 1.3, 5))
    desk.hear(*twins)
    assert desk.out == twins


def test_what_a_renewed_subscription_repeats_is_dropped_as_often_as_it_was_published() -> None:
    desk = Desk(TRADES)
    desk.hear(*trades((1, 1.3, 5), (2, 1.4, 5), (2, 1.4, 5)))
    desk.intake.renewed()
    desk.hear(*trades((2, 1.4, 5), (2, 1.4, 5), (2, 1.4, 5), (3, 1.4, 5)))
    assert desk.out == trades((1, 1.3, 5), (2, 1.4, 5), (2, 1.4, 5), (2, 1.4, 5), (3, 1.4, 5))


def test_after_a_restart_of_the_process_too() -> None:
    desk = Desk(TRADES)
    desk.hear(*trades((1, 1.3, 5), (2, 1.4, 5)))
    again = Desk(TRADES, decode(desk.places.encode()))
    again.hear(*trades((2, 1.4, 5), (2, 1.4, 5), (3, 1.5, 5)))
    assert again.out == trades((2, 1.4, 5), (3, 1.5, 5))


def test_the_snapshot_of_a_renewed_subscription_is_dropped_where_it_says_nothing_new() -> None:
    desk = Desk(SNAPSHOTS)
    desk.hear(a_quote(T0 + NS, bid=1.3))
    desk.intake.renewed()
    desk.hear(a_quote(T0 + 5 * NS, bid=1.3), a_quote(T0 + 6 * NS, bid=1.3))
    assert [quote.ts_event_ns - T0 for quote in desk.out if isinstance(quote, Quote)] == [NS, 6 * NS]


def test_a_snapshot_of_a_dead_subscription_is_no_sign_of_life() -> None:
    desk = Desk(SNAPSHOTS)
    desk.hear(a_quote(T0 + NS, bid=1.3))
    desk.core.on_time(T0 + 62 * NS)
    assert desk.core.stale("EURUSD")
    desk.intake.renewed()
    desk.hear(a_quote(T0 + 63 * NS, bid=1.3))
    assert desk.core.stale("EURUSD")


def test_history_goes_in_front_of_what_was_heard_since_and_both_meet_without_a_twin() -> None:
    """Lost at second 2, back at second 10; history has all of it, in whole seconds as the broker stamps them."""
    desk = Desk(TRADES)
    desk.hear(*trades((1, 1.3, 5), (2, 1.4, 5)))
    desk.told(Lost(detail="x"), T0 + 3 * NS)
    desk.told(Connected(), T0 + 9 * NS)
    live = trades((10, 1.7, 1), (10, 1.7, 1), (11, 1.8, 1))
    desk.hear(*live)
    assert desk.out == trades((1, 1.3, 5), (2, 1.4, 5)), "held back"
    (fill,) = desk.fills
    (query,) = queries_of(fill, ("1m",))
    assert (query.kind, query.from_ns, query.to_ns) == ("trades", T0 + 2 * NS, T0 + 11 * NS)
    missed = trades((2, 1.4, 9), (5, 1.5, 2), (10, 1.6, 3))
    history = [*trades((2, 1.4, 5)), *missed, *trades((10, 1.7, 1), (10, 1.7, 1))]
    assert desk.intake.release(desk.key, list(inside(query, history)), fill) == 5
    assert desk.out == [*trades((1, 1.3, 5), (2, 1.4, 5)), *missed, *live]


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from([1.1, 1.2]), st.sampled_from([1.0, 2.0])), min_size=2, max_size=60),
       st.integers(0, 60), st.integers(0, 60))  # fmt: skip
def test_wherever_the_line_is_cut_every_trade_goes_out_once_and_in_order(
    rows: list[tuple[int, float, float]], cut: int, back: int
) -> None:
    """The tape is heard up to `cut`, nothing up to `back`; then live goes on and history is whole."""
    tape = trades(*sorted(rows, key=lambda row: row[0]))
    cut, back = sorted((cut % len(tape), back % len(tape)))
    desk = Desk(TRADES)
    desk.hear(*tape[: cut + 1])
    desk.told(Lost(detail="x"), tape[cut].ts_recv_ns)
    desk.told(Connected(), tape[back].ts_recv_ns)
    desk.hear(*tape[back + 1 :])
    if desk.fills:
        (query,) = queries_of(desk.fills[0], ("1m",))
        desk.intake.release(desk.key, list(inside(query, tape)), desk.fills[0])
        assert desk.out == tape
    else:
        assert back + 1 == len(tape) or tape[back + 1].ts_event_ns - tape[cut].ts_event_ns < 2 * NS, "too short to be a gap"


@pytest.mark.parametrize(
    ("history", "new"), [("abcSde", "abc"), ("abcS", "abc"), ("abcSdeSfS", "abcSdeSf"), ("abc", "abc"), ("S", "")]
)
def test_history_meets_quotes_without_the_venues_times_at_the_snapshot_with_which_they_begin(history: str, new: str) -> None:
    """Each letter is a quote; heard are S, d, e, f … since the connection, history has whole seconds."""
    heard = [a_quote(T0 + 10 * NS + i, bid=float(ord(letter))) for i, letter in enumerate("Sdefg")]
    told = [a_quote(T0 + 9 * NS, bid=float(ord(letter)), ts_recv_ns=T0 + 20 * NS) for letter in history]
    assert "".join(chr(int(tick.bid)) for tick in before_snapshot(told, heard) if isinstance(tick, Quote)) == new


def test_where_they_do_not_meet_the_second_of_the_snapshot_is_left_to_what_was_heard() -> None:
    heard = [a_quote(T0 + 10 * NS + 5, bid=7.0)]
    told = [a_quote(T0 + second * NS, bid=float(second)) for second in (8, 9, 10)]
    assert [tick.bid for tick in before_snapshot(told, heard) if isinstance(tick, Quote)] == [8.0, 9.0]


def test_a_minute_of_history_is_never_torn_apart() -> None:
    desk = Desk(TRADES)
    desk.hear(*trades((1, 1.3, 5)))
    desk.told(Lost(detail="x"), T0 + 3 * NS)
    desk.told(Connected(), T0 + 140 * NS)
    desk.hear(*trades((150, 1.7, 1)))
    history = trades((30, 1.4, 1), (59, 1.4, 1), (60, 1.5, 1), (119, 1.5, 1), (120, 1.6, 1))
    desk.intake.release(desk.key, history, desk.fills[0])
    assert [len(entry) for entry in desk.entries] == [2, 2, 1]
    assert [entry[0].ts_event_ns for entry in by_minute(history)] == [T0 + 30 * NS, T0 + MINUTE, T0 + 2 * MINUTE]  # type: ignore[union-attr]


def test_bars_that_a_feed_brings_go_out_once_in_order_and_their_gap_in_front() -> None:
    desk = Desk(Subscription(symbol="EURUSD", kind="bars", interval="1m", price="bid"))
    bars = [a_bar(T0 + i * MINUTE) for i in range(6)]
    for bar in bars[:2]:
        desk.hear(bar, at=bar.ts_close_ns)
    desk.told(Lost(detail="x"), T0 + 3 * MINUTE)
    desk.told(Connected(), T0 + 5 * MINUTE)
    for bar in (bars[1], bars[5]):
        desk.hear(bar, at=bars[5].ts_close_ns)
    (fill,) = desk.fills
    (query,) = queries_of(fill, ())
    desk.intake.release(desk.key, list(inside(query, bars)), fill)
    assert desk.out == bars


def test_a_long_gap_asks_for_whole_bars_of_both_sides_that_lie_inside() -> None:
    quotes = Subscription(symbol="EURUSD", kind="quotes")
    fill = Fill(quotes, T0 + 10 * NS, T0 + 12 * MINUTE + 30 * NS)
    queries = queries_of(fill, ("1m", "5m", "1h"))
    assert [(q.interval, q.price, (q.from_ns - T0) // MINUTE, (q.to_ns - T0) // MINUTE) for q in queries] == [
        ("1m", "bid", 1, 12),
        ("1m", "ask", 1, 12),
        ("5m", "bid", 5, 10),
        ("5m", "ask", 5, 10),
    ]
    whole_hour = [a_bar(T0 + i * MINUTE) for i in range(60)]
    assert list(inside(queries[0], whole_hour)) == whole_hour[1:12]
