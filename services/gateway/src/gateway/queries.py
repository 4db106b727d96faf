"""Everything the gateway reads from the ledger: one bounded query per question, for API and page alike.

In:   Postgres.   Out: models, newest first unless said otherwise.
Not:  a write. A query that cannot be answered raises `BusUnavailable` with what to do; it never returns nothing instead.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import asyncpg
from msgspec import to_builtins

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig
from barque.control import halt_state
from barque.errors import BarqueError, BusUnavailable, ConfigError
from barque.postgres.pool import postgres_errors
from barque.why import retired, why
from gateway.models import (
    Balance,
    Bar,
    BrokerAccount,
    CashAdjustment,
    Day,
    Equity,
    Fill,
    Halt,
    Instrument,
    Lot,
    Order,
    OrderState,
    Page,
    Position,
    Reconciliation,
    Rejection,
    Row,
    Series,
    Story,
    Strategy,
)

MAX_ROWS = 5_000
QUERY_TIMEOUT_S = 2.0
END_OF_TIME = 2**63 - 1

R = TypeVar("R", bound=Row)
E = TypeVar("E", Order, Fill, Rejection)


class Scope(NamedTuple):
    """Which history is meant: a book, in the lineage that is current."""

    book: str
    lineage: str


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list ordered by time and id, newest first."""

    ts_ns: int = END_OF_TIME
    key: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """What `str()` wrote; None: the newest. Raises ValueError."""
        if not text:
            return cls()
        ts_ns, dot, key = text.partition(".")
        if not dot:
            raise ValueError(f"cursor '{text[:60]}' is not one of ours; pass the `next` of the page before")
        return cls(int(ts_ns), key)

    def __str__(self) -> str:
        return f"{self.ts_ns}.{self.key}"


class Ledger:
    """Read access to a Postgres that comes and goes; the pool connects when asked and again after every loss."""

    def __init__(self, pool: asyncpg.Pool, config: PostgresConfig) -> None:
        self._pool, self._config = pool, config

    async def scope(self, book: str) -> Scope:
        """The book's current lineage; raises `BusUnavailable` where the book does not exist yet."""
        rows = await self._rows("SELECT lineage FROM books WHERE book = $1", book)
        if not rows:
            raise BusUnavailable(f"book '{book}' is not in the ledger yet; start its services or run `barque seed`")
        return Scope(book, rows[0]["lineage"])

    async def halt(self, book: str) -> Halt:
        """The halt row, the authority."""
        async with self._errors():
            state = await halt_state(self._pool, book)
        return Halt(halted=state.halted, actor=state.actor, reason=state.reason, at_ns=state.at_ns)

    async def positions(self, scope: Scope) -> list[Position]:
        """Open and closed, by symbol and strategy."""
        return await self._models(Position, _POSITIONS, *scope, MAX_ROWS)

    async def orders(
        self, scope: Scope, limit: int, cursor: Cursor | None = None, state: OrderState | None = None, symbol: str | None = None
    ) -> Page[Order]:
        """Intents by time of decision."""
        after = cursor or Cursor()
        rows = await self._models(Order, _ORDERS, *scope, after.ts_ns, after.key, limit + 1, state, symbol)
        return _page(rows, limit, lambda row: row.order_id)

    async def fills(
        self,
        scope: Scope,
        limit: int,
        cursor: Cursor | None = None,
        symbol: str | None = None,
        from_ns: int = 0,
        replaced: bool = False,
    ) -> Page[Fill]:
        """Executions that count; with `replaced` those too that a correction has replaced, that wait or could not be booked."""
        after = cursor or Cursor()
        rows = await self._models(Fill, _FILLS, *scope, after.ts_ns, after.key, limit + 1, symbol, from_ns, replaced)
        return _page(rows, limit, lambda row: row.exec_id)

    async def rejections(self, scope: Scope, limit: int, cursor: Cursor | None = None) -> Page[Rejection]:
        """Signals that became no order."""
        after = cursor or Cursor()
        rows = await self._models(Rejection, _REJECTIONS, *scope, after.ts_ns, after.key, limit + 1)
        return _page(rows, limit, lambda row: row.signal_id)

    async def bars(
        self, scope: Scope, series: Series, limit: int, from_ns: int = 0, to_ns: int = END_OF_TIME, from_seq: int = 0
    ) -> list[Bar]:
        """The newest `limit` bars that open in [from, to), oldest first; of those that open at `from_ns`, from `from_seq` on."""
        key = (series.symbol, series.interval, series.price)
        rows = await self._models(Bar, _BARS, *scope, *key, from_ns, to_ns, limit, from_seq)
        return rows[::-1]

    async def revised_ns(self, scope: Scope, series: Series, rows: int) -> int:
        """When one of the newest `rows` bars was last made whole from history; 0: none was."""
        found = await self._rows(_REVISED, *scope, series.symbol, series.interval, series.price, rows)
        return int(found[0]["newest"])

    async def series(self, scope: Scope) -> list[Series]:
        """Which bars there are, by symbol, interval and price."""
        return await self._models(Series, _SERIES, *scope)

    async def equity(
        self, scope: Scope, limit: int, account: str | None = None, from_ns: int = 0, to_ns: int = END_OF_TIME
    ) -> list[Equity]:
        """The newest `limit` valuations in [from, to), oldest first."""
        rows = await self._models(Equity, _EQUITY, *scope, account, from_ns, to_ns, limit)
        return rows[::-1]

    async def equity_curve(self, scope: Scope, points: int) -> list[Equity]:
        """The whole history in about `points` valuations per account, oldest first; the last one is always there."""
        return await self._models(Equity, _EQUITY_CURVE, *scope, points)

    async def reconciliations(self, scope: Scope, limit: int, account: str | None = None) -> list[Reconciliation]:
        """Comparisons with the broker's books, newest first."""
        return await self._models(Reconciliation, _RECONCILIATIONS, *scope, account, limit)

    async def broker_accounts(self, scope: Scope) -> list[BrokerAccount]:
        """The brokers' own figures, by account."""
        return await self._models(BrokerAccount, _BROKER_ACCOUNTS, *scope, MAX_ROWS)

    async def lots(self, scope: Scope) -> list[Lot]:
        """Open lots, oldest first."""
        return await self._models(Lot, _LOTS, *scope, MAX_ROWS)

    async def balances(self, scope: Scope) -> list[Balance]:
        """Every account of the journal."""
        return await self._models(Balance, _BALANCES, *scope, MAX_ROWS)

    async def cash_adjustments(self, scope: Scope, limit: int, account: str | None = None) -> list[CashAdjustment]:
        """Cash that came or went without a trade, newest first."""
        return await self._models(CashAdjustment, _CASH_ADJUSTMENTS, *scope, account, limit)

    async def days(self, scope: Scope, limit: int, account: str | None = None) -> list[Day]:
        """Daily statistics, newest first."""
        return await self._models(Day, _DAYS, *scope, account, limit)

    async def why(self, scope: Scope, bus: RedisBus | None, name: str) -> Story | None:
        """The way to an execution, an order or a wish; None where nobody has heard of it."""
        async with self._errors(), self._pool.acquire() as connection:
            story = await why(connection, bus, scope.book, scope.lineage, name)
        if story is None:
            return None
        return Story.model_validate(to_builtins(story))

    async def retired(self, scope: Scope) -> list[str]:
        """Which records of orders there are no more, in words."""
        async with self._errors(), self._pool.acquire() as connection:
            return await retired(connection, scope.book, scope.lineage)

    async def instruments(self) -> list[Instrument]:
        """What can be traded."""
        return await self._models(Instrument, _INSTRUMENTS, MAX_ROWS)

    async def strategies(self, book: str) -> list[Strategy]:
        """What is configured to trade."""
        rows = await self._rows(_STRATEGIES, book, MAX_ROWS)
        return [Strategy(**{**row, "params": json.loads(row["params"])}) for row in rows]

    async def _models(self, kind: type[R], sql: str, *arguments: object) -> list[R]:
        return [kind(**row) for row in await self._rows(sql, *arguments)]

    async def _rows(self, sql: str, *arguments: object) -> Sequence[Any]:
        async with self._errors():
            return await self._pool.fetch(sql, *arguments, timeout=QUERY_TIMEOUT_S)

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        try:
            async with postgres_errors(self._config):
                yield
        except BarqueError as error:
            raise BusUnavailable(_said(error)) from error


def _said(error: BarqueError) -> str:
    """What a person outside may know of it: what to do, and no addresses."""
    cause = error.__cause__
    if isinstance(cause, asyncpg.UndefinedTableError):
        return "the ledger's tables are not there yet; run `barque migrate`"
    if isinstance(cause, asyncpg.QueryCanceledError | TimeoutError):
        return f"Postgres did not answer within {QUERY_TIMEOUT_S:g} s; ask for less, or try again"
    if isinstance(error, ConfigError):
        return "Postgres refuses the gateway's credentials; check postgres.url and postgres.password_file"
    return "Postgres is away; the gateway goes on by itself when it is back"


def _page(rows: list[E], limit: int, key: Callable[[E], str]) -> Page[E]:
    """One row more than asked for was read: it tells whether there is a next page."""
    more = len(rows) > limit
    items = rows[:limit]
    return Page(items=items, next=str(Cursor(items[-1].ts_event_ns, key(items[-1]))) if more else None)


_POSITIONS = """
SELECT ts_event_ns, account, strategy_id, symbol, quantity, average_price, realised_pnl, commission, currency,
    fifo_realised_pnl
FROM positions WHERE book = $1 AND lineage = $2
ORDER BY symbol, strategy_id, account LIMIT $3
"""

_ORDERS = """
SELECT ts_event_ns, order_id, account, strategy_id, signal_id, symbol, side, quantity, filled, order_type, limit_price,
    stop_price, time_in_force, state, detail, venue_order_id, updated_ns
FROM intents WHERE book = $1 AND lineage = $2 AND (ts_event_ns, order_id) < ($3, $4)
    AND ($6::text IS NULL OR state = $6) AND ($7::text IS NULL OR symbol = $7)
ORDER BY ts_event_ns DESC, order_id DESC LIMIT $5
"""

_FILLS = """
SELECT ts_event_ns, exec_id, account, order_id, signal_id, strategy_id, symbol, side, quantity, price, commission,
    commission_currency, realised_pnl, currency, state, corrects
FROM fills WHERE book = $1 AND lineage = $2 AND (ts_event_ns, exec_id) < ($3, $4)
    AND ($6::text IS NULL OR symbol = $6) AND ts_event_ns >= $7 AND ($8 OR state = 'booked')
ORDER BY ts_event_ns DESC, exec_id DESC LIMIT $5
"""

_REJECTIONS = """
SELECT ts_event_ns, signal_id, strategy_id, symbol, reason, detail
FROM rejections WHERE book = $1 AND lineage = $2 AND (ts_event_ns, signal_id) < ($3, $4)
ORDER BY ts_event_ns DESC, signal_id DESC LIMIT $5
"""

_BARS = """
SELECT ts_open_ns, ts_close_ns, open, high, low, close, volume, tick_count, seq, revised_ns
FROM bars WHERE book = $1 AND lineage = $2 AND symbol = $3 AND "interval" = $4 AND price = $5
    AND (ts_open_ns, seq) >= ($6, $9) AND ts_open_ns < $7
ORDER BY ts_open_ns DESC, seq DESC LIMIT $8
"""

_REVISED = """
SELECT coalesce(max(revised_ns), 0) AS newest FROM (
    SELECT revised_ns FROM bars WHERE book = $1 AND lineage = $2 AND symbol = $3 AND "interval" = $4 AND price = $5
    ORDER BY ts_open_ns DESC, seq DESC LIMIT $6
) newest_bars
"""

# Steps from one series to the next along the primary key: as many index look-ups as there are series.
_SERIES = """
WITH RECURSIVE found AS (
    (SELECT symbol, "interval", price FROM bars WHERE book = $1 AND lineage = $2
     ORDER BY symbol, "interval", price LIMIT 1)
    UNION ALL
    SELECT after.symbol, after."interval", after.price FROM found CROSS JOIN LATERAL (
        SELECT symbol, "interval", price FROM bars
        WHERE book = $1 AND lineage = $2 AND (symbol, "interval", price) > (found.symbol, found."interval", found.price)
        ORDER BY symbol, "interval", price LIMIT 1
    ) after
)
SELECT symbol, "interval", price FROM found LIMIT 1000
"""

_EQUITY = """
SELECT ts_event_ns, account, currency, cash, equity, unrealised_pnl, realised_pnl, drawdown, flows
FROM equity WHERE book = $1 AND lineage = $2 AND ($3::text IS NULL OR account = $3)
    AND ts_event_ns >= $4 AND ts_event_ns < $5
ORDER BY ts_event_ns DESC, account LIMIT $6
"""

_EQUITY_CURVE = """
WITH span AS (
    SELECT min(ts_event_ns) AS first, greatest(1, (max(ts_event_ns) - min(ts_event_ns)) / $3) AS width
    FROM equity WHERE book = $1 AND lineage = $2
)
SELECT DISTINCT ON (account, (ts_event_ns - first) / width)
    ts_event_ns, account, currency, cash, equity, unrealised_pnl, realised_pnl, drawdown, flows
FROM equity, span WHERE book = $1 AND lineage = $2
ORDER BY account, (ts_event_ns - first) / width, ts_event_ns DESC
"""

_CASH_ADJUSTMENTS = """
SELECT ts_event_ns, account, reference, kind, currency, amount, source, actor, reason FROM cash_adjustments
WHERE book = $1 AND lineage = $2 AND ($3::text IS NULL OR account = $3) ORDER BY ts_event_ns DESC, account, reference LIMIT $4
"""

_RECONCILIATIONS = """
SELECT ts_event_ns, account, severity, discrepancies FROM reconciliations
WHERE book = $1 AND lineage = $2 AND ($3::text IS NULL OR account = $3) ORDER BY ts_event_ns DESC, account LIMIT $4
"""

_BROKER_ACCOUNTS = """
SELECT ts_event_ns, account, currency, cash, equity, buying_power, daily_pnl, unrealised_pnl, realised_pnl FROM broker_accounts
WHERE book = $1 AND lineage = $2 ORDER BY account LIMIT $3
"""

_LOTS = """
SELECT account, strategy_id, symbol, exec_id, place_ns AS opened_ns, quantity, open_quantity, price FROM lots
WHERE book = $1 AND lineage = $2 AND closed_ns IS NULL ORDER BY account, symbol, strategy_id, place_ns, place_seq LIMIT $3
"""

_BALANCES = """
SELECT account, ledger, currency, amount FROM trial_balance WHERE book = $1 AND lineage = $2
ORDER BY account, ledger, currency LIMIT $3
"""

_DAYS = """
SELECT account, day, currency, first_equity, highest_equity, lowest_equity, last_equity, profit, largest_drawdown, fills, winners,
    losers, flows
FROM daily_statistics WHERE book = $1 AND lineage = $2 AND ($3::text IS NULL OR account = $3) ORDER BY day DESC, account LIMIT $4
"""

_INSTRUMENTS = """
SELECT symbol, asset_class, currency, base_currency, tick_size, contract_size, quantity_step, calendar
FROM instruments ORDER BY symbol LIMIT $1
"""

_STRATEGIES = """
SELECT id, strategy, symbols, "interval", params::text AS params, enabled
FROM strategies WHERE book = $1 ORDER BY id LIMIT $2
"""
