"""A clock that a test sets: the simulator's times are then the same in every run."""

from __future__ import annotations

from simulators.tws.hours import NS_PER_S


class ManualClock:
    """Stands still until it is moved. `TwsSimulator(clock=clock)`; after a move, `tws.pulse()` brings what has become due."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS_PER_S)
