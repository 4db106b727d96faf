"""What a sender remembers of ended orders and of executions, so that a transaction need not write all of it.

In:   windows as they are now, and as they were when this was last asked.   Out: entries that are new, keys that are gone.
Not:  what enters a window or leaves it.

An entry is never changed: another takes its place, as the newest of all (`renew`). So what is new is found from the end, and what
is gone mostly from the beginning, however much a window holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

import msgspec

from router.core.sending.state import Booked, Finished

T = TypeVar("T")


class Change(NamedTuple, Generic[T]):
    """What has become of a window."""

    new: Mapping[str, T]
    """The oldest first. Where there was an entry of that key, this one stands in its place."""
    gone: Iterable[str]


class Cut(NamedTuple):
    """A sender's state at the end of a transaction: what is small, whole; of its windows what has changed since the last cut."""

    state: bytes
    finished: Change[Finished]
    executions: Change[Booked]

    @property
    def moved(self) -> bool:
        """A window has changed."""
        return any(each for change in (self.finished, self.executions) for each in change)


class Windows(msgspec.Struct):
    """Both windows, by key, the newest last."""

    finished: dict[str, Finished] = {}
    executions: dict[str, Booked] = {}


def renew(window: dict[str, T], key: str, entry: T) -> None:
    """`entry` is the newest, whether there was one of its key or not."""
    window.pop(key, None)
    window[key] = entry


def follow(known: dict[str, T], now: dict[str, T]) -> Change[T]:
    """What `now` has that `known` has not; `known` becomes equal to it, in the same order."""
    new: list[str] = []
    for key in reversed(now):
        if known.get(key) is now[key]:
            break
        new.append(key)
    new.reverse()
    for key in new:
        known.pop(key, None)
    gone = []
    if len(known) + len(new) > len(now):
        for key in known:
            if key in now:
                break
            gone.append(key)
        if len(known) + len(new) - len(gone) > len(now):  # one has left from amidst the others
            gone = [key for key in known if key not in now]
    for key in gone:
        del known[key]
    for key in new:
        known[key] = now[key]
    return Change({key: now[key] for key in new}, gone)
