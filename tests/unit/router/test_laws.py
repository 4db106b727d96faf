"""What holds for every sequence of wishes, trades and reports."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from barque.messages import (
    ClockTicked,
    Fill,
    Flatten,
    Halt,
    Mark,
    Message,
    Resume,
    StartStrategy,
    StopStrategy,
    SubmitOrder,
    Topic,
)
from barque.node import ASLEEP
from router.core.node import RouterNode
from tests.support.builders import NS, T0, a_fill, a_mark, clock
from tests.support.routing import (
    a_cancel,
    a_change,
    a_router,
    a_wish,
    check_restores,
    command,
    equity,
    feed,
    of_kind,
    position,
    rejected,
)
from tests.support.venue import Venue

D = Decimal
ONE_OR_MORE = st.integers(1, 4).map(Decimal)
LIMIT, STOP = {"order_type": "limit", "limit_price": D("1.30")}, {"order_type": "stop", "stop_price": D("1.42")}
LEGS = {"take_profit": D("1.50"), "stop_loss": D("1.20")}
SHORT_LEGS = {"take_profit": D("1.20"), "stop_loss": D("1.50")}
HOW = st.sampled_from([{}, {}, LIMIT, STOP])


@st.composite
def wishes(draw: Any, brackets: bool) -> dict[str, Any]:
    """What a strategy may wish for, but for its id."""
    kind = draw(st.sampled_from(["enter", "enter", "bracket" if brackets else "enter", "exit", "reduce", "target"]))
    wish: dict[str, Any] = {"action": kind, "side": None, "quantity": None}
    if kind in ("enter", "bracket"):
        side = draw(st.sampled_from(["buy", "sell"]))
        wish = {"action": "enter", "side": side, "quantity": draw(ONE_OR_MORE)}
        if kind == "bracket":
            return wish | (LEGS if side == "buy" else SHORT_LEGS)
    elif kind == "reduce":
        wish["quantity"] = draw(ONE_OR_MORE)
    elif kind == "target":
        wish["target"] = D(draw(st.integers(-4, 4)))
    return wish | draw(HOW)


def steps(brackets: bool, strategies: Sequence[str]) -> st.SearchStrategy[list[Any]]:
    """A life: (strategy, wish), or (which order trades, how much), or which strategy cancels all."""
    mine = st.sampled_from(list(strategies))
    each = st.one_of(
        st.tuples(st.just("wish"), mine, wishes(brackets)),
        st.tuples(st.just("trade"), st.integers(0, 7), ONE_OR_MORE),
        st.tuples(st.just("cancel"), mine, st.none()),
        st.tuples(st.just("change"), st.integers(0, 7), ONE_OR_MORE),
    )
    return st.lists(each, max_size=40)


class Life:
    """A router and its broker."""

    def __init__(self, node: RouterNode, late: bool = False) -> None:
        self.node, self.venue, self.count = node, Venue(late=late), 0

    def tell(self, *messages: Message) -> None:
        """Tell the router, and let both come to rest."""
        said = feed(self.node, *messages)
        while said:
            said = feed(self.node, *self.venue.take(said))

    def step(self, kind: str, which: Any, what: Any) -> None:
        self.count += 1
        if kind == "wish":
            self.tell(a_wish(str(self.count), strategy_id=which, **what))
        elif kind == "cancel":
            self.tell(a_cancel(str(self.count), strategy_id=which))
        elif at_work := self.venue.at_work():
            order = at_work[which % len(at_work)]
            if kind == "trade":
                self.tell(*self.venue.trade(order, what))
            else:
                self.tell(a_change(str(self.count), order.order_id, strategy_id=order.strategy_id, quantity=what))


@given(steps(brackets=False, strategies=["s1", "s2"]))
def test_no_position_passes_max_position_whatever_two_strategies_wish(run: list[Any]) -> None:
    life = Life(a_router(limits={"max_position": "4"}))
    for step in run:
        life.step(*step)
        assert abs(sum(life.venue.positions.values())) <= 4
        assert all(position(life.node, s) == held for s, held in life.venue.positions.items())


@given(steps(brackets=True, strategies=["s1"]))
def test_no_position_passes_max_position_with_brackets_either(run: list[Any]) -> None:
    life = Life(a_router(limits={"max_position": "4"}))
    for step in run:
        life.step(*step)
        assert abs(life.venue.positions.get("s1", D(0))) <= 4


@given(steps(brackets=False, strategies=["s1", "s2"]))
def test_a_strategys_own_limit_holds_beside_the_books(run: list[Any]) -> None:
    own = {"strategy": "s1", "max_position": "2"}
    life = Life(a_router(limits={"max_position": "5"}, strategy_limits=[own]))
    for step in run:
        life.step(*step)
        assert abs(life.venue.positions.get("s1", D(0))) <= 2
        assert abs(sum(life.venue.positions.values())) <= 5


@given(steps(brackets=True, strategies=["s1", "s2"]))
def test_an_order_that_closes_brings_no_position_through_zero_by_itself(run: list[Any]) -> None:
    """Were it the only order to trade, and at once, what it leaves is between the position and zero."""
    life = Life(a_router())
    for step in run:
        before = dict(life.venue.positions)
        known = set(life.venue.orders)
        life.step(*step)
        if step[0] == "wish":
            for order in [o for key, o in life.venue.orders.items() if key not in known]:
                if order.closes and order.parent_id is None:
                    held = before.get(order.strategy_id, D(0))
                    assert order.side == ("sell" if held > 0 else "buy")
                    assert order.quantity <= abs(held)


@given(steps(brackets=True, strategies=["s1", "s2"]), st.data())
def test_a_flatten_ends_flat_whatever_cancels_and_trades_race(run: list[Any], data: st.DataObject) -> None:
    life = Life(a_router(), late=True)
    for step in run:
        if step[0] != "change":
            life.step(*step)
    life.tell(command(Flatten))
    race(life, data)
    assert {s: held for s, held in life.venue.positions.items() if held} == {}


def race(life: Life, data: st.DataObject) -> None:
    """Let orders trade and late cancels happen, in any order, until nothing is at work."""
    for _ in range(200):
        venue = life.venue
        leaving = [order_id for order_id in venue.leaving if order_id in venue.orders]
        if leaving and data.draw(st.booleans()):
            life.tell(*venue.settle(data.draw(st.sampled_from(leaving))))
        elif at_work := venue.at_work():
            life.tell(*venue.trade(data.draw(st.sampled_from(at_work)), data.draw(ONE_OR_MORE)))
    assert not life.venue.orders


@given(st.lists(st.tuples(st.booleans(), ONE_OR_MORE), min_size=1, max_size=3), st.data())
def test_exits_and_targets_end_where_they_are_to_though_guards_and_resting_exits_trade_before_they_are_taken_back(
    brackets: Any, data: st.DataObject
) -> None:
    life = Life(a_router(), late=True)
    side = data.draw(st.sampled_from(["buy", "sell"]))
    for number, (guarded, quantity) in enumerate(brackets):
        legs = (LEGS if side == "buy" else SHORT_LEGS) if guarded else {}
        life.tell(a_wish(f"b{number}", side=side, quantity=quantity, **legs))
        (entry,) = [order for order in life.venue.at_work() if order.cause == f"b{number}" and order.parent_id is None]
        life.tell(*life.venue.trade(entry, quantity))
    for number, resting in enumerate(data.draw(st.lists(ONE_OR_MORE, max_size=2))):
        life.tell(a_wish(f"r{number}", action="reduce", side=None, quantity=resting, **LIMIT))
    reduced = data.draw(ONE_OR_MORE)
    life.tell(a_wish("reduce", action="reduce", side=None, quantity=reduced))
    beyond = data.draw(st.integers(0, 3)) * (-1 if side == "buy" else 1)
    if beyond and data.draw(st.booleans()):
        life.tell(a_wish("first", action="target", side=None, quantity=None, target=D(-beyond)))
    last: dict[str, Any] = {"action": "target", "target": D(beyond)} if beyond else {"action": "exit"}
    life.tell(a_wish("last", side=None, quantity=None, **last))
    race(life, data)
    assert life.venue.positions["s1"] == beyond, (life.venue.positions, beyond, brackets, reduced)


_reports = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["buy", "sell"]), st.integers(0, 3)), min_size=1, max_size=6)


@given(st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 5), _reports), max_size=5), st.randoms())
def test_corrected_executions_count_as_they_are_corrected_last_in_any_order_of_arrival(trades: Any, chance: Any) -> None:
    """Of each trade there is a first report and corrections, each of the one before; all come shuffled, some twice."""
    reports: list[Fill] = []
    expected = D(0)
    for index, (side, quantity, corrections) in enumerate(trades):
        last = a_fill(exec_id=f"{index}.0", side=side, quantity=D(quantity))
        reports.append(last)
        for number, (_, other_side, other) in enumerate(corrections, start=1):
            last = a_fill(exec_id=f"{index}.{number}", side=other_side, quantity=D(other), corrects=f"{index}.{number - 1}")
            reports.append(last)
        expected += last.quantity if last.side == "buy" else -last.quantity
    shuffled = reports + [report for report in reports if chance.random() < 0.3]
    chance.shuffle(shuffled)
    node = a_router()
    feed(node, *shuffled)
    assert position(node) == expected


@given(steps(brackets=True, strategies=["s1", "s2"]), st.integers(0, 30), st.integers(0, 30))
def test_within_a_minute_no_more_goes_out_than_the_rate_and_twice_as_much_with_exits(run: list[Any], a: int, b: int) -> None:
    book, own = sorted((a, b))[1] + 1, sorted((a, b))[0] + 1
    rate = {"order_rate": {"per_minute": book, "on_trip": "refuse"}}
    mine = [{"strategy": "s1", "order_rate": {"per_minute": own, "on_trip": "refuse"}}]
    life = Life(a_router(breakers=rate, strategy_breakers=mine))
    for step in run:
        life.step(*step)
    orders = list(life.venue.traded)
    assert len(orders) <= 2 * book


def everything(**breakers: Any) -> RouterNode:
    """A router with every limit and breaker there is; `breakers`: some of them otherwise."""
    limits: dict[str, Any] = {
        "max_position": "6",
        "max_notional": "900000",
        "max_order_quantity": "4",
        "max_order_notional": "800000",
        "price_collar_fraction": "0.2",
        "stale_after_s": "300",
        "duplicate_window_ms": 10,
        "trading_hours": True,
        "margin_fraction": "0.05",
        "max_gross_exposure": "1000000",
        "max_net_exposure": "900000",
        "max_leverage": "12",
        "max_margin_use_fraction": "0.9",
        "max_buying_power_use_fraction": "1",
        "max_open_orders": 12,
        "max_orders_per_minute": 20,
        "symbols": ["EURUSD"],
    }
    breakers = {
        "drawdown": {"fraction": "0.1", "cool_down_s": 30, "on_trip": "flatten"},
        "daily_loss": {"amount": "7000"},
        "order_rate": {"per_minute": 15, "cool_down_s": 60},
        "rejection_rate": {"per_minute": 2, "on_trip": "refuse"},
        "stale_data": {"after_s": "200"},
    } | breakers
    own = {"strategy": "s1", "drawdown": {"amount": "500"}, "order_rate": {"per_minute": 9, "cool_down_s": 5}}
    sizing = [{"method": "volatility", "value": "0.01", "strategy": "s2"}, {"method": "equity_fraction", "value": "1.5"}]
    return a_router(limits=limits, breakers=breakers, strategy_breakers=[own], sizing=sizing)


@st.composite
def happenings(draw: Any) -> list[Message]:
    """Messages of every kind, as time goes by."""
    messages: list[Message] = [clock(T0), a_mark(T0), equity("100000", T0)]
    at, orders = T0, [f"{i}" for i in range(40)]
    for index in range(draw(st.integers(0, 30))):
        at += draw(st.sampled_from([0, 0, NS, 20 * NS, 100 * NS]))
        kind = draw(st.sampled_from(["wish", "wish", "wish", "fill", "reject", "equity", "mark", "clock", "command", "cancel"]))
        if kind == "wish":
            wish = draw(wishes(brackets=True))
            sized = wish if draw(st.booleans()) else wish | {"quantity": None}
            messages.append(a_wish(orders[index], at, strategy_id=draw(st.sampled_from(["s1", "s2"])), **sized))
        elif kind == "fill":
            side = draw(st.sampled_from(["buy", "sell"]))
            messages.append(a_fill(at, exec_id=f"{draw(st.integers(0, 20))}", side=side, quantity=draw(ONE_OR_MORE)))
        elif kind == "reject":
            messages.append(rejected(_any_order(draw), at))
        elif kind == "equity":
            messages.append(equity(str(draw(st.integers(80_000, 110_000))), at))
        elif kind == "mark":
            messages.append(a_mark(at))
        elif kind == "clock":
            messages.append(clock(at))
        elif kind == "cancel":
            messages.append(a_cancel(f"k{index}"))
        else:
            kinds = draw(st.sampled_from([Halt, Resume, Flatten, StopStrategy, StartStrategy]))
            about = {"strategy_id": "s1"} if kinds in (StopStrategy, StartStrategy) else {}
            messages.append(command(kinds, f"c{index}", **about))
    return messages


def _any_order(draw: Any) -> SubmitOrder:
    wish = a_wish(str(draw(st.integers(0, 39))))
    orders = of_kind(SubmitOrder, feed(a_router(), wish))
    return orders[0]


@given(happenings())
def test_a_router_restored_after_every_message_goes_on_as_if_nothing_had_been(messages: list[Message]) -> None:
    check_restores(everything, messages)


@given(happenings())
def test_holding_back_marks_and_times_changes_no_order(messages: list[Message]) -> None:
    """What a runner does that heeds `sleeps_until`: it tells the newest of what it held back before anything else."""
    told, spared = everything(stale_data={}), everything(stale_data={})
    meant, said = feed(told, *messages), []
    held: dict[type, Message] = {}
    for message in messages:
        if isinstance(message, Mark | ClockTicked):
            held[type(message)] = message
            if isinstance(message, Mark) or message.now_ns < spared.sleeps_until(Topic.CLOCK):
                continue
        said += feed(spared, *(held.pop(kind) for kind in (ClockTicked, Mark) if kind in held))
        if not isinstance(message, ClockTicked):
            said += feed(spared, message)
    assert of_kind(SubmitOrder, said) == of_kind(SubmitOrder, meant)
    assert spared.sleeps_until(Topic.MARKS) == ASLEEP
