"""What an SMA cross does, in whole numbers of ticks: no floats, no averages, none of the project's code.

The fast average is above the slow one by (2 × sum of 10 − sum of 20) / 20 ticks. It counts when that is more than a ten
millionth of a unit of price either way; the first side that counts is only remembered. At each change of side the position
becomes plus or minus `quantity` units, at market: at the close of that bar, or at the open of the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

FAST, SLOW = 10, 20
TOLERANCE = Fraction(1, 10_000_000)


@dataclass(slots=True)
class Reference:
    """What came of it."""

    fills: list[tuple[int, int, int]] = field(default_factory=list)
    """Number of the bar that it fills in, signed units, price in ticks."""
    profit: int = 0
    """At the last close, in ticks × units."""


def sma_cross(opens: Sequence[int], closes: Sequence[int], tick: Decimal, quantity: int, fill_at: str) -> Reference:
    """Trade `closes` (and `opens`, where `fill_at` is `next_open`), both in ticks of `tick`."""
    found = Reference()
    least = TOLERANCE * 20 / Fraction(tick)
    position = side = fast = slow = 0
    for number, close in enumerate(closes):
        fast += close - (closes[number - FAST] if number >= FAST else 0)
        slow += close - (closes[number - SLOW] if number >= SLOW else 0)
        if number < SLOW - 1:
            continue
        ahead = 2 * fast - slow
        now = side if abs(ahead) <= least else (1 if ahead > 0 else -1)
        if side and now != side:
            filled = number if fill_at == "close" else number + 1
            if filled < len(closes):
                price = closes[number] if fill_at == "close" else opens[filled]
                found.fills.append((filled, now * quantity - position, price))
                position = now * quantity
        side = now
    paid = sum(signed * price for _, signed, price in found.fills)
    found.profit = position * closes[-1] - paid
    return found
