"""What must be true once nothing fails any more and everybody has been heard: all books say what the broker's say.

In:   a world in whatever state.   Out: nothing; an assertion that fails says which books differ.
"""

from __future__ import annotations

from decimal import Decimal
from random import Random

import msgspec

from barque.messages import Flatten, StartStrategy, Topic
from router.core.sending.state import SendingState
from router.core.state import RouterState
from tests.simulation.broker import OPENING_CASH
from tests.simulation.world import STRATEGIES, World

ZERO = Decimal(0)
ROUNDS = 14
"""Rounds of six seconds: enough for two looks, a repeated cancel, a breaker's cool-down."""


def come_to_rest(world: World, chance: Random) -> None:
    """The faults end; the books are brought together."""
    if world.policy == "halt_and_alert":
        world.broker.moved.clear()  # somebody has found out
    world.do_resume(chance)
    world.do_connect(chance)
    for _ in range(ROUNDS):
        while world.under_way:
            world.do_arrive(chance)
        _settle(world, chance)
        world._advance(6)
        for symbol in world.broker.prices:
            world._mark(symbol)
        if world.row or world.streams.flag:
            world.do_resume(chance)
    _settle(world, chance)
    check(world)


def close_all(world: World, chance: Random) -> None:
    """A flatten ends flat, whatever was before."""
    if world.row or world.streams.flag:
        world.do_resume(chance)
        _settle(world, chance)
    for strategy_id in STRATEGIES:
        world.streams.publish([(Topic.CONTROL, world._command(StartStrategy, strategy_id=strategy_id))])
    world.streams.publish([(Topic.CONTROL, world._command(Flatten))])
    for _ in range(ROUNDS):
        if world.row or world.streams.flag:
            world.do_resume(chance)
        _settle(world, chance)
        for order_id in world.broker.at_work():
            if world.broker.orders[order_id].order.order_type == "market":
                world.broker.trade(order_id, Decimal(99))
        _settle(world, chance)
        world._advance(6)
    check(world)
    held = {
        place: quantity for place, quantity in world.router_laws.known.executions.positions().items() if place[0] in STRATEGIES
    }
    assert not held, f"a flatten left {held}"
    ours = world.broker.open_ids()
    assert not ours, f"a flatten left orders at work: {ours}"


def _settle(world: World, chance: Random) -> None:
    for _ in range(20):
        world.do_drain(chance)
        if not world.questions:
            return
        world.do_answer(chance, faulty=False)
    raise AssertionError("the sender asks for the books for ever")


def check(world: World) -> None:
    """I6 and I7: positions, orders and cash are the broker's, in every book."""
    broker = world.broker
    sender = msgspec.msgpack.decode(world.sender.blob, type=SendingState)
    router = msgspec.msgpack.decode(world.router.blob, type=RouterState)
    theirs = broker.positions()
    if world.policy == "sync_to_local":
        for symbol, moved in broker.moved.items():  # known to differ, reported, and left
            theirs[symbol] = theirs.get(symbol, ZERO) - moved
        theirs = {symbol: quantity for symbol, quantity in theirs.items() if quantity}
    assert sender.positions == theirs, f"I6: the sender holds {sender.positions}, the broker {theirs}"
    by_symbol = world.router_laws.known.executions.by_symbol()
    assert by_symbol == theirs, f"I6: the router holds {by_symbol}, the broker {theirs}"
    if not world.portfolio_laws.unbooked:
        assert world.portfolio_laws.by_symbol() == theirs, "I6: the portfolio's positions are not the broker's"
    _check_orders(world, sender, router)
    _check_money(world, sender)


def _check_orders(world: World, sender: SendingState, router: RouterState) -> None:
    broker = world.broker
    at_venue = {order_id for order_id, live in sender.orders.items() if live.number and live.filled < live.at_venue}
    assert at_venue == set(broker.open_ids()), f"I5: the sender has {at_venue} at work, the broker {broker.open_ids()}"
    assert set(router.orders) == set(sender.orders), f"I6: open orders differ: {set(router.orders) ^ set(sender.orders)}"
    for order_id, live in sender.orders.items():
        known = router.orders[order_id]
        assert live.state.value in ("NEW", "ACKED", "PARTIALLY_FILLED"), f"L1: order {order_id} is still {live.state}"
        assert known.order.quantity == live.order.quantity, f"I8: order {order_id}: {known.order.quantity} {live.order.quantity}"
        assert known.asked is None, f"L1: the change of order {order_id} was never answered"
        if order_id in broker.orders:
            booked = broker.orders[order_id]
            assert booked.filled == live.filled == known.filled, f"I8: order {order_id}: filled {booked.filled} {live.filled}"
            assert booked.order.quantity == live.at_venue, f"I8: order {order_id}: {booked.order.quantity} {live.at_venue}"
            assert booked.order.limit_price == live.order.limit_price == known.order.limit_price, f"I8: price of {order_id}"


def _check_money(world: World, sender: SendingState) -> None:
    """Every currency, to the last digit: what the fills come to is what the broker has paid and received."""
    booked = world.portfolio_laws.executions.standing()
    if any(fill.exec_id.startswith(("adjust/", "opening/")) for fill in booked) or any(
        each.silent for each in sender.executions.values()
    ):
        return  # contracts that came from nowhere, or from before, are booked at a price that nobody paid
    theirs = {currency: amount - world.broker.money.get(currency, ZERO) for currency, amount in world.broker.cash().items()}
    ours = world.portfolio_laws.flows()
    assert ours == theirs, f"I7: our fills come to {ours}, the broker's cash is {theirs}"
    if world.spot and not world.portfolio_laws.unbooked:
        cash = dict.fromkeys(OPENING_CASH, ZERO) | dict(world.portfolio.node.cash("paper"))
        expected = {currency: amount + world.portfolio_laws.adjusted[currency] for currency, amount in theirs.items()}
        assert cash == expected, f"I7: the portfolio's cash is {cash}, the broker's with what was told of it {expected}"
