"""Which ticks are good enough to be in a bar or a mark.

In:   a tick as (low, high): (bid, ask) of a quote, (price, price) of a trade.   Out: why it is refused, or nothing.
Not:  lateness and duplicates, which are about order, not about prices.
"""

from __future__ import annotations

from math import inf, isfinite

from barbuilder.core.state import Tape

LEVEL_TICKS = 5
"""So many spikes in a row that agree with one another are a new level."""

REASONS = ("nan", "non_positive", "crossed", "spike", "negative_size", "bad_time", "unknown_symbol", "derived")
"""Every reason for which a tick is quarantined. `derived`: its symbol is the inverse of another, which alone brings its ticks."""

END_OF_TIME_NS = 2**62
"""In 2116. A time outside 1970 to then is its source's mistake, and would make every later tick late."""


def fault(ts_ns: int, low: float, high: float, size: float = 0.0) -> str:
    """What is wrong with the numbers themselves; empty where nothing is."""
    if not (isfinite(low) and isfinite(high) and isfinite(size)):
        return "nan"
    if low <= 0 or high <= 0:
        return "non_positive"
    if low > high:
        return "crossed"
    if size < 0:
        return "negative_size"
    return "" if 0 <= ts_ns < END_OF_TIME_NS else "bad_time"


def is_spike(tape: Tape, low: float, high: float, fraction: float) -> bool:
    """Whether the tick is further than `fraction` from the tape's newest, on either side; keeps the tape's suspects."""
    tick = (low, high)
    if not tape.count or _near(tick, (tape.low, tape.high), fraction):
        tape.suspects.clear()
        return False
    if not all(_near(tick, suspect, fraction) for suspect in tape.suspects):
        tape.suspects.clear()
    tape.suspects.append(tick)
    if len(tape.suspects) < LEVEL_TICKS:
        return True
    tape.suspects.clear()
    return False


def calm_band(tape: Tape, fraction: float) -> tuple[float, float]:
    """Prices (floor, ceiling) between which no tick is faulty or a spike, whatever ticks between them came before.

    With a half width of a quarter of `fraction`, any two prices inside are nearer to each other than `fraction`.
    Empty (inf, -inf) where the newest tick itself does not fit.
    """
    centre = (tape.low + tape.high) / 2
    width = centre * min(fraction, 1.0) / 4
    floor, ceiling = centre - width, centre + width
    return (floor, ceiling) if floor <= tape.low <= tape.high <= ceiling else (inf, -inf)


def _near(tick: tuple[float, float], other: tuple[float, float], fraction: float) -> bool:
    return all(abs(a - b) <= fraction * b for a, b in zip(tick, other, strict=True))
