"""What holds for a sender whatever is asked, lost, delayed, repeated, and whenever it crashes: a broker keeps its own books."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from barque.messages import CancelOrder, Fill, Halt, ModifyOrder, OrderRejected, RejectReason, Resume
from barque.venue import Connected, Disconnected, Executed
from router.core.orders import cancel_of
from router.core.sending.effects import Send
from tests.support.builders import an_order
from tests.support.routing import command
from tests.support.sending import Sending, a_bracket, capabilities

D = Decimal
LUCK = st.lists(st.sampled_from(["ok", "ok", "not_sent", "lost_before", "lost_after"]), max_size=3)
PICK = st.integers(0, 30)
CONTRACTS = st.integers(1, 10).map(D)


class SendingLaws(RuleBasedStateMachine):
    """A sender, a broker, and a wire that loses things."""

    @initialize(dedupe=st.sampled_from(["none", "forever"]))
    def begin(self, dedupe: Any) -> None:
        self.life = Sending(capabilities(dedupe=dedupe), max_requests_per_s=1000, burst=100)
        self.ids: list[str] = []
        self.sides: dict[str, str] = {}
        self.count = 0
        self.halted = False
        self.life.connect()

    def tell(self, luck: list[Any], *messages: Any) -> None:
        life, already = self.life, len(self.life.effects)
        life.luck = luck
        life.tell(*messages)
        life.luck = []
        if self.halted:
            assert not [effect for effect in life.effects[already:] if isinstance(effect, Send)]

    def request(self, kind: type, pick: int, **fields: Any) -> Any:
        self.count += 1
        about = {"cause": f"k{self.count}", "root": "r", "strategy_id": "s1", "account": "paper", "symbol": "EURUSD"}
        return kind(order_id=self.ids[pick % len(self.ids)], ts_event_ns=self.life.now_ns, **about, **fields)

    @rule(luck=LUCK, bracket=st.booleans(), quantity=CONTRACTS, side=st.sampled_from(["buy", "sell"]))
    def submit(self, luck: list[Any], bracket: bool, quantity: Decimal, side: str) -> None:
        self.count += 1
        name = f"o{self.count}"
        orders = a_bracket(name, int(quantity)) if bracket else [an_order(order_id=name, side=side, quantity=quantity)]
        self.ids += [order.order_id for order in orders]
        self.tell(luck, *orders)

    @rule(luck=LUCK, quantity=CONTRACTS, part=CONTRACTS, all_heard=st.booleans())
    def enter(self, luck: list[Any], quantity: Decimal, part: Decimal, all_heard: bool) -> None:
        """A bracket whose entry trades at once, for much of what may happen begins there."""
        self.submit([], bracket=True, quantity=quantity, side="buy")
        name = f"o{self.count}"
        if name in self.life.broker.open_ids():
            self.deliver([], count=99)
            self.life.broker.trade(name, part)
            self.deliver(luck, count=99 if all_heard else 0)

    @precondition(lambda self: self.ids)
    @rule(luck=LUCK, pick=PICK)
    def cancel(self, luck: list[Any], pick: int) -> None:
        self.tell(luck, self.request(CancelOrder, pick))

    @precondition(lambda self: self.ids)
    @rule(luck=LUCK, pick=PICK, quantity=CONTRACTS)
    def change(self, luck: list[Any], pick: int, quantity: Decimal) -> None:
        order_id = self.ids[pick % len(self.ids)]
        if "-" not in order_id:
            self.tell(luck, self.request(ModifyOrder, pick, quantity=quantity))

    @precondition(lambda self: self.life.broker.open_ids())
    @rule(pick=PICK, quantity=CONTRACTS, priced=st.booleans(), exits=st.booleans())
    def trade(self, pick: int, quantity: Decimal, priced: bool, exits: bool) -> None:
        open_ids = self.life.broker.open_ids()
        if exits:
            open_ids = [each for each in open_ids if "-" in each] or open_ids
        self.life.broker.trade(open_ids[pick % len(open_ids)], quantity, D("0.5") if priced else None)

    @precondition(lambda self: self.correctable())
    @rule(pick=PICK, contracts=st.integers(0, 3))
    def correct(self, pick: int, contracts: int) -> None:
        executions = self.correctable()
        execution = executions[pick % len(executions)]
        self.life.broker.correct(execution, min(D(contracts), execution.quantity))

    def correctable(self) -> list[Any]:
        """Executions that stand, of orders without exits."""
        broker, linked = self.life.broker, {each.partition("-")[0] for each in self.ids if "-" in each}
        standing = [each for each in broker.executions if each.exec_id not in broker.replaced]
        return [each for each in standing if each.order_id.partition("-")[0] not in linked]

    @rule(quantity=CONTRACTS)
    def trade_by_hand(self, quantity: Decimal) -> None:
        self.life.broker.execute("", "buy", quantity)

    @rule(luck=LUCK, count=st.sampled_from([1, 2, 3, 99]))
    def deliver(self, luck: list[Any], count: int) -> None:
        events, self.life.broker.pending = self.life.broker.pending[:count], self.life.broker.pending[count:]
        self.tell(luck, *events)

    @precondition(lambda self: self.life.broker.executions)
    @rule(pick=PICK)
    def repeat(self, pick: int) -> None:
        broker = self.life.broker
        self.tell([], Executed(execution=broker.executions[pick % len(broker.executions)]))

    @precondition(lambda self: self.life.questions)
    @rule(luck=LUCK)
    def answer(self, luck: list[Any]) -> None:
        asked, self.life.questions = self.life.questions, []
        self.tell(luck, *[self.life.broker.books(ask) for ask in asked])

    @rule(luck=LUCK, seconds=st.sampled_from([0.5, 3, 6, 40]))
    def wait(self, luck: list[Any], seconds: float) -> None:
        self.life.now_ns += int(seconds * 1e9)
        self.life.broker.now_ns = self.life.now_ns
        self.tell(luck)

    @rule(stop=st.booleans(), pick=PICK)
    def halt(self, stop: bool, pick: int) -> None:
        """Somebody halts the book or resumes it; after a halt an order at the broker trades."""
        self.count += 1
        self.halted = stop
        self.tell([], command(Halt if stop else Resume, f"c{self.count}"))
        if stop and self.life.broker.open_ids():
            self.trade(pick, D(2), priced=True, exits=False)
            self.deliver([], count=99)

    @rule(luck=LUCK, crash=st.booleans())
    def lose_session(self, luck: list[Any], crash: bool) -> None:
        if crash:
            self.life.crash()
        else:
            self.life.broker.pending, self.life.questions = [], []
            self.tell([], Disconnected(ts_event_ns=self.life.now_ns, detail="cut"))
        self.tell(luck, Connected(ts_event_ns=self.life.now_ns))

    @invariant()
    def no_order_is_at_the_broker_twice(self) -> None:
        if hasattr(self, "life"):
            assert all(booked.submissions == 1 for booked in self.life.broker.orders.values())
            numbers = self.life.broker.sent_numbers
            assert len(numbers) == len(set(numbers))

    @invariant()
    def each_execution_is_said_once(self) -> None:
        if hasattr(self, "life"):
            said = [m.exec_id for m in self.life.said if isinstance(m, Fill)]
            assert len(said) == len(set(said))

    @invariant()
    def what_is_said_never_to_have_been_sent_is_not_at_the_broker(self) -> None:
        if hasattr(self, "life"):
            gone = [m for m in self.life.said if isinstance(m, OrderRejected) and m.reason is RejectReason.NOT_SENT]
            assert not [m.order_id for m in gone if m.order_id in self.life.broker.orders]

    def teardown(self) -> None:
        """Left alone with a broker that answers, a sender comes to know all there is to know."""
        if not hasattr(self, "life"):
            return
        life = self.life
        self.halted = False
        life.luck = []
        life.tell(command(Resume, "end"))
        life.tell(Connected(ts_event_ns=life.now_ns))
        life.rest()
        assert life.positions() == life.broker.positions()
        assert life.halts == []
        self._check_fills()
        self._check_orders()
        self.no_order_is_at_the_broker_twice()

    def _check_fills(self) -> None:
        """What was said adds up to the broker's positions, and no commission is missing or booked twice."""
        fills = {m.exec_id: m for m in self.life.said if isinstance(m, Fill)}
        standing = set(fills) - {fill.corrects for fill in fills.values()}
        total = sum((fills[name].signed_quantity for name in standing), D(0))
        assert total == self.life.broker.positions().get("EURUSD", D(0))

    def _check_orders(self) -> None:
        """Orders at work are the same on both sides; an exit is as large as its entry has filled, less what its twin has."""
        life = self.life
        ours = life.state()["orders"]
        assert {o for o, each in ours.items() if each["number"] and D(each["filled"]) < D(each["at_venue"])} == set(
            life.broker.open_ids()
        )
        assert all(each["state"] in ("NEW", "ACKED", "PARTIALLY_FILLED") for each in ours.values()), ours
        for order_id in life.broker.open_ids():
            booked = life.broker.orders[order_id]
            assert booked.filled == D(ours[order_id]["filled"])
            entry_id = order_id.partition("-")[0]
            if entry_id != order_id:
                twins = [each for each in life.broker.orders.values() if each.order.order_id.startswith(f"{entry_id}-")]
                left = life.broker.orders[entry_id].filled - sum((each.filled for each in twins), D(0))
                assert booked.order.quantity - booked.filled == left, order_id


TestSendingLaws = SendingLaws.TestCase
TestSendingLaws.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("seed", range(40))
def test_an_exit_that_the_broker_holds_leaves_with_its_entry_or_after_it(seed: int) -> None:
    """Requests do not leave, answers are lost, entries are withdrawn, halts come and go; no exit ever goes before its entry, and
    what never left for its entry's sake has ended with it."""
    chance = random.Random(seed)
    life = Sending(capabilities(brackets=True, oco=True), unknown_alert_s=1e6)
    life.connect()
    for n in range(3):
        life.luck = [chance.choice(["ok", "not_sent", "not_sent", "lost_before", "lost_after"]) for _ in range(4)]
        bracket = a_bracket(f"e{n}")
        if chance.random() < 0.3:
            life.tell(*bracket[: chance.choice([1, 2])])
        life.tell(*bracket)
        if chance.random() < 0.3:
            life.tell(cancel_of(bracket[0], "k", "r", life.now_ns))
        if chance.random() < 0.3:
            life.tell(command(Halt, f"h{n}"))
            life.wait(2)
            life.tell(command(Resume, f"c{n}"))
        life.wait(chance.choice([0.5, 2, 6]))
        life.deliver()
        life.answer()
    life.luck = []
    life.rest(8)
    for send in (effect for effect in life.effects if isinstance(effect, Send)):
        together = {order.order_id for order, _ in send.orders}
        for order, _ in send.orders:
            assert order.parent_id is None or order.parent_id in together | set(life.broker.orders), order.order_id
    waiting = [order_id for order_id, each in life.state()["orders"].items() if each["state"] == "NEW"]
    assert waiting == []
