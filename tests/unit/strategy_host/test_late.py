"""A host that was away hears of the past, wishes now, and says so."""

from __future__ import annotations

from barque.messages import Bar, ClockTicked, ModifyRequest, Quote, RejectReason, SignalRejected
from barque.strategy import Strategy
from tests.support import hosting, routing
from tests.support.builders import MINUTE, NS, T0, a_bar, a_mark, a_quote, an_order, clock

HOURS = 6 * 3_600 * NS


class Buyer(Strategy):
    """Buys on whatever it hears, and raises the order that it has at work."""

    heard: int = 0

    def on_bar(self, bar: Bar) -> None:
        for order in self.open_orders(bar.symbol):
            self.modify(bar.symbol, order.order_id, quantity=2)
        self.buy(bar.symbol, 1)

    def on_tick(self, tick: Quote) -> None:
        self.buy(tick.symbol, 1)


def test_a_wish_on_an_old_bar_or_tick_says_how_old_that_is() -> None:
    node = hosting.hosted(Buyer)
    hosting.feed(node, ClockTicked(now_ns=T0 + HOURS))
    (on_bar,) = hosting.signals(hosting.feed(node, a_bar(T0)))
    assert (on_bar.ts_event_ns, on_bar.ts_heard_ns) == (T0 + HOURS, T0 + MINUTE)
    (on_tick,) = hosting.signals(hosting.feed(node, a_quote(T0 + 5)))
    assert (on_tick.ts_event_ns, on_tick.ts_heard_ns) == (T0 + HOURS, T0 + 5)


def test_a_change_on_an_old_bar_says_so_too() -> None:
    node = hosting.hosted(Buyer)
    hosting.feed(node, an_order(), ClockTicked(now_ns=T0 + HOURS))
    change, _ = hosting.signals(hosting.feed(node, a_bar(T0)))
    assert isinstance(change, ModifyRequest)
    assert change.ts_heard_ns == T0 + MINUTE


def test_a_wish_on_what_is_as_new_as_itself_says_nothing() -> None:
    node = hosting.hosted(Buyer)
    hosting.feed(node, ClockTicked(now_ns=T0 + MINUTE + NS))
    (wish,) = hosting.signals(hosting.feed(node, a_bar(T0)))
    assert wish.ts_heard_ns is None


def test_bars_that_were_missed_open_nothing_and_each_refusal_is_told() -> None:
    """Six hours of downtime: the strategy follows every bar, and only what it wishes on the newest leads to an order."""
    node, router = hosting.hosted(Buyer), routing.a_router(clock="wall")
    now = T0 + HOURS
    routing.feed(router, clock(now), a_mark(now), routing.equity("100000", now))
    said = hosting.feed(node, ClockTicked(now_ns=now), *(a_bar(now - n * MINUTE) for n in (360, 3, 2, 1)))
    *missed, last = (routing.feed(router, wish) for wish in hosting.signals(said))
    assert [(type(m), m.reason, m.limit) for (m,) in missed[:2]] == [(SignalRejected, RejectReason.EXPIRED, "60")] * 2
    assert [m.actual for (m,) in missed[:2]] == [str(359 * 60), "120"]
    assert routing.of_kind(routing.SubmitOrder, last)
