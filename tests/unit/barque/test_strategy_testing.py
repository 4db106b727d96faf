"""The test kit catches what it is there to catch."""

from __future__ import annotations

import random

import msgspec
import pytest

from barque.messages import Message, Topic
from barque.node import Output
from barque.strategy.testing import check_hooks, check_no_look_ahead, check_repeats, check_restores, check_strategy
from tests.support.builders import MINUTE, T0, a_bar, a_signal, clock

BARS = [a_bar(T0 + n * MINUTE, close=1.38 + n / 1000) for n in range(12)]


class EveryThird:
    """A node that signals at every third bar; the bug is what differs from an honest one."""

    name, rank, order_path = "strategy.third", 50, False
    inputs = (Topic.BARS,)

    def __init__(self, bug: str = "") -> None:
        self.bug, self.seen = bug, 0

    def handle(self, message: Message) -> list[Output]:
        self.seen += 1
        wanted = self.seen % 3 == 0
        if self.bug == "chance":
            wanted = random.random() < 0.5
        if self.bug == "raises" and wanted:
            raise RuntimeError("no")
        while self.bug == "loops" and wanted:
            pass
        return [(Topic.SIGNALS, a_signal(message.ts_close_ns))] if wanted else []

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(0 if self.bug == "forgetful" else self.seen)

    def restore(self, blob: bytes) -> None:
        self.seen = msgspec.msgpack.decode(blob, type=int) if blob else 0


def test_an_honest_node_passes_and_its_outputs_are_returned() -> None:
    outputs = check_strategy(EveryThird, BARS)
    assert [message.ts_event_ns for _, message in outputs] == [BARS[n].ts_close_ns for n in (2, 5, 8, 11)]


def test_state_lost_in_a_snapshot_is_caught_at_its_message() -> None:
    with pytest.raises(AssertionError, match="message 2 "):
        check_restores(lambda: EveryThird("forgetful"), BARS)


def test_chance_is_caught() -> None:
    with pytest.raises(AssertionError, match="message"):
        check_no_look_ahead(lambda: EveryThird("chance"), BARS, cuts=12)


def test_chance_is_caught_by_the_line_that_asks_for_it() -> None:
    with pytest.raises(AssertionError, match=r"message 0 .*: it asks chance: the module random \(random\) \(test_str"):
        check_hooks(lambda: EveryThird("chance"), BARS)


def test_a_node_that_raises_or_never_ends_is_caught_at_its_message() -> None:
    with pytest.raises(AssertionError, match=r"message 2 \(Bar at \d+ ns\): RuntimeError: no"):
        check_hooks(lambda: EveryThird("raises"), BARS)
    with pytest.raises(AssertionError, match=r"message 2 \(Bar at \d+ ns\): Overrun: it ran longer than 0\.2 s"):
        check_hooks(lambda: EveryThird("loops"), BARS, hook_timeout_s=0.2)


def test_a_second_object_that_knows_what_the_first_has_heard_is_caught() -> None:
    heard: list[Message] = []

    class Gossip(EveryThird):
        def handle(self, message: Message) -> list[Output]:
            heard.append(message)
            return [(Topic.SIGNALS, a_signal(len(heard)))]

    first = check_hooks(Gossip, BARS)
    with pytest.raises(AssertionError, match=r"message 0 .* and in a second run over the same messages"):
        check_repeats(Gossip, first)


def test_what_a_venue_answers_is_heard_before_the_message_or_after_the_wish() -> None:
    class Echo:
        def hear(self, message: Message) -> list[Message]:
            return [clock(message.ts_open_ns)]

        def answer(self, wish: Message) -> list[Message]:
            return [clock(wish.ts_event_ns)]

    class Speaks(EveryThird):
        def handle(self, message: Message) -> list[Output]:
            return super().handle(message) if hasattr(message, "close") else []

    run = check_hooks(Speaks, BARS[:3], venue=Echo())
    opens = [clock(bar.ts_open_ns) for bar in BARS]
    assert run.heard == [opens[0], BARS[0], opens[1], BARS[1], opens[2], BARS[2], clock(BARS[2].ts_close_ns)]
    assert [len(said) for said in run.said] == [0, 0, 0, 0, 0, 1, 0]


def test_a_look_at_the_future_is_caught() -> None:
    recordings = iter((BARS, BARS[:6], BARS))

    class Peeking(EveryThird):
        """Opens the recording that it is fed from, and buys below its last close."""

        def __init__(self) -> None:
            super().__init__()
            self.last_close = next(recordings)[-1].close

        def handle(self, message: Message) -> list[Output]:
            return [(Topic.SIGNALS, a_signal(message.ts_close_ns))] if message.close < self.last_close else []

    with pytest.raises(AssertionError, match=r"message 5 .* where nothing follows message 5"):
        check_no_look_ahead(Peeking, BARS, cuts=2)
