"""The books against an independent one: fills repeated, shuffled, lost and recovered, corrected, taken back, in three currencies.

Exact to the last decimal: positions, cost, profit by average cost and by FIFO, commissions, cash; and a journal that balances.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import asyncpg
import pytest

from barque.messages import Fill
from barque.postgres.projector import Handled, Scope
from portfolio.config import AccountConfig, PortfolioConfig
from portfolio.core.node import PortfolioNode
from portfolio.shell.projector import PortfolioProjector
from tests.support.builders import T0, a_mark, clock
from tests.support.fill_storm import ACCOUNTS, Storm, instruments, storm

SCOPE = Scope(book="main", lineage="l1", node="portfolio", epoch=1)


def new_node() -> PortfolioNode:
    accounts = tuple(
        AccountConfig(name=name, currency=currency, starting_cash=Decimal(amount))
        for name, (currency, amount) in ACCOUNTS.items()
    )
    return PortfolioNode(PortfolioConfig(accounts=accounts), instruments())


async def commit(
    connection: asyncpg.Connection, node: PortfolioNode, projector: PortfolioProjector, fills: Sequence[Any]
) -> None:
    """One transaction of the ledger runner."""
    async with connection.transaction():
        told = await projector.recall(connection, SCOPE, fills)
        if told is not None:
            node.handle(told[0])
        handled = [Handled(message, node.handle(message)) for message in fills]
        if told is not None:
            node.handle(told[1])
        await projector.write(connection, SCOPE, handled)


async def book_all(connection: asyncpg.Connection, told: Sequence[Fill], batch: int, seed: int) -> PortfolioNode:
    """In batches of chance sizes, with a new process now and then."""
    chance = random.Random(seed)
    node = new_node()
    projector = PortfolioProjector(node)
    marks = [a_mark(bid=1.08, ask=1.08), a_mark(symbol="USDJPY", bid=150.0, ask=150.0), a_mark(symbol="SAP", bid=180, ask=180)]
    await commit(connection, node, projector, [*marks, a_mark(symbol="NK", bid=38_000, ask=38_000), clock(T0)])
    at = 0
    while at < len(told):
        size = chance.randint(1, batch)
        await commit(connection, node, projector, told[at : at + size])
        at += size
        if chance.random() < 0.1:
            state = node.snapshot()
            node = new_node()
            node.restore(state)
            projector = PortfolioProjector(node)
    return node


async def compare(connection: asyncpg.Connection, node: PortfolioNode, expected: Storm) -> None:
    book = expected.independent_book()
    found = {
        (row["account"], row["strategy_id"], row["symbol"]): tuple(
            Fraction(row[name]) for name in ("quantity", "cost", "realised_pnl", "commission", "fifo_realised_pnl")
        )
        for row in await connection.fetch("SELECT * FROM positions")
    }
    assert found == {
        key: (each.quantity, each.cost, each.realised, each.commission, each.fifo_realised) for key, each in book.holdings.items()
    }
    cash = {(row["account"], row["currency"]): Fraction(row["amount"]) for row in await connection.fetch("SELECT * FROM cash")}
    assert cash == {key: amount for key, amount in book.cash.items() if amount or key in cash}
    assert cash == {(name, ccy): Fraction(amount) for name in ACCOUNTS for ccy, amount in node.cash(name).items()}
    lots: dict[tuple[str, str, str], list[list[Fraction]]] = {key: [] for key in book.holdings}
    for row in await connection.fetch("SELECT * FROM lots WHERE open_quantity <> 0 ORDER BY place_ns, place_seq"):
        lots[row["account"], row["strategy_id"], row["symbol"]].append([Fraction(row["open_quantity"]), Fraction(row["price"])])
    assert lots == {key: each.queue for key, each in book.holdings.items()}
    await compare_journal(connection, cash)
    booked = await connection.fetchval("SELECT count(*) FROM fills WHERE state = 'booked'")
    assert booked == len(expected.truth)


async def compare_journal(connection: asyncpg.Connection, cash: dict[tuple[str, str], Fraction]) -> None:
    """Every entry balances; the balances are the tables'."""
    query = "SELECT 1 FROM journal GROUP BY account, entry, currency HAVING sum(amount) <> 0"
    assert await connection.fetch(query) == []
    balances = {
        (row["account"], row["ledger"], row["currency"]): Fraction(row["amount"])
        for row in await connection.fetch("SELECT * FROM trial_balance")
    }
    assert {(name, ccy): amount for (name, ledger, ccy), amount in balances.items() if ledger == "cash"} == cash
    query = "SELECT account, currency, sum(cost) AS cost, sum(realised_pnl) AS realised FROM positions GROUP BY account, currency"
    for row in await connection.fetch(query):
        assert balances[row["account"], "instrument", row["currency"]] == Fraction(row["cost"])
        assert balances[row["account"], "realised_pnl", row["currency"]] == -Fraction(row["realised"])
    query = "SELECT account, commission_currency, sum(commission) AS paid FROM fills WHERE state = 'booked' GROUP BY 1, 2"
    for row in await connection.fetch(query):
        assert balances[row["account"], "fees", row["commission_currency"]] == Fraction(row["paid"])


def assert_all_happened(expected: Storm) -> None:
    assert all(expected.kinds.values()), expected.kinds


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_storm_of_fills_ends_in_exact_books(connection: asyncpg.Connection, seed: int) -> None:
    expected = storm(seed, 1_500)
    assert_all_happened(expected)
    node = await book_all(connection, expected.told, batch=120, seed=seed)
    await compare(connection, node, expected)


@pytest.mark.slow
async def test_a_hundred_thousand_fills_end_in_exact_books(connection: asyncpg.Connection) -> None:
    expected = storm(3, 100_000, far=4_000)
    assert_all_happened(expected)
    began = time.monotonic()
    node = await book_all(connection, expected.told, batch=2_000, seed=3)
    print(f"{len(expected.told)} reports in {time.monotonic() - began:.0f} s: {expected.kinds}")
    await compare(connection, node, expected)
