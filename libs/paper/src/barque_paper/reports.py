"""What the exchange would tell a customer who asks for its books; in the words of `barque.venue`. Pure.

In:   the exchange's state.   Out: open orders, executions, positions, money.
Not:  conversion of currencies: equity is what is in the account's own.
"""

from __future__ import annotations

from collections.abc import Mapping

from barque.messages.signals import Side
from barque.venue import VenueAccount, VenueExecution, VenueOrder, VenuePosition
from barque_paper.config import PaperConfig
from barque_paper.costs import Costs
from barque_paper.state import ZERO, PaperState

VENUE_PREFIX = "P-"


def open_orders(state: PaperState) -> list[VenueOrder]:
    """Working orders with their terms as they are now, in order of acceptance."""
    return [
        VenueOrder(
            order_id=working.order.order_id,
            venue_order_id=venue_order_id(working.order.order_id),
            symbol=working.order.symbol,
            side=working.order.side,
            quantity=working.order.quantity,
            filled=working.filled,
            order_type=working.order.order_type,
            limit_price=working.order.limit_price,
            stop_price=working.order.stop_price,
        )
        for working in state.working.values()
    ]


def executions_since(state: PaperState, ts_ns: int) -> list[VenueExecution]:
    """The executions at or after `ts_ns` among the last ones (`account.EXECUTIONS_KEPT` at least), oldest first."""
    return [
        VenueExecution(
            exec_id=fill.exec_id,
            order_id=fill.order_id,
            venue_order_id=venue_order_id(fill.order_id),
            symbol=fill.symbol,
            side=fill.side,
            quantity=fill.quantity,
            price=fill.price,
            ts_event_ns=fill.ts_event_ns,
            commission=fill.commission,
            commission_currency=fill.commission_currency,
        )
        for fill in state.account.executions
        if fill.ts_event_ns >= ts_ns
    ]


def positions(state: PaperState, costs: Mapping[str, Costs]) -> list[VenuePosition]:
    """What the account holds net, by symbol; the average price is what that cost per unit."""
    found = []
    for symbol, holdings in sorted(state.account.holdings.items()):
        quantity = sum((each.quantity for each in holdings.values()), ZERO)
        cost = sum((each.cost for each in holdings.values()), ZERO)
        if quantity and symbol in costs:
            instrument = costs[symbol].instrument
            average = (cost / (quantity * instrument.multiplier)).quantize(instrument.tick_size / 1000)
            found.append(VenuePosition(symbol=symbol, quantity=quantity, average_price=average))
    return found


def account(state: PaperState, config: PaperConfig, costs: Mapping[str, Costs]) -> VenueAccount:
    """Cash of every currency; equity and buying power of `[paper] currency` alone, positions at what closing them now
    would bring (at cost where there is no price)."""
    cash = dict(state.account.cash)
    equity = cash.get(config.currency, ZERO)
    for symbol, holdings in state.account.holdings.items():
        friction = costs.get(symbol)
        if friction is None or friction.currency != config.currency:
            continue
        for holding in holdings.values():
            side: Side = "sell" if holding.quantity > 0 else "buy"
            bar = state.markets[symbol].serving(side)
            unit = None if bar is None else friction.price(side, bar, bar.close) * friction.multiplier
            value = holding.cost if unit is None else holding.quantity * unit
            equity += value - holding.cost if friction.on_margin else value
    return VenueAccount(
        account=config.account, live=False, currency=config.currency, cash=cash, equity=equity, buying_power=equity
    )


def venue_order_id(order_id: str) -> str:
    """What the exchange calls an order."""
    return f"{VENUE_PREFIX}{order_id}"
