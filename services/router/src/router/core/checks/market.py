"""Whether a symbol may be traded at all, now, and at such prices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from barque.calendars import Calendar
from barque.messages import RejectReason, SubmitOrder
from router.core.checks.proposal import Proposal
from router.core.hours import open_since
from router.core.prices import Prices
from router.core.refusal import Refusal, figure
from router.core.state import RouterState


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """`symbols`: there is such a list and the symbol is not on it."""

    whose: str

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        symbol = proposal.order.symbol
        return Refusal(RejectReason.NOT_ALLOWED, f"{symbol} is not one of {self.whose} symbols; see key `symbols` of the limits")


@dataclass(frozen=True, slots=True)
class TradingHours:
    """`trading_hours`."""

    calendar: Calendar
    name: str

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        if self.calendar.is_open(state.now_ns):
            return None
        symbol = proposal.order.symbol
        return Refusal(
            RejectReason.MARKET_CLOSED,
            f"{symbol} does not trade now by its calendar {self.name}; wait until it opens",
            actual=str(state.now_ns),
        )


@dataclass(frozen=True, slots=True)
class UnfitData:
    """No figure: a live feed says itself that the symbol's prices are stale or delayed. Nothing is opened on such prices."""

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        status = state.unfit.get(proposal.order.symbol)
        if status is None:
            return None
        return Refusal(
            RejectReason.STALE_DATA,
            f"{status.feed} says that prices of {status.symbol} are {status.state}: {status.detail}",
            actual=status.state,
        )


@dataclass(frozen=True, slots=True)
class StaleData:
    """`stale_after_s`."""

    after_ns: int
    after_s: Decimal
    hours: Calendar | None = None
    """Only time in which the market was open counts; None: all does."""

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        mark = state.marks.get(proposal.order.symbol)
        age_ns = state.now_ns - mark.ts_event_ns if mark is not None else None
        if mark is not None and self.hours is not None:
            since_ns = open_since(self.hours, mark.ts_event_ns, state.now_ns)
            age_ns = 0 if since_ns is None else state.now_ns - since_ns
        if age_ns is not None and age_ns <= self.after_ns:
            return None
        age = "none" if age_ns is None else figure(Decimal(age_ns) / 1_000_000_000)
        return Refusal(
            RejectReason.STALE_DATA,
            f"the latest price of {proposal.order.symbol} is older than stale_after_s, or there is none; see its feed",
            limit=figure(self.after_s),
            actual=age,
        )


@dataclass(frozen=True, slots=True)
class PriceCollar:
    """`price_collar_fraction`: of an entry either way, of an exit only where its limit is worse than the mark."""

    fraction: Decimal
    prices: Prices

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        order = proposal.order
        if order.limit_price is None and (order.stop_price is None or order.closes):
            return None
        mark = self.prices.find(order.symbol)
        if mark is None:
            return Refusal(
                RejectReason.NO_PRICE,
                f"price_collar_fraction is set and {order.symbol} has no mark yet; wait for its feed",
                limit=figure(self.fraction),
            )
        for name, price in _prices_of(order, mark):
            distance = abs(price - mark) / mark
            if distance > self.fraction:
                return Refusal(
                    RejectReason.PRICE_COLLAR,
                    f"{name} {price} is further from the mark {mark} than price_collar_fraction; check it",
                    limit=figure(self.fraction),
                    actual=figure(distance),
                )
        return None


def _prices_of(order: SubmitOrder, mark: Decimal) -> Iterator[tuple[str, Decimal]]:
    """The prices that the collar looks at."""
    limit = order.limit_price
    if order.closes:
        if limit is not None and (limit > mark if order.side == "buy" else limit < mark):
            yield "limit_price", limit
        return
    if limit is not None:
        yield "limit_price", limit
    if order.stop_price is not None:
        yield "stop_price", order.stop_price
