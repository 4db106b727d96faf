"""Walk-forward: parameters are chosen on one stretch of time and tried on the next, again and again.

In:   jobs' ingredients (configuration, axes, data), the lengths of training and test.   Out: `Fold`s, and all tests in one curve.
Not:  a peek ahead. A training run ends where its test begins; what a test's strategies get as history is older than the test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from barque.errors import ConfigError
from barque_archive.columns import key_ns
from barque_backtest.curves import DAY_NS, SECOND_NS, Curve, interval_text
from barque_backtest.feeding import Source, Span
from barque_backtest.grid import Axis, Combination, combinations, with_values
from barque_backtest.path import joined
from barque_backtest.statistics import Statistics
from barque_backtest.sweep import Job, Opener, Record, Store, best_of, run_jobs

MOST_WINDOWS = 1_000
_LENGTHS = re.compile(r"([1-9][0-9]{0,3})([mhdw])/([1-9][0-9]{0,3})([mhdw])")
_UNITS_NS = {"m": 60 * SECOND_NS, "h": 3_600 * SECOND_NS, "d": DAY_NS, "w": 7 * DAY_NS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch to choose on and the one after it to try on."""

    train: Span
    test: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """What one window came to."""

    window: Window
    train: Record | None
    """The best run on the training stretch; None where none had the figure."""
    test: Record | None
    """The same parameters on the test stretch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """All windows."""

    folds: list[Fold]
    trained: list[Record]
    """Every training run, window by window."""
    curve: Curve | None
    """The tests one after another; None where there is none."""
    statistics: Statistics | None


def parse_lengths(text: str) -> tuple[int, int]:
    """`30d/10d` (m, h, d or w) in nanoseconds; raises `ConfigError`."""
    match = _LENGTHS.fullmatch(text)
    if match is None:
        raise ConfigError(f"--walk-forward '{text}': write train/test, each a number and m, h, d or w, such as 30d/10d or 12h/4h")
    train, train_unit, test, test_unit = match.groups()
    return int(train) * _UNITS_NS[train_unit], int(test) * _UNITS_NS[test_unit]


def data_span(sources: Iterable[Source], span: Span) -> tuple[int, int]:
    """First and last time of rows (bars' opens) inside `span`; raises `ConfigError` where there are none."""
    first, last = span.to_ns, span.from_ns
    for source in sources:
        for columns in source:
            keys = key_ns(columns)
            keys = keys[(keys >= span.from_ns) & (keys < span.to_ns)]
            if len(keys):
                first, last = min(first, int(keys.min())), max(last, int(keys.max()))
    if first > last:
        raise ConfigError("there is no data between --from and --to")
    return first, last


def windows(first_ns: int, last_ns: int, train_ns: int, test_ns: int) -> list[Window]:
    """Windows from `first_ns`, each a test's length after the one before; the last test may be cut short by the end of data."""
    found = []
    begin_ns = first_ns
    while begin_ns + train_ns <= last_ns:
        turn_ns = begin_ns + train_ns
        end_ns = min(turn_ns + test_ns, last_ns + 1)
        found.append(Window(train=Span(from_ns=begin_ns, to_ns=turn_ns), test=Span(from_ns=turn_ns, to_ns=end_ns)))
        begin_ns += test_ns
        if len(found) > MOST_WINDOWS:
            raise ConfigError(f"--walk-forward gives more than {MOST_WINDOWS:,} windows; make the test stretch longer")
    if not found:
        length = interval_text(train_ns)
        raise ConfigError(f"--walk-forward: the data is shorter than one training stretch of {length} and a test after it")
    return found


def walk(
    config: Mapping[str, Any],
    axes: Sequence[Axis],
    spans: Sequence[Window],
    opener: Opener,
    metric: str,
    *,
    processes: int = 1,
    store: Store | None = None,
    done: Callable[[Record, bool], None] | None = None,
) -> WalkForward:
    """Choose by `metric` on each training stretch, try on its test."""
    tables = [(chosen, with_values(config, axes, chosen)) for chosen in combinations(axes)]
    training = [Job(parameters=chosen, config=table, span=window.train) for window in spans for chosen, table in tables]
    trained = run_jobs(training, opener, processes=processes, store=store, done=done)
    of_window = [trained[i * len(tables) : (i + 1) * len(tables)] for i in range(len(spans))]
    best = [_best(records, metric) for records in of_window]
    table_of = {_named(chosen): table for chosen, table in tables}
    tests = [
        Job(parameters=record.parameters, config=table_of[_named(record.parameters)], span=window.test, with_path=True)
        for window, record in zip(spans, best, strict=True)
        if record is not None
    ]
    tried = iter(run_jobs(tests, opener, processes=processes, store=store, done=done))
    folds = [
        Fold(window=window, train=record, test=None if record is None else next(tried))
        for window, record in zip(spans, best, strict=True)
    ]
    curve, figures = _together(folds)
    return WalkForward(folds=folds, trained=trained, curve=curve, statistics=figures)


def _best(records: Sequence[Record], metric: str) -> Record | None:
    ranked = best_of(records, metric)
    return ranked[0] if ranked and ranked[0].metric(metric) is not None else None


def _named(chosen: Combination) -> str:
    return repr(dict(chosen))


def _together(folds: Sequence[Fold]) -> tuple[Curve | None, Statistics | None]:
    tests = [fold.test for fold in folds if fold.test is not None and fold.test.path is not None]
    paths = [test.path for test in tests if test.path is not None and test.path.ts_ns]
    if not paths or tests[0].statistics is None:
        return None, None
    return joined(paths, tests[0].statistics.currency)
