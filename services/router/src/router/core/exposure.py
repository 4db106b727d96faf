"""What positions can come of the orders that are out, at worst. Pure arithmetic.

The worst case of a side: every open order of that side fills, UNKNOWN ones too, and none of the other side. Orders that exclude
each other (an OCO group) count once. A bracket's exits count when their entry has filled, for before that they cannot trade.
Strategies do not cover one another: each may close at any time, and an exit is never refused for what others hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from barque.messages.signals import Side
from router.core.state import ZERO, RouterState


def open_quantities(state: RouterState, symbol: str, side: Side, without_guards_of: str = "") -> dict[str, Decimal]:
    """Contracts of `side` that may still trade, by strategy.

    `without_guards_of`: leave out this strategy's bracket exits; the exit that is being looked at takes them back.
    """
    orders = state.orders
    totals: dict[str, Decimal] = {}
    groups: dict[tuple[str, str], Decimal] = {}
    for each in orders.values():
        order = each.order
        if order.side != side or order.symbol != symbol:
            continue
        strategy_id = order.strategy_id
        if order.parent_id is not None and (order.parent_id in orders or strategy_id == without_guards_of):
            continue
        if order.oco_group is None:
            totals[strategy_id] = totals.get(strategy_id, ZERO) + each.remaining
        else:
            group = (strategy_id, order.oco_group)
            groups[group] = max(groups.get(group, ZERO), each.remaining)
    for (strategy_id, _), quantity in groups.items():
        totals[strategy_id] = totals.get(strategy_id, ZERO) + quantity
    return totals


def worst_of(position: Decimal, side: Side, open_quantity: Decimal) -> Decimal:
    """Contracts on `side` that a signed `position` becomes when `open_quantity` fills; zero where it stays on the other side."""
    worst = (position if side == "buy" else -position) + open_quantity
    return worst if worst > ZERO else ZERO


def held_by_symbol(state: RouterState, strategy_id: str = "") -> dict[str, Decimal]:
    """Contracts held, long and short added, over all strategies or by one."""
    held: dict[str, Decimal] = {}
    for each, by_symbol in state.positions.items():
        if not strategy_id or each == strategy_id:
            for symbol, quantity in by_symbol.items():
                held[symbol] = held.get(symbol, ZERO) + abs(quantity)
    return held


def worst_by_symbol(state: RouterState, strategy_id: str = "") -> dict[str, tuple[Decimal, Decimal]]:
    """(long, short) contracts at worst, by symbol, over all strategies or for one."""
    return {
        symbol: (_worst(state, symbol, "buy", strategy_id), _worst(state, symbol, "sell", strategy_id))
        for symbol in _symbols(state)
    }


def _worst(state: RouterState, symbol: str, side: Side, strategy_id: str) -> Decimal:
    open_by_strategy = open_quantities(state, symbol, side)
    total = ZERO
    for each in _strategies(state, open_by_strategy):
        if not strategy_id or each == strategy_id:
            total += worst_of(state.position(each, symbol), side, open_by_strategy.get(each, ZERO))
    return total


def _strategies(state: RouterState, others: dict[str, Decimal]) -> Iterator[str]:
    yield from state.positions
    yield from (each for each in others if each not in state.positions)


def _symbols(state: RouterState) -> list[str]:
    """Symbols with a position or an open order, in order of appearance."""
    found = {symbol: None for held in state.positions.values() for symbol in held}
    found.update((each.order.symbol, None) for each in state.orders.values())
    return list(found)
