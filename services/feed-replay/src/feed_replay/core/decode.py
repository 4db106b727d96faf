"""Rows of recorded files to messages.

In:   a file's columns, and its rows as text (CSV) or values (Parquet).   Out: Quote, Trade or Bar.
Not:  opening files; repairing rows. A row that cannot be read raises `ValueError`, whose text the shell completes with
      file and row.

What a file holds is known by its columns; a column that is not needed is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from math import isfinite
from typing import Any, Literal, NamedTuple, TypeAlias

from barque.errors import ConfigError
from barque.intervals import parse_interval
from barque.messages import Bar, Quote, Trade
from barque.messages.market import PriceType

Row: TypeAlias = Sequence[Any]
Kind = Literal["quotes", "trades", "bars", "bid_ask_bars"]
RowDecoder: TypeAlias = Callable[[Row], "list[Quote | Trade | Bar]"]
Clock: TypeAlias = Callable[[Any], int]

TIMESTAMPS = ("timestamp", "timestamp_utc")
OHLC = ("open", "high", "low", "close")
COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    "quotes": ("bid", "ask"),
    "trades": ("price", "size"),
    "bid_ask_bars": tuple(f"{side}_{part}" for side in ("bid", "ask") for part in OHLC),
    "bars": OHLC,
}
"""Required beside a timestamp. Optional: `bid_size` and `ask_size` of quotes, `volume` of bars."""

NS_PER_S = 10**9
NS_PER_DAY = 86_400 * NS_PER_S
EPOCH = date(1970, 1, 1).toordinal()
_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:Z|([+-])(\d{2}):?(\d{2})?)?)?", re.ASCII
)
_EPOCH_TIME = re.compile(r"-?\d{1,19}", re.ASCII)


class Labels(NamedTuple):
    """What a file does not say itself."""

    symbol: str
    interval: str = "1m"
    """Of bars."""
    price: PriceType = "last"
    """Of bars in one set of open, high, low, close."""


def kind_of(columns: Sequence[str]) -> Kind:
    """What a file with these columns holds; raises `ConfigError` naming what is missing of the nearest kind."""
    present = set(columns)
    for kind, required in COLUMNS.items():
        if present.issuperset(required) and present.intersection(TIMESTAMPS):
            return kind
    nearest = max(COLUMNS, key=lambda kind: len(present.intersection(COLUMNS[kind])))
    missing = [column for column in COLUMNS[nearest] if column not in present]
    if not present.intersection(TIMESTAMPS):
        missing.insert(0, "timestamp")
    expected = "; ".join(f"{kind}: {', '.join(('timestamp', *names))}" for kind, names in COLUMNS.items())
    raise ConfigError(
        f"columns {', '.join(columns) or '(none)'}: missing {', '.join(missing)} for {nearest}; expected one of: {expected}"
    )


def row_decoder(columns: Sequence[str], labels: Labels, clock: Clock | None = None) -> RowDecoder:
    """The function that turns a row into messages; `clock` reads a timestamp, `time_ns` unless given.

    Raises `ConfigError` where columns are missing, or the interval of a file of bars is none.
    """
    kind = kind_of(columns)
    index = {column: place for place, column in enumerate(columns)}
    when = index[next(name for name in TIMESTAMPS if name in index)]
    read_time = clock or time_ns
    if kind == "quotes":
        return _quotes(labels.symbol, read_time, when, index)
    if kind == "trades":
        return _trades(labels.symbol, read_time, when, index)
    sides: dict[PriceType, str] = {labels.price: ""} if kind == "bars" else {"bid": "bid_", "ask": "ask_"}
    return _bars(labels, read_time, when, index, sides)


def _quotes(symbol: str, read_time: Clock, when: int, index: Mapping[str, int]) -> RowDecoder:
    bid, ask = index["bid"], index["ask"]
    bid_size, ask_size = index.get("bid_size"), index.get("ask_size")

    def decode(row: Row) -> list[Quote | Trade | Bar]:
        ts_ns = read_time(row[when])
        return [
            Quote(
                symbol=symbol,
                ts_event_ns=ts_ns,
                ts_recv_ns=ts_ns,
                bid=float(row[bid]),
                ask=float(row[ask]),
                bid_size=0.0 if bid_size is None else float(row[bid_size]),
                ask_size=0.0 if ask_size is None else float(row[ask_size]),
            )
        ]

    return decode


def _trades(symbol: str, read_time: Clock, when: int, index: Mapping[str, int]) -> RowDecoder:
    price, size = index["price"], index["size"]

    def decode(row: Row) -> list[Quote | Trade | Bar]:
        ts_ns = read_time(row[when])
        return [Trade(symbol=symbol, ts_event_ns=ts_ns, ts_recv_ns=ts_ns, price=float(row[price]), size=float(row[size]))]

    return decode


def _bars(labels: Labels, read_time: Clock, when: int, index: Mapping[str, int], sides: Mapping[PriceType, str]) -> RowDecoder:
    places = [(price, [index[prefix + part] for part in OHLC]) for price, prefix in sides.items()]
    volume = index.get("volume")
    try:
        interval_ns = parse_interval(labels.interval)
    except ValueError as error:
        raise ConfigError(f"key 'interval': {error}") from None

    def decode(row: Row) -> list[Quote | Trade | Bar]:
        ts_ns = read_time(row[when])
        traded = 0.0 if volume is None else float(row[volume])
        bars: list[Quote | Trade | Bar] = []
        for price, columns in places:
            ohlc = [float(row[column]) for column in columns]
            if not all(map(isfinite, ohlc)):
                raise ValueError(f"open, high, low, close of {price} are {ohlc}: numbers expected")
            bars.append(
                Bar(
                    symbol=labels.symbol,
                    interval=labels.interval,
                    price=price,
                    ts_open_ns=ts_ns,
                    ts_close_ns=ts_ns + interval_ns,
                    open=ohlc[0],
                    high=ohlc[1],
                    low=ohlc[2],
                    close=ohlc[3],
                    volume=traded,
                )
            )
        return bars

    return decode


def time_ns(value: Any) -> int:
    """A timestamp in ns since the epoch, exactly: ISO 8601 text (UTC where it names no zone), or an integer.

    An integer's size says its unit: below 1e11 seconds, below 1e14 ms, below 1e17 us, else ns; so from March 1973 on
    every unit is understood. Raises `ValueError`.

    >>> time_ns("1970-01-01 01:00:00.000000001+01:00"), time_ns(1_398_902_400), time_ns("1398902400292")
    (1, 1398902400000000000, 1398902400292000000)
    """
    if isinstance(value, str):
        match = _ISO.fullmatch(value)
        if match is not None:
            return _iso_ns(match)
        if _EPOCH_TIME.fullmatch(value):
            return _epoch_ns(int(value))
    elif isinstance(value, int) and not isinstance(value, bool):
        return _epoch_ns(value)
    raise ValueError(f"timestamp {value!r} is neither ISO 8601 (2014-05-01T00:00:00.292Z) nor whole s, ms, us or ns")


def _epoch_ns(value: int) -> int:
    size = abs(value)
    if size < 10**11:
        return value * NS_PER_S
    if size < 10**14:
        return value * 10**6
    return value * 10**3 if size < 10**17 else value


def _iso_ns(match: re.Match[str]) -> int:
    day, hours, minutes, seconds, fraction, sign, zone_hours, zone_minutes = match.groups()
    h, m, s = int(hours or 0), int(minutes or 0), int(seconds or 0)
    if h > 23 or m > 59 or s > 59:
        raise ValueError(f"timestamp '{match[0]}' is no time of day")
    ns = _day_ns(day) + (h * 3600 + m * 60 + s) * NS_PER_S
    if fraction:
        ns += int(fraction.ljust(9, "0"))
    if sign:
        offset_ns = (int(zone_hours) * 3600 + int(zone_minutes or 0) * 60) * NS_PER_S
        ns -= offset_ns if sign == "+" else -offset_ns
    return ns


@lru_cache(maxsize=64)
def _day_ns(day: str) -> int:
    return (date.fromisoformat(day).toordinal() - EPOCH) * NS_PER_DAY
