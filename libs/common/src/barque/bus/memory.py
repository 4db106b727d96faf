"""Drives a whole graph of nodes in one process, in the order of lockstep: the engine of backtests and of parity tests.

In:   nodes; then `publish` for one instant, or `play` for many.   Out: what the nodes said, to an observer or into lists.
Not:  threads, clocks, I/O.

After each publication the lowest-ranked node with unread input takes all of it, merged by topic rank and position, until
nobody has any: the very order that `barque.bus.reader` enforces between processes on a feed clock.

`play` comes to the same and is many times faster, because it feeds no node what changes nothing for it yet
(`barque.node.Sleeper`). Of an instant hear only the nodes that are awake on it. For the others the newest row of each series and
the newest mark of each symbol are held back, and the time. A node that is to hear of something else first hears what was held
back; and so, before it, do the nodes that would have gone before it, because of what they may have to say to it: marks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple, TypeAlias, TypeVar

from barque.bus.stretch import Stretch
from barque.errors import InvariantError
from barque.messages import ClockTicked, DeadLetter, Message, Topic
from barque.messages.topics import MESSAGES
from barque.node import ASLEEP, AWAKE, Heedless, Node, Output, Selective, Sleeper

MAX_TURNS = 10_000
"""Turns that one publication may cause; more is two nodes answering each other for ever."""

_CLOCK, _MARKS, _BARS, _TICKS = Topic.CLOCK, Topic.MARKS, Topic.BARS, Topic.TICKS
_TOPIC_OF = {kind: topic for topic, kinds in MESSAGES.items() for kind in kinds}
_rank = _topic = itemgetter(0)
K = TypeVar("K", int, str)
Ranked: TypeAlias = tuple[int, Message]
"""A message behind the rank of its topic."""
SleepsUntil: TypeAlias = Callable[[Topic], int]
Handle: TypeAlias = Callable[[Message], Iterable[Output]]


class _Whatever:
    """The handlers of a node that does not name them: one for messages of any type."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def get(self, kind: type) -> Handle | None:
        return self._handle


class _Seat:
    """A node at its place in the order of turns."""

    __slots__ = (
        "asleep",
        "bit",
        "changed",
        "clock_ns",
        "clock_until",
        "handlers",
        "hears_marks",
        "hears_rows",
        "heedless",
        "marks",
        "marks_ns",
        "name",
        "news",
        "node",
        "queue",
        "reads",
        "rows",
        "rows_ns",
        "sleeps_until",
        "told_ns",
    )

    def __init__(self, node: Node, bit: int) -> None:
        self.node, self.name, self.bit = node, node.name, bit
        self.handlers = node.handlers if isinstance(node, Selective) else _Whatever(node.handle)
        self.heedless = node.heedless if isinstance(node, Heedless) else frozenset()
        self.reads = frozenset(node.inputs)
        self.hears_marks, self.hears_rows = _MARKS in self.reads, _BARS in self.reads
        self.queue: list[Ranked] = []
        """What it has to read."""
        # -- its answers, asked again where it has changed since
        self.changed = True
        self.sleeps_until = node.sleeps_until if isinstance(node, Sleeper) else _never_sleeps
        self.clock_until = self.sleeps_until if _CLOCK in self.reads else _always_sleeps
        self.marks_ns = self.rows_ns = self.clock_ns = AWAKE
        self.asleep = False
        """Rows of what is played are held back from it."""
        # -- what it has heard of what was held back
        self.told_ns = AWAKE if _CLOCK in self.reads else ASLEEP
        """The time that it knows."""
        self.news = 0
        """The `news` of the runner."""
        self.rows: dict[int, Message] = {}
        """By slot."""
        self.marks: dict[str, Message] = {}
        """By symbol."""

    def hear(self, messages: Iterable[Message]) -> Sequence[Output]:
        """What the node says to messages."""
        handlers, self.changed = self.handlers, True
        said: tuple[Output, ...] = ()
        for message in messages:
            handle = handlers.get(type(message))
            if handle is None:
                continue
            try:
                outputs = handle(message)
                if outputs:
                    said += tuple(outputs)
            except Exception as error:
                said += (_failed(self.node, message, error),)
        return said

    def ask(self, topic: Topic) -> None:
        """When it wants to hear of rows of `topic`, of marks, and of the time."""
        self.changed = False
        self.rows_ns = self.sleeps_until(topic) if self.hears_rows else ASLEEP
        self.marks_ns = self.sleeps_until(_MARKS) if self.hears_marks else ASLEEP
        self.clock_ns = self.clock_until(_CLOCK)


class _Route(NamedTuple):
    """Where messages of one type go."""

    topic: Topic
    rank: int
    queues: Sequence[list[Ranked]]
    bits: int
    kept: list[Message] | None


class _Instant:
    """What an instant under way brings. A node may know of it only when its turn has come."""

    __slots__ = ("marks", "rows", "slots")

    def __init__(self, rows: Sequence[Message], slots: Sequence[int]) -> None:
        self.rows, self.slots = rows, slots
        self.marks: dict[str, Message] = {}
        """The newest of each symbol, the newest of all last."""


class MemoryRunner:
    """A book in memory."""

    def __init__(
        self,
        nodes: Iterable[Node],
        observe: Callable[[str, Topic, Message], None] | None = None,
        keep: Mapping[Topic, list[Message]] | None = None,
    ) -> None:
        """`observe(source, topic, message)` is told every message published, as it is published; so nothing is held back.
        To the lists of `keep`, messages of their topics are added as they are said."""
        ordered = sorted(nodes, key=lambda n: (n.rank, n.name))
        names = [node.name for node in ordered]
        if len(set(names)) != len(names):
            raise InvariantError(f"two nodes of one name among {names}")
        self._seats = [_Seat(node, 1 << place) for place, node in enumerate(ordered)]
        self._by_bit = {seat.bit: seat for seat in self._seats}
        self._observe = observe
        self._keep = {} if keep is None else keep
        self._routes: dict[type, _Route] = {}
        """By type; each belongs to one topic."""
        self._waiting = 0
        """Bits of the seats whose turn is to come."""
        self._quiet = {topic for topic in Topic if not any(topic in seat.reads for seat in self._seats)} | {_MARKS}
        """What may be said without waking anybody: nobody reads it, or whoever does sleeps on it (`_settle` sees to that)."""
        # -- what is held back, and from whom
        self._topic = _BARS
        """Of the rows."""
        self._rows: dict[int, Message] = {}
        """The newest row of each slot, the newest of all last."""
        self._marks: dict[str, Message] = {}
        """The newest mark of each symbol, the newest of all last."""
        self._clock = ClockTicked(now_ns=AWAKE)
        self._now_ns = AWAKE
        self._home_ns = AWAKE
        """What was held back until then has come home to everybody."""
        self._news = 0
        """Another number whenever there may be something new to be heard."""
        self._awake: list[_Seat] = []
        self._sleepers: list[_Seat] = []
        """From whom rows are held back."""
        self._last_sleeper = 0
        """The highest bit of those from whom rows or marks are held back."""
        # -- an instant of `play` that has woken somebody
        self._running = False
        self._instant: _Instant | None = None
        self._passed = 0
        """The highest bit that has had a turn: who goes before it may know of the instant."""

    # -- in full -----------------------------------------------------------------------------------------------------

    def publish(self, source: str, outputs: Iterable[Output]) -> None:
        """Put one instant's messages on their topics and let the book come to rest."""
        self.catch_up()
        self._put(source, outputs)
        self._rest()

    def _put(self, source: str, outputs: Iterable[Output]) -> None:
        routes, observe = self._routes, self._observe
        for topic, message in outputs:
            kind = type(message)
            route = routes.get(kind)
            if route is None or route.topic is not topic:
                route = routes[kind] = self._route(topic, kind)
            if route.kept is not None:
                route.kept.append(message)
            if observe is not None:
                observe(source, topic, message)
            if topic is _MARKS and self._running:
                self._hold_mark(message)
                continue
            ranked = (route.rank, message)
            for queue in route.queues:
                queue.append(ranked)
            self._waiting |= route.bits

    def _route(self, topic: Topic, kind: type) -> _Route:
        to = [seat for seat in self._seats if topic in seat.reads and seat.handlers.get(kind) is not None]
        return _Route(topic, topic.rank, [seat.queue for seat in to], sum(seat.bit for seat in to), self._keep.get(topic))

    def _rest(self) -> None:
        """Let nodes take turns until nobody has anything to read."""
        for _ in range(MAX_TURNS):
            waiting = self._waiting
            if not waiting:
                return
            bit = waiting & -waiting
            self._waiting = waiting ^ bit
            seat = self._by_bit[bit]
            queue = seat.queue
            if len(queue) > 1:
                queue.sort(key=_rank)
            messages = [message for _, message in queue]
            queue.clear()
            if self._running:
                if seat.told_ns < self._now_ns or seat.news != self._news or self._instant is not None:
                    messages = self._unheard_before(seat, messages) + messages
                elif bit > self._passed:
                    self._passed = bit
            said = seat.hear(messages)
            if said:
                self._put(seat.name, said)
        raise InvariantError(f"the book did not come to rest within {MAX_TURNS} turns")

    # -- with nodes asleep -------------------------------------------------------------------------------------------

    def play(self, source: str, stretch: Stretch) -> None:
        """Publish every instant of `stretch`, its time before its rows. At the end some of it may be held back."""
        if stretch.topic is not self._topic:
            self.catch_up()
            self._topic = stretch.topic
            for seat in self._seats:
                seat.hears_rows, seat.asleep, seat.changed = stretch.topic in seat.reads, False, True
        if stretch.ends is None and stretch.crooked is None and len(set(stretch.slots)) == 1:
            self._play_series(source, stretch)
        else:
            self._play_instants(source, stretch)

    def _play_series(self, source: str, stretch: Stretch) -> None:
        """One row after another of one series: `_play_instants`, made fast."""
        held, slot, wake_ns = self._rows, stretch.slots[0], AWAKE
        kind, awake = type(stretch.rows[0]), list[tuple[_Seat, SleepsUntil, Handle]]()
        self.catch_up()
        held.pop(slot, None)  # so that it is the last one from now on
        for at_ns, row in zip(stretch.times, stretch.rows, strict=True):
            if at_ns >= wake_ns:
                wake_ns = self._settle(at_ns)
                awake = [(seat, seat.clock_until, handle) for seat in self._awake if (handle := seat.handlers.get(kind))]
                if at_ns >= wake_ns:
                    self._play_instants(source, Stretch(self._topic, (at_ns,), (row,), (slot,)))
                    wake_ns = AWAKE
                    continue
            instant: _Instant | None = None
            for seat, clock_until, handle in awake:
                if clock_until(_CLOCK) <= at_ns:
                    said: Iterable[Output] = self._hear_due(seat, at_ns, (row,))
                else:
                    try:
                        said = handle(row)
                    except Exception as error:
                        said = (_failed(seat.node, row, error),)
                if said:
                    instant = instant or _Instant((row,), (slot,))
                    if self._has_woken(seat, at_ns, instant, tuple(said)):
                        wake_ns = AWAKE
                        break
            else:
                held[slot] = row
                self._now_ns = at_ns
                if instant is not None:
                    self._hold(instant)

    def _play_instants(self, source: str, stretch: Stretch) -> None:
        wake_ns = AWAKE
        for at_ns, rows, slots in stretch:
            if at_ns >= wake_ns:
                wake_ns = self._settle(at_ns)
            if wake_ns == AWAKE or not slots:
                self.publish(source, [(_CLOCK, ClockTicked(now_ns=at_ns)), *((_TOPIC_OF[type(row)], row) for row in rows)])
                wake_ns = AWAKE
                continue
            instant = _Instant(rows, slots)
            if at_ns >= wake_ns:
                self._run(at_ns, instant)
                wake_ns = AWAKE
                continue
            for seat in self._awake:
                said = seat.hear(rows) if seat.clock_until(_CLOCK) > at_ns else self._hear_due(seat, at_ns, rows)
                if said and self._has_woken(seat, at_ns, instant, said):
                    wake_ns = AWAKE
                    break
            else:
                self._now_ns = at_ns
                self._hold(instant)

    def _hear_due(self, seat: _Seat, at_ns: int, rows: Sequence[Message]) -> Sequence[Output]:
        """What a node that is awake says to an instant whose time it is to be told."""
        seat.told_ns = at_ns
        return seat.hear((ClockTicked(now_ns=at_ns), *rows))

    def _has_woken(self, seat: _Seat, at_ns: int, instant: _Instant, said: Sequence[Output]) -> bool:
        """Whether what a node that is awake has said to an instant concerns anybody now; then the instant has been run."""
        if not self._quiet.issuperset(map(_topic, said)):
            self._run(at_ns, instant, seat, said)
            return True
        for topic, message in said:
            if topic in self._keep:
                self._keep[topic].append(message)
            if topic is _MARKS:
                _renew(instant.marks, message.symbol, message)
        return False

    def catch_up(self) -> None:
        """Let everybody hear what was held back. Whoever looks into a node calls this first."""
        if self._home_ns == self._now_ns:
            return
        self._home_ns = self._now_ns
        self._look_for_news(self._now_ns)
        for seat in self._seats:
            self._tell(seat, None)
        self._rest()

    def _settle(self, at_ns: int) -> int:
        """Find out who is awake. Until when the others need not be told the time; `AWAKE`: nothing may be held back."""
        if self._observe is not None:
            return AWAKE
        topic, wake_ns = self._topic, ASLEEP
        self._awake, self._sleepers, self._last_sleeper = [], [], 0
        for seat in self._seats:
            if seat.changed:
                seat.ask(topic)
            if seat.hears_marks:
                self._last_sleeper = seat.bit
                if seat.marks_ns < wake_ns:
                    wake_ns = seat.marks_ns if seat.marks_ns > at_ns else AWAKE
            if seat.hears_rows:
                if seat.rows_ns <= at_ns:
                    seat.changed = True  # it hears rows from now on, and nobody notes it
                    self._awake.append(seat)
                    if seat.asleep:
                        self._wake(seat)
                    continue
                if seat.rows_ns < wake_ns:
                    wake_ns = seat.rows_ns
                self._last_sleeper = seat.bit
                self._sleepers.append(seat)
                if not seat.asleep:
                    seat.asleep, seat.rows = True, dict(self._rows)
            if seat.clock_ns < wake_ns:
                wake_ns = seat.clock_ns
        return wake_ns

    def _wake(self, seat: _Seat) -> None:
        """From now on it hears every row; first those that were held back from it."""
        self._look_for_news(self._now_ns)
        if seat.news != self._news:
            self.catch_up()
        seat.asleep = False

    def _look_for_news(self, at_ns: int) -> None:
        """It is `at_ns` now; instants that nobody was woken for may have passed since somebody was told of one."""
        if self._clock.now_ns != self._now_ns:
            self._news += 1
        if self._clock.now_ns != at_ns:
            self._now_ns, self._clock = at_ns, ClockTicked(now_ns=at_ns)

    def _run(self, at_ns: int, instant: _Instant, speaker: _Seat | None = None, said: Sequence[Output] = ()) -> None:
        """An instant that wakes somebody, in the order of turns: because a time has come, or because of what `speaker` said."""
        self._look_for_news(at_ns)
        self._running, self._instant = True, instant
        self._passed = 0 if speaker is None else speaker.bit
        if self._passed > self._last_sleeper:  # then whoever sleeps may know of it by now
            self._let_know()
        for seat in self._awake:
            if seat.bit > self._passed:
                seat.queue += [(self._topic.rank, row) for row in instant.rows]
                self._waiting |= seat.bit
        if speaker is None:
            awake = sum(seat.bit for seat in self._awake)
            self._waiting |= sum(seat.bit for seat in self._seats if seat.clock_ns <= at_ns and not seat.bit & awake)
        else:
            self._put(speaker.name, said)
        self._rest()
        self._let_know()
        self._running = False

    def _let_know(self) -> None:
        """From now on everybody may know of the instant."""
        if self._instant is not None:
            self._hold(self._instant)
            self._instant = None

    def _unheard_before(self, seat: _Seat, messages: Sequence[Message]) -> list[Message]:
        """What was held back from a node that is to hear `messages`: at least the time. Marks and rows where these matter for
        some of them; and where that may be marks, then whoever may have to say some hears it first."""
        bit = seat.bit
        instant = self._instant if bit < self._passed else None
        if bit > self._passed:
            self._passed = bit
        if messages and seat.heedless.issuperset(map(type, messages)):
            return self._unheard_time(seat)
        if seat.hears_marks and (instant is not None or seat.news != self._news):
            for sleeper in self._sleepers:
                if sleeper.bit < bit:
                    self._tell(sleeper, instant)
        unheard = self._unheard(seat)
        if instant is not None:
            unheard += self._unheard_of(seat, instant)
        return unheard

    def _tell(self, seat: _Seat, instant: _Instant | None) -> None:
        """Let a node hear what was held back from it, out of turn; also the instant under way, where it may know of that."""
        self._say(seat, seat.hear(self._unheard(seat)), self._marks)
        if instant is not None:
            self._say(seat, seat.hear(self._unheard_of(seat, instant)), instant.marks)

    def _say(self, seat: _Seat, said: Sequence[Output], marks: dict[str, Message]) -> None:
        """What a node has said out of turn: by its promise nothing but marks, which are held back at once."""
        for output in said:
            if output[0] is _MARKS:
                _renew(marks, output[1].symbol, output[1])
            else:
                self._put(seat.name, (output,))

    def _unheard(self, seat: _Seat) -> list[Message]:
        """What was held back from a node before this instant, from now on no more; then the time."""
        if seat.news == self._news:
            return self._unheard_time(seat)
        seat.news = self._news
        unheard = _news(self._marks, seat.marks) if seat.hears_marks else []
        if seat.asleep:
            unheard += _news(self._rows, seat.rows)
        return unheard + self._unheard_time(seat)

    def _unheard_time(self, seat: _Seat) -> list[Message]:
        if seat.told_ns >= self._now_ns:
            return []
        seat.told_ns = self._now_ns
        return [self._clock]

    def _unheard_of(self, seat: _Seat, instant: _Instant) -> list[Message]:
        """What a node that may know of the instant has not heard of it."""
        unheard: list[Message] = _news(instant.marks, seat.marks) if seat.hears_marks else []
        if seat.asleep:
            unheard += _news(dict(zip(instant.slots, instant.rows, strict=True)), seat.rows)
        return unheard

    def _hold_mark(self, mark: Message) -> None:
        if self._instant is not None:
            _renew(self._instant.marks, mark.symbol, mark)
        else:
            _renew(self._marks, mark.symbol, mark)
            self._news += 1

    def _hold(self, instant: _Instant) -> None:
        for slot, row in zip(instant.slots, instant.rows, strict=True):
            _renew(self._rows, slot, row)
        for symbol, mark in instant.marks.items():
            _renew(self._marks, symbol, mark)
        self._news += 1


def _renew(newest: dict[K, Message], key: K, message: Message) -> None:
    """Put `message` last."""
    newest.pop(key, None)
    newest[key] = message


def _news(newest: dict[K, Message], heard: dict[K, Message]) -> list[Message]:
    """What somebody has not heard of yet, oldest first; now he has. What he has not heard is always the last of `newest`."""
    news: list[Message] = []
    for key in reversed(newest):
        message = newest[key]
        if heard.get(key) is message:
            break
        heard[key] = message
        news.append(message)
    news.reverse()
    return news


def _never_sleeps(topic: Topic) -> int:
    return AWAKE


def _always_sleeps(topic: Topic) -> int:
    return ASLEEP


def _failed(node: Node, message: Message, error: Exception) -> Output:
    """A node of the order path ends the run; of any other, the message is put aside."""
    topic = _TOPIC_OF[type(message)]
    if node.order_path:
        raise InvariantError(f"{node.name} failed on {topic} {message}: {error}") from error
    reason = f"{type(error).__name__}: {error}"
    return Topic.DEAD, DeadLetter(node=node.name, stream=topic, entry_id="", reason=reason, raw=b"")
