"""A book in one process: whose turn it is, and what ends a book that would never end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from barque.bus.memory import MAX_TURNS, MemoryRunner
from barque.errors import InvariantError
from barque.messages import Alert, DeadLetter, Message, Quote, Topic
from barque.node import Output
from tests.support.builders import a_fill, a_mark, a_quote, a_signal
from tests.support.nodes import TallyNode


class Speaker:
    """Notes what it hears and says what it was told to say at each topic's message."""

    order_path = False

    def __init__(self, name: str, rank: int, hears: Sequence[Topic], says: Sequence[Output], log: list[str]) -> None:
        self.name, self.rank, self.inputs = name, rank, tuple(hears)
        self._says, self._log = says, log

    def handle(self, message: Message) -> Iterable[Output]:
        self._log.append(f"{self.name} {type(message).__name__}")
        return self._says

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        """Nothing to become."""


TICK = [(Topic.TICKS, a_quote())]
MARK = [(Topic.MARKS, a_mark())]
SIGNAL = [(Topic.SIGNALS, a_signal())]


def test_the_lowest_rank_goes_first_and_again_whenever_it_has_something_to_read() -> None:
    log: list[str] = []
    book = MemoryRunner(
        [
            Speaker("strategy", 50, [Topic.TICKS, Topic.MARKS], SIGNAL, log),
            Speaker("router", 30, [Topic.SIGNALS, Topic.MARKS], [(Topic.ORDERS, None)], log),
            Speaker("barbuilder", 20, [Topic.TICKS], MARK, log),
        ]
    )
    book.publish("feed", TICK)
    # By hand: the bar builder hears the tick and says a mark; the router (30) is before the strategy (50); the strategy takes
    # tick and mark in one turn, marks first; its two signals are one turn of the router.
    assert log == ["barbuilder Quote", "router Mark", "strategy Mark", "strategy Quote", "router Signal", "router Signal"]


def test_nodes_of_one_rank_go_by_name() -> None:
    log: list[str] = []
    names = ["c", "a", "b"]
    MemoryRunner([Speaker(name, 50, [Topic.TICKS], (), log) for name in names]).publish("feed", TICK)
    assert log == ["a Quote", "b Quote", "c Quote"]


def test_a_turn_takes_everything_that_waits_by_topic_and_in_the_order_it_was_said() -> None:
    log: list[str] = []
    book = MemoryRunner([Speaker("n", 50, [Topic.TICKS, Topic.FILLS, Topic.MARKS], (), log)])
    book.publish("feed", [(Topic.TICKS, a_quote()), (Topic.MARKS, a_mark()), (Topic.FILLS, a_fill()), (Topic.TICKS, a_quote())])
    assert log == ["n Fill", "n Mark", "n Quote", "n Quote"]


def test_an_observer_is_told_who_said_what_in_the_order_of_saying() -> None:
    heard: list[tuple[str, Topic]] = []
    book = MemoryRunner(
        [Speaker("a", 1, [Topic.TICKS], MARK, [])], observe=lambda source, topic, _: heard.append((source, topic))
    )
    book.publish("feed", TICK * 2)
    assert heard == [("feed", "ticks"), ("feed", "ticks"), ("a", "marks"), ("a", "marks")]


def test_two_nodes_that_answer_each_other_for_ever_are_our_bug() -> None:
    log: list[str] = []
    book = MemoryRunner(
        [Speaker("ping", 1, [Topic.TICKS, Topic.SIGNALS], MARK, log), Speaker("pong", 2, [Topic.MARKS], SIGNAL, log)]
    )
    with pytest.raises(InvariantError, match=f"did not come to rest within {MAX_TURNS} turns"):
        book.publish("feed", TICK)
    assert len(log) == MAX_TURNS


def test_two_nodes_of_one_name_are_our_bug() -> None:
    with pytest.raises(InvariantError, match="two nodes of one name"):
        MemoryRunner([TallyNode(), TallyNode()])


def test_what_a_node_of_the_market_cannot_handle_is_said_on_dead_and_the_rest_goes_on() -> None:
    heard: list[Message] = []
    book = MemoryRunner([TallyNode()], observe=lambda _, __, message: heard.append(message))
    book.publish("feed", [(Topic.TICKS, a_quote(bid=bid)) for bid in (1.0, -13.0, 2.0)])
    assert [m.ask for m in heard if not isinstance(m, Quote | DeadLetter)] == [1.0, 3.0]
    (letter,) = [m for m in heard if isinstance(m, DeadLetter)]
    assert (letter.node, letter.stream, letter.reason) == ("tally", "ticks", "ZeroDivisionError: thirteen")


def test_what_a_node_of_the_order_path_cannot_handle_ends_the_run() -> None:
    book = MemoryRunner([TallyNode(order_path=True)])
    with pytest.raises(InvariantError, match="tally failed on ticks"):
        book.publish("feed", [(Topic.TICKS, a_quote(bid=-13.0))])


def test_a_topic_without_readers_leaves_the_book_at_rest() -> None:
    heard: list[Message] = []
    alert = Alert(name="x", ts_event_ns=0, severity="info", source="s", text="t")
    MemoryRunner([TallyNode()], observe=lambda _, __, m: heard.append(m)).publish("feed", [(Topic.ALERTS, alert)])
    assert heard == [alert]
