"""What a terminal of any width shows of results: whole numbers, and words for what did not fit."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from barque.why import Step, Story
from barque_backtest.engine import run_backtest
from barque_backtest.grid import combinations, parse_axis, with_values
from barque_backtest.results import Result, summarise
from barque_backtest.sweep import Job, run_jobs
from barque_cli import result_view, story_view
from tests.support.backtests import ColumnsSource, a_book, walk
from tests.support.sweeps import a_config, opener, write_bars

LONG = "sma-of-a-rather-long-name"


def written(width: int, show: object, *of: object) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(console, *of)  # type: ignore[operator]
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def params(fast: int) -> dict[str, object]:
    return {"fast": fast, "slow": 9, "price": "last"}


@pytest.fixture(scope="module")
def result() -> Result:
    data = walk(400, 1)
    of = [
        {
            "id": f"{LONG}-{n}",
            "strategy": "sma_cross",
            "symbols": ["EURUSD"],
            "params": {"fast": 2 + n, "slow": 9, "price": "last"},
        }
        for n in range(5)
    ]
    return summarise(run_backtest(a_book(["EURUSD"], of), [ColumnsSource(data)]), [[data]])


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_no_figure_of_a_result_is_cut_and_what_does_not_fit_is_counted(result: Result, width: int) -> None:
    text = written(width, result_view.show_result, result)
    assert "…" not in text
    shown = sum(f"{LONG}-{n}" in text for n in range(5))
    assert (f"{5 - shown} more strateg" in text) == (shown < 5)
    wide = written(1_000, result_view.show_result, result)
    assert text.splitlines()[1].split() == wide.splitlines()[1].split()[: len(text.splitlines()[1].split())]


def test_one_strategy_that_is_left_out_is_one(result: Result) -> None:
    two = replace(result, strategies=result.strategies[:2])
    widths = [written(width, result_view.show_result, two) for width in range(60, 140)]
    assert any("1 more strategy in the report" in text for text in widths)
    assert not any("1 more strategies" in text for text in widths)


def test_no_figure_of_a_sweep_is_cut_and_what_does_not_fit_is_named(tmp_path: Path) -> None:
    axes = [parse_axis("strategies.sma.params.fast=2,3"), parse_axis("paper.latency_ms=0,1000")]
    jobs = [Job(parameters=c, config=with_values(a_config(), axes, c)) for c in combinations(axes)]
    records = run_jobs(jobs, opener(write_bars(tmp_path / "bars.csv", 400)), processes=1)
    for width in (30, 60, 80):
        text = written(width, result_view.show_sweep, records, axes, "net_profit")
        assert "…" not in text
        assert "net profit" in text.splitlines()[0]
        assert "too wide for this terminal" in text
    assert "too wide" not in written(300, result_view.show_sweep, records, axes, "net_profit")


def test_the_ids_of_a_story_can_be_copied_at_80_columns() -> None:
    name = "sma-eurusd/EURUSD.1s.mid.1398902400500000000/" + "0" * 60
    step = Step(stage="signal", id=name, ts_event_ns=1, published_ns=2_000_001, text="fast above slow", found_in="streams")
    text = written(80, story_view.show, Story(kind="fill", id="o7-1", steps=(step,), missing=()))
    assert name in [line.strip() for line in text.splitlines()]
    assert "published after 2.0 ms" in text
