"""Drives a bar builder as a book does: it hears the clock before the data of an instant, and afterwards what it said itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from barbuilder.core.node import BarBuilderNode
from barque.messages import Bar, ClockTicked, Mark, Message, Topic, time_of


def said(node: BarBuilderNode, *messages: Message) -> list[Message]:
    """All that the node answers to these messages, and to nothing else."""
    return [output for message in messages for _, output in node.handle(message)]


def bars_of(messages: Iterable[Message]) -> list[Bar]:
    return [message for message in messages if isinstance(message, Bar)]


def marks_of(messages: Iterable[Message]) -> list[Mark]:
    return [message for message in messages if isinstance(message, Mark)]


def in_lockstep(node: BarBuilderNode, instants: Iterable[Sequence[Message]], until_ns: int = 0) -> list[Message]:
    """All that the node says over these instants, the clock told before each, and once more at `until_ns`."""
    heard: list[Message] = []
    ends: list[Sequence[Message]] = [(ClockTicked(now_ns=until_ns),)] if until_ns else []
    for messages in (*instants, *ends):
        news: list[Message] = [ClockTicked(now_ns=max(map(time_of, messages))), *messages]
        while news:
            outputs = said(node, *sorted(news, key=lambda message: topic_of(message).rank))
            heard += outputs
            news = [*bars_of(outputs)] if Topic.BARS in node.inputs else []
    return heard


def topic_of(message: Message) -> Topic:
    """On which topic a bar builder hears it."""
    if isinstance(message, ClockTicked):
        return Topic.CLOCK
    return Topic.BARS if isinstance(message, Bar) else Topic.TICKS


def ns(text: str) -> int:
    """`2013-11-29T14:30` or `2014-05-01T00:00:00.292Z`, UTC unless it says otherwise, in ns; exact to the microsecond."""
    when = datetime.fromisoformat(text)
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 10**6 + since.microseconds) * 1_000


def values(bar: Bar) -> tuple[float, ...]:
    """What is in a bar, and nothing of where it is from."""
    return bar.ts_open_ns, bar.ts_close_ns, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.tick_count, bar.seq
