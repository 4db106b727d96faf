"""Circuit breakers: when they trip, what stops, what passes, and how they end."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from barque.calendars import instant, zone
from barque.messages import (
    Alert,
    BreakerChanged,
    CancelOrder,
    Halt,
    Message,
    ModifyOrder,
    PositionChanged,
    ReconciliationReport,
    RejectReason,
    Resume,
    SignalRejected,
    StartStrategy,
    StopStrategy,
    SubmitOrder,
    Topic,
)
from barque.node import ASLEEP, AWAKE
from router.core.node import RouterNode
from tests.support.builders import MINUTE, NS, T0, a_mark, clock, usdjpy
from tests.support.routing import (
    a_cancel,
    a_change,
    a_router,
    a_wish,
    cancel_rejected,
    command,
    equity,
    feed,
    filled,
    holding,
    modify_rejected,
    of_kind,
    order_of,
    refusal_of,
    rejected,
    wish_to,
    working,
)

D = Decimal
LIMIT: dict[str, Any] = {"order_type": "limit", "limit_price": D("1.30")}
HOUR = 60 * MINUTE


def breakers(**section: Any) -> RouterNode:
    """A router with these breakers of the book, and the usual ones."""
    return a_router(breakers=section)


def changes_in(messages: list[Message]) -> list[tuple[str, str, bool, str]]:
    """(scope, breaker, tripped, status) of every change."""
    return [(c.strategy_id, c.breaker, c.tripped, c.status) for c in of_kind(BreakerChanged, messages)]


def tripped(node: RouterNode, strategy_id: str = "s1") -> bool:
    """Whether the strategy may only close, tried on a router that is thrown away."""
    probe = a_router()
    probe.restore(node.snapshot())
    (said,) = feed(probe, a_wish("probe", T0, strategy_id=strategy_id))
    assert not isinstance(said, SignalRejected) or said.reason is RejectReason.BREAKER
    return isinstance(said, SignalRejected)


# -- losses ----------------------------------------------------------------------------------------------------------------


def test_a_drawdown_of_ten_percent_from_the_highest_equity_trips_unless_told_otherwise() -> None:
    node = a_router()
    assert feed(node, equity("100000", T0), equity("120000", T0 + 1), equity("108000.01", T0 + 2)) == []
    changed, alert = feed(node, equity("108000", T0 + 3))
    assert changed == BreakerChanged(
        account="paper",
        strategy_id="",
        breaker="drawdown",
        status="TRIPPED",
        ts_event_ns=0,
        cause=f"paper.{T0 + 3}",
        tripped=True,
        limit="12000",
        actual="12000",
    )
    assert (alert.name, alert.severity) == ("breaker_tripped", "critical")
    assert "drawdown of the book tripped at 12000, its limit is 12000" in alert.text
    assert feed(node, equity("90000", T0 + 4)) == []


def test_while_a_breaker_has_tripped_only_what_closes_passes_for_every_strategy() -> None:
    node = holding(breakers(drawdown={"amount": "500", "on_trip": "refuse"}), 3)
    resting = working(node, a_wish("resting", quantity=D(2), **LIMIT))
    feed(node, equity("100000"), equity("99500"))
    for strategy_id in ("s1", "s2"):
        refusal = refusal_of(node, a_wish(f"in{strategy_id}", strategy_id=strategy_id))
        assert (refusal.reason, refusal.limit, refusal.actual) == (RejectReason.BREAKER, "500", "500")
        assert "drawdown of the book" in refusal.detail
    grow, move = a_change("grow", resting.order_id, quantity=D(3)), a_change("move", resting.order_id, limit_price=D("1.31"))
    assert refusal_of(node, grow).reason is refusal_of(node, move).reason is RejectReason.BREAKER
    (request,) = feed(node, a_change("shrink", resting.order_id, quantity=D(1)))
    assert isinstance(request, ModifyOrder)
    assert order_of(node, wish_to("reduce", "out", quantity=D(1))).closes
    assert [type(m) for m in feed(node, a_cancel("k", resting.order_id))] == [CancelOrder]


def test_a_target_on_the_other_side_of_zero_is_only_closed_for_while_a_breaker_has_tripped() -> None:
    node = holding(breakers(drawdown={"amount": "500"}), 3)
    feed(node, equity("100000"), equity("99500"))
    order = order_of(node, wish_to("target", "t", target=D(-2)))
    assert (order.side, order.quantity, order.closes) == ("sell", D(3), True)
    feed(node, filled(order))
    assert refusal_of(node, wish_to("target", "u", target=D(-2))).reason is RejectReason.BREAKER


def test_a_daily_loss_counts_from_the_days_beginning_and_ends_with_the_day() -> None:
    """Midnight in New York is 04:00 UTC on 2 May 2014. The day begins with what the account was worth last."""
    node = breakers(daily_loss={"amount": "1000", "time_zone": "America/New_York"}, drawdown={"enabled": False})
    midnight = instant(date(2014, 5, 2), time(0), zone("America/New_York"))
    assert midnight == instant(date(2014, 5, 2), time(4), zone("UTC"))
    feed(node, equity("100000", T0), equity("101000", T0 + 5 * HOUR), equity("99500", midnight - 1))
    assert feed(node, equity("98500.01", midnight)) == []
    changed, _ = feed(node, equity("98500", midnight + 1))
    assert (changed.breaker, changed.limit, changed.actual) == ("daily_loss", "1000", "1000")
    assert changed.until_ns == midnight + 24 * HOUR == node.sleeps_until(Topic.CLOCK)
    assert feed(node, clock(changed.until_ns - 1)) == []
    reset, alert = feed(node, clock(changed.until_ns))
    assert (reset.tripped, reset.status, alert.name, alert.severity) == (False, "NORMAL", "breaker_reset", "info")
    assert order_of(node, a_wish("a", changed.until_ns))


def test_the_smaller_of_fraction_and_amount_counts() -> None:
    node = breakers(drawdown={"fraction": "0.1", "amount": "2000"})
    feed(node, equity("100000"))
    assert changes_in(feed(node, equity("98000")))
    node = breakers(drawdown={"fraction": "0.01", "amount": "2000"})
    feed(node, equity("100000"))
    assert changes_in(feed(node, equity("99000")))


def test_equity_of_another_account_trips_nothing() -> None:
    node = a_router()
    assert feed(node, equity("100000"), equity("1", account="other")) == []


def changed_position(quantity: str, average: str, realised: str, at: int = T0, **changes: Any) -> PositionChanged:
    base: dict[str, Any] = {"account": "paper", "strategy_id": "s1", "symbol": "EURUSD", "cause": f"x{at}", "currency": "USD"}
    money = {"quantity": D(quantity), "average_price": D(average), "realised_pnl": D(realised), "commission": D(0)}
    return PositionChanged(ts_event_ns=at, **(base | money | changes))


def test_a_strategys_drawdown_is_that_of_its_own_trades_and_stops_it_alone() -> None:
    """Long one at 1.38: at 1.385 up 500 USD, at 1.379 down 100, less 10 of commission: 600 from its best."""
    node = a_router(strategy_breakers=[{"strategy": "s1", "drawdown": {"amount": "600", "fraction": "0.5"}}])
    feed(node, equity("100000", T0), a_mark(bid=1.38, ask=1.38), changed_position("1", "1.38", "0", commission=D(10)))
    feed(node, a_mark(bid=1.385, ask=1.385))
    assert feed(node, equity("100500", T0 + 1), a_mark(bid=1.37901, ask=1.37901), equity("99900", T0 + 2)) == []
    feed(node, a_mark(bid=1.379, ask=1.379))
    assert changes_in(feed(node, equity("99900", T0 + 3))) == [("s1", "drawdown", True, "TRIPPED")]
    assert (tripped(node, "s1"), tripped(node, "s2")) == (True, False)


def test_a_strategys_loss_in_another_currency_is_converted_and_its_fraction_is_of_the_accounts_equity() -> None:
    """A loss of 150,000 JPY at 150 is 1,000 USD, 1 % of 100,000."""
    node = a_router([usdjpy()], strategy_breakers=[{"strategy": "s1", "daily_loss": {"fraction": "0.01"}}])
    feed(node, equity("100000"), a_mark(symbol="USDJPY", bid=150.0, ask=150.0))
    feed(node, changed_position("0", "0", "0", symbol="USDJPY", currency="JPY"))
    assert feed(node, changed_position("0", "0", "-149999", T0 + 1, symbol="USDJPY", currency="JPY")) == []
    assert changes_in(feed(node, changed_position("0", "0", "-150000", T0 + 2, symbol="USDJPY", currency="JPY")))


def test_a_strategy_that_cannot_be_valued_is_looked_at_again_later() -> None:
    node = a_router(strategy_breakers=[{"strategy": "s1", "drawdown": {"amount": "100"}}])
    assert feed(node, equity("100000"), changed_position("1", "1.38", "0")) == []
    assert feed(node, a_mark(bid=1.38, ask=1.38), equity("100000", T0 + 1)) == []
    assert changes_in(feed(node, a_mark(bid=1.379, ask=1.379), equity("99900", T0 + 2)))


# -- deposits and withdrawals ------------------------------------------------------------------------------------------------

DEPOSIT, WITHDRAWAL = D(50_000), D(-76_000)


def test_a_withdrawal_of_any_size_trips_nothing() -> None:
    """100,000 falls to 95,000: 5 %. All but 19,000 is withdrawn: 5,000 of a peak of 24,000 would be 20.8 %."""
    node = breakers(drawdown={"fraction": "0.1"}, daily_loss={"fraction": "0.1"})
    feed(node, equity("100000", T0), equity("95000", T0 + 1))
    assert feed(node, equity("19000", T0 + 2, flows=WITHDRAWAL)) == []
    assert feed(node, equity("19000", T0 + 3, flows=WITHDRAWAL)) == []
    assert not tripped(node)


def test_after_a_withdrawal_the_same_part_may_be_lost_as_before() -> None:
    """95,000 of 100,000, then 19,000 of 20,000: at 18,000 a tenth is gone, a cent above it is not."""
    node = breakers(drawdown={"fraction": "0.1"})
    feed(node, equity("100000", T0), equity("95000", T0 + 1), equity("19000", T0 + 2, flows=WITHDRAWAL))
    assert feed(node, equity("18000.01", T0 + 3, flows=WITHDRAWAL)) == []
    changed, _ = feed(node, equity("18000", T0 + 4, flows=WITHDRAWAL))
    assert (changed.breaker, changed.limit, changed.actual) == ("drawdown", "2000", "2000")


def test_after_a_withdrawal_the_same_amount_may_be_lost_as_before() -> None:
    """Of 6,000 that may be lost 5,000 are; after the withdrawal 1,000 are left."""
    node = breakers(drawdown={"amount": "6000", "fraction": "0.5"})
    feed(node, equity("100000", T0), equity("95000", T0 + 1))
    assert feed(node, equity("19000", T0 + 2, flows=WITHDRAWAL), equity("18000.01", T0 + 3, flows=WITHDRAWAL)) == []
    changed, _ = feed(node, equity("18000", T0 + 4, flows=WITHDRAWAL))
    assert (changed.breaker, changed.limit, changed.actual) == ("drawdown", "6000", "6000")


def test_a_deposit_makes_up_for_no_loss() -> None:
    """95,000 of 100,000, and 95,000 come in: 190,000 are 5,000 below 195,000 in money, and for the fraction of 200,000."""
    node = breakers(drawdown={"fraction": "0.1"}, daily_loss={"amount": "10000"})
    feed(node, equity("100000", T0), equity("95000", T0 + 1))
    flows = D(95_000)
    assert feed(node, equity("190000", T0 + 2, flows=flows), equity("185000.01", T0 + 3, flows=flows)) == []
    daily, _ = feed(node, equity("185000", T0 + 4, flows=flows))
    assert (daily.breaker, daily.limit, daily.actual) == ("daily_loss", "10000", "10000")
    assert feed(node, equity("180000.01", T0 + 5, flows=flows)) == []
    drawdown, _ = feed(node, equity("180000", T0 + 6, flows=flows))
    assert (drawdown.breaker, drawdown.limit, drawdown.actual) == ("drawdown", "20000", "20000")


def test_a_deposit_is_no_new_peak_from_which_to_fall() -> None:
    """The gain of the day is 1,000, whatever has come in besides; falling back by 1,500 is 500 below the day's beginning."""
    node = breakers(drawdown={"amount": "1500"}, daily_loss={"amount": "501"})
    feed(node, equity("100000", T0), equity("151000", T0 + 1, flows=DEPOSIT))
    assert feed(node, equity("149500.01", T0 + 2, flows=DEPOSIT)) == []
    assert changes_in(feed(node, equity("149500", T0 + 3, flows=DEPOSIT))) == [("", "drawdown", True, "TRIPPED")]


def test_what_was_lost_just_before_a_withdrawal_was_told_counts() -> None:
    """Both in one valuation: 100,000 less 11,000 lost less 50,000 withdrawn."""
    node = breakers(drawdown={"fraction": "0.1"})
    feed(node, equity("100000", T0))
    changed, _ = feed(node, equity("39000", T0 + 1, flows=D(-50_000)))
    assert (changed.breaker, changed.limit, changed.actual) == ("drawdown", "10000", "11000")


def test_an_account_that_was_emptied_begins_anew_with_what_comes_in() -> None:
    node = breakers(drawdown={"fraction": "0.1"})
    feed(node, equity("100000", T0), equity("95000", T0 + 1))
    assert feed(node, equity("0", T0 + 2, flows=D(-95_000)), equity("20000", T0 + 3, flows=D(-75_000))) == []
    assert feed(node, equity("18000.01", T0 + 4, flows=D(-75_000))) == []
    assert changes_in(feed(node, equity("18000", T0 + 5, flows=D(-75_000))))


def test_flows_of_before_a_router_began_are_none_to_it() -> None:
    node = breakers(drawdown={"amount": "1000"})
    assert feed(node, equity("150000", T0, flows=DEPOSIT), equity("149000.01", T0 + 1, flows=DEPOSIT)) == []
    assert changes_in(feed(node, equity("149000", T0 + 2, flows=DEPOSIT)))


def test_a_router_that_was_restored_after_a_flow_goes_on_as_before() -> None:
    node, other = (breakers(drawdown={"fraction": "0.1"}) for _ in range(2))
    feed(node, equity("100000", T0), equity("95000", T0 + 1), equity("19000", T0 + 2, flows=WITHDRAWAL))
    other.restore(node.snapshot())
    for each in (node, other):
        assert feed(each, equity("18000.01", T0 + 3, flows=WITHDRAWAL)) == []
        assert changes_in(feed(each, equity("18000", T0 + 4, flows=WITHDRAWAL)))


# -- rates -----------------------------------------------------------------------------------------------------------------


def test_ten_thousand_signals_at_once_make_no_more_orders_than_the_rate() -> None:
    node = a_router()
    said = feed(node, *(a_wish(str(n)) for n in range(10_000)))
    orders, refusals = of_kind(SubmitOrder, said), of_kind(SignalRejected, said)
    assert (len(orders), len(refusals)) == (100, 9_900)
    assert (refusals[0].reason, refusals[0].limit, refusals[0].actual) == (RejectReason.ORDER_RATE, "100", "101")
    assert {r.reason for r in refusals[1:]} == {RejectReason.BREAKER}
    assert changes_in(said) == [("", "order_rate", True, "TRIPPED")]
    assert len(of_kind(Alert, said)) == 1
    assert len(of_kind(CancelOrder, said)) == 100


def test_a_runaway_strategy_of_its_own_rate_stops_itself_and_nobody_else() -> None:
    node = a_router(strategy_breakers=[{"strategy": "s1", "order_rate": {"per_minute": 20}}])
    said = feed(node, *(a_wish(str(n)) for n in range(1_000)))
    assert len(of_kind(SubmitOrder, said)) == 20
    assert changes_in(said) == [("s1", "order_rate", True, "TRIPPED")]
    assert order_of(node, a_wish("other", strategy_id="s2"))


def test_a_hundred_orders_a_minute_pass_for_ever() -> None:
    node = a_router()
    for n in range(300):
        at = T0 + n * MINUTE // 100
        feed(node, filled(order_of(node, a_wish(str(n), at, side="sell" if n % 2 else "buy"))))


def test_changes_count_and_exits_go_on_to_twice_the_rate() -> None:
    node = holding(breakers(order_rate={"per_minute": 3, "on_trip": "refuse"}), 9)
    order = working(node, a_wish("1", **LIMIT))
    for n in range(2):
        node.handle(a_change(f"m{n}", order.order_id, limit_price=D("1.31") + D(n) / 100))
        node.handle(modify_rejected(order))
    assert refusal_of_first(node, a_change("m3", order.order_id, limit_price=D("1.4"))).reason is RejectReason.ORDER_RATE
    for n in range(3):
        feed(node, filled(order_of(node, wish_to("reduce", f"x{n}", quantity=D(1)))))
    refusal = refusal_of(node, wish_to("reduce", "x4", quantity=D(1)))
    assert (refusal.reason, refusal.limit, refusal.actual) == (RejectReason.ORDER_RATE, "6", "7")


def refusal_of_first(node: RouterNode, message: Message) -> SignalRejected:
    rejection = feed(node, message)[0]
    assert isinstance(rejection, SignalRejected)
    return rejection


def test_more_than_ten_refusals_by_brokers_in_a_minute_trip_and_our_own_do_not_count() -> None:
    node = a_router(limits={"max_position": "0"})
    feed(node, *(a_wish(str(n)) for n in range(30)))
    node = a_router()
    orders = [order_of(node, a_wish(str(n), T0)) for n in range(12)]
    feed(node, clock(T0))
    lost = RejectReason.UNKNOWN_ORDER
    assert feed(node, *(rejected(order) for order in orders[:8])) == []
    assert feed(node, cancel_rejected(orders[8], lost), modify_rejected(orders[8], lost)) == []
    assert feed(node, replace(cancel_rejected(orders[8]), cause="k"), replace(modify_rejected(orders[8]), cause="m")) == []
    changed, alert, *_ = feed(node, rejected(orders[9]))
    assert (changed.breaker, changed.limit, changed.actual) == ("rejection_rate", "10", "11")
    assert changed.cause == f"{orders[9].order_id}.OrderRejected"
    assert "rejection_rate" in alert.text


@pytest.mark.parametrize("reason", ["expired", "halted", "breaker", "not_sent", "unsupported", "order_state"])
def test_what_a_sender_refuses_by_itself_is_no_refusal_of_the_broker_s(reason: str) -> None:
    """After five minutes without a session eleven orders expire; that is no reason to stop the book."""
    node = a_router()
    orders = [order_of(node, a_wish(str(n))) for n in range(11)]
    assert feed(node, *(rejected(order, T0 + 300 * NS, RejectReason(reason)) for order in orders)) == []


@pytest.mark.parametrize("reason", ["venue", "price", "quantity", "buying_power", "market_closed", "not_allowed"])
def test_whatever_word_the_broker_has_for_no_it_counts(reason: str) -> None:
    node = a_router()
    orders = [order_of(node, a_wish(str(n))) for n in range(11)]
    assert changes_in(feed(node, *(rejected(order, T0, RejectReason(reason)) for order in orders)))


def test_a_bracket_that_is_refused_whole_counts_once() -> None:
    node = a_router()
    legs = {"take_profit": D("1.45"), "stop_loss": D("1.30")}
    brackets = [of_kind(SubmitOrder, feed(node, a_wish(str(n), **legs))) for n in range(11)]
    assert [len(bracket) for bracket in brackets] == [3] * 11
    *ten, last = brackets
    assert feed(node, *(rejected(order) for bracket in ten for order in bracket)) == []
    assert changes_in(feed(node, *map(rejected, last))) == [("", "rejection_rate", True, "TRIPPED")]


def test_ten_refusals_a_minute_are_borne_for_ever() -> None:
    node = a_router()
    for n in range(60):
        at = T0 + n * 6 * NS
        order = order_of(node, a_wish(str(n), at))
        assert feed(node, rejected(order, at)) == []


# -- data ------------------------------------------------------------------------------------------------------------------


def test_silence_of_a_symbol_we_hold_trips_and_the_next_price_resets() -> None:
    node = breakers(stale_data={"after_s": "30"})
    assert (node.sleeps_until(Topic.MARKS), node.sleeps_until(Topic.CLOCK)) == (AWAKE, AWAKE)
    feed(node, clock(T0), a_mark(T0), a_mark(T0, symbol="USDJPY"))
    assert feed(node, clock(T0 + 60 * NS)) == []
    feed(holding(node, 1), a_mark(T0 + 60 * NS))
    assert feed(node, clock(T0 + 90 * NS)) == []
    changed, alert = feed(node, clock(T0 + 90 * NS + 1))
    assert (changed.breaker, changed.limit, changed.actual) == ("stale_data", "30 s", "30.000000001 s of EURUSD")
    assert "stale_data" in alert.text
    assert feed(node, clock(T0 + 91 * NS)) == []
    feed(node, a_mark(T0 + 92 * NS))
    assert changes_in(feed(node, clock(T0 + 92 * NS))) == [("", "stale_data", False, "NORMAL")]


def test_silence_while_the_market_is_closed_is_as_it_should_be() -> None:
    """FX is closed from Friday 21:00 UTC to Sunday 21:00. On Sunday the first prices are given the same time."""
    node = holding(breakers(stale_data={"after_s": "30"}), 1)
    friday = instant(date(2014, 5, 2), time(20, 59, 50), zone("UTC"))
    sunday = instant(date(2014, 5, 4), time(21), zone("UTC"))
    feed(node, a_mark(friday), clock(friday))
    assert feed(node, clock(friday + 20 * HOUR), clock(sunday - 1), clock(sunday), clock(sunday + 30 * NS)) == []
    assert changes_in(feed(node, clock(sunday + 30 * NS + 1)))


def test_an_open_order_is_listened_for_too_from_when_it_went_out() -> None:
    node = breakers(stale_data={"after_s": "30"})
    feed(node, clock(T0), a_wish("a", T0, **LIMIT))
    assert feed(node, clock(T0 + 30 * NS)) == []
    assert changes_in(feed(node, clock(T0 + 30 * NS + 1)))


# -- reconciliation and people ---------------------------------------------------------------------------------------------


def report(severity: str, account: str = "paper") -> ReconciliationReport:
    return ReconciliationReport(account=account, ts_event_ns=T0, severity=severity, discrepancies=("EURUSD: 3 there, 2 here",))


def test_a_critical_reconciliation_halts_the_book_and_its_resume_resets_it() -> None:
    node = holding(a_router(), 2)
    feed(node, clock(T0))
    assert feed(node, report("minor"), report("clean"), report("critical", "other")) == []
    outputs = list(node.handle(report("critical")))
    assert [topic for topic, _ in outputs] == [Topic.CONTROL, Topic.ORDERS, Topic.ALERTS]
    halt, changed, _ = [message for _, message in outputs]
    assert halt == Halt(
        command_id=f"breaker/reconciliation/{T0}",
        ts_event_ns=T0,
        actor="router",
        reason=f"breaker reconciliation tripped (paper.{T0})",
    )
    assert (changed.breaker, changed.status, changed.actual) == ("reconciliation", "TRIPPED", "1 discrepancies")
    assert feed(node, halt) == []
    assert refusal_of(node, wish_to("exit")).reason is RejectReason.HALTED
    assert changes_in(feed(node, command(Resume))) == [("", "reconciliation", False, "NORMAL")]
    assert order_of(node, wish_to("exit", "again"))


@pytest.mark.parametrize("policy", ["sync_to_local", "sync_to_broker"])
def test_what_a_comparison_put_right_or_only_told_trips_nothing(policy: str) -> None:
    node = a_router()
    assert feed(node, replace(report("critical"), policy=policy)) == []
    assert order_of(node, a_wish("in"))
    assert changes_in(feed(node, replace(report("critical"), policy="halt_and_alert")))


def test_a_halt_by_a_person_is_told_once_and_lasts_beside_a_breaker() -> None:
    node = a_router()
    said = feed(node, command(Halt, "h1"), command(Halt, "h1"), command(Halt, "h2"))
    assert changes_in(said) == [("", "manual", True, "MANUALLY_HALTED")]
    assert [alert.severity for alert in of_kind(Alert, said)] == ["warning"]
    assert changes_in(feed(node, report("critical"))) == [("", "reconciliation", True, "MANUALLY_HALTED")]
    said = feed(node, command(Resume, "r"))
    assert changes_in(said) == [("", "reconciliation", False, "NORMAL"), ("", "manual", False, "NORMAL")]


def test_a_stopped_strategy_can_only_close_until_it_is_started() -> None:
    node = holding(a_router(), 2)
    stop = command(StopStrategy, "stop", strategy_id="s1")
    assert changes_in(feed(node, stop, stop)) == [("s1", "manual", True, "MANUALLY_HALTED")]
    assert refusal_of(node, a_wish("in")).reason is RejectReason.BREAKER
    assert order_of(node, a_wish("other", strategy_id="s2"))
    assert order_of(node, wish_to("reduce", "out", quantity=D(1))).closes
    assert changes_in(feed(node, command(StartStrategy, "go", strategy_id="s1"))) == [("s1", "manual", False, "NORMAL")]
    assert order_of(node, a_wish("in again"))
    assert feed(node, command(StopStrategy, "none", strategy_id="nobody")) == []


def test_the_start_of_a_strategy_resets_its_breakers_and_a_resume_the_books() -> None:
    own = [{"strategy": "s1", "order_rate": {"per_minute": 1}}]
    node = a_router(strategy_breakers=own, breakers={"order_rate": {"per_minute": 2}})
    feed(node, a_wish("1"), a_wish("2"), a_wish("3", strategy_id="s2"), a_wish("4", strategy_id="s2"))
    assert (tripped(node, "s1"), tripped(node, "s2")) == (True, True)
    assert changes_in(feed(node, command(StartStrategy, strategy_id="s1"))) == [("s1", "order_rate", False, "NORMAL")]
    assert tripped(node, "s1")
    assert changes_in(feed(node, command(Resume))) == [("", "order_rate", False, "NORMAL")]
    assert order_of(node, a_wish("5"))


# -- what a trip does, and how it ends -------------------------------------------------------------------------------------


def test_a_trip_cancels_what_would_open_and_leaves_what_closes() -> None:
    node = breakers(drawdown={"amount": "500"})
    legs = {"take_profit": D("1.45"), "stop_loss": D("1.30")}
    entry, *_ = of_kind(SubmitOrder, feed(node, a_wish("b", quantity=D(2), **legs)))
    feed(node, filled(entry), equity("100000"))
    resting = working(node, a_wish("resting", **LIMIT))
    waiting, *_ = of_kind(SubmitOrder, feed(node, a_wish("waiting", order_type="limit", limit_price=D("1.31"), **legs)))
    exit_order = order_of(node, wish_to("reduce", "out", quantity=D(1), order_type="limit", limit_price=D("1.5")))
    said = feed(node, equity("99500"))
    assert [m.order_id for m in of_kind(CancelOrder, said)] == [waiting.order_id, resting.order_id]
    assert exit_order.closes


def test_a_trip_can_flatten_the_book_or_the_strategy_alone() -> None:
    node = holding(holding(breakers(drawdown={"amount": "500", "on_trip": "flatten"}), 2, "s1"), -1, "s2")
    feed(node, equity("100000"))
    closing = of_kind(SubmitOrder, feed(node, equity("99500")))
    assert [(o.strategy_id, o.side, o.quantity, o.closes) for o in closing] == [
        ("s1", "sell", D(2), True),
        ("s2", "buy", D(1), True),
    ]
    own = [{"strategy": "s2", "order_rate": {"per_minute": 0, "on_trip": "flatten"}}]
    node = holding(holding(a_router(strategy_breakers=own), 2, "s1"), -1, "s2")
    (closing_order,) = of_kind(SubmitOrder, feed(node, a_wish("a", strategy_id="s2")))
    assert (closing_order.strategy_id, closing_order.side) == ("s2", "buy")


def test_after_its_cool_down_a_breaker_resets_itself_and_measures_anew() -> None:
    node = breakers(drawdown={"amount": "500", "cool_down_s": 60})
    feed(node, clock(T0), equity("100000"))
    assert node.sleeps_until(Topic.CLOCK) == ASLEEP
    (changed,) = of_kind(BreakerChanged, feed(node, equity("99500")))
    assert changed.until_ns == T0 + MINUTE == node.sleeps_until(Topic.CLOCK)
    assert "resets itself" not in refusal_of(node, a_wish("in")).detail
    assert feed(node, clock(T0 + MINUTE - 1)) == []
    assert changes_in(feed(node, clock(T0 + MINUTE))) == [("", "drawdown", False, "NORMAL")]
    assert feed(node, equity("99000.01", T0 + MINUTE + 1)) == []
    assert changes_in(feed(node, equity("99000", T0 + MINUTE + 2)))


def test_a_resumed_daily_loss_counts_from_the_resume() -> None:
    node = breakers(daily_loss={"amount": "500", "resets_next_day": False})
    feed(node, equity("100000"))
    (changed,) = of_kind(BreakerChanged, feed(node, equity("99500", T0 + 1)))
    assert changed.until_ns == 0
    feed(node, command(Resume))
    assert feed(node, equity("99000.01", T0 + 2)) == []
    assert changes_in(feed(node, equity("99000", T0 + 3)))


def test_a_wish_that_comes_after_the_cool_down_finds_the_breaker_reset() -> None:
    node = breakers(order_rate={"per_minute": 1, "cool_down_s": 60})
    feed(node, a_wish("1", T0), a_wish("2", T0))
    changed, _, order = feed(node, a_wish("3", T0 + MINUTE))
    assert (changed.tripped, type(order)) == (False, SubmitOrder)


@pytest.mark.parametrize("name", ["drawdown", "order_rate", "rejection_rate", "reconciliation"])
def test_a_breaker_that_is_switched_off_never_trips(name: str) -> None:
    node = breakers(**{name: {"enabled": False}})
    feed(node, equity("100000"))
    orders = of_kind(SubmitOrder, feed(node, *(a_wish(str(n)) for n in range(90 if name != "order_rate" else 300))))
    said = {
        "drawdown": lambda: feed(node, equity("1")),
        "order_rate": lambda: [],
        "rejection_rate": lambda: feed(node, *(rejected(order) for order in orders)),
        "reconciliation": lambda: feed(node, report("critical")),
    }[name]()
    assert changes_in(said) == []
    assert order_of(node, a_wish("last"))


def test_a_trip_outlives_a_restart_with_what_it_measures() -> None:
    def make() -> RouterNode:
        return breakers(drawdown={"amount": "500"}, order_rate={"per_minute": 3}, rejection_rate={"per_minute": 0})

    node, again = make(), make()
    feed(node, equity("100000"), a_wish("1"), a_wish("2"))
    again.restore(node.snapshot())
    assert order_of(again, a_wish("3"))
    assert refusal_of_first(again, a_wish("4")).reason is RejectReason.ORDER_RATE
    assert changes_in(feed(again, equity("99500"))) == [("", "drawdown", True, "TRIPPED")]
    node.restore(again.snapshot())
    assert refusal_of(node, a_wish("5")).reason is RejectReason.BREAKER
    assert changes_in(feed(node, command(Resume))) == [
        ("", "order_rate", False, "NORMAL"),
        ("", "drawdown", False, "NORMAL"),
    ]


def test_a_trip_of_a_breaker_that_was_taken_out_of_the_file_ends_with_a_resume() -> None:
    node, again = breakers(drawdown={"amount": "500"}), breakers(drawdown={"enabled": False})
    feed(node, equity("100000"), equity("99500"))
    again.restore(node.snapshot())
    assert refusal_of(again, a_wish("1")).reason is RejectReason.BREAKER
    assert changes_in(feed(again, command(Resume))) == [("", "drawdown", False, "NORMAL")]
    assert order_of(again, a_wish("2"))
