"""What a measure hands back, and the little statistics there are: medians of interleaved rounds, percentiles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Budget:
    """A promise, and what came of it."""

    what: str
    wanted: str
    measured: str
    met: bool
    holds: str = ""
    """Where it is missed: what holds it."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(slots=True)
class Result:
    """One measure's tables, in order, with what one has to know to read them."""

    name: str
    about: str
    tables: list[Table] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a measure works with."""

    folder: Path
    """Its own; gone afterwards."""
    quick: bool
    say: Callable[[str], None]

    def size(self, full: int, quick: int) -> int:
        """How much of something."""
        return quick if self.quick else full


async def interleaved(rounds: int, variants: Mapping[str, Callable[[], Awaitable[float]]]) -> dict[str, list[float]]:
    """Each variant once per round, in turn, so that whatever else the machine does befalls all of them alike."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            found[name].append(await variant())
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie; NaN of none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else float("nan")


def spread(values: Sequence[float]) -> str:
    """Lowest to highest, in thousands separators."""
    return f"{min(values):,.0f} – {max(values):,.0f}"
