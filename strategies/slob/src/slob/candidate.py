"""One setup on its way from the first sweep to an order: the state machine. Pure.

In:   closed bars after the first sweep, oldest first, `upright` for its side.
Out:  the state that each bar leads to; at the end either levels of an order or a reason why there is none.
Not:  sessions, the range itself, orders; `slob.strategy` knows those.

Every rule is written for a SHORT: price sweeps up, then falls. A LONG is the same thing seen in a mirror, so its bars come with
prices negated (`upright`), and what is a high here is then the negative of a low.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from barque.messages import Bar

MINUTE_NS = 60_000_000_000


class SetupState(StrEnum):
    """How far a setup has come. `WATCHING_LIQ1` is what comes before it exists."""

    WATCHING_LIQ1 = "WATCHING_LIQ1"
    WATCHING_CONSOL = "WATCHING_CONSOL"
    WATCHING_LIQ2 = "WATCHING_LIQ2"
    WAITING_ENTRY = "WAITING_ENTRY"
    SETUP_COMPLETE = "SETUP_COMPLETE"
    INVALIDATED = "INVALIDATED"


class Rules(Protocol):
    """The parameters that the state machine goes by; `Slob.Params` says what each means."""

    @property
    def consol_min_minutes(self) -> int: ...
    @property
    def consol_max_minutes(self) -> int: ...
    @property
    def consol_min_range_pct(self) -> float: ...
    @property
    def consol_max_range_pct(self) -> float: ...
    @property
    def max_retracement(self) -> float: ...
    @property
    def max_retracement_pct(self) -> float: ...
    @property
    def max_entry_wait_bars(self) -> int: ...
    @property
    def liq2_min_wait_minutes(self) -> int: ...
    @property
    def spike_buffer(self) -> float: ...
    @property
    def stop_buffer(self) -> float: ...
    @property
    def target_buffer(self) -> float: ...


class Upright(NamedTuple):
    """A bar as a SHORT sees it."""

    open: float
    high: float
    low: float
    close: float
    close_ns: int

    @property
    def body(self) -> float:
        """Distance between open and close, never negative."""
        return abs(self.close - self.open)

    @property
    def upper_wick(self) -> float:
        """What lies above the body."""
        return self.high - max(self.open, self.close)

    @property
    def has_no_wick(self) -> bool:
        """A rising bar with an upper wick under 20 % of its body; without a body it never is one."""
        return self.close > self.open and self.upper_wick < 0.2 * self.body


def upright(bar: Bar, sign: int) -> Upright:
    """`bar` for a SHORT (`sign` 1), or in the mirror for a LONG (-1)."""
    if sign > 0:
        return Upright(bar.open, bar.high, bar.low, bar.close, bar.ts_close_ns)
    return Upright(-bar.open, -bar.low, -bar.high, -bar.close, bar.ts_close_ns)


class Candidate(msgspec.Struct, kw_only=True):
    """A setup after its first sweep. Prices are upright, times ns UTC."""

    setup_id: str
    sign: int
    """1: SHORT, -1: LONG."""
    state: SetupState = SetupState.WATCHING_CONSOL
    reason: str = ""
    """Why it was invalidated."""
    range_high: float
    range_low: float
    """Of the European session."""
    liq1_high: float
    liq1_ns: int
    """Close of the bar of the first sweep."""
    consol_high: float = 0.0
    consol_low: float = 0.0
    consol_bars: int = 0
    no_wick_high: float = 0.0
    no_wick_low: float = 0.0
    has_no_wick: bool = False
    confirmed_ns: int = 0
    """Close of the bar at which the consolidation was found to be one."""
    bars_in_state: int = 0
    liq2: Upright | None = None
    spike_high: float = 0.0
    stop: float = 0.0
    target: float = 0.0

    @property
    def is_over(self) -> bool:
        """It will change no more."""
        return self.state in (SetupState.SETUP_COMPLETE, SetupState.INVALIDATED)

    def advance(self, bar: Upright, rules: Rules) -> bool:
        """Take in the next bar; True where this leads to another state."""
        before = self.state
        match before:
            case SetupState.WATCHING_CONSOL:
                self._consolidate(bar, rules)
            case SetupState.WATCHING_LIQ2:
                self._await_sweep(bar, rules)
            case SetupState.WAITING_ENTRY:
                self._await_entry(bar, rules)
        return self.state != before

    def look_again(self, bar: Upright, rules: Rules) -> bool:
        """The bar that confirmed the consolidation is not part of it and may itself be the second sweep; as `advance`."""
        if self.state == SetupState.WATCHING_LIQ2 and self.confirmed_ns == bar.close_ns:
            self._look_for_sweep(bar, rules)
        return self.state != SetupState.WATCHING_LIQ2

    def invalidate(self, reason: str) -> None:
        """It has come to nothing."""
        self.state, self.reason = SetupState.INVALIDATED, reason

    # ---- WATCHING_CONSOL

    def _consolidate(self, bar: Upright, rules: Rules) -> None:
        minutes = (bar.close_ns - self.liq1_ns) / MINUTE_NS
        if minutes > rules.consol_max_minutes:
            self.invalidate("consol_timeout")
        elif minutes >= rules.consol_min_minutes and self.consol_bars and not self._range_fits(rules):
            self.invalidate("consol_range_invalid")
        elif minutes >= rules.consol_min_minutes and self.has_no_wick and self.consol_bars >= 3:
            self.state, self.confirmed_ns, self.bars_in_state = SetupState.WATCHING_LIQ2, bar.close_ns, 0
        else:
            self._accumulate(bar)

    def _range_fits(self, rules: Rules) -> bool:
        percent = 100 * (self.consol_high - self.consol_low) / abs(self.consol_high)
        return rules.consol_min_range_pct <= percent <= rules.consol_max_range_pct

    def _accumulate(self, bar: Upright) -> None:
        self.consol_high = max(self.consol_high, bar.high) if self.consol_bars else bar.high
        self.consol_low = min(self.consol_low, bar.low) if self.consol_bars else bar.low
        self.consol_bars += 1
        if not self.has_no_wick and bar.has_no_wick:
            self.has_no_wick, self.no_wick_high, self.no_wick_low = True, bar.high, bar.low

    # ---- WATCHING_LIQ2

    def _await_sweep(self, bar: Upright, rules: Rules) -> None:
        self.bars_in_state += 1
        if self.bars_in_state > rules.max_entry_wait_bars:
            self.invalidate("liq2_timeout")
        else:
            self._look_for_sweep(bar, rules)

    def _look_for_sweep(self, bar: Upright, rules: Rules) -> None:
        room = min(rules.max_retracement, abs(self.no_wick_high) * rules.max_retracement_pct / 100)
        if bar.high > self.no_wick_high + room:
            self.invalidate("retracement_exceeded")
        elif bar.high > self.consol_high and bar.close_ns - self.confirmed_ns >= rules.liq2_min_wait_minutes * MINUTE_NS:
            self.state, self.bars_in_state = SetupState.WAITING_ENTRY, 0
            self.liq2, self.spike_high = bar, bar.high

    # ---- WAITING_ENTRY

    def _await_entry(self, bar: Upright, rules: Rules) -> None:
        self.bars_in_state += 1
        if self.bars_in_state > rules.max_entry_wait_bars:
            self.invalidate("entry_timeout")
            return
        self.spike_high = max(self.spike_high, bar.high)
        if bar.close >= self.no_wick_low:
            return
        self.stop, self.target = self._stop_price(rules), self.range_low - rules.target_buffer
        if bar.close > self.target and self.stop > bar.close:
            self.state = SetupState.SETUP_COMPLETE
        else:
            self.invalidate("negative_risk_reward")

    def _stop_price(self, rules: Rules) -> float:
        liq2 = self.liq2
        if liq2 is not None and liq2.body > 0 and liq2.upper_wick > 2 * liq2.body:
            return max(liq2.open, liq2.close) + rules.spike_buffer
        return self.spike_high + rules.stop_buffer

    # ---- for people

    def levels(self) -> dict[str, float]:
        """Every level that is known, as prices of the market; in a LONG, what is a high here is named as the low that it is."""
        names = {
            "range_high": self.range_high,
            "range_low": self.range_low,
            "liq1_high": self.liq1_high,
            "consol_high": self.consol_high if self.consol_bars else None,
            "consol_low": self.consol_low if self.consol_bars else None,
            "no_wick_high": self.no_wick_high if self.has_no_wick else None,
            "no_wick_low": self.no_wick_low if self.has_no_wick else None,
            "liq2_open": self.liq2.open if self.liq2 else None,
            "liq2_high": self.liq2.high if self.liq2 else None,
            "liq2_low": self.liq2.low if self.liq2 else None,
            "liq2_close": self.liq2.close if self.liq2 else None,
            "spike_high": self.spike_high if self.liq2 else None,
            "stop_loss": self.stop or None,
            "take_profit": self.target if self.stop else None,
        }
        known = {name: value for name, value in names.items() if value is not None}
        return known if self.sign > 0 else {_mirrored(name): -value for name, value in known.items()}


def _mirrored(name: str) -> str:
    stem, _, end = name.rpartition("_")
    other = {"high": "low", "low": "high"}
    return f"{stem}_{other[end]}" if end in other else name
