"""The class that a strategy extends.

In:   hooks, called by the host one at a time.   Out: wishes, by the verbs `buy`, `sell`, `target`, `close`, `cancel`, `notify`.
Not:  bus, clock, randomness, files. What must survive a restart is in `self.state` and in declared indicators; any other
      attribute is made anew by `setup`.

What runs when:
    setup       each time the object is made: for a new strategy and at every restart. Declares indicators and schedules from
                `self.params` alone; it cannot trade and knows no time. Afterwards the host gives back what they remembered.
    on_start    once in the life of a strategy, at the first message it ever gets.
    other hooks at each message of their kind, also while the strategy is stopped or the book is halted: it then goes on
                watching, and its wishes are dropped (`self.trading` says which).
    on_stop     when someone stops the strategy, as its last chance to send wishes; not when a process ends.
A hook that raises pauses this strategy and no other: its wishes of that message are dropped, an alert goes out, and no hook
is called until someone starts it again.
"""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from typing import Any, ClassVar, Protocol, TypeVar, Unpack

import msgspec

from barque.errors import StrategyError
from barque.instruments import Instrument
from barque.messages import Bar, Fill, Quote, SignalRejected, Trade
from barque.messages.control import Severity
from barque.messages.signals import Action
from barque.strategy.indicators import Indicator
from barque.strategy.orders import OpenOrder, OrderEvent, OrderOptions
from barque.strategy.schedules import Daily, MissedPolicy, Schedule

IndicatorT = TypeVar("IndicatorT", bound=Indicator)

_PRICES = ("limit_price", "stop_price", "take_profit", "stop_loss")


class StrategyParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a strategy's parameters, as `params` of its `[[strategies]]` entry gives them."""


class StrategyState(msgspec.Struct, kw_only=True):
    """Base of what a strategy remembers. Every field has a default: that is how a new strategy begins."""


class Desk(Protocol):
    """What the host lends a strategy: facts to read, and a tray for its wishes."""

    strategy_id: str
    symbols: tuple[str, ...]
    interval: str

    @property
    def now(self) -> int: ...
    @property
    def trading(self) -> bool: ...
    def instrument(self, symbol: str) -> Instrument: ...
    def position(self, symbol: str) -> Decimal: ...
    def open_orders(self, symbol: str | None) -> tuple[OpenOrder, ...]: ...
    def signal(self, symbol: str, action: Action, **fields: Any) -> str: ...
    def cancel(self, symbol: str, order_id: str | None) -> str: ...
    def notify(self, text: str, severity: Severity) -> None: ...


class Strategy:
    """A trading idea: hooks to override, facts to read, verbs to trade with. Quantities are contracts, times ns UTC."""

    Params: ClassVar[type[StrategyParams]] = StrategyParams
    State: ClassVar[type[StrategyState]] = StrategyState

    params: StrategyParams
    state: StrategyState

    def __init__(self, desk: Desk, params: StrategyParams) -> None:
        self._desk = desk
        self._indicators: list[tuple[Indicator, bytes]] = []
        self._schedules: dict[str, Schedule] = {}
        self._declaring = True
        self.params = params
        self.state = self.State()
        self.setup()
        self._declaring = False

    # ---- hooks

    def setup(self) -> None:
        """Declare indicators and schedules; see the module's table for what runs when."""

    def on_start(self) -> None:
        """A new strategy begins."""

    def on_bar(self, bar: Bar) -> None:
        """A bar of one of its symbols, in its interval, has closed. Bid and ask bars of a minute are two bars."""

    def on_tick(self, tick: Quote | Trade) -> None:
        """A quote or trade of one of its symbols. Only a strategy that overrides this hook is fed ticks."""

    def on_signal_rejected(self, rejection: SignalRejected) -> None:
        """A wish of its own became no order."""

    def on_order(self, event: OrderEvent) -> None:
        """Something happened to an order of its own; `open_orders` already knows."""

    def on_fill(self, fill: Fill) -> None:
        """An order of its own traded; `position` already knows."""

    def on_schedule(self, name: str) -> None:
        """The schedule of that name runs."""

    def on_stop(self) -> None:
        """Someone stops it; wishes of this hook are the last to be sent."""

    # ---- declarations, in `setup`

    def indicator(self, indicator: IndicatorT) -> IndicatorT:
        """Keep the indicator's memory through restarts. With other parameters than before the restart it begins anew."""
        self._check_declaring()
        self._indicators.append((indicator, msgspec.msgpack.encode(indicator)))
        return indicator

    def daily(self, at: time | str, tz: str, name: str, *, missed: MissedPolicy = "run_once", grace_s: int = 60) -> None:
        """Call `on_schedule(name)` every day at `at` ("01:30:00") by the clocks of `tz` (an IANA name)."""
        self._check_declaring()
        if name in self._schedules:
            raise StrategyError(f"schedule '{name}' is declared twice; give each its own name")
        moment = time.fromisoformat(at) if isinstance(at, str) else at
        self._schedules[name] = Schedule(Daily(at=moment, tz=tz, missed=missed, grace_s=grace_s))

    # ---- facts

    @property
    def id(self) -> str:
        """Its `id` in `barque.toml`."""
        return self._desk.strategy_id

    @property
    def symbols(self) -> tuple[str, ...]:
        """What it is configured to watch."""
        return self._desk.symbols

    @property
    def interval(self) -> str:
        """Of the bars that it gets."""
        return self._desk.interval

    @property
    def now(self) -> int:
        """Event time of the newest message it got; never goes back."""
        return self._desk.now

    @property
    def trading(self) -> bool:
        """False: it is stopped or the book is halted, and what it wishes is dropped."""
        return self._desk.trading

    def instrument(self, symbol: str) -> Instrument:
        """Tick size, contract size and so on; raises `StrategyError` for a symbol that is not configured."""
        return self._desk.instrument(symbol)

    def position(self, symbol: str) -> Decimal:
        """The sum of its own fills, signed; other strategies on the account do not count."""
        return self._desk.position(symbol)

    def open_orders(self, symbol: str | None = None) -> tuple[OpenOrder, ...]:
        """Its own orders that may still trade, oldest first; of all symbols where none is given."""
        return self._desk.open_orders(symbol)

    # ---- verbs: each returns the signal's id, which order events and fills name as their `cause`

    def buy(
        self,
        symbol: str,
        quantity: float | Decimal | None = None,
        *,
        risk_fraction: Decimal | None = None,
        **options: Unpack[OrderOptions],
    ) -> str:
        """Buy `quantity`, or what risks `risk_fraction` of equity to the stop; the router's own sizing with neither."""
        return self._signal(symbol, "enter", options, side="buy", quantity=quantity, risk_fraction=risk_fraction)

    def sell(
        self,
        symbol: str,
        quantity: float | Decimal | None = None,
        *,
        risk_fraction: Decimal | None = None,
        **options: Unpack[OrderOptions],
    ) -> str:
        """Sell; as `buy`."""
        return self._signal(symbol, "enter", options, side="sell", quantity=quantity, risk_fraction=risk_fraction)

    def target(self, symbol: str, quantity: float | Decimal, **options: Unpack[OrderOptions]) -> str:
        """Trade whatever leads to a position of `quantity`, signed."""
        return self._signal(symbol, "target", options, target=quantity)

    def close(self, symbol: str, quantity: float | Decimal | None = None, **options: Unpack[OrderOptions]) -> str:
        """Close the position, or `quantity` of it."""
        return self._signal(symbol, "exit" if quantity is None else "reduce", options, quantity=quantity)

    def cancel(self, symbol: str, order_id: str | None = None) -> str:
        """Cancel one order, or each of its own in `symbol`."""
        return self._desk.cancel(symbol, order_id)

    def notify(self, text: str, severity: Severity = "info") -> None:
        """Tell a person: the page, Telegram, e-mail, as alerts are configured. Sent even while `trading` is False."""
        self._desk.notify(text, severity)

    # ---- private

    def _signal(self, symbol: str, action: Action, options: OrderOptions, **amounts: Any) -> str:
        instrument = self.instrument(symbol)
        fields: dict[str, Any] = {**options, **amounts}
        for name, value in fields.items():
            if value is not None and name in _PRICES:
                fields[name] = instrument.price(value)
            elif value is not None and name in ("quantity", "target"):
                fields[name] = instrument.quantity(value)
        return self._desk.signal(symbol, action, **fields)

    def _check_declaring(self) -> None:
        if not self._declaring:
            raise StrategyError("indicators and schedules are declared in setup, so that a restart finds them")
