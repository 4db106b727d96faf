"""Which recorded data a backtest plays: what was typed after `--data`, or what the configuration replays.

In:   `SYMBOL[:INTERVAL[:PRICE]]=PATH`, an archive's folder, `postgres`; a configuration.   Out: sources, opened.
Not:  reading.

    EURUSD=ticks.csv.gz              a file says by its columns what it holds
    USDJPY:1m:bid=bid.csv            bars of one price; without a price a file of plain bars is `last`
    EURUSD:1h=archive/               one series of an archive; `EURUSD:quotes=`, `EURUSD:trades=` for ticks
    archive/                         of every symbol what its strategies hear: bars of their intervals where there are any, else
                                     ticks, else the shorter bars that they are built of
    postgres                         the same of the bars that the book's own portfolio has booked

Files are read strictly: a row out of order, twice there, or impossible is an error that names it. What `[[feed_replay.files]]`
lists, where nothing is typed, is played as a replay plays it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from barbuilder.config import BarBuilderConfig
from barque.config import CommonConfig, load_common, load_section
from barque.errors import ConfigError, nearest
from barque.intervals import interval_of
from barque.messages.market import PriceType
from barque_archive.archive import Archive
from barque_archive.database import DatabaseSource, database_series
from barque_archive.files import FileSource
from barque_archive.series import Series, SeriesKind
from barque_archive.sources import ArchiveSource, Source, find
from barque_backtest.feeding import EVERYTHING, FOREVER_NS, NEVER_NS, Span
from feed_replay.config import FeedReplayConfig
from feed_replay.shell.files import recording_of

POSTGRES = "postgres"
TICKS: tuple[SeriesKind, ...] = ("quotes", "trades")
_FORM = "SYMBOL=FILE, SYMBOL:INTERVAL:PRICE=FILE, an archive's folder, or postgres"
Bounds = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Where to read, as typed; opens it anew each time, in any process."""

    config: Mapping[str, Any]
    """The table of `barque.toml`."""
    typed: Sequence[str] = ()
    """Each `--data`; none: what the configuration replays."""
    span: Span = EVERYTHING
    with_past: bool = True
    """Read what came before the span too: some strategy asks for it."""

    def __call__(self) -> list[Source]:
        """The sources, in the order typed; raises `ConfigError` where something is not there."""
        common = load_common(self.config)
        if not self.typed:
            return _replayed(self.config)
        found = [source for text in self.typed for source in self._open(text, common)]
        _check_once(found)
        return found

    def paths(self) -> list[Path]:
        """The files and folders that are read."""
        if not self.typed:
            return [file.path for file in load_section(self.config, "feed_replay", FeedReplayConfig).files]
        return [Path(text.partition("=")[2] or text).expanduser() for text in self.typed if text != POSTGRES]

    def _open(self, text: str, common: CommonConfig) -> list[Source]:
        name, equals, place = text.partition("=")
        if text == POSTGRES:
            series = wanted_series(asyncio.run(database_series(common.postgres, common.book.name)), self.config, "the database")
            return [DatabaseSource(common.postgres, common.book.name, each, self._bounds()) for each in series]
        path = Path(place if equals else text).expanduser()
        if not path.exists():
            hint = "" if equals or path.suffix else f"; expected {_FORM}"
            raise ConfigError(f"option --data: {path} does not exist{hint}")
        if not equals and not path.is_dir():
            raise ConfigError(f"option --data: {path} is a file; say of which symbol: SYMBOL={path}")
        if not equals:
            archive = Archive(path)
            series = wanted_series(archive.series(), self.config, f"archive {path}")
            return [ArchiveSource(archive, each, *self._bounds()) for each in series]
        return [self._named(text, name, path, common)]

    def _named(self, text: str, name: str, path: Path, common: CommonConfig) -> Source:
        symbol, _, rest = name.partition(":")
        interval, _, price = rest.partition(":")
        try:
            common.instrument(symbol)
            if interval and interval not in TICKS:
                interval_of(interval)
        except (ConfigError, ValueError) as error:
            raise ConfigError(f"option --data: '{text}': {error}") from None
        if price and price not in get_args(PriceType):
            raise ConfigError(f"option --data: '{text}': '{price}' is no price; {nearest(price, list(get_args(PriceType)))}")
        price_type = cast(PriceType, price) if price else None
        if not path.is_dir():
            return FileSource(path, symbol, interval or "1m", price_type, span=self._bounds())
        archive = Archive(path)
        kind: SeriesKind = "bars" if interval not in TICKS else "quotes" if interval == "quotes" else "trades"
        return ArchiveSource(archive, find(archive, symbol, kind, interval or "1m", price_type), *self._bounds())

    def _bounds(self) -> Bounds:
        from_ns, to_ns = self.span.from_ns, self.span.to_ns
        return (None if self.with_past or from_ns == NEVER_NS else from_ns), (None if to_ns == FOREVER_NS else to_ns)


def wanted_series(known: Sequence[Series], config: Mapping[str, Any], where: str) -> list[Series]:
    """Of what there is, what the book's strategies hear or the bar builder makes that of; for symbols that no strategy trades,
    bars that convert money. Raises `ConfigError` where a traded symbol has nothing of use."""
    common = load_common(config)
    built = load_section(config, "barbuilder", BarBuilderConfig).bars
    heard: dict[str, list[str]] = {}
    for strategy in common.strategies:
        for symbol in strategy.symbols if strategy.enabled else ():
            heard.setdefault(symbol, []).extend((strategy.interval, *strategy.intervals))
    found: list[Series] = []
    for instrument in common.instruments:
        symbol = instrument.symbol
        own = [series for series in known if series.symbol == symbol]
        intervals = heard.get(symbol) or [interval for intervals in heard.values() for interval in intervals]
        bars = [series for series in own if series.kind == "bars" and series.interval in intervals]
        ticks = [series for series in own if series.kind in TICKS]
        chosen = ticks if ticks and any(symbol in each.symbols and each.takes_ticks for each in built) else bars or ticks
        chosen = chosen or _shortest(own)
        if symbol in heard and not chosen and not instrument.inverts:
            there = ", ".join(map(str, own)) or "nothing of it"
            raise ConfigError(f"option --data: {where} has {there}, but a strategy trades {symbol}; name its data: {symbol}=PATH")
        found += chosen
    return found


def _shortest(series: Iterable[Series]) -> list[Series]:
    """The shortest bars of time that there are."""
    timed = [
        (interval_of(each.interval).size, each) for each in series if each.kind == "bars" and interval_of(each.interval).is_time
    ]
    return [each for size, each in timed if size == min(size for size, _ in timed)]


def _replayed(config: Mapping[str, Any]) -> list[Source]:
    """What `[[feed_replay.files]]` lists."""
    files = load_section(config, "feed_replay", FeedReplayConfig).files
    if not files:
        raise ConfigError(f"there is nothing to play: give --data ({_FORM}), or list [[feed_replay.files]]")
    common = load_common(config)
    for file in files:
        common.instrument(file.symbol)
    return [recording_of(file).source for file in files]


def _check_once(sources: Iterable[Source]) -> None:
    seen: set[Series] = set()
    for source in sources:
        for series in source.series:
            if series in seen:
                raise ConfigError(f"option --data: {series} is there twice")
            seen.add(series)
