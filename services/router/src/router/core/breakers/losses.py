"""Drawdown and daily loss, of the account's equity and of single strategies' own trades. Base currency.

In:   valuations, positions.   Out: trips.
Not:  an account or strategy that cannot be valued, for want of a price: it is looked at again at the next valuation.

The book's loss is measured from its highest equity, or from that of the day's beginning, and its fraction is a part of that
equity. A strategy's loss is measured in its own profit and loss, and its fraction is a part of the account's equity.

Deposits and withdrawals are neither profit nor loss. They move what the book's loss is measured from: in money by as much, so
that the same amount is lost after them as before; for the fraction in the proportion in which they change the equity, so that the
same part is. With 95,000 left of 100,000, a withdrawal of 76,000 leaves 19,000 of 24,000 in money, and of 20,000 for the
fraction: still 5,000, and still 5 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from barque.calendars import instant, local_day, zone
from barque.instruments import Instrument
from barque.messages import EquityMarked, PositionChanged
from barque.money import MissingPrice
from router.config import BreakersConfig, DailyLossConfig, LossConfig, RouterConfig, StrategyBreakersConfig
from router.core.breakers.board import BOOK, Board, Change
from router.core.prices import Prices
from router.core.state import ZERO, Loss, RouterState

_GRAIN = Decimal("1E-8")
"""What a division of money is rounded to."""


class Losses:
    """The breakers that look at money."""

    def __init__(
        self, config: RouterConfig, instruments: Mapping[str, Instrument], state: RouterState, prices: Prices, board: Board
    ) -> None:
        self._state = state
        self._prices = prices
        self._board = board
        self._instruments = instruments
        self._scopes: dict[str, tuple[LossConfig | None, DailyLossConfig | None]] = {}
        self._watch(BOOK, config.breakers)
        for own in config.strategy_breakers:
            self._watch(own.strategy, own)
        self._strategies = [scope for scope in self._scopes if scope != BOOK]

    @property
    def need_prices(self) -> bool:
        """Some strategy has breakers of its own, whose profit is measured at the latest prices."""
        return bool(self._strategies)

    def watch(self, strategy_id: str) -> bool:
        """Whether a breaker on the strategy's orders looks at money; "": one on anybody's."""
        return BOOK in self._scopes or (strategy_id in self._scopes if strategy_id else bool(self._scopes))

    def valued(self, marked: EquityMarked) -> list[Change]:
        """The account has been valued."""
        changes = self._measure_book(marked) if BOOK in self._scopes else []
        for strategy_id in self._strategies:
            changes += self._measure_strategy(strategy_id, marked.ts_event_ns)
        return changes

    def moved(self, changed: PositionChanged) -> list[Change]:
        """A position has changed."""
        if changed.strategy_id not in self._strategies:
            return []
        self._state.books.setdefault(changed.strategy_id, {})[changed.symbol] = changed
        return self._measure_strategy(changed.strategy_id, changed.ts_event_ns)

    def _watch(self, scope: str, breakers: BreakersConfig | StrategyBreakersConfig) -> None:
        drawdown, daily = breakers.drawdown, breakers.daily_loss
        watched = drawdown if _watches(drawdown) else None, daily if _watches(daily) else None
        if watched != (None, None):
            self._scopes[scope] = watched

    def _measure_book(self, marked: EquityMarked) -> list[Change]:
        """What came before a flow is measured before it."""
        loss = self._state.losses.get(BOOK)
        if loss is None:
            loss = self._state.losses[BOOK] = _begin(marked.equity)
            loss.flows = marked.flows
        flow = marked.flows - loss.flows
        changes = self._measure(BOOK, marked.equity - flow, marked.ts_event_ns)
        if flow:
            _flow(loss, flow)
        return changes

    def _measure(self, scope: str, worth: Decimal, ts_ns: int) -> list[Change]:
        """Equity of the book, or profit and loss of a strategy, is now `worth`."""
        losses = self._state.losses
        loss = losses.get(scope)
        if loss is None:
            loss = losses[scope] = _begin(worth)
        drawdown, daily = self._scopes[scope]
        changes: list[Change] = []
        if daily is not None:
            if ts_ns >= loss.day_end_ns:
                loss.day_start, loss.day_whole, loss.day_end_ns = loss.now, None, _end_of_day(ts_ns, daily.time_zone)
            until_ns = loss.day_end_ns if daily.resets_next_day else 0
            changes += self._compare(scope, "daily_loss", daily, (loss.day_start, loss.day_whole, worth), until_ns)
        loss.now = worth
        if worth > loss.peak:
            loss.peak = worth
        if loss.peak_whole is not None and worth > loss.peak_whole:
            loss.peak_whole = worth
        if drawdown is not None:
            changes += self._compare(scope, "drawdown", drawdown, (loss.peak, loss.peak_whole, worth), 0)
        return changes

    def _compare(
        self, scope: str, name: str, config: LossConfig, fall: tuple[Decimal, Decimal | None, Decimal], until_ns: int
    ) -> list[Change]:
        """`fall`: from where, what a fraction is a part of where that is something else, to where."""
        start, whole, worth = fall
        whole = start if whole is None else whole
        reached: list[tuple[Decimal, Decimal]] = []
        if config.amount is not None and start - worth >= config.amount:
            reached.append((config.amount, start - worth))
        if config.fraction is not None:
            lost = whole - worth
            part = config.fraction * (whole if scope == BOOK else self._equity())
            if 0 < part <= lost:
                reached.append((part, lost))
        return self._board.trip(scope, name, config, min(reached), until_ns) if reached else []

    def _measure_strategy(self, strategy_id: str, ts_ns: int) -> list[Change]:
        try:
            worth = self._profit(strategy_id)
        except MissingPrice:
            return []
        return self._measure(strategy_id, worth, ts_ns)

    def _profit(self, strategy_id: str) -> Decimal:
        """Realised and unrealised, less commissions, in the base currency; raises `MissingPrice`."""
        total = ZERO
        for symbol, held in self._state.books.get(strategy_id, {}).items():
            profit = held.realised_pnl - held.commission
            if held.quantity and symbol in self._instruments:
                move = self._prices.price(symbol) - held.average_price
                profit += held.quantity * self._instruments[symbol].multiplier * move
            total += self._prices.to_base(profit, held.currency)
        return total

    def _equity(self) -> Decimal:
        marked = self._state.equity
        return ZERO if marked is None else marked.equity


def _begin(worth: Decimal) -> Loss:
    return Loss(now=worth, peak=worth, day_start=worth)


def _flow(loss: Loss, flow: Decimal) -> None:
    """Money of the owner's has come in, or (negative) gone out, after `loss.now`."""
    before, after = loss.now, loss.now + flow
    loss.peak_whole = _in_proportion(loss.peak if loss.peak_whole is None else loss.peak_whole, before, after)
    loss.day_whole = _in_proportion(loss.day_start if loss.day_whole is None else loss.day_whole, before, after)
    loss.now = after
    loss.peak += flow
    loss.day_start += flow
    loss.flows += flow


def _in_proportion(whole: Decimal, before: Decimal, after: Decimal) -> Decimal:
    """`whole` as the equity changes; where nothing is left to be a part of, or was, it begins anew."""
    if before > 0 and after > 0:
        return (whole * after / before).quantize(_GRAIN, rounding=ROUND_HALF_EVEN)
    return max(after, ZERO)


def _watches(config: LossConfig | None) -> bool:
    return config is not None and config.enabled and (config.fraction is not None or config.amount is not None)


def _end_of_day(ts_ns: int, time_zone: str) -> int:
    where = zone(time_zone)
    return instant(local_day(ts_ns, where) + timedelta(days=1), time(0), where)
