"""Which bars a gap has left incomplete, and when history can be asked for them.

In:   a gap, how it was filled.   Out: `Revise`s, each with the time from which on its bars are in the broker's history.
Not:  the bars that lie wholly in a gap and came from history: those are complete as they are.

A bar that closes while nothing is heard is published with the ticks that it had, for strategies do not wait. They have acted on
it, and never hear of it again; the record is made whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from barque.intervals import interval_of
from barque.live_feed.source import Subscription


class Revise(msgspec.Struct, frozen=True):
    """Ask history for the bars of this span, and publish each as a `BarRevised`."""

    subscription: Subscription
    interval: str
    from_ns: int
    to_ns: int


def revisions_of(
    gap: tuple[Subscription, int, int], intervals: Sequence[str], *, released_ns: int, by_ticks: bool, trouble: bool
) -> list[Revise]:
    """`gap`: of which subscription, from when to when nothing was heard. `released_ns`: when what history gave went out.
    `by_ticks`: it was ticks, which are in every bar that was still open then; else bars that lie wholly in the gap. `trouble`:
    it gave nothing.
    """
    subscription, from_ns, to_ns = gap
    found = []
    for interval in intervals:
        length_ns = interval_of(interval).interval_ns
        for first_ns, end_ns in _spans(length_ns, from_ns, max(to_ns, released_ns) if by_ticks else to_ns, by_ticks, trouble):
            found.append(Revise(subscription, interval, first_ns, end_ns))
    return found


def _spans(length_ns: int, from_ns: int, to_ns: int, by_ticks: bool, trouble: bool) -> Iterable[tuple[int, int]]:
    """From the open of a bar to the close of one.

    >>> list(_spans(60, 90, 250, by_ticks=True, trouble=False))  # ticks came at 250, after three had closed
    [(60, 240)]
    >>> list(_spans(60, 90, 250, by_ticks=False, trouble=False))  # bars of 120 and 180 came; those at the edges are incomplete
    [(60, 120), (240, 300)]
    >>> list(_spans(60, 90, 250, by_ticks=False, trouble=True))
    [(60, 300)]
    >>> list(_spans(60, 70, 80, by_ticks=False, trouble=False)), list(_spans(60, 70, 80, by_ticks=True, trouble=False))
    ([(60, 120)], [])
    """
    opens_ns, last_ns = from_ns // length_ns * length_ns, to_ns // length_ns * length_ns
    if by_ticks and not trouble:
        if opens_ns < last_ns:
            yield opens_ns, last_ns
    elif trouble or opens_ns == last_ns:
        yield opens_ns, -(-to_ns // length_ns) * length_ns
    else:
        if opens_ns < from_ns:
            yield opens_ns, opens_ns + length_ns
        if last_ns < to_ns:
            yield last_ns, last_ns + length_ns
