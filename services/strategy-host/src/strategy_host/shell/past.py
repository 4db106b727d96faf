"""Finds the past of a new strategy: its bars in the archive, in Postgres and on the stream.

In:   a strategy node that has never committed.   Out: the node, warmed up; what it says.
Not:  for a node that is known to the book: it has lived through its past.

Each place knows something that the others do not: the archive what is older than the book, Postgres what the portfolio has
booked, the stream the bars that were said before the node began to read and that the portfolio has perhaps not booked yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import structlog

from barque.bus.redis_bus import RedisBus
from barque.bus.runner import Birth
from barque.bus.step import Position
from barque.config import PostgresConfig
from barque.errors import BarqueError, BusUnavailable, ConfigError, StrategyError, WireError
from barque.messages import Bar, BarRevised, Topic
from barque.messages.market import PriceType
from barque.node import Output
from barque.postgres.pool import connect_one, postgres_errors
from barque.strategy import WarmUp
from strategy_host.core.node import StrategyNode
from strategy_host.core.past import MOST_BARS, earliest_ns, warm_up_bars

if TYPE_CHECKING:
    from barque_archive.archive import Archive

log = structlog.get_logger()

TAIL = 2_000
"""Entries of the stream that are looked at: many times what the portfolio may be behind."""
_BARS = """
SELECT ts_open_ns, ts_close_ns, open, high, low, close, volume, tick_count, seq FROM bars
WHERE book = $1 AND lineage = $2 AND symbol = $3 AND "interval" = $4 AND price = $5 AND ts_close_ns >= $6 AND ts_close_ns < $7
ORDER BY ts_open_ns DESC, seq DESC LIMIT $8
"""


class Past:
    """Where bars of the past are. `bus` is the node's own: when a node is born, nobody waits on it."""

    def __init__(self, bus: RedisBus, postgres: PostgresConfig, archive_path: Path | None) -> None:
        """Raises `ConfigError` where an archive is configured and the package to read it is not installed."""
        self._bus = bus
        self._postgres = postgres
        self._archive = None if archive_path is None else _open(archive_path)

    def birth_of(self, node: StrategyNode) -> Birth | None:
        """What gives the node its past; None where it asks for none."""
        return None if node.warm_up_wanted is None else partial(self._warm_up, node)

    async def _warm_up(self, node: StrategyNode, positions: Mapping[Topic, Position], first_ns: int) -> Sequence[Output]:
        wanted = node.warm_up_wanted
        if wanted is None:
            return ()
        found = [
            *await self._archived(node, wanted, first_ns),
            *await self._booked(node, wanted, first_ns),
            *await self._said(positions.get(Topic.BARS, Position())),
        ]
        bars = warm_up_bars(found, wanted, node.symbols, node.intervals, first_ns)
        log.info("strategy_warmed_up", node=node.name, bars=len(bars), first_ns=first_ns)
        return node.warm_up(bars)

    async def _archived(self, node: StrategyNode, wanted: WarmUp, first_ns: int) -> list[Bar]:
        if self._archive is None:
            return []
        try:
            return await asyncio.to_thread(_read, self._archive, node.symbols, node.intervals, wanted, first_ns)
        except BarqueError as error:
            raise StrategyError(f"the past of node '{node.name}' cannot be read: {error}") from error

    async def _booked(self, node: StrategyNode, wanted: WarmUp, first_ns: int) -> list[Bar]:
        lineage = await self._bus.lineage()
        if lineage is None:
            raise BusUnavailable(f"book '{self._bus.book}' has not begun; `barque seed` begins it")
        since_ns, found = earliest_ns(wanted, first_ns), []
        connection = await connect_one(self._postgres)
        try:
            async with postgres_errors(self._postgres):
                for symbol, interval, price in _series(node.symbols, node.intervals):
                    scope = (self._bus.book, lineage, symbol, interval, price)
                    rows = await connection.fetch(_BARS, *scope, since_ns, first_ns, wanted.bars or MOST_BARS)
                    found += [Bar(symbol=symbol, interval=interval, price=price, **row) for row in rows]
        finally:
            await connection.close()
        return found

    async def _said(self, begins: Position) -> list[Bar]:
        found: list[Bar] = []
        for entry in await self._bus.last(Topic.BARS, TAIL, until=begins.entry_id):
            try:
                found += [said.bar if isinstance(said, BarRevised) else said for said in entry.messages()]
            except WireError as error:
                log.warning("bars_unreadable", entry_id=entry.entry_id, reason=str(error))
        return found


def _series(symbols: Sequence[str], intervals: Sequence[str]) -> list[tuple[str, str, PriceType]]:
    return [(symbol, interval, price) for symbol in symbols for interval in intervals for price in get_args(PriceType)]


def _open(path: Path) -> Archive:
    try:
        from barque_archive.archive import Archive
    except ImportError:
        raise ConfigError("key 'strategy_host.archive_path': reading an archive needs the package barque-archive") from None
    return Archive(path)


def _read(archive: Archive, symbols: Sequence[str], intervals: Sequence[str], wanted: WarmUp, first_ns: int) -> list[Bar]:
    """Blocking: files are read."""
    from barque_archive.columns import BarColumns
    from barque_archive.series import Series
    from barque_archive.structs import bars_of

    found: list[Bar] = []
    known_ns = first_ns - 1
    for symbol, interval, price in _series(symbols, intervals):
        series = Series(symbol, "bars", interval, price)
        if wanted.bars:
            columns: Any = archive.last(series, wanted.bars, known_ns)
        else:
            columns = archive.since(series, earliest_ns(wanted, first_ns), known_ns)
        if isinstance(columns, BarColumns):
            found += bars_of(columns)
    return found
