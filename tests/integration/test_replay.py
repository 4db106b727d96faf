"""A recorded period through the nodes again: the same bytes, and where one byte of the past is changed, it shows."""

from __future__ import annotations

import asyncio
import gzip
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from barque.bus.redis_bus import RedisBus
from barque.bus.replay import LiveSource, RecordedSource, Report, record, replay
from barque.config import read_file
from barque.errors import ConfigError
from barque.messages import Quote, Signal, Topic, decode_batch
from barque_backtest import nodes
from barque_cli.system import System
from tests.support.books import on_bus, running_book, said, wait_finished, wait_until
from tests.support.command import barque, parsed
from tests.support.configs import eurusd_ticks, live_market
from tests.support.data import data_file, first_rows

NODES = ("barbuilder", "router", "strategy.sma-a", "strategy.sma-b")
LIVE_NODES = ("barbuilder", "router", "strategy.eurusd-2", "strategy.usdjpy-3")


@pytest.fixture(scope="module")
def lockstep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A replay of 400 quotes that has come to its end."""
    folder = tmp_path_factory.mktemp("lockstep")
    ticks = first_rows(data_file("eurusd-oanda-ticks-2014-05-01.csv.gz"), 400, folder)
    with running_book(eurusd_ticks(ticks), folder) as system:
        wait_finished(system, 60)
        system.supervisor.stop()
        yield system


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A live market that has traded for a few seconds; a crash of two services on the way."""
    with running_book(live_market("wall"), tmp_path_factory.mktemp("wall")) as system:
        wait_until(lambda: bool(said(system, Topic.SIGNALS)), 20, "a first signal")
        system.supervisor.kill("barbuilder")
        system.supervisor.kill("strategy-host")
        time.sleep(3.0)
        system.supervisor.stop()
        yield system


@pytest.fixture(scope="module")
def recording(lockstep: System) -> Path:
    """What `barque record` writes of the lockstep book."""
    path = lockstep.folder / "day.barque"
    answer = barque("record", "--out", path, "--config", lockstep.config_path, environment=lockstep.environment)
    assert answer.returncode == 0, answer.stderr
    assert "ticks" in answer.stderr
    return path


def node_of(system: System, name: str) -> Any:
    return nodes.make(name, read_file(system.config_path, {**os.environ, **system.environment}))


def replayed_live(system: System, name: str) -> Report:
    async def work(bus: RedisBus) -> Report:
        return await replay(LiveSource(bus), node_of(system, name), system.common().book.lockstep)

    return on_bus(system, work)


async def replayed(system: System, path: Path, name: str) -> Report:
    return await replay(RecordedSource(path), node_of(system, name), system.common().book.lockstep)


def assert_identical(report: Report, system: System, name: str) -> None:
    assert report.difference == ""
    assert report.altered_inputs == []
    assert report.identical
    spoken = {"barbuilder": (Topic.BARS, Topic.MARKS), "router": (Topic.ORDERS,)}.get(name, (Topic.SIGNALS,))

    async def entries(bus: RedisBus) -> list[int]:
        found = [entry for topic in spoken for entry in await bus.range(topic) if entry.header().source == name]
        return [len(found), sum(len(entry.body) for entry in found)]

    assert [report.entries_out, report.bytes_out] == on_bus(system, entries), "not every entry was compared"
    assert report.entries_out > 0
    assert report.commits > 0


# -- nothing changed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NODES)
def test_a_lockstep_replay_run_again_says_the_same_bytes(lockstep: System, name: str) -> None:
    assert_identical(replayed_live(lockstep, name), lockstep, name)


@pytest.mark.parametrize("name", LIVE_NODES)
def test_a_day_on_the_wall_clock_run_again_says_the_same_bytes(wall: System, name: str) -> None:
    assert wall.supervisor.restarts == 2
    assert_identical(replayed_live(wall, name), wall, name)


@pytest.mark.parametrize("name", NODES)
async def test_a_recording_says_the_same_bytes_without_any_server(lockstep: System, recording: Path, name: str) -> None:
    report = await replayed(lockstep, recording, name)
    assert report.identical
    assert report.entries_out > 0


def test_two_recordings_of_one_book_are_the_same_file(lockstep: System, recording: Path) -> None:
    again = lockstep.folder / "again.barque"
    on_bus(lockstep, lambda bus: record(bus, again))
    assert again.read_bytes() == recording.read_bytes()


def test_the_command_reports_what_it_compared(lockstep: System) -> None:
    answer = barque(
        "replay", "--node", "barbuilder", "--json", "--config", lockstep.config_path, environment=lockstep.environment
    )
    assert answer.returncode == 0, answer.stderr
    report = parsed(answer)
    assert (report["node"], report["identical"], report["difference"]) == ("barbuilder", True, "")
    assert report["entries_out"] == replayed_live(lockstep, "barbuilder").entries_out > 0


def test_a_node_that_the_book_does_not_have_is_named_with_the_nearest(lockstep: System) -> None:
    answer = barque("replay", "--node", "barbilder", "--config", lockstep.config_path, environment=lockstep.environment)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "no node 'barbilder'; did you mean 'barbuilder'?" in answer.stderr


async def test_a_node_that_keeps_its_place_in_postgres_has_no_journal(lockstep: System, recording: Path) -> None:
    with pytest.raises(ConfigError, match=r"no journal of node 'sender\.paper'"):
        await replayed(lockstep, recording, "sender.paper")


# -- one byte changed ------------------------------------------------------------------------------------------------------


def altered(recording: Path, topic: Topic, number: int, find: bytes, put: bytes) -> tuple[Path, str]:
    """The recording with `find` replaced by `put` in entry `number` of a topic; and that entry's id."""
    assert len(find) == len(put)
    assert sum(a != b for a, b in zip(find, put, strict=True)) == 1, "one byte"
    data = msgspec.msgpack.decode(gzip.decompress(recording.read_bytes()))
    entry_id, envelope, body = data["streams"][topic][number]
    assert find in body
    data["streams"][topic][number] = [entry_id, envelope, body.replace(find, put, 1)]
    path = recording.with_name(f"altered-{topic}.barque")
    path.write_bytes(gzip.compress(msgspec.msgpack.encode(data)))
    return path, entry_id


def bodies(recording: Path, topic: Topic) -> list[bytes]:
    return [body for _, _, body in msgspec.msgpack.decode(gzip.decompress(recording.read_bytes()))["streams"][topic]]


def a_quote_to_change(recording: Path) -> tuple[int, bytes, bytes]:
    """(entry, the bid's bytes, the same with one byte that makes it 2 % higher): a new high of its minute."""
    for number, body in enumerate(bodies(recording, Topic.TICKS)):
        quote, *_ = decode_batch(Topic.TICKS, body)
        if number > 200 and isinstance(quote, Quote):
            find = struct.pack(">d", quote.bid)
            put = find[:2] + bytes([find[2] ^ 0x08]) + find[3:]
            return number, find, put
    raise AssertionError("no quote")


def test_one_byte_of_one_tick_changed_is_found_with_the_first_bar_that_differs(lockstep: System, recording: Path) -> None:
    number, find, put = a_quote_to_change(recording)
    path, entry_id = altered(recording, Topic.TICKS, number, find, put)
    environment = lockstep.environment
    command = ("replay", "--node", "barbuilder", "--recording", path, "--config", lockstep.config_path)
    answer = barque(*command, "--json", environment=environment)
    report = parsed(answer)
    assert answer.returncode == 1
    assert report["identical"] is False
    assert report["altered_inputs"] == [f"ticks {entry_id} of feed.replay"]
    assert "then Bar(" in report["difference"] or "then Mark(" in report["difference"]
    was, now = report["difference"].split(", now ")
    assert was != now
    people = barque(*command, environment=environment)
    assert people.returncode == 1
    assert f"input changed since it was written: ticks {entry_id} of feed.replay" in people.stderr
    assert "differs" in people.stderr


async def test_one_byte_of_one_signal_changed_is_found_with_the_first_order_that_differs(
    lockstep: System, recording: Path
) -> None:
    number, signal = next(
        (i, s)
        for i, body in enumerate(bodies(recording, Topic.SIGNALS))
        for s in decode_batch(Topic.SIGNALS, body)
        if i and isinstance(s, Signal) and s.strategy_id == "sma-a"
    )
    reason = signal.reason.encode()
    path, entry_id = altered(recording, Topic.SIGNALS, number, reason, b"F" + reason[1:])
    report = await replayed(lockstep, path, "router")
    assert f"signals {entry_id} of strategy.{signal.strategy_id}" in report.altered_inputs or number == 1
    assert "fast average" in report.difference
    assert "Fast average" in report.difference
    assert not report.identical


async def test_one_byte_of_one_bar_changed_is_found_by_the_strategy_that_read_it(lockstep: System, recording: Path) -> None:
    number, bar = next(
        (i, b) for i, body in enumerate(bodies(recording, Topic.BARS)) if i > 10 for b in decode_batch(Topic.BARS, body)[:1]
    )
    find = struct.pack(">q", bar.ts_open_ns)
    path, entry_id = altered(recording, Topic.BARS, number, find, find[:-1] + bytes([find[-1] ^ 1]))
    report = await replayed(lockstep, path, "strategy.sma-a")
    assert report.altered_inputs[:1] == [f"bars {entry_id} of barbuilder"]
    assert not report.identical


def test_an_input_that_is_missing_is_an_error_that_says_so(lockstep: System, recording: Path) -> None:
    data = msgspec.msgpack.decode(gzip.decompress(recording.read_bytes()))
    del data["streams"]["ticks"][100]
    path = recording.with_name("short.barque")
    path.write_bytes(gzip.compress(msgspec.msgpack.encode(data)))
    with pytest.raises(ConfigError, match=r"1 entries of ticks after .* were read then, 0 are left"):
        asyncio.run(replayed(lockstep, path, "barbuilder"))


@pytest.mark.parametrize("content", [b"", b"not gzip", gzip.compress(b"not a recording", mtime=0)])
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.barque"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is not a recording"):
        RecordedSource(path)


def test_a_recording_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        RecordedSource(tmp_path / "none")
