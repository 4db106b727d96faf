"""The books against an independent one: fills repeated, shuffled, lost and recovered, corrected, taken back, in three currencies.

Exact to the last decimal: positions, cost, profit by average cost and by FIFO, commissions, cash; and a journal that balances.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from typer.testing import CliRunner

from barque.bus.ledger import LedgerRunner
from barque.bus.ledger_row import lock_key
from barque.bus.redis_bus import RedisBus
from barque.config import BookConfig, CommonConfig, PostgresConfig
from barque.errors import BusUnavailable
from barque.messages import Fill, PositionChanged, Topic
from barque.observability.health import Health
from barque.postgres.pool import connect_one
from barque.postgres.projector import Handled, Scope
from barque_cli.main import app
from portfolio.config import AccountConfig, PortfolioConfig
from portfolio.core.node import PortfolioNode
from portfolio.core.state import PortfolioState
from portfolio.shell.projector import PortfolioProjector
from portfolio.shell.rebuild import Rebuild
from tests.support.builders import NS, T0, a_mark, clock
from tests.support.driving import OPTIONS, at_rest, publish, said
from tests.support.fill_storm import ACCOUNTS, Storm, instruments, storm
from tests.support.servers import begin_book

SCOPE = Scope(book="main", lineage="l1", node="portfolio", epoch=1)


ACCOUNT_CONFIGS = tuple(
    AccountConfig(name=name, currency=currency, starting_cash=Decimal(amount)) for name, (currency, amount) in ACCOUNTS.items()
)


def new_node() -> PortfolioNode:
    return PortfolioNode(PortfolioConfig(accounts=ACCOUNT_CONFIGS), instruments())


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
        now_ns = max(fill.ts_event_ns for fill in told[: at + size])
        await commit(connection, node, projector, [clock(now_ns), *told[at : at + size]])
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


def rebuild_of(connection: asyncpg.Connection) -> Rebuild:
    config = PortfolioConfig(accounts=ACCOUNT_CONFIGS)
    return Rebuild(connection, CommonConfig(instruments=tuple(instruments())), config)


def assert_all_happened(expected: Storm) -> None:
    assert all(expected.kinds.values()), expected.kinds


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_storm_of_fills_ends_in_exact_books(connection: asyncpg.Connection, seed: int) -> None:
    expected = storm(seed, 1_500)
    assert_all_happened(expected)
    node = await book_all(connection, expected.told, batch=120, seed=seed)
    await compare(connection, node, expected)
    await begin(connection)
    assert (await rebuild_of(connection).check()).differences == []


DAMAGE = {
    "fills": "UPDATE fills SET realised_pnl = realised_pnl + 1 WHERE exec_id = (SELECT min(exec_id) FROM fills)",
    "positions": "UPDATE positions SET cost = cost + 0.00000001 WHERE (account, strategy_id, symbol) = ('paper', 's1', 'EURUSD')",
    "cash": "UPDATE cash SET amount = amount - 1 WHERE account = 'tokyo' AND currency = 'JPY'",
    "lots": "DELETE FROM lots WHERE exec_id = (SELECT max(exec_id) FROM lots)",
    "lot_closings": "UPDATE lot_closings SET quantity = quantity + 1 WHERE exec_id = (SELECT max(exec_id) FROM lot_closings)",
    "journal": "INSERT INTO journal SELECT book, lineage, account, 'by hand', line, kind, exec_id, strategy_id, symbol, ledger,"
    " currency, amount FROM journal WHERE entry = (SELECT min(entry) FROM journal)",
    "equity": "UPDATE equity SET peak = peak + 5 WHERE ts_event_ns = (SELECT max(ts_event_ns) FROM equity)",
}


async def test_what_was_damaged_is_found_named_and_put_right(connection: asyncpg.Connection) -> None:
    expected = storm(4, 300, far=60)
    node = await book_all(connection, expected.told, batch=60, seed=4)
    await begin(connection)
    await connection.execute(
        "INSERT INTO node_state (book, lineage, node, state) VALUES ('main', 'l1', 'portfolio', $1)", node.snapshot()
    )
    for statement in DAMAGE.values():
        await connection.execute(statement)
    found = (await rebuild_of(connection).check()).differences
    assert {each.table for each in found} == set(DAMAGE)
    assert any("amount is" in str(each) and str(each).startswith("cash tokyo/JPY: ") for each in found)
    await rebuild_of(connection).write()
    assert (await rebuild_of(connection).check()).differences == []
    await compare(connection, node, expected)


async def test_the_command_names_what_differs_and_puts_it_right(
    connection: asyncpg.Connection, database: PostgresConfig, tmp_path: Path
) -> None:
    fills = [fill for fill in storm(8, 60).told if fill.symbol == "EURUSD" and fill.account == "paper"]
    await book_all(connection, fills, batch=20, seed=8)
    await begin(connection)
    config = tmp_path / "barque.toml"
    config.write_text(
        f'[postgres]\nurl = "{database.url}"\npassword_file = "{database.password_file}"\n'
        '[[portfolio.accounts]]\nname = "paper"\ncurrency = "USD"\nstarting_cash = "1000000"\n'
        '[[instruments]]\nsymbol = "EURUSD"\ncurrency = "USD"\nbase_currency = "EUR"\ntick_size = "0.00001"\n'
    )

    async def rebuild(*options: str) -> tuple[int, str]:
        arguments = ["books", "rebuild", *options, "--config", str(config)]
        done = await asyncio.to_thread(CliRunner().invoke, app, arguments)
        return done.exit_code, done.output

    code, output = await rebuild("--check")
    assert (code, "differ" in output) == (0, False), output
    await connection.execute("UPDATE positions SET quantity = quantity + 1 WHERE strategy_id = 's1'")
    code, output = await rebuild()
    assert code == 1
    assert "positions paper/s1/EURUSD: quantity is " in output
    assert (await rebuild("--write"))[0] == 0
    assert (await rebuild("--check"))[0] == 0


async def test_a_portfolio_with_a_wrong_state_goes_on_from_the_rebuilt_one(connection: asyncpg.Connection) -> None:
    expected = storm(5, 200, far=40)
    cut = len(expected.told) // 2
    node = await book_all(connection, expected.told[:cut], batch=60, seed=5)
    state = msgspec.msgpack.decode(node.snapshot(), type=PortfolioState)
    state.accounts["paper"].cash["USD"] += 7
    await begin(connection)
    await connection.execute(
        "INSERT INTO node_state (book, lineage, node, state) VALUES ('main', 'l1', 'portfolio', $1)",
        msgspec.msgpack.encode(state),
    )
    await connection.execute(DAMAGE["cash"])
    await rebuild_of(connection).write()
    node.restore(await connection.fetchval("SELECT state FROM node_state"))
    await commit(connection, node, PortfolioProjector(node), [clock(T0 + 3600 * NS), *expected.told[cut:]])
    await compare(connection, node, expected)


async def test_nothing_is_rebuilt_while_the_portfolio_runs(connection: asyncpg.Connection, database: PostgresConfig) -> None:
    await begin(connection)
    other = await connect_one(database)
    await other.execute("SELECT pg_advisory_lock($1)", lock_key("main", "l1", "portfolio"))
    with pytest.raises(BusUnavailable, match="stop it"):
        await rebuild_of(connection).write()
    await other.close()


async def test_the_journal_is_only_added_to_and_balances(connection: asyncpg.Connection) -> None:
    await book_all(connection, storm(6, 30).told, batch=10, seed=6)
    for statement in ("UPDATE journal SET amount = amount", "DELETE FROM journal", "TRUNCATE journal"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await connection.execute(statement)
    with pytest.raises(asyncpg.CheckViolationError, match="does not balance"):
        await connection.execute(
            "INSERT INTO journal VALUES ('main', 'l1', 'paper', 'by hand', 0, 'fill', 'x', 's1', 'SAP', 'cash', 'EUR', 1)"
        )


async def begin(connection: asyncpg.Connection) -> None:
    await connection.execute("INSERT INTO books (book, lineage) VALUES ('main', 'l1')")


async def test_books_over_streams_are_exact_though_the_portfolio_is_killed_on_the_way(
    bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig
) -> None:
    """The runner itself: entries of chance sizes, six processes that end in the middle of what they do, then one that stays."""
    await begin_book(bus, connection)
    expected, chance = storm(7, 600, far=150), random.Random(7)
    told = list(expected.told)
    batches = []
    while told:
        size = chance.randint(1, 15)
        batches.append(told[:size])
        del told[:size]
    await publish(bus, Topic.CLOCK, [[clock(T0)]], feed="feed.clock")
    kills = 0
    for number in range(7):
        node, own, stop = new_node(), bus.another(lockstep=True), asyncio.Event()
        runner = LedgerRunner(node, PortfolioProjector(node), own, database, OPTIONS, Health("test"))
        task = asyncio.create_task(runner.run(stop))
        share = batches[number * len(batches) // 7 : (number + 1) * len(batches) // 7]
        await publish(bus, Topic.FILLS, share, feed="sender.test")
        if number < 6:
            await asyncio.sleep(chance.uniform(0.05, 0.4))
            kills += not task.done()
            task.cancel()
            await asyncio.wait((task,), timeout=5)
        else:
            await at_rest(bus, "portfolio")
            stop.set()
            await asyncio.wait_for(task, 20)
        await own.close()
    assert kills == 6
    await compare(connection, node, expected)
    config = CommonConfig(book=BookConfig(name=bus.book), instruments=tuple(instruments()))
    checked = await Rebuild(connection, config, PortfolioConfig(accounts=ACCOUNT_CONFIGS)).check()
    assert [each for each in checked.differences if each.table != "equity"] == []
    marked = [m for m in await said(bus, Topic.PORTFOLIO) if isinstance(m, PositionChanged)]
    last = {(m.account, m.strategy_id, m.symbol): m.quantity for m in marked}
    assert last == {key: holding.quantity for key, holding in expected.independent_book().holdings.items()}


@pytest.mark.slow
@pytest.mark.timeout(1_800)
async def test_a_hundred_thousand_fills_end_in_exact_books(connection: asyncpg.Connection, database: PostgresConfig) -> None:
    expected = storm(3, 100_000, far=4_000)
    assert_all_happened(expected)
    began = time.monotonic()
    node = await book_all(connection, expected.told, batch=2_000, seed=3)
    print(f"{len(expected.told)} reports in {time.monotonic() - began:.0f} s: {expected.kinds}")
    await compare(connection, node, expected)
    await begin(connection)
    patient = await connect_one(msgspec.structs.replace(database, timeout_s=900.0))  # as `barque books rebuild` has it
    checked = await rebuild_of(patient).check()
    await patient.close()
    assert checked.differences == []
