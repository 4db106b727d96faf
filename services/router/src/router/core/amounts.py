"""How many contracts a wish for money, risk or volatility comes to. Pure arithmetic.

money      of the account's base currency, converted to the instrument's at the latest marks.
reference  the price that the order would trade at: its limit, else its stop, else ask or bid, else the mark.

notional, equity_fraction   money / (reference × multiplier)
risk_fraction               equity × fraction / (|reference − stop| × multiplier); with no stop `volatility` is the distance
volatility                  equity × fraction / (volatility × multiplier)
target_fraction             equity × fraction / (mark × multiplier), with its sign

All are rounded to the instrument's grid towards zero, so that no order is larger than the wish.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from barque.instruments import LARGEST, Instrument, sound
from barque.messages import RejectReason, Signal
from barque.messages.signals import Side
from barque.money import MissingPrice
from router.config import SizingConfig, SizingMethod
from router.core.prices import Prices
from router.core.refusal import Refusal
from router.core.state import RouterState

UNVALUED = "which is not known yet; see that it has a [[portfolio.accounts]] entry"


class Amounts:
    """Sizes over one state's equity and marks."""

    def __init__(self, sizing: Iterable[SizingConfig], default: Decimal, state: RouterState, prices: Prices) -> None:
        self._sizing = {(each.strategy, each.symbol): each for each in sizing}
        self._default = default
        self._state = state
        self._prices = prices

    def entry(self, signal: Signal, side: Side, instrument: Instrument) -> Decimal | Refusal:
        """Contracts of an entry, on the grid."""
        if signal.quantity is not None:
            return instrument.quantity(signal.quantity)
        if signal.notional is not None:
            return self._sized("notional", signal.notional, signal, side, instrument)
        if signal.risk_fraction is not None:
            return self._sized("risk_fraction", signal.risk_fraction, signal, side, instrument)
        sizer = self._sizer(signal)
        if sizer is None:
            return instrument.quantity(self._default)
        return self._sized(sizer.method, sizer.value, signal, side, instrument)

    def target(self, signal: Signal, instrument: Instrument) -> Decimal | Refusal:
        """Signed contracts of the position that the signal wants."""
        fraction = signal.target_fraction
        if fraction is None:
            return signal.target or Decimal(0)
        if not fraction:
            return fraction
        try:
            equity = self._equity(instrument)
            unit = self._prices.price(instrument.symbol) * instrument.multiplier
        except MissingPrice as missing:
            return no_price(signal.symbol, missing)
        if isinstance(equity, Refusal):
            return equity
        size = contracts(instrument, equity * abs(fraction), unit)
        return size if isinstance(size, Refusal) else size.copy_sign(fraction)

    def asked(self, signal: Signal) -> Decimal:
        """Contracts of a reduction."""
        return self._default if signal.quantity is None else signal.quantity

    def by_equity(self, signal: Signal) -> bool:
        """Whether an entry that does not say how much is a part of equity."""
        sizer = self._sizer(signal)
        return sizer is not None and sizer.method in ("equity_fraction", "risk_fraction", "volatility")

    def _sizer(self, signal: Signal) -> SizingConfig | None:
        if not self._sizing:
            return None
        own, symbol = signal.strategy_id, signal.symbol
        for place in ((own, symbol), (own, ""), ("", symbol), ("", "")):
            if place in self._sizing:
                return self._sizing[place]
        return None

    def _sized(
        self, method: SizingMethod, value: Decimal, signal: Signal, side: Side, instrument: Instrument
    ) -> Decimal | Refusal:
        if method == "fixed":
            return instrument.quantity(value)
        try:
            equity = self._equity(instrument)
            if isinstance(equity, Refusal):
                return equity
            money = self._prices.from_base(value, instrument.currency) if method == "notional" else equity * value
            move = self._move(method, signal, side, instrument)
        except MissingPrice as missing:
            return no_price(signal.symbol, missing)
        return move if isinstance(move, Refusal) else contracts(instrument, money, move * instrument.multiplier)

    def _equity(self, instrument: Instrument) -> Decimal | Refusal:
        """Of the account, in the instrument's currency; raises `MissingPrice`."""
        marked = self._state.equity
        if marked is None:
            return Refusal(RejectReason.NO_EQUITY, f"its size depends on the account's equity, {UNVALUED}")
        if marked.equity <= 0:
            detail = "its size depends on the account's equity, and there is none left"
            return Refusal(RejectReason.NO_EQUITY, detail, actual=str(marked.equity))
        return self._prices.from_base(marked.equity, instrument.currency)

    def _move(self, method: SizingMethod, signal: Signal, side: Side, instrument: Instrument) -> Decimal | Refusal:
        """The price, or the move of it, that the money is for; raises `MissingPrice`."""
        if method == "volatility":
            return _distance(signal, signal.volatility, "sizing by volatility needs the signal's volatility")
        reference = self._reference(signal, side, instrument)
        if method != "risk_fraction" or isinstance(reference, Refusal):
            return reference
        stop = signal.stop_loss if signal.stop_loss is not None or "stop" in signal.order_type else signal.stop_price
        if stop is None:
            return _distance(signal, signal.volatility, "sizing by risk needs a stop_loss (or the signal's volatility)")
        if not sound(stop):
            return Refusal(RejectReason.PRICE, "the stop must be a positive price", actual=str(stop))
        stop = instrument.price(stop)
        if stop >= reference if side == "buy" else stop <= reference:
            word = "below" if side == "buy" else "above"
            return Refusal(RejectReason.PRICE, f"to {side} at {reference}, the stop {stop} must be {word}", actual=str(stop))
        return abs(reference - stop)

    def _reference(self, signal: Signal, side: Side, instrument: Instrument) -> Decimal | Refusal:
        name = {"limit": "limit_price", "stop_limit": "limit_price", "stop": "stop_price"}.get(signal.order_type)
        if name is None:
            return self._prices.touch(signal.symbol, side)
        value = getattr(signal, name)
        if not sound(value) or not (price := instrument.price(value)):
            return Refusal(RejectReason.PRICE, f"a {signal.order_type} order needs a positive {name}", actual=str(value))
        return price


def contracts(instrument: Instrument, money: Decimal, unit: Decimal) -> Decimal | Refusal:
    """The most contracts on the grid that `money` pays at `unit` each, both in one currency.

    >>> stock = Instrument(symbol="X", currency="USD", asset_class="stock", tick_size=Decimal("0.01"))
    >>> contracts(stock, Decimal(100), Decimal(30))
    Decimal('3')
    """
    exact = money / unit
    if exact >= LARGEST:
        return Refusal(RejectReason.QUANTITY, "it comes to more contracts than any market has; see the stop", actual=str(exact))
    quantity = instrument.quantity(exact)
    return quantity - instrument.quantity_step if quantity * unit > money else quantity


def no_price(symbol: str, missing: MissingPrice) -> Refusal:
    """A size that depends on a price that is not there."""
    return Refusal(RejectReason.NO_PRICE, f"the size of {symbol} depends on a price of {missing.what}, and there is none yet")


def _distance(signal: Signal, value: Decimal | None, otherwise: str) -> Decimal | Refusal:
    if value is None:
        return Refusal(RejectReason.QUANTITY, otherwise)
    if not sound(value):
        return Refusal(RejectReason.QUANTITY, "volatility must be a positive number", actual=str(value))
    return value
