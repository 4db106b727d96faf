"""The equity of a run from beginning to end, to be joined to that of other runs: the out-of-sample curve of a walk-forward.

In:   `Result`s of spans that follow one another.   Out: `EquityPath` of each; one `Curve` and `Statistics` of all.
Not:  compounding. Each span begins with the starting cash again, so profits are added, not multiplied; a position that is
      open at the end of a span is valued there and is not carried on.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from barque.errors import InvariantError
from barque_backtest.analysis import TOTAL
from barque_backtest.curves import Curve, step_for
from barque_backtest.results import PICTURE_POINTS, Result
from barque_backtest.statistics import Activity, Statistics, statistics
from barque_backtest.trades import RoundTrip


class EquityPath(msgspec.Struct, frozen=True, kw_only=True):
    """One span: its equity at every price (lists of equal length), and what was done."""

    start: float
    first_ns: int
    last_ns: int
    ts_ns: list[int]
    equity: list[float]
    exposure: float
    trips: list[RoundTrip]
    notional: list[float]
    costs: list[float]


def path_of(result: Result) -> EquityPath:
    """The path of a result that was made with charts."""
    curve = result.curves[TOTAL]
    rows = curve.detail
    if rows is None:
        raise InvariantError("a result without detail has no path")
    return EquityPath(
        start=curve.start,
        first_ns=result.run.facts.first_ns,
        last_ns=result.run.facts.last_ns,
        ts_ns=rows.ts_ns.tolist(),
        equity=rows.equity.tolist(),
        exposure=result.total.exposure or 0.0,
        trips=result.trips,
        notional=result.activity.notional.tolist(),
        costs=result.activity.costs.tolist(),
    )


def joined(paths: Sequence[EquityPath], currency: str) -> tuple[Curve, Statistics]:
    """All paths in one; at least one, in order of time."""
    first = paths[0]
    curve = Curve(first.first_ns, first.start, step_for(max(paths[-1].last_ns - first.first_ns, 1), PICTURE_POINTS), None)
    for path in paths:
        equity = np.array(path.equity) + (curve.last - path.start)
        held = np.zeros(len(equity), dtype=np.bool_)
        held[: round(path.exposure * len(equity))] = True  # how many, not when: all that exposure asks for
        curve.add(np.array(path.ts_ns, dtype=np.int64), equity, held)
    activity = Activity(
        trips=[trip for path in paths for trip in path.trips],
        notional=np.array([value for path in paths for value in path.notional]),
        costs=np.array([value for path in paths for value in path.costs]),
    )
    return curve, statistics("out of sample", currency, curve, activity, first.first_ns, paths[-1].last_ns)
