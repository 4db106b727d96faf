"""`barque doctor ibkr`: one thing after the other that has to be right at a Gateway or TWS. No order is sent.

In:   the configuration file.   Out: findings, each with what to do; after the first that stops everything, no more.
Not:  repairing anything, and nothing of the client ids that feed and sender use: it has one of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from ib_async import Ticker

from barque.config import CommonConfig, load_section
from barque.errors import BarqueError
from barque.instruments import Instrument
from barque_cli.checks import Finding
from venues.ibkr.codes import Reaction, explain
from venues.ibkr.config import MARKET_DATA_TYPES, IbkrConfig
from venues.ibkr.contracts import ContractBook, Listing
from venues.ibkr.link import Link, is_live
from venues.ibkr.reports import figures
from venues.ibkr.session import ORDERS, Notice, Session, SessionEvent

LISTEN_S = 5.0
"""So long a first price may take."""
SKEW_S = 5.0
_NO_DATA = frozenset({Reaction.NO_ENTITLEMENT, Reaction.NO_LINE, Reaction.DATA_STOLEN, Reaction.UNKNOWN_CONTRACT})


class _Heard:
    """What the Gateway says while we look."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def __call__(self, event: SessionEvent) -> None:
        if isinstance(event, Notice):
            self.notices.append(event)

    def farms(self) -> list[str]:
        """Those that were said to be away and not to be back."""
        away: dict[str, str] = {}
        for notice in self.notices:
            farm = notice.text.rpartition(":")[2]
            if notice.reaction is Reaction.FARM_DOWN:
                away[farm] = notice.text
            elif notice.reaction in (Reaction.FARM_UP, Reaction.FARM_IDLE):
                away.pop(farm, None)
        return list(away.values())

    def about(self, number: int, reactions: frozenset[Reaction]) -> str:
        """The first of these about a request; empty: none."""
        return next((explain(n.code, n.text) for n in self.notices if n.number == number and n.reaction in reactions), "")


async def probe(raw: Mapping[str, Any], common: CommonConfig) -> list[Finding]:
    """All findings."""
    try:
        config = load_section(raw, "ibkr", IbkrConfig)
        ContractBook(config, common.instruments)
    except BarqueError as error:
        return [Finding("configuration", False, str(error))]
    where = f"{config.host}:{config.port}"
    kind = "real money" if config.live else "paper"
    found = [Finding("configuration", True, f"[ibkr]: {where}, {kind}, {len(common.instruments)} instruments")]
    heard = _Heard()
    wanted = str(raw.get("sender", {}).get("account", "")) or config.account
    session = Session(config, config.probe_client_id, account=wanted, fetch=ORDERS, on_event=heard)
    try:
        link = await session.open()
    except BarqueError as error:
        return [*found, Finding("gateway", False, str(error))]
    try:
        found.append(Finding("gateway", True, f"{where} answers, protocol {link.server_version}"))
        found += _session(link, heard)
        found.append(await _clock(session))
        found += await _account(session, link)
        found += await _symbols(session, config, common.instruments, heard)
    finally:
        await session.close()
    return found


def _session(link: Link, heard: _Heard) -> list[Finding]:
    trades = (
        "the API is read-only: it takes no orders and shows none that are open, so a sender cannot compare its books and is not "
        "ready. In the Gateway untick Configure, API, Settings, 'Read-Only API' (runbook ibkr_read_only)"
    )
    farms = heard.farms()
    return [
        Finding("orders", not link.read_only, trades if link.read_only else "the API takes orders"),
        Finding(
            "interactive brokers",
            not link.degraded and not farms,
            link.degraded or "; ".join(farms) or "the Gateway is connected to its servers and data farms",
        ),
    ]


async def _clock(session: Session) -> Finding:
    try:
        there = await session.ask("current time", lambda ib: ib.reqCurrentTimeAsync())
    except BarqueError as error:
        return Finding("clock", False, str(error))
    skew_s = there.timestamp() - time.time()
    within = abs(skew_s) < SKEW_S
    said = "less than a second from ours" if abs(skew_s) < 1 else f"{skew_s:+.0f} s from ours"
    return Finding("clock", within, said + ("" if within else "; run NTP on both machines"))


async def _account(session: Session, link: Link) -> list[Finding]:
    account, ib = link.account, link.ib
    kind = "live account: real money" if is_live(account) else "paper account"
    others = [each for each in link.accounts if each != account]
    text = f"{account}, {kind}" + (f"; the login also has {', '.join(others)}" if others else "")
    found = [Finding("account", True, text)]
    try:
        money = figures(account, is_live(account), ib.accountValues(account), ib.positions(account))
    except BarqueError as error:
        return [*found, Finding("money", False, str(error))]
    figure = f"equity {money.equity} {money.currency}, buying power {money.buying_power}"
    return [*found, Finding("money", money.equity > 0, figure)]


async def _symbols(session: Session, config: IbkrConfig, instruments: Sequence[Instrument], heard: _Heard) -> list[Finding]:
    """Each symbol's contract, and whether prices of it come."""
    found, listings = [], []
    for instrument in instruments:
        if instrument.inverts:
            continue
        book = _book_of(config, instrument)
        try:
            (listing,) = await book.resolve(session, datetime.now(UTC).date())
        except BarqueError as error:
            found.append(Finding(instrument.symbol, False, str(error)))
        else:
            listings.append((instrument, listing))
    session.ib.reqMarketDataType(MARKET_DATA_TYPES[config.market_data_type])
    tickers = {listing.symbol: session.ib.reqMktData(listing.contract()) for _, listing in listings}
    numbers = {symbol: session.ib.wrapper.ticker2ReqId["mktData"].get(ticker, 0) for symbol, ticker in tickers.items()}
    await _until_priced(list(tickers.values()), numbers, heard)
    for instrument, listing in listings:
        found.append(_symbol(instrument, listing, tickers[listing.symbol], numbers[listing.symbol], heard))
    return found


def _book_of(config: IbkrConfig, instrument: Instrument) -> ContractBook:
    """Of this symbol alone: one that is wrong does not hide the others."""
    own = tuple(each for each in config.contracts if each.symbol == instrument.symbol)
    return ContractBook(msgspec.structs.replace(config, contracts=own), [instrument])


async def _until_priced(tickers: list[Ticker], numbers: Mapping[str, int], heard: _Heard) -> None:
    deadline = time.monotonic() + LISTEN_S
    waiting = list(zip(tickers, numbers.values(), strict=True))
    while waiting and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        waiting = [(t, n) for t, n in waiting if not t.hasBidAsk() and not heard.about(n, _NO_DATA)]


def _symbol(instrument: Instrument, listing: Listing, ticker: Ticker, number: int, heard: _Heard) -> Finding:
    what = f"{listing.local_symbol} at {listing.exchange}, con_id {listing.con_id}, prices in steps of {listing.min_tick:f}"
    if listing.expiry is not None:
        what += f", until {listing.expiry}"
    refused = heard.about(number, _NO_DATA)
    if refused:
        return Finding(instrument.symbol, False, f"{what}; no market data: {refused}")
    if not ticker.hasBidAsk():
        return Finding(instrument.symbol, True, f"{what}; no price within {LISTEN_S:g} s: its market may be closed")
    delayed = heard.about(number, frozenset({Reaction.DELAYED})) or ticker.marketDataType in (3, 4)
    kind = "delayed, never traded on" if delayed else "live" if ticker.marketDataType == 1 else "frozen"
    return Finding(instrument.symbol, True, f"{what}; bid {ticker.bid:g}, ask {ticker.ask:g}, {kind}")
