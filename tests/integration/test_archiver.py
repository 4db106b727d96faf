"""The archiver against a real store: what was published is in the archive, once, however often it is killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

from msgspec.structs import replace as changed

from barque.bus.node_shell import RunnerOptions
from barque.bus.redis_bus import RedisBus
from barque.bus.step import Position
from barque.config import RedisConfig
from barque.messages import Bar, BarRevised, FeedStatus, Message, Quote, Topic, Trade
from barque_archive.archive import Archive
from barque_archive.edits import Edit
from barque_archive.gathering import columns_of, series_of_message
from barque_archive.series import Series
from barque_archive.structs import messages_of
from barque_cli.system import only
from feed_replay.shell.files import open_source
from portfolio.config import ArchiveConfig
from portfolio.shell.archiver import Archiver
from tests.support.books import running_book, wait_finished, wait_until
from tests.support.books import said as published
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, a_trade
from tests.support.configs import EURUSD as INSTRUMENT
from tests.support.data import ROOT, data_file, first_rows
from tests.support.driving import publish, said, until, writer
from tests.support.proxy import Proxy

DAY = 86_400 * NS
EURUSD = Series("EURUSD", "quotes")
BARS = Series("EURUSD", "bars", "1m", "bid")
ON_A_WALL = RunnerOptions(service="test", worker="w1")


@asynccontextmanager
async def archiving(
    bus: RedisBus, path: Path, options: RunnerOptions = ON_A_WALL, ticks: bool = True
) -> AsyncIterator[asyncio.Task[None]]:
    """An archiver for the time of the block."""
    stop, own = asyncio.Event(), bus.another()
    task = asyncio.create_task(Archiver(ArchiveConfig(path=path, ticks=ticks, flush_s=0.02), own, options).run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)
        await own.close()


async def caught_up(bus: RedisBus, *topics: Topic) -> None:
    """Until the archiver has committed everything on these streams."""

    async def done() -> bool:
        positions = (await bus.load("archiver")).positions
        heads = {topic: (await bus.last(topic, 1))[0].entry_id for topic in topics}
        return all(positions.get(topic, Position()).entry_id == head for topic, head in heads.items())

    await until(done, 30)


def archived(path: Path, series: Series) -> list[Message]:
    return [message for columns in Archive(path).read(series) for message in messages_of(columns)]


def in_time(messages: Sequence[Message], kind: type, symbol: str) -> list[Any]:
    """What a stream said of one symbol, by time, ticks of one time in the order of the stream."""
    key = attrgetter("ts_open_ns") if kind is Bar else attrgetter("ts_event_ns")
    return sorted((m for m in messages if isinstance(m, kind) and m.symbol == symbol), key=key)


def a_market(chance: random.Random, count: int) -> list[list[Message]]:
    """Batches of ticks over three days: many of one time, some late, some equal, two symbols, a feed's words among them."""
    batches: list[list[Message]] = []
    at = T0 + DAY - count * NS
    for number in range(count):
        at += chance.choice((0, 0, NS, 3 * NS))
        late = chance.choice((0, 0, 0, 0, 5 * NS, DAY))
        bid = round(1.1 + chance.randrange(3) / 1000, 3)
        batch: list[Message] = [a_quote(at - late, ts_recv_ns=at - late, bid=bid, ask=2.0)] * chance.choice((1, 1, 2))
        batch.append(a_trade(at, symbol="ES/Z3", price=bid, size=float(number % 2)))
        if number % 7 == 0:
            batch.append(FeedStatus(feed="f", ts_event_ns=at, state="heartbeat"))
        batches.append(batch)
    return batches


def the_bars(count: int) -> list[list[Message]]:
    return [[a_bar(T0 + n * MINUTE, price=price, close=1.3867 + n % 3 / 1e4) for price in ("bid", "ask")] for n in range(count)]


async def test_killed_again_and_again_it_writes_what_was_published(bus: RedisBus, valkey: RedisConfig, tmp_path: Path) -> None:
    chance, path = random.Random(3), tmp_path / "archive"
    (tmp_path / "barque.toml").write_text(
        f'[book]\nname = "{bus.book}"\n[redis]\nurl = "{valkey.url}"\npassword_file = "{valkey.password_file}"\n'
        f'[portfolio.archive]\npath = "archive"\nticks = true\nflush_s = 0.01\n'
    )
    await bus.begin("l1")
    command = [sys.executable, "-m", "tests.support.lone_archiver", "--config", str(tmp_path / "barque.toml"), "--instance", "a"]
    feeding, bars = await writer(bus), the_bars(600)
    log = (tmp_path / "log").open("ab")
    process: subprocess.Popen[bytes] | None = None
    try:
        for number, batch in enumerate(a_market(chance, 600)):
            assert await feeding.write({Topic.TICKS: batch, Topic.BARS: bars[number]}, b"")
            if number % 200 == 0:
                if process is not None:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                environment = {**os.environ, "PYTHONPATH": str(ROOT)}
                process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)  # noqa: ASYNC220 (only to kill it)
                await until(lambda number=number: _has_begun(bus, number), 20)
            await asyncio.sleep(chance.choice((0.0, 0.0, 0.003)))
        await caught_up(bus, Topic.TICKS, Topic.BARS)
    finally:
        if process is not None:
            process.terminate()
            process.wait(timeout=10)
        log.close()
    ticks, all_bars = await said(bus, Topic.TICKS), await said(bus, Topic.BARS)
    assert archived(path, EURUSD) == in_time(ticks, Quote, "EURUSD")
    assert archived(path, Series("ES/Z3", "trades")) == in_time(ticks, Trade, "ES/Z3")
    for price in ("bid", "ask"):
        assert archived(path, BARS._replace(price=price)) == [bar for bar in all_bars if bar.price == price]
    assert process is not None
    assert process.returncode == 0, (tmp_path / "log").read_text()
    assert not list(path.rglob("*.tmp"))


async def _has_begun(bus: RedisBus, number: int) -> bool:
    """Whether the new process has committed something that was not there before."""
    position = (await bus.load("archiver")).positions.get(Topic.TICKS, Position())
    return position.count > max(number - 190, 0)


async def test_files_that_were_written_and_a_position_that_was_not_make_no_row_twice(
    bus: RedisBus, valkey: RedisConfig, tmp_path: Path
) -> None:
    """The commit after a flush is lost on the way, or its answer is; either way the same entries come again."""
    await bus.begin("l1")
    async with Proxy(int(valkey.url.rsplit(":", 1)[1].split("/")[0])) as proxy:
        near = RedisBus.open(changed(valkey, url=f"redis://127.0.0.1:{proxy.port}/0"), bus.book)
        async with archiving(near, tmp_path):
            for losing in ("lose_request", "lose_reply"):
                await publish(bus, Topic.TICKS, a_market(random.Random(losing), 40))
                await caught_up(bus, Topic.TICKS)
                setattr(proxy, losing, b"barque_commit")
                await publish(bus, Topic.TICKS, a_market(random.Random(losing + "!"), 40))
                await caught_up(bus, Topic.TICKS)
            assert proxy.losses == 2
        await near.close()
    assert archived(tmp_path, EURUSD) == in_time(await said(bus, Topic.TICKS), Quote, "EURUSD")


async def test_the_same_ticks_in_another_history_of_the_book_are_not_there_twice(bus: RedisBus, tmp_path: Path) -> None:
    await bus.begin("l1")
    batches = a_market(random.Random(5), 60)
    on_time = [[m for m in batch if isinstance(m, Trade)] for batch in batches]
    async with archiving(bus, tmp_path):
        await publish(bus, Topic.TICKS, on_time)
        await caught_up(bus, Topic.TICKS)
    once = archived(tmp_path, Series("ES/Z3", "trades"))
    for key in ("ticks", "node:archiver", "node:feed.test", "book"):
        await bus.call("DEL", bus.prefix + key)
    await bus.begin("l2")
    async with archiving(bus, tmp_path):
        await publish(bus, Topic.TICKS, [*on_time, [a_trade(T0 + 9 * DAY, symbol="ES/Z3")]])
        await caught_up(bus, Topic.TICKS)
    assert archived(tmp_path, Series("ES/Z3", "trades")) == [*once, a_trade(T0 + 9 * DAY, symbol="ES/Z3")]


async def test_trimming_waits_for_the_archiver_and_no_longer_when_it_is_taken_away(bus: RedisBus, tmp_path: Path) -> None:
    await bus.begin("l1")
    batches = [[a_quote(T0 + n * NS)] for n in range(6)]
    async with archiving(bus, tmp_path):
        await publish(bus, Topic.TICKS, batches[:3])
        await caught_up(bus, Topic.TICKS)
    await publish(bus, Topic.TICKS, batches[3:])
    assert await bus.trim(window_s=-3_600) == 2, "all that it has but the last entry"
    assert [status.lag_entries for status in await bus.status() if status.name == "archiver"] == [{"bars": 0, "ticks": 3}]
    await bus.unregister("archiver")
    await bus.call("DEL", bus.prefix + "trimmed")
    assert await bus.trim(window_s=-3_600) == 4


async def test_on_a_feed_clock_nobody_waits_for_it(bus: RedisBus, tmp_path: Path) -> None:
    await bus.begin("l1")
    options = RunnerOptions(service="test", worker="w1", lockstep=True, feed_clock=True)
    async with archiving(bus, tmp_path, options):
        await publish(bus, Topic.TICKS, [[a_quote()]])
        assert await bus.whose_turn() == ""
        await caught_up(bus, Topic.TICKS)
    assert await bus.registered() == []
    assert archived(tmp_path, EURUSD) == [a_quote()]


async def test_without_ticks_only_bars_are_kept(bus: RedisBus, tmp_path: Path) -> None:
    await bus.begin("l1")
    async with archiving(bus, tmp_path, ticks=False):
        await publish(bus, Topic.TICKS, [[a_quote()]])
        await publish(bus, Topic.BARS, [[a_bar()]], feed="feed.bars")
        await caught_up(bus, Topic.BARS)
    assert Archive(tmp_path).series() == [BARS]


async def test_two_of_them_take_turns_and_write_every_row_once(bus: RedisBus, tmp_path: Path) -> None:
    await bus.begin("l1")
    other = RunnerOptions(service="test", worker="w2")
    async with archiving(bus, tmp_path), archiving(bus, tmp_path, other):
        await publish(bus, Topic.TICKS, a_market(random.Random(8), 30))
        await caught_up(bus, Topic.TICKS)
        await bus.call("DEL", bus.prefix + "lease:archiver")
        await publish(bus, Topic.TICKS, a_market(random.Random(9), 30))
        await caught_up(bus, Topic.TICKS)
    assert archived(tmp_path, EURUSD) == in_time(await said(bus, Topic.TICKS), Quote, "EURUSD")


async def test_what_cannot_be_written_is_said_in_one_alert_and_written_once_it_can(bus: RedisBus, tmp_path: Path) -> None:
    await bus.begin("l1")
    in_the_way = tmp_path / "archive"
    in_the_way.write_text("not a folder")
    async with archiving(bus, in_the_way) as task:
        await publish(bus, Topic.TICKS, [[a_quote()]])
        await until(lambda: _alerted(bus))
        await asyncio.sleep(0.3)
        assert not task.done()
        in_the_way.unlink()
        await caught_up(bus, Topic.TICKS)
    assert archived(in_the_way, EURUSD) == [a_quote()]
    (alert,) = await said(bus, Topic.ALERTS)
    assert (alert.name, alert.severity) == ("archive_behind", "warning")
    assert f"archive folder {in_the_way}" in alert.text


async def _alerted(bus: RedisBus) -> bool:
    return await bus.length(Topic.ALERTS) > 0


async def test_a_bar_that_was_imported_before_stays_as_it_is(bus: RedisBus, tmp_path: Path) -> None:
    await bus.begin("l1")
    imported = a_bar(close=1.38695)
    with Edit(tmp_path, BARS) as edit:
        edit.merge(columns_of(BARS, [imported]), "refuse")
        edit.publish()
    async with archiving(bus, tmp_path):
        await publish(bus, Topic.BARS, [[a_bar(), a_bar(T0 + MINUTE)]])
        await caught_up(bus, Topic.BARS)
    assert archived(tmp_path, BARS) == [imported, a_bar(T0 + MINUTE)]


async def test_a_bar_that_history_has_made_whole_takes_the_place_of_the_one_that_was_there(bus: RedisBus, tmp_path: Path) -> None:
    await bus.begin("l1")
    whole = a_bar(T0, high=1.5, tick_count=9)
    async with archiving(bus, tmp_path):
        await publish(bus, Topic.BARS, the_bars(3))
        await caught_up(bus, Topic.BARS)
        revised = [BarRevised(feed="feed.x", ts_event_ns=T0 + 3 * MINUTE, bar=bar) for bar in (changed(whole, high=1.4), whole)]
        feeding = await writer(bus)
        assert await feeding.write({Topic.BARS: revised}, b"")
        await caught_up(bus, Topic.BARS)
    first, *others = archived(tmp_path, BARS)
    assert (first.high, first.tick_count) == (1.5, 9)
    assert others == [changed(bar, root="") for batch in the_bars(3)[1:] for bar in batch if bar.price == "bid"]


async def test_an_entry_that_cannot_be_read_is_passed_over(bus: RedisBus, tmp_path: Path) -> None:
    await bus.begin("l1")
    await publish(bus, Topic.TICKS, [[a_quote()]])
    await bus.call("XADD", bus.stream(Topic.TICKS), "*", "e", b"?", "m", b"rubbish")
    await publish(bus, Topic.TICKS, [[a_quote(T0 + 1)]], feed="feed.other")
    async with archiving(bus, tmp_path):
        await caught_up(bus, Topic.TICKS)
    assert archived(tmp_path, EURUSD) == [a_quote(), a_quote(T0 + 1)]


def test_every_market_message_has_its_series_and_others_have_none() -> None:
    assert series_of_message(a_bar(interval="tick:5")) == Series("EURUSD", "bars", "tick:5", "bid")
    assert series_of_message(FeedStatus(feed="f", ts_event_ns=T0, state="gap")) is None


# -- in the portfolio's process --------------------------------------------------------------------------------------------


def test_a_replayed_book_is_in_the_archive_as_it_was_published(tmp_path: Path) -> None:
    """Ticks of a vendor through feed, bar builder and portfolio: the archive is what the streams say, and what the file says."""
    ticks = first_rows(data_file("eurusd-oanda-ticks-2014-05-01.csv.gz"), 2_000, tmp_path)
    config = f"""
[book]
name = "archived"
clock = "feed"
nodes = ["barbuilder", "portfolio"]

[feed_replay]
source = "files"
speed = "max"

[[feed_replay.files]]
path = "{ticks}"
symbol = "EURUSD"
{INSTRUMENT}
[[barbuilder.bars]]
symbols = ["EURUSD"]
interval = "1m"
prices = ["bid"]

[portfolio.archive]
path = "market"
ticks = true
flush_s = 0.2
"""
    with running_book(config, tmp_path, only("barbuilder", "portfolio", "feed-replay")) as system:
        wait_finished(system, 60)
        archive = tmp_path / "market"
        wait_until(lambda: len(archived(archive, EURUSD)) == 2_000, 20, "the archive of all ticks")
        bars = published(system, Topic.BARS)
        wait_until(lambda: len(archived(archive, BARS)) == len(bars), 20, "the archive of all bars")
        assert archived(archive, EURUSD) == [m for m in published(system, Topic.TICKS) if isinstance(m, Quote)]
        assert [changed(bar, root="") for bar in bars] == archived(archive, BARS)
        assert archived(archive, EURUSD) == list(chain.from_iterable(open_source(ticks, "EURUSD")))
    assert system.supervisor.restarts == 0


async def test_a_portfolio_without_an_archive_lets_go_of_what_an_archiver_held(
    bus: RedisBus, valkey: RedisConfig, tmp_path: Path
) -> None:
    """It cannot keep books here, for there is no database; the archiver is not waited for all the same."""
    await bus.begin("l1")
    async with archiving(bus, tmp_path):
        await publish(bus, Topic.TICKS, [[a_quote()]])
        await caught_up(bus, Topic.TICKS)
    assert await bus.registered() == ["archiver"]
    away = 'url = "postgresql://nobody@127.0.0.1:1/none"'
    redis = f'url = "{valkey.url}"\npassword_file = "{valkey.password_file}"'
    (tmp_path / "barque.toml").write_text(f'[book]\nname = "{bus.book}"\n[redis]\n{redis}\n[postgres]\n{away}\n')
    command = [sys.executable, "-m", "portfolio", "--config", str(tmp_path / "barque.toml")]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:

        async def free() -> bool:
            return await bus.registered() == []

        await until(free, 20)
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0
