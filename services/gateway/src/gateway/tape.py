"""Bounded memories that many viewers follow, each with a cursor of its own. Pure.

A viewer keeps `(generation, cursor)` and asks `since` for what is new; where the generation changed, or what it has not
seen is gone, it gets everything that is held and starts over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Place(NamedTuple):
    """How far a viewer has followed a tape."""

    generation: int
    cursor: int


class Tape(Generic[T]):
    """Remembers the newest `bound` items; forgets the oldest."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._items: list[T] = []
        self._total = 0
        self._generation = 0

    @property
    def items(self) -> list[T]:
        """What is held, oldest first."""
        return self._items

    @property
    def last(self) -> T | None:
        """The newest item."""
        return self._items[-1] if self._items else None

    @property
    def place(self) -> Place:
        """Where a viewer stands who has seen everything."""
        return Place(self._generation, self._total)

    def extend(self, items: Iterable[T]) -> None:
        """Append; what falls out of the bound is forgotten."""
        before = len(self._items)
        self._items.extend(items)
        self._total += len(self._items) - before
        self._shorten()

    def since(self, place: Place | None) -> tuple[list[T], bool]:
        """What is new since `place`, and whether it replaces everything that the viewer has."""
        missed = self._total - place.cursor if place else 0
        if place is None or place.generation != self._generation or missed > len(self._items):
            return list(self._items), True
        return self._items[len(self._items) - missed :], False

    def _shorten(self) -> None:
        del self._items[: -self._bound]


class Curve(Tape[T]):
    """Remembers the whole history in at most `bound` items: when full, every second one is let go."""

    def _shorten(self) -> None:
        while len(self._items) > self._bound:
            self._items = self._items[:-1:2] + self._items[-1:]
            self._generation += 1
