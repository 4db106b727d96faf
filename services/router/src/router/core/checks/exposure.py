"""What all positions together are worth, tie up and weigh against the account's equity, in its base currency.

Gross: of each symbol the worse side at worst, added up. Net: positions as they are, short ones taken from long ones, with the
open orders of the order's side filled. What does not raise the worst case passes, but for the net figure. Exits are not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from barque.messages import RejectReason
from barque.money import MissingPrice
from router.core.amounts import UNVALUED
from router.core.checks.proposal import Proposal
from router.core.exposure import held_by_symbol, open_quantities, worst_by_symbol
from router.core.prices import Prices
from router.core.refusal import Refusal, figure
from router.core.state import ZERO, RouterState

Measure: TypeAlias = Callable[[], Decimal]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose positions are looked at, and what they are measured with."""

    strategy_id: str
    """Empty: the book."""
    prices: Prices
    margin_fraction: Callable[[str], Decimal]
    """Margin of a symbol, as part of its notional."""

    @property
    def whose(self) -> str:
        """For people."""
        return "the strategy's" if self.strategy_id else "the book's"

    def gross(self, proposal: Proposal, state: RouterState, margin: bool = False) -> Decimal:
        """Gross exposure with the order, or the margin that it takes; raises `MissingPrice`."""
        worst = worst_by_symbol(state, self.strategy_id)
        order = proposal.order
        long, short = worst.get(order.symbol, (ZERO, ZERO))
        before, after, _ = proposal.worst(state)
        raised = after - before
        worst[order.symbol] = (long + raised, short) if order.side == "buy" else (long, short + raised)
        return self._worth({symbol: max(sides) for symbol, sides in worst.items()}, margin)

    def net(self, proposal: Proposal, state: RouterState) -> Decimal:
        """Net exposure with the order, positive on the order's side; raises `MissingPrice`."""
        side = proposal.order.side
        sign = 1 if side == "buy" else -1
        net = {proposal.order.symbol: proposal.added}
        for strategy_id, held in state.positions.items():
            if not self.strategy_id or strategy_id == self.strategy_id:
                for symbol, quantity in held.items():
                    net[symbol] = net.get(symbol, ZERO) + sign * quantity
        for symbol in dict.fromkeys(each.order.symbol for each in state.orders.values()):
            for strategy_id, quantity in open_quantities(state, symbol, side).items():
                if not self.strategy_id or strategy_id == self.strategy_id:
                    net[symbol] = net.get(symbol, ZERO) + quantity
        return self._worth(net, margin=False)

    def margin(self, held: Mapping[str, Decimal]) -> Decimal:
        """Margin of so many contracts by symbol; raises `MissingPrice`."""
        return self._worth(held, margin=True)

    def _worth(self, quantities: Mapping[str, Decimal], margin: bool) -> Decimal:
        total = ZERO
        for symbol, quantity in quantities.items():
            if quantity:
                value = self.prices.value(symbol, quantity)
                total += value * self.margin_fraction(symbol) if margin else value
        return total


@dataclass(frozen=True, slots=True)
class GrossExposure:
    """`max_gross_exposure`."""

    most: Decimal
    scope: Scope

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        if not proposal.raises(state):
            return None
        return _measure(
            RejectReason.GROSS_EXPOSURE_LIMIT,
            f"{self.scope.whose} max_gross_exposure",
            self.most,
            state,
            lambda: self.scope.gross(proposal, state),
        )


@dataclass(frozen=True, slots=True)
class NetExposure:
    """`max_net_exposure`."""

    most: Decimal
    scope: Scope

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        return _measure(
            RejectReason.NET_EXPOSURE_LIMIT,
            f"{self.scope.whose} max_net_exposure",
            self.most,
            state,
            lambda: self.scope.net(proposal, state),
        )


@dataclass(frozen=True, slots=True)
class Leverage:
    """`max_leverage`."""

    most: Decimal
    scope: Scope

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        if not proposal.raises(state):
            return None
        return _measure_against_equity(
            RejectReason.LEVERAGE_LIMIT,
            f"{self.scope.whose} max_leverage",
            self.most,
            state,
            lambda: self.scope.gross(proposal, state),
        )


@dataclass(frozen=True, slots=True)
class MarginUse:
    """`max_margin_use_fraction`."""

    most: Decimal
    scope: Scope

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        if not proposal.raises(state):
            return None
        return _measure_against_equity(
            RejectReason.MARGIN_LIMIT,
            f"{self.scope.whose} max_margin_use_fraction",
            self.most,
            state,
            lambda: self.scope.gross(proposal, state, margin=True),
        )


@dataclass(frozen=True, slots=True)
class BuyingPower:
    """`max_buying_power_use_fraction`: what open orders and the new one may tie up. What has traded since the broker said its
    figure has used it up, or given it back."""

    most: Decimal
    scope: Scope

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        equity = state.equity
        if not proposal.raises(state):
            return None
        if equity is None:
            return _no_equity("max_buying_power_use_fraction")
        scope = self.scope
        try:
            needed = scope.gross(proposal, state, margin=True) - scope.margin(held_by_symbol(state, scope.strategy_id))
            held = scope.margin(held_by_symbol(state))
            if state.broker is not None:
                said = scope.prices.to_base(state.broker.buying_power, state.broker.currency)
                power = said - (held - scope.margin(state.broker_held))
            else:
                power = equity.equity - held
        except MissingPrice as missing:
            return _no_price("max_buying_power_use_fraction", missing)
        available = power * self.most
        if needed <= available:
            return None
        return Refusal(
            RejectReason.BUYING_POWER,
            "it and the open orders would take more than max_buying_power_use_fraction of the account's buying power; trade less",
            limit=figure(available),
            actual=figure(needed),
        )


def _measure(reason: RejectReason, name: str, most: Decimal, state: RouterState, measure: Measure) -> Refusal | None:
    if state.equity is None:
        return _no_equity(name)
    try:
        actual = measure()
    except MissingPrice as missing:
        return _no_price(name, missing)
    if actual <= most:
        return None
    return Refusal(reason, f"it would pass {name}; close positions or trade less", limit=figure(most), actual=figure(actual))


def _measure_against_equity(
    reason: RejectReason, name: str, most: Decimal, state: RouterState, measure: Measure
) -> Refusal | None:
    equity = state.equity
    if equity is None:
        return _no_equity(name)
    if equity.equity <= 0:
        detail = f"{name} is set and the account has no equity left; close positions"
        return Refusal(RejectReason.NO_EQUITY, detail, limit=figure(most), actual=figure(equity.equity))
    return _measure(reason, name, most, state, lambda: measure() / equity.equity)


def _no_equity(name: str) -> Refusal:
    return Refusal(RejectReason.NO_EQUITY, f"{name} depends on the account's equity, {UNVALUED}")


def _no_price(name: str, missing: MissingPrice) -> Refusal:
    return Refusal(RejectReason.NO_PRICE, f"{name} is set and there is no price of {missing.what}; wait for its feed")
