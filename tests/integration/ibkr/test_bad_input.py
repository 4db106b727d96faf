"""What a person gets wrong: each is one sentence that says what to do, before anything is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from barque.errors import ConfigError, VenueRefused, VenueUnavailable
from barque.instruments import Instrument
from barque.venue import Noted, Rejected
from simulators.tws.server import TwsSimulator
from tests.support.builders import eurusd
from tests.support.ibkr import Trader, an_ibkr_config, instruments, until
from venues.ibkr.adapter import IbkrVenue, open_venue

D = Decimal


@pytest.fixture
async def tws() -> AsyncIterator[TwsSimulator]:
    async with TwsSimulator() as simulator:
        simulator.quote("EURUSD", 1.1000, 1.1001)
        yield simulator


async def fault(
    tws: TwsSimulator, account: str = "DU1234567", symbols: list[Instrument] | None = None, **section: Any
) -> Exception:
    """What connecting raises; nothing was sent, and no connection is left."""
    venue = IbkrVenue(an_ibkr_config(tws, **section), instruments() if symbols is None else symbols, account)
    try:
        await venue.connect(lambda _: None, lambda: True)
    except (ConfigError, VenueUnavailable, VenueRefused) as error:
        assert not tws.book.orders
        await until(lambda: not tws.ready_sessions())
        return error
    finally:
        await venue.close()
    raise AssertionError("it connected")


async def test_a_port_where_nothing_listens(tws: TwsSimulator) -> None:
    error = await fault(tws, port=1)
    assert isinstance(error, VenueUnavailable)
    assert "nothing listens there. Start the Gateway or TWS, enable its API" in str(error)


async def test_a_host_that_does_not_exist(tws: TwsSimulator) -> None:
    error = await fault(tws, host="no-such-host.invalid")
    assert isinstance(error, VenueUnavailable)
    assert "Check ibkr.host" in str(error)


async def test_a_client_id_that_is_in_use(tws: TwsSimulator) -> None:
    async with Trader(tws):
        venue = IbkrVenue(an_ibkr_config(tws), instruments(), "DU1234567")
        with pytest.raises(VenueUnavailable, match="client id 12 is in use, by another program or by our last session"):
            await venue.connect(lambda _: None, lambda: True)


async def test_an_account_that_is_not_in_the_login(tws: TwsSimulator) -> None:
    error = await fault(tws, account="DU999")
    assert isinstance(error, ConfigError)
    assert "account 'DU999' is not in this login, which has DU1234567" in str(error)


async def test_a_login_with_several_accounts_and_none_chosen() -> None:
    async with TwsSimulator(accounts=("DU1", "DU2")) as tws:
        error = await fault(tws, account="")
        assert isinstance(error, ConfigError)
        assert "accounts DU1, DU2; say which" in str(error)


@pytest.mark.parametrize(
    ("account", "live", "words"), [("U1234567", False, "is a live account"), ("DU1234567", True, "is a paper account")]
)
async def test_paper_and_live_are_never_mistaken_for_one_another(account: str, live: bool, words: str) -> None:
    async with TwsSimulator(accounts=(account,)) as tws:
        error = await fault(tws, account=account, live=live)
        assert isinstance(error, ConfigError)
        assert words in str(error)


async def test_an_account_that_turns_into_another_while_we_are_away_is_not_traded() -> None:
    """The Gateway was logged in anew, as somebody else."""
    async with TwsSimulator(accounts=("DU1234567",)) as tws, Trader(tws) as trader:
        tws.account_names[:] = ["U7654321"]
        tws.mishaps.drop_sockets()
        await until(lambda: trader.venue._session is not None and trader.venue._session.state == "down")
        with pytest.raises(VenueUnavailable):
            await trader.place("o1")
        tws.account_names[:] = ["DU1234567"]
        await until(lambda: trader.venue._session is not None and trader.venue._session.state == "up")
    assert not tws.book.orders


async def test_a_symbol_that_interactive_brokers_does_not_know(tws: TwsSimulator) -> None:
    unknown = Instrument(symbol="NOSUCH", asset_class="stock", currency="USD", tick_size=D("0.01"))
    error = await fault(tws, symbols=[unknown], contracts=[])
    assert isinstance(error, ConfigError)
    assert "symbol 'NOSUCH': contract details of NOSUCH: 200" in str(error)
    assert "correct [[ibkr.contracts]]" in str(error)


async def test_a_symbol_that_means_several_contracts(tws: TwsSimulator) -> None:
    option = Instrument(symbol="SPYC", asset_class="option", currency="USD", tick_size=D("0.01"), contract_size=D(100))
    contract = {"symbol": "SPYC", "venue_symbol": "SPY", "expiry": "20", "strike": 600, "right": "C"}  # of every month there is
    error = await fault(tws, symbols=[option], contracts=[contract])
    assert isinstance(error, ConfigError)
    assert "contracts fit: SPY" in str(error)
    assert "con_id" in str(error)
    assert "say more in [[ibkr.contracts]]" in str(error)


async def test_a_multiplier_that_is_not_the_brokers(tws: TwsSimulator) -> None:
    nq = Instrument(symbol="NQ", asset_class="future", currency="USD", tick_size=D("0.25"), contract_size=D(2))
    error = await fault(tws, symbols=[nq])
    assert isinstance(error, ConfigError)
    assert "is 20 units, the instrument says 2; set contract_size = 20" in str(error)


async def test_a_gateway_that_is_too_old() -> None:
    async with TwsSimulator(version=150) as tws:
        error = await fault(tws)
        assert isinstance(error, ConfigError | VenueUnavailable)
        assert "version" in str(error)


async def test_an_order_on_a_symbol_that_has_no_contract_is_refused(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        with pytest.raises(VenueRefused, match="'GBPUSD' is no contract"):
            await trader.place("o1", symbol="GBPUSD")
    assert not tws.book.orders


async def test_an_order_without_its_price_or_of_no_size_is_rejected_before_the_wire(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("a", order_type="limit")
        await trader.place("b", time_in_force="gtd")
        await until(lambda: len(trader.of(Rejected)) == 2)
    assert [each.detail for each in trader.of(Rejected)] == [
        "a limit order needs its limit_price",
        "an order with time_in_force gtd needs its valid_until",
    ]
    assert not tws.book.orders


async def test_an_order_on_a_closed_market_waits_there_until_it_opens(tws: TwsSimulator) -> None:
    tws.switch_market("EURUSD", False)
    async with Trader(tws) as trader:
        await trader.place("o1")
        await until(lambda: sorted(trader.said("o1")) == ["Accepted", "Noted"])
        assert "until the market opens" in trader.of(Noted)[0].detail
        tws.switch_market("EURUSD", True)
        await until(lambda: trader.filled("o1") == 1)


def test_an_account_that_differs_between_two_sections_is_refused() -> None:
    with pytest.raises(ConfigError, match="they have to be the same"):
        open_venue({"ibkr": {"account": "DU1"}}, [eurusd()], "DU2")


def test_a_contract_without_an_instrument_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'EURUSD'"):
        open_venue({"ibkr": {"contracts": [{"symbol": "EURUSDD"}]}}, [eurusd()], "DU1")
