"""`barque doctor ibkr`: what is right, what is wrong and what to do, against the simulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from barque.config import CommonConfig
from barque_cli.checks import Finding
from barque_cli.doctor_ibkr import probe
from simulators.tws.server import TwsSimulator
from tests.support.ibkr import instruments


@pytest.fixture
async def tws() -> AsyncIterator[TwsSimulator]:
    async with TwsSimulator() as simulator:
        simulator.quote("EURUSD", 1.1000, 1.1001)
        yield simulator


async def look(tws: TwsSimulator, symbols: tuple[str, ...] = ("EURUSD",), **section: Any) -> dict[str, Finding]:
    """Findings by name."""
    base: dict[str, Any] = {"port": tws.port, "connect_timeout_s": 1.0, "request_timeout_s": 1.0}
    known = tuple(each for each in instruments() if each.symbol in symbols)
    findings = await probe({"ibkr": base | section}, CommonConfig(instruments=known))
    assert not tws.book.orders
    return {finding.name: finding for finding in findings}


async def test_a_gateway_that_is_ready_has_nothing_to_complain_of(tws: TwsSimulator) -> None:
    found = await look(tws)
    assert all(finding.ok for finding in found.values()), found
    assert "con_id 12087792, prices in steps of 0.00005; bid 1.1, ask 1.1001, live" in found["EURUSD"].text
    assert found["account"].text == "DU1234567, paper account"
    assert found["money"].text == "equity 1000000 USD, buying power 4000000"


async def test_a_port_where_nothing_listens_ends_the_look_with_what_to_do(tws: TwsSimulator) -> None:
    found = await look(tws, port=1)
    assert list(found) == ["configuration", "gateway"]
    assert "Start the Gateway or TWS" in found["gateway"].text


async def test_a_read_only_api_is_found(tws: TwsSimulator) -> None:
    tws.read_only = True
    found = await look(tws)
    assert not found["orders"].ok
    assert "untick" in found["orders"].text
    assert found["EURUSD"].ok


async def test_an_account_of_the_wrong_kind_is_found(tws: TwsSimulator) -> None:
    found = await look(tws, live=True)
    assert "is a paper account, and ibkr.live is true" in found["gateway"].text


async def test_each_symbol_is_looked_at_by_itself(tws: TwsSimulator) -> None:
    wrong = {"symbol": "SPY", "venue_symbol": "NOSUCH"}
    found = await look(tws, ("EURUSD", "SPY"), contracts=[wrong])
    assert found["EURUSD"].ok
    assert not found["SPY"].ok
    assert "correct [[ibkr.contracts]]" in found["SPY"].text


async def test_market_data_without_a_subscription_is_found_with_where_to_get_one(tws: TwsSimulator) -> None:
    tws.script.on("reqMktData").error(354, "Requested market data is not subscribed.")
    found = await look(tws)
    assert not found["EURUSD"].ok
    assert "subscribe in Client Portal" in found["EURUSD"].text


async def test_a_data_farm_that_is_away_is_found(tws: TwsSimulator) -> None:
    tws.noise.farm_notices = False
    tws.script.at(0.05).do(lambda: tws.mishaps.farm(2103))
    tws.script.on("reqExecutions", n=1).delay(0.3)
    found = await look(tws)
    assert not found["interactive brokers"].ok
    assert "usfarm" in found["interactive brokers"].text


async def test_a_section_that_cannot_be_used_is_one_finding(tws: TwsSimulator) -> None:
    found = await look(tws, messages_per_s=99)
    assert list(found) == ["configuration"]
    assert not found["configuration"].ok
