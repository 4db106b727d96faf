"""Walk-forward: chosen on what was known, tried on what came after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from barque.errors import ConfigError
from barque_backtest.blocks import blocks
from barque_backtest.engine import run_backtest
from barque_backtest.feeding import Span
from barque_backtest.grid import parse_axis, with_values
from barque_backtest.results import Result, summarise
from barque_backtest.sweep import Store, fingerprint
from barque_backtest.walk_forward import WalkForward, data_span, parse_lengths, walk, windows
from tests.support.builders import MINUTE, T0
from tests.support.sweeps import a_config, opener, write_bars

HOUR = 60 * MINUTE
AXES = [parse_axis("strategies.sma.params.fast=2,5"), parse_axis("strategies.sma.params.slow=8,20")]
SPANS = windows(T0, T0 + 599 * MINUTE, 4 * HOUR, 2 * HOUR)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_bars(tmp_path / "bars.csv", 600)


def walked(data: Path, **options: object) -> WalkForward:
    return walk(a_config(), AXES, SPANS, opener(data), "net_profit", **options)  # type: ignore[arg-type]


def alone(data: Path, parameters: dict[str, object], span: Span) -> Result:
    sources = opener(data)({})
    run = run_backtest(with_values(a_config(), AXES, parameters), sources, span)
    return summarise(run, blocks(sources, span, run.instruments))


def test_windows_follow_one_another_and_the_last_test_may_be_short() -> None:
    hours = [tuple((ns - T0) / HOUR for ns in (w.train.from_ns, w.train.to_ns, w.test.from_ns, w.test.to_ns)) for w in SPANS]
    assert hours[:2] == [(0, 4, 4, 6), (2, 6, 6, 8)]
    assert hours[2][:3] == (4, 8, 8)
    assert SPANS[2].test.to_ns == T0 + 599 * MINUTE + 1
    assert len(SPANS) == 3


@pytest.mark.parametrize("text", ["30d", "30d/", "x/y", "0d/1d", "30d/10d/5d"])
def test_lengths_that_cannot_be_read_say_what_to_write(text: str) -> None:
    with pytest.raises(ConfigError, match="30d/10d"):
        parse_lengths(text)


def test_lengths_are_intervals() -> None:
    assert parse_lengths("30d/12h") == (30 * 24 * HOUR, 12 * HOUR)


def test_data_shorter_than_a_training_stretch_and_endless_windows_are_refused() -> None:
    with pytest.raises(ConfigError, match="shorter"):
        windows(T0, T0 + HOUR, 2 * HOUR, HOUR)
    with pytest.raises(ConfigError, match="more than"):
        windows(T0, T0 + 10_000 * HOUR, HOUR, HOUR)


def test_the_span_of_the_data_is_that_of_its_rows_inside_the_wanted_span(data: Path) -> None:
    assert data_span(opener(data)({}), Span()) == (T0, T0 + 599 * MINUTE)
    wanted = Span(from_ns=T0 + HOUR + 1, to_ns=T0 + 2 * HOUR)
    assert data_span(opener(data)({}), wanted) == (T0 + 61 * MINUTE, T0 + 119 * MINUTE)
    with pytest.raises(ConfigError, match="no data"):
        data_span(opener(data)({}), Span(from_ns=T0 + 1000 * HOUR))


def test_each_window_takes_the_best_of_its_training_to_its_test(data: Path) -> None:
    found = walked(data)
    assert len(found.folds) == 3
    for fold in found.folds:
        profits = {
            (fast, slow): alone(
                data, {"strategies.sma.params.fast": fast, "strategies.sma.params.slow": slow}, fold.window.train
            ).total.net_profit
            for fast in (2, 5)
            for slow in (8, 20)
        }
        assert fold.train is not None
        assert fold.test is not None
        best = max(profits, key=lambda key: profits[key] or 0.0)
        assert tuple(fold.train.parameters.values()) == best
        assert fold.test.statistics == alone(data, fold.train.parameters, fold.window.test).total


def test_the_tests_one_after_another_are_one_curve(data: Path) -> None:
    found = walked(data)
    results = [alone(data, f.train.parameters, f.window.test) for f in found.folds if f.train is not None]
    assert found.curve is not None
    assert found.statistics is not None
    path = [100_000.0]
    for result in results:
        detail = result.curves["total"].detail
        assert detail is not None
        path += (detail.equity - 100_000.0 + path[-1]).tolist()
    values = np.array(path)
    peaks = np.maximum.accumulate(values)
    assert found.statistics.end_equity == pytest.approx(values[-1])
    assert found.statistics.net_profit == pytest.approx(sum(r.total.net_profit or 0 for r in results))
    assert found.statistics.max_drawdown == pytest.approx(((peaks - values) / peaks).max())
    assert found.statistics.trades == sum(r.total.trades for r in results)
    assert found.statistics.fills == sum(r.total.fills for r in results)


def test_what_comes_after_a_training_stretch_does_not_change_its_choice(data: Path, tmp_path: Path) -> None:
    whole = walked(data)
    shorter = tmp_path / "shorter.csv"
    lines = data.read_text().splitlines()
    shorter.write_text("\n".join(lines[: 1 + 6 * 60]) + "\n")  # the first test's end
    cut = walk(a_config(), AXES, SPANS[:1], opener(shorter), "net_profit")
    assert cut.folds == whole.folds[:1]


def test_a_walk_is_resumed_like_a_sweep(data: Path, tmp_path: Path) -> None:
    first = walked(data, store=Store(tmp_path / "out", fingerprint([data])))
    known: list[bool] = []
    second = walked(data, store=Store(tmp_path / "out", fingerprint([data])), done=lambda _, was: known.append(was))
    assert all(known)
    assert second.folds == first.folds
    assert second.statistics == first.statistics


def test_a_window_in_which_nothing_traded_has_no_best_and_no_test(data: Path) -> None:
    lazy = walk(a_config(), [parse_axis("strategies.sma.params.slow=500,600")], SPANS, opener(data), "win_rate")
    assert all(fold.train is None and fold.test is None for fold in lazy.folds)
    assert (lazy.curve, lazy.statistics) == (None, None)
