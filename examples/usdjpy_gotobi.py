"""Two gotobi legs on USDJPY, from data to report: long into the Tokyo fixing, short after it.

    .venv/bin/python examples/usdjpy_gotobi.py                                   on a made-up quarter
    .venv/bin/python examples/usdjpy_gotobi.py --bid bid.csv.gz --ask ask.csv.gz    on your own one-minute bars

The cells (`# %%`) run one by one in an editor or in Jupyter. Made-up prices walk at random, so do not look for an edge there.
"""

# %% What it needs
from __future__ import annotations

import argparse
import csv
import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from barque.instruments import Instrument
from barque_archive.sources import Source, open_source
from barque_backtest.blocks import blocks
from barque_backtest.engine import run_backtest
from barque_backtest.feeding import EVERYTHING
from barque_backtest.folder import write_folder
from barque_backtest.results import summarise
from simulators.market import Market

# %% The book: one account, one instrument, two strategies of one class
CONFIG = """
[book]
name = "gotobi-example"

[[instruments]]
symbol = "USDJPY"
currency = "JPY"
base_currency = "USD"
tick_size = "0.001"

[[barbuilder.bars]]
symbols = ["USDJPY"]
interval = "1m"
prices = ["bid", "ask"]

[[strategies]]
id = "into-the-fixing"
strategy = "gotobi"
symbols = ["USDJPY"]
params = { quantity = 1, entry_time = "01:30:00", exit_time = "09:55:00" }

[[strategies]]
id = "after-the-fixing"
strategy = "gotobi"
symbols = ["USDJPY"]
params = { quantity = -1, entry_time = "09:55:00", exit_time = "15:00:00", stop_loss_pct = "0.003" }

[paper]
slippage_fraction = "0.00002"
commission_fraction = "0.00002"
commission_min = "1"

[router.limits]
max_position = "2"

[[portfolio.accounts]]
name = "paper"
currency = "JPY"
starting_cash = "10000000"
"""


# %% The data: your own bars, or three months that a seeded market makes up
def sources_of(bid: Path | None, ask: Path | None, folder: Path) -> list[Source]:
    """Bid and ask bars from files, or quotes from the simulator (one a minute)."""
    if bid and ask:
        return [open_source(bid, "USDJPY", "1m", "bid"), open_source(ask, "USDJPY", "1m", "ask")]
    quotes = folder / "usdjpy-made-up.csv"
    begin_ns, end_ns = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) * 10**9 for month in (1, 4))
    instruments = {"USDJPY": Instrument(symbol="USDJPY", currency="JPY", tick_size=Decimal("0.001"))}
    market = Market(seed=20260101, ticks_per_s=1 / 60, first_prices={"USDJPY": 156.0}, instruments=instruments, start_ns=begin_ns)
    with quotes.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("timestamp", "bid", "ask"))
        while found := market.advance(end_ns):
            rows.writerows((quote.ts_event_ns, quote.bid, quote.ask) for quote in found)
    return [open_source(quotes, "USDJPY")]


# %% The run: the nodes of a live book, in one process
def main() -> None:
    """Run, print the trades, write the report."""
    options = argparse.ArgumentParser(description="Two gotobi legs on USDJPY.")
    options.add_argument("--bid", type=Path, help="one-minute bid bars: CSV or Parquet")
    options.add_argument("--ask", type=Path, help="one-minute ask bars")
    options.add_argument("--out", type=Path, default=Path(".barque/usdjpy-gotobi"), help="folder of the report")
    chosen = options.parse_args()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    sources = sources_of(chosen.bid, chosen.ask, chosen.out.parent)
    run = run_backtest(tomllib.loads(CONFIG), sources)
    result = summarise(run, blocks(sources, EVERYTHING, run.instruments))
    write_folder(result, chosen.out)

    # %% What came of it
    for trip in result.trips:
        entry, out = (f"{datetime.fromtimestamp((ns or 0) / 1e9, UTC):%d %b %H:%M}" for ns in (trip.entry_ns, trip.exit_ns))
        prices = f"{trip.entry_price:.3f} → {trip.exit_price or 0:.3f}"
        print(f"{trip.strategy_id:18} {trip.direction:5} {entry} → {out}  {prices}  {trip.net_pnl or 0:>12,.0f}")
    print(f"{len(result.trips)} trades, {run.facts.bars + run.facts.ticks:,} rows in {run.facts.wall_s:.1f} s")
    print(f"equity {run.equity[-1].equity if run.equity else 0:,.0f} {result.currency}; report: {chosen.out / 'report.html'}")


if __name__ == "__main__":
    main()
