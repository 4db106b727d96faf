"""Many instants in one process: who hears of which, what is held back from whom, and when it comes home.

That nothing of it matters for a book of real nodes is shown in `tests/unit/barque_backtest/test_engine_order.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from barque.bus.memory import MemoryRunner
from barque.bus.stretch import Stretch
from barque.errors import InvariantError
from barque.messages import Alert, Bar, ClockTicked, DeadLetter, Fill, Mark, Message, Topic
from barque.node import ASLEEP, AWAKE, Output
from tests.support.builders import MINUTE, T0, a_bar, a_fill, a_mark, a_quote


class Listener:
    """Notes what it hears; says what it is told to say, and sleeps as it is told to."""

    def __init__(
        self,
        name: str,
        rank: int,
        inputs: Sequence[Topic],
        says: Callable[[Message], Sequence[Output]] = lambda _: (),
        sleeps: Mapping[Topic, int] | None = None,
        order_path: bool = False,
    ) -> None:
        self.name, self.rank, self.inputs, self.order_path = name, rank, tuple(inputs), order_path
        self.heard: list[Message] = []
        self.sleeps = dict(sleeps or {})
        self._says = says

    def handle(self, message: Message) -> Iterable[Output]:
        self.heard.append(message)
        return self._says(message)

    def sleeps_until(self, topic: Topic) -> int:
        return self.sleeps.get(topic, AWAKE)

    def snapshot(self) -> bytes:
        return b""

    def restore(self, blob: bytes) -> None:
        """Nothing to become."""

    def texts(self) -> list[str]:
        """What it has heard: type, minutes since `T0`, symbol."""
        return [text(message) for message in self.heard]


class Choosy(Listener):
    """One that hears of bars and fills alone."""

    @property
    def handlers(self) -> Mapping[type, Callable[[Any], Iterable[Output]]]:
        return {Bar: self.handle, Fill: self.handle}


def text(message: Message) -> str:
    at = {ClockTicked: "now_ns", Bar: "ts_close_ns"}.get(type(message), "ts_event_ns")
    minutes = (getattr(message, at) - T0) / MINUTE
    return f"{type(message).__name__} {minutes:g} {getattr(message, 'symbol', '')}".rstrip()


def bars(count: int, start: int = 0, symbol: str = "EURUSD") -> list[Bar]:
    return [a_bar(T0 + (start + n) * MINUTE, symbol=symbol, close=1.0 + n / 1000) for n in range(count)]


def stretch(rows: Sequence[Bar], slots: Sequence[int] | None = None, **more: Any) -> Stretch:
    times = list(dict.fromkeys(row.ts_close_ns for row in rows))
    return Stretch(Topic.BARS, times, rows, slots or [0] * len(rows), **more)


SLEEPY = {Topic.BARS: ASLEEP, Topic.CLOCK: ASLEEP, Topic.MARKS: ASLEEP}
DATA = (Topic.CLOCK, Topic.FILLS, Topic.BARS)


def test_who_is_awake_hears_every_row_and_who_sleeps_the_newest_when_somebody_looks() -> None:
    awake, asleep = Listener("awake", 50, [Topic.BARS]), Listener("asleep", 10, DATA, sleeps=SLEEPY)
    book = MemoryRunner([awake, asleep])
    book.play("feed", stretch(bars(4)))
    assert awake.texts() == [f"Bar {n} EURUSD" for n in (1, 2, 3, 4)]
    assert asleep.texts() == []
    book.catch_up()
    assert asleep.texts() == ["Bar 4 EURUSD", "ClockTicked 4"]
    book.catch_up()
    assert len(asleep.heard) == 2


def test_before_it_hears_of_something_else_a_sleeper_hears_the_newest_row_of_each_series() -> None:
    asleep = Listener("asleep", 10, DATA, sleeps=SLEEPY)
    speaker = Listener("speaker", 50, [Topic.BARS], lambda bar: [(Topic.FILLS, a_fill(T0))] if bar.close == 1.002 else [])
    book = MemoryRunner([asleep, speaker])
    pairs = [row for pair in zip(bars(4), bars(4, symbol="USDJPY"), strict=True) for row in pair]
    book.play("feed", stretch(pairs, [0, 1] * 4, ends=[2, 4, 6, 8]))
    # The third instant leads to a fill of each of its bars: the sleeper, which would have gone first, hears of it before.
    assert asleep.texts() == ["Bar 3 EURUSD", "Bar 3 USDJPY", "ClockTicked 3", "Fill 0 EURUSD", "Fill 0 EURUSD"]


def test_a_sleeper_whose_turn_comes_later_hears_of_what_was_said_before_the_rows_of_the_instant() -> None:
    speaker = Listener("speaker", 10, [Topic.BARS], lambda bar: [(Topic.FILLS, a_fill(T0))] if bar.close == 1.002 else [])
    asleep = Listener("asleep", 40, DATA, sleeps=SLEEPY)
    book = MemoryRunner([asleep, speaker])
    book.play("feed", stretch(bars(4)))
    # Topics have ranks: the time, then fills, then bars. What was held back from before is old news by then.
    assert asleep.texts() == ["Bar 2 EURUSD", "ClockTicked 3", "Fill 0 EURUSD"]
    book.catch_up()
    assert asleep.texts()[3:] == ["Bar 4 EURUSD", "ClockTicked 4"]


def test_marks_of_a_sleeper_come_before_whatever_wakes_their_reader() -> None:
    marks = Listener("marks", 20, [Topic.BARS], lambda bar: [(Topic.MARKS, a_mark(bar.ts_close_ns))], SLEEPY)
    reader = Listener("reader", 30, [Topic.MARKS, Topic.FILLS], sleeps=SLEEPY)
    speaker = Listener("speaker", 50, [Topic.BARS], lambda bar: [(Topic.FILLS, a_fill(T0))] if bar.close == 1.002 else [])
    MemoryRunner([marks, reader, speaker]).play("feed", stretch(bars(4)))
    assert marks.texts() == ["Bar 3 EURUSD"]
    assert reader.texts() == ["Mark 3 EURUSD", "Fill 0 EURUSD"]


def test_marks_said_by_a_node_that_is_awake_are_held_back_too() -> None:
    marks = Listener("marks", 20, [Topic.BARS], lambda bar: [(Topic.MARKS, a_mark(bar.ts_close_ns))])
    reader = Listener("reader", 30, [Topic.MARKS], sleeps=SLEEPY)
    kept: dict[Topic, list[Message]] = {Topic.MARKS: []}
    book = MemoryRunner([marks, reader], keep=kept)
    book.play("feed", stretch(bars(3)))
    assert (reader.texts(), len(kept[Topic.MARKS])) == ([], 3)
    book.catch_up()
    assert reader.texts() == ["Mark 3 EURUSD"]


def test_where_a_reader_of_marks_is_awake_nothing_is_held_back_from_anybody() -> None:
    asleep = Listener("asleep", 10, DATA, sleeps=SLEEPY)
    MemoryRunner([asleep, Listener("reader", 30, [Topic.MARKS])]).play("feed", stretch(bars(2)))
    assert asleep.texts() == ["ClockTicked 1", "Bar 1 EURUSD", "ClockTicked 2", "Bar 2 EURUSD"]


def test_a_sleeper_is_told_the_time_that_it_waits_for_before_the_rows_of_the_instant() -> None:
    asleep = Listener("asleep", 40, DATA, sleeps=SLEEPY | {Topic.CLOCK: T0 + 3 * MINUTE})
    book = MemoryRunner([asleep, Listener("awake", 50, [Topic.BARS])])
    book.play("feed", stretch(bars(3)))
    assert asleep.texts() == ["Bar 2 EURUSD", "ClockTicked 3"]


def test_a_node_that_is_awake_is_told_the_time_when_it_waits_for_it() -> None:
    awake = Listener("awake", 50, [Topic.CLOCK, Topic.BARS], sleeps={Topic.CLOCK: T0 + 3 * MINUTE})
    MemoryRunner([awake]).play("feed", stretch(bars(3)))
    assert awake.texts() == ["Bar 1 EURUSD", "Bar 2 EURUSD", "ClockTicked 3", "Bar 3 EURUSD"]


def test_a_node_that_wakes_up_hears_first_what_it_has_missed() -> None:
    sleeper = Listener("sleeper", 10, DATA, sleeps=dict(SLEEPY))
    speaker = Listener("speaker", 50, [Topic.BARS])
    book = MemoryRunner([sleeper, speaker])
    book.play("feed", stretch(bars(3)))
    sleeper.sleeps[Topic.BARS] = AWAKE
    book.publish("test", [(Topic.FILLS, a_fill(T0))])
    book.play("feed", stretch(bars(2, start=3)))
    assert sleeper.texts() == ["Bar 3 EURUSD", "ClockTicked 3", "Fill 0 EURUSD", "Bar 4 EURUSD", "Bar 5 EURUSD"]


def test_a_node_that_sleeps_until_a_time_hears_then_what_it_has_missed_and_every_row_from_there_on() -> None:
    sleeper = Listener("sleeper", 10, DATA, sleeps=SLEEPY | {Topic.BARS: T0 + 3 * MINUTE})
    MemoryRunner([sleeper, Listener("awake", 50, [Topic.BARS])]).play("feed", stretch(bars(4)))
    assert sleeper.texts() == ["Bar 2 EURUSD", "ClockTicked 2", "Bar 3 EURUSD", "Bar 4 EURUSD"]


def test_a_node_that_falls_asleep_does_not_hear_again_what_it_heard_awake() -> None:
    sleeper = Listener("sleeper", 10, DATA, sleeps=SLEEPY | {Topic.BARS: AWAKE})
    book = MemoryRunner([sleeper, Listener("awake", 50, [Topic.BARS])])
    book.play("feed", stretch(bars(2)))
    sleeper.sleeps[Topic.BARS] = ASLEEP
    book.play("feed", stretch(bars(1, start=2, symbol="USDJPY"), [1]))
    book.catch_up()
    assert sleeper.texts() == ["Bar 1 EURUSD", "Bar 2 EURUSD", "ClockTicked 2", "Bar 3 USDJPY", "ClockTicked 3"]


def test_a_crooked_instant_is_heard_by_everybody_after_what_was_held_back() -> None:
    asleep = Listener("asleep", 10, DATA, sleeps=SLEEPY)
    MemoryRunner([asleep]).play("feed", stretch(bars(4), crooked=[False, False, True, False]))
    assert asleep.texts() == ["Bar 2 EURUSD", "ClockTicked 2", "ClockTicked 3", "Bar 3 EURUSD"]


def test_messages_that_a_node_has_no_handler_for_are_not_fed_to_it() -> None:
    choosy = Choosy("choosy", 10, [Topic.CLOCK, Topic.FILLS, Topic.BARS])
    book = MemoryRunner([choosy])
    book.publish("feed", [(Topic.CLOCK, ClockTicked(now_ns=T0)), (Topic.FILLS, a_fill(T0)), (Topic.BARS, bars(1)[0])])
    book.play("feed", stretch(bars(2, start=1)))
    assert choosy.texts() == ["Fill 0 EURUSD", "Bar 1 EURUSD", "Bar 2 EURUSD", "Bar 3 EURUSD"]


def test_an_observer_hears_of_every_message_so_nobody_sleeps() -> None:
    observed: list[str] = []
    asleep = Listener("asleep", 10, DATA, sleeps=SLEEPY)
    MemoryRunner([asleep], observe=lambda _, __, message: observed.append(text(message))).play("feed", stretch(bars(2)))
    assert observed == asleep.texts() == ["ClockTicked 1", "Bar 1 EURUSD", "ClockTicked 2", "Bar 2 EURUSD"]


@pytest.mark.parametrize("ends", [None, [1, 2, 3]])
def test_a_row_that_a_node_cannot_handle_is_put_aside_and_the_rest_goes_on(ends: list[int] | None) -> None:
    def fails(bar: Bar) -> Sequence[Output]:
        return [(Topic.ALERTS, 1 / (bar.close - 1.001))] if bar.close == 1.001 else []

    kept: dict[Topic, list[Message]] = {Topic.DEAD: []}
    node = Listener("fragile", 50, [Topic.BARS], fails)
    MemoryRunner([node], keep=kept).play("feed", stretch(bars(3), ends=ends))
    assert len(node.heard) == 3
    (letter,) = kept[Topic.DEAD]
    assert isinstance(letter, DeadLetter)
    assert (letter.node, letter.stream, letter.reason) == ("fragile", "bars", "ZeroDivisionError: float division by zero")
    with pytest.raises(InvariantError, match="fragile failed on bars"):
        MemoryRunner([Listener("fragile", 10, [Topic.BARS], fails, order_path=True)]).play("feed", stretch(bars(3), ends=ends))


def test_ticks_and_bars_may_be_played_in_turns() -> None:
    asleep = Listener("asleep", 10, [Topic.CLOCK, Topic.TICKS, Topic.BARS], sleeps=SLEEPY | {Topic.TICKS: ASLEEP})
    book = MemoryRunner([asleep])
    ticks = [a_quote(T0 + 5 * MINUTE + n) for n in range(3)]
    book.play("feed", stretch(bars(2)))
    book.play("feed", Stretch(Topic.TICKS, [tick.ts_event_ns for tick in ticks], ticks, [1, 1, 1]))
    book.catch_up()
    assert [type(message).__name__ for message in asleep.heard] == ["Bar", "ClockTicked", "Quote", "ClockTicked"]


def test_what_nobody_reads_wakes_nobody() -> None:
    alert = Alert(name="x", ts_event_ns=T0, severity="info", source="s", text="t")
    kept: dict[Topic, list[Message]] = {Topic.ALERTS: []}
    asleep = Listener("asleep", 10, DATA, sleeps=SLEEPY)
    book = MemoryRunner([asleep, Listener("loud", 50, [Topic.BARS], lambda _: [(Topic.ALERTS, alert)])], keep=kept)
    book.play("feed", stretch(bars(5)))
    assert (len(kept[Topic.ALERTS]), asleep.heard) == (5, [])


def test_a_mark_is_no_mark_of_another_symbol() -> None:
    def says(bar: Bar) -> Sequence[Output]:
        return [(Topic.MARKS, Mark(symbol=bar.symbol, ts_event_ns=bar.ts_close_ns, bid=1.0, ask=1.0, last=1.0))]

    reader = Listener("reader", 30, [Topic.MARKS], sleeps=SLEEPY)
    book = MemoryRunner([Listener("marks", 20, [Topic.BARS], says, SLEEPY), reader])
    pairs = [row for pair in zip(bars(2), bars(2, symbol="USDJPY"), strict=True) for row in pair]
    book.play("feed", stretch(pairs, [0, 1] * 2, ends=[2, 4]))
    book.catch_up()
    assert reader.texts() == ["Mark 2 EURUSD", "Mark 2 USDJPY"]
