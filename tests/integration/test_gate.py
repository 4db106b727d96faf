"""What the gate lets through when the book was halted after the node had decided.

Judged by the simulated broker's own books, over its wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from barque.config import convert
from barque.messages import CancelOrder, ModifyOrder, SubmitOrder
from barque.venue import VenuePosition
from router.core.sending.config import SendingConfig
from router.core.sending.effects import Change, Send, Withdraw
from router.core.sending.events import LedgerFigures, NotSent
from router.shell.senders.session import Event, Request, VenueSession
from simulators.broker.venue import open_venue
from tests.support.brokers import Simulated
from tests.support.builders import an_order
from tests.support.sending import D

ORDER = an_order(account="SIM1", quantity=D(4), order_type="limit", limit_price=D("1.2"))
ABOUT: dict[str, Any] = {
    name: getattr(ORDER, name) for name in ("cause", "root", "strategy_id", "account", "symbol", "ts_event_ns")
}


class AtTheBroker:
    """A session with the simulated broker, and what it has told."""

    def __init__(self, broker: Simulated, sections: dict[str, Any]) -> None:
        self.broker = broker
        config = convert({"account": "SIM1", "venue": "simulated"}, SendingConfig, "sender")
        venue = open_venue(sections, [broker.instrument], "SIM1")
        self.session = VenueSession(venue, config, no_figures)
        self.told: list[Event] = []

    def hear(self) -> list[str]:
        """Kinds of events so far."""
        self.told += self.session.take()
        return [type(event).__name__ for event in self.told]

    async def send(self, *requests: Request, halted: bool, ago: float = 0) -> list[NotSent]:
        """What was held back of them; they were decided so many seconds `ago`."""
        self.told.clear()
        await self.session.send(requests, halted, time.monotonic() - ago)
        self.hear()
        return [event for event in self.told if isinstance(event, NotSent)]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 (the state is in another task)
                await asyncio.sleep(0.01)

    def at_broker(self) -> dict[str, Any]:
        return {order.order_id: order.quantity for order in self.broker.broker.books.open_orders()}


async def no_figures(_: Sequence[VenuePosition]) -> LedgerFigures | None:
    return None


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[AtTheBroker]:
    broker = Simulated()
    there = AtTheBroker(broker, await broker.start(tmp_path))
    there.session.begin()
    try:
        await there.until(lambda: "Connected" in there.hear())
        yield there
    finally:
        await there.session.close()
        await broker.stop()


def change(order: SubmitOrder, under_halt: bool, **terms: Any) -> Change:
    return Change(request=ModifyOrder(order_id=order.order_id, **ABOUT, **terms), order=order, number=1, under_halt=under_halt)


async def test_under_a_halt_no_new_order_and_no_growing_change_leaves_but_cancels_and_smaller_orders_do(
    there: AtTheBroker,
) -> None:
    other = replace(ORDER, order_id="o2")
    assert await there.send(Send(orders=((ORDER, 1),)), Send(orders=((other, 2),)), halted=False) == []
    await there.until(lambda: len(there.at_broker()) == 2)
    held = await there.send(
        Send(orders=((replace(ORDER, order_id="o3"), 3),)),
        change(ORDER, under_halt=False, quantity=D(5)),
        change(ORDER, under_halt=False, limit_price=D("1.25")),
        halted=True,
    )
    assert [(event.order_ids, event.request) for event in held] == [(("o3",), "submit"), (("o1",), "modify"), (("o1",), "modify")]
    assert {event.detail for event in held} == {"the book was halted before it left"}
    withdraw = Withdraw(request=CancelOrder(order_id="o2", **ABOUT), number=2)
    assert await there.send(change(ORDER, under_halt=True, quantity=D(3)), withdraw, halted=True) == []
    await there.until(lambda: set(there.at_broker().values()) == {D(3)})
    assert there.broker.submissions() == {"o1": 1, "o2": 1}


async def test_a_process_that_was_kept_for_longer_than_its_session_lives_writes_nothing(there: AtTheBroker) -> None:
    assert await there.send(Send(orders=((ORDER, 1),)), halted=False) == []
    await there.until(lambda: len(there.at_broker()) == 1)
    other = Send(orders=((replace(ORDER, order_id="o2"), 2),))
    withdraw = Withdraw(request=CancelOrder(order_id="o1", **ABOUT), number=1)
    held = await there.send(other, withdraw, change(ORDER, under_halt=True, quantity=D(3)), halted=False, ago=2.1)
    assert [(event.order_ids, event.request) for event in held] == [(("o2",), "submit"), (("o1",), "cancel"), (("o1",), "modify")]
    assert await there.send(other, halted=False, ago=1) == []
    await there.until(lambda: len(there.at_broker()) == 2)
    assert there.at_broker() == {"o1": D(4), "o2": D(4)}
