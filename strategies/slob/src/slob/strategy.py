"""Trades the way back after price has swept one side of the European range twice.

In:   one-minute bars of one symbol.
Out:  a bracket order for each setup that completes; `SetupChanged` with all levels at each step of each setup.
Not:  knowledge of bars to come: each step is decided by closed bars alone.

A trading day is one of London's and New York's: the European session runs from the London Stock Exchange's opening to the
New York Stock Exchange's, the American one from there to its close, by both exchanges' calendars and summer times. A day on
which one of them does not trade has no setups.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta, field

from barque.calendars import calendar
from barque.errors import ConfigError
from barque.messages import Bar
from barque.messages.market import PriceType
from barque.messages.signals import Side
from barque.strategy import ATR, Strategy, StrategyParams, StrategyState
from slob.candidate import MINUTE_NS, Candidate, SetupState, upright

SHORT, LONG = 1, -1
EUROPE, AMERICA = "XLON", "XNYS"


class Day(msgspec.Struct, kw_only=True):
    """One trading day: its sessions, and the range of the first. Times ns UTC."""

    day: date
    europe_open_ns: int
    america_open_ns: int
    america_close_ns: int
    high: float = 0.0
    low: float = 0.0
    has_range: bool = False


class Slob(Strategy):
    """5/1 SLOB on one symbol, both directions, any number of setups at once."""

    class Params(StrategyParams, frozen=True):
        quantity: Annotated[Decimal, Meta(description="Contracts of each order, positive.")] = Decimal(1)
        price: Annotated[PriceType, Meta(description="Which of the bars of a minute count.")] = "last"
        liq1_min_gap_minutes: Annotated[
            int, Meta(ge=0, description="No new setup while one of its side that still consolidates is younger, minutes.")
        ] = 5
        consol_min_minutes: Annotated[int, Meta(ge=1, description="Least length of a consolidation, minutes.")] = 15
        consol_max_minutes: Annotated[int, Meta(ge=1, description="Greatest length of a consolidation, minutes.")] = 120
        consol_min_range_pct: Annotated[float, Meta(ge=0, description="Least range of it, percent of its far side.")] = 0.1
        consol_max_range_pct: Annotated[float, Meta(gt=0, description="Greatest range of it, percent of its far side.")] = 0.5
        max_retracement: Annotated[
            float, Meta(gt=0, description="How far price may run past the no-wick bar before the second sweep, points.")
        ] = 100.0
        max_retracement_pct: Annotated[float, Meta(gt=0, description="The same in percent of price; the lesser counts.")] = 1.0
        max_entry_wait_bars: Annotated[
            int, Meta(ge=1, description="Bars to wait for the second sweep, and again for the entry.")
        ] = 20
        liq2_min_wait_minutes: Annotated[
            int, Meta(ge=0, description="No second sweep sooner after the consolidation was confirmed, minutes.")
        ] = 5
        spike_buffer: Annotated[
            float, Meta(ge=0, description="Stop beyond the body of a second sweep with a long wick, points.")
        ] = 2.0
        stop_buffer: Annotated[float, Meta(ge=0, description="Stop beyond the spike otherwise, points.")] = 1.0
        target_buffer: Annotated[float, Meta(ge=0, description="Target beyond the far side of the European range, points.")] = 1.0

        def __post_init__(self) -> None:
            if self.quantity <= 0:
                raise ValueError(f"quantity is {self.quantity}; it must be positive")
            if self.consol_min_minutes > self.consol_max_minutes:
                raise ValueError(
                    f"consol_min_minutes is {self.consol_min_minutes} and consol_max_minutes {self.consol_max_minutes}; the "
                    "least cannot be more than the greatest"
                )
            if self.consol_min_range_pct > self.consol_max_range_pct:
                raise ValueError(
                    f"consol_min_range_pct is {self.consol_min_range_pct} and consol_max_range_pct "
                    f"{self.consol_max_range_pct}; the least cannot be more than the greatest"
                )

    class State(StrategyState):
        day: Day | None = None
        """None: no day with both sessions has begun yet."""
        candidates: list[Candidate] = field(default_factory=list)
        """Setups that may still come to something, oldest first."""
        bars_seen: int = 0
        liq1_count: int = 0
        completed: int = 0
        invalidated: dict[str, int] = field(default_factory=dict)
        """By reason."""

    params: Params
    state: State

    def setup(self) -> None:
        """Two exchanges; the average true range, for people; a day of history, so that the range of today is whole."""
        if len(self.symbols) != 1:
            raise ConfigError(f"slob trades one symbol, not {', '.join(self.symbols)}; configure an instance for each")
        self.symbol = self.symbols[0]
        self.atr = self.indicator(ATR(14))
        self.europe, self.america = calendar(EUROPE), calendar(AMERICA)
        self.warm_up(days=1)

    def on_bar(self, bar: Bar) -> None:
        """Move every setup along, then look for a new first sweep."""
        if bar.price != self.params.price:
            return
        self.state.bars_seen += 1
        self.atr.update(bar.high, bar.low, bar.close)
        day = self._day_of(bar)
        if day is None:
            return
        if bar.ts_open_ns >= day.america_close_ns:
            self._close_market()
        elif bar.ts_open_ns >= day.america_open_ns and bar.ts_close_ns <= day.america_close_ns:
            self._advance(bar)
            for sign in (SHORT, LONG):
                self._look_for_sweep(day, bar, sign)
        elif bar.ts_open_ns >= day.europe_open_ns and bar.ts_close_ns <= day.america_open_ns:
            day.high = max(day.high, bar.high) if day.has_range else bar.high
            day.low = min(day.low, bar.low) if day.has_range else bar.low
            day.has_range = True

    # ---- days

    def _day_of(self, bar: Bar) -> Day | None:
        """The day of the bar's opening in UTC, within which both sessions lie; a new one ends what the last one left."""
        today = datetime.fromtimestamp(bar.ts_open_ns // 1_000_000_000, UTC).date()
        known = self.state.day
        if known is not None and known.day >= today:
            return known
        europe, america = self.europe.trading_day_on(today), self.america.trading_day_on(today)
        if europe is None or america is None:
            return known
        self._close_market()
        self.state.day = Day(
            day=today, europe_open_ns=europe.open_ns, america_open_ns=america.open_ns, america_close_ns=america.close_ns
        )
        return self.state.day

    def _close_market(self) -> None:
        for candidate in self.state.candidates:
            candidate.invalidate("market_closed")
            self._tell(candidate)
        self.state.candidates = []

    # ---- setups

    def _advance(self, bar: Bar) -> None:
        state = self.state
        bars = {sign: upright(bar, sign) for sign in (SHORT, LONG)}
        for candidate in state.candidates:
            seen = bars[candidate.sign]
            if not candidate.advance(seen, self.params):
                continue
            self._tell(candidate)
            if candidate.state == SetupState.WATCHING_LIQ2 and candidate.look_again(seen, self.params):
                self._tell(candidate)
            if candidate.state == SetupState.SETUP_COMPLETE:
                self._enter(candidate)
        state.candidates = [candidate for candidate in state.candidates if not candidate.is_over]

    def _look_for_sweep(self, day: Day, bar: Bar, sign: int) -> None:
        """A bar beyond the European range begins a setup, unless one of this side has only just begun."""
        if not day.has_range:
            return
        range_high, range_low = (day.high, day.low) if sign == SHORT else (-day.low, -day.high)
        seen = upright(bar, sign)
        if seen.high <= range_high:
            return
        gap_ns = self.params.liq1_min_gap_minutes * MINUTE_NS
        for other in self.state.candidates:
            same = other.sign == sign and other.state == SetupState.WATCHING_CONSOL
            if same and seen.close_ns - other.liq1_ns < gap_ns:
                return
        candidate = Candidate(
            setup_id=f"{self.symbol}.{'short' if sign == SHORT else 'long'}.{seen.close_ns}",
            sign=sign,
            range_high=range_high,
            range_low=range_low,
            liq1_high=seen.high,
            liq1_ns=seen.close_ns,
        )
        self.state.liq1_count += 1
        self.state.candidates.append(candidate)
        self._tell(candidate)

    def _enter(self, candidate: Candidate) -> None:
        sign = candidate.sign
        self.bracket(
            self.symbol,
            _side(sign),
            self.params.quantity,
            stop_loss=sign * candidate.stop,
            take_profit=sign * candidate.target,
            tag="entry",
            reason=f"setup {candidate.setup_id} is complete",
        )

    def _tell(self, candidate: Candidate) -> None:
        now = candidate.state
        levels = candidate.levels()
        if self.atr.value is not None:
            levels["atr"] = self.atr.value
        reason = candidate.reason if now == SetupState.INVALIDATED else ""
        self.setup_changed(self.symbol, candidate.setup_id, _side(candidate.sign), now, reason=reason, levels=levels)
        if now == SetupState.SETUP_COMPLETE:
            self.state.completed += 1
        elif now == SetupState.INVALIDATED:
            self.state.invalidated[reason] = self.state.invalidated.get(reason, 0) + 1


def _side(sign: int) -> Side:
    return "sell" if sign == SHORT else "buy"
