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

from barque.bus.seats import TOPIC_OF, Handle, Instant, Ranked, Route, Seat, news, renew
from barque.bus.stretch import Stretch
from barque.errors import InvariantError
from barque.messages import ClockTicked, Message, Topic
from barque.node import ASLEEP, AWAKE, Node, Output, Timed

MAX_TURNS = 10_000
"""Turns that one publication may cause; more is two nodes answering each other for ever."""

_CLOCK, _MARKS = Topic.CLOCK, Topic.MARKS
_CLOCK_RANK, _MARKS_RANK = _CLOCK.rank, _MARKS.rank
_rank = itemgetter(0)


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
        self._seats = [Seat(node, 1 << place) for place, node in enumerate(ordered)]
        self._by_bit = {seat.bit: seat for seat in self._seats}
        self._observe = observe
        self._keep = {} if keep is None else keep
        self._routes: dict[type, Route] = {}
        """By type; each belongs to one topic."""
        self._waiting = 0
        """Bits of the seats whose turn is to come."""
        # -- what is held back, and from whom
        self._topic = Topic.BARS
        """Of the rows."""
        self._rows: dict[int, Message] = {}
        """The newest row of each slot, the newest of all last."""
        self._marks: dict[str, Message] = {}
        """The newest mark of each symbol, the newest of all last."""
        self._now_ns = AWAKE
        self._ranked_clock: Ranked = (_CLOCK_RANK, ClockTicked(now_ns=AWAKE))
        """As of `_set_clock`."""
        self._home_ns = AWAKE
        """What was held back until then has come home to everybody."""
        self._news = 0
        """Another number whenever there may be something new to be heard."""
        self._awake: list[Seat] = []
        self._sleepers: list[Seat] = []
        """From whom rows are held back."""
        self._last_sleeper = 0
        """The highest bit of those from whom rows or marks are held back."""
        self._last_of_marks = max((seat.bit for seat in self._seats if seat.hears_marks), default=0)
        self._quiet = {topic for topic in Topic if not any(topic in seat.reads for seat in self._seats)} | {_MARKS}
        """What may be said without waking anybody: nobody reads it, or whoever does sleeps on it (`_settle` sees to that)."""
        # -- an instant of `play` that has woken somebody
        self._running = False
        self._instant: Instant | None = None
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
            route = routes.get(type(message))
            if route is None or route[0] is not topic:
                route = routes[type(message)] = self._route(topic, type(message))
            _, rank, kept, queues, bits = route
            if kept is not None:
                kept.append(message)
            if observe is not None:
                observe(source, topic, message)
            if rank == _MARKS_RANK and self._running:
                self._hold_mark(message)
            elif bits:
                ranked = (rank, message)
                for queue in queues:
                    queue.append(ranked)
                self._waiting |= bits

    def _route(self, topic: Topic, kind: type) -> Route:
        to = [seat for seat in self._seats if topic in seat.reads and seat.handlers.get(kind) is not None]
        return Route(topic, topic.rank, self._keep.get(topic), [seat.queue for seat in to], sum(seat.bit for seat in to))

    def _rest(self) -> None:
        """Let nodes take turns until nobody has anything to read."""
        by_bit, running, now_ns = self._by_bit, self._running, self._now_ns
        for _ in range(MAX_TURNS):
            waiting = self._waiting
            if not waiting:
                return
            bit = waiting & -waiting
            self._waiting = waiting ^ bit
            seat = by_bit[bit]
            queue, handlers = seat.queue, seat.handlers
            if running and (seat.news != self._news or self._instant is not None):
                self._bring_home(seat, bit)
            if len(queue) > 1:
                queue.sort(key=_rank)
            if seat.told_ns < now_ns:
                seat.told_ns = now_ns
                queue.insert(0, self._ranked_clock)
                if len(queue) > 1 and queue[1][0] < _CLOCK_RANK:
                    queue.sort(key=_rank)
            said: Sequence[Output] = ()
            for _, message in queue:
                try:
                    outputs = handlers[type(message)](message)
                except Exception as error:
                    outputs = (seat.failed(message, error),)
                if outputs:
                    said = (*said, *outputs) if said else outputs
            queue.clear()
            seat.fed = True
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
                seat.hears_rows, seat.asleep, seat.fed = stretch.topic in seat.reads, False, True
        slots = stretch.slots
        if stretch.ends is None and stretch.crooked is None and slots.count(slots[0]) == len(slots):
            self._play_series(source, stretch)
        else:
            self._play_instants(source, stretch)

    def _play_series(self, source: str, stretch: Stretch) -> None:
        """One row after another of one series: `_play_instants`, made fast."""
        slot, kind, wake_ns = stretch.slots[0], type(stretch.rows[0]), AWAKE
        listeners: list[tuple[Seat, Timed, Handle]] = []
        self.catch_up()
        last_ns, last = self._now_ns, None
        instant: Instant | None = None
        for at_ns, row in zip(stretch.times, stretch.rows, strict=True):
            if at_ns >= wake_ns:
                self._hold_row(last_ns, slot, last)
                wake_ns = self._settle(at_ns)
                listeners = [(seat, seat.timer, handle) for seat in self._awake if (handle := seat.handlers.get(kind))]
                if at_ns >= wake_ns:
                    self._play_instants(source, Stretch(self._topic, (at_ns,), (row,), (slot,)))
                    last_ns, last, wake_ns = at_ns, None, AWAKE
                    continue
            for seat, timer, handle in listeners:
                if timer.due_ns <= at_ns:
                    said: Sequence[Output] = self._hear_due(seat, at_ns, (row,))
                else:
                    try:
                        said = handle(row)
                    except Exception as error:
                        said = (seat.failed(row, error),)
                if said:
                    if instant is None:
                        self._hold_row(last_ns, slot, last)
                        instant = Instant((row,), (slot,))
                    if self._has_woken(seat, at_ns, instant, said):
                        last_ns, last, wake_ns, instant = at_ns, None, AWAKE, None
                        break
            else:
                last_ns, last = at_ns, row
                if instant is not None:
                    self._now_ns, last = at_ns, None
                    self._hold(instant)
                    instant = None
        self._hold_row(last_ns, slot, last)

    def _play_instants(self, source: str, stretch: Stretch) -> None:
        wake_ns = AWAKE
        for at_ns, rows, slots in stretch:
            if at_ns >= wake_ns:
                wake_ns = self._settle(at_ns)
            if wake_ns == AWAKE or not slots:
                self.publish(source, [(_CLOCK, ClockTicked(now_ns=at_ns)), *((TOPIC_OF[type(row)], row) for row in rows)])
                wake_ns = AWAKE
                continue
            instant = Instant(rows, slots)
            if at_ns >= wake_ns:
                self._run(at_ns, instant)
                wake_ns = AWAKE
                continue
            for seat in self._awake:
                said = seat.hear(rows) if seat.timer.due_ns > at_ns else self._hear_due(seat, at_ns, rows)
                if said and self._has_woken(seat, at_ns, instant, said):
                    wake_ns = AWAKE
                    break
            else:
                self._now_ns = at_ns
                self._hold(instant)

    def _hear_due(self, seat: Seat, at_ns: int, rows: Sequence[Message]) -> Sequence[Output]:
        """What a node that is awake says to an instant whose time it is to be told."""
        seat.told_ns = at_ns
        return seat.hear((ClockTicked(now_ns=at_ns), *rows))

    def _has_woken(self, seat: Seat, at_ns: int, instant: Instant, said: Sequence[Output]) -> bool:
        """Whether what a node that is awake has said to an instant concerns anybody now; then the instant has been run."""
        for topic, _ in said:
            if topic not in self._quiet:
                self._run(at_ns, instant, seat, said)
                return True
        for topic, message in said:
            if topic in self._keep:
                self._keep[topic].append(message)
            if topic is _MARKS:
                renew(instant.marks, message.symbol, message)
        return False

    def catch_up(self) -> None:
        """Let everybody hear what was held back. Whoever looks into a node calls this first."""
        if self._home_ns == self._now_ns:
            return
        self._home_ns = self._now_ns
        self._set_clock(self._now_ns)
        for seat in self._seats:
            self._tell(seat, None)
            if seat.told_ns < self._now_ns:
                seat.told_ns = self._now_ns
                self._put(seat.name, seat.hear((self._ranked_clock[1],)))
        self._rest()

    def _settle(self, at_ns: int) -> int:
        """Find out who is awake. Until when the others need not be told the time; `AWAKE`: nothing may be held back."""
        if self._observe is not None:
            return AWAKE
        topic, wake_ns, last_sleeper = self._topic, ASLEEP, self._last_of_marks
        awake: list[Seat] = []
        sleepers: list[Seat] = []
        for seat in self._seats:
            until_ns = seat.ask(topic, at_ns) if seat.fed or at_ns >= seat.until_ns else seat.until_ns
            if until_ns < wake_ns:
                wake_ns = until_ns
            if seat.awake:
                seat.fed = True  # of the rows that it hears from now on nobody takes notice
                awake.append(seat)
                if seat.asleep:
                    self._wake(seat)
            elif seat.hears_rows:
                sleepers.append(seat)
                if not seat.asleep:
                    seat.asleep, seat.rows = True, dict(self._rows)
        if sleepers and sleepers[-1].bit > last_sleeper:
            last_sleeper = sleepers[-1].bit
        self._awake, self._sleepers, self._last_sleeper = awake, sleepers, last_sleeper
        return wake_ns

    def _wake(self, seat: Seat) -> None:
        """From now on it hears every row; first those that were held back from it."""
        if seat.news != self._news:
            self.catch_up()
        seat.asleep = False

    def _set_clock(self, at_ns: int) -> None:
        """It is `at_ns` now."""
        self._now_ns, self._ranked_clock = at_ns, (_CLOCK_RANK, ClockTicked(now_ns=at_ns))

    def _run(self, at_ns: int, instant: Instant, speaker: Seat | None = None, said: Sequence[Output] = ()) -> None:
        """An instant that wakes somebody, in the order of turns: because a time has come, or because of what `speaker` said."""
        self._set_clock(at_ns)
        passed = 0 if speaker is None else speaker.bit
        self._running, self._instant, self._passed = True, instant, passed
        if passed > self._last_sleeper:  # then whoever sleeps may know of it by now
            self._let_know()
        for seat in self._awake:
            if seat.bit > passed:
                seat.queue += [(self._topic.rank, row) for row in instant.rows if type(row) in seat.handlers]
                self._waiting |= seat.bit
        if speaker is None:
            self._waiting |= sum(seat.bit for seat in self._seats if seat.until_ns <= at_ns)
        else:
            self._put(speaker.name, said)
        self._rest()
        if self._instant is not None:
            self._let_know()
        self._running = False

    def _let_know(self) -> None:
        """From now on everybody may know of the instant."""
        if self._instant is not None:
            self._hold(self._instant)
            self._instant = None

    def _bring_home(self, seat: Seat, bit: int) -> None:
        """Before its turn a node hears what was held back from it, where that matters for what it has to read; if it may be
        marks, then who may have to say some hears it first."""
        instant = self._instant
        if bit > self._passed:
            self._passed, instant = bit, None
        if instant is None and seat.news == self._news:
            return
        for _, message in seat.queue:
            if type(message) not in seat.heedless:
                break
        else:
            if seat.queue:
                return
        if seat.hears_marks:
            for sleeper in self._sleepers:
                if sleeper.bit < bit and (sleeper.news != self._news or instant is not None):
                    self._tell(sleeper, instant)
        elif not seat.asleep:
            seat.news = self._news
            return
        self._tell(seat, instant)

    def _tell(self, seat: Seat, instant: Instant | None) -> None:
        """Let a node hear, out of turn, marks and rows that were held back; also those of the instant under way that it may know.
        Marks that it says to that are held back at once, as old as what they were said to."""
        if seat.news != self._news:
            seat.news = self._news
            unheard = news(self._marks, seat.marks) if seat.hears_marks else []
            if seat.asleep:
                unheard += news(self._rows, seat.rows)
            if unheard and (said := seat.hear(unheard)):
                self._say(seat, said, self._marks)
        if instant is not None:
            unheard = news(instant.marks, seat.marks) if seat.hears_marks else []
            if seat.asleep:
                unheard += news(dict(zip(instant.slots, instant.rows, strict=True)), seat.rows)
            if unheard and (said := seat.hear(unheard)):
                self._say(seat, said, instant.marks)

    def _say(self, seat: Seat, said: Sequence[Output], marks: dict[str, Message]) -> None:
        """By its promise, marks and nothing else."""
        for output in said:
            if output[0] is _MARKS:
                renew(marks, output[1].symbol, output[1])
            else:
                self._put(seat.name, (output,))

    def _hold_mark(self, mark: Message) -> None:
        if self._instant is not None:
            renew(self._instant.marks, mark.symbol, mark)
        else:
            renew(self._marks, mark.symbol, mark)
            self._news += 1

    def _hold_row(self, at_ns: int, slot: int, row: Message | None) -> None:
        """`row` was the newest of its series until now, and alone in its instant."""
        if row is not None:
            self._now_ns = at_ns
            renew(self._rows, slot, row)
            self._news += 1

    def _hold(self, instant: Instant) -> None:
        for slot, row in zip(instant.slots, instant.rows, strict=True):
            renew(self._rows, slot, row)
        if instant.marks:
            for symbol, mark in instant.marks.items():
                renew(self._marks, symbol, mark)
        self._news += 1
