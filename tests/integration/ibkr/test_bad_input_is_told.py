"""What a person gets wrong, through the running sender and the running feed: in the log, as an alert, and in the API's answer.

`test_bad_input.py` has the sentences one by one; here is that each of them arrives everywhere.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import structlog

from barque.bus.redis_bus import RedisBus
from barque.config import BookConfig, CommonConfig, PostgresConfig, RedisConfig
from barque.embedded.process import free_port
from barque.errors import ConfigError
from barque.instruments import Instrument
from barque.observability.health import Health
from feed_ibkr.config import FeedIbkrConfig
from feed_ibkr.shell.source import open_source
from gateway.app import create_app
from gateway.config import GatewayConfig
from simulators.tws import TwsSimulator
from tests.support.feeds import QUICK, an_instrument, running_feed
from tests.support.ibkr_broker import Tws
from tests.support.live_book import LiveBook
from tests.support.servers import begin_book
from tests.support.tws import connected

D = Decimal
NO_SUCH_HOST = "no-such-host.invalid"


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong, and what people have to be told of it."""

    what: str
    alert: str
    says: str
    """Words of the sentence; what to do is in it."""
    to_do: str
    ibkr: dict[str, Any] = field(default_factory=dict)
    account: str = "DU1234567"
    instrument: dict[str, Any] = field(default_factory=dict)
    ends: bool = False
    """The process ends with `ConfigError`, exit code 2."""
    rival: int = 0
    """Client id that another program has."""
    right: Any = None
    """What the login may see of EURUSD."""
    closed: bool = False
    """The market is, and an order is sent."""


NOWHERE = {"host": NO_SUCH_HOST}
UNKNOWN = {"symbol": "NOSUCH", "asset_class": "stock", "tick_size": "0.01", "base_currency": "", "currency": "USD"}
SEVERAL = {"symbol": "SPYC", "asset_class": "option", "tick_size": "0.01", "contract_size": "100", "base_currency": ""}
OPTION = {"contracts": [{"symbol": "SPYC", "venue_symbol": "SPY", "expiry": "20", "strike": 600, "right": "C"}]}
LISTENS = "nothing listens there"
ENABLE = "enable its API"
IN_USE = "is in use, by another program"

SENDER = (
    Wrong("host", "sender_disconnected", "cannot be reached", "Check ibkr.host and ibkr.port", ibkr=NOWHERE),
    Wrong("port", "sender_disconnected", LISTENS, ENABLE, ibkr={"port": 1}),
    Wrong("client_id", "sender_disconnected", f"client id 12 {IN_USE}", "tried again with the same id", rival=12),
    Wrong("account", "sender_refused", "account 'DU999' is not in this login", "set ibkr.account", account="DU999", ends=True),
    Wrong("live", "sender_refused", "is a paper account", "set ibkr.live = false", ibkr={"live": True}, ends=True),
    Wrong("symbol", "sender_refused", "symbol 'NOSUCH'", "correct [[ibkr.contracts]]", instrument=UNKNOWN, ends=True),
    Wrong("several", "sender_refused", "contracts fit", "say more in [[ibkr.contracts]]", OPTION, instrument=SEVERAL, ends=True),
    Wrong("closed", "order_noted", "until the market opens", "Cancel it", closed=True),
)
FEED = (
    Wrong("host", "feed_disconnected", "cannot be reached", "Check ibkr.host and ibkr.port", ibkr=NOWHERE),
    Wrong("port", "feed_disconnected", LISTENS, ENABLE, ibkr={"port": 1}),
    Wrong("client_id", "feed_disconnected", f"client id 11 {IN_USE}", "tried again with the same id", rival=11),
    Wrong("symbol", "feed_refused", "NOSUCH", "correct its contract in the configuration", instrument=UNKNOWN),
    Wrong("several", "feed_refused", "contracts fit", "say more in [[ibkr.contracts]]", OPTION, instrument=SEVERAL),
    Wrong("permission", "feed_refused", "not subscribed", "subscribe to these data at the broker", right="none"),
)


def named(wrongs: Sequence[Wrong]) -> Any:
    return pytest.mark.parametrize("wrong", wrongs, ids=[wrong.what for wrong in wrongs])


@pytest.fixture
async def api(database: PostgresConfig, valkey: RedisConfig, book: str) -> AsyncIterator[httpx.AsyncClient]:
    common = CommonConfig(book=BookConfig(name=book), postgres=database, redis=valkey)
    app = create_app(common, GatewayConfig(), None, Health("gateway"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


async def told(api: httpx.AsyncClient, name: str, seconds: float = 20.0) -> dict[str, Any]:
    """The newest alert of this name, from the API."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for alert in (await api.get("/api/v1/alerts")).json():
            if alert["name"] == name:
                return dict(alert)
        await asyncio.sleep(0.05)
    raise AssertionError(f"no alert {name}; there are {(await api.get('/api/v1/alerts')).text}")


def check(wrong: Wrong, alert: dict[str, Any], log: list[Any]) -> None:
    for words in (wrong.says, wrong.to_do):
        assert words in alert["text"], (words, alert)
        assert any(words in str(line) for line in log), (words, log)


@asynccontextmanager
async def rival(tws: TwsSimulator, wrong: Wrong) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        if wrong.rival:
            await stack.enter_async_context(connected(tws, wrong.rival))
        yield


@named(SENDER)
async def test_the_sender_tells(
    wrong: Wrong, tmp_path: Path, bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig, api: httpx.AsyncClient
) -> None:
    await begin_book(bus, connection)
    broker = Tws()
    sections = await broker.start(tmp_path)
    sections["ibkr"] |= {"order_id_base": 1_000_000} | wrong.ibkr
    broker.account = wrong.account
    if wrong.instrument:
        broker.instrument = Instrument(**{"currency": "USD"} | wrong.instrument | {"tick_size": D("0.01")})
    live = LiveBook(broker, sections, bus, database, alert_after_s=0.3, live=wrong.ibkr.get("live", False))
    with structlog.testing.capture_logs() as log:
        async with rival(broker.tws, wrong):
            if wrong.closed:
                broker.tws.switch_market("EURUSD", False)
            try:
                await live.begin(ready=wrong.closed)
                if wrong.closed:
                    await live.order()
                alert = await told(api, wrong.alert)
                if wrong.ends:
                    with pytest.raises(ConfigError, match=wrong.says.replace("(", r"\(")):
                        await live.until(lambda: False, "the end of the sender")
            finally:
                await live.kill() if wrong.ends else None
                await live.end()
                await broker.stop()
    check(wrong, alert, log)
    assert alert["source"] == "sender.ibkr"
    assert (
        alert["severity"] == {"sender_disconnected": "warning", "sender_refused": "critical", "order_noted": "info"}[wrong.alert]
    )
    assert len(broker.tws.book.orders) == wrong.closed, "nothing else was sent"


@named(FEED)
async def test_the_feed_tells(
    wrong: Wrong, valkey: RedisConfig, book: str, bus: RedisBus, connection: asyncpg.Connection, api: httpx.AsyncClient
) -> None:
    await begin_book(bus, connection)
    async with TwsSimulator() as tws, rival(tws, wrong):
        tws.quote("EURUSD", 1.0850, 1.0851)
        if wrong.right is not None:
            tws.quotes.entitle("EURUSD", wrong.right)
        instrument = an_instrument("EURUSD") | wrong.instrument
        raw = {
            "instruments": [instrument],
            "ibkr": {"port": tws.port, "reconnect_min_s": 0.05, "reconnect_max_s": 0.2} | wrong.ibkr,
            "feed_ibkr": QUICK | {"symbols": [instrument["symbol"]], "alert_after_s": 1.5},
        }
        with structlog.testing.capture_logs() as log:
            async with running_feed(valkey, book, raw, open_source, "feed_ibkr", FeedIbkrConfig):
                alert = await told(api, wrong.alert)
    check(wrong, alert, log)
    assert alert["source"] == "feed.ibkr"


async def test_a_senders_process_at_the_wrong_account_ends_with_exit_code_2_when_people_have_been_told(
    tmp_path: Path,
    bus: RedisBus,
    connection: asyncpg.Connection,
    database: PostgresConfig,
    valkey: RedisConfig,
    api: httpx.AsyncClient,
) -> None:
    """The process as a supervisor starts it: exit code 2 is not started again."""
    await begin_book(bus, connection)
    async with TwsSimulator() as tws:
        tws.quote("EURUSD", 1.0850, 1.0851)
        (tmp_path / "barque.toml").write_text(f"""
[book]
name = "{bus.book}"
clock = "wall"
[postgres]
url = "{database.url}"
password_file = "{database.password_file}"
[redis]
url = "{valkey.url}"
password_file = "{valkey.password_file}"
[[instruments]]
symbol = "EURUSD"
currency = "USD"
base_currency = "EUR"
tick_size = "0.00005"
[ibkr]
port = {tws.port}
[sender]
venue = "ibkr"
account = "DU999"
""")
        command = [sys.executable, "-m", "router.shell.senders", "--config", str(tmp_path / "barque.toml")]
        process = await asyncio.create_subprocess_exec(
            *command, "--health-port", str(free_port()), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        log, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2, log.decode()
    assert b"account 'DU999' is not in this login, which has DU1234567; set ibkr.account" in log
    (alert,) = (await api.get("/api/v1/alerts")).json()
    assert (alert["name"], alert["source"]) == ("sender_refused", "sender.ibkr")
    assert not tws.book.orders
