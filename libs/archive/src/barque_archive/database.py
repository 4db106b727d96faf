"""Bars of a book's database, as columns. Needs the extra `barque-archive[postgres]`.

In:   Postgres, a book, a series.   Out: a source like any other, read page by page.
Not:  ticks: the database keeps bars alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any, cast

import asyncpg
import numpy as np

from barque.config import PostgresConfig
from barque.errors import ConfigError, nearest
from barque.messages.market import PriceType
from barque.postgres.pool import connect_one, postgres_errors
from barque_archive.columns import BarColumns, MarketColumns
from barque_archive.series import Series

PAGE_ROWS = 20_000
_SERIES = 'SELECT DISTINCT symbol, "interval", price FROM bars WHERE book = $1 AND lineage = $2 ORDER BY 1, 2, 3'
_ENDS = (
    'SELECT min(ts_open_ns), max(ts_open_ns) FROM bars WHERE book=$1 AND lineage=$2 AND symbol=$3 AND "interval"=$4 AND price=$5'
)
_FIELDS = ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume", "tick_count", "seq")
_PAGE = f"""
SELECT {", ".join(_FIELDS)} FROM bars
WHERE book = $1 AND lineage = $2 AND symbol = $3 AND "interval" = $4 AND price = $5
    AND (ts_open_ns, seq) > ($6, $7) AND ts_open_ns < $8
ORDER BY ts_open_ns, seq LIMIT $9
"""  # noqa: S608 (our own names)
_FIRST, _LAST = -(2**63), 2**63 - 1


class DatabaseSource:
    """Bars of one series and one history of a book. Each iteration reads them anew, in an event loop of its own; where a loop
    runs already, use `pages`."""

    def __init__(
        self,
        postgres: PostgresConfig,
        book: str,
        series: Series,
        span: tuple[int | None, int | None] = (None, None),
        lineage: str = "",
        page_rows: int = PAGE_ROWS,
    ) -> None:
        """`span`: only bars that open in [from, to). `lineage`: empty is the book's present one."""
        self.series = (series,)
        self.fraction = 0.0
        self._postgres, self._book, self._lineage, self._page_rows = postgres, book, lineage, page_rows
        self._from_ns = _FIRST if span[0] is None else span[0]
        self._to_ns = _LAST if span[1] is None else span[1]

    def __iter__(self) -> Iterator[MarketColumns]:
        """Its bars, a page at a time."""
        with asyncio.Runner() as runner:
            pages = self.pages()
            try:
                while (columns := runner.run(anext(pages, None))) is not None:
                    yield columns
            finally:
                runner.run(pages.aclose())

    async def pages(self) -> AsyncGenerator[BarColumns, None]:
        """Its bars, a page at a time; each page is a query of its own, so nothing is held while its rows are worked on."""
        connection = await connect_one(self._postgres)
        try:
            async with postgres_errors(self._postgres):
                key = (self._book, self._lineage or await _lineage(connection, self._book), *self._names())
                ends = await connection.fetchrow(_ENDS, *key)
                if ends is None or ends[0] is None:
                    raise ConfigError(await self._nothing(connection, key[1]))
                start, end = max(ends[0], self._from_ns), min(ends[1], self._to_ns)
                after = (self._from_ns - 1 if self._from_ns > _FIRST else _FIRST, 2**31 - 1)
                while rows := await connection.fetch(_PAGE, *key, *after, self._to_ns, self._page_rows):
                    after = (rows[-1]["ts_open_ns"], rows[-1]["seq"])
                    self.fraction = min((after[0] - start) / max(end - start, 1), 1.0)
                    yield self._columns(rows)
        finally:
            await connection.close(timeout=1)

    def _names(self) -> tuple[str, str, str]:
        (series,) = self.series
        return series.symbol, series.interval, series.price

    def _columns(self, rows: list[asyncpg.Record]) -> BarColumns:
        (series,) = self.series
        values = dict(zip(_FIELDS, zip(*rows, strict=True), strict=True))
        whole = ("ts_open_ns", "ts_close_ns", "tick_count", "seq")
        arrays: dict[str, Any] = {
            name: np.array(column, np.int64 if name in whole else np.float64) for name, column in values.items()
        }
        return BarColumns(symbol=series.symbol, interval=series.interval, price=cast(PriceType, series.price), **arrays)

    async def _nothing(self, connection: asyncpg.Connection, lineage: str) -> str:
        (series,) = self.series
        known = [str(Series(row[0], "bars", row[1], row[2])) for row in await connection.fetch(_SERIES, self._book, lineage)]
        hint = nearest(str(series), known) if known else "it has none at all"
        return f"the database has no {series} of book '{self._book}' ({lineage}); {hint}"


async def database_series(postgres: PostgresConfig, book: str) -> list[Series]:
    """Every series of bars of a book's present history."""
    connection = await connect_one(postgres)
    try:
        async with postgres_errors(postgres):
            rows = await connection.fetch(_SERIES, book, await _lineage(connection, book))
            return [Series(row["symbol"], "bars", row["interval"], row["price"]) for row in rows]
    finally:
        await connection.close(timeout=1)


async def _lineage(connection: asyncpg.Connection, book: str) -> str:
    lineage = await connection.fetchval("SELECT lineage FROM books WHERE book = $1", book)
    if lineage is None:
        raise ConfigError(f"the database does not know book '{book}'; see `barque seed`")
    return str(lineage)
