"""A second bookkeeper, for tests: what the books must be, from the executions as they really happened. It shares no code with the
portfolio: whole numbers and fractions instead of Decimals, one pass over one position at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

GRAINS = 10**8
"""Money is rounded to so many parts of a unit where a position is closed in part."""


@dataclass(frozen=True)
class Trade:
    """One execution as the broker finally has it."""

    account: str
    strategy_id: str
    symbol: str
    signed: Fraction
    price: Fraction
    commission: Fraction
    commission_currency: str


@dataclass(frozen=True)
class Contract:
    """What the bookkeeper knows of an instrument."""

    currency: str
    size: int
    on_margin: bool


@dataclass
class Holding:
    """One position."""

    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    realised: Fraction = Fraction(0)
    commission: Fraction = Fraction(0)
    fifo_realised: Fraction = Fraction(0)
    queue: list[list[Fraction]] = field(default_factory=list)
    """Open lots, oldest first: signed contracts and price."""


class IndependentBook:
    """Positions by account, strategy and symbol; cash by account and currency."""

    def __init__(self, contracts: dict[str, Contract], cash: dict[tuple[str, str], int]) -> None:
        self.contracts = contracts
        self.cash: dict[tuple[str, str], Fraction] = defaultdict(Fraction, {key: Fraction(value) for key, value in cash.items()})
        self.holdings: dict[tuple[str, str, str], Holding] = defaultdict(Holding)

    def run(self, trades: Iterable[Trade]) -> None:
        """In the order in which they were executed."""
        for trade in trades:
            self._average(trade)
            self._first_in_first_out(trade)

    def _average(self, trade: Trade) -> None:
        contract = self.contracts[trade.symbol]
        holding = self.holdings[trade.account, trade.strategy_id, trade.symbol]
        unit = contract.size * trade.price
        left, earned = trade.signed, Fraction(0)
        if holding.quantity * left < 0:  # first what closes
            closing = min(abs(left), abs(holding.quantity)) * (1 if left > 0 else -1)
            share = holding.cost * -closing / holding.quantity
            if holding.quantity + closing:
                share = Fraction(round(share * GRAINS), GRAINS)  # Python rounds halves to even
            earned = -closing * unit - share
            holding.quantity += closing
            holding.cost -= share
            left -= closing
        holding.quantity += left
        holding.cost += left * unit
        holding.realised += earned
        self.cash[trade.account, contract.currency] += earned if contract.on_margin else -trade.signed * unit
        self.cash[trade.account, trade.commission_currency] -= trade.commission
        if trade.commission_currency == contract.currency:
            holding.commission += trade.commission

    def _first_in_first_out(self, trade: Trade) -> None:
        holding = self.holdings[trade.account, trade.strategy_id, trade.symbol]
        size, left = self.contracts[trade.symbol].size, trade.signed
        while left and holding.queue and holding.queue[0][0] * left < 0:
            lot = holding.queue[0]
            closed = min(abs(left), abs(lot[0]))
            direction = 1 if lot[0] > 0 else -1
            holding.fifo_realised += direction * closed * size * (trade.price - lot[1])
            lot[0] -= direction * closed
            left += direction * closed
            if not lot[0]:
                del holding.queue[0]
        if left:
            holding.queue.append([left, trade.price])


def exact(value: Decimal) -> Fraction:
    """A Decimal as it is."""
    return Fraction(value)
