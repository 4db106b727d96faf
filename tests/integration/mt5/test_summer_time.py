"""Orders and deals across both changes of the trade server's clock: their times in UTC, and times to end at."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from barque.venue import Ended, Executed
from simulators.mt5 import Mt5Simulator
from tests.support.mt5 import D, Desk, a_config, until

NS = 10**9
MINUTE = 60 * NS


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * NS  # type: ignore[arg-type,misc]


CHANGES = [
    ("Europe/Athens", utc(2026, 3, 29, 1)),  # EET to EEST
    ("Europe/Athens", utc(2026, 10, 25, 1)),  # EEST to EET
    ("new_york+7", utc(2026, 3, 8, 7)),  # while Europe has not changed yet
    ("new_york+7", utc(2026, 11, 1, 6)),
]


class Clock:
    """The time of this machine and of the simulator, moved by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now_ns: int) -> None:
        self.now_ns = now_ns
        monkeypatch.setattr(time, "time_ns", self)

    def __call__(self) -> int:
        return self.now_ns


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@pytest.mark.parametrize("configured", ["auto", "named"])
async def test_deals_of_both_sides_of_a_change_carry_the_right_utc_time(
    monkeypatch: pytest.MonkeyPatch, zone: str, change: int, configured: str
) -> None:
    clock = Clock(monkeypatch, change - 90 * MINUTE)
    with Mt5Simulator(["EURUSD"], zone=zone, now_ns=clock) as sim:
        sim.quote("EURUSD", 1.1, 1.1001)
        name = "auto" if configured == "auto" else zone
        async with Desk(sim, a_config(sim, server_zone=name, ping_s=0.02)) as desk:
            times = []
            for minutes in (30, 55, 70, 180):
                clock.now_ns = change - 90 * MINUTE + minutes * MINUTE
                await see_prices(desk, clock)
                order = await desk.submit()
                executed = await desk.hears(Executed, order)
                assert executed.execution.ts_event_ns == clock.now_ns
                times.append(clock.now_ns)
            found = await desk.venue.executions_since(change - 100 * MINUTE)
            assert [each.ts_event_ns for each in found] == times


@pytest.mark.parametrize(("zone", "change"), CHANGES)
async def test_an_order_that_ends_after_a_change_ends_at_its_time(
    monkeypatch: pytest.MonkeyPatch, zone: str, change: int
) -> None:
    clock = Clock(monkeypatch, change - 30 * MINUTE)
    with Mt5Simulator(["EURUSD"], zone=zone, now_ns=clock) as sim:
        sim.quote("EURUSD", 1.1, 1.1001)
        async with Desk(sim, a_config(sim, server_zone=zone)) as desk:
            terms = {"order_type": "limit", "limit_price": D("1.09"), "time_in_force": "gtd"}
            order = await desk.submit(valid_until_ns=change + 90 * MINUTE, **terms)
            clock.now_ns = change + 90 * MINUTE - NS
            await asyncio.sleep(0.1)
            assert desk.words(order) == ["Accepted"]
            clock.now_ns += NS
            assert (await desk.hears(Ended, order)).how == "expired"


async def see_prices(desk: Desk, clock: Clock) -> None:
    """Prices change until the session has compared the clocks anew."""
    session = desk.venue._session
    assert session is not None
    looks = desk.sim.terminal.calls["symbol_info_tick"]

    def moved() -> bool:
        clock.now_ns += 1_000_000
        desk.sim.quote("EURUSD", 1.1, 1.1001)
        return desk.sim.terminal.calls["symbol_info_tick"] > looks + 4

    await until(moved)
    clock.now_ns += 1_000_000
    desk.sim.quote("EURUSD", 1.1, 1.1001)
