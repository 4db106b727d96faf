"""Measures, prints, writes `docs/benchmarks.md`: `python -m benchmarks [--quick] [--only NAME]`."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks import backtest, broker, commit, core, latency, lockstep, stage
from benchmarks.figures import Bench, Result
from benchmarks.report import print_results, update_report, write_report

MEASURES: dict[str, Callable[[Bench], Result]] = {
    "commit": commit.measure,
    "stage": stage.measure,
    "latency": latency.measure,
    "broker": broker.measure,
    "lockstep": lockstep.measure,
    "core": core.measure,
    "backtest": backtest.measure,
}


def main() -> None:
    """All measures, or one; only a full run of all rewrites the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work, roughly how fast")
    parser.add_argument("--only", choices=sorted(MEASURES), help="one measure")
    parser.add_argument("--out", type=Path, help="where to write the report; default docs/benchmarks.md, of a full run only")
    parser.add_argument("--section", action="store_true", help="with --only: renew that section of the report")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    console = Console()
    began = time.monotonic()
    names = [arguments.only] if arguments.only else list(MEASURES)
    results = [_measure(name, arguments.quick, console) for name in names]
    print_results(console, results)
    page, seconds = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md", time.monotonic() - began
    out = arguments.out
    if out is None and not arguments.quick and (arguments.section or not arguments.only):
        out = page
    if out is not None:
        if arguments.section and arguments.only:
            update_report(out, results[0], seconds)
        else:
            write_report(out, results, seconds)
        console.print(f"written: {out.name}")


def _measure(name: str, quick: bool, console: Console) -> Result:
    folder = Path(tempfile.mkdtemp(prefix="barque-bench-"))
    try:
        with console.status(name) as status:
            return MEASURES[name](Bench(folder, quick, status.update))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
