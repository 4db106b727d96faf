"""A breaker that halts the book sets the halt in the store itself, in the commit that says so."""

from __future__ import annotations

from barque import control
from barque.bus.redis_bus import RedisBus
from barque.messages import BreakerChanged, Halt, ReconciliationReport, Resume, SignalRejected, SubmitOrder, Topic
from router.config import RouterConfig
from router.core.node import RouterNode
from tests.support.builders import T0, a_signal, eurusd
from tests.support.driving import at_rest, publish, running, said

REPORT = ReconciliationReport(account="paper", ts_event_ns=T0, severity="critical", discrepancies=("EURUSD: 3 there, 2 here",))


def a_router() -> RouterNode:
    return RouterNode(RouterConfig(), [eurusd()], ["s1"], "feed")  # its wishes are of 2014


async def test_the_halt_is_in_force_with_the_commit_that_says_it_and_outlives_the_process(bus: RedisBus) -> None:
    async with running(bus, a_router()):
        await publish(bus, Topic.SIGNALS, [[a_signal(id="before")]])
        await at_rest(bus, "router")
        await publish(bus, Topic.PORTFOLIO, [[REPORT]])
        await at_rest(bus, "router")
    (halt,) = await said(bus, Topic.CONTROL)
    assert isinstance(halt, Halt)
    assert await bus.halt_flag() == halt
    async with running(bus, a_router()):
        await publish(bus, Topic.SIGNALS, [[a_signal(id="during")]])
        await at_rest(bus, "router")
        await control.send(bus, Resume(command_id="r", ts_event_ns=T0, actor="anna"), "resume")
        await publish(bus, Topic.SIGNALS, [[a_signal(id="after")]])
        await at_rest(bus, "router")
    kinds = [type(message) for message in await said(bus, Topic.ORDERS)]
    assert kinds == [SubmitOrder, BreakerChanged, SignalRejected, BreakerChanged, SubmitOrder]
    assert await bus.halt_flag() is None
    assert len(await said(bus, Topic.CONTROL)) == 2
