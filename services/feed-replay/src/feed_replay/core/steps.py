"""Several recordings as one: what happens at one time, all of it, then the next.

In:   rows of each recording, as messages.   Out: (event time, messages), oldest first.
Not:  pace, files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge as merge_sorted
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

from barque.messages import Bar, Message, time_of

Step: TypeAlias = tuple[int, list[Message]]
"""All messages of one event time."""


def merge(sources: Sequence[Iterable[Sequence[Message]]]) -> Iterator[Step]:
    """The rows of all sources as steps of strictly increasing event time; the order of `sources` decides inside a step.

    Ask bars come last in theirs, so a bid bar is never behind the ask bar of its time. A row older than the row before it
    stays behind it, in that row's step: a late tick is late again.
    """
    rows = merge_sorted(*(_timed(source) for source in sources), key=itemgetter(0))
    for ts_ns, group in groupby(rows, key=itemgetter(0)):
        messages = [message for _, row in group for message in row]
        if len(messages) > 1:
            messages.sort(key=_is_ask_bar)
        yield ts_ns, messages


def _timed(source: Iterable[Sequence[Message]]) -> Iterator[tuple[int, Sequence[Message]]]:
    newest_ns = -(2**63)
    for row in source:
        newest_ns = max(newest_ns, time_of(row[0]))
        yield newest_ns, row


def _is_ask_bar(message: Message) -> bool:
    return isinstance(message, Bar) and message.price == "ask"
