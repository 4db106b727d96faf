"""What a router is configured to allow, over one state: prices, limits and breakers, made together.

In:   a `Setup` and a state.   Out: the parts.
Not:  decisions (`wishes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from barque.config import Clock
from barque.instruments import Instrument
from router.config import RouterConfig
from router.core.ages import Ages
from router.core.breakers.board import Board
from router.core.breakers.losses import Losses
from router.core.breakers.rates import Rates
from router.core.breakers.staleness import Staleness
from router.core.limits import Limits
from router.core.prices import Prices
from router.core.state import RouterState


@dataclass(frozen=True, slots=True)
class Setup:
    """What a router is given once."""

    config: RouterConfig
    instruments: Mapping[str, Instrument]
    strategy_ids: frozenset[str]
    clock: Clock


class Risk:
    """The parts that look at one state."""

    def __init__(self, setup: Setup, state: RouterState) -> None:
        config, instruments = setup.config, setup.instruments
        self.prices = Prices(instruments, state)
        self.limits = Limits(config, instruments, state, self.prices, setup.clock)
        self.board = Board(state)
        self.rates = Rates(config, state, self.board, self.limits)
        self.losses = Losses(config, instruments, state, self.prices, self.board)
        self.staleness = Staleness(config, instruments, state, self.board)
        self.ages = Ages(config, state, lambda scope: self.losses.watch(scope) or self.limits.by_equity(scope))
