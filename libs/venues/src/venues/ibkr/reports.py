"""What the Gateway reports, in our words: open orders, executions, positions, the account's figures, reasons of a refusal.

In:   ib_async's objects as its wrapper is given them.   Out: values of `barque.venue`, and `Seen` for an order's echo.
Not:  state. Numbers the Gateway has not got (1.8e308) are None, never a figure.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import msgspec
from ib_async import AccountValue, Contract, Execution, Order, OrderState, Position

from barque.errors import VenueUnavailable
from barque.messages import RejectReason
from barque.messages.signals import Side
from barque.venue import VenueAccount, VenueExecution, VenueOrder, VenuePosition
from venues.ibkr.codes import Reaction, code_of
from venues.ibkr.contracts import ContractBook, Listing, exact
from venues.ibkr.hours import instant_ns
from venues.ibkr.orders import ORDER_TYPES, Terms, compared, order_id_of

UNSET = 1e300
"""Numbers from here on mean that there is none."""
ZERO = Decimal(0)
CENT = Decimal("0.01")
CLOSE_NS = 600_000_000_000
"""So long after a close orders of the day may take to end."""
_OUR_TYPES = {theirs: ours for ours, theirs in ORDER_TYPES.items()}
GONE = frozenset({"Filled", "Cancelled", "ApiCancelled"})
"""Statuses of orders that are not open."""
AT_WORK = frozenset({"PreSubmitted", "Submitted", "Inactive", "Filled"})
"""Statuses that show that the broker has the order. `Inactive` too: it may come back to life, and is noted."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the Gateway echoes it."""

    order_id: str
    """Ours, by its reference; empty: not ours."""
    token: str
    wire_id: int
    client_id: int
    perm_id: int
    account: str
    status: str
    con_id: int
    symbol: str
    side: Side
    order_type: str
    """Ours where we have a word for it."""
    terms: Terms
    parent_wire_id: int = 0
    unit: Decimal = Decimal(1)
    """Units of theirs in a contract of ours."""
    expires_ns: int | None = None
    """When its time in force ends; None: never, or not known."""

    def as_open(self, filled: Decimal) -> VenueOrder:
        """For the books."""
        terms = compared(self.terms, self.order_type)
        return VenueOrder(
            order_id=self.order_id,
            venue_order_id=venue_order_id(self.perm_id, self.wire_id),
            symbol=self.symbol,
            side=self.side,
            quantity=terms.quantity,
            filled=filled,
            order_type=self.order_type,
            limit_price=terms.limit_price,
            stop_price=terms.stop_price,
        )


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """An order that has ended, as the Gateway lists it: without its id, and often without its reference."""

    order_id: str
    """Ours, by its reference; empty: there was none, or it is not ours."""
    perm_id: int
    status: str
    how: Literal["cancelled", "expired", "rejected"]
    """Of one that is not `Filled`."""
    text: str
    filled: Decimal
    """Contracts of ours."""


def seen_completed(contract: Contract, order: Order, state: OrderState, book: ContractBook) -> Completed:
    """A `completedOrder` message. What ended it is in its words, or follows from when it ended."""
    _, listing = names_of(contract, book)
    said, at_ns = state.completedStatus.strip(), instant_ns(state.completedTime)
    how: Literal["cancelled", "expired", "rejected"] = "cancelled"
    if "reject" in said.lower() or (state.status == "Inactive" and said):
        how = "rejected"
    elif "expire" in said.lower():
        how = "expired"
    elif at_ns is not None and "trader" not in said.lower():
        expires_ns = _expires_ns(order, listing, at_ns - CLOSE_NS)
        how = "expired" if expires_ns is not None and expires_ns <= at_ns else "cancelled"
    return Completed(
        order_id=order_id_of(order.orderRef),
        perm_id=order.permId,
        status=state.status,
        how=how,
        text=said or state.status,
        filled=(number(order.filledQuantity) or ZERO) / (listing.unit if listing is not None else Decimal(1)),
    )


def venue_order_id(perm_id: int, wire_id: int) -> str:
    """The account's permanent number of the order; before it has one, the id at the wire."""
    return str(perm_id) if perm_id else f"#{wire_id}"


def number(value: float | int | str | Decimal | None) -> Decimal | None:
    """None where the Gateway has none.

    >>> number("1.7976931348623157E308"), number(""), number("12.50")
    (None, None, Decimal('12.5'))
    """
    if value is None or value == "":
        return None
    try:
        found = exact(value)
    except ArithmeticError:
        return None
    return found if found.is_finite() and abs(found) < Decimal(UNSET) else None


def money(value: float) -> Decimal | None:
    """To the cent; None where the Gateway has none.

    >>> money(-12.345678), money(1.7976931348623157e308), money(float("nan"))
    (Decimal('-12.35'), None, None)
    """
    found = number(value)
    return None if found is None else found.quantize(CENT)


def names_of(contract: Contract, book: ContractBook) -> tuple[str, Listing | None]:
    """Our symbol with its listing, or their own name; where one of ours is called so, that is told from it by their number."""
    symbol = book.symbol_of(contract.conId)
    if symbol:
        return symbol, book.get(symbol)
    name = contract.localSymbol or contract.symbol or str(contract.conId)
    return (f"{name}#{contract.conId}" if name in book.symbols else name), None


def seen_order(contract: Contract, order: Order, status: str, book: ContractBook, now_ns: int) -> Seen:
    """An `openOrder` message."""
    symbol, listing = names_of(contract, book)
    unit = listing.unit if listing is not None else Decimal(1)
    return Seen(
        order_id=order_id_of(order.orderRef),
        token=order.orderRef,
        wire_id=order.orderId,
        client_id=order.clientId,
        perm_id=order.permId,
        account=order.account,
        status=status,
        con_id=contract.conId,
        symbol=symbol,
        side="buy" if order.action == "BUY" else "sell",
        order_type=_OUR_TYPES.get(order.orderType, order.orderType.lower()),
        terms=_terms(order, unit),
        parent_wire_id=order.parentId,
        unit=unit,
        expires_ns=_expires_ns(order, listing, now_ns),
    )


def _expires_ns(order: Order, listing: Listing | None, now_ns: int) -> int | None:
    if order.tif == "GTD":
        return instant_ns(order.goodTillDate)
    return listing.day_ends_ns(now_ns) if order.tif == "DAY" and listing is not None else None


def _terms(order: Order, unit: Decimal) -> Terms:
    """Prices that the order's type does not have come as 0."""
    limit, aux = number(order.lmtPrice), number(order.auxPrice)
    kind = order.orderType
    trails = kind == "TRAIL"
    has_limit = kind in ("LMT", "STP LMT") or (kind not in ("MKT", "STP", "TRAIL") and bool(limit))
    has_stop = kind in ("STP", "STP LMT") or (kind not in ("MKT", "LMT", "TRAIL") and bool(aux))
    return Terms(
        quantity=(number(order.totalQuantity) or ZERO) / unit,
        limit_price=limit if has_limit else None,
        stop_price=number(order.trailStopPrice) if trails else aux if has_stop else None,
        trail_amount=aux if trails else None,
    )


def seen_execution(contract: Contract, execution: Execution, book: ContractBook, order_id: str) -> VenueExecution:
    """An `execDetails` message; its commission comes by itself, perhaps much later."""
    symbol, listing = names_of(contract, book)
    unit = listing.unit if listing is not None else Decimal(1)
    return VenueExecution(
        exec_id=execution.execId,
        order_id=order_id,
        venue_order_id=venue_order_id(execution.permId, execution.orderId),
        symbol=symbol,
        side="buy" if execution.side in ("BOT", "BUY") else "sell",
        quantity=exact(execution.shares) / unit,
        price=exact(execution.price),
        ts_event_ns=_ns(execution.time),
        corrects=corrected_by(execution.execId),
        liquidation="liquidation" if execution.liquidation else "",
    )


def corrected_by(exec_id: str) -> str:
    """The execution that this one replaces: the same id but for the last part, which counts from 01. Empty: none.

    >>> corrected_by("0000e0d5.6596b0d2.01.02"), corrected_by("0000e0d5.6596b0d2.01.01")
    ('0000e0d5.6596b0d2.01.01', '')
    """
    root, _, last = exec_id.rpartition(".")
    if not root or not last.isdigit() or int(last) < 2:
        return ""
    return f"{root}.{int(last) - 1:0{len(last)}d}"


def seen_position(position: Position, book: ContractBook) -> VenuePosition:
    """Average cost includes the multiplier where there is one."""
    symbol, listing = names_of(position.contract, book)
    unit = listing.unit if listing is not None else Decimal(1)
    multiplier = number(position.contract.multiplier) or Decimal(1)
    if listing is not None:
        multiplier = listing.multiplier
    return VenuePosition(
        symbol=symbol, quantity=exact(position.position) / unit, average_price=(number(position.avgCost) or ZERO) / multiplier
    )


def figures(account: str, live: bool, values: Iterable[AccountValue], positions: Iterable[Position]) -> VenueAccount:
    """The account's money; raises `VenueUnavailable` where the Gateway has not told it yet.

    A currency trade at Interactive Brokers moves its whole value in cash of both currencies, and shows a position besides. We
    hold pairs on margin, as a position and its profit: what open ones have moved is taken out of the cash again.
    """
    found = {(value.tag, value.currency): value.value for value in values}
    currency, equity = next(
        ((c, number(v)) for (tag, c), v in found.items() if tag == "NetLiquidation" and c != "BASE"), ("", None)
    )
    if not currency or equity is None:
        raise VenueUnavailable(f"the Gateway has not told the figures of account {account} yet")
    cash: dict[str, Decimal] = {currency: ZERO}
    rates: dict[str, Decimal] = {}
    for (tag, of), value in found.items():
        amount = number(value) if of not in ("BASE", "") else None
        if tag == "CashBalance" and amount is not None:
            cash[of] = amount
        elif tag == "ExchangeRate" and amount:
            rates[of] = amount
    for position in positions:
        if position.contract.secType != "CASH":
            continue
        quantity, average = exact(position.position), number(position.avgCost) or ZERO
        base, quote = position.contract.symbol, position.contract.currency
        cash[base] = cash.get(base, ZERO) - quantity
        cash[quote] = (cash.get(quote, ZERO) + quantity * average).quantize(CENT)
    return VenueAccount(
        account=account,
        live=live,
        currency=currency,
        cash={of: amount for of, amount in sorted(cash.items()) if amount or of == currency},
        equity=equity,
        buying_power=number(found.get(("BuyingPower", currency))) or ZERO,
        rates=rates,
    )


_BY_CODE: dict[int, RejectReason] = {
    103: RejectReason.DUPLICATE,
    109: RejectReason.PRICE_COLLAR,
    110: RejectReason.PRICE,
    200: RejectReason.UNKNOWN_SYMBOL,
    203: RejectReason.NOT_ALLOWED,
    387: RejectReason.UNSUPPORTED,
    434: RejectReason.QUANTITY,
    460: RejectReason.NOT_ALLOWED,
}
_BY_WORDS: tuple[tuple[tuple[str, ...], RejectReason], ...] = (
    (("margin", "equity with loan", "insufficient", "available funds", "buying power"), RejectReason.BUYING_POWER),
    (("closed", "outside of", "trading hours"), RejectReason.MARKET_CLOSED),
    (("read-only", "read only", "no trading permission", "not allowed"), RejectReason.NOT_ALLOWED),
    (("price", "percentage", "aggressive"), RejectReason.PRICE),
    (("size", "quantity", "minimum"), RejectReason.QUANTITY),
)


def reject_reason(code: int, text: str) -> RejectReason:
    """The first word of a refusal, by its code or by what its text says."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    if code_of(code).reaction is Reaction.UNKNOWN_CONTRACT:
        return RejectReason.UNKNOWN_SYMBOL
    said = text.lower()
    for words, reason in _BY_WORDS:
        if any(word in said for word in words):
            return reason
    return RejectReason.VENUE


def _ns(at: datetime) -> int:
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return int(aware.timestamp()) * 1_000_000_000
