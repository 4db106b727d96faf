"""What a live feed has to say, waiting for the bus.

In:   messages as they come.   Out: batches, one per commit.
Not:  more than fits. Ticks are bounded in number and age and their loss is announced (`TickBuffer`); of the rest the oldest go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from barque.bus.feed import TickBuffer
from barque.messages import Bar, Message, Topic

WAITING = 10_000
"""Bars, statuses and alerts that wait at most."""


class Outbox:
    """Of one feed."""

    def __init__(self, feed: str, buffer_ticks: int, buffer_s: float) -> None:
        self.ticks = TickBuffer(feed, buffer_ticks, buffer_s)
        self._others: dict[Topic, deque[Message]] = {
            topic: deque(maxlen=WAITING) for topic in (Topic.BARS, Topic.MARKS, Topic.ALERTS)
        }

    def market(self, messages: Sequence[Message], now_s: float, whole: bool = False) -> None:
        """Quotes, trades and bars; `whole`: ticks of one entry."""
        ticks = [message for message in messages if not isinstance(message, Bar)]
        if ticks:
            self.ticks.offer(ticks, now_s, whole)
        if len(ticks) < len(messages):
            self._others[Topic.BARS].extend(message for message in messages if isinstance(message, Bar))

    def put(self, topic: Topic, message: Message) -> None:
        """A status of a symbol, an alert."""
        self._others[topic].append(message)

    def take(self, now_ns: int) -> dict[Topic, list[Message]]:
        """What to commit next; empty: nothing."""
        outputs = {Topic.TICKS: self.ticks.take(now_ns)}
        for topic, waiting in self._others.items():
            outputs[topic] = list(waiting)
            waiting.clear()
        return {topic: messages for topic, messages in outputs.items() if messages}
