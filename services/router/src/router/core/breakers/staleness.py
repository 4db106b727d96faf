"""Stale data: a symbol that we have something in and hear nothing of, while its market is open.

In:   the time.   Out: a trip, or its reset.
Not:  symbols in which there is neither a position nor an open order; the check `stale_after_s` is for those.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from barque.calendars import calendar
from barque.instruments import Instrument
from router.config import RouterConfig
from router.core.breakers.board import BOOK, SECOND_NS, Board, Change
from router.core.hours import open_since
from router.core.state import RouterState


class Staleness:
    """The breaker that listens."""

    def __init__(self, config: RouterConfig, instruments: Mapping[str, Instrument], state: RouterState, board: Board) -> None:
        self._state = state
        self._board = board
        self._config = config.breakers.stale_data
        self._instruments = instruments
        after_s = self._config.after_s if self._config.enabled else None
        self._after_ns = 0 if after_s is None else int(after_s * SECOND_NS)
        self.watches = after_s is not None
        """False: it never trips."""

    def told_time(self) -> list[Change]:
        """It is `state.now_ns`."""
        if not self.watches:
            return []
        now_ns = self._state.now_ns
        ages = {symbol: now_ns - since_ns for symbol, since_ns in self._silent().items()}
        oldest = max(ages, key=ages.__getitem__, default="")
        if not oldest or ages[oldest] <= self._after_ns:
            return self._board.reset(BOOK, "stale_data")
        age_s = Decimal(ages[oldest]) / SECOND_NS
        return self._board.trip(BOOK, "stale_data", self._config, (f"{self._config.after_s} s", f"{age_s} s of {oldest}"))

    def _silent(self) -> dict[str, int]:
        """Symbols with a position or an open order whose markets are open, and since when nothing has been heard of them."""
        state = self._state
        since = {symbol: 0 for held in state.positions.values() for symbol in held}
        for each in state.orders.values():
            since.setdefault(each.order.symbol, each.order.ts_event_ns)
        silent: dict[str, int] = {}
        for symbol, asked_ns in since.items():
            instrument = self._instruments.get(symbol)
            if instrument is None:
                continue
            mark = state.marks.get(symbol)
            heard_ns = asked_ns if mark is None else max(asked_ns, mark.ts_event_ns)
            open_ns = open_since(calendar(instrument.calendar), heard_ns, state.now_ns)
            if open_ns is not None:
                silent[symbol] = open_ns
        return silent
