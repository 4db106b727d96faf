"""What is old opens nothing: wishes, what they were wished on, the account's valuation, the latest price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from barque.config import load_section
from barque.errors import ConfigError
from barque.messages import Alert, Message, RejectReason, SignalRejected, SubmitOrder, Topic
from barque.node import ASLEEP, AWAKE
from router.config import RouterConfig
from router.core.node import RouterNode
from tests.support.builders import NS, T0, a_mark, clock, eurusd
from tests.support.routing import (
    a_change,
    a_router,
    check_restores,
    equity,
    feed,
    filled,
    holding,
    of_kind,
    order_of,
    refusal_of,
    wish_to,
    working,
)
from tests.support.routing import a_wish as a_wish_at

D = Decimal
HOUR = 3_600 * NS
SATURDAY = T0 + 2 * 24 * HOUR
"""T0 is a Thursday, 00:00 UTC; the FX calendar closes on Friday at 17:00 in New York, 21:00 UTC."""


def a_wish(name: str, at: int = T0, **changes: Any) -> Any:
    return a_wish_at(name, at, **changes)


def live(**section: Any) -> RouterNode:
    """A router on a wall clock whose account is valued and whose symbol has a price, both at T0."""
    node = a_router(clock="wall", **section)
    assert feed(node, clock(T0), equity("100000"), a_mark(T0)) == []
    return node


def now_at(node: RouterNode, at: int) -> RouterNode:
    """Time, price and valuation are of `at`."""
    feed(node, clock(at), a_mark(at), equity("100000", at))
    return node


# -- wishes ------------------------------------------------------------------------------------------------------------------


def test_on_a_wall_clock_a_wish_opens_nothing_a_minute_after_it_was_wished() -> None:
    assert order_of(now_at(live(), T0 + 60 * NS), a_wish("in time"))
    refusal = refusal_of(now_at(live(), T0 + 6 * HOUR), a_wish("late"))
    assert (refusal.reason, refusal.limit, refusal.actual) == (RejectReason.EXPIRED, "60", "21600")
    assert "max_signal_age_s" in refusal.detail


def test_what_a_wish_was_made_on_may_be_no_older_either() -> None:
    """A host that catches up wishes now on a bar of the past."""
    at = T0 + HOUR
    assert order_of(now_at(live(), at), a_wish("fresh", at, ts_heard_ns=at - 60 * NS))
    refusal = refusal_of(now_at(live(), at), a_wish("stale", at, ts_heard_ns=at - 61 * NS))
    assert (refusal.reason, refusal.limit, refusal.actual) == (RejectReason.EXPIRED, "60", "61")
    assert "bar or tick" in refusal.detail


@pytest.mark.parametrize(
    "wish",
    [wish_to("exit"), wish_to("reduce", quantity=D(2)), a_wish("close", side="sell", quantity=D(3))],
    ids=lambda w: w.action,
)
def test_an_old_wish_closes_all_the_same(wish: Any) -> None:
    assert order_of(now_at(holding(live(), 3), T0 + 6 * HOUR), wish).closes


def test_an_old_target_beyond_zero_is_only_followed_to_zero() -> None:
    order = order_of(now_at(holding(live(), 3), T0 + 6 * HOUR), wish_to("target", target=D(-2)))
    assert (order.side, order.quantity, order.closes) == ("sell", D(3), True)


def test_an_old_change_makes_an_order_smaller_and_nothing_else() -> None:
    node = live()
    resting = working(node, a_wish("a", quantity=D(2), order_type="limit", limit_price=D("1.2")))
    now_at(node, T0 + HOUR)
    assert refusal_of(node, a_change("grow", resting.order_id, quantity=D(3))).reason is RejectReason.EXPIRED
    assert refusal_of(node, a_change("move", resting.order_id, limit_price=D("1.3"))).reason is RejectReason.EXPIRED
    assert feed(node, a_change("shrink", resting.order_id, quantity=D(1)))


def test_where_the_feed_tells_the_time_nothing_is_late_unless_a_figure_is_set() -> None:
    assert order_of(a_router(), clock(T0 + 6 * HOUR), a_wish("a", ts_heard_ns=T0 - HOUR))
    assert refusal_of(a_router(max_signal_age_s="5"), clock(T0 + 6 * NS), a_wish("a")).reason is RejectReason.EXPIRED
    assert order_of(now_at(live(max_signal_age_s="0"), T0 + 6 * HOUR), a_wish("a"))


@pytest.mark.parametrize("name", ["max_signal_age_s", "max_equity_age_s"])
def test_an_age_is_a_number(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load_section({"router": {name: "-1"}}, "router", RouterConfig)


# -- the valuation -------------------------------------------------------------------------------------------------------------


def quiet(node: RouterNode, since: int, seconds: int) -> list[Message]:
    """The clock goes on, once a second, with prices and without a word of the portfolio."""
    said: list[Message] = []
    for n in range(1, seconds + 1):
        said += feed(node, clock(since + n * NS), a_mark(since + n * NS))
    return said


def test_an_account_that_is_not_valued_any_more_opens_nothing_and_people_are_told_once() -> None:
    """Losses are measured at valuations: with none, prices may fall by a third and no breaker sees it."""
    node = holding(live(), 1)
    assert quiet(node, T0, 300) == []
    assert order_of(node, a_wish("in time", T0 + 300 * NS))
    (alert,) = of_kind(Alert, quiet(node, T0 + 300 * NS, 400))
    assert (alert.name, alert.severity) == ("equity_unknown", "critical")
    at = T0 + 700 * NS
    refusal = refusal_of(node, a_wish("late", at))
    assert (refusal.reason, refusal.limit, refusal.actual) == (RejectReason.NO_EQUITY, "300", "700")
    assert order_of(node, wish_to("exit", "out", at)).closes
    assert feed(node, equity("99000", at)) == []
    (over,) = feed(node, clock(at + NS))
    assert isinstance(over, Alert)
    assert (over.name, over.severity) == ("equity_unknown", "info")
    assert order_of(node, a_wish("again", at + NS))
    (second,) = of_kind(Alert, quiet(node, at + NS, 400))
    assert second.severity == "critical"


def test_an_account_that_was_never_valued_opens_nothing() -> None:
    node = a_router(clock="wall")
    feed(node, clock(T0), a_mark(T0))
    assert refusal_of(node, a_wish("a")).reason is RejectReason.NO_EQUITY
    (alert,) = of_kind(Alert, quiet(node, T0, 301))
    assert alert.severity == "critical"


def test_who_was_away_gives_the_portfolio_time_before_people_are_told() -> None:
    """The router was down for an hour. It opens nothing before it has heard of the account, and cries no wolf."""
    node = live()
    assert feed(node, clock(T0 + HOUR), a_mark(T0 + HOUR)) == []
    assert refusal_of(node, a_wish("a", T0 + HOUR)).reason is RejectReason.NO_EQUITY
    assert quiet(node, T0 + HOUR, 200) == []
    assert feed(node, equity("100000", T0 + HOUR + 200 * NS)) == []
    assert quiet(node, T0 + HOUR + 200 * NS, 200) == []


NO_BREAKER: dict[str, Any] = {"breakers": {"drawdown": {"enabled": False}}}


@pytest.mark.parametrize(
    ("section", "wish"),
    [
        ({"breakers": {"drawdown": {"enabled": False}, "daily_loss": {"amount": "1000"}}}, {}),
        ({**NO_BREAKER, "strategy_breakers": [{"strategy": "s1", "drawdown": {"amount": "1000"}}]}, {}),
        ({**NO_BREAKER, "limits": {"max_leverage": "9"}}, {}),
        ({**NO_BREAKER, "limits": {"max_margin_use_fraction": "2"}}, {}),
        ({**NO_BREAKER, "strategy_limits": [{"strategy": "s1", "max_leverage": "9"}]}, {}),
        ({**NO_BREAKER, "sizing": [{"method": "equity_fraction", "value": "2"}]}, {"quantity": None}),
        (NO_BREAKER, {"quantity": None, "risk_fraction": D("0.2"), "stop_loss": D("1.3")}),
        (NO_BREAKER, {"action": "target", "side": None, "quantity": None, "target_fraction": D(2)}),
    ],
)
def test_whatever_goes_by_equity_needs_one_that_is_known(section: dict[str, Any], wish: dict[str, Any]) -> None:
    at = T0 + 301 * NS
    node = live(**section)
    assert of_kind(SubmitOrder, feed(live(**section), a_wish("known", **wish)))
    feed(node, clock(at), a_mark(at))
    assert refusal_of(node, a_wish("unknown", at, **wish)).reason is RejectReason.NO_EQUITY


def test_where_nothing_goes_by_equity_none_is_needed_and_nobody_is_told() -> None:
    node = live(**NO_BREAKER, strategy_limits=[{"strategy": "s2", "max_leverage": "9"}])
    assert quiet(node, T0, 600) == []
    assert order_of(node, a_wish("a", T0 + 600 * NS))
    assert refusal_of(node, a_wish("b", T0 + 600 * NS, strategy_id="s2")).reason is RejectReason.NO_EQUITY


def test_on_a_feed_clock_or_with_no_age_the_last_valuation_counts_for_ever() -> None:
    for node in (a_router(), a_router(clock="wall", max_equity_age_s="0")):
        feed(node, clock(T0), equity("100000"))
        at = T0 + 6 * HOUR
        assert feed(node, clock(at), a_mark(at)) == []
        assert order_of(node, a_wish("a", at))
    assert a_router().sleeps_until(Topic.CLOCK) == ASLEEP
    assert a_router(clock="wall").sleeps_until(Topic.CLOCK) == AWAKE


def test_an_episode_outlives_a_restart() -> None:
    seconds = [clock(T0 + n * 20 * NS) for n in range(40)]
    said = check_restores(
        lambda: a_router(clock="wall"), [equity("1000"), *seconds, equity("1000", T0 + 790 * NS), clock(T0 + 800 * NS)]
    )
    assert [m.severity for m in of_kind(Alert, said)] == ["critical", "info"]


# -- prices --------------------------------------------------------------------------------------------------------------------


def test_on_a_wall_clock_a_price_of_five_minutes_ago_opens_nothing_unless_a_figure_is_set() -> None:
    def late(seconds: int, **section: Any) -> Message:
        node, at = live(**section), T0 + seconds * NS
        feed(node, clock(at), equity("100000", at))
        (said,) = feed(node, a_wish("a", at))
        return said

    assert isinstance(late(300), SubmitOrder)
    refusal = late(6 * 3_600)
    assert isinstance(refusal, SignalRejected)
    assert (refusal.reason, refusal.limit, refusal.actual) == (RejectReason.STALE_DATA, "300", "21600")
    assert isinstance(late(6 * 3_600, limits={"stale_after_s": "86400"}), SubmitOrder)
    assert isinstance(late(6 * 3_600, strategy_limits=[{"strategy": "s1", "stale_after_s": "86400"}]), SubmitOrder)


def test_a_symbol_that_never_had_a_price_opens_nothing_on_a_wall_clock() -> None:
    node = a_router(clock="wall")
    feed(node, clock(T0), equity("100000"))
    assert refusal_of(node, a_wish("a")).reason is RejectReason.STALE_DATA
    assert order_of(a_router(), a_wish("a"))


def test_by_default_a_price_does_not_age_while_its_market_is_closed() -> None:
    """The last price of the week is of Friday 20:59 UTC. The market opens on Sunday at 21:00 UTC."""
    friday, sunday = T0 + 45 * HOUR - 60 * NS, T0 + 93 * HOUR
    for at, passes in ((SATURDAY, True), (sunday + 299 * NS, True), (sunday + 301 * NS, False)):
        node = a_router([eurusd(calendar="FX")], clock="wall")
        feed(node, clock(friday), a_mark(friday), clock(at), equity("100000", at))
        (said,) = feed(node, a_wish("a", at))
        assert isinstance(said, SubmitOrder) is passes, (at, said)


def test_a_figure_that_is_set_counts_by_night_too() -> None:
    node = a_router([eurusd(calendar="FX")], clock="wall", limits={"stale_after_s": "300"})
    feed(node, clock(T0 + 45 * HOUR - 60 * NS), a_mark(T0 + 45 * HOUR - 60 * NS), clock(SATURDAY), equity("100000", SATURDAY))
    assert refusal_of(node, a_wish("a", SATURDAY)).reason is RejectReason.STALE_DATA


def test_a_filled_order_is_closed_on_an_old_price() -> None:
    node = live()
    order = order_of(node, a_wish("in"))
    at = T0 + 6 * HOUR
    feed(node, filled(order), clock(at))
    assert order_of(node, wish_to("exit", "out", at)).closes
