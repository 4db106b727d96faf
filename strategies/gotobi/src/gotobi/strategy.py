"""Holds USDJPY over the Tokyo fixing on gotobi days.

In:   bars (any price type) and two schedules, whichever comes first.
Out:  one market order at entry; with `stop_loss_pct` a stop for each fill of it; at exit, cancels and a close.
Not:  a position outside its window. From `flat_from_ns` on nothing may be held: whatever is, however it came about
      (a missed exit, a late fill), is closed at the first opportunity.
"""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Annotated

import holidays
from msgspec import Meta

from barque.calendars import calendar, instant, local_day, zone
from barque.errors import ConfigError
from barque.messages import Bar, Fill, OrderRejected, SignalRejected
from barque.strategy import OrderEvent, Strategy, StrategyParams, StrategyState
from gotobi.dates import is_trading_date

SECOND_NS = 1_000_000_000
PATIENCE_NS = 60 * SECOND_NS
"""At exit, so long is waited for an answer. A stop that is not confirmed to be gone is then cancelled again, and the position
closed anyway; a close that is refused, or of which nothing is heard, is wished for again."""


class Gotobi(Strategy):
    """One symbol, one trade a gotobi day."""

    class Params(StrategyParams, frozen=True):
        days: Annotated[tuple[int, ...], Meta(description="Gotobi days of the month.")] = (5, 10, 15, 20, 25, 30)
        month_end: Annotated[bool, Meta(description="Also the month's last business day.")] = False
        tz: Annotated[str, Meta(description="IANA name of the time zone of all dates and times.")] = "Asia/Tokyo"
        entry_time: Annotated[time, Meta(description="By the clocks of `tz`.")] = time(1, 30)
        exit_time: Annotated[time, Meta(description="By the clocks of `tz`, on the same date; after `entry_time`.")] = time(8, 30)
        quantity: Annotated[Decimal, Meta(description="Contracts; negative: short.")] = Decimal(1)
        stop_loss_pct: Annotated[
            Decimal | None, Meta(description="Distance of the stop from each fill, as a fraction of its price (0.003 = 0.3 %).")
        ] = None
        holidays: Annotated[tuple[date, ...], Meta(description="No-trade dates besides the national holidays of Japan.")] = ()
        late_entry_limit_s: Annotated[
            int, Meta(ge=0, description="Seconds after `entry_time` in which the entry may still be made.")
        ] = 900

        def __post_init__(self) -> None:
            if not all(1 <= day <= 31 for day in self.days):
                raise ValueError(f"days are {self.days}; each must be a day of the month, 1 to 31")
            if self.entry_time >= self.exit_time:
                raise ValueError(f"entry_time {self.entry_time} must be before exit_time {self.exit_time}")
            if self.quantity == 0:
                raise ValueError("quantity is 0; positive buys, negative sells")
            if self.stop_loss_pct is not None and not 0 < self.stop_loss_pct < 1:
                raise ValueError(f"stop_loss_pct is {self.stop_loss_pct}; it is a fraction between 0 and 1 (0.003 = 0.3 %)")

    class State(StrategyState):
        decided: date | None = None
        """The newest date on which was decided whether to enter."""
        flat_from_ns: int = 0
        """From then on nothing may be held."""
        entry_id: str = ""
        """Signal of the newest entry."""
        close_id: str = ""
        """Signal of the newest close."""
        close_asked_ns: int = 0
        cancel_asked_ns: int = 0
        """When cancelling this window's orders was asked for last."""
        cancels_asked: int = 0

    params: Params
    state: State

    def setup(self) -> None:
        """Two schedules; the national holidays."""
        if len(self.symbols) != 1:
            raise ConfigError(f"gotobi trades one symbol, not {', '.join(self.symbols)}; configure an instance for each")
        self.symbol = self.symbols[0]
        self.zone = zone(self.params.tz)
        self.market = calendar(self.instrument(self.symbol).calendar)
        self.closed = holidays.country_holidays("JP")
        self.closed.update(dict.fromkeys(self.params.holidays, "given"))
        self.daily(self.params.entry_time, self.params.tz, "entry")
        self.daily(self.params.exit_time, self.params.tz, "exit")

    def on_bar(self, bar: Bar) -> None:
        """A bar that closes at or after a moment is as good as the schedule."""
        self._act()

    def on_schedule(self, name: str) -> None:
        """The moment has come, or was missed and comes now."""
        self._act()

    def on_fill(self, fill: Fill) -> None:
        """Protect what was entered."""
        if fill.cause == self.state.entry_id and not fill.corrects and self.now < self.state.flat_from_ns:
            self._protect(fill)
        self._leave()

    def on_order(self, event: OrderEvent) -> None:
        """An order that is gone lets the close go ahead."""
        if isinstance(event, OrderRejected):
            self.notify(f"order '{event.order_id}' was refused, {event.reason}: {event.detail}", "warning")
        self._leave()

    def on_signal_rejected(self, rejection: SignalRejected) -> None:
        """Say so; a refused close is wished for again."""
        self.notify(f"signal '{rejection.signal_id}' was refused, {rejection.reason}: {rejection.detail}", "warning")

    def _act(self) -> None:
        self._leave()
        self._enter()

    def _enter(self) -> None:
        """Enter once on a trading date, or say why not."""
        params, state = self.params, self.state
        today = local_day(self.now, self.zone)
        entry_ns = instant(today, params.entry_time, self.zone)
        if not self.trading or self.now < entry_ns or today == state.decided:
            return
        if not self.market.is_open(entry_ns):  # early on a Monday in Tokyo the world is still at its weekend
            entry_ns = self.market.next_open(entry_ns) or entry_ns
            if self.now < entry_ns:
                return
        state.decided = today
        if not is_trading_date(today, params.days, params.month_end, self.closed):
            return
        exit_ns = instant(today, params.exit_time, self.zone)
        last_entry_ns = entry_ns + params.late_entry_limit_s * SECOND_NS
        if self.now > last_entry_ns or self.now >= exit_ns:
            late_s = (self.now - entry_ns) // SECOND_NS
            self.notify(f"gotobi day {today} is skipped: {late_s} s have passed since it could be entered", "warning")
            return
        state.flat_from_ns, state.cancel_asked_ns, state.cancels_asked = exit_ns, 0, 0
        trade = self.buy if params.quantity > 0 else self.sell
        until_ns = min(last_entry_ns, exit_ns - 1)
        state.entry_id = trade(
            self.symbol, abs(params.quantity), valid_until_ns=until_ns, tag="entry", reason=f"gotobi day {today}"
        )

    def _protect(self, fill: Fill) -> None:
        """A stop for what this fill brought."""
        if self.params.stop_loss_pct is None:
            return
        away = -self.params.stop_loss_pct if fill.side == "buy" else self.params.stop_loss_pct
        stop_price = fill.price * (1 + away)
        self.close(self.symbol, fill.quantity, order_type="stop", stop_price=stop_price, tag="stop", reason="stop loss")

    def _leave(self) -> None:
        """After the window: cancel what is open, then close what is held; nothing where nothing is."""
        state = self.state
        if self.now < state.flat_from_ns or not self.trading:
            return
        orders = self.open_orders(self.symbol)
        working = [order for order in orders if order.signal_id != state.close_id]
        if working and self.now >= state.cancel_asked_ns + PATIENCE_NS:
            state.cancel_asked_ns = self.now
            state.cancels_asked += 1
            for order in working:
                self.cancel(self.symbol, order.order_id)
        cancelling = working and state.cancels_asked == 1
        closing = len(orders) > len(working) or self.now < state.close_asked_ns + PATIENCE_NS
        if self.position(self.symbol) and not cancelling and not closing:
            state.close_asked_ns = self.now
            state.close_id = self.close(self.symbol, tag="exit", reason="the window is over")
