"""Contracts as the Gateway tells them, through the real client: which one a symbol is, its price grid, its roll."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from simulators.tws.server import TwsSimulator
from tests.support.ibkr import an_ibkr_config, instruments
from venues.ibkr.contracts import ContractBook
from venues.ibkr.session import Session

D = Decimal
TODAY = datetime.now(UTC).date()


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with TwsSimulator() as tws:
        config = an_ibkr_config(tws)
        session = Session(config, config.feed_client_id)
        await session.open()
        yield session
        await session.close()


def a_book(session: Session) -> ContractBook:
    return ContractBook(session.config, instruments())


async def test_each_symbol_is_found_once_and_asked_for_no_more(session: Session) -> None:
    book = a_book(session)
    found = {listing.symbol: listing for listing in await book.resolve(session, TODAY)}
    assert {symbol: listing.con_id for symbol, listing in found.items() if symbol != "NQ"} == {
        "EURUSD": 12087792,
        "USDJPY": 15016059,
        "SPY": 756733,
    }
    assert (found["NQ"].multiplier, found["NQ"].unit, found["EURUSD"].unit) == (D(20), D(1), D(100_000))
    assert await book.resolve(session, TODAY) == []


async def test_prices_have_the_steps_of_the_exchanges_own_rule(session: Session) -> None:
    """Half a pip on IDEALPRO: 0.00005 and 0.005."""
    book = a_book(session)
    await book.resolve(session, TODAY)
    assert book.get("EURUSD").increment_at(D("1.1")) == D("0.00005")
    assert book.get("USDJPY").increment_at(D(150)) == D("0.005")
    assert book.get("NQ").increment_at(D(21_000)) == D("0.25")


async def test_a_front_month_rolls_by_itself_unless_something_is_held_in_it(session: Session) -> None:
    book = a_book(session)
    await book.resolve(session, TODAY)
    first = book.get("NQ")
    assert first.expiry is not None
    near = first.expiry - timedelta(days=5)
    assert await book.resolve(session, near, held={first.con_id}) == []
    assert book.symbol_of(first.con_id) == "NQ"
    (second,) = await book.resolve(session, near)
    assert second.expiry is not None
    assert second.expiry > first.expiry
    assert (book.symbol_of(first.con_id), book.symbol_of(second.con_id)) == ("", "NQ")
    (third,) = await book.resolve(session, second.expiry + timedelta(days=1), held={second.con_id})
    assert third.con_id not in (first.con_id, second.con_id)
