"""Cash that comes and goes without a trade, over real streams and a real Postgres: booked once, in balance, and neither profit
nor loss where it is a deposit or a withdrawal."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from barque import control
from barque.bus.ledger import LedgerRunner
from barque.bus.redis_bus import RedisBus
from barque.config import BookConfig, CommonConfig, PostgresConfig, RedisConfig
from barque.messages import AdjustCash, Alert, CashAdjusted, EquityMarked, Message, Topic
from barque.observability.health import Health
from barque.postgres.pool import connect_pool
from barque.postgres.projector import Handled, Scope
from barque_cli.main import app
from portfolio.config import AccountConfig, PortfolioConfig
from portfolio.core.node import PortfolioNode
from portfolio.shell.projector import PortfolioProjector
from portfolio.shell.rebuild import Rebuild
from tests.support.builders import MINUTE, T0, a_fill, a_mark, clock, eurusd
from tests.support.driving import OPTIONS, at_rest, publish, said
from tests.support.servers import begin_book

D = Decimal
DAY = 24 * 60 * MINUTE
MIDNIGHT = T0 // DAY * DAY + DAY
SCOPE = Scope(book="main", lineage="l1", node="portfolio", epoch=1)
CONFIG = PortfolioConfig(accounts=(AccountConfig(name="paper", currency="USD", starting_cash=D(100_000)),))


def a_node() -> PortfolioNode:
    return PortfolioNode(CONFIG, [eurusd()])


def commanded(amount: str, reference: str, kind: str = "deposit", **changes: Any) -> AdjustCash:
    about: dict[str, Any] = {"account": "paper", "kind": kind, "currency": "USD", "amount": D(amount), "reference": reference}
    base = {"command_id": f"c/{reference}", "ts_event_ns": T0, "actor": "anna", "reason": "as the bank says"}
    return AdjustCash(**(base | about | changes))


def reported(amount: str, reference: str, kind: str = "financing", currency: str = "USD") -> CashAdjusted:
    about: dict[str, Any] = {"account": "paper", "kind": kind, "currency": currency, "reference": reference}
    return CashAdjusted(ts_event_ns=T0, amount=D(amount), **about)


async def commit(connection: asyncpg.Connection, node: PortfolioNode, *messages: Message) -> None:
    """One transaction of the ledger runner."""
    projector = PortfolioProjector(node)
    async with connection.transaction():
        told = await projector.recall(connection, SCOPE, messages)
        if told is not None:
            node.handle(told[0])
        handled = [Handled(message, node.handle(message)) for message in messages]
        if told is not None:
            node.handle(told[1])
        await projector.write(connection, SCOPE, handled)


async def rows(connection: asyncpg.Connection, query: str) -> Sequence[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.fetch(query)]


async def differences(connection: asyncpg.Connection, book: str = "main") -> list[str]:
    common = CommonConfig(book=BookConfig(name=book), instruments=(eurusd(),))
    return [str(each) for each in (await Rebuild(connection, common, CONFIG).check()).differences]


async def test_the_books_have_each_kind_once_and_balance(connection: asyncpg.Connection) -> None:
    """100,000 + 2,500 − 400 + 12.50 + 3 − 1.17 − 10 − 0.45 + 0.12 USD are 102,104.00."""
    node = a_node()
    await commit(connection, node, clock(T0), commanded("2500", "wire 1"), commanded("2500", "wire 1"))
    kinds = {"interest": "12.50", "dividend": "3", "financing": "-1.17", "fee": "-10", "tax": "-0.45", "reconciliation": "0.12"}
    changes = [reported(amount, f"deal/{kind}", kind) for kind, amount in kinds.items()]
    await commit(connection, node, commanded("-400", "wire 2", "withdrawal"), *changes)
    other = a_node()  # another process, which the tables alone remind
    other.restore(node.snapshot())
    await commit(connection, other, *changes, commanded("2500", "wire 1", command_id="again"), commanded("1", "wire 2"))
    assert await rows(connection, "SELECT currency, amount FROM cash") == [("USD", D("102104.00"))]
    assert await rows(connection, "SELECT ledger, amount FROM trial_balance ORDER BY ledger") == [
        ("capital", D(-102_100)),
        ("cash", D("102104.00")),
        ("charges", D(10)),
        ("dividends", D(-3)),
        ("financing", D("1.17")),
        ("interest", D("-12.50")),
        ("reconciliation", D("-0.12")),
        ("taxes", D("0.45")),
    ]
    found = await rows(connection, "SELECT reference, source, actor, reason FROM cash_adjustments WHERE kind <> 'fee' LIMIT 2")
    assert found == [("wire 1", "control", "anna", "as the bank says"), ("wire 2", "control", "anna", "as the bank says")]
    await connection.execute("INSERT INTO books (book, lineage) VALUES ('main', 'l1')")
    assert await differences(connection) == []
    await connection.execute("UPDATE cash SET amount = amount + 1")
    assert await differences(connection) == ["cash paper/USD: amount is 102105.00, must be 102104.00"]


async def test_days_peak_and_drawdown_leave_deposits_and_withdrawals_out(connection: asyncpg.Connection) -> None:
    """One contract long at 1.38: up 1,000 at 1.39, and 50,000 come in; the next day it falls to 1.385, 20,000 go out, and it
    rises to 1.388. Profit 1,000, then −200. The peak of 101,000 becomes 151,000, then 131,000: the drawdown is 500, then 200."""
    node = a_node()
    await commit(connection, node, clock(T0), a_mark(bid=1.38, ask=1.38), a_fill(T0, price=D("1.38")))
    await commit(connection, node, a_mark(bid=1.39, ask=1.39), clock(T0 + MINUTE))
    await commit(connection, node, commanded("50000", "wire 1"))
    await commit(connection, node, a_mark(bid=1.385, ask=1.385), clock(MIDNIGHT))
    await commit(connection, node, clock(MIDNIGHT + 1), commanded("-20000", "wire 2", "withdrawal"))
    await commit(connection, node, a_mark(bid=1.388, ask=1.388), clock(MIDNIGHT + 2 * MINUTE))
    query = "SELECT equity, flows, peak, drawdown FROM equity ORDER BY ts_event_ns"
    assert await rows(connection, query) == [
        (D(100_000), 0, D(100_000), 0),
        (D(151_000), D(50_000), D(151_000), 0),
        (D(150_500), D(50_000), D(151_000), D(500)),
        (D(130_500), D(30_000), D(131_000), D(500)),
        (D(130_800), D(30_000), D(131_000), D(200)),
    ]
    query = "SELECT first_equity, last_equity, profit, largest_drawdown, flows FROM daily_statistics ORDER BY day"
    assert await rows(connection, query) == [
        (D(100_000), D(151_000), D(1_000), 0, D(50_000)),
        (D(150_500), D(130_800), D(-200), D(500), D(-20_000)),
    ]
    await connection.execute("INSERT INTO books (book, lineage) VALUES ('main', 'l1')")
    assert await differences(connection) == []
    await connection.execute("UPDATE equity SET peak = peak + 1 WHERE flows = 50000 AND drawdown = 0")
    assert await differences(connection) == [f"equity paper {T0 + MINUTE}: peak is 151001.00000, must be 151000.00000"]


async def test_commands_and_reports_over_streams_are_booked_once_though_the_portfolio_is_killed_on_the_way(
    bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig
) -> None:
    """A hundred commands of 1 USD with each reference twice, and eighty reports of 2 USD likewise: 100,000 + 50 + 80."""
    await begin_book(bus, connection)
    chance, kills = random.Random(3), 0
    pool = await connect_pool(database, size=1)
    for number in range(5):
        node, own, stop = a_node(), bus.another(lockstep=True), asyncio.Event()
        runner = LedgerRunner(node, PortfolioProjector(node), own, database, OPTIONS, Health("test"))
        task = asyncio.create_task(runner.run(stop))
        for n in range(number * 20, number * 20 + 20):
            await control.tell(pool, bus, bus.book, commanded("1", f"wire {n // 2}", command_id=f"c{n}"))
        batches = [[reported("2", f"deal/{n // 2}")] for n in range(number * 16, number * 16 + 16)]
        await publish(bus, Topic.FILLS, batches, feed="sender.test")
        if number < 4:
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            kills += not task.done()
            task.cancel()
            await asyncio.wait((task,), timeout=5)
        else:
            await at_rest(bus, "portfolio")
            stop.set()
            await asyncio.wait_for(task, 20)
        await own.close()
    await pool.close()
    assert kills == 4
    assert await rows(connection, "SELECT amount FROM cash") == [(D(100_130),)]
    assert await rows(connection, "SELECT kind, count(*) FROM cash_adjustments GROUP BY kind ORDER BY kind") == [
        ("deposit", 50),
        ("financing", 40),
    ]
    assert await rows(connection, "SELECT count(*) FROM control_log") == [(100,)]
    assert await differences(connection, bus.book) == []
    last = [message for message in await said(bus, Topic.PORTFOLIO) if isinstance(message, EquityMarked)][-1]
    assert (last.equity, last.flows) == (D(100_130), D(50))
    assert await said(bus, Topic.ALERTS) == []


# -- the command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path, valkey: RedisConfig, database: PostgresConfig, bus: RedisBus) -> Path:
    (tmp_path / "token").write_text("let me book, " * 3)
    (tmp_path / "wrong").write_text("let me look, " * 3)
    path = tmp_path / "barque.toml"
    path.write_text(
        f'[book]\nname = "{bus.book}"\n[redis]\nurl = "{valkey.url}"\npassword_file = "{valkey.password_file}"\n'
        f'[postgres]\nurl = "{database.url}"\npassword_file = "{database.password_file}"\n[gateway]\ntoken_file = "token"\n'
        '[[portfolio.accounts]]\nname = "paper"\ncurrency = "USD"\nstarting_cash = "100000"\n'
    )
    return path


async def post(config: Path, key: str = "token", **changes: str) -> tuple[int, str]:
    about = {"account": "paper", "kind": "deposit", "amount": "250.5", "currency": "USD", "reference": "wire 1", "wait": "20"}
    options = [f"--{name}={value}" for name, value in (about | changes).items()]
    arguments = ["books", "post", *options, "--token-file", str(config.parent / key), "--config", str(config)]
    done = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    return done.exit_code, done.output + str(done.exception or "")


async def test_the_command_books_and_says_so_and_a_repeat_is_the_same(
    bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig, config: Path
) -> None:
    await begin_book(bus, connection)
    node, own, stop = a_node(), bus.another(), asyncio.Event()
    runner = LedgerRunner(node, PortfolioProjector(node), own, database, OPTIONS, Health("test"))
    task = asyncio.create_task(runner.run(stop))
    for _ in range(2):
        code, output = await post(config, at="2014-05-01T09:30:00Z", reason="as the bank says")
        assert (code, "booked: deposit wire 1 of 250.5 USD on account paper" in output) == (0, True), output
    code, output = await post(config, amount="251")
    assert code != 0
    assert "reference 'wire 1' is in the books as deposit of 250.5 USD" in output
    code, _ = await post(config, kind="withdrawal", amount="-50", reference="wire 2")
    assert code == 0
    stop.set()
    await asyncio.wait_for(task, 20)
    await own.close()
    query = "SELECT reference, amount, actor, reason, ts_event_ns FROM cash_adjustments ORDER BY reference LIMIT 1"
    half_past_nine_ns = 1_398_936_600 * 1_000_000_000
    assert await rows(connection, query) == [("wire 1", D("250.5"), "command line", "as the bank says", half_past_nine_ns)]
    assert await rows(connection, "SELECT amount FROM cash") == [(D("100200.5"),)]
    assert [m for m in await said(bus, Topic.ALERTS) if isinstance(m, Alert)] == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kind": "depsit"}, "there is no kind 'depsit'; did you mean 'deposit'?"),
        ({"account": "papr"}, "there is no account 'papr'; did you mean 'paper'?"),
        ({"kind": "withdrawal"}, "a withdrawal takes money out: its amount is negative"),
        ({"amount": "much"}, "--amount 'much' is no number"),
        ({"at": "yesterday"}, "--at 'yesterday' is no time"),
    ],
)
async def test_the_command_says_what_is_wrong_and_tells_nobody(
    bus: RedisBus, connection: asyncpg.Connection, config: Path, changes: dict[str, str], why: str
) -> None:
    await begin_book(bus, connection)
    code, output = await post(config, **changes)
    assert code != 0
    assert why in output
    assert await bus.length(Topic.CONTROL) == 0


async def test_without_the_token_nothing_is_booked(bus: RedisBus, connection: asyncpg.Connection, config: Path) -> None:
    await begin_book(bus, connection)
    code, output = await post(config, key="wrong")
    assert code != 0
    assert "is not the gateway's; nothing was booked" in output
    assert await bus.length(Topic.CONTROL) == 0


async def test_the_command_says_when_nobody_books(bus: RedisBus, connection: asyncpg.Connection, config: Path) -> None:
    await begin_book(bus, connection)
    code, output = await post(config, wait="0.3")
    assert (code, "not booked within 0.3 s" in output) == (1, True), output
