"""The order path: a halt refuses orders at the store itself, and what cannot be read stops the book."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from threading import Thread

from barque import control
from barque.bus.redis_bus import RedisBus, flag_of
from barque.config import RedisConfig
from barque.messages import Alert, DeadLetter, Halt, Message, Resume, SubmitOrder, Topic
from barque.node import Output
from barque.observability.health import Health
from tests.support.builders import a_signal
from tests.support.driving import at_rest, publish, running, said, until
from tests.support.nodes import OrderingNode

HALT = Halt(command_id="h1", ts_event_ns=1, actor="test", reason="stop")
RESUME = Resume(command_id="r1", ts_event_ns=2, actor="test", reason="go")


async def test_a_signal_that_came_before_the_halt_makes_no_order_once_the_flag_is_set(bus: RedisBus) -> None:
    await publish(bus, Topic.SIGNALS, [[a_signal(id="before")]])
    await control.send(bus, HALT, flag_of(HALT))
    async with running(bus, OrderingNode()):
        await at_rest(bus, "ordering")
    assert await said(bus, Topic.ORDERS) == []
    assert [type(m) for m in await said(bus, Topic.ALERTS)] == [Alert]


class HaltedWhileComputing(OrderingNode):
    """At its first order, and before that order can be committed, somebody else halts the book."""

    def __init__(self, halt_now: Callable[[], None]) -> None:
        super().__init__()
        self.halt_now = halt_now

    def handle(self, message: Message) -> Iterable[Output]:
        outputs = list(super().handle(message))
        if any(isinstance(output, SubmitOrder) for _, output in outputs):
            self.halt_now()
        return outputs


async def test_a_halt_between_computing_and_committing_refuses_the_order(bus: RedisBus, valkey: RedisConfig) -> None:
    async def set_flag() -> None:
        other = RedisBus.open(valkey, bus.book)
        await other.call("SET", other.halt_key, flag_of(HALT))
        await other.close()

    def halt_from_another_thread() -> None:
        thread = Thread(target=asyncio.run, args=(set_flag(),))
        thread.start()
        thread.join()

    async def refused() -> bool:
        return any(status.refused.get("halted") for status in await bus.status())

    async with running(bus, HaltedWhileComputing(halt_from_another_thread)):
        await publish(bus, Topic.SIGNALS, [[a_signal(id="racing")]])
        await until(refused)
        await control.send(bus, HALT, flag_of(HALT))
        await at_rest(bus, "ordering")
    assert await said(bus, Topic.ORDERS) == []


async def test_resume_lets_orders_out_again(bus: RedisBus) -> None:
    async with running(bus, OrderingNode()):
        await control.send(bus, HALT, flag_of(HALT))
        await publish(bus, Topic.SIGNALS, [[a_signal(id="during")]])
        await at_rest(bus, "ordering")
        await control.send(bus, RESUME, "resume")
        await publish(bus, Topic.SIGNALS, [[a_signal(id="after")]])
        await at_rest(bus, "ordering")
    assert [m.order_id for m in await said(bus, Topic.ORDERS)] == ["after"]


async def test_a_malformed_entry_stops_the_book_until_an_operator_resumes_past_it(bus: RedisBus) -> None:
    health = Health("test")
    async with running(bus, OrderingNode(), health=health):
        await publish(bus, Topic.SIGNALS, [[a_signal(id="good")]])
        entry_id = (await bus.call("XADD", bus.stream(Topic.SIGNALS), "*", "e", b"", "m", b"rubbish")).decode()
        await publish(bus, Topic.SIGNALS, [[a_signal(id="next")]])

        async def halted() -> bool:
            return await bus.halt_flag() is not None

        await until(halted)
        await asyncio.sleep(0.3)
        assert [m.order_id for m in await said(bus, Topic.ORDERS)] == ["good"]
        (letter,) = await said(bus, Topic.DEAD)
        assert isinstance(letter, DeadLetter)
        assert (letter.entry_id, letter.raw) == (entry_id, b"rubbish")
        (alert,) = await said(bus, Topic.ALERTS)
        assert alert.name == "book_stopped"
        assert entry_id in alert.text
        assert entry_id in health.reasons()["ordering"]
        await control.send(bus, RESUME, "resume")
        await at_rest(bus, "ordering")
    assert [m.order_id for m in await said(bus, Topic.ORDERS)] == ["good", "next"]
    assert health.reasons() == {}
