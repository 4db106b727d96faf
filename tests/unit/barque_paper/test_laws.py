"""What holds for every run: orders and prices at random, laws after each message."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from barque.messages import (
    Bar,
    Fill,
    Message,
    ModifyRejected,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    SubmitOrder,
)
from barque_paper import PaperNode, PaperSymbolConfig
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, a_trade, an_order, clock
from tests.support.exchange import a_cancel, a_change, feed, feed_holding_back, feed_restoring, fills, paper

ZERO = Decimal(0)
_LEVELS = [Decimal(f"1.{n}") for n in range(370, 411, 5)]

# -- runs ----------------------------------------------------------------------------------------------------------------

_orders = st.builds(
    an_order,
    side=st.sampled_from(["buy", "sell"]),
    order_type=st.sampled_from(["market", "limit", "stop", "stop_limit", "trailing_stop"]),
    quantity=st.integers(1, 9).map(Decimal),
    limit_price=st.sampled_from([None, *_LEVELS]),
    stop_price=st.sampled_from([None, *_LEVELS]),
    trail_amount=st.sampled_from([None, Decimal("0.005"), Decimal("0.02")]),
    time_in_force=st.sampled_from(["day", "gtc", "gtc", "gtc", "ioc", "fok", "gtd"]),
    valid_until_ns=st.sampled_from([None, None, T0 + 300 * NS]),
    parent_id=st.sampled_from([None, None, None, "o1", "o2"]),
    oco_group=st.sampled_from([None, None, "g"]),
)
_changes = st.builds(
    a_change,
    quantity=st.sampled_from([None, Decimal(1), Decimal(3), Decimal(12)]),
    limit_price=st.sampled_from([None, *_LEVELS]),
    stop_price=st.sampled_from([None, *_LEVELS]),
    trail_amount=st.sampled_from([None, Decimal("0.01")]),
)
_requests = st.one_of(_orders, _orders, _orders, _changes, st.just(a_cancel()))
_prices = st.lists(st.integers(1370, 1410).map(lambda n: n / 1000), min_size=4, max_size=4)


@st.composite
def _bars(draw: st.DrawFn, at: int, kind: str) -> Bar:
    low, a, b, high = sorted(draw(_prices))
    opened, close = draw(st.sampled_from([(a, b), (b, a), (low, high), (high, low)]))
    volume = draw(st.sampled_from([0.0, 200_000.0, 900_000.0]))
    return a_bar(at, price=kind, open=opened, high=high, low=low, close=close, volume=volume)


@st.composite
def _ticks(draw: st.DrawFn, at: int, kind: str) -> Message:
    bid, ask = sorted(draw(_prices))[1:3]
    size = draw(st.sampled_from([0.0, 200_000.0, 900_000.0]))
    if kind == "last":
        return a_trade(at, price=bid, size=size)
    return a_quote(at, bid=bid, ask=ask, bid_size=size, ask_size=size)


@st.composite
def _runs(draw: st.DrawFn, kinds: tuple[str, ...] = ("bid", "ask"), ticks: bool | None = False) -> list[Message]:
    """Minute by minute: the clock, the prices of the minute that is over, then requests. `ticks` None: now and then."""
    run: list[Message] = []
    names = ["o0"]
    for minute in range(draw(st.integers(1, 10))):
        now = T0 + (minute + 1) * MINUTE
        run.append(clock(now))
        for kind in draw(st.permutations(kinds)):
            is_tick = draw(st.booleans()) if ticks is None else ticks
            if draw(st.integers(0, 9)):
                run.append(draw(_ticks(now, kind) if is_tick else _bars(now - MINUTE, kind)))
        for request in draw(st.lists(_requests, max_size=4)):
            if isinstance(request, SubmitOrder) and draw(st.integers(0, 9)):
                names.append(f"o{len(names)}")
                name = names[-1]
            else:
                name = draw(st.sampled_from(names))
            run.append(replace(request, order_id=name, ts_event_ns=now))
    return run


_configs = st.fixed_dictionaries(
    {
        "max_volume_fraction": st.sampled_from([ZERO, Decimal("0.5")]),
        "slippage_fraction": st.sampled_from([ZERO, Decimal("0.001")]),
    },
    optional={"fill_at": st.just("close")},
) | st.fixed_dictionaries({"max_volume_fraction": st.just(Decimal("0.5")), "latency_ms": st.just(90_000)})
_any_run = st.one_of(_runs(), _runs(("last",)), _runs(("bid",)), _runs(ticks=True), _runs(("bid", "last"), ticks=None))


def ends(said: list[Any]) -> list[str]:
    """Orders that have ended: the last fill leaves nothing, the others say so."""
    done = [m for m in said if isinstance(m, OrderCancelled | OrderExpired) or (isinstance(m, Fill) and not m.leaves_quantity)]
    return [m.order_id for m in done]


# -- laws ----------------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(_any_run, _configs)
def test_an_order_is_accepted_once_ends_at_most_once_and_trades_in_between(run: list[Message], config: dict[str, Any]) -> None:
    said = feed(paper(**config), *run)
    accepted = [m.order_id for m in said if isinstance(m, OrderAccepted)]
    assert len(accepted) == len(set(accepted))
    assert len(ends(said)) == len(set(ends(said)))
    for order_id in accepted:
        mine = [m for m in said if m.order_id == order_id and not type(m).__name__.endswith("Rejected")]
        assert isinstance(mine[0], OrderAccepted)
        assert ends(mine[:-1]) == []


@settings(max_examples=60)
@given(_any_run, _configs)
def test_fills_add_up_to_no_more_than_the_order_and_say_what_is_left(run: list[Message], config: dict[str, Any]) -> None:
    quantity: dict[str, Decimal] = {}
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for message in run:
        if isinstance(message, SubmitOrder):
            quantity.setdefault(message.order_id, message.quantity)
    for number, message in enumerate(said := feed(paper(**config), *run)):
        name = message.order_id
        if isinstance(message, OrderModified):
            quantity[name] = message.quantity
            assert message.quantity >= filled[name]
        elif isinstance(message, Fill):
            filled[name] += message.quantity
            assert message.quantity > 0
            assert message.leaves_quantity == quantity[name] - filled[name] >= 0
            assert message.exec_id == f"{name}-{len([m for m in fills(said[: number + 1]) if m.order_id == name])}"
        elif isinstance(message, OrderCancelled | OrderExpired):
            assert message.filled_quantity == filled[name]


@settings(max_examples=60)
@given(_any_run, _configs)
def test_no_fill_is_earlier_than_its_acceptance(run: list[Message], config: dict[str, Any]) -> None:
    said = feed(paper(**config), *run)
    accepted = {m.order_id: m.ts_event_ns for m in said if isinstance(m, OrderAccepted)}
    assert all(fill.ts_event_ns >= accepted[fill.order_id] for fill in fills(said))


@settings(max_examples=60)
@given(_runs(("last",)), _configs, st.integers(0, 3))
def test_no_fill_is_outside_its_bar_but_for_slippage_and_spread(run: list[Message], config: dict[str, Any], ticks: int) -> None:
    node = paper(**config, symbols=(PaperSymbolConfig(symbol="EURUSD", spread_ticks=ticks),))
    margin = float(config.get("slippage_fraction", 0)) * 2 + (ticks + 1) * 0.00001
    bar: Bar | None = None
    for message in run:
        bar = message if isinstance(message, Bar) else bar
        for fill in fills(feed(node, message)):
            assert bar is not None
            assert bar.low - margin <= float(fill.price) <= bar.high + margin


@settings(max_examples=60)
@given(_any_run, _configs)
def test_limits_are_kept_and_untouched_stops_do_not_trade(run: list[Message], config: dict[str, Any]) -> None:
    orders: dict[str, Any] = {}
    for message in feed(paper(**config), *(m for m in run if not type(m).__name__.startswith("Modify"))):
        if isinstance(message, OrderAccepted):
            order = next(m for m in run if isinstance(m, SubmitOrder) and m.order_id == message.order_id)
            orders[message.order_id] = order
        elif isinstance(message, Fill):
            order = orders[message.order_id]
            sign = 1 if order.side == "buy" else -1
            if order.order_type in ("limit", "stop_limit"):
                assert sign * message.price <= sign * order.limit_price
            if order.order_type == "stop" and not config["max_volume_fraction"]:
                assert sign * message.price >= sign * order.stop_price


@settings(max_examples=60)
@given(_any_run, _configs)
def test_a_state_put_back_before_each_message_changes_nothing(run: list[Message], config: dict[str, Any]) -> None:
    whole, restored = paper(**config), paper(**config)
    assert feed_restoring(restored, *run) == feed(whole, *run)
    assert restored.snapshot() == whole.snapshot()


@settings(max_examples=100)
@given(_any_run, _configs)
def test_what_it_sleeps_through_changes_nothing(run: list[Message], config: dict[str, Any]) -> None:
    awake, asleep = paper(**config), paper(**config)
    assert feed_holding_back(asleep, *run) == feed(awake, *run)
    assert asleep.account() == awake.account()
    assert asleep.open_orders() == awake.open_orders()


@settings(max_examples=60)
@given(_any_run, _configs)
def test_an_order_pays_what_its_whole_trade_costs(run: list[Message], config: dict[str, Any]) -> None:
    part, least = Decimal("0.00001"), Decimal(3)
    said = fills(feed(paper(**config | {"commission_fraction": part, "commission_min": least}), *run))
    for order_id in {fill.order_id for fill in said}:
        mine = [fill for fill in said if fill.order_id == order_id]
        notional = sum((fill.quantity * 100_000 * fill.price for fill in mine), ZERO)
        assert sum((fill.commission for fill in mine), ZERO) == max(least, part * notional)


@settings(max_examples=60)
@given(_any_run, _configs)
def test_its_positions_are_the_sum_of_its_fills(run: list[Message], config: dict[str, Any]) -> None:
    node = paper(**config)
    held = sum((fill.signed_quantity for fill in fills(feed(node, *run))), ZERO)
    assert sum((each.quantity for each in node.positions()), ZERO) == held


# -- brackets ------------------------------------------------------------------------------------------------------------

_entry_types = st.sampled_from(
    [
        {},
        {"order_type": "limit", "limit_price": Decimal("1.385")},
        {"order_type": "stop", "stop_price": Decimal("1.395")},
        {"time_in_force": "ioc"},
    ]
)
_stops = st.sampled_from(
    [{"order_type": "stop", "stop_price": Decimal("1.38")}, {"order_type": "trailing_stop", "trail_amount": Decimal("0.004")}]
)


@st.composite
def _bracket_runs(draw: st.DrawFn) -> list[Message]:
    """An entry to buy 10, its exits before, between or after the bars, changes and cancels of any of them."""
    exits: dict[str, Any] = {"side": "sell", "parent_id": "e", "oco_group": "e"}
    target = {"order_type": "limit", "limit_price": Decimal("1.40")}
    quantities = st.integers(8, 12).map(Decimal)
    orders = [
        an_order(order_id="e", quantity=Decimal(10), **draw(_entry_types)),
        an_order(order_id="tp", quantity=draw(quantities), **exits | target),
        an_order(order_id="sl", quantity=draw(quantities), **exits | draw(_stops)),
    ]
    run: list[Message] = list(orders[: draw(st.integers(1, 3))])
    waiting = orders[len(run) :]
    names = st.sampled_from(["e", "tp", "sl"])
    for minute in range(draw(st.integers(1, 12))):
        for kind in draw(st.permutations(["bid", "ask"])):
            run.append(draw(_bars(T0 + minute * MINUTE, kind)))
        now = T0 + (minute + 1) * MINUTE
        if waiting and draw(st.booleans()):
            late = waiting.pop(0)
            run.append(replace(late, ts_event_ns=now))
        if not draw(st.integers(0, 5)):
            run.append(a_cancel(draw(names), at=now))
        if not draw(st.integers(0, 3)):
            name, quantity = draw(st.sampled_from([("e", 4), ("e", 7), ("e", 10), ("tp", 1)]))
            run.append(a_change(order_id=name, quantity=Decimal(quantity), ts_event_ns=now))
    return run


@settings(max_examples=200)
@given(_bracket_runs(), st.sampled_from([ZERO, Decimal("0.5")]))
def test_a_bracket_never_closes_more_than_it_opened(run: list[Message], fraction: Decimal) -> None:
    node = paper(max_volume_fraction=fraction)
    position = ZERO
    for message in run:
        for fill in fills(feed(node, message)):
            position += fill.signed_quantity
            assert 0 <= position <= 10, fill
        check_exits(node, position)


def check_exits(node: PaperNode, position: Decimal) -> None:
    """Once the entry has ended, neither exit that came with it is for more than is held."""
    working = {order.order_id: order for order in node.open_orders()}
    if "e" in working:
        return
    for name in ("tp", "sl"):
        if name in working:
            order = working[name]
            assert order.quantity - order.filled <= position, order


@pytest.mark.parametrize("kind", [OrderExpired, OrderModified, OrderCancelled, ModifyRejected, OrderRejected])
def test_the_runs_lead_to_every_kind_of_event(kind: type) -> None:
    reached(_any_run, lambda run: any(isinstance(m, kind) for m in feed(paper(), *run)))


def test_the_runs_trade_in_parts_and_brackets_use_both_exits() -> None:
    parts = {"max_volume_fraction": Decimal("0.5")}
    reached(_any_run, lambda run: any(fill.exec_id.endswith("-3") for fill in fills(feed(paper(**parts), *run))))
    reached(_bracket_runs(), lambda run: {fill.order_id for fill in fills(feed(paper(**parts), *run))} == {"e", "tp", "sl"})


def reached(runs: st.SearchStrategy[list[Message]], condition: Callable[[list[Message]], bool]) -> None:
    """Raises where no run is like that: then the laws above check less than they say."""
    find(runs, condition, settings=settings(max_examples=2000, phases=[Phase.generate], database=None))
