"""What the exchange knows: prices, orders at work, how the last orders ended, and the account."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec

from barque.messages import Bar, Quote, SubmitOrder, Trade
from barque.messages.market import PriceType
from barque.messages.signals import OrderType, Side
from barque_paper.account import Account

FINISHED_KEPT = 512
"""At least so many finished orders are remembered, to know a repeated one; older ones the ledger's primary key refuses."""

ZERO = Decimal(0)

T = TypeVar("T")

_SERVES: Mapping[Side, tuple[PriceType, ...]] = {"buy": ("ask", "mid", "last"), "sell": ("bid", "mid", "last")}
_OTHER: Mapping[Side, PriceType] = {"buy": "bid", "sell": "ask"}


class Market(msgspec.Struct, kw_only=True):
    """The latest prices of one symbol, as the messages that brought them."""

    bars: dict[PriceType, Bar] = {}
    """Empty once the symbol has ticks."""
    quote: Quote | None = None
    """A side that has not been seen is NaN."""
    trade: Trade | None = None
    taken: dict[PriceType, Decimal] = {}
    """Contracts that our orders have taken of the volume of the latest bar or tick."""

    @property
    def ticked(self) -> bool:
        """True: it has had a quote or trade, so its bars say nothing new."""
        return self.quote is not None or self.trade is not None

    @property
    def priced(self) -> bool:
        """True: it has had any price."""
        return bool(self.bars) or self.ticked

    def serving(self, side: Side, one_sided: bool = True) -> Bar | None:
        """What an order of `side` trades against: ask for a buy, bid for a sell, else mid, else last; a tick as its
        `tick:1` bar. Where there are only bars of the other side, those, unless `one_sided` is False."""
        bars = self.bars
        if not bars:
            return self._tick(side)
        for price in _SERVES[side]:
            if price in bars:
                return bars[price]
        return bars.get(_OTHER[side]) if one_sided else None

    def _tick(self, side: Side) -> Bar | None:
        quote, trade = self.quote, self.trade
        if quote is not None and side == "buy" and quote.ask == quote.ask:
            return _as_bar(quote, "ask", quote.ask, quote.ask_size)
        if quote is not None and side == "sell" and quote.bid == quote.bid:
            return _as_bar(quote, "bid", quote.bid, quote.bid_size)
        return None if trade is None else _as_bar(trade, "last", trade.price, trade.size)


class WorkingOrder(msgspec.Struct, kw_only=True):
    """An accepted order that has neither traded whole nor ended."""

    order: SubmitOrder
    """Its terms now: a modification replaces them, and fills of its OCO group lower the quantity."""
    active_ns: int
    """It may trade from here on."""
    deadline_ns: int | None
    """It may not trade after this time."""
    held: Decimal = ZERO
    """Contracts that wait for its parent to fill."""
    filled: Decimal = ZERO
    fills: int = 0
    """Executions so far."""
    notional: Decimal = ZERO
    """Value of what has filled."""
    commission: Decimal = ZERO
    """Paid so far."""
    triggered: bool = False
    """Its stop has been touched: it is a market order now, or a limit order where it has a limit."""
    best: Decimal | None = None
    """Of a trailing stop: the best price seen; None: it has seen none."""
    entry_price: Decimal | None = None
    """Where its parent filled inside a bar, at what price, until that bar's remainder has been looked at."""

    @property
    def open(self) -> Decimal:
        """Contracts that may trade now."""
        quantity = self.order.quantity
        return quantity - self.filled - self.held if self.fills or self.held else quantity

    @property
    def kind(self) -> OrderType:
        """What it trades as."""
        if not self.triggered:
            return self.order.order_type
        return "limit" if self.order.order_type == "stop_limit" else "market"

    def is_past(self, now_ns: int) -> bool:
        """True: its time is over at `now_ns`."""
        return self.deadline_ns is not None and self.deadline_ns < now_ns


class GroupFill(msgspec.Struct, frozen=True, array_like=True):
    """What an OCO group has traded."""

    order_id: str
    """Of the last fill."""
    quantity: Decimal
    done: bool
    """True: one of its orders has filled whole."""


class PaperState(msgspec.Struct, kw_only=True):
    """The whole state of a `PaperNode`."""

    now_ns: int = 0
    halted: bool = False
    tripped: dict[str, str] = {}
    """Scopes whose circuit breaker is open, with its status; empty scope: the book."""
    markets: dict[str, Market] = {}
    """One per instrument."""
    working: dict[str, WorkingOrder] = {}
    """By order id, in order of acceptance."""
    finished: dict[str, Decimal] = {}
    """The last orders that ended, oldest first, with what each had filled."""
    groups: dict[str, GroupFill] = {}
    """The last OCO groups that have traded, oldest first."""
    account: Account = msgspec.field(default_factory=Account)
    counters: dict[str, int] = {}

    def count(self, name: str) -> None:
        """One more of `name`."""
        self.counters[name] = self.counters.get(name, 0) + 1


def remember(window: dict[str, T], key: str, value: T) -> None:
    """Keep `value`; of twice `FINISHED_KEPT` forget the older half, all at once because that is cheaper."""
    window[key] = value
    if len(window) >= 2 * FINISHED_KEPT:
        for old in list(window)[:FINISHED_KEPT]:
            del window[old]


def _as_bar(tick: Quote | Trade, kind: PriceType, price: float, size: float) -> Bar:
    at = tick.ts_event_ns
    return Bar(
        symbol=tick.symbol,
        interval="tick:1",
        price=kind,
        ts_open_ns=at,
        ts_close_ns=at,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=size,
        tick_count=1,
    )
