"""The recordings that tests read, and a slow reader of its own making: a row, its messages, with the standard library alone."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from barque.messages import Bar, Message, Quote, Trade
from barque.messages.market import PriceType

MINUTE_NS = 60 * 10**9
RECORDINGS = (
    ("eurusd-oanda-ticks-2014-05-01.csv.gz", "quotes", 24_179),
    ("eurusd-oanda-ticks-2014-05-02.csv.gz", "quotes", 49_341),
    ("eurusd-oanda-m1-2014-05-01.csv.gz", "bid_ask_bars", 1_363),
    ("eurusd-oanda-m1-2014-05-02.csv.gz", "bid_ask_bars", 1_222),
    ("usdjpy-fxcm-m1-bid-2013-02.csv.gz", "bars", 28_761),
    ("usdjpy-fxcm-m1-ask-2013-02.csv.gz", "bars", 28_761),
    ("usdjpy-truefx-ticks-2013-01-01.csv", "quotes", 1_000),
    ("esz3-cme-m1-2013-10.csv.gz", "bars", 6_826),
    ("6eh4-cme-m1-2024-01.csv.gz", "bars", 29_996),
    ("btcusd-perp-m1-2022-01.csv.gz", "bars", 45_031),
    ("spy-trades-2013-10-07.csv.gz", "trades", 250_601),
)
"""Name, what it holds, rows."""


def rows_of(path: Path, symbol: str) -> Iterator[list[Message]]:
    """The messages of each row of a recording of one-minute bars or ticks."""
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        for row in csv.DictReader(file):
            at = _ns(row.get("timestamp") or row["timestamp_utc"])
            if "bid" in row:
                yield [Quote(symbol=symbol, ts_event_ns=at, ts_recv_ns=at, bid=float(row["bid"]), ask=float(row["ask"]))]
            elif "size" in row:
                yield [Trade(symbol=symbol, ts_event_ns=at, ts_recv_ns=at, price=float(row["price"]), size=float(row["size"]))]
            elif "open" in row:
                yield [_bar(symbol, at, "last", "", row)]
            else:
                yield [_bar(symbol, at, "bid", "bid_", row), _bar(symbol, at, "ask", "ask_", row)]


def _bar(symbol: str, at: int, price: PriceType, prefix: str, row: dict[str, str]) -> Bar:
    values = {part: float(row[prefix + part]) for part in ("open", "high", "low", "close")}
    volume = float(row.get("volume", "0"))
    return Bar(symbol=symbol, interval="1m", price=price, ts_open_ns=at, ts_close_ns=at + MINUTE_NS, volume=volume, **values)


def _ns(text: str) -> int:
    when = datetime.fromisoformat(text)
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000
