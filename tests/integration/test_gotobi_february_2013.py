"""A real month through the running services: gotobi on USDJPY, February 2013, against a calculation by hand.

The trading dates are those of the strategy's specification: 5, 8, 15, 20 and 25 February 2013 in Tokyo (the 10th is a
Sunday, so Friday the 8th; the 11th is a holiday). Entry is at 01:30 and exit at 08:30 Tokyo time, which is 16:30 and 23:30
UTC of the day before. A signal at the close of a minute fills at the open of the next: buys in the ask file, sells in the
bid file. On Monday the 25th 01:30 lies before the market opens (Sunday 22:00 UTC): the first minute closes at 22:01, so the
entry is the open of 22:01. Read off the two files by eye:

    entry (UTC)        ask open    exit (UTC)         bid open    pips × 100,000 units
    2013-02-04 16:30   92.589      2013-02-04 23:30   92.154      -0.435 -> -43,500 JPY
    2013-02-07 16:30   93.357      2013-02-07 23:30   93.673      +0.316 -> +31,600 JPY
    2013-02-14 16:30   93.095      2013-02-14 23:30   92.925      -0.170 -> -17,000 JPY
    2013-02-19 16:30   93.598      2013-02-19 23:30   93.752      +0.154 -> +15,400 JPY
    2013-02-24 22:01   94.586      2013-02-24 23:30   94.286      -0.300 -> -30,000 JPY
                                                                  sum      -43,500 JPY

An account of 1,000,000 JPY without commissions ends with 956,500 JPY.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.books import rows, running_book, wait_finished
from tests.support.configs import usdjpy_month
from tests.support.data import data_file

BY_HAND = [
    ("2013-02-04 16:30", "buy", "92.589"),
    ("2013-02-04 23:30", "sell", "92.154"),
    ("2013-02-07 16:30", "buy", "93.357"),
    ("2013-02-07 23:30", "sell", "93.673"),
    ("2013-02-14 16:30", "buy", "93.095"),
    ("2013-02-14 23:30", "sell", "92.925"),
    ("2013-02-19 16:30", "buy", "93.598"),
    ("2013-02-19 23:30", "sell", "93.752"),
    ("2013-02-24 22:01", "buy", "94.586"),
    ("2013-02-24 23:30", "sell", "94.286"),
]


@pytest.mark.timeout(660)
def test_fills_position_cash_and_profit_equal_the_calculation_by_hand(tmp_path: Path) -> None:
    bid, ask = data_file("usdjpy-fxcm-m1-bid-2013-02.csv.gz"), data_file("usdjpy-fxcm-m1-ask-2013-02.csv.gz")
    with running_book(usdjpy_month(bid, ask), tmp_path) as system:
        wait_finished(system, 600)
        fills = rows(system, "SELECT * FROM fills ORDER BY ts_event_ns")
        (position,) = rows(system, "SELECT * FROM positions")
        (cash,) = rows(system, "SELECT * FROM cash")
        (last,) = rows(system, "SELECT * FROM equity ORDER BY ts_event_ns DESC LIMIT 1")
        orders = rows(system, "SELECT DISTINCT state FROM intents")
        bars = rows(system, "SELECT price, count(*) AS count FROM bars GROUP BY price ORDER BY price")
    found = [(_minute(row["ts_event_ns"]), row["side"], str(row["price"])) for row in fills]
    assert found == BY_HAND
    assert {row["quantity"] for row in fills} == {Decimal(1)}
    assert (position["quantity"], position["realised_pnl"], position["commission"]) == (0, Decimal(-43_500), 0)
    assert (cash["currency"], cash["amount"]) == ("JPY", Decimal(956_500))
    assert (last["equity"], last["unrealised_pnl"]) == (Decimal(956_500), 0)
    assert [row["state"] for row in orders] == ["FILLED"]
    assert [(row["price"], row["count"]) for row in bars] == [("ask", 28_761), ("bid", 28_761)]


def _minute(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M")
