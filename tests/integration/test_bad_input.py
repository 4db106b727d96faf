"""Whatever comes in: bad ticks, rubbish on a stream, a wrong configuration, a store that is not there."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from barque.bus.redis_bus import RedisBus
from barque.messages import Alert, Bar, DeadLetter, Fill, Message, Quote, SubmitOrder, Topic
from barque_cli.composition import service
from barque_cli.system import System, only
from tests.support.books import on_bus, running_book, said, wait_until
from tests.support.builders import NS, a_signal
from tests.support.command import barque, metric, readyz, run
from tests.support.configs import EURUSD, live_market
from tests.support.driving import publish

SYMBOL = "EURUSD"
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A live book whose only feed is the test."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "token").write_text("let me go on")
    config = live_market("bad", extra='\n[gateway]\ntoken_file = "token"\n')
    services = only("barbuilder", "router", "sender-paper", "portfolio", "strategy-host")
    with running_book(config, folder, services) as system:
        system.wait_ready(30)
        yield system


def feed(system: System, topic: Topic, batches: Sequence[Sequence[Message]]) -> None:
    on_bus(system, lambda bus: publish(bus, topic, batches, feed=f"feed.{topic}"))


def put(system: System, topic: Topic, body: bytes, envelope: bytes = b"") -> str:
    """An entry that nobody of ours wrote; its id."""

    async def work(bus: RedisBus) -> str:
        return (await bus.call("XADD", bus.stream(topic), "*", "e", envelope, "m", body)).decode()

    return on_bus(system, work)


def counted(system: System, kind: str) -> float:
    port = system.supervisor.child("barbuilder").health_port
    return metric(port, "barque_node_count", node="barbuilder", kind=kind)


def quote(at: int, bid: float, ask: float) -> Quote:
    return Quote(symbol=SYMBOL, ts_event_ns=at, ts_recv_ns=at, bid=bid, ask=ask)


# -- ticks -----------------------------------------------------------------------------------------------------------------


def test_bad_ticks_are_counted_by_reason_and_are_in_no_bar(book: System) -> None:
    start = (time.time_ns() // NS + 1) * NS
    """The next whole second: the bar that all of this is about."""
    wait_until(lambda: time.time_ns() >= start, 2, "the next second")
    at = [start + i * 1_000_000 for i in range(40)]
    good = [quote(at[0], 1.1000, 1.1002), quote(at[20], 1.1010, 1.1012), quote(at[30], 1.0990, 1.0992)]
    earlier = quote(at[10], 1.1004, 1.1006)
    bad = {
        "nan": [quote(at[1], NAN, 1.1002), quote(at[2], 1.1, NAN), quote(at[3], INF, INF), quote(at[4], 1.1, -INF)],
        "non_positive": [quote(at[5], -1.1, 1.1002), quote(at[6], 0.0, 1.1002), quote(at[7], -2.0, -1.0)],
        "crossed": [quote(at[8], 1.1003, 1.1001)],
        "spike": [quote(at[11], 2.2, 2.2002), quote(at[12], 0.5, 0.5002)],
        "bad_time": [quote(-5, 1.1, 1.1002), quote(2**62, 1.1, 1.1002)],
        "unknown_symbol": [Quote(symbol="NOSUCH", ts_event_ns=at[13], ts_recv_ns=at[13], bid=1.1, ask=1.1002)],
        "duplicate": [good[0]],
    }
    before = {kind: counted(book, kind) for kind in (*bad, "late", "ticks")}
    first = [good[0], bad["duplicate"][0]]
    wrong = [tick for kind, ticks in bad.items() if kind != "duplicate" for tick in ticks]
    # Out of order, but its bar is open: `earlier` comes after a younger tick and belongs in the bar all the same.
    feed(book, Topic.TICKS, [first, wrong, [good[1], earlier], [good[2]]])

    def bars() -> list[Bar]:
        return [bar for bar in said(book, Topic.BARS) if isinstance(bar, Bar) and bar.symbol == SYMBOL]

    wait_until(lambda: any(bar.ts_open_ns == start for bar in bars()), 5, "the bar")
    late = [quote(at[35], 9.0, 9.0002), quote(at[36], 1.05, 1.0502)]
    now = time.time_ns()
    feed(book, Topic.TICKS, [[late[1]], [quote(now, 1.1000, 1.1002)]])
    wait_until(lambda: counted(book, "late") > before["late"], 5, "the count of the late one")
    wait_until(lambda: any(bar.ts_open_ns == now // NS * NS for bar in bars()), 5, "the next bar")
    (bar,) = (bar for bar in bars() if bar.ts_open_ns == start)
    # By hand, mids of the four good ticks: 1.1001, 1.1011, (1.1005 out of order,) 1.0991.
    assert [round(x, 6) for x in (bar.open, bar.high, bar.low, bar.close)] == [1.1001, 1.1011, 1.0991, 1.0991]
    assert bar.tick_count == 4
    for kind, ticks in bad.items():
        assert counted(book, kind) - before[kind] == len(ticks), kind
    assert counted(book, "late") - before["late"] == 1
    assert counted(book, "ticks") - before["ticks"] == len(first) + len(wrong) + 3 + 1 + 1
    assert all(0 < bar.low <= bar.high < 1.2 for bar in bars())
    assert said(book, Topic.DEAD) == []


def letters(system: System, node: str) -> list[tuple[str, str, bytes]]:
    """(stream, place, bytes) of what a node could not handle."""
    return [(m.stream, m.entry_id, m.raw) for m in said(system, Topic.DEAD) if isinstance(m, DeadLetter) and m.node == node]


def resume(system: System) -> None:
    token = system.folder / "token"
    answer = barque("resume", "--token-file", token, "--config", system.config_path, environment=system.environment)
    assert answer.returncode == 0, answer.stderr


def test_rubbish_on_the_ticks_is_kept_with_its_bytes_and_place_and_the_bar_builder_goes_on(book: System) -> None:
    place = put(book, Topic.TICKS, b"\x91\xc1rubbish")
    wait_until(lambda: bool(letters(book, "barbuilder")), 5, "the dead letter")
    assert letters(book, "barbuilder") == [("ticks", place, b"\x91\xc1rubbish")]
    before = counted(book, "ticks")
    feed(book, Topic.TICKS, [[quote(time.time_ns(), 1.1, 1.1002)]])
    wait_until(lambda: counted(book, "ticks") > before, 5, "the next tick")
    port = book.supervisor.child("barbuilder").health_port
    assert readyz(port) == (200, {})
    assert metric(port, "barque_dead_lettered_total", node="barbuilder") == 1
    # The paper exchange, on the order path, prices orders by the same stream: of a tick the next one says as much.
    sender = book.supervisor.child("sender-paper").health_port
    wait_until(lambda: bool(letters(book, "sender.paper")), 5, "the sender's dead letter")
    assert letters(book, "sender.paper") == [("ticks", place, b"\x91\xc1rubbish")]
    assert readyz(sender) == (200, {})


# -- the order path --------------------------------------------------------------------------------------------------------


def wish(number: int, reason: str) -> Message:
    now = time.time_ns()
    return a_signal(now, id=f"eurusd-2/{reason}/{number}", strategy_id="eurusd-2", symbol=SYMBOL, quantity=Decimal(1))


def orders_of(system: System, reason: str) -> list[Message]:
    return [m for m in said(system, Topic.ORDERS) if isinstance(m, SubmitOrder) and f"/{reason}/" in m.cause]


def test_rubbish_on_the_signals_stops_the_book_with_an_alert_and_resume_goes_past_it(book: System) -> None:
    feed(book, Topic.TICKS, [[quote(time.time_ns(), 1.1, 1.1002)]])
    wait_until(lambda: bool(said(book, Topic.MARKS)), 5, "a mark")
    time.sleep(0.2)
    feed(book, Topic.SIGNALS, [[wish(1, "before")]])
    wait_until(lambda: len(orders_of(book, "before")) == 1, 5, "the order before")
    place = put(book, Topic.SIGNALS, b"rubbish")
    feed(book, Topic.SIGNALS, [[wish(1, "after")]])
    router = book.supervisor.child("router")
    wait_until(lambda: readyz(router.health_port)[0] == 503, 5, "the stop")
    assert place in readyz(router.health_port)[1]["router"]
    flag = on_bus(book, lambda bus: bus.halt_flag())
    assert flag is not None
    assert place in flag.reason
    assert letters(book, "router") == [("signals", place, b"rubbish")]
    (alert,) = (m for m in said(book, Topic.ALERTS) if isinstance(m, Alert) and m.source == "router")
    assert alert.name == "book_stopped"
    assert alert.severity == "critical"
    assert place in alert.text
    book.supervisor.kill("router")  # and a restart does not go past it either
    wait_until(
        lambda: router.restarts == 1 and place in readyz(router.health_port)[1].get("router", ""),
        10,
        "the stop after the restart",
    )
    assert orders_of(book, "after") == []
    resume(book)
    wait_until(lambda: readyz(router.health_port)[0] == 200, 5, "the router's readiness")
    feed(book, Topic.SIGNALS, [[wish(2, "after")]])
    wait_until(lambda: bool(orders_of(book, "after")), 5, "orders after the resume")
    sent = {m.order_id for m in orders_of(book, "after")}
    wait_until(lambda: sent <= {m.order_id for m in said(book, Topic.FILLS) if isinstance(m, Fill)}, 5, "their fills")
    assert len(letters(book, "router")) == 1


# -- configuration ---------------------------------------------------------------------------------------------------------

MODULES = {"barbuilder": "barbuilder", "router": "router", "feed-replay": "feed_replay"}


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("barbuilder", "[barbuilder]\ngrase_ms = 5", "unknown key 'barbuilder.grase_ms'; did you mean 'grace_ms'?"),
        ("router", "[redis]\ntimeout_s = 'soon'", "key 'redis.timeout_s'"),
        ("router", None, "does not exist; `barque config init` writes one"),
        (
            "feed-replay",
            f"[book]\nclock='feed'\n[feed_replay]\nsource='files'\n[[feed_replay.files]]\npath='no.csv'\nsymbol='EURUSD'\n{EURUSD}",
            "no.csv does not exist",
        ),
    ],
)
def test_a_service_with_a_bad_configuration_ends_with_one_clear_line_and_code_2(
    tmp_path: Path, name: str, text: str | None, line: str
) -> None:
    path = tmp_path / "barque.toml"
    if text is not None:
        path.write_text(text)
    answer = run([sys.executable, "-m", MODULES[name], "--config", str(path)], {})
    assert answer.returncode == 2, answer.stderr
    (told,) = (each for each in answer.stderr.splitlines() if "service_started" not in each)
    assert line in told
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("config", "check"), "did you mean 'clock'?"),
        (("halt",), "did you mean 'clock'?"),
        (("config", "check", "none.toml"), "none.toml does not exist"),
        (("bars", "no.csv", "--symbol", "EURUSD"), "no.csv does not exist"),
        (("status", "--config", "none.toml"), "none.toml does not exist"),
    ],
)
def test_the_command_with_a_bad_configuration_ends_with_one_clear_line_and_code_2(
    tmp_path: Path, arguments: tuple[str, ...], line: str
) -> None:
    path = tmp_path / "barque.toml"
    path.write_text("[book]\nclok = 'wall'")
    answer = barque(*arguments, environment={"BARQUE_CONFIG": str(path), "COLUMNS": "60"})
    assert answer.returncode == 2, answer.stderr
    (told,) = answer.stderr.splitlines()
    assert told.startswith("barque: ")
    assert line in told


def test_a_folder_without_anything_of_an_archive_has_nothing_to_check(tmp_path: Path) -> None:
    answer = barque("data", "check", "--archive", tmp_path)
    assert answer.returncode == 2
    assert "has nothing to check" in answer.stderr


@pytest.mark.parametrize("option", [("--port", "99999"), ("--for", "-3")])
def test_a_demo_that_cannot_be_is_refused_before_anything_is_started(tmp_path: Path, option: tuple[str, str]) -> None:
    answer = barque("demo", *option, "--folder", tmp_path / "demo")
    assert answer.returncode == 2
    assert option[0] in answer.stderr
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("max_positoin", "1"), "there is no limit 'max_positoin'; did you mean 'max_position'?"),
        (("max_position", "1", "--symbol", "EURUSX"), "there is no symbol 'EURUSX'; did you mean 'EURUSD'?"),
        (("max_position", "much"), "'much' is no limit"),
    ],
)
def test_a_limit_that_there_is_not_is_refused_before_anyone_is_told(
    tmp_path: Path, arguments: tuple[str, ...], line: str
) -> None:
    (tmp_path / "barque.toml").write_text(EURUSD)
    answer = barque("limit", *arguments, "--token-file", tmp_path / "none", "--config", tmp_path / "barque.toml")
    assert answer.returncode == 2
    assert line in answer.stderr


def test_a_health_port_that_is_taken_is_one_line_and_code_2(tmp_path: Path) -> None:
    (tmp_path / "barque.toml").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "barbuilder", "--config", str(tmp_path / "barque.toml"), "--health-port", port]
        answer = run(command, {})
    assert answer.returncode == 2
    (told,) = answer.stderr.splitlines()
    assert f"health port 127.0.0.1:{port} cannot be used" in told
    assert "choose another --health-port" in told


def test_a_gateway_port_that_is_taken_is_one_line_and_code_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "barque.toml").write_text(f"[gateway]\nport = {port}")
        answer = run([sys.executable, "-m", "gateway", "--config", str(tmp_path / "barque.toml")], {})
    assert answer.returncode == 2, answer.stderr
    (told,) = (each for each in answer.stderr.splitlines() if "service_started" not in each)
    assert f"key 'gateway.port': 127.0.0.1:{port} cannot be used" in told


# -- stores that are not there ---------------------------------------------------------------------------------------------


def test_services_wait_for_stores_that_are_not_there_and_need_no_restart_when_they_come(tmp_path: Path) -> None:
    config = tmp_path / "barque.toml"
    config.write_text(live_market("late"))
    system = System(config, tmp_path, only("barbuilder", "sender-paper"))
    assert system.valkey is not None
    assert system.postgres is not None
    for store in ("valkey", "postgres"):
        (tmp_path / store).mkdir()
        (tmp_path / store / "password").write_text(secrets.token_urlsafe(9))
    redis, postgres = (
        f"redis://127.0.0.1:{system.valkey.port}/0",
        f"postgresql://barque@127.0.0.1:{system.postgres.port}/postgres",
    )
    system.environment |= {
        "BARQUE__REDIS__URL": redis,
        "BARQUE__REDIS__PASSWORD_FILE": str(tmp_path / "valkey" / "password"),
        "BARQUE__POSTGRES__URL": postgres,
        "BARQUE__POSTGRES__PASSWORD_FILE": str(tmp_path / "postgres" / "password"),
    }
    try:
        builder, sender = (system.start_service(service(name)) for name in ("barbuilder", "sender-paper"))
        for child in (builder, sender):
            why = f"Redis at {redis}: cannot connect"
            wait_until(lambda port=child.health_port, why=why: why in str(readyz(port)[1]), 10, f"{child.name} says why it waits")
        system.valkey.start()
        wait_until(lambda: readyz(builder.health_port) == (200, {}), 10, "the bar builder's recovery")
        wait_until(lambda: "not been begun in Redis" in str(readyz(sender.health_port)), 10, "the sender's next reason")
        on_bus(system, lambda bus: bus.begin("l1"))
        wait_until(lambda: f"Postgres at {postgres}" in str(readyz(sender.health_port)), 10, "the sender's next reason")
        system.postgres.start()
        wait_until(lambda: "run `barque migrate`" in str(readyz(sender.health_port)), 10, "the sender's next reason")
        asyncio.run(system.prepare())
        wait_until(lambda: readyz(sender.health_port) == (200, {}), 10, "the sender's recovery")
        assert system.supervisor.restarts == 0
        assert all(child.alive and not child.given_up for child in (builder, sender))
    finally:
        system.stop()


def test_a_service_that_is_told_to_stop_while_it_waits_ends_at_once_with_code_0(tmp_path: Path) -> None:
    config = tmp_path / "barque.toml"
    config.write_text(live_market("gone") + '\n[redis]\nurl = "redis://127.0.0.1:1/0"\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "barbuilder", "--config", str(config)], stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "store_unavailable" in line:
                break
        began = time.monotonic()
        process.terminate()
        assert process.wait(timeout=6) == 0
        assert time.monotonic() - began < 2
    finally:
        process.stderr.close()
        if process.poll() is None:
            process.kill()
            process.wait()
