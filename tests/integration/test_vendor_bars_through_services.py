"""Real ticks through the running services: feed-replay → Valkey → barbuilder → Postgres equals the vendor's own bars."""

from __future__ import annotations

from pathlib import Path

from tests.support.books import rows, running_book, wait_finished
from tests.support.configs import eurusd_ticks
from tests.support.data import data_file, vendor_bars


def test_every_bar_in_postgres_equals_the_vendors_and_there_is_no_other(tmp_path: Path) -> None:
    ticks, truth = data_file("eurusd-oanda-ticks-2014-05-01.csv.gz"), data_file("eurusd-oanda-m1-2014-05-01.csv.gz")
    with running_book(eurusd_ticks(ticks, lockstep=False), tmp_path) as system:
        wait_finished(system, 240)
        stored = {
            (row["price"], row["ts_open_ns"]): (row["open"], row["high"], row["low"], row["close"])
            for row in rows(system, "SELECT * FROM bars WHERE symbol = 'EURUSD' AND \"interval\" = '1m'")
        }
    expected = vendor_bars(truth)
    assert len(expected) == 2 * 1_363
    assert stored == expected
