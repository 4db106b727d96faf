"""How fast we may ask: messages in a second with a lane for orders, and questions to the history.

In:   wishes to send, the time.   Out: when each may go.
Not:  the sending. The Gateway hangs up on who sends too fast, and ib_async lets an order wait behind every subscription; so we
      queue first, and the orders' lane always has room.

The rules are pure and take the time; the gates wait by them. IBKR's limits: 50 messages a second; history: no identical request
within 15 s, fewer than 6 for one contract and kind in 2 s, 60 in 10 minutes (BID_ASK counts twice), 50 at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from heapq import heappop, heappush
from typing import NamedTuple

from barque.errors import VenueThrottled

WINDOW_S = 1.05
"""A second, and a little for clocks that do not run alike."""
MOST_WAITING = 10_000


class Lane(IntEnum):
    """Who goes first."""

    EXIT = 0
    """Cancels, and orders that close."""
    ORDER = 1
    REQUEST = 2
    """Everything else."""


class MessageRule:
    """At most `per_s` messages in any second, of which `reserved` are for orders alone."""

    def __init__(self, per_s: int, reserved: int | None = None) -> None:
        self._most = dict.fromkeys(Lane, per_s)
        self._most[Lane.REQUEST] = max(1, per_s - (per_s // 5 if reserved is None else reserved))
        self._sent: deque[float] = deque()

    def wait_s(self, lane: Lane, now: float) -> float:
        """How long until one more may go; 0: now."""
        while self._sent and self._sent[0] <= now - WINDOW_S:
            self._sent.popleft()
        most = self._most[lane]
        if len(self._sent) < most:
            return 0.0
        return max(self._sent[-most] + WINDOW_S - now, 0.001)

    def take(self, now: float, count: int = 1) -> None:
        """So many go now."""
        self._sent.extend([now] * count)


class MessageGate:
    """Lets messages through by lane, then in their order."""

    def __init__(self, rule: MessageRule, clock: Callable[[], float] = time.monotonic) -> None:
        self._rule = rule
        self._clock = clock
        self._waiting: list[tuple[Lane, int, asyncio.Future[None]]] = []
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None

    def count(self, messages: int) -> None:
        """So many went past the gate."""
        self._rule.take(self._clock(), messages)

    async def enter(self, lane: Lane) -> None:
        """Return when one message of this lane may go. Raises `VenueThrottled` where far too many wait."""
        if not self._waiting and self._rule.wait_s(lane, self._clock()) == 0:
            self._rule.take(self._clock())
            return
        if len(self._waiting) >= MOST_WAITING:
            raise VenueThrottled(f"{MOST_WAITING} messages wait for the Gateway already", retry_after_ms=1_000)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number += 1
        heappush(self._waiting, (lane, self._number, turn))
        self._let_through()
        await turn

    def _let_through(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            lane, _, turn = self._waiting[0]
            if turn.done():
                heappop(self._waiting)
                continue
            wait_s = self._rule.wait_s(lane, self._clock())
            if wait_s > 0:
                self._timer = asyncio.get_running_loop().call_later(wait_s, self._let_through)
                return
            heappop(self._waiting)
            self._rule.take(self._clock())
            turn.set_result(None)


class HistoryQuestion(NamedTuple):
    """A question to the history, as the Gateway tells them apart."""

    contract: str
    what: str
    """`TRADES`, `MIDPOINT`, `BID_ASK` …"""
    bar_size: str
    duration: str
    end: str

    @property
    def cost(self) -> int:
        """Of the 60 in 10 minutes."""
        return 2 if self.what == "BID_ASK" else 1


IDENTICAL_S = 15.0
BURST_S, BURST = 2.0, 5
LONG_S = 600.0
PAUSE_MIN_S, PAUSE_MAX_S = 15.0, 600.0


class HistoryRule:
    """When a question may be asked."""

    def __init__(self, per_10_min: int = 60) -> None:
        self._most = per_10_min
        self._asked: deque[tuple[float, HistoryQuestion]] = deque()
        self._pause_until = 0.0
        self._pause_s = 0.0

    def wait_s(self, question: HistoryQuestion, now: float) -> float:
        """How long until it may be asked; 0: now."""
        while self._asked and self._asked[0][0] <= now - LONG_S:
            self._asked.popleft()
        wait_s = max(self._pause_until - now, 0.0)
        alike: list[float] = []
        for at, other in self._asked:
            if other == question:
                wait_s = max(wait_s, at + IDENTICAL_S - now)
            if (other.contract, other.what) == (question.contract, question.what) and at > now - BURST_S:
                alike.append(at)
        if len(alike) >= BURST:
            wait_s = max(wait_s, alike[-BURST] + BURST_S - now)
        return max(wait_s, self._wait_for_room(question.cost, now))

    def take(self, question: HistoryQuestion, now: float) -> None:
        """It is asked now."""
        self._asked.append((now, question))

    def pause(self, now: float) -> float:
        """The Gateway said that we were too fast: each time twice as long, 15 s to 10 minutes. Returns how long."""
        self._pause_s = min(max(self._pause_s * 2, PAUSE_MIN_S), PAUSE_MAX_S)
        self._pause_until = now + self._pause_s
        return self._pause_s

    def answered(self) -> None:
        """A question was answered: the next pause is a short one again."""
        self._pause_s = 0.0

    def _wait_for_room(self, cost: int, now: float) -> float:
        used = sum(question.cost for _, question in self._asked)
        wait_s = 0.0
        for at, question in self._asked:
            if used + cost <= self._most:
                break
            used -= question.cost
            wait_s = at + LONG_S - now
        return wait_s


class HistoryGate:
    """Lets questions to the history through, in their order, at most `at_once` open at a time."""

    def __init__(self, rule: HistoryRule, at_once: int = 20, clock: Callable[[], float] = time.monotonic) -> None:
        self._rule = rule
        self._clock = clock
        self._turn = asyncio.Lock()
        self._open = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def question(self, question: HistoryQuestion) -> AsyncIterator[None]:
        """Waits until it may be asked; while the block runs it counts as open."""
        async with self._open:
            async with self._turn:
                wait_s = self._rule.wait_s(question, self._clock())
                while wait_s > 0:  # a pause may come while we wait
                    await asyncio.sleep(wait_s)
                    wait_s = self._rule.wait_s(question, self._clock())
                self._rule.take(question, self._clock())
            yield
            self._rule.answered()

    def pause(self) -> float:
        """The Gateway said that we were too fast. Returns the seconds for which nothing is asked."""
        return self._rule.pause(self._clock())
