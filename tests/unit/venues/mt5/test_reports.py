"""Deals and positions as executions and net positions; expected values by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.mt5 import an_instrument
from venues.mt5.clock import ServerClock
from venues.mt5.config import Mt5Config
from venues.mt5.reports import Names, executions_of, movements_of, net_positions
from venues.mt5.structs import Deal, Position, SymbolInfo
from venues.mt5.symbols import Symbol, symbol_of
from venues.mt5.tokens import Tokens

D = Decimal
NOON_EET = 1_767_614_400_000  # 2026-01-05 12:00 of the server's clock


def a_symbol(**changes: Any) -> Symbol:
    facts: dict[str, Any] = {"name": "EURUSD.a", "digits": 5, "point": 0.00001, "trade_tick_size": 0.00001}
    facts |= {"visible": True, "trade_contract_size": 100_000.0, "trade_mode": 4, "trade_exemode": 2, "trade_stops_level": 0}
    facts |= {"trade_freeze_level": 0, "filling_mode": 3, "volume_min": 0.01, "volume_max": 500.0, "volume_step": 0.01}
    facts |= dict.fromkeys(("currency_base", "currency_profit", "currency_margin", "description", "path"), "")
    instrument = changes.pop("instrument", an_instrument())
    return symbol_of(Mt5Config(suffix=".a"), instrument, SymbolInfo(**(facts | changes)))


def a_deal(**changes: Any) -> Deal:
    facts: dict[str, Any] = {"ticket": 11, "order": 10, "time_msc": NOON_EET, "type": 0, "entry": 0, "magic": 770_001}
    facts |= {"position_id": 10, "reason": 3, "volume": 0.3, "price": 1.2345, "commission": 0.0, "swap": 0.0, "profit": 0.0}
    return Deal(**(facts | {"fee": 0.0, "symbol": "EURUSD.a", "comment": "aa~1"} | changes))


def told(*deals: Deal, comments: dict[int, str] | None = None, tokens: Tokens | None = None) -> list[Any]:
    names = Names({"EURUSD": a_symbol()})
    return executions_of(deals, tokens or Tokens(), comments or {}, names, ServerClock("Europe/Athens"), "USD")


def test_commission_fee_and_swap_are_one_cost_that_is_positive_when_it_costs() -> None:
    (execution,) = told(a_deal(commission=-2.1, fee=-0.4, swap=-1.05))
    assert (execution.commission, execution.commission_currency) == (D("3.55"), "USD")
    (credited,) = told(a_deal(commission=-2.0, swap=3.5))
    assert credited.commission == D("-1.5")


def test_deals_that_move_the_balance_and_no_position_are_movements_of_cash() -> None:
    """Types as the package has them: 2 balance, 3 credit, 4 charge, 5 correction, 6 bonus, 7 commission, 12 interest,
    15 dividend, 17 tax. Trades, credit and bonus are none."""
    types = {2: 500.0, 3: 70.0, 4: -3.5, 5: 0.25, 6: 80.0, 7: -1.1, 12: 2.0, 15: 4.0, 17: -0.6, 0: 9.0, 1: 9.0, 13: 9.0}
    deals = [a_deal(ticket=number, type=number, profit=amount, symbol="", volume=0.0) for number, amount in types.items()]
    deals.append(a_deal(ticket=90, type=2, profit=-40.0, comment="out"))
    found = movements_of(deals, ServerClock("Europe/Athens"), "USD")
    assert [(each.reference, each.kind, each.amount) for each in found] == [
        ("deal/2", "deposit", D(500)),
        ("deal/4", "fee", D("-3.5")),
        ("deal/5", "reconciliation", D("0.25")),
        ("deal/7", "fee", D("-1.1")),
        ("deal/12", "interest", D(2)),
        ("deal/15", "dividend", D(4)),
        ("deal/17", "tax", D("-0.6")),
        ("deal/90", "withdrawal", D(-40)),
    ]
    assert (found[0].currency, found[0].ts_event_ns) == ("USD", 1_767_607_200_000 * 1_000_000)


def test_time_symbol_and_volume_are_ours() -> None:
    (execution,) = told(a_deal())
    assert execution.ts_event_ns == 1_767_607_200_000 * 1_000_000  # 10:00 UTC
    assert (execution.symbol, execution.quantity, execution.price, execution.order_id) == ("EURUSD", D("0.3"), D("1.2345"), "aa")


def test_movements_of_the_balance_and_closing_one_position_by_another_are_no_executions() -> None:
    assert told(a_deal(type=2, volume=0.0), a_deal(entry=3), a_deal(type=1, entry=3)) == []


def test_a_deal_that_the_broker_takes_back_busts_its_execution() -> None:
    (execution,) = told(a_deal(type=13))
    assert (execution.exec_id, execution.corrects, execution.quantity, execution.side) == ("11/cancelled", "11", D(0), "buy")


def test_a_deal_without_our_comment_is_known_by_its_order() -> None:
    (execution,) = told(a_deal(comment="Broker Ltd"), comments={10: "bb~2"})
    assert execution.order_id == "bb"


@pytest.mark.parametrize(("reason", "order_id"), [(4, "stop"), (5, "profit"), (6, "")])
def test_exits_are_known_by_the_position_that_they_close(reason: int, order_id: str) -> None:
    tokens = Tokens()
    tokens.token("profit", 2, "aa")
    tokens.token("stop", 3, "aa")
    deal = a_deal(order=20, comment="[sl 1.2]", reason=reason, type=1, entry=1)
    (execution,) = told(deal, comments={10: "aa~1ts"}, tokens=tokens)
    assert execution.order_id == order_id


@pytest.mark.parametrize(
    ("entry", "comment", "position_of"), [(1, "", "aa"), (1, "[so: 48.1%]", "aa"), (0, "by hand", ""), (1, "bb~2", "")]
)
def test_a_deal_of_others_says_whose_position_it_took_away_from(entry: int, comment: str, position_of: str) -> None:
    (execution,) = told(a_deal(order=20, comment=comment, type=1, entry=entry), comments={10: "aa~1"})
    assert (execution.position_of, bool(execution.order_id)) == (position_of, comment == "bb~2")


@pytest.mark.parametrize("comment", ["[so: 48.1%]", "aa~1"])
def test_a_stop_out_says_so_and_is_of_no_order_of_ours_whatever_comment_it_has_kept(comment: str) -> None:
    """Reason 6 is the package's DEAL_REASON_SO; 0 is a person at the terminal."""
    about: dict[str, Any] = {"ticket": 12, "order": 20, "type": 1, "entry": 1, "comment": comment}
    (execution,) = told(a_deal(reason=6, **about), comments={10: "aa~1"})
    assert (execution.order_id, execution.position_of) == ("", "aa")
    assert execution.liquidation == f"stop out of position 10, {comment}"
    (by_hand,) = told(a_deal(reason=0, **about), comments={10: "aa~1"})
    assert by_hand.liquidation == ""


def test_tickets_of_both_sides_come_to_one_position_at_the_price_of_the_side_that_is_left() -> None:
    facts: dict[str, Any] = {"identifier": 0, "time_msc": 0, "magic": 0, "sl": 0.0, "tp": 0.0, "swap": 0.0, "profit": 0.0}
    facts |= {"symbol": "EURUSD.a", "comment": ""}
    rows = [(0, 0.3, 1.2), (0, 0.1, 1.24), (1, 0.1, 1.3)]
    tickets = [Position(ticket=n, type=kind, volume=v, price_open=p, **facts) for n, (kind, v, p) in enumerate(rows)]
    (position,) = net_positions(tickets, Names({"EURUSD": a_symbol()}))
    assert (position.symbol, position.quantity, position.average_price) == ("EURUSD", D("0.3"), D("1.21"))
    assert net_positions(tickets[1:], Names({})) == []


def test_contracts_of_another_size_are_counted_in_lots_and_back() -> None:
    mini = an_instrument(contract_size=D(10_000), quantity_step=D("0.1"))
    symbol = a_symbol(instrument=mini)
    assert symbol.lots(D(5)) == D("0.5")
    assert symbol.contracts(0.5) == D(5)
    assert symbol.contracts(0.30000000000000004) == D(3)


def test_a_position_in_what_no_instrument_maps_to_has_the_brokers_name_and_its_lots_and_never_a_name_of_ours() -> None:
    """`EURUSD` is ours for the broker's `EURUSD.a`; the broker has a plain `EURUSD` besides."""
    facts: dict[str, Any] = {"identifier": 0, "time_msc": 0, "magic": 0, "sl": 0.0, "tp": 0.0, "swap": 0.0, "profit": 0.0}
    rows = [("EURUSD.a", 0.3), ("EURUSD", 0.2), ("XAUUSD.a", 0.1)]
    tickets = [
        Position(ticket=n, type=1, volume=volume, price_open=1.2, symbol=name, comment="", **facts)
        for n, (name, volume) in enumerate(rows)
    ]
    held = {each.symbol: each.quantity for each in net_positions(tickets, Names({"EURUSD": a_symbol()}))}
    assert held == {"EURUSD": D("-0.3"), "EURUSD#mt5": D("-0.2"), "XAUUSD.a": D("-0.1")}
