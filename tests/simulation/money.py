"""I7: an account's money, reckoned from nothing but what was bought, sold and paid; no average prices, no realised profits.

Whatever way a profit is split into realised and not, equity is the opening cash, plus what every standing execution paid or
brought, plus what is held at the latest marks.
"""

from __future__ import annotations

from decimal import Decimal

from barque.instruments import Instrument
from barque.messages import Alert, CashAdjusted, EquityMarked, Fill, Mark, PositionChanged
from tests.simulation.broker import OPENING_CASH
from tests.simulation.laws import Executions
from tests.simulation.shells import Handled, Turn

ZERO = Decimal(0)
GRAIN = Decimal("1E-6")
"""By so much a converted amount may be rounded."""


class PortfolioLaws:
    """What the portfolio says of the fills and marks that it was told."""

    def __init__(self, instruments: dict[str, Instrument]) -> None:
        self._instruments = instruments
        self.executions = Executions()
        self.unbooked: set[str] = set()
        """Executions that the portfolio says it could not book; a person has to."""
        self.adjusted: dict[str, Decimal] = dict.fromkeys(OPENING_CASH, ZERO)
        """Cash that came and went without a trade, each reference once."""
        self._references: set[str] = set()
        self._marks: dict[str, Decimal] = {}
        self.said: dict[tuple[str, str], Decimal] = {}
        """Positions as the portfolio has published them."""

    def committed(self, turn: Turn) -> None:
        """The portfolio has committed a turn."""
        for each in turn.handled:
            self._told(each)
            for _, message in each.said:
                if isinstance(message, PositionChanged):
                    self.said[message.strategy_id, message.symbol] = message.quantity
                elif isinstance(message, EquityMarked):
                    self._equity(message)
        if not self.unbooked:
            held = {place: quantity for place, quantity in self.said.items() if quantity}
            assert held == self.executions.positions(), f"I6: the books hold {held}, the fills come to something else"

    def by_symbol(self) -> dict[str, Decimal]:
        """Positions of the account as published."""
        held: dict[str, Decimal] = {}
        for (_, symbol), quantity in self.said.items():
            held[symbol] = held.get(symbol, ZERO) + quantity
        return {symbol: quantity for symbol, quantity in sorted(held.items()) if quantity}

    def flows(self) -> dict[str, Decimal]:
        """Cash by currency were every trade paid in full, opening included."""
        cash = dict(OPENING_CASH)
        for fill in self.executions.standing():
            instrument = self._instruments[fill.symbol]
            cash[instrument.currency] -= fill.signed_quantity * instrument.multiplier * fill.price
            cash[fill.commission_currency or instrument.currency] -= fill.commission
        return cash

    def _told(self, each: Handled) -> None:
        message = each.message
        if isinstance(message, Mark):
            self._marks[message.symbol] = Decimal(repr(message.bid))
        elif isinstance(message, CashAdjusted):
            if message.reference not in self._references:
                self._references.add(message.reference)
                self.adjusted[message.currency] += message.amount
        elif isinstance(message, Fill):
            self.executions.add(message)
            if any(isinstance(m, Alert) and m.name == "fill_unbooked" for _, m in each.said):
                self.unbooked.add(message.exec_id)

    def _equity(self, marked: EquityMarked) -> None:
        if self.unbooked:
            return
        worth = {currency: amount + self.adjusted[currency] for currency, amount in self.flows().items()}
        for (_, symbol), quantity in self.executions.positions().items():
            instrument = self._instruments[symbol]
            worth[instrument.currency] += quantity * instrument.multiplier * self._marks[symbol]
        expected = worth["USD"] + (worth["JPY"] / self._marks["USDJPY"] if worth["JPY"] else ZERO)
        assert abs(marked.equity - expected) <= GRAIN, f"I7: equity is said to be {marked.equity}, and is {expected}"
