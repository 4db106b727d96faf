"""The bus over a bad line: a proxy in front of a real Valkey slows, cuts, freezes, and loses replies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as changed

from barque.bus.feed import FeedWriter
from barque.bus.memory import MemoryRunner
from barque.bus.node_shell import RunnerOptions
from barque.bus.redis_bus import RedisBus
from barque.bus.runner import RedisRunner
from barque.config import RedisConfig
from barque.embedded.valkey import EmbeddedValkey
from barque.errors import BusUnavailable, ConfigError
from barque.messages import Message, Topic
from barque.observability.health import Health
from tests.support.builders import NS, T0, a_quote
from tests.support.driving import OPTIONS, at_rest, publish, running, said, until
from tests.support.nodes import TallyNode
from tests.support.proxy import Proxy

QUOTES = [[a_quote(T0 + i * NS, bid=float(i)), a_quote(T0 + i * NS + 1, bid=float(i))] for i in range(12)]
WALL = replace(OPTIONS, lockstep=False, feed_clock=False)


def in_memory(batches: Sequence[Sequence[Message]]) -> list[Message]:
    heard: list[Message] = []
    runner = MemoryRunner([TallyNode()], lambda source, topic, m: heard.append(m) if topic is not Topic.TICKS else None)
    for batch in batches:
        runner.publish("feed.test", [(Topic.TICKS, m) for m in batch])
    return heard


def port_of(config: RedisConfig) -> int:
    return int(config.url.rsplit(":", 1)[1].split("/")[0])


def through(proxy: Proxy, config: RedisConfig, timeout_s: float = 0.4) -> RedisConfig:
    return changed(config, url=f"redis://127.0.0.1:{proxy.port}/0", timeout_s=timeout_s)


@pytest.fixture
async def proxy(valkey: RedisConfig) -> AsyncIterator[Proxy]:
    async with Proxy(port_of(valkey)) as proxy:
        yield proxy


@asynccontextmanager
async def a_bus(config: RedisConfig, book: str) -> AsyncIterator[RedisBus]:
    bus = RedisBus.open(config, book)
    try:
        yield bus
    finally:
        await bus.close()


async def refused(bus: RedisBus, node: str = "tally") -> dict[str, int]:
    return {status.name: status.refused for status in await bus.status()}[node]


async def dropped_clients(bus: RedisBus) -> int:
    return len((await bus.call("CLIENT", "LIST")).splitlines())


# -- a reply that is lost --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [OPTIONS, WALL], ids=["lockstep", "wall"])
async def test_a_commit_whose_reply_is_lost_is_issued_again_answered_dup_and_said_once(
    bus: RedisBus, valkey: RedisConfig, proxy: Proxy, options: RunnerOptions
) -> None:
    async with a_bus(through(proxy, valkey), bus.book) as far, running(far, TallyNode(), options):
        await until(lambda: _is(bus.registered(), ["tally"]))
        for number, batch in enumerate(QUOTES):
            proxy.lose_reply = b"barque_commit"
            await publish(bus, Topic.TICKS, [batch])

            async def answered(so_far: int = 2 * number + 2) -> bool:
                return len(await said(bus, Topic.MARKS)) >= so_far

            await until(answered)
        await at_rest(bus, "tally")
        await until(lambda: _is(refused(bus), {"dup": len(QUOTES)}))
    assert proxy.losses == len(QUOTES)
    assert await said(bus, Topic.MARKS) == in_memory(QUOTES)


async def _is(value: object, expected: object) -> bool:
    return await value == expected  # type: ignore[misc]


async def test_a_commit_that_never_arrived_is_issued_again_and_answered_ok(
    bus: RedisBus, valkey: RedisConfig, proxy: Proxy
) -> None:
    async with a_bus(through(proxy, valkey), bus.book) as far, running(far, TallyNode()):
        proxy.lose_request = b"barque_commit"
        await publish(bus, Topic.TICKS, QUOTES)
        await at_rest(bus, "tally")
    assert proxy.losses == 1
    assert await said(bus, Topic.MARKS) == in_memory(QUOTES)
    assert await refused(bus) == {}


async def test_a_feed_whose_reply_is_lost_publishes_once(bus: RedisBus, valkey: RedisConfig, proxy: Proxy) -> None:
    health = Health("test")
    async with a_bus(through(proxy, valkey), bus.book) as far:
        feed = FeedWriter(far, "feed.x", "test", health, asyncio.Event())
        await feed.load()
        for batch in QUOTES:
            proxy.lose_reply = b"barque_commit"
            assert await feed.write({Topic.TICKS: batch}, b"")
    assert proxy.losses == len(QUOTES)
    assert await said(bus, Topic.TICKS) == [quote for batch in QUOTES for quote in batch]
    assert [entry.header().seq for entry in await bus.range(Topic.TICKS)] == list(range(1, len(QUOTES) + 1))
    assert health.reasons() == {}


# -- a line that is slow, cut or dead ----------------------------------------------------------------------------------------


async def test_a_slow_line_is_no_failure(bus: RedisBus, valkey: RedisConfig, proxy: Proxy) -> None:
    proxy.delay_s = 0.03
    health = Health("test")
    async with a_bus(through(proxy, valkey), bus.book) as far, running(far, TallyNode(), health=health):
        await publish(bus, Topic.TICKS, QUOTES)
        await at_rest(bus, "tally")
    assert await said(bus, Topic.MARKS) == in_memory(QUOTES)
    assert await refused(bus) == {}


async def test_a_runner_whose_connection_is_cut_again_and_again_says_everything_once(
    bus: RedisBus, valkey: RedisConfig, proxy: Proxy
) -> None:
    async with a_bus(through(proxy, valkey), bus.book) as far, running(far, TallyNode()):
        for batch in QUOTES:
            await publish(bus, Topic.TICKS, [batch])
            proxy.cut()
            await asyncio.sleep(0.02)
        await at_rest(bus, "tally")
    assert await said(bus, Topic.MARKS) == in_memory(QUOTES)


async def test_a_server_that_never_answers_is_unavailable_within_the_time_limit(
    book: str, valkey: RedisConfig, proxy: Proxy
) -> None:
    async with a_bus(through(proxy, valkey), book) as far:
        await far.call("PING")
        proxy.frozen = True
        for _ in range(3):  # on the open connection, then on new ones
            began = time.monotonic()
            with pytest.raises(BusUnavailable, match=r"Redis at redis://127\.0\.0\.1:\d+/0: (no answer|cannot connect)"):
                await far.call("PING")
            assert 0.3 < time.monotonic() - began < 0.8
        proxy.frozen = False
        assert await far.call("PING") == b"PONG"
        await until(lambda: _is(_now(proxy), 1), 2)


async def _now(proxy: Proxy) -> int:
    return proxy.connections


async def test_calls_that_wait_together_on_a_dead_line_all_fail_together(book: str, valkey: RedisConfig, proxy: Proxy) -> None:
    async with a_bus(through(proxy, valkey), book) as far:
        await far.call("PING")
        proxy.frozen = True
        began = time.monotonic()
        found = await asyncio.gather(*(far.call("PING") for _ in range(20)), return_exceptions=True)
        assert time.monotonic() - began < 0.8
        assert {type(error) for error in found} == {BusUnavailable}


async def test_a_reply_that_comes_after_its_call_was_cancelled_is_never_taken_for_anothers(
    bus: RedisBus, valkey: RedisConfig, proxy: Proxy
) -> None:
    async with a_bus(through(proxy, valkey), bus.book) as far:
        await far.call("PING")
        proxy.delay_s = 0.05
        first = asyncio.create_task(far.call("ECHO", "first"))
        await asyncio.sleep(0.02)
        first.cancel()
        assert await far.call("ECHO", "second") == b"second"


async def test_a_runner_on_a_frozen_line_says_so_and_goes_on_when_it_thaws(
    bus: RedisBus, valkey: RedisConfig, proxy: Proxy
) -> None:
    health = Health("test")
    async with a_bus(through(proxy, valkey, 0.2), bus.book) as far, running(far, TallyNode(), health=health):
        await publish(bus, Topic.TICKS, QUOTES[:6])
        await at_rest(bus, "tally")
        proxy.frozen = True
        await publish(bus, Topic.TICKS, QUOTES[6:])
        await until(lambda: _is(_reasons(health), ["tally"]))
        assert "Redis at redis://127.0.0.1" in health.reasons()["tally"]
        proxy.frozen = False
        await at_rest(bus, "tally")
        await until(lambda: _is(_reasons(health), []))
    assert await said(bus, Topic.MARKS) == in_memory(QUOTES)


async def _reasons(health: Health) -> list[str]:
    return list(health.reasons())


async def test_connections_that_failed_are_closed(bus: RedisBus, valkey: RedisConfig, proxy: Proxy) -> None:
    before = await dropped_clients(bus)
    async with a_bus(through(proxy, valkey, 0.1), bus.book) as far:
        proxy.frozen = True
        for _ in range(8):
            with pytest.raises(BusUnavailable):
                await far.call("PING")
        await until(lambda: _is(_now(proxy), 0), 2)
    await until(lambda: _is(dropped_clients(bus), before), 2)


# -- who we are ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["wrong", None])
async def test_credentials_that_are_refused_name_the_key_and_never_the_secret(
    valkey: RedisConfig, book: str, tmp_path: Path, password: str | None
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(password or "x")
    config = changed(valkey, password_file=secret if password else None)
    async with a_bus(config, book) as bus:
        with pytest.raises(ConfigError, match=r"refuses our credentials: .*check redis\.password_file") as caught:
            await bus.load_functions()
        assert "wrong" not in str(caught.value).replace("WRONGPASS", "").replace("wrong password", "")
        runner = RedisRunner(TallyNode(), bus, OPTIONS, Health("test"))
        with pytest.raises(ConfigError):
            await asyncio.wait_for(runner.run(asyncio.Event()), 5)


async def test_a_port_where_nobody_listens_is_unavailable_at_once(valkey: RedisConfig, book: str) -> None:
    began = time.monotonic()
    with pytest.raises(BusUnavailable, match=r"Redis at redis://127\.0\.0\.1:1/0: cannot connect"):
        await RedisBus.connect(changed(valkey, url="redis://127.0.0.1:1/0"), book)
    assert time.monotonic() - began < 1


# -- not there yet ---------------------------------------------------------------------------------------------------------


async def test_a_runner_and_a_feed_started_before_valkey_wait_for_it_with_one_reason_and_need_no_restart(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "valkey")
    (tmp_path / "valkey").mkdir()
    (tmp_path / "valkey" / "password").write_text("later")
    config = RedisConfig(url=f"redis://127.0.0.1:{server.port}/0", password_file=tmp_path / "valkey" / "password")
    health, stop = Health("test"), asyncio.Event()
    async with a_bus(config, "early") as bus, a_bus(config, "early") as reader:
        task = asyncio.create_task(RedisRunner(TallyNode(), bus, WALL, health).run(stop))
        await until(lambda: _is(_reasons(health), ["tally"]))
        reasons = set()
        for _ in range(20):
            reasons.add(health.reasons()["tally"])
            await asyncio.sleep(0.02)
        assert len(reasons) == 1, "one reason, not a new one at each attempt"
        assert f"Redis at redis://127.0.0.1:{server.port}/0: cannot connect" in reasons.pop()
        await asyncio.to_thread(server.start)
        try:
            await until(lambda: _is(_reasons(health), []))
            await publish(reader, Topic.TICKS, QUOTES)
            await until(lambda: _is(_marks(reader), 2 * len(QUOTES)))
        finally:
            stop.set()
            await asyncio.wait_for(task, 5)
            await asyncio.to_thread(server.stop)


async def _marks(bus: RedisBus) -> int:
    return len(await said(bus, Topic.MARKS))
