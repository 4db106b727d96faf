"""A backtest of an SMA cross over half a million minute bars: ours and others', one after another, and every fill checked.

Ours is the whole book: paper exchange, bar builder, risk router, portfolio and strategy, reading a Parquet file on the way. The
reference is computed in whole ticks.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from barque_archive.sources import open_source
from barque_backtest.engine import run_backtest
from benchmarks.backtest_peers import CASH, PEERS, UNITS, Averages, Outcome, Run
from benchmarks.figures import Bench, Budget, Result, Table, ratio, spread
from benchmarks.walks import PER_PRICE, StreamedWalk, Walk, walk, write
from tests.support.sma_reference import sma_cross

ROUNDS = 5
RARE_ROUNDS = 3
AVERAGES = Averages(10, 20)
RARE = Averages(50, 200)
OURS = "Barque"
TIMES = {"backtrader": 20.0, "backtesting": 2.0}
TICK = Decimal(1) / PER_PRICE
CONVENTIONS = ("next_open", "close")
LONG_RUNS = (1_000_000, 10_000_000)
GROWTH_MIB = 64


def book(fill_at: str, averages: Averages) -> dict[str, Any]:
    """The configuration of a backtest; checks, accounting and risk are on."""
    params = {**averages._asdict(), "quantity": str(UNITS), "price": "last"}
    instrument = {"symbol": "USDJPY", "currency": "JPY", "base_currency": "USD", "tick_size": "0.001", "contract_size": "1"}
    return {
        "book": {"name": "bench", "clock": "feed", "lockstep": True},
        "instruments": [{**instrument, "calendar": "24/7"}],
        "strategies": [{"id": "sma", "strategy": "sma_cross", "symbols": ["USDJPY"], "params": params}],
        "paper": {"fill_at": fill_at, "slippage_fraction": "0", "commission_fraction": "0", "commission_min": "0"},
        "router": {"limits": {"max_position": str(UNITS), "max_notional": "10000000"}},
        "feed_replay": {"tail_s": 7_200},
        "portfolio": {"accounts": [{"name": "paper", "currency": "JPY", "starting_cash": str(int(CASH))}]},
    }


def measure(bench: Bench) -> Result:
    """Bars per second of each, in turn; fills and profit of each on both conventions; memory of long runs."""
    count = bench.size(500_000, 20_000)
    bars = walk(count)
    path = write(bench.folder / "usdjpy.parquet", bars)
    often, rates = _rounds(bench, "", _runs(path, bars, "next_open", AVERAGES), bench.size(ROUNDS, 3), count)
    found = {(name, "next_open"): outcome for name, outcome in often.items()}
    for name, run in _runs(path, bars, "close", AVERAGES).items():
        bench.say(f"backtest: fills at the close, {name}")
        found[name, "close"] = run()
    rarely, rare_rates = _rounds(bench, "few orders", _runs(path, bars, "next_open", RARE), bench.size(RARE_ROUNDS, 1), count)
    never, idle = _rounds(bench, "no order", {OURS: _ours(path, "next_open", Averages(AVERAGES.fast, count))}, 1, count)
    assert len({outcome.fills for outcome in rarely.values()}) == 1 and not never[OURS].fills, (rarely, never)
    by_orders = {often[OURS].fills: rates, rarely[OURS].fills: rare_rates, 0: idle}
    tables = [_speed(rates), _by_orders(by_orders, count), _money(bars, found)]
    rare = f", an order in {count / rarely[OURS].fills:,.0f} bars"
    budgets = [*_speed_budgets(rates, ""), *_speed_budgets(rare_rates, rare), _money_budget(bars, found)]
    if not bench.quick:
        bench.say("backtest: memory")
        memory = {rows: _peak_mib(rows) for rows in LONG_RUNS}
        tables.append(Table("Memory", ("bars", "peak RSS, MiB"), [(f"{n:,}", f"{mib:.0f}") for n, mib in memory.items()]))
        growth = memory[LONG_RUNS[1]] - memory[LONG_RUNS[0]]
        wanted = f"< {GROWTH_MIB} MiB more than for one million"
        budgets.append(Budget("memory of ten million bars", wanted, f"{growth:.0f} MiB", growth < GROWTH_MIB))
    peers = ", ".join(f"{name} {version(name)}" for name in PEERS)
    about = (
        f"SMA cross {_name(AVERAGES)} ({_name(RARE)} where orders are fewer) of {UNITS:,} units over {count:,} seeded one-minute "
        f"bars, no costs. Barque runs its services' nodes in one process, with risk checks and books, from a Parquet file; peers "
        f"({peers}) get their bars in memory."
    )
    return Result("backtest", about, tables, budgets)


def _name(averages: Averages) -> str:
    return f"{averages.fast}/{averages.slow}"


def _runs(path: Path, bars: Walk, fill_at: str, averages: Averages) -> dict[str, Run]:
    """Ours and the peers'."""
    return {OURS: _ours(path, fill_at, averages), **{name: make(bars, fill_at, averages) for name, make in PEERS.items()}}


def _rounds(
    bench: Bench, what: str, runs: dict[str, Run], rounds: int, count: int
) -> tuple[dict[str, Outcome], dict[str, list[float]]]:
    """Each run in turn, so often: what came of it, and bars/s."""
    outcomes: dict[str, Outcome] = {}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            bench.say(f"backtest: {what} round {number + 1}, {name}")
            rate, outcomes[name] = _timed(run, count)
            rates[name].append(rate)
    return outcomes, rates


def _ours(path: Path, fill_at: str, averages: Averages) -> Run:
    config = book(fill_at, averages)

    def run() -> Outcome:
        found = run_backtest(config, [open_source(path, "USDJPY")])
        assert not found.rejections and not found.alerts, (found.rejections[:1], found.alerts[:1])
        return Outcome(len(found.fills), float(found.equity[-1].equity - Decimal(int(CASH))))

    return run


def _timed(run: Run, count: int) -> tuple[float, Outcome]:
    gc.collect()
    began = time.perf_counter()
    outcome = run()
    return count / (time.perf_counter() - began), outcome


def _speed(rates: dict[str, list[float]]) -> Table:
    rows = [(name, f"{median(each):,.0f}", spread(each), f"{ratio(rates[OURS], each):.1f}") for name, each in rates.items()]
    return Table("Speed, fills at the next open", ("", "bars/s", "lowest – highest", "Barque is × as fast"), rows)


def _by_orders(by_orders: dict[int, dict[str, list[float]]], count: int) -> Table:
    names = [OURS, *PEERS]
    rows = []
    for fills, rates in by_orders.items():
        speeds = [f"{median(rates[name]):,.0f}" if name in rates else "" for name in names]
        ratios = [f"{ratio(rates[OURS], rates[name]):.1f}" if name in rates else "" for name in PEERS]
        rows.append((f"one in {count / fills:,.0f} bars" if fills else "none", *speeds, *ratios))
    columns = ("orders", *(f"{name}, bars/s" for name in names), *(f"× {name}" for name in PEERS))
    return Table("By how often it trades", columns, rows)


def _expected(bars: Walk) -> dict[str, Outcome]:
    opens, closes = bars.open.tolist(), bars.close.tolist()
    found = {fill_at: sma_cross(opens, closes, TICK, UNITS, fill_at) for fill_at in CONVENTIONS}
    return {fill_at: Outcome(len(each.fills), float(each.profit * TICK)) for fill_at, each in found.items()}


def _money(bars: Walk, found: dict[tuple[str, str], Outcome]) -> Table:
    rows = [
        (f"{name}, {fill_at}", f"{outcome.fills:,}", f"{outcome.profit:,.3f}")
        for fill_at, expected in _expected(bars).items()
        for name, outcome in [("reference", expected), *((n, o) for (n, at), o in found.items() if at == fill_at)]
    ]
    return Table("Fills and profit, JPY", ("", "fills", "profit"), rows)


def _speed_budgets(rates: dict[str, list[float]], which: str) -> list[Budget]:
    return [
        Budget(
            f"backtest against {name}{which}",
            f"≥ {wanted:g} ×",
            f"{ratio(rates[OURS], rates[name]):.1f} ×",
            ratio(rates[OURS], rates[name]) >= wanted,
            "each order's way through five nodes: 220 calls, 9,000 instructions of Python; see the rate without orders",
        )
        for name, wanted in TIMES.items()
        if name in rates
    ]


def _money_budget(bars: Walk, found: dict[tuple[str, str], Outcome]) -> Budget:
    exact = all(found[OURS, fill_at] == expected for fill_at, expected in _expected(bars).items())
    what = "fills and profit against the reference, both conventions"
    return Budget(what, "equal", "equal" if exact else "different", exact)


def _peak_mib(rows: int) -> float:
    """Peak resident memory of a process that plays so many bars, streamed; few trades, because results are kept."""
    code = f"from benchmarks.backtest import long_run; long_run({rows})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return float(said)


def long_run(rows: int) -> None:
    """In a process of its own: play `rows` bars, print the peak of its memory in MiB. Results are kept, so the account is valued
    once a week."""
    config = book("next_open", Averages(2_000, 8_000))
    config["portfolio"] = {**config["portfolio"], "equity_interval_s": 604_800}
    found = run_backtest(config, [StreamedWalk(rows)])
    assert found.facts.bars == rows
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
