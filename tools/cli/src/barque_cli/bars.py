"""Bars of a recorded tick file, built in process by the very node that builds them live.

In:   a file of quotes or trades.   Out: CSV, one line per bar, to a file or to standard output.
Not:  judging the market's moves. The instrument made up for the symbol takes no price for a spike, however far it jumps:
      a recording is taken as its vendor gave it. What is no price at all (NaN, not positive, crossed) stays out.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from math import inf
from pathlib import Path

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.errors import ConfigError
from barque.instruments import Instrument
from barque.intervals import parse_interval
from barque.messages import Bar, ClockTicked, Message
from barque.messages.market import PriceType
from barque.node import Node
from feed_replay.shell.files import merge, open_source

COLUMNS = ("ts_open", "open", "high", "low", "close", "tick_count")
NS_PER_S = 10**9
NS_PER_DAY = 86_400 * NS_PER_S


def write_bars(source: Path, symbol: str, interval: str, price: PriceType, out: Path | None, fill_gaps: bool = False) -> int:
    """Write the bars of the ticks in `source` to `out` (None: standard output); how many they are.

    Raises `ConfigError` where the interval is none, or the file is missing or holds no ticks of that price, and
    `WireError` where a row cannot be read.
    """
    ticks = open_source(source, symbol)
    wanted = "trades" if price == "last" else "quotes"
    if ticks.kind != wanted:
        raise ConfigError(f"{source} holds {ticks.kind}: bars of '{price}' are made of {wanted}")
    node = _node(symbol, interval, price, fill_gaps)
    count = 0
    with nullcontext(sys.stdout) if out is None else out.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for bar in _bars(node, merge([ticks]), parse_interval(interval)):
            table.writerow((iso(bar.ts_open_ns), *map(repr, (bar.open, bar.high, bar.low, bar.close)), bar.tick_count))
            count += 1
    return count


def iso(ts_ns: int) -> str:
    """A time as ISO 8601 in UTC, with a fraction only where there is one.

    >>> iso(1_398_902_400_000_000_000), iso(1_398_902_400_250_000_000)
    ('2014-05-01T00:00:00Z', '2014-05-01T00:00:00.25Z')
    """
    seconds, fraction = divmod(ts_ns, NS_PER_S)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"


def _node(symbol: str, interval: str, price: PriceType, fill_gaps: bool) -> Node:
    """A bar builder of one bar; it marks once a day, because nobody reads its marks."""
    instrument = Instrument(symbol=symbol, currency="USD", tick_size=Decimal("0.00001"), max_spike_fraction=inf)
    try:
        bars = BarsConfig(symbols=(symbol,), interval=interval, prices=(price,))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    config = BarBuilderConfig(grace_ms=0, mark_interval_ms=NS_PER_DAY // 10**6, fill_gaps=fill_gaps, bars=(bars,))
    return BarBuilderNode(config, [instrument])


def _bars(node: Node, steps: Iterable[tuple[int, list[Message]]], interval_ns: int) -> Iterator[Bar]:
    """The bars of all steps; the last one is closed by a clock tick behind its end."""
    end_ns = 0
    for ts_ns, messages in steps:
        end_ns = ts_ns + interval_ns
        for message in messages:
            yield from _only_bars(node, message)
    yield from _only_bars(node, ClockTicked(now_ns=end_ns))


def _only_bars(node: Node, message: Message) -> Iterator[Bar]:
    return (output for _, output in node.handle(message) if isinstance(output, Bar))
