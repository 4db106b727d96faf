"""The desk a strategy works at: it reads the node's state there and leaves its wishes in a tray.

In:   the message being handled, calls of the strategy.   Out: wishes and `Alert`s, with ids made of their cause.
Not:  a decision. Whether a wish becomes an order is the router's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from barque.errors import StrategyError, nearest
from barque.instruments import Instrument
from barque.messages import Alert, Bar, EquityMarked, Message, ModifyRequest, Quote, SetupChanged, Signal, Topic, Trade, id_of
from barque.messages.control import Severity
from barque.node import Output
from barque.strategy import OpenOrder, Wish
from strategy_host.core.state import ZERO, StrategyNodeState

_SIGNALS = Topic.SIGNALS
OLD_NS = 1_000_000_000
"""What was heard so late is told with the wish: a host that catches up hears bars of the past, and wishes now."""


class StrategyDesk:
    """`barque.strategy.Desk` over a node's state. `state` is replaced when a node is restored.

    The node puts the message it handles into `message`, and takes the `tray` when it has been handled.
    """

    message: Message | None = None
    warming = False

    def __init__(
        self,
        strategy_id: str,
        node_name: str,
        symbols: tuple[str, ...],
        intervals: tuple[str, ...],
        instruments: Mapping[str, Instrument],
    ) -> None:
        self.strategy_id, self.symbols, self.intervals = strategy_id, symbols, intervals
        self.state = StrategyNodeState()
        self.tray: list[Output] = []
        self._node_name = node_name
        self._instruments = instruments
        self._named: object = self
        """The message whose names these are; not yet any."""
        self._cause = self._root = ""
        self._heard_ns = 0
        """Event time of that message, where it is of the market."""

    # ---- facts

    @property
    def now(self) -> int:
        return self.state.now_ns

    @property
    def trading(self) -> bool:
        return self.state.trading and not self.warming

    @property
    def account(self) -> EquityMarked | None:
        return self.state.account

    def instrument(self, symbol: str) -> Instrument:
        try:
            return self._instruments[symbol]
        except KeyError:
            hint = nearest(symbol, list(self._instruments))
            raise StrategyError(f"symbol '{symbol}' has no [[instruments]] entry; {hint}") from None

    def position(self, symbol: str) -> Decimal:
        self.instrument(symbol)
        return self.state.positions.get(symbol, ZERO)

    def average_price(self, symbol: str) -> Decimal | None:
        self.instrument(symbol)
        return self.state.average_prices.get(symbol)

    def open_orders(self, symbol: str | None) -> tuple[OpenOrder, ...]:
        if symbol is None:
            return tuple(self.state.orders.values())
        self.instrument(symbol)
        return tuple(order for order in self.state.orders.values() if order.symbol == symbol)

    # ---- the tray

    def wish(self, kind: type[Wish], symbol: str, fields: Mapping[str, Any]) -> str:
        state = self.state
        if self.message is not self._named:
            self._name()
        wish_id = f"{self.strategy_id}/{self._cause}/{state.next_index(self._cause)}"
        if self.trading or (kind is SetupChanged and not self.warming):
            if self._heard_ns and state.now_ns - self._heard_ns > OLD_NS and kind in (Signal, ModifyRequest):
                fields = {**fields, "ts_heard_ns": self._heard_ns}
            wish = kind(
                id=wish_id,
                cause=self._cause,
                root=self._root,
                strategy_id=self.strategy_id,
                symbol=symbol,
                ts_event_ns=state.now_ns,
                **fields,
            )
            self.tray.append((_SIGNALS, wish))
        return wish_id

    def notify(self, text: str, severity: Severity) -> None:
        if not self.warming:
            self.alert("strategy_notice", f"{self.strategy_id}: {text}", severity)

    def alert(self, name: str, text: str, severity: Severity) -> None:
        """Tell a person; not held back while the strategy may not trade."""
        alert = Alert(name=name, ts_event_ns=self.now, severity=severity, source=self._node_name, text=text)
        self.tray.append((Topic.ALERTS, alert))

    def _name(self) -> None:
        """What is wished from now on is caused by `message`."""
        if self.message is None:
            raise StrategyError("setup cannot trade; wish for it in on_start or a later hook")
        cause = id_of(self.message)
        self._named, self._cause, self._root = self.message, cause, getattr(self.message, "root", "") or cause
        self._heard_ns = _market_time_ns(self.message)


def _market_time_ns(message: Message) -> int:
    """When the market was as `message` says; 0: it is not of the market."""
    if isinstance(message, Bar):
        return message.ts_close_ns
    return message.ts_event_ns if isinstance(message, Quote | Trade) else 0
