"""The commit function against a real Valkey: what it accepts, what it refuses, and that a refusal writes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from barque.bus.redis_bus import Commit, RedisBus
from barque.bus.step import Position
from barque.bus.wire import GENESIS, link
from barque.errors import InvariantError
from barque.messages import Topic, encode_batch
from tests.support.builders import a_bar, an_order


def first_commit(**changes: object) -> Commit:
    base = Commit(
        node="n",
        expected_seq=0,
        state=b"s1",
        positions={Topic.TICKS: Position("5-0", 3)},
        outputs={Topic.BARS: [a_bar()]},
        outs={},
        fed=[(7, {Topic.TICKS: Position("5-0", 3)})],
    )
    return replace(base, **changes)


async def test_a_commit_writes_state_positions_outputs_and_journal_together(bus: RedisBus) -> None:
    answer = await bus.commit(first_commit())
    assert (answer.verdict, answer.seq) == ("OK", 1)
    record = await bus.load("n")
    assert (record.seq, record.state, record.positions) == (1, b"s1", {Topic.TICKS: Position("5-0", 3)})
    (entry,) = await bus.range(Topic.BARS)
    assert entry.messages() == [a_bar()]
    header = entry.header()
    assert (header.source, header.seq, header.chain) == ("n", 1, link(GENESIS, encode_batch([a_bar()])))
    (journal,) = await bus.journal("n")
    assert (journal.seq, journal.fed) == (0, [(7, {Topic.TICKS: Position("5-0", 3)})])


async def test_the_same_commit_again_is_a_duplicate_and_writes_nothing(bus: RedisBus) -> None:
    await bus.commit(first_commit())
    again = await bus.commit(first_commit())
    assert (again.verdict, again.seq) == ("DUP", 1)
    assert await bus.length(Topic.BARS) == 1


@pytest.mark.parametrize("change", [{"state": b"other"}, {"outputs": {Topic.BARS: [a_bar(close=9.0)]}}, {"expected_seq": 7}])
async def test_another_commit_at_a_taken_place_is_stale_and_writes_nothing(bus: RedisBus, change: dict[str, object]) -> None:
    await bus.commit(first_commit())
    refused = await bus.commit(first_commit(**change))
    assert (refused.verdict, refused.seq) == ("STALE", 1)
    assert await bus.length(Topic.BARS) == 1
    assert (await bus.load("n")).state == b"s1"


async def test_an_older_epoch_is_stale(bus: RedisBus) -> None:
    await bus.commit(first_commit(epoch=2))
    assert (await bus.commit(first_commit(expected_seq=1, epoch=1))).verdict == "STALE"


async def test_a_guarded_commit_is_refused_while_the_book_is_halted(bus: RedisBus) -> None:
    await bus.commit(first_commit(node="op", halt_action="why", outputs={}))
    order = first_commit(guarded=True, outputs={Topic.ORDERS: [an_order()]})
    assert (await bus.commit(order)).verdict == "HALTED"
    assert await bus.length(Topic.ORDERS) == 0
    assert (await bus.commit(first_commit())).verdict == "OK"


async def test_one_of_two_racing_workers_wins_each_commit(bus: RedisBus) -> None:
    rivals = [first_commit(state=f"s{i}".encode()) for i in range(8)]
    verdicts = sorted([a.verdict for a in await asyncio.gather(*(bus.commit(c) for c in rivals))])
    assert verdicts == ["OK"] + ["STALE"] * 7
    assert await bus.length(Topic.BARS) == 1


async def test_an_output_that_is_no_stream_refuses_the_whole_commit(bus: RedisBus) -> None:
    await bus.call("SET", bus.stream(Topic.BARS), "not a stream")
    with pytest.raises(InvariantError, match="is no stream"):
        await bus.commit(first_commit())
    assert (await bus.load("n")).seq == 0
    assert await bus.journal("n") == []


async def test_the_functions_survive_their_loss(bus: RedisBus) -> None:
    await bus.call("FUNCTION", "FLUSH")
    assert (await bus.commit(first_commit())).verdict == "OK"
