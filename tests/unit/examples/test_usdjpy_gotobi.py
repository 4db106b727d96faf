"""The example runs as its first lines say, and its figures are those of the bars."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.data import ROOT, data_file


def test_the_example_trades_both_legs_and_writes_its_report(tmp_path: Path) -> None:
    bid, ask = data_file("usdjpy-fxcm-m1-bid-2013-02.csv.gz"), data_file("usdjpy-fxcm-m1-ask-2013-02.csv.gz")
    command = [sys.executable, str(ROOT / "examples" / "usdjpy_gotobi.py"), "--bid", str(bid), "--ask", str(ask)]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "report")], capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len([line for line in lines if line.startswith("into-the-fixing")]) == 5
    assert len([line for line in lines if line.startswith("after-the-fixing")]) == 5
    # The ask opens at 92.589 at 16:30; slippage of 0.00002 makes it 92.591.
    assert lines[0].startswith("into-the-fixing    long  04 Feb 16:30 → 05 Feb 00:55  92.591")
    assert "<html" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")[:200]
