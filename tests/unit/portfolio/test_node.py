"""The books: positions, cash and equity, computed by hand and held to their laws."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from barque.instruments import Instrument
from barque.messages import (
    AdjustCash,
    Alert,
    Bar,
    CashAdjusted,
    ClockTicked,
    EquityMarked,
    Fill,
    Mark,
    Message,
    PositionChanged,
    RejectReason,
    SignalRejected,
    Topic,
)
from barque.node import ASLEEP, AWAKE, Selective, Sleeper
from portfolio.config import AccountConfig, PortfolioConfig
from portfolio.core.node import PortfolioNode
from tests.support.builders import MINUTE, NS, T0, a_bar, a_fill, a_mark, an_acceptance, an_order, clock, eurusd, usdjpy


def spy() -> Instrument:
    return Instrument(symbol="SPY", asset_class="stock", currency="USD", tick_size=Decimal("0.01"))


def books(currency: str = "USD", cash: str = "100000") -> PortfolioNode:
    account = AccountConfig(name="paper", currency=currency, starting_cash=Decimal(cash))
    return PortfolioNode(PortfolioConfig(accounts=(account,)), [eurusd(), usdjpy(), spy()])


def feed(node: PortfolioNode, *messages: Message) -> list[Message]:
    return [output for message in messages for _, output in node.handle(message)]


def positions(said: list[Message]) -> list[PositionChanged]:
    return [message for message in said if isinstance(message, PositionChanged)]


def marks(said: list[Message]) -> list[EquityMarked]:
    return [message for message in said if isinstance(message, EquityMarked)]


def bought(quantity: int, price: str, **changes: Any) -> Any:
    side = "buy" if quantity > 0 else "sell"
    return a_fill(**({"side": side, "quantity": Decimal(abs(quantity)), "price": Decimal(price)} | changes))


# -- positions -----------------------------------------------------------------------------------------------------------


def test_a_position_is_valued_at_average_cost() -> None:
    """1 at 1.10 and 3 at 1.14: average (1.10 + 3.42) / 4 = 1.13; 2 sold at 1.15 earn 2 × 0.02 × 100,000 = 4,000."""
    said = positions(feed(books(), bought(1, "1.10"), bought(3, "1.14"), bought(-2, "1.15")))
    assert [p.average_price for p in said] == [Decimal("1.10"), Decimal("1.13"), Decimal("1.13")]
    assert [p.realised_pnl for p in said] == [0, 0, 4000]
    assert (said[2].quantity, said[2].currency, said[2].cause) == (Decimal(2), "USD", "o1-1")


def test_a_fill_through_zero_closes_then_opens() -> None:
    """Long 2 at 1.10, sold 5 at 1.08: loses 2 × 0.02 × 100,000 = 4,000, is short 3 at 1.08."""
    last = positions(feed(books(), bought(2, "1.10"), bought(-5, "1.08")))[-1]
    assert (last.quantity, last.average_price, last.realised_pnl) == (Decimal(-3), Decimal("1.08"), Decimal(-4000))


def test_a_short_position_earns_when_bought_back_lower() -> None:
    last = positions(feed(books(), bought(-2, "1.10"), bought(2, "1.07")))[-1]
    assert (last.quantity, last.average_price, last.realised_pnl) == (Decimal(0), Decimal(0), Decimal(6000))


def test_thirds_round_and_nothing_is_lost() -> None:
    """3 cost 1.00 + 1.00 + 1.01 = 301,000 USD; sold one by one at 1.00 they lose 1,000, to the last digit."""
    node = books()
    said = positions(feed(node, bought(2, "1.00"), bought(1, "1.01"), *[bought(-1, "1.00")] * 3))
    assert said[1].average_price == Decimal("1.00333333")
    assert said[2].realised_pnl == Decimal("-333.33333333")
    assert said[-1].realised_pnl == Decimal(-1000)
    assert node.cash("paper") == {"USD": Decimal(99000)}


def test_strategies_hold_positions_of_their_own() -> None:
    said = positions(feed(books(), bought(1, "1.1"), bought(-1, "1.2", strategy_id="s2")))
    assert [(p.strategy_id, p.quantity) for p in said] == [("s1", 1), ("s2", -1)]


# -- cash ----------------------------------------------------------------------------------------------------------------


def test_on_margin_only_profit_and_commission_move_cash() -> None:
    node = books()
    feed(node, bought(1, "1.10", commission=Decimal(3)), bought(-1, "1.12", commission=Decimal(2)))
    assert node.cash("paper") == {"USD": Decimal(101995)}


def test_elsewhere_the_whole_value_moves_cash() -> None:
    node = books()
    feed(node, a_mark(symbol="SPY", bid=168.0, ask=168.02))
    said = feed(node, bought(10, "168.01", symbol="SPY", commission=Decimal(1), commission_currency="EUR"))
    assert node.cash("paper") == {"USD": Decimal("98319.90"), "EUR": Decimal(-1)}
    assert positions(said)[0].commission == 0


# -- equity --------------------------------------------------------------------------------------------------------------


def test_equity_is_cash_and_open_profit_at_the_latest_mark() -> None:
    """Bought 1 at 1.10, mid 1.1105: open profit 0.0105 × 100,000 = 1,050."""
    (marked,) = marks(feed(books(), a_mark(bid=1.11, ask=1.111), bought(1, "1.10", commission=Decimal(2))))
    assert marked == EquityMarked(
        account="paper",
        ts_event_ns=T0,
        currency="USD",
        cash=Decimal(99998),
        equity=Decimal(101048),
        unrealised_pnl=Decimal(1050),
        realised_pnl=Decimal(0),
    )


def test_every_fill_is_followed_by_equity_even_when_it_is_the_same() -> None:
    said = feed(books(), a_mark(bid=1.1, ask=1.1), clock(T0), bought(1, "1.1", ts_event_ns=T0 + 1))
    assert [(m.ts_event_ns, m.equity) for m in marks(said)] == [(T0, Decimal(100000)), (T0 + 1, Decimal(100000))]


def test_equity_of_a_stock_holder_is_cash_and_market_value() -> None:
    (marked,) = marks(feed(books(), a_mark(symbol="SPY", bid=170.0, ask=170.0), bought(10, "168", symbol="SPY")))
    assert (marked.cash, marked.equity, marked.unrealised_pnl) == (Decimal(98320), Decimal(100020), Decimal(20))


def test_foreign_profit_is_converted_by_the_inverse_pair() -> None:
    """1 USDJPY from 92.00 to 92.50 earns 50,000 JPY, at 92.50 a dollar 540.54054054 USD."""
    node = books()
    feed(node, a_mark(symbol="USDJPY", bid=92.5, ask=92.5))
    marked = marks(feed(node, bought(1, "92", symbol="USDJPY"), bought(-1, "92.5", symbol="USDJPY")))[-1]
    assert (marked.equity, marked.realised_pnl) == (Decimal("100540.54054054"), Decimal("540.54054054"))


def test_foreign_profit_is_converted_by_the_direct_pair() -> None:
    """1 USDJPY earns 50,000 JPY for a JPY account; its dollars count 92.50 each."""
    node = books("JPY", "0")
    feed(node, a_mark(symbol="USDJPY", bid=92.5, ask=92.5))
    marked = marks(feed(node, bought(1, "92", symbol="USDJPY", commission=Decimal(2), commission_currency="USD")))[-1]
    assert (marked.cash, marked.equity) == (Decimal(-185), Decimal(49815))


def test_without_a_rate_there_is_one_alert_and_no_equity() -> None:
    node = books("EUR")
    said = feed(node, a_mark(symbol="SPY", bid=168.0, ask=168.0), *[bought(1, "168", symbol="SPY")] * 3)
    assert marks(said) == []
    assert [m.name for m in said if isinstance(m, Alert)] == ["equity_unknown"]
    assert len(marks(feed(node, a_mark(), bought(1, "168", symbol="SPY")))) == 1


def test_closes_of_bars_serve_where_there_are_no_marks() -> None:
    node = books()
    feed(node, a_bar(price="bid", close=1.11), a_bar(price="ask", close=1.111))
    assert marks(feed(node, bought(1, "1.10")))[0].unrealised_pnl == Decimal(1050)


def test_the_clock_asks_for_equity_once_per_interval_and_only_when_it_changed() -> None:
    node = books()
    assert [m.equity for m in marks(feed(node, clock(T0)))] == [Decimal(100000)]
    feed(node, a_mark(bid=1.1, ask=1.1), bought(1, "1.10", ts_event_ns=T0 + NS))
    assert marks(feed(node, a_mark(bid=1.2, ask=1.2), clock(T0 + MINUTE))) == []
    assert [m.equity for m in marks(feed(node, clock(T0 + MINUTE + NS)))] == [Decimal(110000)]
    assert marks(feed(node, clock(T0 + 3 * MINUTE))) == []


def test_a_fill_that_cannot_be_booked_raises_an_alert() -> None:
    for changes in ({"symbol": "XAUUSD"}, {"corrects": "o1-1"}):
        (alert,) = feed(books(), bought(1, "1.1", **changes))
        assert (alert.name, alert.severity) == ("fill_unbooked", "critical")


def test_an_account_without_a_section_has_positions_and_an_alert() -> None:
    said = feed(books(), a_mark(), bought(1, "1.1", account="other"))
    assert [type(m) for m in said] == [PositionChanged, Alert]


def test_a_rejection_moves_nothing() -> None:
    names = {"signal_id": "x", "cause": "c", "root": "r", "strategy_id": "s1", "symbol": "EURUSD"}
    rejection = SignalRejected(ts_event_ns=T0, reason=RejectReason.HALTED, detail="", **names)
    assert feed(books(), rejection) == []


# -- laws ----------------------------------------------------------------------------------------------------------------

_fills = st.builds(
    bought,
    st.integers(-7, 7).filter(bool),
    st.integers(80000, 120000).map(lambda steps: str(Decimal(steps) / 1000)),
    symbol=st.sampled_from(["EURUSD", "USDJPY", "SPY"]),
    strategy_id=st.sampled_from(["s1", "s2"]),
    commission=st.integers(0, 500).map(lambda cents: Decimal(cents) / 100),
)
_prices = st.sampled_from([90.0, 100.0, 110.001])
_marks = st.builds(a_mark, symbol=st.sampled_from(["EURUSD", "USDJPY", "SPY"]), bid=_prices, ask=_prices)
_clocks = st.integers(0, 300).map(lambda s: clock(T0 + s * NS))
_runs = st.lists(st.one_of(_fills, _fills, _marks, _clocks), max_size=40)


@given(st.lists(_fills, max_size=40))
def test_the_sum_of_fills_is_the_position(fills: list[Any]) -> None:
    said = {(p.strategy_id, p.symbol): p.quantity for p in positions(feed(books(), *fills))}
    for key, quantity in said.items():
        assert quantity == sum(f.signed_quantity for f in fills if (f.strategy_id, f.symbol) == key)


@given(st.lists(_fills, max_size=40))
def test_cash_is_start_plus_realised_minus_commissions(fills: list[Any]) -> None:
    node = books()
    fills = [fill for fill in fills if fill.symbol == "EURUSD"]
    last = {p.strategy_id: p for p in positions(feed(node, *fills))}
    earned = sum((p.realised_pnl - p.commission for p in last.values()), Decimal(0))
    assert node.cash("paper") == {"USD": 100000 + earned}


@given(st.lists(_fills, max_size=40))
def test_once_flat_the_realised_profit_is_exactly_what_was_received_less_what_was_paid(fills: list[Any]) -> None:
    mine = [fill for fill in fills if (fill.strategy_id, fill.symbol) == ("s1", "SPY")]
    held = sum((fill.signed_quantity for fill in mine), Decimal(0))
    if held:
        mine.append(bought(int(-held), "100", symbol="SPY"))
    said = positions(feed(books(), *mine))
    assert not said or said[-1].realised_pnl == -sum(fill.signed_quantity * fill.price for fill in mine)


@given(_runs, st.integers(0, 40))
def test_restoring_a_snapshot_mid_run_changes_nothing(messages: list[Message], cut: int) -> None:
    whole, first, second = books(), books(), books()
    expected = feed(whole, *messages)
    said = feed(first, *messages[:cut])
    second.restore(first.snapshot())
    assert said + feed(second, *messages[cut:]) == expected
    assert second.snapshot() == whole.snapshot()


# -- what a runner in memory may leave out ---------------------------------------------------------------------------------


def test_it_sleeps_on_prices_always_and_on_the_time_until_an_account_is_to_be_valued() -> None:
    node = books()
    assert isinstance(node, Sleeper)
    assert (node.sleeps_until(Topic.MARKS), node.sleeps_until(Topic.BARS)) == (ASLEEP, ASLEEP)
    assert node.sleeps_until(Topic.FILLS) == AWAKE
    assert node.sleeps_until(Topic.CLOCK) == AWAKE  # the beginning is still to be said
    feed(node, clock(T0))
    assert node.sleeps_until(Topic.CLOCK) == T0 + MINUTE
    feed(node, a_mark(), bought(1, "1.10", at=T0 + 20 * NS))
    assert node.sleeps_until(Topic.CLOCK) == T0 + 20 * NS + MINUTE
    reborn = books()
    reborn.restore(node.snapshot())
    assert reborn.sleeps_until(Topic.CLOCK) == T0 + 20 * NS + MINUTE


def test_without_accounts_no_time_is_waited_for() -> None:
    assert PortfolioNode(PortfolioConfig(), [eurusd()]).sleeps_until(Topic.CLOCK) == ASLEEP


def test_before_it_is_due_the_time_is_only_remembered() -> None:
    node = books()
    feed(node, clock(T0), a_mark(), bought(1, "1.10"))
    assert feed(node, a_mark(bid=1.2, ask=1.2), clock(T0 + MINUTE - 1)) == []
    (marked,) = marks(feed(node, clock(T0 + MINUTE)))
    assert marked.ts_event_ns == T0 + MINUTE


def test_messages_without_a_handler_leave_no_trace() -> None:
    node = books()
    assert isinstance(node, Selective)
    assert set(node.handlers) == {Fill, ClockTicked, Mark, Bar, AdjustCash, CashAdjusted}
    before = node.snapshot()
    assert feed(node, an_order(), an_acceptance()) == []
    assert node.snapshot() == before


def test_prices_are_what_positions_are_valued_at() -> None:
    node = books()
    assert node.prices() == {}
    feed(node, a_mark(bid=1.1, ask=1.3), a_bar(symbol="USDJPY", price="last", close=101.2344))
    assert node.prices() == {"EURUSD": Decimal("1.20000"), "USDJPY": Decimal("101.234")}


# -- accounts that cannot be valued --------------------------------------------------------------------------------------------


def test_that_an_account_cannot_be_valued_is_told_each_time_it_begins_when_it_lasts_and_when_it_ends() -> None:
    nan, price = float("nan"), {"bid": 1.3, "ask": 1.3}
    node = books()

    def told(*messages: Message) -> list[str]:
        return [m.severity for m in feed(node, *messages) if isinstance(m, Alert) and m.name == "equity_unknown"]

    assert told(clock(T0), bought(1, "1.3")) == ["warning"]
    assert told(*(clock(T0 + n * MINUTE) for n in range(1, 5))) == []
    assert told(clock(T0 + 5 * MINUTE), clock(T0 + 6 * MINUTE), clock(T0 + 60 * MINUTE)) == ["critical"]
    assert told(a_mark(**price), clock(T0 + 61 * MINUTE)) == ["info"]
    assert told(clock(T0 + 62 * MINUTE), a_mark(bid=nan, ask=nan), clock(T0 + 63 * MINUTE)) == ["warning"]
    assert told(a_mark(**price), clock(T0 + 64 * MINUTE)) == ["info"]


def test_on_a_wall_clock_an_account_at_rest_is_valued_again_and_again() -> None:
    """Silence would mean that nobody knows what it is worth."""
    account = AccountConfig(name="paper", currency="USD", starting_cash=Decimal(100_000))
    config = PortfolioConfig(accounts=(account,))
    for kind, times in (("wall", 4), ("feed", 1)):
        node = PortfolioNode(config, [eurusd()], kind)
        assert len(marks(feed(node, *(clock(T0 + n * MINUTE) for n in range(4))))) == times
