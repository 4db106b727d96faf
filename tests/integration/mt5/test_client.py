"""The client against the simulated terminal, over both transports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from barque.errors import ConfigError, VenueOutcomeUnknown, VenueRefused, VenueUnavailable
from simulators.mt5 import Mt5Simulator
from tests.support.mt5 import TRANSPORTS, a_config, reachable
from venues.mt5.client import Mt5Client, Request
from venues.mt5.config import Mt5Config
from venues.mt5.transports import open_transport

BUY: Request = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "price": 1.1001, "type_filling": 1, "comment": "tok"}
Both = tuple[Mt5Simulator, Mt5Client]


@pytest.fixture(params=TRANSPORTS)
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    with reachable(Mt5Simulator(["EURUSD", "USDJPY"]), request.param) as sim:
        sim.quote("EURUSD", 1.1, 1.1001)
        config = a_config(sim, request.param, call_timeout_s=0.5, order_timeout_s=0.5)
        client = Mt5Client(config, open_transport(config))
        await client.open()
        await client.initialize()
        yield sim, client
        sim.terminal.stop()
        await client.close()


async def test_everything_that_can_be_asked_comes_typed(both: Both) -> None:
    _, client = both
    account, terminal = await client.account_info(), await client.terminal_info()
    assert (account.login, account.balance, account.margin_mode) == (5001, 100_000.0, 2)
    assert terminal.connected and terminal.trade_allowed
    info, tick = await client.symbol_info("EURUSD"), await client.tick("EURUSD")
    assert info is not None and (info.digits, info.volume_step) == (5, 0.01)
    assert tick is not None and (tick.bid, tick.ask) == (1.1, 1.1001)
    assert await client.symbol_info("NOSUCH") is None and await client.tick("NOSUCH") is None
    assert [each.name for each in await client.symbols("*JPY")] == ["USDJPY"]
    assert not await client.select("NOSUCH")
    ticks = await client.ticks_from("EURUSD", 0, 10)
    assert ticks is not None and ticks["bid"].tolist() == [1.1] and ticks["time_msc"][0] == tick.time_msc
    assert await client.ticks_between("NOSUCH", 0, 10) is None
    rates = await client.last_rates("EURUSD", 1, 5)
    assert rates is not None and rates["close"].tolist() == [1.1]
    assert await client.positions() == [] and await client.open_orders() == [] and await client.deals(0, 2**40) == []


async def test_an_order_is_sent_and_found_again(both: Both) -> None:
    _, client = both
    checked = await client.check(BUY)
    assert checked is not None and checked.retcode == 0
    result = await client.send(BUY)
    assert (result.retcode, result.price) == (10009, 1.1001)
    (position,) = await client.positions()
    assert (position.ticket, position.comment) == (result.order, "tok")
    (deal,) = await client.deals_of_order(result.order)
    assert deal.ticket == result.deal
    done = await client.past_order(result.order)
    assert done is not None and done.state == 4


async def test_a_request_that_the_package_does_not_take_is_refused(both: Both) -> None:
    sim, client = both
    with pytest.raises(VenueRefused, match="comment"):
        await client.send(BUY | {"comment": "x" * 40})
    assert not client.broken and not sim.book.received


@pytest.mark.parametrize(("when", "carried_out"), [("before", 0), ("during", 1)])
async def test_an_order_without_an_answer_is_unknown_and_the_client_is_broken(both: Both, when: str, carried_out: int) -> None:
    sim, client = both
    sim.fault(when, "ipc")
    with pytest.raises(VenueOutcomeUnknown):
        await client.send(BUY)
    assert sim.book.submissions("tok") == carried_out
    with pytest.raises(VenueUnavailable, match="not sent"):
        await client.send(BUY)
    assert sim.book.submissions("tok") == carried_out


async def test_a_call_that_hangs_is_left_and_later_ones_are_refused_at_once(both: Both) -> None:
    sim, client = both
    sim.fault("before", "hang", seconds=4.0)
    with pytest.raises(VenueOutcomeUnknown):
        await client.send(BUY)
    began = time.monotonic()
    with pytest.raises(VenueUnavailable, match="not sent"):
        await client.positions()
    assert time.monotonic() - began < 0.3
    sim.terminal.stop()


async def test_while_the_package_hangs_no_other_session_begins_in_this_process() -> None:
    sim = Mt5Simulator(["EURUSD"])
    with reachable(sim, "in_process"):
        config = a_config(sim, "in_process", call_timeout_s=0.3)
        one, other = (Mt5Client(config, open_transport(config)) for _ in range(2))
        await one.open()
        await one.initialize()
        sim.fault("before", "hang", function="account_info", seconds=30.0)
        with pytest.raises(VenueUnavailable):
            await one.account_info()
        with pytest.raises(VenueUnavailable, match="has not come back from account_info"):
            await other.open()
        sim.terminal.stop()
        await one.close()
        await opened(other)
        await other.close()


async def opened(client: Mt5Client) -> None:
    """As soon as the call that hung has come back."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return await client.open()
        except VenueUnavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.02)


async def test_whoever_may_not_send_any_more_sends_nothing(both: Both) -> None:
    sim, client = both
    with pytest.raises(VenueUnavailable, match="may not send"):
        await client.send(BUY, lambda: False)
    assert not sim.book.received and not client.broken


async def test_calls_follow_one_another_and_orders_go_first(both: Both) -> None:
    sim, client = both
    sim.terminal.latency_s = 0.03
    order: list[str] = []

    async def ask(name: str) -> None:
        await client.tick("EURUSD")
        order.append(name)

    async def send() -> None:
        await client.send(BUY)
        order.append("send")

    asks = [asyncio.create_task(ask(str(n))) for n in range(4)]
    await asyncio.sleep(0.01)
    await asyncio.gather(send(), *asks)
    assert order == ["0", "send", "1", "2", "3"]


async def test_no_bridge_no_package_and_no_terminal_each_say_what_to_do() -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        config = a_config(sim)
    client = Mt5Client(config, open_transport(config))
    with pytest.raises(VenueUnavailable, match="cannot be reached"):
        await client.open()
    await client.close()
    windows = Mt5Config(transport="in_process")
    client = Mt5Client(windows, open_transport(windows))
    with pytest.raises(ConfigError, match="Windows only"):
        await client.open()
    await client.close()
    with Mt5Simulator(["EURUSD"]) as sim:
        sim.terminal.running = False
        config = a_config(sim)
        client = Mt5Client(config, open_transport(config))
        await client.open()
        with pytest.raises(VenueUnavailable, match="start MetaTrader 5"):
            await client.initialize()
        await client.close()


async def test_a_server_that_is_no_bridge_is_named() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    config = Mt5Config(port=server.sockets[0].getsockname()[1], call_timeout_s=0.5)
    client = Mt5Client(config, open_transport(config))
    with pytest.raises(VenueUnavailable, match="bridge"):
        await client.open()
    await client.close()
    server.close()
    await server.wait_closed()
