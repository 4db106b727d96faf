"""Which instants of market data are so regular that a runner may hold them back from nodes that sleep (`barque.bus.memory`).

In:   columns, and which rows make up which instants.   Out: a flag per instant: true where it has to be played in full.
Not:  repair, refusal: what is unsound is played as it is, only slower.

A row held back is one that the next row of its series replaces. That is not so where a node would refuse one of the two: a
price that is none, a row that is late, a second bar of one opening. Marks are made of all series of a symbol together, at most
one in some time: so an instant that lacks one of them, or comes soon after the last one, is played in full as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from barque.instruments import LARGEST
from barque_archive.columns import BarColumns, Floats, Integers, MarketColumns, Mask, TradeColumns
from barque_archive.series import Series

APART_NS = 1_000_000_000
"""Bars of a symbol that follow each other sooner may find their marks throttled."""
END_OF_TIME_NS = 2**62
_LARGEST = float(LARGEST)


def unsound_rows(columns: MarketColumns) -> Mask:
    """Rows that some node may refuse for what they say."""
    prices: tuple[Floats, ...]
    if isinstance(columns, BarColumns):
        times, prices = columns.ts_close_ns, (columns.open, columns.high, columns.low, columns.close)
    elif isinstance(columns, TradeColumns):
        times, prices = columns.ts_event_ns, (columns.price,)
    else:
        times, prices = columns.ts_event_ns, (columns.bid, columns.ask)
    unsound: Mask = (times < 0) | (times >= END_OF_TIME_NS)
    for price in prices:
        unsound |= _no_price(price)
    return unsound


def _no_price(prices: Floats) -> Mask:
    return ~((prices > 0) & (prices < _LARGEST))  # true for NaN


class InstantCheck:
    """Looks at instants in their order, stretch by stretch, and remembers when each symbol's last bars were."""

    def __init__(self, series: Sequence[Series]) -> None:
        """`series` by slot."""
        slots: dict[str, list[int]] = {}
        for slot, each in enumerate(series):
            slots.setdefault(each.symbol, []).append(slot)
        self._is_bars = np.array([each.kind == "bars" for each in series], np.bool_)
        self._only_bars = bool(self._is_bars.all())
        self._bar_symbols = [own for own in slots.values() if all(self._is_bars[own])]
        self._mixed = np.isin(
            np.arange(len(series)), [s for own in slots.values() if len(set(self._is_bars[own])) > 1 for s in own]
        )
        self._last_ns = [0] * len(self._bar_symbols)

    def __call__(self, times: Integers, instants: Integers, slots: Integers, unsound: Mask) -> Mask:
        """Per instant, whether it is crooked. `times`: of each instant; the others are of each row: its instant's number, its
        slot, and whether it is unsound by itself."""
        crooked: Mask = np.zeros(len(times), np.bool_)
        rows = unsound | self._mixed[slots]
        if not self._only_bars:
            rows = rows | self._is_bars[slots]
        crooked[instants[rows]] = True
        for number, own in enumerate(self._bar_symbols):
            counts = [np.bincount(instants[slots == slot], minlength=len(times)) for slot in own]
            present = np.flatnonzero(sum(counts))
            for count in counts:
                crooked[present[count[present] != 1]] = True
            if len(present):
                gaps = np.diff(times[present], prepend=self._last_ns[number])
                crooked[present[gaps < APART_NS]] = True
                self._last_ns[number] = int(times[present[-1]])
        return crooked
