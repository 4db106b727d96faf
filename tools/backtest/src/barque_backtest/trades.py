"""Round trips: what was bought and sold again, or the other way round.

In:   fills in the order of saying, of any strategies and symbols.   Out: one `RoundTrip` from flat to flat.
Not:  prices between the fills; `excursions` adds what the market did meanwhile.

Convention: average cost, as in the portfolio. A round trip begins when a strategy's position in a symbol leaves zero and ends
when it is back; what is bought or sold in between belongs to it. A fill through zero is split: its first part ends one round
trip, the rest begins the next, and its commission is divided in proportion. Gross profit is the exact sum of what was
received and paid, so nothing is rounded; only the average prices that are shown are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal, TypeAlias

import msgspec

from barque.instruments import Instrument
from barque.messages import Fill, SubmitOrder

Direction: TypeAlias = Literal["long", "short"]

ZERO = Decimal(0)
_GRAIN = Decimal("1E-8")
_NO_ORDER: tuple[str, str] = ("", "")


class RoundTrip(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One position from flat to flat. Money is in the instrument's currency."""

    account: str
    strategy_id: str
    symbol: str
    currency: str
    direction: Direction
    entry_ns: int
    """Time of the first fill, UTC."""
    exit_ns: int | None
    """Time of the fill that made it flat; None: it is open, and valued at the last price."""
    quantity: Decimal
    """Contracts bought (of a long one) or sold in all; the most that it held where it was built up before it was reduced."""
    entry_price: Decimal
    """Average, rounded half to even to a thousandth of a tick."""
    exit_price: Decimal | None
    """Average of what was closed, what is still open at the last price; None where it is open and has none."""
    gross_pnl: Decimal | None
    """Before commissions; None where it is open and has no price."""
    commission: Decimal
    """In the instrument's currency; of commissions in another one see `other_commissions`."""
    other_commissions: dict[str, Decimal]
    """By currency."""
    fills: int
    tag: str
    """Of the order that began it."""
    reason: str
    exit_tag: str
    """Of the order that ended it; empty while open."""
    exit_reason: str
    last_fill: int
    """Place of its last fill among the run's."""
    worst_pnl: float | None = None
    """Maximum adverse excursion: the lowest profit on the way, 0 or below (`barque_backtest.candles.Excursions`)."""
    best_pnl: float | None = None
    """Maximum favourable excursion: the highest, 0 or above."""
    rate: float | None = None
    """What one unit of `currency` was worth in the account's currency at its last fill; None where that is not known."""
    net_base: float | None = None
    """Net profit in the account's currency, at that rate; None where it is not known."""

    @property
    def net_pnl(self) -> Decimal | None:
        """Gross profit less `commission`."""
        return None if self.gross_pnl is None else self.gross_pnl - self.commission

    @property
    def duration_ns(self) -> int | None:
        """From the first fill to the last; None while open."""
        return None if self.exit_ns is None else self.exit_ns - self.entry_ns


def round_trips(
    fills: Iterable[Fill],
    instruments: Mapping[str, Instrument],
    orders: Mapping[str, SubmitOrder],
    last_prices: Mapping[str, Decimal],
) -> list[RoundTrip]:
    """Every round trip in the order of first fills, open ones included.

    `orders` by id give tags and reasons; `last_prices` by symbol value what is open. Fills that the portfolio does not book
    (corrections, unknown symbols) are left out.
    """
    books: dict[tuple[str, str, str], _Book] = {}
    opened: list[_Trip] = []
    for place, fill in enumerate(fills):
        instrument = instruments.get(fill.symbol)
        if instrument is None or fill.corrects:
            continue
        key = fill.account, fill.strategy_id, fill.symbol
        book = books.get(key)
        if book is None:
            book = books[key] = _Book(instrument)
        opened += book.add(fill, place)
    return [trip.finished(orders, last_prices) for trip in opened]


@dataclass(slots=True)
class _Trip:
    """A round trip under way; sums are in units of price × contracts, before the multiplier."""

    instrument: Instrument
    first: Fill
    last: Fill
    sign: int
    held: Decimal = ZERO
    """Contracts, positive."""
    entered: Decimal = ZERO
    paid: Decimal = ZERO
    """Σ price × contracts of what increased it."""
    received: Decimal = ZERO
    """Σ price × contracts of what reduced it."""
    fills: int = 0
    last_fill: int = 0
    commissions: dict[str, Decimal] = field(default_factory=dict)

    def add(self, fill: Fill, place: int, quantity: Decimal, commission: Decimal, increases: bool) -> None:
        self.last, self.last_fill = fill, place
        self.fills += 1
        value = quantity * fill.price
        if increases:
            self.held += quantity
            self.entered += quantity
            self.paid += value
        else:
            self.held -= quantity
            self.received += value
        if commission:
            currency = fill.commission_currency or self.instrument.currency
            self.commissions[currency] = self.commissions.get(currency, ZERO) + commission

    def finished(self, orders: Mapping[str, SubmitOrder], last_prices: Mapping[str, Decimal]) -> RoundTrip:
        instrument, first = self.instrument, self.first
        is_open = bool(self.held)
        last_price = last_prices.get(instrument.symbol) if is_open else ZERO
        exit_price = gross = None
        if last_price is not None:
            received = self.received + self.held * last_price
            exit_price = _average(received, self.entered, instrument)
            gross = self.sign * (received - self.paid) * instrument.multiplier
        exit_tag, exit_reason = _NO_ORDER if is_open else _said_of(orders.get(self.last.order_id))
        tag, reason = _said_of(orders.get(first.order_id))
        return RoundTrip(
            account=first.account,
            strategy_id=first.strategy_id,
            symbol=instrument.symbol,
            currency=instrument.currency,
            direction="long" if self.sign > 0 else "short",
            entry_ns=first.ts_event_ns,
            exit_ns=None if is_open else self.last.ts_event_ns,
            quantity=self.entered,
            entry_price=_average(self.paid, self.entered, instrument),
            exit_price=exit_price,
            gross_pnl=gross,
            commission=self.commissions.get(instrument.currency, ZERO),
            other_commissions={c: amount for c, amount in self.commissions.items() if c != instrument.currency},
            fills=self.fills,
            tag=tag,
            reason=reason,
            exit_tag=exit_tag,
            exit_reason=exit_reason,
            last_fill=self.last_fill,
        )


class _Book:
    """One strategy's position in one symbol."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._trip: _Trip | None = None

    def add(self, fill: Fill, place: int) -> list[_Trip]:
        """Book a fill; returns the round trips that it begins, at most one."""
        sign = 1 if fill.side == "buy" else -1
        trip = self._trip
        if trip is None:
            return [self._begin(fill, place, fill.quantity, fill.commission)]
        if sign == trip.sign:
            trip.add(fill, place, fill.quantity, fill.commission, increases=True)
            return []
        closed = min(fill.quantity, trip.held)
        rest = fill.quantity - closed
        share = fill.commission
        if rest:
            share = (fill.commission * closed / fill.quantity).quantize(_GRAIN, rounding=ROUND_HALF_EVEN)
        trip.add(fill, place, closed, share, increases=False)
        if not trip.held:
            self._trip = None
        return [self._begin(fill, place, rest, fill.commission - share)] if rest else []

    def _begin(self, fill: Fill, place: int, quantity: Decimal, commission: Decimal) -> _Trip:
        self._trip = trip = _Trip(self._instrument, first=fill, last=fill, sign=1 if fill.side == "buy" else -1)
        trip.add(fill, place, quantity, commission, increases=True)
        return trip


def _average(value: Decimal, quantity: Decimal, instrument: Instrument) -> Decimal:
    return (value / quantity).quantize(instrument.tick_size / 1000, rounding=ROUND_HALF_EVEN)


def _said_of(order: SubmitOrder | None) -> tuple[str, str]:
    return _NO_ORDER if order is None else (order.tag, order.reason)
