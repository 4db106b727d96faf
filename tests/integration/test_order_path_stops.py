"""The order path: a halt refuses orders at the store itself, and what cannot be read stops the book."""

from __future__ import annotations

import asyncio

from barque import control
from barque.bus.redis_bus import RedisBus, flag_of
from barque.messages import Alert, DeadLetter, Halt, Resume, SubmitOrder, Topic
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


async def test_a_halt_between_computing_and_committing_refuses_the_order(bus: RedisBus) -> None:
    class Slow(OrderingNode):
        def snapshot(self) -> bytes:
            if not self.halted and self.refused == 0 and self.caught:
                self.caught = False
                self.halting.set()
                self.halted_at_store.wait(5)
            return super().snapshot()

        def handle(self, message):  # type: ignore[no-untyped-def]
            said = list(super().handle(message))
            self.caught = self.caught or any(isinstance(m, SubmitOrder) for _, m in said)
            return said

    import threading

    node = Slow()
    node.caught, node.halting, node.halted_at_store = False, threading.Event(), threading.Event()

    def halt_from_another_thread(url: dict[str, object], prefix: str) -> None:
        import redis

        node.halting.wait(5)
        client = redis.Redis(**url)  # type: ignore[arg-type]
        client.set(prefix + "halt", flag_of(HALT))
        client.close()
        node.halted_at_store.set()

    options = {k: bus._client.connection_pool.connection_kwargs[k] for k in ("host", "port", "password")}
    other = threading.Thread(target=halt_from_another_thread, args=(options, bus.prefix))
    other.start()
    async with running(bus, node):
        await publish(bus, Topic.SIGNALS, [[a_signal(id="racing")]])

        async def refused() -> bool:
            return any(s.refused.get("halted") for s in await bus.status())

        await until(refused)
        await control.send(bus, HALT, flag_of(HALT))
        await at_rest(bus, "ordering")
    other.join()
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
        entry_id = (await bus._client.xadd(bus.stream(Topic.SIGNALS), {"e": b"", "m": b"rubbish"})).decode()
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
