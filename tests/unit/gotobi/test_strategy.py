"""Gotobi at its desk: entries, exits, stops and everything that can be late."""

from __future__ import annotations

import csv
import gzip
import tomllib
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from barque.config import StrategyConfig
from barque.errors import ConfigError
from barque.messages import (
    Bar,
    CancelRequest,
    Fill,
    Message,
    OrderCancelled,
    RejectReason,
    Signal,
    SignalRejected,
    StartStrategy,
    StopStrategy,
    SubmitOrder,
    Topic,
)
from barque.strategy.testing import check_strategy, run
from gotobi import Gotobi
from strategy_host.core.node import StrategyNode
from tests.support.builders import MINUTE, NS, a_bar, a_fill, an_order, clock, usdjpy
from tests.support.data import data_file


def utc(text: str) -> int:
    """ns UTC of `2013-02-04 16:30`."""
    return int(datetime.fromisoformat(text + "+00:00").timestamp()) * NS


ENTRY, EXIT = utc("2013-02-04 16:30"), utc("2013-02-04 23:30")
"""Tuesday 5 February 2013, 01:30 and 08:30 in Tokyo."""


def a_node(**params: Any) -> StrategyNode:
    config = StrategyConfig(id="g", strategy="gotobi", symbols=("USDJPY",), params=params)
    return StrategyNode(config, Gotobi, [usdjpy(calendar="FX")])


def closing(at: int, **changes: Any) -> Bar:
    """A one-minute bar that closes at `at`."""
    return a_bar(at - MINUTE, **({"symbol": "USDJPY", "close": 91.7} | changes))


def said(node: StrategyNode, *messages: Message) -> list[Any]:
    return [message for _, message in run(node, messages)]


def submitted(signal: Signal, order_id: str, **changes: Any) -> SubmitOrder:
    """The order that the router makes of a signal."""
    side = signal.side or ("sell" if changes.pop("held", 1) > 0 else "buy")
    base = {"order_id": order_id, "cause": signal.id, "strategy_id": "g", "symbol": "USDJPY", "side": side}
    return an_order(signal.ts_event_ns, **(base | {"order_type": signal.order_type, "tag": signal.tag} | changes))


def filled(order: SubmitOrder, price: str, at: int, exec_id: str = "", **changes: Any) -> Fill:
    base = {"exec_id": exec_id or f"{order.order_id}-1", "order_id": order.order_id, "cause": order.cause, "strategy_id": "g"}
    return a_fill(at, **(base | {"symbol": "USDJPY", "side": order.side, "price": Decimal(price)} | changes))


def cancelled(order_id: str, cause: str, at: int) -> OrderCancelled:
    return OrderCancelled(
        order_id=order_id, cause=cause, root="r", strategy_id="g", account="paper", symbol="USDJPY", ts_event_ns=at
    )


def entered(node: StrategyNode, price: str = "91.717") -> list[Any]:
    """Bring it into the market; what it says to the fill."""
    (signal,) = said(node, clock(ENTRY - NS), closing(ENTRY))
    order = submitted(signal, "entry")
    said(node, order)
    return said(node, filled(order, price, ENTRY + NS))


# ---- the real minutes


class Venue:
    """Fills market orders at the next bar's open, buys in ask bars and sells in bid bars; confirms cancels at once."""

    def __init__(self, node: StrategyNode) -> None:
        self.node, self.fed, self.fills = node, list[Message](), list[Fill]()
        self.orders: list[SubmitOrder] = []

    def play(self, bars: list[Bar]) -> None:
        for bar in bars:
            for order in [o for o in self.orders if self._trades(o, bar)]:
                self.orders.remove(order)
                stop = order.stop_price
                at = Decimal(str(bar.open)) if stop is None else min(stop, Decimal(str(bar.open)))
                self.fills.append(filled(order, str(at), bar.ts_open_ns))
                self._tell(self.fills[-1])
            self._tell(bar)

    def _trades(self, order: SubmitOrder, bar: Bar) -> bool:
        if bar.price != ("ask" if order.side == "buy" else "bid") or bar.ts_open_ns < order.ts_event_ns:
            return False
        return order.stop_price is None or bar.low <= order.stop_price

    def _tell(self, message: Message) -> None:
        self.fed.append(message)
        for topic, wish in list(self.node.handle(message)):
            assert topic is Topic.SIGNALS
            if isinstance(wish, CancelRequest):
                (order,) = [o for o in self.orders if o.order_id == wish.order_id]
                self.orders.remove(order)
                self._tell(cancelled(order.order_id, order.cause, wish.ts_event_ns))
            else:
                self.orders.append(submitted(wish, f"o{len(self.fed)}", stop_price=wish.stop_price))
                self._tell(self.orders[-1])


def minutes(first: str = "2013-02-01", last: str = "2013-03-01") -> dict[str, dict[int, dict[str, float]]]:
    """Open, high, low, close by price type and opening time, as the broker recorded them."""
    table: dict[str, dict[int, dict[str, float]]] = {}
    for price in ("bid", "ask"):
        with gzip.open(data_file(f"usdjpy-fxcm-m1-{price}-2013-02.csv.gz"), "rt") as lines:
            table[price] = {
                int(datetime.fromisoformat(row["timestamp"]).timestamp()) * NS: {
                    k: float(row[k]) for k in ("open", "high", "low", "close")
                }
                for row in csv.DictReader(lines)
                if first <= row["timestamp"] < last
            }
    return table


def bars_of(table: dict[str, dict[int, dict[str, float]]]) -> list[Bar]:
    """Bid, then ask, minute by minute."""
    rows = sorted((at, price != "bid", price) for price in table for at in table[price])
    return [a_bar(at, symbol="USDJPY", price=price, **table[price][at]) for at, _, price in rows]


def test_february_2013_trades_on_the_days_and_at_the_prices_of_the_record() -> None:
    table = minutes()
    venue = Venue(a_node())
    venue.play(bars_of(table))
    eves = ("2013-02-04", "2013-02-07", "2013-02-14", "2013-02-19", "2013-02-24")  # UTC is the day before Tokyo's
    expected = []
    for eve in eves:
        entry, exit_ = utc(f"{eve} 16:30"), utc(f"{eve} 23:30")
        if entry not in table["ask"]:  # Monday the 25th: FX opens at 22:00 UTC, and the first bar closes a minute later
            entry = utc(f"{eve} 22:01")
        expected += [("buy", entry, table["ask"][entry]["open"]), ("sell", exit_, table["bid"][exit_]["open"])]
    assert [(f.side, f.ts_event_ns, float(f.price)) for f in venue.fills] == expected


def test_with_a_stop_february_2013_ends_flat_and_each_stop_is_at_its_distance() -> None:
    venue = Venue(a_node(stop_loss_pct=0.001))
    venue.play(bars_of(minutes()))
    entries = [f for f in venue.fills if f.side == "buy"]
    stops = [m for m in venue.fed if isinstance(m, SubmitOrder) and m.order_type == "stop"]
    exact = [f.price * Decimal("0.999") for f in entries]
    assert all(
        abs(stop.stop_price - price) <= Decimal("0.0005") for stop, price in zip(stops, exact, strict=True) if stop.stop_price
    )
    assert len(entries) == 5
    assert sum(f.signed_quantity for f in venue.fills) == 0
    assert venue.orders == []


def test_it_keeps_the_promises_of_a_strategy() -> None:
    venue = Venue(a_node(stop_loss_pct=0.02))
    venue.play(bars_of(minutes("2013-02-04 15", "2013-02-05 02")))
    messages = [m for fed in venue.fed for m in ((fed, clock(fed.ts_close_ns)) if isinstance(fed, Bar) else (fed,))]
    outputs = check_strategy(lambda: a_node(stop_loss_pct=0.02), messages)
    assert [getattr(message, "action", "cancel") for _, message in outputs] == ["enter", "reduce", "cancel", "exit"]


# ---- entry


def test_it_enters_once_at_the_bar_that_closes_at_entry_time() -> None:
    node = a_node(quantity=2)
    (signal,) = said(node, closing(ENTRY - MINUTE), closing(ENTRY), closing(ENTRY, price="ask"), closing(ENTRY + MINUTE))
    assert (signal.side, signal.quantity, signal.order_type, signal.ts_event_ns) == ("buy", 2, "market", ENTRY)
    assert signal.valid_until_ns == ENTRY + 15 * MINUTE


def test_the_schedule_is_as_good_as_a_bar() -> None:
    node = a_node()
    (signal,) = said(node, clock(ENTRY - NS), clock(ENTRY), closing(ENTRY), closing(ENTRY, price="ask"))
    assert signal.cause == f"clock.{ENTRY}"


def test_a_negative_quantity_sells() -> None:
    (signal,) = said(a_node(quantity=-3), closing(ENTRY))
    assert (signal.side, signal.quantity) == ("sell", 3)


@pytest.mark.parametrize("day", ["2013-02-05", "2013-02-08", "2013-02-10", "2013-02-11"])
def test_only_trading_dates_are_entered(day: str) -> None:
    """In Tokyo these are Wednesday 6, Saturday 9, Monday 11 (a holiday) and Tuesday 12."""
    assert said(a_node(), closing(utc(f"{day} 16:30"))) == []


def test_an_entry_is_made_up_to_15_minutes_late_and_then_skipped_and_said() -> None:
    (signal,) = said(a_node(), closing(ENTRY + 15 * MINUTE))
    assert signal.action == "enter"
    node = a_node()
    (notice,) = said(node, clock(ENTRY - NS), clock(ENTRY + 15 * MINUTE + NS), closing(ENTRY + 16 * MINUTE), closing(EXIT))
    assert "gotobi day 2013-02-05 is skipped: 901 s have passed" in notice.text


def test_bars_of_the_past_that_come_after_the_clock_do_not_enter() -> None:
    node = a_node()
    (notice,) = said(node, clock(ENTRY + 60 * MINUTE), closing(ENTRY))
    assert notice.name == "strategy_notice"


def test_an_extra_holiday_is_not_traded_but_the_day_before_it_is() -> None:
    thursday = utc("2013-02-13 16:30")  # the 14th in Tokyo
    node = a_node(holidays=["2013-02-15"])
    (signal,) = said(node, closing(thursday), closing(thursday + 1440 * MINUTE))
    assert signal.ts_event_ns == thursday


def test_a_monday_is_entered_when_the_market_opens_and_not_on_the_clock_before() -> None:
    entry, opening = utc("2013-02-24 16:30"), utc("2013-02-24 22:00")  # the 25th in Tokyo
    node = a_node()
    assert said(node, clock(entry - NS), clock(entry), clock(opening - NS)) == []
    (signal,) = said(node, closing(opening + MINUTE))
    assert signal.valid_until_ns == opening + 15 * MINUTE


# ---- stop


@pytest.mark.parametrize(("quantity", "price"), [(1, "91.442"), (-1, "91.992")])
def test_each_fill_of_the_entry_gets_a_stop_for_its_quantity(quantity: int, price: str) -> None:
    """91.717 × 0.997 = 91.441849 and 91.717 × 1.003 = 91.992151, on a grid of 0.001."""
    node = a_node(quantity=quantity, stop_loss_pct=0.003)
    (signal,) = said(node, closing(ENTRY))
    order = submitted(signal, "entry")
    part = filled(order, "91.717", ENTRY + NS, quantity=Decimal("1"), leaves_quantity=Decimal(1))
    (stop,) = said(node, order, part)
    assert (stop.action, stop.order_type, stop.quantity, stop.stop_price) == ("reduce", "stop", 1, Decimal(price))


def test_after_a_stop_nothing_is_left_to_close() -> None:
    node = a_node(stop_loss_pct=0.003)
    (stop,) = entered(node)
    order = submitted(stop, "stop")
    assert said(node, order, filled(order, "91.44", ENTRY + 5 * MINUTE), closing(EXIT), clock(EXIT)) == []


# ---- exit


def test_at_exit_time_it_closes_once() -> None:
    node = a_node()
    assert entered(node) == []
    assert said(node, closing(EXIT - MINUTE)) == []
    (close,) = said(node, closing(EXIT), closing(EXIT, price="ask"), clock(EXIT + NS))
    assert (close.action, close.order_type, close.ts_event_ns) == ("exit", "market", EXIT)
    order = submitted(close, "exit")
    assert said(node, order, filled(order, "92.1", EXIT + NS), closing(EXIT + MINUTE)) == []


def test_the_stop_is_cancelled_first_and_the_close_waits_for_it() -> None:
    node = a_node(stop_loss_pct=0.003)
    (stop,) = entered(node)
    said(node, submitted(stop, "stop"))
    (cancel,) = said(node, closing(EXIT))
    assert isinstance(cancel, CancelRequest)
    assert cancel.order_id == "stop"
    (close,) = said(node, cancelled("stop", stop.id, EXIT + NS))
    assert close.action == "exit"


def test_a_cancel_without_an_answer_is_asked_again_after_a_minute_and_the_position_closed() -> None:
    node = a_node(stop_loss_pct=0.003)
    (stop,) = entered(node)
    said(node, submitted(stop, "stop"), closing(EXIT))
    again, close = said(node, closing(EXIT + MINUTE))
    assert (again.order_id, close.action) == ("stop", "exit")


def test_a_missed_exit_is_made_at_the_first_opportunity() -> None:
    node = a_node()
    entered(node)
    reborn = a_node()
    reborn.restore(node.snapshot())
    (close,) = said(reborn, clock(EXIT + 95 * MINUTE))
    assert close.action == "exit"


def test_a_fill_after_the_window_is_closed_at_once() -> None:
    node = a_node(stop_loss_pct=0.003)
    (signal,) = said(node, closing(ENTRY))
    assert said(node, closing(EXIT)) == []
    (close,) = said(node, filled(submitted(signal, "entry"), "91.7", EXIT + MINUTE))
    assert close.action == "exit"


def test_a_refused_close_is_wished_for_again_after_a_minute_and_not_at_once() -> None:
    node = a_node()
    entered(node)
    (close,) = said(node, closing(EXIT))
    refusal = SignalRejected(
        signal_id=close.id,
        cause=close.id,
        root="r",
        strategy_id="g",
        symbol="USDJPY",
        ts_event_ns=EXIT,
        reason=RejectReason.NO_PRICE,
        detail="no price yet",
    )
    (notice,) = said(node, refusal)
    assert "no_price: no price yet" in notice.text
    (second,) = said(node, closing(EXIT + MINUTE))
    assert second.action == "exit"
    assert second.id != close.id


def test_a_close_of_which_nothing_is_heard_is_wished_for_again() -> None:
    node = a_node()
    entered(node)
    first, second = said(node, closing(EXIT), clock(EXIT + NS), closing(EXIT + MINUTE))
    assert (first.action, second.action) == ("exit", "exit")
    said(node, submitted(second, "exit"))
    assert said(node, closing(EXIT + 2 * MINUTE), closing(EXIT + 9 * MINUTE)) == []


def test_stopped_over_its_exit_it_closes_when_it_is_started_again() -> None:
    node = a_node()
    entered(node)
    command = {"command_id": "c", "ts_event_ns": ENTRY, "actor": "test", "strategy_id": "g"}
    assert said(node, StopStrategy(**command), closing(EXIT), closing(EXIT + MINUTE), StartStrategy(**command)) == []
    (close,) = said(node, closing(EXIT + 2 * MINUTE))
    assert close.action == "exit"


# ---- configuration


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"entry_time": "08:30:00", "exit_time": "01:30:00"}, "entry_time 08:30:00 must be before exit_time 01:30:00"),
        ({"stop_loss_pct": 3}, "stop_loss_pct is 3; it is a fraction"),
        ({"quantity": 0}, "quantity is 0"),
        ({"days": [5, 32]}, "each must be a day of the month"),
        ({"tz": "Asia/Tokio"}, "strategy 'g' cannot be set up: .*did you mean 'Asia/Tokyo'"),
        ({"stop_loss": 0.1}, "unknown key 'strategies.g.params.stop_loss'; did you mean 'stop_loss_pct'"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(params: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        a_node(**params)


def test_toml_writes_times_and_dates_as_it_likes() -> None:
    params = tomllib.loads('entry_time = 01:45:00\nexit_time = "09:55:00"\nholidays = [2026-12-31]\nstop_loss_pct = 0.003')
    (signal,) = said(a_node(**params), closing(ENTRY), closing(ENTRY + 15 * MINUTE))
    assert signal.ts_event_ns == ENTRY + 15 * MINUTE


def test_one_instance_trades_one_symbol() -> None:
    config = StrategyConfig(id="g", strategy="gotobi", symbols=("USDJPY", "EURUSD"))
    with pytest.raises(ConfigError, match="gotobi trades one symbol"):
        StrategyNode(config, Gotobi, [usdjpy(), usdjpy(symbol="EURUSD")])
