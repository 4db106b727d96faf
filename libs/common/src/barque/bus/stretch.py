"""Market data for a book in memory: instants, one after another, ready to be played.

In:   messages in the order in which a feed publishes them, and where each instant ends.   Out: the instants.
Not:  reading, merging, checking; whoever makes a stretch has done that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from barque.messages import Message, Topic


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some thousand instants."""

    topic: Topic
    """`TICKS` or `BARS`: of every row of every instant that is not `crooked`."""
    times: Sequence[int]
    """Event time of each instant, ns, strictly increasing."""
    rows: Sequence[Message]
    slots: Sequence[int]
    """Of each row: its series, a small number that is the same in every stretch of a run."""
    ends: Sequence[int] | None = None
    """Of each instant: the index behind its last row; None: every row is an instant."""
    crooked: Sequence[bool] | None = None
    """Of each instant: its rows do not simply replace the ones before them of their series. So where a node may refuse one of
    them, and where a series of one of its symbols is missing or was there a moment ago. None: no instant is."""

    def __iter__(self) -> Iterator[tuple[int, Sequence[Message], Sequence[int]]]:
        """Time, rows and slots of each instant; no slots where it is crooked."""
        if self.ends is None:
            rows: Iterable[Sequence[Message]] = zip(self.rows, strict=True)
            slots: Iterable[Sequence[int]] = zip(self.slots, strict=True)
        else:
            rows = [self.rows[start:end] for start, end in pairwise((0, *self.ends))]
            slots = [self.slots[start:end] for start, end in pairwise((0, *self.ends))]
        if self.crooked is not None:
            slots = [() if crooked else of for crooked, of in zip(self.crooked, slots, strict=True)]
        return zip(self.times, rows, slots, strict=True)
