"""The desk a strategy works at: it reads the node's state there and leaves its wishes in a tray.

In:   the message being handled, calls of the strategy.   Out: `Signal`, `CancelRequest`, `Alert`, with ids made of their cause.
Not:  a decision. Whether a wish becomes an order is the router's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from barque.errors import StrategyError, nearest
from barque.instruments import Instrument
from barque.messages import Alert, CancelRequest, Message, Signal, Topic, id_of, root_of
from barque.messages.control import Severity
from barque.messages.signals import Action
from barque.node import Output
from barque.strategy import OpenOrder
from strategy_host.core.state import StrategyNodeState


class StrategyDesk:
    """`barque.strategy.Desk` over a node's state. `state` is replaced when a node is restored."""

    def __init__(
        self, strategy_id: str, node_name: str, symbols: tuple[str, ...], interval: str, instruments: Mapping[str, Instrument]
    ) -> None:
        self.strategy_id, self.symbols, self.interval = strategy_id, symbols, interval
        self.state = StrategyNodeState()
        self._node_name = node_name
        self._instruments = instruments
        self._message: Message | None = None
        self._tray: list[Output] = []

    def begin(self, message: Message) -> None:
        """What is wished from now on is caused by `message`."""
        self._message = message
        self._tray = []

    def drop(self) -> None:
        """Forget the wishes of this message."""
        self._tray = []

    def take(self) -> list[Output]:
        """The wishes of this message."""
        return self._tray

    @property
    def now(self) -> int:
        return self.state.now_ns

    @property
    def trading(self) -> bool:
        return self.state.trading

    def instrument(self, symbol: str) -> Instrument:
        try:
            return self._instruments[symbol]
        except KeyError:
            hint = nearest(symbol, list(self._instruments))
            raise StrategyError(f"symbol '{symbol}' has no [[instruments]] entry; {hint}") from None

    def position(self, symbol: str) -> Decimal:
        return self.state.positions.get(symbol, Decimal(0))

    def open_orders(self, symbol: str | None) -> tuple[OpenOrder, ...]:
        return tuple(order for order in self.state.orders.values() if symbol is None or order.symbol == symbol)

    def signal(self, symbol: str, action: Action, **fields: Any) -> str:
        signal = Signal(**self._origin(symbol), action=action, **fields)
        self._wish(signal)
        return signal.id

    def cancel(self, symbol: str, order_id: str | None) -> str:
        request = CancelRequest(**self._origin(symbol), order_id=order_id)
        self._wish(request)
        return request.id

    def notify(self, text: str, severity: Severity) -> None:
        self.alert("strategy_notice", f"{self.strategy_id}: {text}", severity)

    def alert(self, name: str, text: str, severity: Severity) -> None:
        """Tell a person; not held back while the strategy may not trade."""
        alert = Alert(name=name, ts_event_ns=self.now, severity=severity, source=self._node_name, text=text)
        self._tray.append((Topic.ALERTS, alert))

    def _wish(self, wish: Signal | CancelRequest) -> None:
        if self.trading:
            self._tray.append((Topic.SIGNALS, wish))

    def _origin(self, symbol: str) -> dict[str, Any]:
        if self._message is None:
            raise StrategyError("setup cannot trade; wish for it in on_start or a later hook")
        cause = id_of(self._message)
        return {
            "id": f"{self.strategy_id}/{cause}/{self.state.next_index(cause)}",
            "cause": cause,
            "root": root_of(self._message),
            "strategy_id": self.strategy_id,
            "symbol": symbol,
            "ts_event_ns": self.now,
        }
