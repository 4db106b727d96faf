"""The session against the simulated terminal: whose account it is, what a person has to do, and how it comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from barque.errors import ConfigError, VenueError, VenueRefused, VenueUnavailable
from simulators.mt5 import Mt5Simulator, forex
from simulators.mt5.walk import Walk
from tests.support.mt5 import TRANSPORTS, D, a_config, a_session, an_instrument, reachable, until
from venues.mt5.session import Mt5Session, Notice, SafeMode, SessionEvent, SessionLost, SessionUp, TradingOff, TradingOn


def kinds(said: list[SessionEvent]) -> list[type]:
    return [type(each) for each in said]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_lost_terminal_is_initialised_anew(transport: str) -> None:
    with reachable(Mt5Simulator(["EURUSD"]), transport) as sim:
        async with a_session(sim, a_config(sim, transport)) as (session, said):
            sim.lose_ipc()
            await until(lambda: session.number == 2)
            assert kinds(said) == [SessionUp, SessionLost, SessionUp]
            assert (await session.client.account_info()).login == 5001


async def test_a_broken_bridge_is_connected_anew_and_one_that_is_down_is_waited_for() -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        async with a_session(sim, a_config(sim)) as (session, said):
            sim.cut()
            await until(lambda: session.number == 2)
            sim.stop_serving()
            await until(lambda: session.attempts >= 2)
            sim.serve()
            await until(lambda: session.up)
            assert kinds(said) == [SessionUp, SessionLost, SessionUp, SessionLost, SessionUp]


async def test_after_ten_attempts_it_says_that_a_person_should_look_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("venues.mt5.session.LONGEST_WAIT_S", 0.02)
    with Mt5Simulator(["EURUSD"]) as sim:
        async with a_session(sim, a_config(sim)) as (session, said):
            sim.terminal.running = False
            await until(lambda: any(isinstance(each, SafeMode) for each in said))
            safe = next(each for each in said if isinstance(each, SafeMode))
            assert safe.attempts == 10 and "start MetaTrader 5" in safe.detail
            sim.terminal.running = True
            await until(lambda: session.up)


async def test_a_terminal_without_its_trade_server_is_no_session() -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        async with a_session(sim, a_config(sim)) as (session, said):
            sim.terminal.connected = False
            await until(lambda: not session.up)
            sim.terminal.connected = True
            await until(lambda: session.up)
            assert any(isinstance(each, SessionLost) and "trade server" in each.detail for each in said)


async def test_autotrading_off_is_said_once_and_its_return_too() -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        async with a_session(sim, a_config(sim)) as (session, said):
            sim.auto_trading = False
            await until(lambda: session.trading)
            await asyncio.sleep(0.3)
            sim.auto_trading = True
            await until(lambda: not session.trading)
            assert kinds(said) == [SessionUp, TradingOff, TradingOn]
            assert isinstance(said[1], TradingOff) and "Algo Trading" in said[1].detail


async def test_another_account_at_the_terminal_ends_the_session_until_it_is_the_right_one_again() -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        async with a_session(sim, a_config(sim, login=5001)) as (session, said):
            sim.account.login = 6002
            await until(lambda: session.attempts >= 1)
            assert not session.up
            assert any(isinstance(each, SessionLost) and each.refused and "6002" in each.detail for each in said)
            sim.account.login = 5001
            await until(lambda: session.up)


# -- what is wrong at the start ----------------------------------------------------------------------------------------


async def refused(sim: Mt5Simulator, *symbols: Any, **changes: Any) -> Exception:
    """What `open` raises."""
    instruments = [each if not isinstance(each, str) else an_instrument(each) for each in symbols or ("EURUSD",)]
    session = Mt5Session(a_config(sim, **changes), instruments, lambda event: None)
    with pytest.raises((ConfigError, VenueError)) as raised:
        await session.open()
    await session.close()
    assert not sim.book.received
    return raised.value


@pytest.mark.parametrize(
    ("simulated", "configured", "words"),
    [
        ({"live": True}, {"live": False}, "REAL account"),
        ({}, {"live": True}, "demo account"),
        ({"hedging": False}, {"account_mode": "hedging"}, "netting account"),
        ({}, {"login": 4711}, "logged in to 5001"),
        ({}, {"server": "Other-Live"}, "Simulated-Demo"),
        ({}, {"terminal": "D:\\none\\terminal64.exe"}, "mt5.terminal"),
    ],
)
async def test_the_wrong_account_or_terminal_is_named_and_nothing_is_sent(
    simulated: dict[str, Any], configured: dict[str, Any], words: str
) -> None:
    with Mt5Simulator(["EURUSD"], **simulated) as sim:
        assert words in str(await refused(sim, **configured))


async def test_a_wrong_password_is_the_brokers_refusal(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("wrong")
    with Mt5Simulator(["EURUSD"]) as sim:
        error = await refused(sim, login=5001, server="Simulated-Demo", password_file=secret)
        assert isinstance(error, VenueRefused) and "mt5.password_file" in str(error) and "wrong" not in str(error)
        secret.write_text("demo")
        config = a_config(sim, login=5001, server="Simulated-Demo", password_file=secret)
        async with a_session(sim, config) as (session, _):
            assert session.up


async def test_a_terminal_that_is_not_running_is_unavailable() -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        sim.terminal.running = False
        assert isinstance(await refused(sim), VenueUnavailable)


async def test_a_symbol_that_is_absent_is_named_with_those_that_are_like_it() -> None:
    with Mt5Simulator(["EURUSD.a"]) as sim:
        assert "EURUSD.a" in str(await refused(sim))
        async with a_session(sim, a_config(sim, suffix=".a")) as (session, _):
            assert session.symbols["EURUSD"].venue_symbol == "EURUSD.a"
        async with a_session(sim, a_config(sim, symbols={"EURUSD": "EURUSD.a"})) as (session, _):
            assert session.symbols["EURUSD"].contracts_per_lot == 1


async def test_a_symbol_that_is_not_in_the_market_watch_is_put_there() -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        sim.terminal.selected.clear()
        async with a_session(sim, a_config(sim)):
            assert sim.terminal.selected == {"EURUSD"}


async def test_steps_that_do_not_fit_are_said_with_the_key_to_change() -> None:
    with Mt5Simulator([forex("EURUSD", volume_step=0.1, digits=4)]) as sim:
        assert "tick_size" in str(await refused(sim))
        coarse = an_instrument(tick_size=D("0.0001"))
        assert 'quantity_step = "0.1"' in str(await refused(sim, coarse))


async def test_the_servers_clock_is_read_from_prices_that_change() -> None:
    with Mt5Simulator(["EURUSD"], zone="Asia/Kolkata") as sim:
        walk = Walk(sim, ticks_per_s=40)
        walk.start()
        async with a_session(sim, a_config(sim, clock_wait_s=5.0)) as (session, said):
            assert session.clock.zone == "UTC+5.5"
            assert any(isinstance(each, Notice) and "UTC+5.5" in each.detail for each in said)
        assert "server_zone" in str(await refused(sim, server_zone="Europe/Athens", clock_wait_s=5.0))
        walk.stop()
