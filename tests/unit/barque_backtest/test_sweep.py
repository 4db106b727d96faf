"""Sweeps: each run is the run that a person would make alone; nothing is run twice, nothing is mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from barque.errors import ConfigError
from barque_backtest.blocks import blocks
from barque_backtest.engine import run_backtest
from barque_backtest.feeding import Span
from barque_backtest.grid import combinations, parse_axis, with_values
from barque_backtest.results import summarise
from barque_backtest.statistics import Statistics
from barque_backtest.sweep import Job, Record, Store, best_of, check_metric, fingerprint, run_jobs
from tests.support.sweeps import a_config, opener, write_bars

AXES = [parse_axis("strategies.sma.params.fast=2,4,12"), parse_axis("strategies.sma.params.slow=8,12")]
"""12 and 8, 12 and 12 are refused by the strategy."""


def jobs() -> list[Job]:
    return [Job(parameters=chosen, config=with_values(a_config(), AXES, chosen)) for chosen in combinations(AXES)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_bars(tmp_path / "bars.csv", 600)


def alone(job: Job, data: Path) -> Statistics:
    sources = opener(data)({})
    run = run_backtest(job.config, sources)
    return summarise(run, blocks(sources, Span(), run.instruments)).total


def test_each_run_of_a_sweep_is_the_run_alone_and_results_keep_the_order_of_the_grid(data: Path) -> None:
    found = run_jobs(jobs(), opener(data))
    assert [tuple(r.parameters.values()) for r in found] == [(2, 8), (2, 12), (4, 8), (4, 12), (12, 8), (12, 12)]
    for job, record in zip(jobs(), found, strict=True):
        if record.status == "ok":
            assert record.statistics == alone(job, data)
            assert record.statistics is not None
            assert record.statistics.fills > 20
    assert [r.status for r in found] == ["ok"] * 4 + ["invalid"] * 2
    assert "slow must be more than fast" in found[4].reason


def test_a_run_whose_strategy_raised_has_failed_and_is_not_kept(data: Path, tmp_path: Path) -> None:
    config = a_config()
    config["strategies"] = [{"id": "b", "strategy": "tests.support.strategies:Breaks", "symbols": ["EURUSD"]}]
    axes = [parse_axis("strategies.b.params.at=50,1000")]
    made = [Job(parameters=chosen, config=with_values(config, axes, chosen)) for chosen in combinations(axes)]
    broken, whole = run_jobs(made, opener(data), store=Store(tmp_path / "out", []))
    assert (broken.status, broken.statistics, whole.status) == ("failed", None, "ok")
    assert "strategy 'b' is paused: ZeroDivisionError: nothing to divide by (strategies.py:" in broken.reason
    assert [path.stem for path in (tmp_path / "out" / "runs").iterdir()] == [whole.key]


def test_a_run_in_which_nobody_heard_a_bar_has_failed(data: Path) -> None:
    axes = [parse_axis("strategies.sma.interval=1m,5m")]
    made = [Job(parameters=chosen, config=with_values(a_config(), axes, chosen)) for chosen in combinations(axes)]
    whole, deaf = run_jobs(made, opener(data))
    assert (whole.status, deaf.status) == ("ok", "failed")
    assert deaf.reason == "strategy sma heard no bar: it asks for EURUSD 5m bid, there were EURUSD 1m bid"


def test_two_processes_find_what_one_finds(data: Path) -> None:
    assert run_jobs(jobs()[:3], opener(data), processes=2) == run_jobs(jobs()[:3], opener(data))


def test_a_sweep_that_was_stopped_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    seen: list[bool] = []

    def stop_after_two(record: Record, known: bool) -> None:
        seen.append(known)
        if record.status == "ok" and len(list((tmp_path / "out" / "runs").iterdir())) == 2:
            raise Stop

    store = Store(tmp_path / "out", fingerprint([data]))
    with pytest.raises(Stop):
        run_jobs(jobs(), opener(data), store=store, done=stop_after_two)
    told: list[tuple[Any, bool]] = []
    found = run_jobs(
        jobs(),
        opener(data),
        store=Store(tmp_path / "out", fingerprint([data])),
        done=lambda record, known: told.append((tuple(record.parameters.values()), known)),
    )
    assert dict(told) == {(2, 8): True, (2, 12): True, (4, 8): False, (4, 12): False, (12, 8): False, (12, 12): False}
    assert found == run_jobs(jobs(), opener(data))
    known: list[bool] = []
    again = Store(tmp_path / "out", fingerprint([data]))
    assert run_jobs(jobs(), opener(data), store=again, done=lambda _, was: known.append(was)) == found
    assert all(known)


def test_a_half_written_run_is_run_again(data: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "out", fingerprint([data]))
    (record,) = run_jobs(jobs()[:1], opener(data), store=store)
    path = tmp_path / "out" / "runs" / f"{record.key}.json"
    path.write_bytes(path.read_bytes()[:100])
    known: list[bool] = []
    assert run_jobs(jobs()[:1], opener(data), store=store, done=lambda _, was: known.append(was)) == [record]
    assert known == [False]


def test_a_folder_belongs_to_its_data(data: Path, tmp_path: Path) -> None:
    Store(tmp_path / "out", fingerprint([data]))
    write_bars(data, 601)
    with pytest.raises(ConfigError, match="other data"):
        Store(tmp_path / "out", fingerprint([data]))


def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ConfigError, match="not a sweep"):
        Store(tmp_path, [])
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]


def test_where_no_combination_can_be_run_the_first_reason_is_told(data: Path) -> None:
    with pytest.raises(ConfigError, match="slow must be more than fast"):
        run_jobs(jobs()[4:], opener(data))


def test_data_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = write_bars(tmp_path / "bars.csv", 50)
    path.write_text(path.read_text() + "yesterday,1,1,1,1\n")
    with pytest.raises(ConfigError, match=r"bars\.csv"):
        run_jobs(jobs()[:2], opener(path))


def test_the_key_of_a_run_depends_on_configuration_and_span_alone() -> None:
    first, second = jobs()[:2]
    assert first.key == jobs()[0].key
    assert first.key != second.key
    assert first.key != Job(parameters=first.parameters, config=first.config, span=Span(to_ns=5)).key
    elsewhere = {**first.config, "redis": {"url": "redis://elsewhere"}}
    assert first.key == Job(parameters=first.parameters, config=elsewhere).key


def test_runs_are_ranked_the_right_way_round_and_those_without_the_figure_come_last() -> None:
    def record(name: str, sharpe: float | None, drawdown: float, status: str = "ok") -> Record:
        figures = Statistics(
            name="total", currency="USD", start_equity=1.0, end_equity=1.0, net_profit=0.0, sharpe=sharpe, max_drawdown=drawdown
        )
        return Record(key=name, parameters={}, status=status, statistics=figures)

    records = [
        record("a", 1.0, 0.3),
        record("b", None, 0.1),
        record("c", 2.0, 0.2),
        record("d", 2.0, 0.4),
        record("e", 9.0, 0.0, "failed"),
    ]
    assert [r.key for r in best_of(records, "sharpe")] == ["c", "d", "a", "b"]
    assert [r.key for r in best_of(records, "max_drawdown")] == ["b", "c", "a", "d"]


def test_an_unknown_metric_is_named_with_the_nearest() -> None:
    assert check_metric("sortino") == "sortino"
    with pytest.raises(ConfigError, match="did you mean 'sharpe'"):
        check_metric("sharp")


def test_a_kept_run_is_json_that_anybody_can_read(data: Path, tmp_path: Path) -> None:
    (record,) = run_jobs(jobs()[:1], opener(data), store=Store(tmp_path / "out", fingerprint([data])))
    found = json.loads((tmp_path / "out" / "runs" / f"{record.key}.json").read_text())
    assert found["parameters"] == {"strategies.sma.params.fast": 2, "strategies.sma.params.slow": 8}
    assert found["statistics"]["net_profit"] == record.metric("net_profit")
