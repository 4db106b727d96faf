"""One valid message of each kind, any field replaced: `a_bar(close=1.10)`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from barque.instruments import Instrument
from barque.messages import Bar, ClockTicked, Fill, Mark, OrderAccepted, Quote, Signal, SubmitOrder, Trade

NS = 1_000_000_000
MINUTE = 60 * NS
T0 = 1_398_902_400 * NS
"""2014-05-01 00:00:00 UTC."""


def eurusd(**changes: Any) -> Instrument:
    """EURUSD on a 0.00001 grid, 100,000 a contract."""
    base: dict[str, Any] = {"symbol": "EURUSD", "currency": "USD", "base_currency": "EUR", "tick_size": Decimal("0.00001")}
    return Instrument(**(base | changes))


def usdjpy(**changes: Any) -> Instrument:
    """USDJPY on a 0.001 grid, 100,000 a contract."""
    base: dict[str, Any] = {"symbol": "USDJPY", "currency": "JPY", "base_currency": "USD", "tick_size": Decimal("0.001")}
    return Instrument(**(base | changes))


def a_quote(at: int = T0, **changes: Any) -> Quote:
    """A EURUSD quote at `at` ns."""
    base: dict[str, Any] = {"symbol": "EURUSD", "ts_event_ns": at, "ts_recv_ns": at, "bid": 1.3868, "ask": 1.3869}
    return Quote(**(base | changes))


def a_trade(at: int = T0, **changes: Any) -> Trade:
    """A EURUSD trade at `at` ns."""
    base: dict[str, Any] = {"symbol": "EURUSD", "ts_event_ns": at, "ts_recv_ns": at, "price": 1.3868, "size": 100.0}
    return Trade(**(base | changes))


def a_bar(at: int = T0, interval_ns: int = MINUTE, **changes: Any) -> Bar:
    """A one-minute EURUSD bid bar that opens at `at` ns."""
    base: dict[str, Any] = {
        "symbol": "EURUSD",
        "interval": "1m",
        "price": "bid",
        "ts_open_ns": at,
        "ts_close_ns": at + interval_ns,
        "open": 1.3868,
        "high": 1.3870,
        "low": 1.3867,
        "close": 1.3869,
        "tick_count": 10,
    }
    return Bar(**(base | changes))


def a_mark(at: int = T0, **changes: Any) -> Mark:
    """A EURUSD mark."""
    base: dict[str, Any] = {"symbol": "EURUSD", "ts_event_ns": at, "bid": 1.3868, "ask": 1.3869, "last": float("nan")}
    return Mark(**(base | changes))


def a_signal(at: int = T0, **changes: Any) -> Signal:
    """A wish of strategy `s1` to buy one contract at market."""
    base: dict[str, Any] = {
        "id": f"s1/{at}/0",
        "cause": str(at),
        "root": str(at),
        "strategy_id": "s1",
        "symbol": "EURUSD",
        "ts_event_ns": at,
        "action": "enter",
        "side": "buy",
        "quantity": Decimal(1),
    }
    return Signal(**(base | changes))


def an_order(at: int = T0, **changes: Any) -> SubmitOrder:
    """A market order of strategy `s1` to buy one contract."""
    base: dict[str, Any] = {
        "order_id": "o1",
        "cause": "s1/1/0",
        "root": "r",
        "strategy_id": "s1",
        "account": "paper",
        "symbol": "EURUSD",
        "ts_event_ns": at,
        "side": "buy",
        "quantity": Decimal(1),
    }
    return SubmitOrder(**(base | changes))


def an_acceptance(at: int = T0, **changes: Any) -> OrderAccepted:
    """The broker accepts order `o1`."""
    base: dict[str, Any] = {
        "order_id": "o1",
        "cause": "s1/1/0",
        "root": "r",
        "strategy_id": "s1",
        "account": "paper",
        "symbol": "EURUSD",
        "ts_event_ns": at,
    }
    return OrderAccepted(**(base | changes))


def a_fill(at: int = T0, **changes: Any) -> Fill:
    """One contract of order `o1` bought at 1.38690."""
    base: dict[str, Any] = {
        "exec_id": "o1-1",
        "order_id": "o1",
        "cause": "s1/1/0",
        "root": "r",
        "strategy_id": "s1",
        "account": "paper",
        "symbol": "EURUSD",
        "ts_event_ns": at,
        "side": "buy",
        "quantity": Decimal(1),
        "price": Decimal("1.38690"),
    }
    return Fill(**(base | changes))


def clock(at: int) -> ClockTicked:
    """It is now `at`."""
    return ClockTicked(now_ns=at)
