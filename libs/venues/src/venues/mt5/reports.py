"""The terminal's deals, orders and positions as a sender knows such things. Pure.

In:   structs of the package, our tokens, our symbols.   Out: executions, open orders, positions, the account.
Not:  what changed since the last look (`watch`).

A deal's commission, fee and swap are the execution's commission, with the sign turned: what costs is positive. Swap is settled
when a position closes, so it comes with the deal that closes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from barque.messages import CashKind
from barque.messages.signals import Side
from barque.venue import CashMovement, VenueAccount, VenueExecution, VenueOrder, VenuePosition
from venues.mt5.clock import ServerClock
from venues.mt5.requests import NAMES
from venues.mt5.session import REAL
from venues.mt5.structs import AccountInfo, Deal, Order, Position
from venues.mt5.symbols import Symbol, plain
from venues.mt5.tokens import Known, Tokens

BUY, SELL, BUY_CANCELED, SELL_CANCELED = 0, 1, 13, 14
BALANCE = 2
MOVEMENTS: Mapping[int, CashKind] = {
    4: "fee",  # a charge
    5: "reconciliation",  # a correction
    **dict.fromkeys(range(7, 12), "fee"),  # commissions by the day and the month, and agents'
    12: "interest",
    15: "dividend",
    16: "dividend",
    17: "tax",
}
"""Types of deals that move the balance, besides a deposit or withdrawal."""
"""Types of deals that are trades, and what they become when the broker takes them back."""
OUT, INOUT, OUT_BY = 1, 2, 3
"""Entries of deals: they close, reverse, or close by another position."""
BY_STOP_LOSS, BY_TAKE_PROFIT, BY_STOP_OUT = 4, 5, 6
ZERO = Decimal(0)


class Names:
    """Our symbols by the broker's names."""

    def __init__(self, symbols: Mapping[str, Symbol]) -> None:
        self._by_venue = {symbol.venue_symbol: symbol for symbol in symbols.values()}
        self._ours = {symbol.instrument.symbol for symbol in symbols.values()}

    def symbol(self, venue_symbol: str) -> str:
        """Ours; the broker's where no instrument maps to it, with a `#mt5` where one of ours is called so."""
        known = self._by_venue.get(venue_symbol)
        if known is not None:
            return known.instrument.symbol
        return f"{venue_symbol}#mt5" if venue_symbol in self._ours else venue_symbol

    def contracts(self, venue_symbol: str, lots: float) -> Decimal:
        """In our contracts; lots where no instrument maps to it."""
        known = self._by_venue.get(venue_symbol)
        return known.contracts(lots) if known is not None else plain(Decimal(repr(lots)))

    def price(self, venue_symbol: str, price: float) -> Decimal | None:
        """On the grid; None for 0."""
        known = self._by_venue.get(venue_symbol)
        return known.decimal(price) if known is not None else Decimal(repr(price)) if price else None


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """A stop loss or a take profit of ours, as an order."""

    order_id: str
    kind: str
    """`limit` for a take profit, `stop` for a stop loss."""
    venue_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal


def executions_of(
    deals: Iterable[Deal],
    tokens: Tokens,
    comments: Mapping[int, str],
    names: Names,
    clock: ServerClock,
    currency: str,
    near_ns: int | None = None,
    hedging: bool = True,
) -> list[VenueExecution]:
    """Deals that moved positions. `comments`: of orders by ticket, for deals that do not carry their order's. `near_ns`: about
    when they were made, where that is known. `hedging`: each position is one order's, not that of all strategies.

    Closing one position by another leaves no execution: its two deals take each other away, and what they settle was settled
    in our books when the second position was opened.
    """
    found = []
    for deal in deals:
        if deal.type not in (BUY, SELL, BUY_CANCELED, SELL_CANCELED) or deal.entry == OUT_BY or not deal.volume:
            continue
        exec_id, busted = str(deal.ticket), deal.type in (BUY_CANCELED, SELL_CANCELED)
        cost = -(deal.commission + deal.fee + deal.swap)
        found.append(
            VenueExecution(
                exec_id=f"{exec_id}/cancelled" if busted else exec_id,
                order_id=_order_of(deal, tokens, comments),
                position_of=_position_of(deal, tokens, comments) if hedging else "",
                venue_order_id=str(deal.order),
                symbol=names.symbol(deal.symbol),
                side="buy" if deal.type in (BUY, BUY_CANCELED) else "sell",
                quantity=ZERO if busted else names.contracts(deal.symbol, deal.volume),
                price=plain(Decimal(repr(deal.price))),
                ts_event_ns=clock.to_utc_ns(deal.time_msc, near_ns),
                commission=ZERO if busted else plain(Decimal(repr(round(cost, 8)))),
                commission_currency=currency,
                corrects=exec_id if busted else "",
                liquidation=_stop_out(deal),
            )
        )
    return found


def _stop_out(deal: Deal) -> str:
    """The comment has the margin level, as `[so: 48.1%]`."""
    if deal.reason != BY_STOP_OUT:
        return ""
    return f"stop out of position {deal.position_id}{f', {deal.comment}' if deal.comment else ''}"


def _order_of(deal: Deal, tokens: Tokens, comments: Mapping[int, str]) -> str:
    if deal.reason == BY_STOP_OUT:
        return ""  # whatever comment it has kept
    if deal.reason in (BY_STOP_LOSS, BY_TAKE_PROFIT):
        entry = tokens.read(comments.get(deal.position_id, ""))
        if entry is None:
            return ""
        return entry.stop_loss_id if deal.reason == BY_STOP_LOSS else entry.take_profit_id
    known = tokens.read(deal.comment) or tokens.read(comments.get(deal.order, ""))
    return known.order_id if known is not None else ""


def _position_of(deal: Deal, tokens: Tokens, comments: Mapping[int, str]) -> str:
    """Our order that had opened the position which somebody else's deal took away from."""
    if deal.entry not in (OUT, INOUT) or _order_of(deal, tokens, comments):
        return ""
    opened = tokens.read(comments.get(deal.position_id, ""))
    return opened.order_id if opened is not None else ""


def legs_of(entry: Order | Position, tokens: Tokens, names: Names, comment: str = "") -> list[Leg]:
    """Our exits that the broker holds with an entry that waits, or with a position."""
    known = tokens.read(comment or entry.comment)
    if known is None:
        return []
    lots = entry.volume if isinstance(entry, Position) else entry.volume_initial
    buys = entry.type % 2 == 0
    legs = []
    for order_id, kind, price in (
        (known.take_profit_id, "limit", names.price(entry.symbol, entry.tp)),
        (known.stop_loss_id, "stop", names.price(entry.symbol, entry.sl)),
    ):
        if order_id and price is not None:
            legs.append(
                Leg(
                    order_id=order_id,
                    kind=kind,
                    venue_order_id=f"{entry.ticket}/{'tp' if kind == 'limit' else 'sl'}",
                    symbol=names.symbol(entry.symbol),
                    side="sell" if buys else "buy",
                    quantity=names.contracts(entry.symbol, lots),
                    price=price,
                )
            )
    return legs


def open_order(order: Order, known: Known | None, names: Names) -> VenueOrder:
    """An order that waits."""
    kind = NAMES.get(order.type, "market")
    price, second = names.price(order.symbol, order.price_open), names.price(order.symbol, order.price_stoplimit)
    return VenueOrder(
        order_id=known.order_id if known is not None else "",
        venue_order_id=str(order.ticket),
        symbol=names.symbol(order.symbol),
        side="buy" if order.type % 2 == 0 else "sell",
        quantity=names.contracts(order.symbol, order.volume_initial),
        filled=names.contracts(order.symbol, order.volume_initial) - names.contracts(order.symbol, order.volume_current),
        order_type=kind,
        limit_price=price if kind == "limit" else second if kind == "stop_limit" else None,
        stop_price=price if kind in ("stop", "stop_limit") else None,
    )


def open_leg(leg: Leg) -> VenueOrder:
    """A stop loss or take profit, shown as an order."""
    return VenueOrder(
        order_id=leg.order_id,
        venue_order_id=leg.venue_order_id,
        symbol=leg.symbol,
        side=leg.side,
        quantity=leg.quantity,
        filled=ZERO,
        order_type=leg.kind,
        limit_price=leg.price if leg.kind == "limit" else None,
        stop_price=leg.price if leg.kind == "stop" else None,
    )


def net_positions(positions: Sequence[Position], names: Names) -> list[VenuePosition]:
    """One per symbol: what all tickets come to. The price is that of the side that is left, averaged by volume."""
    found = []
    for venue_symbol in sorted({position.symbol for position in positions}):
        own = [position for position in positions if position.symbol == venue_symbol]
        sides = [sum((Decimal(repr(p.volume)) for p in own if p.type == side), ZERO) for side in (BUY, SELL)]
        net = sides[0] - sides[1]
        if not net:
            continue
        left = [position for position in own if position.type == (BUY if net > 0 else SELL)]
        value = sum((Decimal(repr(p.volume)) * Decimal(repr(p.price_open)) for p in left), ZERO)
        contracts = names.contracts(venue_symbol, float(abs(net)))
        found.append(
            VenuePosition(
                symbol=names.symbol(venue_symbol),
                quantity=contracts if net > 0 else -contracts,
                average_price=plain(value / max(sides)),
            )
        )
    return found


def account_of(info: AccountInfo) -> VenueAccount:
    """Money; the buying power is what the free margin could carry."""
    return VenueAccount(
        account=str(info.login),
        live=info.trade_mode == REAL,
        currency=info.currency,
        cash={info.currency: _money(info.balance)},
        equity=_money(info.equity),
        buying_power=_money(info.margin_free * info.leverage),
        unrealised_pnl=_money(info.profit),
    )


def movements_of(deals: Iterable[Deal], clock: ServerClock, currency: str) -> tuple[CashMovement, ...]:
    """Deals that moved the balance and no position. Credit and bonus are not the balance's."""
    found = []
    for deal in deals:
        amount = _money(deal.profit + deal.commission + deal.swap + deal.fee)
        kind = ("deposit" if amount > 0 else "withdrawal") if deal.type == BALANCE else MOVEMENTS.get(deal.type)
        if kind is not None and amount:
            about = {"reference": f"deal/{deal.ticket}", "currency": currency, "detail": deal.comment}
            found.append(CashMovement(kind=kind, amount=amount, ts_event_ns=clock.to_utc_ns(deal.time_msc), **about))
    return tuple(found)


def _money(amount: float) -> Decimal:
    return plain(Decimal(repr(round(amount, 8))))
