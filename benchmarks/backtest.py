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

from barque_archive.sources import open_source
from barque_backtest.engine import run_backtest
from benchmarks.backtest_peers import CASH, FAST, PEERS, SLOW, UNITS, Outcome, Run
from benchmarks.figures import Bench, Budget, Result, Table, ratio, spread
from benchmarks.walks import PER_PRICE, StreamedWalk, Walk, walk, write
from tests.support.sma_reference import sma_cross

ROUNDS = 5
OURS = "Barque"
TIMES = {"backtrader": 20.0, "backtesting": 2.0}
TICK = Decimal(1) / PER_PRICE
CONVENTIONS = ("next_open", "close")
LONG_RUNS = (1_000_000, 10_000_000)
GROWTH_MIB = 64


def book(fill_at: str, fast: int = FAST, slow: int = SLOW) -> dict[str, object]:
    """The configuration of a backtest; checks, accounting and risk are on."""
    params = {"fast": fast, "slow": slow, "quantity": str(UNITS), "price": "last"}
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
    runs: dict[str, dict[str, Run]] = {
        fill_at: {OURS: _ours(path, fill_at), **{name: make(bars, fill_at) for name, make in PEERS.items()}}
        for fill_at in CONVENTIONS
    }
    rates: dict[str, list[float]] = {name: [] for name in runs[CONVENTIONS[0]]}
    found: dict[tuple[str, str], Outcome] = {}
    for number in range(bench.size(ROUNDS, 3)):
        for name, run in runs[CONVENTIONS[0]].items():
            bench.say(f"backtest: round {number + 1}, {name}")
            rate, found[name, CONVENTIONS[0]] = _timed(run, count)
            rates[name].append(rate)
    for name, run in runs["close"].items():
        bench.say(f"backtest: fills at the close, {name}")
        found[name, "close"] = run()
    bench.say("backtest: without orders")
    idle, _ = _timed(_ours(path, CONVENTIONS[0], slow=count), count)
    tables = [_speed(rates, idle), _money(bars, found)]
    budgets = [*_speed_budgets(rates), _money_budget(bars, found)]
    if not bench.quick:
        bench.say("backtest: memory")
        memory = {rows: _peak_mib(rows) for rows in LONG_RUNS}
        tables.append(Table("Memory", ("bars", "peak RSS, MiB"), [(f"{n:,}", f"{mib:.0f}") for n, mib in memory.items()]))
        growth = memory[LONG_RUNS[1]] - memory[LONG_RUNS[0]]
        wanted = f"< {GROWTH_MIB} MiB more than for one million"
        budgets.append(Budget("memory of ten million bars", wanted, f"{growth:.0f} MiB", growth < GROWTH_MIB))
    peers = ", ".join(f"{name} {version(name)}" for name in PEERS)
    about = (
        f"SMA cross {FAST}/{SLOW} of {UNITS:,} units over {count:,} seeded one-minute bars, no costs. Barque runs its services' "
        f"nodes in one process, with risk checks and books, from a Parquet file; peers ({peers}) get their bars in memory."
    )
    return Result("backtest", about, tables, budgets)


def _ours(path: Path, fill_at: str, slow: int = SLOW) -> Run:
    config = book(fill_at, slow=slow)

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


def _speed(rates: dict[str, list[float]], idle: float) -> Table:
    rows = [(name, f"{median(each):,.0f}", spread(each), f"{ratio(rates[OURS], each):.1f}") for name, each in rates.items()]
    rows.append((f"{OURS}, where no bar leads to an order", f"{idle:,.0f}", "once", ""))
    return Table("Speed, fills at the next open", ("", "bars/s", "lowest – highest", "Barque is × as fast"), rows)


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


def _speed_budgets(rates: dict[str, list[float]]) -> list[Budget]:
    return [
        Budget(
            f"backtest against {name}",
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
    """In a process of its own: play `rows` bars, print the peak of its memory in MiB."""
    found = run_backtest(book("next_open", fast=2_000, slow=8_000), [StreamedWalk(rows)])
    assert found.facts.bars == rows
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
