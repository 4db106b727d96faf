"""Random numbers whose whole state is one 64-bit integer, so that whoever uses them can be snapshotted in a few bytes.

The generator is SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
"""

from __future__ import annotations

from hashlib import blake2b
from math import cos, log, pi, sqrt

import msgspec

_MASK = 2**64 - 1


class Chance(msgspec.Struct, array_like=True):
    """A stream of random numbers; equal states give equal streams."""

    state: int

    def uniform(self) -> float:
        """In [0, 1), 53 bits."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
        return ((z ^ (z >> 31)) >> 11) * 2.0**-53

    def exponential(self) -> float:
        """Mean 1."""
        return -log(1.0 - self.uniform())

    def normal(self) -> float:
        """Mean 0, standard deviation 1 (Box and Muller)."""
        radius = sqrt(2.0 * self.exponential())
        return radius * cos(2.0 * pi * self.uniform())


def seeded(*words: object) -> Chance:
    """A stream for these words; other words, an unrelated stream."""
    digest = blake2b("/".join(map(str, words)).encode(), digest_size=8).digest()
    return Chance(int.from_bytes(digest, "big"))
