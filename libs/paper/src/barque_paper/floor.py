"""Where orders meet prices: who trades, in what order, how much, and what follows from it.

In:   orders to look at and the bar that serves each.   Out: Fill, OrderCancelled, OrderExpired, OrderModified in `said`;
      the state moved on.
Not:  requests and market data (`node`), whether one order trades (`matching`), what it costs (`costs`).

Inside a bracket no more is closed than was opened: an exit may trade what its entry has filled, and what one exit of an OCO
group fills, the others lose.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from barque.instruments import LARGEST
from barque.messages import Bar, Fill, ModifyOrder, OrderCancelled, OrderExpired, OrderModified, SubmitOrder, Topic
from barque.messages.market import PriceType
from barque.node import Output
from barque_paper.book import OrderBook
from barque_paper.costs import Costs
from barque_paper.matching import Match, Turn, calm, followed, match, remainder
from barque_paper.state import ZERO, GroupFill, Market, PaperState, WorkingOrder, remember

_LARGEST = float(LARGEST)
_AT_ONCE = ("ioc", "fok")
_FILLS, _OPEN = Topic.FILLS, Turn.OPEN  # by names of this module: in Python 3.11 each member of an enumeration is a search
_ALL: tuple[PriceType, ...] = ("bid", "ask", "mid", "last")


class Floor:
    """The trading floor of one account. `said` is emptied by whoever reads it."""

    def __init__(self, costs: Mapping[str, Costs], latency_ns: int, state: PaperState) -> None:
        self.state = state
        self.book = OrderBook(state.working)
        self.said: list[Output] = []
        self._costs = costs
        self._at_once = latency_ns == 0
        self._one_sided = True
        self._calm: dict[str, tuple[float, float]] = {}
        """Of orders that rest without a deadline: bars that they need not look at."""

    # -- prices and time ---------------------------------------------------------------------------------------------

    def arrived(self, symbol: str, kinds: tuple[PriceType, ...], one_sided: bool = True) -> None:
        """New prices of these kinds: match the symbol's orders that they serve. `one_sided`: a side without bars of its own
        is served by the other's; not by the first bar of all, because its counterpart may be next."""
        orders = self.book.of_symbol(symbol)
        if orders:
            self._one_sided = one_sided
            self._trade(list(orders.values()), kinds)
            self._one_sided = True

    def start(self, working: WorkingOrder, at_close: bool) -> None:
        """Match a newly accepted or modified order with what is there: the latest tick; of bars only the close, and that
        only for a market order if `at_close`."""
        market = self.state.markets[working.order.symbol]
        if market.ticked:
            self._trade([working])
        elif at_close and working.kind == "market":
            self._trade_at_close(working, market)

    def expire_due(self, now_ns: int) -> None:
        """End the orders whose time is over."""
        for working in [each for each in self.book.timed() if self._due_ns(each) < now_ns]:
            self.expire(working)

    def next_due_ns(self) -> int | None:
        """The last instant before the clock ends an order; None: it will end none."""
        timed = self.book.timed()
        return min(map(self._due_ns, timed)) if timed else None

    def _due_ns(self, working: WorkingOrder) -> int:
        """On bars, what happened up to the deadline is known when the bar that holds it has closed, and the clock comes
        before that bar."""
        deadline_ns = working.deadline_ns or 0
        market = self.state.markets[working.order.symbol]
        bar = None if market.ticked else market.serving(working.order.side)
        return deadline_ns if bar is None else deadline_ns + bar.ts_close_ns - bar.ts_open_ns

    # -- matching ----------------------------------------------------------------------------------------------------

    def _trade(self, orders: list[WorkingOrder], kinds: tuple[PriceType, ...] = _ALL) -> None:
        """At the open first, then stops, then limits, each by acceptance; only what prices of `kinds` serve. What is
        released on the way is not part of what was found."""
        markets, one_sided = self.state.markets, self._one_sided
        found = []
        for working in orders:
            order = working.order
            bar = markets[order.symbol].serving(order.side, one_sided)
            if bar is not None and bar.price in kinds:
                hit = self._look(working, bar)
                if hit is not None:
                    found.append((hit, working, bar, working.open if working.held else None))
        if len(found) > 1:
            found.sort(key=_turn)
        for hit, working, bar, at_most in found:
            if working.order.order_id in self.state.working:
                self._execute(working, hit, bar, at_most)

    def _look(self, working: WorkingOrder, bar: Bar) -> Match | None:
        """The trade that `bar` gives `working`; ends it where its time or its one attempt is over."""
        calm_range = self._calm.get(working.order.order_id)
        if calm_range is not None and bar.low > calm_range[0] and bar.high < calm_range[1]:
            return None
        deadline_ns = working.deadline_ns
        if deadline_ns is not None and deadline_ns < bar.ts_open_ns:
            self.expire(working)
            return None
        seen = self._seen(working, bar)
        if seen is not None:
            hit = match(working, seen, self._costs[bar.symbol])
            if hit is not None and hit.price is not None:
                return hit
            self._missed(working, seen, hit)
        if deadline_ns is not None and deadline_ns < bar.ts_close_ns:
            self.expire(working)
        return None

    def _seen(self, working: WorkingOrder, bar: Bar) -> Bar | None:
        """What `working` may trade against of `bar`."""
        if (working.held and not working.open) or not _usable(bar):
            return None
        active_ns = working.active_ns
        if bar.ts_open_ns >= active_ns or (self._at_once and self.state.markets[bar.symbol].ticked):
            working.entry_price = None
            return bar
        if working.entry_price is None or bar.ts_close_ns != active_ns:
            return None
        rest = remainder(bar, working, self._costs[bar.symbol])
        working.entry_price = None
        return rest

    def _missed(self, working: WorkingOrder, bar: Bar, touched: Match | None) -> None:
        """It may trade and did not: for some that was the one attempt."""
        order, costs = working.order, self._costs[bar.symbol]
        if touched is not None:
            working.triggered = True
            working.active_ns = max(working.active_ns, touched.ts_ns)
        elif working.kind == "trailing_stop":
            working.best = followed(working, bar, costs)
        if order.time_in_force in _AT_ONCE:
            self.withdraw(working, max(working.active_ns, bar.ts_open_ns), f"{order.time_in_force} could not fill at once")
        elif working.deadline_ns is None:
            self.changed(working)
            quiet = calm(working, costs)
            if quiet is not None:
                self._calm[order.order_id] = quiet

    def _trade_at_close(self, working: WorkingOrder, market: Market) -> None:
        """At the close of the newest bar, if it closed no longer ago than it lasts."""
        order, now_ns = working.order, self.state.now_ns
        bar = market.serving(order.side)
        if bar is None or not _usable(bar) or not bar.low <= bar.close <= bar.high:
            return
        age_ns = now_ns - bar.ts_close_ns
        if 0 <= age_ns < max(1, bar.ts_close_ns - bar.ts_open_ns):
            price = self._costs[order.symbol].price(order.side, bar, bar.close)
            self._execute(working, Match(price, now_ns, _OPEN), bar)

    # -- fills -------------------------------------------------------------------------------------------------------

    def _execute(self, working: WorkingOrder, hit: Match, bar: Bar, at_most: Decimal | None = None) -> None:
        """Trade as much as the volume of `bar` allows; the rest works on."""
        order, costs = working.order, self._costs[bar.symbol]
        taken = self.state.markets[bar.symbol].taken
        used = taken.get(bar.price, ZERO)
        available = costs.available(bar, used)
        ts_ns = hit.ts_ns if hit.ts_ns > working.active_ns else working.active_ns
        quantity = working.open
        if at_most is not None:
            quantity = min(quantity, at_most)
        if available is not None:
            quantity = min(quantity, available)
        if order.time_in_force == "fok" and quantity < order.quantity:
            self.withdraw(working, ts_ns, f"fok could not fill whole: {quantity} of {order.quantity} were there")
            return
        if available is not None:
            taken[bar.price] = used + quantity
        if quantity > ZERO:
            self._fill(working, hit, ts_ns, quantity, costs)
        if order.order_id not in self.state.working:
            return
        if order.order_type not in ("market", "limit"):
            working.triggered = True
            self.changed(working)
        if order.time_in_force in _AT_ONCE:
            self.withdraw(working, ts_ns, f"{order.time_in_force}: the rest could not fill at once")

    def _fill(self, working: WorkingOrder, hit: Match, ts_ns: int, quantity: Decimal, costs: Costs) -> None:
        order = working.order
        price = costs.slipped(order, hit.price or ZERO)
        working.fills += 1
        working.filled += quantity
        leaves = order.quantity - working.filled
        working.notional += quantity * costs.multiplier * price
        paid, owed = working.commission, costs.commission(working.notional, working.filled)
        working.commission = owed
        fill = Fill(
            order_id=order.order_id,
            cause=order.cause,
            root=order.root,
            strategy_id=order.strategy_id,
            account=order.account,
            symbol=order.symbol,
            ts_event_ns=ts_ns,
            exec_id=f"{order.order_id}-{working.fills}",
            side=order.side,
            quantity=quantity,
            price=price,
            commission=owed - paid,
            commission_currency=costs.currency,
            leaves_quantity=leaves,
        )
        self.said.append((_FILLS, fill))
        self.state.account.book(fill, costs.multiplier, costs.on_margin)
        if not leaves:
            self._forget(working)
        if order.oco_group is not None:
            self._tell_group(working, order.oco_group, quantity, ts_ns)
        children = self.book.children(order.order_id)
        if children:
            self._release(children, working, quantity, ts_ns, None if hit.turn == _OPEN else hit.price)

    def _tell_group(self, working: WorkingOrder, group: str, quantity: Decimal, ts_ns: int) -> None:
        """What one fills, the others lose; all of them, once it has filled whole."""
        order_id, done = working.order.order_id, working.filled >= working.order.quantity
        before = self.state.groups.get(group)
        total = quantity if before is None else before.quantity + quantity
        remember(self.state.groups, group, GroupFill(order_id, total, done))
        for other in self.book.group(group):
            if other is working:
                continue
            if done:
                self.withdraw(other, ts_ns, f"{order_id} of its group has filled")
            else:
                self.shrink(other, quantity, ts_ns, f"{order_id} of its group has filled in its place")

    def _release(
        self, children: list[WorkingOrder], parent: WorkingOrder, quantity: Decimal, ts_ns: int, inside: Decimal | None
    ) -> None:
        """Exits may trade what their entry has filled; `inside`: at that price inside the bar."""
        woken = []
        for child in children:
            slept = not child.open
            child.held = max(ZERO, child.held - quantity)
            if slept and not child.triggered and child.open:
                child.active_ns = max(child.active_ns, ts_ns)
                child.entry_price = inside
                self.changed(child)
                woken.append(child)
        if parent.filled >= parent.order.quantity:
            self._cut(children, parent, ts_ns)
        self._trade([child for child in woken if child.order.order_id in self.state.working])

    def _cut(self, children: list[WorkingOrder], parent: WorkingOrder, ts_ns: int) -> None:
        """Exits lose what their entry will not fill."""
        for child in children:
            if child.held:
                missing, child.held = child.held, ZERO
                self.shrink(child, missing, ts_ns, f"its parent {parent.order.order_id} ended with {parent.filled} filled")

    # -- ends --------------------------------------------------------------------------------------------------------

    def shrink(self, working: WorkingOrder, by: Decimal, ts_ns: int, why: str) -> None:
        """Lower the quantity unasked; end the order where nothing is left of it."""
        if working.order.order_id not in self.state.working:
            return
        quantity = max(working.filled, working.order.quantity - by)
        working.order = replace(working.order, quantity=quantity)
        working.held = min(working.held, quantity - working.filled)
        if quantity == working.filled:
            self.withdraw(working, ts_ns, why)
        else:
            self.say_modified(working, ts_ns, working.order)

    def withdraw(self, working: WorkingOrder, ts_ns: int, detail: str) -> None:
        """Cancel what is left of it."""
        if working.order.order_id in self.state.working:
            self._say(OrderCancelled, working.order, ts_ns, filled_quantity=working.filled, detail=detail)
            self._end(working, ts_ns)

    def expire(self, working: WorkingOrder, ts_ns: int | None = None) -> None:
        """Its time is over: since its deadline, unless it is said when."""
        if working.order.order_id in self.state.working:
            ts_ns = working.deadline_ns or 0 if ts_ns is None else ts_ns
            self._say(OrderExpired, working.order, ts_ns, filled_quantity=working.filled)
            self._end(working, ts_ns)

    def say_modified(self, working: WorkingOrder, ts_ns: int, subject: SubmitOrder | ModifyOrder) -> None:
        """Tell the terms as they are now, because of `subject`."""
        order = working.order
        terms = (order.quantity, order.limit_price, order.stop_price, order.trail_amount)
        names = ("quantity", "limit_price", "stop_price", "trail_amount")
        self._say(OrderModified, subject, ts_ns, **dict(zip(names, terms, strict=True)))

    def _end(self, working: WorkingOrder, ts_ns: int) -> None:
        """It will trade no more, so its exits get no larger than what it has filled."""
        self._forget(working)
        self._cut(self.book.children(working.order.order_id), working, ts_ns)

    def remember_end(self, order_id: str, filled: Decimal) -> None:
        """It has ended, or never began."""
        remember(self.state.finished, order_id, filled)

    def changed(self, working: WorkingOrder) -> None:
        """Its terms are others now, so it looks at every bar again."""
        self._calm.pop(working.order.order_id, None)

    def _forget(self, working: WorkingOrder) -> None:
        self.book.remove(working)
        if self._calm:
            self.changed(working)
        self.remember_end(working.order.order_id, working.filled)

    def _say(self, kind: type[Any], subject: SubmitOrder | ModifyOrder, ts_ns: int, **fields: Any) -> None:
        self.said.append((_FILLS, about(kind, subject, ts_ns, **fields)))


def _turn(found: tuple[Match, WorkingOrder, Bar, Decimal | None]) -> Turn:
    return found[0].turn


def about(kind: type[Any], subject: Any, ts_ns: int, **fields: Any) -> Any:
    """An event of `kind` about the order that `subject`, an order or a request, names."""
    return kind(
        order_id=subject.order_id,
        cause=subject.cause,
        root=subject.root,
        strategy_id=subject.strategy_id,
        account=subject.account,
        symbol=subject.symbol,
        ts_event_ns=ts_ns,
        **fields,
    )


def _usable(bar: Bar) -> bool:
    """False for NaN, infinities, zero, negative and absurd prices, and for an open outside the range."""
    return 0 < bar.low <= bar.open <= bar.high < _LARGEST
