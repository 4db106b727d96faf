"""Bars of a recorded file, built in process by the very node that builds them live.

In:   a file of quotes or trades, or of shorter bars.   Out: CSV, one line per bar, to a file or to standard output.
Not:  judging the market's moves. The instrument made up for the symbol takes no price for a spike, however far it jumps:
      a recording is taken as its vendor gave it. What is no price at all (NaN, not positive, crossed) stays out.
      A bar that is not made of time and not complete when the file ends: it never came to be.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from math import inf
from pathlib import Path

from barbuilder.config import TICKS, BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.errors import ConfigError
from barque.instruments import Instrument
from barque.intervals import interval_of
from barque.messages import Bar, ClockTicked, Message
from barque.messages.market import PriceType
from barque.node import Node
from feed_replay.shell.files import Recording, merge, open_source

COLUMNS = ("ts_open", "open", "high", "low", "close", "tick_count")
MORE_COLUMNS = ("volume", "ts_close", "seq")
"""Of bars whose end does not follow from their beginning."""
NS_PER_S = 10**9
NS_PER_DAY = 86_400 * NS_PER_S
LONGEST_STRETCH_NS = 3 * 3_600 * NS_PER_S
"""A day is never longer than 24 hours by more than this, whatever its clocks do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which bars, of what."""

    symbol: str
    interval: str = "1m"
    price: PriceType = "bid"
    fill_gaps: bool = False
    source: str = TICKS
    """`ticks`, or the interval of the bars that the file holds."""
    anchor: str = "utc"
    calendar: str = ""
    """Needed where the anchor is `session`."""
    tick_size: str = ""
    """Needed by `range` and `renko` bars."""
    multiplier: str = "1"
    """Of `value` bars."""


def write_bars(source: Path, wanted: Wanted, out: Path | None) -> int:
    """Write the bars of the ticks in `source` to `out` (None: standard output); how many they are.

    Raises `ConfigError` where there can be no such bars, or the file is missing or does not hold what they are made of, and
    `WireError` where a row cannot be read.
    """
    node = _node(wanted)
    recording = _recording(source, wanted)
    length_ns = interval_of(wanted.interval).interval_ns
    columns = COLUMNS if length_ns and wanted.anchor == "utc" else (*COLUMNS, *MORE_COLUMNS)
    count = 0
    with nullcontext(sys.stdout) if out is None else out.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        for bar in _bars(node, merge([recording]), length_ns + LONGEST_STRETCH_NS):
            row = (iso(bar.ts_open_ns), *map(repr, (bar.open, bar.high, bar.low, bar.close)), bar.tick_count)
            more = (repr(bar.volume), iso(bar.ts_close_ns), bar.seq)
            table.writerow((*row, *more)[: len(columns)])
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


def _recording(source: Path, wanted: Wanted) -> Recording:
    if wanted.source == TICKS:
        recording = open_source(source, wanted.symbol)
        needed = "trades" if wanted.price == "last" else "quotes"
        if recording.kind != needed:
            raise ConfigError(f"{source} holds {recording.kind}: bars of '{wanted.price}' are made of {needed}")
        return recording
    recording = open_source(source, wanted.symbol, wanted.source, wanted.price)
    if recording.kind not in ("bars", "bid_ask_bars"):
        raise ConfigError(f"{source} holds {recording.kind}: leave --from out")
    if recording.kind == "bid_ask_bars" and wanted.price not in ("bid", "ask"):
        raise ConfigError(f"{source} holds bars of bid and ask, none of '{wanted.price}'")
    return recording


def _node(wanted: Wanted) -> Node:
    """A bar builder of one bar; it marks once a day, because nobody reads its marks."""
    try:
        bars = BarsConfig(
            symbols=(wanted.symbol,),
            interval=wanted.interval,
            prices=(wanted.price,),
            anchor=wanted.anchor,
            source=wanted.source,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if wanted.anchor == "session" and not wanted.calendar:
        raise ConfigError("anchor 'session' needs to know whose: give --calendar, such as XNYS or FX")
    if interval_of(wanted.interval).kind in ("range", "renko") and not wanted.tick_size:
        raise ConfigError(f"{wanted.interval} bars are measured in ticks: give --tick-size, such as 0.01")
    instrument = Instrument(
        symbol=wanted.symbol,
        currency="USD",
        tick_size=_positive("--tick-size", wanted.tick_size or "0.00001"),
        contract_size=_positive("--multiplier", wanted.multiplier),
        calendar=wanted.calendar,
        max_spike_fraction=inf,
    )
    day_ms = NS_PER_DAY // 10**6
    config = BarBuilderConfig(grace_ms=0, bar_grace_ms=0, mark_interval_ms=day_ms, fill_gaps=wanted.fill_gaps, bars=(bars,))
    return BarBuilderNode(config, [instrument])


def _positive(option: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number <= 0:
        raise ConfigError(f"{option} '{text}' is no positive number")
    return number


def _bars(node: Node, steps: Iterable[tuple[int, list[Message]]], patience_ns: int) -> Iterator[Bar]:
    """The bars of all steps; the last one is closed by a clock tick behind its end."""
    end_ns = 0
    for ts_ns, messages in steps:
        end_ns = ts_ns + patience_ns
        for message in messages:
            yield from _only_bars(node, message)
    yield from _only_bars(node, ClockTicked(now_ns=end_ns))


def _only_bars(node: Node, message: Message) -> Iterator[Bar]:
    return (output for _, output in node.handle(message) if isinstance(output, Bar))
