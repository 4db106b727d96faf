"""The class that a strategy extends.

In:   hooks, called by the host one at a time.   Out: wishes, by the verbs `buy`, `sell`, `target`, `close`, `cancel` and so on.
Not:  bus, clock, randomness, files. What must survive a restart is in `self.state` and in what `setup` declares; any other
      attribute is made anew by `setup`.

What runs when:
    setup       each time the object is made: for a new strategy and at every restart. Declares indicators, histories, schedules
                and the warm-up from `self.params` alone; it cannot trade and knows no time. Afterwards the host gives back what
                they remembered.
    warm-up     once in the life of a strategy, where `setup` asks for it: `on_bar` hears the bars of the past, in order, while
                `self.warming` is True. No other hook runs, and what it wishes or tells is dropped.
    on_start    once in the life of a strategy, at the first message it ever gets; so after the warm-up.
    other hooks at each message of their kind, also while the strategy is stopped or the book is halted: it then goes on
                watching, and its wishes are dropped (`self.trading` says which).
    on_stop     when someone stops the strategy, as its last chance to send wishes; not when a process ends.
A hook that raises, or that runs longer than the host allows, pauses this strategy and no other: its wishes of that message are
dropped, an alert goes out, and no hook is called until someone starts it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from decimal import Decimal
from typing import ClassVar, TypeVar, Unpack, get_args

import msgspec

from barque.errors import StrategyError, nearest
from barque.instruments import Instrument
from barque.messages import (
    Bar,
    CancelRequest,
    EquityMarked,
    Fill,
    ModifyRequest,
    Quote,
    SetupChanged,
    Signal,
    SignalRejected,
    Trade,
)
from barque.messages.control import Severity
from barque.messages.market import PriceType
from barque.messages.signals import Side
from barque.strategy.desk import Desk
from barque.strategy.history import BarHistory, WarmUp
from barque.strategy.indicators import Indicator
from barque.strategy.orders import (
    EntryOptions,
    Number,
    OpenOrder,
    OrderEvent,
    OrderOptions,
    amount_fields,
    as_number,
    as_price,
    as_quantity,
    as_text,
    as_word,
    modify_fields,
    order_fields,
)
from barque.strategy.rules import Cron, Every, PeriodEnd, Rule, SessionEdge, daily, pre_market, time_of_day
from barque.strategy.schedules import Policy, Schedule

IndicatorT = TypeVar("IndicatorT", bound=Indicator)


@dataclass(slots=True)
class Hosted:
    """What binds a strategy to its host: the desk, and what `setup` declared."""

    desk: Desk
    indicators: list[tuple[Indicator, bytes]] = field(default_factory=list)
    """With their bytes as declared; histories are among them."""
    histories: list[BarHistory] = field(default_factory=list)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    warm_up: WarmUp | None = None
    account: str | None = None
    """Whose figures it watches; empty: the only account of the book."""
    declaring: bool = True

    def check_declaring(self) -> None:
        """Raises `StrategyError` outside `setup`."""
        if not self.declaring:
            raise StrategyError("indicators, histories and schedules are declared in setup, so that a restart finds them")


class StrategyParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a strategy's parameters, as `params` of its `[[strategies]]` entry gives them."""


class StrategyState(msgspec.Struct, kw_only=True):
    """Base of what a strategy remembers. Every field has a default: that is how a new strategy begins."""


class Strategy:
    """A trading idea: hooks to override, facts to read, verbs to trade with. Quantities are contracts, times ns UTC.

    Besides the names below, one is taken: `_barque`, which is the host's.
    """

    Params: ClassVar[type[StrategyParams]] = StrategyParams
    State: ClassVar[type[StrategyState]] = StrategyState

    params: StrategyParams
    state: StrategyState

    def __init__(self, desk: Desk, params: StrategyParams) -> None:
        self._barque = Hosted(desk)
        self.params = params
        self.state = self.State()
        self.setup()
        self._barque.declaring = False

    # ---- hooks

    def setup(self) -> None:
        """Declare indicators, histories, schedules and the warm-up; see the module's table for what runs when."""

    def on_start(self) -> None:
        """A new strategy begins."""

    def on_bar(self, bar: Bar) -> None:
        """A bar of one of its symbols, in one of its intervals, has closed. Bid and ask bars of a minute are two bars."""

    def on_tick(self, tick: Quote | Trade) -> None:
        """A quote or trade of one of its symbols. Only a strategy that overrides this hook is fed ticks."""

    def on_signal_rejected(self, rejection: SignalRejected) -> None:
        """A wish of its own became no order."""

    def on_order(self, event: OrderEvent) -> None:
        """Something happened to an order of its own; `open_orders` already knows. Where nodes take turns (backtests, replays in
        lockstep) the broker's word comes before the router's: `OrderAccepted`, and what fills at once, before `SubmitOrder`."""

    def on_fill(self, fill: Fill) -> None:
        """An order of its own traded; `position` already knows."""

    def on_schedule(self, name: str) -> None:
        """The schedule of that name runs."""

    def on_stop(self) -> None:
        """Someone stops it; wishes of this hook are the last to be sent."""

    # ---- declarations, in `setup`

    def indicator(self, indicator: IndicatorT) -> IndicatorT:
        """Keep the indicator's memory through restarts. With other parameters than before the restart it begins anew."""
        self._barque.check_declaring()
        if not isinstance(indicator, Indicator):
            raise StrategyError(f"indicator({indicator!r}): give an object of a subclass of `Indicator`, such as SMA(20)")
        self._barque.indicators.append((indicator, msgspec.msgpack.encode(indicator)))
        return indicator

    def history(self, symbol: str, length: int, *, interval: str | None = None, price: PriceType | None = None) -> BarHistory:
        """A window on the last `length` bars of a series, the bar of the running `on_bar` included. Without `interval`: its main
        one; without `price`: whichever price type the series has, as long as it has only one."""
        self._barque.check_declaring()
        interval = self.interval if interval is None else interval
        if symbol not in self.symbols:
            raise StrategyError(f"history of '{symbol}', which it does not watch; {nearest(symbol, list(self.symbols))}")
        if interval not in self.intervals:
            raise StrategyError(
                f"history of '{symbol}' in bars of {interval}, which it does not get; {nearest(interval, list(self.intervals))}"
            )
        if length < 1:
            raise StrategyError(f"history of '{symbol}' has length {length}; it needs at least 1")
        window = self.indicator(BarHistory(symbol=symbol, interval=interval, price=price, length=length))
        self._barque.histories.append(window)
        return window

    def warm_up(self, *, bars: int = 0, days: float = 0.0) -> None:
        """Have `on_bar` hear the past before the strategy begins: the last `bars` of each series, or those of the last `days`
        (of 24 hours). Only what the host can find of it; the bars of the past are all older than the first message."""
        self._barque.check_declaring()
        if (bars > 0) == (days > 0) or bars < 0 or days < 0 or bars != int(bars):
            raise StrategyError(f"warm_up(bars={bars}, days={days}): give either bars or days, positive, and whole bars")
        self._barque.warm_up = WarmUp(bars=int(bars), days=days)

    def watch_account(self, account: str = "") -> None:
        """Be told the figures of the account that it trades on, see `account`; a name is needed where the book has several."""
        self._barque.check_declaring()
        self._barque.account = account

    def schedule(self, name: str, rule: Rule, **policy: Unpack[Policy]) -> None:
        """Call `on_schedule(name)` at the runs of `rule`. The verbs below make rules; all take the policy for runs that were
        missed: `missed` ("run_once", "run_all" or "skip") and `grace_s`."""
        self._barque.check_declaring()
        if name in self._barque.schedules:
            raise StrategyError(f"schedule '{name}' is declared twice; give each its own name")
        self._barque.schedules[name] = Schedule(rule, **policy)

    def daily(self, at: time | str, tz: str, name: str, *, days: str = "*", calendar: str = "", **policy: Unpack[Policy]) -> None:
        """Every day at `at` ("01:30:00") by the clocks of `tz` (an IANA name); only on `days` ("MON-FRI") and on the trading
        days of `calendar` ("XNYS"), where given."""
        self.schedule(name, daily(at, tz, days, calendar), **policy)

    def cron(self, name: str, expression: str, *, tz: str, calendar: str = "", **policy: Unpack[Policy]) -> None:
        """As `expression` says, six fields: second minute hour day month weekday (`barque.strategy.cron`)."""
        self.schedule(name, Cron(expression, tz, calendar), **policy)

    def every(self, name: str, *, minutes: int = 0, seconds: int = 0, while_open: str = "", **policy: Unpack[Policy]) -> None:
        """Every so often, aligned as bars are; only while the market of the symbol `while_open` is open, where given."""
        market = self.instrument(while_open).calendar if while_open else ""
        self.schedule(name, Every(minutes * 60 + seconds, market), **policy)

    def at_open(self, name: str, symbol: str, *, offset_s: int = 0, **policy: Unpack[Policy]) -> None:
        """When the symbol's market opens, `offset_s` later (negative: earlier)."""
        self.schedule(name, SessionEdge(self.instrument(symbol).calendar, "open", offset_s), **policy)

    def at_close(self, name: str, symbol: str, *, offset_s: int = 0, **policy: Unpack[Policy]) -> None:
        """When the symbol's market closes, early closes included, `offset_s` later (negative: earlier)."""
        self.schedule(name, SessionEdge(self.instrument(symbol).calendar, "close", offset_s), **policy)

    def pre_market(self, name: str, symbol: str, *, before_s: int | None = None, **policy: Unpack[Policy]) -> None:
        """`before_s` before the open; without it when pre-market trading begins (US stocks: 04:00 in New York)."""
        market = self.instrument(symbol).calendar
        rule = pre_market(market) if before_s is None else SessionEdge(market, "open", -before_s)
        self.schedule(name, rule, **policy)

    def after_hours(self, name: str, symbol: str, *, after_s: int = 0, **policy: Unpack[Policy]) -> None:
        """When after-hours trading begins, which is the close; or `after_s` after it."""
        self.at_close(name, symbol, offset_s=after_s, **policy)

    def month_end(
        self,
        name: str,
        symbol: str,
        *,
        at: time | str | None = None,
        tz: str = "",
        offset_s: int = 0,
        days_before: int = 0,
        **policy: Unpack[Policy],
    ) -> None:
        """On the last trading day of each month, or `days_before` it: at `at` by the clocks of `tz`, or else `offset_s` after
        that day's close (negative: before)."""
        moment = None if at is None else time_of_day(at)
        self.schedule(name, PeriodEnd(self.instrument(symbol).calendar, 1, days_before, moment, tz, offset_s), **policy)

    def quarter_end(
        self,
        name: str,
        symbol: str,
        *,
        at: time | str | None = None,
        tz: str = "",
        offset_s: int = 0,
        days_before: int = 0,
        **policy: Unpack[Policy],
    ) -> None:
        """On the last trading day of March, June, September and December; as `month_end`."""
        moment = None if at is None else time_of_day(at)
        self.schedule(name, PeriodEnd(self.instrument(symbol).calendar, 3, days_before, moment, tz, offset_s), **policy)

    # ---- facts

    @property
    def id(self) -> str:
        """Its `id` in `barque.toml`."""
        return self._barque.desk.strategy_id

    @property
    def symbols(self) -> tuple[str, ...]:
        """What it is configured to watch."""
        return self._barque.desk.symbols

    @property
    def interval(self) -> str:
        """Of the bars that it gets; the main one, where it gets several."""
        return self._barque.desk.intervals[0]

    @property
    def intervals(self) -> tuple[str, ...]:
        """Of all the bars that it gets, the main one first."""
        return self._barque.desk.intervals

    @property
    def now(self) -> int:
        """Event time of the newest message it got; never goes back."""
        return self._barque.desk.now

    def scheduled_for(self, name: str) -> int:
        """The time that the newest run of a schedule was meant for, `now` or earlier: which run `on_schedule` is called for. 0
        before the first; raises `StrategyError` for a schedule that is not declared."""
        if name not in self._barque.schedules:
            raise StrategyError(f"schedule '{name}' is not declared; {nearest(name, list(self._barque.schedules))}")
        return self._barque.schedules[name].ran_ns or 0

    @property
    def trading(self) -> bool:
        """False: it is stopped, warming up, or the book is halted, and what it wishes is dropped."""
        return self._barque.desk.trading

    @property
    def warming(self) -> bool:
        """True: the bar that `on_bar` hears is of the past."""
        return self._barque.desk.warming

    @property
    def account(self) -> EquityMarked | None:
        """Cash, equity, unrealised and realised PnL of its account as last valued, all strategies on it together; None before
        the first valuation. Raises `StrategyError` where `setup` has not called `watch_account`."""
        if self._barque.account is None:
            raise StrategyError("account is known only to a strategy that calls self.watch_account() in setup")
        return self._barque.desk.account

    def instrument(self, symbol: str) -> Instrument:
        """Tick size, contract size and so on; raises `StrategyError` for a symbol that is not configured."""
        return self._barque.desk.instrument(symbol)

    def position(self, symbol: str) -> Decimal:
        """The sum of its own fills, signed; other strategies on the account do not count."""
        return self._barque.desk.position(symbol)

    def average_price(self, symbol: str) -> Decimal | None:
        """What its open position was entered at, on average; None where it has none."""
        return self._barque.desk.average_price(symbol)

    def open_orders(self, symbol: str | None = None) -> tuple[OpenOrder, ...]:
        """Its own orders that may still trade, oldest first; of all symbols where none is given."""
        return self._barque.desk.open_orders(symbol)

    # ---- verbs: each returns an id, which order events, fills and rejections name as their `cause`
    #      what makes no sense (a price of NaN, two sizes, an unknown symbol) raises `StrategyError`

    def buy(
        self,
        symbol: str,
        quantity: Number | None = None,
        *,
        notional: Number | None = None,
        risk_fraction: Number | None = None,
        **options: Unpack[EntryOptions],
    ) -> str:
        """Buy `quantity` contracts; or a value of `notional` in the account's currency; or what loses `risk_fraction` of equity
        on the way to `stop_loss`; or, with none of the three, what the router's own sizing says."""
        return _enter(self, symbol, "buy", quantity, notional, risk_fraction, options)

    def sell(
        self,
        symbol: str,
        quantity: Number | None = None,
        *,
        notional: Number | None = None,
        risk_fraction: Number | None = None,
        **options: Unpack[EntryOptions],
    ) -> str:
        """Sell; as `buy`."""
        return _enter(self, symbol, "sell", quantity, notional, risk_fraction, options)

    def bracket(
        self,
        symbol: str,
        side: Side,
        quantity: Number | None = None,
        *,
        notional: Number | None = None,
        risk_fraction: Number | None = None,
        **options: Unpack[EntryOptions],
    ) -> str:
        """Enter on `side` with `stop_loss`, `take_profit` or both: exits that wait for the entry to fill, and of which each
        cancels the other. Otherwise as `buy`: the entry is at market unless a price is given."""
        if options.get("stop_loss") is None and options.get("take_profit") is None:
            raise StrategyError(f"{symbol}: a bracket needs stop_loss, take_profit or both")
        return _enter(self, symbol, as_word("side", side, get_args(Side)), quantity, notional, risk_fraction, options)

    def target(self, symbol: str, quantity: Number, **options: Unpack[OrderOptions]) -> str:
        """Trade whatever leads to a position of `quantity` contracts, signed."""
        instrument = self.instrument(symbol)
        wanted = instrument.quantity(as_number(symbol, "target", quantity))
        fields = {"action": "target", "target": wanted, **order_fields(instrument, options)}
        return self._barque.desk.wish(Signal, symbol, fields)

    def target_percent(self, symbol: str, percent: Number, **options: Unpack[OrderOptions]) -> str:
        """Trade whatever leads to a position worth `percent` of the account's equity, signed: -50 is short for half of it."""
        part = as_number(symbol, "percent", percent) / 100
        fields = {"action": "target", "target_fraction": part, **order_fields(self.instrument(symbol), options)}
        return self._barque.desk.wish(Signal, symbol, fields)

    def close(self, symbol: str, quantity: Number | None = None, **options: Unpack[OrderOptions]) -> str:
        """Close the position, or `quantity` contracts of it. A close that rests (a limit, a stop, a trail) is cut to what is left
        whenever something else closes, and ends with the position."""
        instrument = self.instrument(symbol)
        fields = {"action": "exit", **order_fields(instrument, options)}
        if quantity is not None:
            fields |= {"action": "reduce", "quantity": as_quantity(instrument, quantity)}
        return self._barque.desk.wish(Signal, symbol, fields)

    def cancel(self, symbol: str, order_id: str | None = None) -> str:
        """Cancel one order, or each of its own in `symbol`."""
        self.instrument(symbol)
        return self._barque.desk.wish(
            CancelRequest, symbol, {"order_id": None if order_id is None else as_text("order_id", order_id)}
        )

    def modify(
        self,
        symbol: str,
        order_id: str,
        *,
        quantity: Number | None = None,
        limit_price: Number | None = None,
        stop_price: Number | None = None,
        trail_amount: Number | None = None,
    ) -> str:
        """Change a working order; what is not given stays. `quantity` is that of the whole order, what has filled included."""
        changes = {"quantity": quantity, "limit_price": limit_price, "stop_price": stop_price, "trail_amount": trail_amount}
        fields = modify_fields(self.instrument(symbol), changes)
        return self._barque.desk.wish(ModifyRequest, symbol, {"order_id": as_text("order_id", order_id), **fields})

    def setup_changed(
        self, symbol: str, setup_id: str, side: Side, state: str, *, reason: str = "", levels: Mapping[str, Number] | None = None
    ) -> str:
        """Tell the page and the audit that a setup it watches has come to `state` (upper case, its own word). `levels` are prices
        by name. Nobody trades on it; told even while `trading` is False, but not of the past."""
        instrument = self.instrument(symbol)
        fields = {
            "setup_id": as_text("setup_id", setup_id),
            "side": as_word("side", side, get_args(Side)),
            "state": as_text("state", state),
            "reason": as_text("reason", reason),
            "levels": {as_text("level", name): as_price(instrument, name, value) for name, value in (levels or {}).items()},
        }
        return self._barque.desk.wish(SetupChanged, symbol, fields)

    def notify(self, message: str, severity: Severity = "info") -> None:
        """Tell a person: the page, Telegram, e-mail, as alerts are configured. Sent even while `trading` is False."""
        self._barque.desk.notify(str(message), as_word("severity", severity, get_args(Severity)))


def _enter(
    strategy: Strategy,
    symbol: str,
    side: str,
    quantity: Number | None,
    notional: Number | None,
    risk_fraction: Number | None,
    options: EntryOptions,
) -> str:
    instrument = strategy.instrument(symbol)
    amount = amount_fields(instrument, quantity, notional, risk_fraction, options)
    fields = {"action": "enter", "side": side, **amount, **order_fields(instrument, options, entry=True)}
    return strategy._barque.desk.wish(Signal, symbol, fields)
