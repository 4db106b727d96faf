"""The gateway against real Postgres and Valkey: what it reads, what it commands, and how it lives without either."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from barque.bus.redis_bus import Commit, RedisBus
from barque.config import BookConfig, CommonConfig, PostgresConfig, RedisConfig, StrategyConfig
from barque.embedded.postgres import EmbeddedPostgres
from barque.embedded.process import free_port
from barque.embedded.valkey import EmbeddedValkey
from barque.messages import Alert, ClockTicked, FeedStatus, Topic
from barque.observability.health import Health
from barque.postgres.migrate import migrate
from barque.postgres.pool import connect_one
from gateway.app import create_app
from gateway.config import GatewayConfig
from tests.support.builders import MINUTE, T0, eurusd
from tests.support.servers import begin_book

TOKEN = "f00dfeed" * 5
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NOWHERE = RedisConfig(url="redis://127.0.0.1:1/0", timeout_s=0.5)


@asynccontextmanager
async def serving(common: CommonConfig, token_file: Path | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running gateway without a page."""
    config = GatewayConfig(token_file=token_file)
    app = create_app(common, config, None, Health("gateway"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client,
    ):

        async def looked() -> bool:
            return "starting" not in (await client.get("/api/v1/status")).json()["problems"]

        await until(looked)
        yield client


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    return path


@pytest.fixture
def common(database: PostgresConfig, valkey: RedisConfig, book: str) -> CommonConfig:
    return CommonConfig(
        book=BookConfig(name=book, clock="feed"),
        postgres=database,
        redis=valkey,
        instruments=(eurusd(),),
        strategies=(StrategyConfig(id="s1", strategy="sma_cross", symbols=("EURUSD",)),),
    )


@pytest.fixture
async def client(
    common: CommonConfig, bus: RedisBus, connection: asyncpg.Connection, token_file: Path
) -> AsyncIterator[httpx.AsyncClient]:
    await begin_book(bus, connection)
    await write_history(connection, bus.book)
    async with serving(common, token_file) as client:
        yield client


async def write_history(connection: asyncpg.Connection, book: str) -> None:
    """Ten bars, five orders with a fill each at one instant, a position, an equity point; and another lineage's rows."""
    for lineage, shift in (("l1", 0.0), ("l0", 1.0)):
        await connection.executemany(
            "INSERT INTO bars VALUES ($1, $2, 'EURUSD', '1m', 'bid', $3, $4, $5, $5, $5, $5, 0, 3)",
            [(book, lineage, T0 + i * MINUTE, T0 + (i + 1) * MINUTE, 1.38 + shift + i / 1000) for i in range(10)],
        )
        for i in range(5):
            await connection.execute(
                "INSERT INTO intents VALUES ($1, $2, $3, 'paper', 's1', 's1/1/0', 'r', 'EURUSD', 'buy', 2, 'market', NULL, NULL,"
                " 'gtc', $4, '', '', 0, 1, $5, $5)",
                *(book, lineage, f"o{i}", "FILLED" if i else "UNKNOWN", T0),
            )
            await connection.execute(
                "INSERT INTO fills VALUES ($1, $2, 'paper', $3, $4, 's1/1/0', 'r', 's1', 'EURUSD', 'buy', 2, 1.3869, 0.1,"
                " 'USD', 0, 'USD', $5)",
                *(book, lineage, f"o{i}-1", f"o{i}", T0),
            )
        await connection.execute(
            "INSERT INTO positions VALUES ($1, $2, 'paper', 's1', 'EURUSD', 10, 1.38690, 0, 0.50, 'USD', $3)", book, lineage, T0
        )
        await connection.execute(
            "INSERT INTO equity VALUES ($1, $2, 'paper', $3, 'USD', 999999.5, 1000123.456789, 124, 0)", book, lineage, T0
        )


async def until(look: Callable[[], Awaitable[bool]], timeout_s: float = 8.0) -> None:
    """Wait for `look` to be true."""
    deadline = time.monotonic() + timeout_s
    while not await look():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.05)


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    """The JSON of a good answer."""
    answer = await client.get(f"/api/v1/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_money_is_exact_and_times_are_told_twice(client: httpx.AsyncClient) -> None:
    (equity,) = await get(client, "equity")
    assert equity["equity"] == "1000123.456789"
    assert (equity["ts_event_ns"], equity["ts_event"]) == (T0, "2014-05-01T00:00:00Z")
    (position,) = await get(client, "positions")
    assert (position["quantity"], position["average_price"]) == ("10", "1.38690")


async def test_fills_are_those_that_count_unless_asked_otherwise(
    client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    await connection.execute("UPDATE fills SET state = 'replaced' WHERE lineage = 'l1' AND exec_id = 'o2-1'")
    assert [each["exec_id"] for each in (await get(client, "fills"))["items"]] == ["o4-1", "o3-1", "o1-1", "o0-1"]
    everything = (await get(client, "fills", replaced=True))["items"]
    assert [each["state"] for each in everything] == ["booked", "booked", "replaced", "booked", "booked"]


async def test_only_the_current_lineage_is_shown(client: httpx.AsyncClient) -> None:
    bars = await get(client, "bars", symbol="EURUSD")
    assert [bar["open"] for bar in bars] == [pytest.approx(1.38 + i / 1000) for i in range(10)]
    assert len((await get(client, "fills"))["items"]) == 5


async def test_bars_are_the_newest_of_a_range_oldest_first(client: httpx.AsyncClient) -> None:
    bars = await get(client, "bars", symbol="EURUSD", **{"from": "2014-05-01T00:02:00Z", "to": str(T0 + 7 * MINUTE)}, limit=3)
    assert [(bar["ts_open_ns"] - T0) // MINUTE for bar in bars] == [4, 5, 6]
    assert await get(client, "bars", symbol="NOSUCH") == []
    assert await get(client, "series") == [{"symbol": "EURUSD", "interval": "1m", "price": "bid"}]


async def test_pages_of_one_instant_neither_repeat_nor_skip(client: httpx.AsyncClient) -> None:
    for path, key in (("orders", "order_id"), ("fills", "exec_id")):
        found, cursor = [], None
        while True:
            page = await get(client, path, limit=2, **({"cursor": cursor} if cursor else {}))
            found += [row[key] for row in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert found == sorted(found, reverse=True)
        assert len(set(found)) == 5


async def test_orders_are_found_by_state_and_symbol(client: httpx.AsyncClient) -> None:
    assert [row["order_id"] for row in (await get(client, "orders", state="UNKNOWN"))["items"]] == ["o0"]
    assert (await get(client, "orders", symbol="USDJPY"))["items"] == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("orders?limit=5001", "limit"),
        ("orders?limit=0", "limit"),
        ("orders?state=LOST", "state"),
        ("fills?cursor=nonsense", "cursor"),
        ("bars", "symbol"),
        ("bars?symbol=EURUSD&price=best", "price"),
        ("bars?symbol=EURUSD&from=yesterday", "from"),
        ("bars?symbol=EURUSD&to=99999999999999999999", "to"),
    ],
)
async def test_a_bad_question_is_answered_with_what_is_wrong(client: httpx.AsyncClient, path: str, said: str) -> None:
    answer = await client.get(f"/api/v1/{path}")
    assert answer.status_code == 422
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"].startswith(said)


async def test_a_hostile_symbol_is_only_a_symbol(client: httpx.AsyncClient) -> None:
    assert (await get(client, "orders", symbol="'; DROP TABLE intents; --"))["items"] == []
    assert len((await get(client, "orders"))["items"]) == 5


async def test_what_is_not_there_is_json_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/withdrawals")
    assert answer.status_code == 404
    assert "openapi.json" in answer.json()["error"]
    assert "/api/v1/orders" in (await client.get("/openapi.json")).json()["paths"]


async def test_status_knows_nodes_feeds_and_the_books_time(client: httpx.AsyncClient, bus: RedisBus) -> None:
    await bus.register("barbuilder", 20, [Topic.TICKS], False, "worker-1")
    said = {
        Topic.TICKS: [FeedStatus(feed="replay", ts_event_ns=T0, state="connected")],
        Topic.CLOCK: [ClockTicked(now_ns=T0 + MINUTE)],
    }
    await bus.commit(Commit(node="feed", expected_seq=0, state=b"", positions={}, outputs=said, outs={}))

    async def seen() -> bool:
        return bool((await get(client, "status"))["feeds"])

    await until(seen)
    status = await get(client, "status")
    assert (status["book"], status["lineage"], status["now"]) == (bus.book, "l1", "2014-05-01T00:01:00Z")
    (node,) = status["nodes"]
    assert (node["name"], node["worker"], node["lag"]) == ("barbuilder", "worker-1", {"ticks": 1})
    assert status["feeds"][0]["state"] == "connected"


async def test_a_brokers_figures_are_exact_and_what_it_does_not_say_is_null(
    client: httpx.AsyncClient, connection: asyncpg.Connection, bus: RedisBus
) -> None:
    assert await get(client, "accounts") == []
    await connection.execute(
        "INSERT INTO broker_accounts VALUES ($1, 'l1', 'DU1', $2, 'USD', 10.5, 99.99, 4e6, -1.25, 3, NULL)", bus.book, T0
    )
    (account,) = await get(client, "accounts")
    assert (account["equity"], account["daily_pnl"], account["realised_pnl"]) == ("99.99", "-1.25", None)


async def test_alerts_are_told_newest_first_and_by_severity(client: httpx.AsyncClient, bus: RedisBus) -> None:
    def alert(name: str, severity: Any, text: str) -> Alert:
        return Alert(name=name, ts_event_ns=T0, severity=severity, source="sender.ibkr", text=text)

    first = [alert("sender_disconnected", "warning", "DU1: no session; see to it"), alert("feed_gap", "warning", "a gap")]
    for number, said in enumerate((first, [alert("sender_disconnected", "info", "DU1: orders leave again")])):
        await bus.commit(Commit(node="feed", expected_seq=number, state=b"", positions={}, outputs={Topic.ALERTS: said}, outs={}))
    alerts = await get(client, "alerts")
    assert [(each["name"], each["severity"]) for each in alerts] == [
        ("sender_disconnected", "info"),
        ("feed_gap", "warning"),
        ("sender_disconnected", "warning"),
    ]
    assert len({each["id"] for each in alerts}) == 3
    assert alerts[0]["ts_event"] == "2014-05-01T00:00:00Z" and alerts[0]["text"] == "DU1: orders leave again"
    (newest,) = await get(client, "alerts", severity="warning", limit=1)
    assert newest["text"] == "a gap"


async def test_halt_and_resume_need_the_token_and_reach_both_stores(
    client: httpx.AsyncClient, bus: RedisBus, connection: asyncpg.Connection
) -> None:
    body = {"reason": "looks wrong"}
    for path in ("halt", "resume"):
        assert (await client.post(f"/api/v1/{path}", json=body)).status_code == 401
        assert (await client.post(f"/api/v1/{path}", json=body, headers={"Authorization": "Bearer no"})).status_code == 401
    halted = await client.post("/api/v1/halt", json=body, headers={**BEARER, "Idempotency-Key": "halt-1"})
    assert halted.status_code == 200
    assert halted.json()["command_id"] == "halt-1"
    assert halted.json()["halt"]["halted"]
    assert await connection.fetchval("SELECT halted FROM halts WHERE book = $1", bus.book)
    flag = await bus.halt_flag()
    assert flag is not None
    assert (flag.command_id, flag.reason) == ("halt-1", "looks wrong")

    again = await client.post("/api/v1/halt", json=body, headers={**BEARER, "Idempotency-Key": "halt-1"})
    assert again.json()["command_id"] == "halt-1"
    assert await connection.fetchval("SELECT count(*) FROM control_log WHERE book = $1", bus.book) == 1

    resumed = await client.post("/api/v1/resume", json={"reason": "checked"}, headers=BEARER)
    assert not resumed.json()["halt"]["halted"]
    assert await bus.halt_flag() is None


async def test_a_command_without_a_reason_or_from_another_site_is_refused(client: httpx.AsyncClient, bus: RedisBus) -> None:
    assert (await client.post("/api/v1/halt", json={"reason": " "}, headers=BEARER)).status_code == 422
    foreign = {**BEARER, "Origin": "http://evil.example"}
    assert (await client.post("/api/v1/halt", json={"reason": "x"}, headers=foreign)).status_code == 403
    assert (await client.get("/api/v1/status", headers={"Host": "evil.example"})).status_code == 403
    assert await bus.halt_flag() is None


async def test_without_a_token_file_anyone_here_halts_and_nobody_resumes(
    common: CommonConfig, bus: RedisBus, connection: asyncpg.Connection
) -> None:
    await begin_book(bus, connection)
    async with serving(common) as client:
        assert (await client.post("/api/v1/halt", json={"reason": "stop"})).json()["halt"]["halted"]
        refused = await client.post("/api/v1/resume", json={"reason": "go"}, headers=BEARER)
        assert refused.status_code == 403
        assert "token_file" in refused.json()["error"]


async def test_a_halt_holds_without_redis_and_reaches_it_when_it_is_back(
    common: CommonConfig, connection: asyncpg.Connection, book: str, tmp_path: Path
) -> None:
    server = EmbeddedValkey(tmp_path / "valkey", free_port())
    redis = server.start()
    try:
        bus = await RedisBus.connect(redis, book)
        await begin_book(bus, connection)
        async with serving(CommonConfig(book=common.book, postgres=common.postgres, redis=redis)) as client:
            server.process.kill()
            started = time.monotonic()
            answer = await client.post("/api/v1/halt", json={"reason": "redis is dead"})
            assert answer.json()["halt"]["halted"]
            assert time.monotonic() - started < 1.0
            assert await connection.fetchval("SELECT halted FROM halts WHERE book = $1", book)
            server.start()

            async def told() -> bool:
                return await bus.halt_flag() is not None

            await until(told)
        await bus.close()
    finally:
        server.stop()


async def test_a_halt_is_answered_while_redis_hangs(
    common: CommonConfig, connection: asyncpg.Connection, book: str, tmp_path: Path
) -> None:
    server = EmbeddedValkey(tmp_path / "valkey", free_port())
    redis = server.start()
    try:
        bus = await RedisBus.connect(redis, book)
        await begin_book(bus, connection)
        await bus.close()
        async with serving(CommonConfig(book=common.book, postgres=common.postgres, redis=redis)) as client:
            os.kill(server.process.pid, signal.SIGSTOP)
            command = asyncio.create_task(client.post("/api/v1/halt", json={"reason": "redis hangs"}))

            async def written() -> bool:
                return bool(await connection.fetchval("SELECT halted FROM halts WHERE book = $1", book))

            await until(written, 1.0)
            answer = await asyncio.wait_for(command, 4.0)
            assert answer.json()["halt"]["halted"]
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
        server.stop()


async def test_it_says_what_is_away_and_recovers_without_a_restart(valkey: RedisConfig, book: str, tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", free_port())
    postgres = server.start()
    try:
        common = CommonConfig(book=BookConfig(name=book), postgres=postgres, redis=valkey)
        async with serving(common) as client:

            async def readiness() -> tuple[int, str]:
                answer = await client.get("/readyz")
                return answer.status_code, str(answer.json()["reasons"])

            status, reasons = await readiness()
            assert status == 503
            assert "barque migrate" in reasons

            connection = await connect_one(postgres)
            await migrate(connection)
            await connection.execute("INSERT INTO books (book, lineage) VALUES ($1, 'l1')", book)
            await connection.close()

            async def ready() -> bool:
                return (await readiness())[0] == 200

            async def away() -> bool:
                return "Postgres is away" in (await readiness())[1]

            await until(ready)
            server.process.kill()
            await until(away)
            answer = await client.get("/api/v1/fills")
            assert answer.status_code == 503
            assert "127.0.0.1" not in answer.text
            assert (await client.get("/healthz")).status_code == 200
            halted = await client.post("/api/v1/halt", json={"reason": "postgres is dead"})
            assert halted.status_code == 200
            server.start()
            await until(ready)

            async def adopted() -> bool:
                return bool((await get(client, "status"))["halt"]["halted"])

            await until(adopted)
    finally:
        server.stop()


async def test_redis_that_never_was_there_is_a_reason_and_reads_go_on(
    common: CommonConfig, bus: RedisBus, connection: asyncpg.Connection
) -> None:
    await begin_book(bus, connection)
    await write_history(connection, bus.book)
    async with serving(CommonConfig(book=common.book, postgres=common.postgres, redis=NOWHERE)) as client:
        assert (await client.get("/readyz")).json()["reasons"].keys() == {"redis"}
        assert Decimal((await get(client, "positions"))[0]["quantity"]) == 10


async def test_metrics_are_there(client: httpx.AsyncClient) -> None:
    await get(client, "status")
    text = (await client.get("/metrics")).text
    assert 'barque_gateway_requests_total{route="/api/v1/status",status="200"}' in text


async def test_a_book_on_paper_has_nothing_to_reconcile_and_one_at_a_broker_is_asked(
    client: httpx.AsyncClient, connection: asyncpg.Connection, book: str
) -> None:
    answer = await client.post("/api/v1/reconcile", json={}, headers=BEARER)
    assert answer.status_code == 409
    assert "on paper there is nothing to compare" in answer.json()["error"]
    assert await connection.fetchval("SELECT count(*) FROM reconcile_requests") == 0
    lineage = await connection.fetchval("SELECT lineage FROM books WHERE book = $1", book)
    await connection.execute("INSERT INTO node_state (book, lineage, node) VALUES ($1, $2, 'sender.ibkr')", book, lineage)
    answer = await client.post("/api/v1/reconcile", json={}, headers=BEARER)
    assert answer.status_code == 200
    (row,) = await connection.fetch("SELECT command_id, actor FROM reconcile_requests WHERE book = $1", book)
    assert row["command_id"] == answer.json()["command_id"]


async def test_an_empty_value_is_no_limit(client: httpx.AsyncClient, bus: RedisBus) -> None:
    answer = await client.post("/api/v1/limits", json={"limit": "max_position", "value": ""}, headers=BEARER)
    assert answer.status_code == 422
    assert not [message for entry in await bus.range(Topic.CONTROL) for message in entry.messages()]


async def test_flatten_start_and_limits_need_the_token_and_each_command_goes_out_once(
    client: httpx.AsyncClient, bus: RedisBus, connection: asyncpg.Connection
) -> None:
    why = {"reason": "the test"}
    limit = {**why, "limit": "max_position", "value": "2", "symbol": "EURUSD"}
    cash = {**why, "account": "paper", "kind": "withdrawal", "currency": "USD", "amount": "-2.50", "reference": "wire 1"}
    cash |= {"at": "2014-05-01T00:00:00Z"}
    commands = {"flatten": why, "strategies/s1/start": why, "strategies/s1/stop": why, "limits": limit, "cash-adjustments": cash}
    for path, body in commands.items():
        assert (await client.post(f"/api/v1/{path}", json=body)).status_code == 401
        for _ in range(2):
            answer = await client.post(f"/api/v1/{path}", json=body, headers={**BEARER, "Idempotency-Key": path})
            assert answer.json() == {"command_id": path}
    told = [message for entry in await bus.range(Topic.CONTROL) for message in entry.messages()]
    assert [(type(m).__name__, m.reason) for m in told] == [
        ("Flatten", "the test"),
        ("StartStrategy", "the test"),
        ("StopStrategy", "the test"),
        ("SetLimit", "the test"),
        ("AdjustCash", "the test"),
    ]
    assert (told[3].limit, told[3].value, told[3].symbol, told[3].strategy_id) == ("max_position", "2", "EURUSD", "")
    adjusted = told[4]
    assert (adjusted.account, adjusted.kind, adjusted.currency, adjusted.amount) == (
        "paper",
        "withdrawal",
        "USD",
        Decimal("-2.50"),
    )
    assert (adjusted.reference, adjusted.at_ns) == ("wire 1", T0)
    assert await connection.fetchval("SELECT count(*) FROM control_log WHERE book = $1", bus.book) == 5


async def test_a_limit_a_symbol_and_a_strategy_that_there_are_not_are_refused_at_once_and_nobody_is_told(
    client: httpx.AsyncClient, bus: RedisBus
) -> None:
    good = {"reason": "the test", "limit": "max_position", "value": "2"}
    refusals = {
        "did you mean 'max_position'?": {"limit": "max_positoin"},
        "there is no symbol 'EURUSX'; did you mean 'EURUSD'?": {"symbol": "EURUSX"},
        "there is no strategy 'zz'; valid: s1": {"strategy_id": "zz"},
        "max_leverage is a limit over all symbols": {"limit": "max_leverage", "symbol": "EURUSD"},
        "'-1' is no limit": {"value": "-1"},
    }
    for told, change in refusals.items():
        answer = await client.post("/api/v1/limits", json=good | change, headers=BEARER)
        assert answer.status_code == 422
        assert told in answer.json()["error"]
    for path in ("strategies/s12/stop", "strategies/s12/start"):
        answer = await client.post(f"/api/v1/{path}", json={"reason": "the test"}, headers=BEARER)
        assert (answer.status_code, answer.json()["error"]) == (404, "there is no strategy 's12'; did you mean 's1'?")
    assert not [message for entry in await bus.range(Topic.CONTROL) for message in entry.messages()]
    assert (await client.post("/api/v1/limits", json=good | {"value": "none"}, headers=BEARER)).status_code == 200
