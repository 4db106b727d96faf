"""One step of a node: the order it is fed in, and what happens to what it cannot handle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.bus.step import Position, Step, merge, run_step
from barque.bus.wire import GENESIS, Entry, pack_envelope
from barque.errors import InvariantError
from barque.messages import Alert, ClockTicked, DeadLetter, Flatten, Halt, Message, Quote, Resume, Topic, encode_batch
from barque.node import Output
from tests.support.builders import T0, a_fill, a_mark, a_quote, a_signal
from tests.support.nodes import TallyNode

HALT = Halt(command_id="h", ts_event_ns=1, actor="t")
POISON = -13.0
"""The bid at which a `TallyNode` raises."""


def an_entry(topic: Topic, entry_id: str, *messages: Message, body: bytes | None = None) -> Entry:
    return Entry(topic, entry_id, pack_envelope("t", 1, 2, GENESIS), encode_batch(messages) if body is None else body)


def ticks(entry_id: str, *bids: float) -> Entry:
    return an_entry(Topic.TICKS, entry_id, *(a_quote(T0 + i, bid=bid) for i, bid in enumerate(bids)))


def step(node: TallyNode, entries: Sequence[Entry], now_ns: int = 0, keep: bool = False) -> Step:
    return run_step(node, entries, {}, node.snapshot(), now_ns, keep_handled=keep)


def sums(found: Step) -> list[float]:
    return [mark.ask for mark in found.outputs.get(Topic.MARKS, [])]


class Witness:
    """Says an alert with the name of everything it is fed."""

    name, rank, order_path = "witness", 1, False
    inputs = tuple(Topic)

    def handle(self, message: Message) -> Iterable[Output]:
        yield Topic.ALERTS, Alert(name=type(message).__name__, ts_event_ns=0, severity="info", source="w", text="")

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        """Nothing to become."""


class OnThePath(Witness):
    """The same, where nothing may be skipped."""

    order_path = True


def order_of(entries: Sequence[Entry], now_ns: int = 0) -> list[str]:
    return [alert.name for alert in run_step(Witness(), entries, {}, b"", now_ns).outputs[Topic.ALERTS]]


# -- the order -------------------------------------------------------------------------------------------------------------

MIXED = [
    an_entry(Topic.SIGNALS, "4-0", a_signal()),
    an_entry(Topic.TICKS, "10-0", a_quote()),
    an_entry(Topic.MARKS, "4-0", a_mark()),
    an_entry(Topic.FILLS, "9-0", a_fill()),
    an_entry(Topic.CONTROL, "50-0", HALT),
]


def a_command(kind: type, entry_id: str) -> Entry:
    return an_entry(Topic.CONTROL, entry_id, kind(command_id=entry_id, ts_event_ns=1, actor="t"))


@pytest.mark.parametrize(
    ("commands", "told"),
    [
        ((Flatten, Halt), ["Halt", "Flatten"]),
        ((Halt, Resume, Flatten, Halt), ["Halt", "Resume", "Halt", "Flatten"]),
        ((Flatten, Halt, Resume), ["Flatten", "Halt", "Resume"]),
        ((Flatten, Resume), ["Flatten", "Resume"]),
    ],
)
def test_where_commands_leave_the_book_halted_the_halt_is_told_before_what_it_stops(commands: Any, told: list[str]) -> None:
    """Else the node would decide on an order, and the store refuse its commit, again and again until somebody resumes."""
    entries = [a_command(kind, f"{number}-0") for number, kind in enumerate(commands, start=9)]
    found = run_step(Witness(), [*entries, ticks("1-0", 1.0)], {}, b"", 7)
    assert [alert.name for alert in found.outputs[Topic.ALERTS]] == [*told, "ClockTicked", "Quote"]
    assert found.positions[Topic.CONTROL] == Position(f"{8 + len(commands)}-0", len(commands))


def test_a_halt_behind_a_command_that_cannot_be_read_is_not_told_before_it() -> None:
    bad = an_entry(Topic.CONTROL, "2-0", body=b"?")
    entries = [a_command(Flatten, "1-0"), bad, a_command(Halt, "3-0")]
    found = run_step(OnThePath(), entries, {}, b"")
    assert [alert.name for alert in found.outputs[Topic.ALERTS]] == ["Flatten"]
    assert found.poison is not None and found.poison.entry is bad
    assert found.positions[Topic.CONTROL] == Position("1-0", 1)


def test_on_a_wall_clock_commands_come_first_then_entries_by_id_then_by_rank() -> None:
    assert [(e.topic, e.entry_id) for e in merge(MIXED, lockstep=False)] == [
        ("control", "50-0"),
        ("marks", "4-0"),
        ("signals", "4-0"),
        ("fills", "9-0"),
        ("ticks", "10-0"),
    ]


def test_in_lockstep_entries_come_by_rank_and_inside_a_stream_by_id() -> None:
    more = [*MIXED, ticks("9-5", 1.0), ticks("10-1", 1.0)]
    assert [(e.topic, e.entry_id) for e in merge(more, lockstep=True)] == [
        ("control", "50-0"),
        ("fills", "9-0"),
        ("marks", "4-0"),
        ("ticks", "9-5"),
        ("ticks", "10-0"),
        ("ticks", "10-1"),
        ("signals", "4-0"),
    ]


@given(st.permutations(MIXED), st.booleans())
def test_the_order_never_depends_on_how_the_entries_arrived(entries: list[Entry], lockstep: bool) -> None:
    assert merge(entries, lockstep) == merge(MIXED, lockstep)


def test_the_time_is_told_after_the_commands_and_before_everything_else() -> None:
    assert order_of(merge(MIXED, lockstep=False), now_ns=7) == ["Halt", "ClockTicked", "Mark", "Signal", "Fill", "Quote"]


def test_the_time_is_told_where_there_is_nothing_else() -> None:
    assert order_of([], now_ns=7) == ["ClockTicked"]
    assert order_of([MIXED[-1]], now_ns=7) == ["Halt", "ClockTicked"]


def test_without_a_time_nobody_is_told_one() -> None:
    assert "ClockTicked" not in order_of(MIXED)


# -- what was read ---------------------------------------------------------------------------------------------------------


def test_positions_name_the_last_entry_and_count_all_of_them() -> None:
    found = run_step(TallyNode(), [ticks("5-0", 1.0, 2.0), ticks("6-0", 3.0)], {Topic.TICKS: Position("4-0", 10)}, b"")
    assert found.positions == {Topic.TICKS: Position("6-0", 12)}
    assert (found.count, sums(found)) == (3, [1.0, 3.0, 6.0])


def test_handled_messages_are_kept_with_their_outputs_only_on_request() -> None:
    entry = ticks("5-0", 1.0)
    assert step(TallyNode(), [entry]).handled == []
    ((message, outputs),) = step(TallyNode(), [entry], keep=True).handled
    assert isinstance(message, Quote)
    assert [topic for topic, _ in outputs] == [Topic.MARKS]


BIDS = st.lists(st.sampled_from([1.0, 2.0, 5.0, POISON]), min_size=0, max_size=12)


@given(st.lists(BIDS, min_size=1, max_size=6), st.data())
def test_however_the_entries_are_cut_into_batches_the_outputs_and_the_state_are_the_same(
    entries: list[list[float]], data: st.DataObject
) -> None:
    stream = [ticks(f"{i + 1}-0", *bids) for i, bids in enumerate(entries)]
    whole = TallyNode()
    expected = step(whole, stream)
    cut, said, state = TallyNode(), [], whole.snapshot()
    positions: dict[Topic, Position] = {}
    rest = stream
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found = run_step(cut, rest[:size], positions, cut.snapshot())
        positions, rest = found.positions, rest[size:]
        said += [message for topic in (Topic.MARKS, Topic.DEAD) for message in found.outputs.get(topic, [])]
    assert cut.snapshot() == state
    assert positions == expected.positions
    assert [m for m in said if not isinstance(m, DeadLetter)] == expected.outputs.get(Topic.MARKS, [])
    assert [m for m in said if isinstance(m, DeadLetter)] == expected.outputs.get(Topic.DEAD, [])


# -- trouble ---------------------------------------------------------------------------------------------------------------


def test_a_message_that_raises_is_skipped_and_kept_as_a_dead_letter() -> None:
    node = TallyNode()
    entry = ticks("5-0", 1.0, POISON, 2.0)
    found = step(node, [entry])
    assert sums(found) == [1.0, 3.0]
    (letter,) = found.outputs[Topic.DEAD]
    assert (letter.node, letter.stream, letter.entry_id, letter.index) == ("tally", "ticks", "5-0", 1)
    assert (letter.reason, letter.raw) == ("ZeroDivisionError: thirteen", entry.body)
    assert found.positions[Topic.TICKS] == Position("5-0", 1)
    assert (node.state.count, node.state.total) == (2, 3.0)


class HalfDone(TallyNode):
    """Counts before it raises, and says a first mark: both must be undone."""

    def handle(self, message: Message) -> Iterable[Output]:
        if isinstance(message, Quote) and message.bid == POISON:
            self.state.count += 100
            yield Topic.MARKS, a_mark(bid=POISON)
            raise ZeroDivisionError("half done")
        yield from super().handle(message)


def test_what_a_message_did_before_it_raised_is_undone() -> None:
    node = HalfDone()
    found = step(node, [ticks("5-0", 1.0, POISON, 2.0)])
    assert sums(found) == [1.0, 3.0]
    assert node.state.count == 2


def test_an_entry_that_does_not_decode_is_kept_whole_and_the_rest_goes_on() -> None:
    found = step(TallyNode(), [ticks("5-0", 1.0), an_entry(Topic.TICKS, "6-0", body=b"rubbish"), ticks("7-0", 2.0)])
    (letter,) = found.outputs[Topic.DEAD]
    assert (letter.entry_id, letter.index, letter.raw) == ("6-0", -1, b"rubbish")
    assert sums(found) == [1.0, 3.0]
    assert found.positions[Topic.TICKS] == Position("7-0", 3)


@pytest.mark.parametrize("poison", [an_entry(Topic.SIGNALS, "6-0", body=b"rubbish"), ticks("6-0", 4.0, POISON)])
def test_on_the_order_path_a_step_ends_before_what_cannot_be_handled(poison: Entry) -> None:
    node = TallyNode(order_path=True)
    found = step(node, [ticks("5-0", 1.0), poison, ticks("7-0", 2.0)])
    assert found.poison is not None
    assert found.poison.entry is poison
    assert found.positions == {Topic.TICKS: Position("5-0", 1)}
    assert sums(found) == [1.0]
    assert node.state.count == 1
    assert Topic.DEAD not in found.outputs


def test_an_unreadable_tick_is_put_aside_on_the_order_path_too() -> None:
    node = TallyNode(order_path=True)
    found = step(node, [ticks("5-0", 1.0), an_entry(Topic.TICKS, "6-0", body=b"rubbish"), ticks("7-0", 2.0)])
    assert found.poison is None
    assert sums(found) == [1.0, 3.0]
    assert [letter.raw for letter in found.outputs[Topic.DEAD]] == [b"rubbish"]


def test_on_the_order_path_poison_at_the_very_start_changes_nothing() -> None:
    node = TallyNode(order_path=True)
    found = step(node, [ticks("5-0", POISON)])
    assert found.poison is not None
    assert found.poison.reason == "ZeroDivisionError: thirteen"
    assert (found.outputs, found.positions, node.state.count) == ({}, {}, 0)


class AfraidOfTime(TallyNode):
    def handle(self, message: Message) -> Iterable[Output]:
        if isinstance(message, ClockTicked):
            raise ValueError("too late")
        return super().handle(message)


def test_a_node_that_fails_on_the_time_loses_that_tick_of_the_clock_only() -> None:
    found = step(AfraidOfTime(), [ticks("5-0", 1.0)], now_ns=7)
    (letter,) = found.outputs[Topic.DEAD]
    assert (letter.stream, letter.entry_id) == ("wall clock", "7")
    assert sums(found) == [1.0]


def test_a_node_of_the_order_path_that_fails_on_the_time_is_our_bug() -> None:
    with pytest.raises(InvariantError, match="tally failed on the clock or an event of its shell: ValueError: too late"):
        step(AfraidOfTime(order_path=True), [ticks("5-0", 1.0)], now_ns=7)


def test_what_a_node_of_the_order_path_reads_for_the_record_only_is_put_aside_where_it_cannot_be_read() -> None:
    class Chronicle(TallyNode):
        for_the_record = frozenset((Topic.SIGNALS,))

    node = Chronicle(order_path=True)
    rubbish = [Entry(topic, f"{n}-0", b"rubbish", b"rubbish") for n, topic in enumerate((Topic.SIGNALS, Topic.ORDERS), 1)]
    step = run_step(node, rubbish, {}, node.snapshot())
    assert step.poison is not None
    assert step.poison.entry is rubbish[1]
    assert [(letter.stream, letter.entry_id) for letter in step.outputs[Topic.DEAD]] == [("signals", "1-0")]
