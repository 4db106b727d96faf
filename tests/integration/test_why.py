"""Why did it trade? Asked of the real streams and tables, then of the tables alone, on the command line and over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import asyncpg
import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from barque.bus.ledger import LedgerRunner
from barque.bus.redis_bus import RedisBus
from barque.config import BookConfig, CommonConfig, PostgresConfig, RedisConfig
from barque.messages import (
    Message,
    OrderAccepted,
    OrderUnknown,
    RejectReason,
    SignalRejected,
    Topic,
)
from barque.observability.health import Health
from barque.why import Story, why
from barque_archive.columns import MarketColumns, QuoteColumns
from barque_archive.importing import import_into
from barque_archive.series import Series
from barque_cli.main import app as command
from gateway.app import create_app
from gateway.config import GatewayConfig
from portfolio.config import AccountConfig, PortfolioConfig
from portfolio.core.node import PortfolioNode
from portfolio.shell.projector import PortfolioProjector
from tests.support.builders import MINUTE, NS, T0, a_bar, a_fill, a_quote, a_signal, an_order, clock, eurusd
from tests.support.driving import OPTIONS, at_rest, publish
from tests.support.servers import begin_book

BAR = a_bar(T0, root=f"EURUSD.{T0 + 50 * NS}")
TICKS = [a_quote(T0 - NS), a_quote(T0 + NS), a_quote(T0 + 20 * NS), a_quote(T0 + 50 * NS), a_quote(T0 + 2 * MINUTE)]
WISH = a_signal(T0 + MINUTE, id="s1/bar/0", cause=BAR.id, root=BAR.root, reason="fast average above slow")
NAMES = {"cause": "s1/bar/0", "root": BAR.root}
ORDER = an_order(T0 + MINUTE, order_id="o7", checks=("PositionSize 5", "OrderRate 100"), **NAMES)
ABOUT = {"order_id": "o7", "strategy_id": "s1", "account": "paper", "symbol": "EURUSD", **NAMES}
FILLS = [
    OrderAccepted(ts_event_ns=T0 + MINUTE + 1, venue_order_id="P-7", **ABOUT),
    OrderUnknown(ts_event_ns=T0 + MINUTE + 2, detail="no answer", **ABOUT),
    a_fill(T0 + MINUTE + 3, exec_id="o7-1", order_id="o7", commission=Decimal(2), **NAMES),
]
REFUSED = a_signal(T0 + 2 * MINUTE, id="s1/clock/0", cause=f"clock.{T0 + 2 * MINUTE}", root=f"clock.{T0 + 2 * MINUTE}")
REFUSAL = SignalRejected(
    signal_id="s1/clock/0",
    cause="s1/clock/0",
    root=REFUSED.root,
    strategy_id="s1",
    symbol="EURUSD",
    ts_event_ns=T0 + 2 * MINUTE,
    reason=RejectReason.POSITION_LIMIT,
    detail="signal s1/clock/0: too much",
)


@pytest.fixture
async def booked(bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig) -> AsyncIterator[RedisBus]:
    """A short day on the streams, and in the tables by a real portfolio."""
    await begin_book(bus, connection)
    account = AccountConfig(name="paper", currency="USD", starting_cash=Decimal(100_000))
    node = PortfolioNode(PortfolioConfig(accounts=(account,)), [eurusd()])
    stop, own = asyncio.Event(), bus.another(lockstep=True)
    runner = LedgerRunner(node, PortfolioProjector(node), own, database, OPTIONS, Health("test"))
    task = asyncio.create_task(runner.run(stop))
    said: list[tuple[Topic, list[Message]]] = [
        (Topic.CLOCK, [clock(T0 + 3 * MINUTE)]),
        (Topic.TICKS, [*TICKS]),
        (Topic.BARS, [BAR]),
        (Topic.SIGNALS, [WISH, REFUSED]),
        (Topic.ORDERS, [ORDER, REFUSAL]),
        (Topic.FILLS, FILLS),
    ]
    for number, (topic, messages) in enumerate(said):
        await publish(bus, topic, [messages], feed=f"feed.{number}")
    await at_rest(bus, "portfolio")
    stop.set()
    await asyncio.wait_for(task, 10)
    await own.close()
    yield bus


async def ask(connection: asyncpg.Connection, bus: RedisBus | None, book: str, name: str) -> Story:
    story = await why(connection, bus, book, "l1", name)
    assert story is not None
    return story


def stages(story: Story) -> list[tuple[str, str]]:
    return [(step.stage, step.id) for step in story.steps]


WHOLE = [
    ("ticks", f"EURUSD.{T0 + NS}"),
    ("ticks", f"EURUSD.{T0 + 50 * NS}"),
    ("bar", BAR.id),
    ("signal", "s1/bar/0"),
    ("order", "o7"),
    ("event", "o7.OrderAccepted"),
    ("event", "o7.OrderUnknown"),
    ("fill", "o7-1"),
]


async def test_from_a_fill_back_to_order_checks_signal_bar_and_ticks(booked: RedisBus, connection: asyncpg.Connection) -> None:
    story = await ask(connection, booked, booked.book, "o7-1")
    assert (story.kind, story.missing) == ("execution", ())
    assert stages(story) == WHOLE
    by_id = {step.id: step for step in story.steps}
    assert "checks passed: PositionSize 5, OrderRate 100" in by_id["o7"].text
    assert "fast average above slow" in by_id["s1/bar/0"].text
    assert by_id["o7-1"].text == "buy 1 EURUSD at 1.38690, commission 2 USD"
    assert by_id[BAR.id].ts_event_ns == T0 + MINUTE
    assert all(step.published_ns for step in story.steps if step.stage != "bar")


async def test_an_order_and_a_signal_lead_to_the_same_story(booked: RedisBus, connection: asyncpg.Connection) -> None:
    by_order = await ask(connection, booked, booked.book, "o7")
    by_signal = await ask(connection, booked, booked.book, "s1/bar/0")
    assert (by_order.kind, by_signal.kind) == ("order", "signal")
    assert stages(by_order) == stages(by_signal) == WHOLE


async def test_when_the_streams_are_trimmed_the_tables_tell_it_and_what_is_gone(
    booked: RedisBus, connection: asyncpg.Connection
) -> None:
    await booked.call("DEL", *(booked.stream(topic) for topic in Topic))
    story = await ask(connection, booked, booked.book, "o7-1")
    assert stages(story) == WHOLE[2:]
    assert {step.found_in for step in story.steps} == {"ledger"}
    (missing,) = story.missing
    assert missing.startswith("ticks of EURUSD: not on the stream any more")


async def test_what_the_portfolio_has_not_booked_yet_the_streams_tell(booked: RedisBus, connection: asyncpg.Connection) -> None:
    for table in ("fills", "orders", "order_events", "signals", "bars"):
        await connection.execute(f"DELETE FROM {table}")
    story = await ask(connection, booked, booked.book, "o7-1")
    assert stages(story) == WHOLE
    assert {step.found_in for step in story.steps} == {"streams"}


async def test_a_refused_wish_of_the_clock_says_so(booked: RedisBus, connection: asyncpg.Connection) -> None:
    story = await ask(connection, booked, booked.book, "s1/clock/0")
    assert [stage for stage, _ in stages(story)] == ["clock", "signal", "rejection"]
    assert story.steps[2].text == "refused: position_limit: signal s1/clock/0: too much"


async def test_an_unknown_id_is_nobody_s(booked: RedisBus, connection: asyncpg.Connection) -> None:
    assert await why(connection, booked, booked.book, "l1", "x1") is None


async def test_the_command_tells_it_and_says_what_it_does_not_know(
    booked: RedisBus, database: PostgresConfig, valkey: RedisConfig, tmp_path: Path
) -> None:
    config = tmp_path / "barque.toml"
    config.write_text(
        f'[book]\nname = "{booked.book}"\n[postgres]\nurl = "{database.url}"\npassword_file = "{database.password_file}"\n'
        f'[redis]\nurl = "{valkey.url}"\npassword_file = "{valkey.password_file}"\n'
    )
    told = await asyncio.to_thread(CliRunner().invoke, command, ["why", "o7-1", "--config", str(config)])
    assert told.exit_code == 0, told.output
    assert "PositionSize" in told.output
    told = await asyncio.to_thread(CliRunner().invoke, command, ["why", "o7-1", "--json", "--config", str(config)])
    assert [step["id"] for step in json.loads(told.output)["steps"]] == [name for _, name in WHOLE]
    told = await asyncio.to_thread(CliRunner().invoke, command, ["why", "x1", "--config", str(config)])
    assert "knows no execution, order or signal 'x1'" in str(told.exception)


async def test_old_ticks_come_from_the_archive(
    booked: RedisBus, database: PostgresConfig, valkey: RedisConfig, tmp_path: Path
) -> None:
    await booked.call("DEL", *(booked.stream(topic) for topic in Topic))
    quotes = QuoteColumns(
        symbol="EURUSD",
        ts_event_ns=np.array([tick.ts_event_ns for tick in TICKS]),
        bid=np.array([tick.bid for tick in TICKS]),
        ask=np.array([tick.ask for tick in TICKS]),
        bid_size=np.zeros(len(TICKS)),
        ask_size=np.zeros(len(TICKS)),
    )

    class Source:
        series = (Series("EURUSD", "quotes"),)
        fraction = 1.0

        def __iter__(self) -> Iterator[MarketColumns]:
            yield quotes

    import_into(tmp_path / "archive", Source())
    config = tmp_path / "barque.toml"
    config.write_text(
        f'[book]\nname = "{booked.book}"\n[postgres]\nurl = "{database.url}"\npassword_file = "{database.password_file}"\n'
        f'[redis]\nurl = "{valkey.url}"\npassword_file = "{valkey.password_file}"\n'
        '[portfolio.archive]\npath = "archive"\nticks = true\n'
    )
    told = await asyncio.to_thread(CliRunner().invoke, command, ["why", "o7-1", "--json", "--config", str(config)])
    story = json.loads(told.output)
    assert [(step["id"], step["found_in"]) for step in story["steps"][:2]] == [(name, "archive") for _, name in WHOLE[:2]]
    assert story["missing"] == []


async def test_the_api_tells_it_and_answers_404_for_an_unknown_id(
    booked: RedisBus, connection: asyncpg.Connection, database: PostgresConfig, valkey: RedisConfig
) -> None:
    common = CommonConfig(book=BookConfig(name=booked.book, clock="feed"), postgres=database, redis=valkey)
    await connection.execute(
        "INSERT INTO reconciliations (book, lineage, account, ts_event_ns, severity, discrepancies)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        *(booked.book, "l1", "paper", T0, "minor", ["cash: 1 here, 2 there"]),
    )
    app = create_app(common, GatewayConfig(), None, Health("gateway"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000/api/v1") as client,
    ):
        story = (await client.get("/why/o7-1")).json()
        assert [step["id"] for step in story["steps"]] == [name for _, name in WHOLE]
        assert [step["id"] for step in (await client.get("/why/s1/bar/0")).json()["steps"]] == [name for _, name in WHOLE]
        unknown = await client.get("/why/x1")
        assert unknown.status_code == 404
        assert "knows no execution, order or signal 'x1'" in unknown.json()["error"]
        (reconciliation,) = (await client.get("/reconciliations")).json()
        assert (reconciliation["severity"], reconciliation["discrepancies"]) == ("minor", ["cash: 1 here, 2 there"])
        (lot,) = (await client.get("/lots")).json()
        assert (lot["exec_id"], lot["open_quantity"], lot["price"]) == ("o7-1", "1", "1.38690")
        balances = {each["ledger"]: Decimal(each["amount"]) for each in (await client.get("/balances")).json()}
        assert balances == {"cash": 99_998, "capital": -100_000, "instrument": 138_690, "margin": -138_690, "fees": 2}
        (day,) = (await client.get("/days")).json()
        assert (day["day"], day["fills"], Decimal(day["first_equity"])) == ("2014-05-01", 1, 100_000)
