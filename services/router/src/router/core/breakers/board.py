"""Which breakers have tripped, and what follows for whom.

In:   trips and resets.   Out: `Change`s, for the node to act on and to tell.
Not:  measuring anything (`losses`, `rates`, `staleness`).

A scope (the book, named "", or a strategy) is NORMAL, TRIPPED or MANUALLY_HALTED. While a breaker of the book or of its own has
tripped, a strategy can only close. A trip is state: it outlives a restart. It ends after its cool-down, by a person's resume of
the book (or start of the strategy), or, where data was stale, when there is data again. What is measured begins anew then.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from barque.messages import RejectReason
from barque.messages.orders import BreakerStatus
from router.config import BreakerConfig, OnTrip
from router.core.refusal import Refusal, figure
from router.core.state import RouterState, Trip

SECOND_NS = 1_000_000_000
BOOK = ""
"""The scope of all strategies together."""


@dataclass(frozen=True, slots=True)
class Change:
    """A breaker tripped, or (with no `trip`) was reset."""

    scope: str
    breaker: str
    trip: Trip | None = None
    on_trip: OnTrip = "refuse"


Figures: TypeAlias = tuple[Decimal | int | str, Decimal | int | str]
"""Limit and actual."""


class Board:
    """The trips in a state."""

    def __init__(self, state: RouterState) -> None:
        self._state = state

    def status(self, scope: str) -> BreakerStatus:
        """Of the book ("") or a strategy by itself."""
        state = self._state
        if state.manual if scope == BOOK else scope in state.stopped:
            return "MANUALLY_HALTED"
        return "TRIPPED" if scope in state.trips else "NORMAL"

    def has(self, scope: str, breaker: str) -> bool:
        """Whether that breaker has tripped."""
        return breaker in self._state.trips.get(scope, ())

    def blocks(self, strategy_id: str) -> Refusal | None:
        """Why the strategy may only close; None where it may open positions too."""
        state = self._state
        if strategy_id in state.stopped:
            return Refusal(RejectReason.BREAKER, f"strategy {strategy_id} is stopped, it can only close; start it again")
        if not state.trips:
            return None
        for scope in (strategy_id, BOOK):
            for name, trip in state.trips.get(scope, {}).items():
                ends = f"at {trip.until_ns}" if trip.until_ns else f"when {how_to_reset(scope)}"
                detail = f"breaker {name} of {whose(scope)} has tripped, so it can only close; it is reset {ends}"
                return Refusal(RejectReason.BREAKER, detail, limit=trip.limit, actual=trip.actual)
        return None

    def trip(self, scope: str, breaker: str, config: BreakerConfig, figures: Figures, until_ns: int = 0) -> list[Change]:
        """The breaker trips on `figures` (limit, actual), unless it has; `until_ns`: it resets itself then, if not before."""
        state = self._state
        if self.has(scope, breaker):
            return []
        cool_ns = state.now_ns + config.cool_down_s * SECOND_NS if config.cool_down_s else 0
        limit, actual = (each if isinstance(each, str) else figure(each) for each in figures)
        ends_ns = min((each for each in (cool_ns, until_ns) if each), default=0)
        trip = Trip(ts_ns=state.now_ns, limit=limit, actual=actual, until_ns=ends_ns)
        state.trips.setdefault(scope, {})[breaker] = trip
        return [Change(scope, breaker, trip, config.on_trip)]

    def reset(self, scope: str, breaker: str) -> list[Change]:
        """Take the trip back, and measure anew from here."""
        state = self._state
        if not self.has(scope, breaker):
            return []
        del state.trips[scope][breaker]
        if not state.trips[scope]:
            del state.trips[scope]
        loss = state.losses.get(scope)
        if breaker == "drawdown" and loss is not None:
            loss.peak, loss.peak_whole = loss.now, None
        elif breaker == "daily_loss" and loss is not None:
            loss.day_start, loss.day_whole = loss.now, None
        elif breaker == "order_rate":
            state.sent.pop(scope, None)
        elif breaker == "rejection_rate":
            state.refused.pop(scope, None)
        return [Change(scope, breaker)]

    def reset_all(self, scope: str) -> list[Change]:
        """A person resumes the book or starts the strategy."""
        return [change for breaker in list(self._state.trips.get(scope, ())) for change in self.reset(scope, breaker)]

    def reset_due(self) -> list[Change]:
        """Reset what has cooled down."""
        state = self._state
        due = [(s, b) for s, trips in state.trips.items() for b, t in trips.items() if 0 < t.until_ns <= state.now_ns]
        return [change for scope, breaker in due for change in self.reset(scope, breaker)]

    def dues_ns(self) -> list[int]:
        """When trips reset themselves."""
        return [trip.until_ns for trips in self._state.trips.values() for trip in trips.values() if trip.until_ns]


def whose(scope: str) -> str:
    """A scope, for people."""
    return "the book" if scope == BOOK else f"strategy {scope}"


def how_to_reset(scope: str) -> str:
    """What a person does to reset it."""
    return "the book is resumed" if scope == BOOK else "the strategy is started"
