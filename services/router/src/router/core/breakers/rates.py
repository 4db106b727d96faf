"""Order rate and rejection rate, of the book and of single strategies, over the last 60 s of event time.

In:   orders that are to go out, orders that went out, what brokers refused.   Out: trips.
Not:  what the router itself refuses: that reaches nobody.
"""

from __future__ import annotations

from barque.messages import RejectReason
from router.config import BreakersConfig, OrderRateConfig, RejectionRateConfig, RouterConfig, StrategyBreakersConfig
from router.core.breakers.board import BOOK, Board, Change
from router.core.checks.flow import EXIT_RATE, within_a_minute
from router.core.checks.proposal import Proposal
from router.core.limits import Limits
from router.core.refusal import Refusal, figure
from router.core.state import RouterState


class Rates:
    """The breakers that count."""

    def __init__(self, config: RouterConfig, state: RouterState, board: Board, limits: Limits) -> None:
        self._state = state
        self._board = board
        self._limits = limits
        self._orders: dict[str, OrderRateConfig] = {}
        self._refusals: dict[str, RejectionRateConfig] = {}
        self._count(BOOK, config.breakers)
        for own in config.strategy_breakers:
            self._count(own.strategy, own)

    def refusal(self, proposal: Proposal) -> tuple[Refusal | None, list[Change]]:
        """An order is to go out: why it must not, and the breaker that it trips."""
        state, order = self._state, proposal.order
        for scope in (order.strategy_id, BOOK):
            config = self._orders.get(scope)
            if config is None:
                continue
            most = config.per_minute * EXIT_RATE if order.closes else config.per_minute
            actual = len(within_a_minute(state.sent, scope, state.now_ns)) + proposal.sends
            if actual > most:
                whose = f"strategy {scope}" if scope else "the book"
                detail = f"{whose} would send more orders a minute than its breaker order_rate lets pass; see what sends them"
                refusal = Refusal(RejectReason.ORDER_RATE, detail, limit=figure(most), actual=figure(actual))
                return refusal, self._board.trip(scope, "order_rate", config, (most, actual))
        return None, []

    def sent(self, strategy_id: str) -> None:
        """An order, or a change of one, goes out now."""
        state = self._state
        for scope in (strategy_id, BOOK):
            if scope in self._orders or self._limits.rated(scope):
                times = state.sent.get(scope)
                if times is None:
                    state.sent[scope] = [state.now_ns]
                else:
                    times.append(state.now_ns)

    def refused(self, strategy_id: str) -> list[Change]:
        """A broker has refused an order, a change or a cancel of the strategy."""
        state = self._state
        changes: list[Change] = []
        for scope in (strategy_id, BOOK):
            config = self._refusals.get(scope)
            if config is None:
                continue
            times = state.refused.setdefault(scope, [])
            times.append(state.now_ns)
            recent = within_a_minute(state.refused, scope, state.now_ns)
            del recent[: -config.per_minute - 1]
            if len(recent) > config.per_minute:
                changes += self._board.trip(scope, "rejection_rate", config, (config.per_minute, len(recent)))
        return changes

    def _count(self, scope: str, breakers: BreakersConfig | StrategyBreakersConfig) -> None:
        if breakers.order_rate is not None and breakers.order_rate.enabled:
            self._orders[scope] = breakers.order_rate
        if breakers.rejection_rate is not None and breakers.rejection_rate.enabled:
            self._refusals[scope] = breakers.rejection_rate
