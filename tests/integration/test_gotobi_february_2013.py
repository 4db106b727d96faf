"""A real month of gotobi on USDJPY: a calculation by hand, a backtest and the running services give the same fills.

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

The backtest runs over the whole month; the services over the minutes around the trades in `make test`, over the hours around
them and the whole month in `make parity`. What lies between changes nothing.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest

from barque.config import read_file
from barque.messages import Alert, Fill, Message, Signal, SubmitOrder, Topic
from barque_archive.sources import open_source
from barque_backtest.engine import run_backtest
from barque_backtest.run import BacktestRun
from barque_cli.composition import service
from barque_cli.system import System
from tests.support.books import on_bus, rows, running_book, said, wait_finished, wait_until
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
HOURS = (
    ("2013-02-04T16:00", "2013-02-05T00:00"),
    ("2013-02-07T16:00", "2013-02-08T00:00"),
    ("2013-02-14T16:00", "2013-02-15T00:00"),
    ("2013-02-19T16:00", "2013-02-20T00:00"),
    ("2013-02-24T22:00", "2013-02-25T00:00"),
)
"""Around each trade, UTC."""
STOP = Decimal("0.003")
"""How far below its entry a stop lies."""
NS = 1_000_000_000


@pytest.fixture
def month() -> tuple[Path, Path]:
    return data_file("usdjpy-fxcm-m1-bid-2013-02.csv.gz"), data_file("usdjpy-fxcm-m1-ask-2013-02.csv.gz")


@pytest.fixture
def minutes(month: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """The same files, cut to the minutes around entries and exits."""
    return _cut_near(month, tmp_path, BY_HAND)


@pytest.fixture
def hours(month: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """The same files, cut to the hours around the trades."""
    return _cut(month, tmp_path, lambda stamp: any(begin <= stamp < end for begin, end in HOURS))


def test_a_backtest_of_the_month_equals_the_calculation_by_hand(month: tuple[Path, Path], tmp_path: Path) -> None:
    run = _backtest(usdjpy_month(*month), tmp_path)
    assert _fills(run.fills) == BY_HAND
    assert run.cash == {"paper": {"JPY": Decimal(956_500)}}
    assert run.equity[-1].equity == Decimal(956_500)
    assert run.alerts == []


@pytest.mark.timeout(200)
def test_services_killed_on_the_way_equal_backtest_and_calculation(
    minutes: tuple[Path, Path], month: tuple[Path, Path], tmp_path: Path
) -> None:
    with running_book(usdjpy_month(*minutes), tmp_path) as system:
        for each in ("strategy-host", "router", "sender-paper"):
            wait_until(lambda: bool(rows(system, "SELECT 1 FROM fills LIMIT 1")), 60, "the first fill")
            system.supervisor.kill(each)
        wait_finished(system, 120)
        _check_books(system)
        _check_parity(system, _backtest(usdjpy_month(*month), tmp_path))
        assert system.supervisor.restarts >= 3


@pytest.mark.timeout(200)
def test_with_a_stop_services_and_backtest_equal_a_look_at_every_minute(month: tuple[Path, Path], tmp_path: Path) -> None:
    _check_stops(_cut_near(month, tmp_path, BY_HAND + _with_stops(month, STOP)), month, tmp_path, 120)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_with_a_stop_the_hours_through_the_services(hours: tuple[Path, Path], month: tuple[Path, Path], tmp_path: Path) -> None:
    _check_stops(hours, month, tmp_path, 300)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_month_through_the_services(month: tuple[Path, Path], tmp_path: Path) -> None:
    with running_book(usdjpy_month(*month), tmp_path) as system:
        wait_finished(system, 800)
        _check_books(system)
        _check_parity(system, _backtest(usdjpy_month(*month), tmp_path))
        bars = rows(system, "SELECT price, count(*) AS count FROM bars GROUP BY price ORDER BY price")
    assert [(row["price"], row["count"]) for row in bars] == [("ask", 28_761), ("bid", 28_761)]


@pytest.mark.parametrize(
    ("gone", "back", "end", "expected", "notice"),
    [
        ("2013-02-04T16:20", "2013-02-04T18:00", "2013-02-04T19:00", [], "was refused, expired"),
        ("2013-02-04T23:20", "2013-02-04T23:50", "2013-02-05T07:00", ["buy", "sell"], ""),
    ],
    ids=["over-an-entry", "over-an-exit"],
)
@pytest.mark.timeout(120)
def test_a_process_that_is_down_over_a_moment_skips_an_entry_and_catches_up_with_an_exit(
    month: tuple[Path, Path], tmp_path: Path, gone: str, back: str, end: str, expected: list[str], notice: str
) -> None:
    """At an hour a second and without lockstep the market goes on while the strategy is away. Coming back it goes through what it
    missed; an entry that it then wishes for is past its `valid_until_ns`, an exit is late but done."""
    begin = gone[:11] + ("16:00" if not expected else "16:25")
    files = _cut(month, tmp_path, lambda stamp: begin <= stamp < end)
    config = usdjpy_month(*files, speed="3600", lockstep=False)
    with running_book(config, tmp_path) as system:
        _wait_for_minute(system, gone)
        system.supervisor.remove("strategy-host")
        _wait_for_minute(system, back)
        system.start_service(service("strategy-host"))
        wait_finished(system, 60)
        wait_until(lambda: not rows(system, "SELECT 1 FROM positions WHERE quantity <> 0"), 20, "a flat position")
        wait_until(lambda: any(notice in text for text in _alerts(system)) or not notice, 20, "the notice")
        fills = _table_fills(system)
    assert [side for _, side, _ in fills] == expected


# ---- what was done


def _check_books(system: System) -> None:
    (position,) = rows(system, "SELECT * FROM positions")
    (cash,) = rows(system, "SELECT * FROM cash")
    (last,) = rows(system, "SELECT * FROM equity ORDER BY ts_event_ns DESC LIMIT 1")
    assert _table_fills(system) == BY_HAND
    assert (position["quantity"], position["realised_pnl"], position["commission"]) == (0, Decimal(-43_500), 0)
    assert (cash["currency"], cash["amount"]) == ("JPY", Decimal(956_500))
    assert (last["equity"], last["unrealised_pnl"]) == (Decimal(956_500), 0)
    assert [row["state"] for row in rows(system, "SELECT DISTINCT state FROM intents")] == ["FILLED"]


def _check_stops(cut: tuple[Path, Path], month: tuple[Path, Path], folder: Path, timeout_s: float) -> None:
    """The services over `cut` and the backtest over the month do what a look at every minute of the month says."""
    params = f'params = {{ stop_loss_pct = "{STOP}" }}'
    expected = _with_stops(month, STOP)
    assert expected != BY_HAND, "in this month at least one stop is hit"
    run = _backtest(usdjpy_month(*month, extra=params), folder)
    assert _fills(run.fills) == expected
    with running_book(usdjpy_month(*cut, extra=params), folder) as system:
        wait_finished(system, timeout_s)
        assert _table_fills(system) == expected
        _check_parity(system, run)


def _check_parity(system: System, run: BacktestRun) -> None:
    """Signals, orders and fills, one by one and field by field."""
    assert [m for m in said(system, Topic.SIGNALS) if isinstance(m, Signal)] == run.signals
    assert [m for m in said(system, Topic.ORDERS) if isinstance(m, SubmitOrder)] == run.orders
    assert [m for m in said(system, Topic.FILLS) if isinstance(m, Fill)] == run.fills


def _fills(fills: list[Fill]) -> list[tuple[str, str, str]]:
    return [(_minute(fill.ts_event_ns), fill.side, str(fill.price)) for fill in fills]


def _table_fills(system: System) -> list[tuple[str, str, str]]:
    found = rows(system, "SELECT * FROM fills ORDER BY ts_event_ns")
    assert {row["quantity"] for row in found} <= {Decimal(1)}
    return [(_minute(row["ts_event_ns"]), row["side"], str(row["price"])) for row in found]


def _ns(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp + "+00:00").timestamp()) * NS


def _minute(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns // NS, UTC).strftime("%Y-%m-%d %H:%M")


def _backtest(config: str, folder: Path) -> BacktestRun:
    path = folder / "backtest.toml"
    path.write_text(config, encoding="utf-8")
    raw = read_file(path, os.environ)
    files: list[dict[str, Any]] = raw["feed_replay"]["files"]
    return run_backtest(raw, [open_source(Path(f["path"]), f["symbol"], f["interval"], f["price"]) for f in files])


def _alerts(system: System) -> list[str]:
    return [m.text for m in said(system, Topic.ALERTS) if isinstance(m, Alert)]


# ---- the files


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        return list(csv.DictReader(file))


def _cut_near(files: tuple[Path, Path], folder: Path, fills: list[tuple[str, str, str]]) -> tuple[Path, Path]:
    """Copies with six minutes before and after each fill."""
    near = [(_minute(_ns(at) - 360 * NS), _minute(_ns(at) + 360 * NS)) for at, _, _ in fills]
    return _cut(files, folder, lambda stamp: any(begin <= stamp.replace("T", " ") < end for begin, end in near))


def _cut(files: tuple[Path, Path], folder: Path, wanted: Callable[[str], bool]) -> tuple[Path, Path]:
    """Copies with the rows whose time, `2013-02-04T16:30`, is wanted."""

    def one(path: Path) -> Path:
        header, *lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        shorter = folder / path.name.removesuffix(".gz")
        shorter.write_text("\n".join([header, *(line for line in lines if wanted(line[:16].replace(" ", "T")))]) + "\n")
        return shorter

    bid, ask = files
    return one(bid), one(ask)


def _with_stops(files: tuple[Path, Path], part: Decimal) -> list[tuple[str, str, str]]:
    """The trades by hand with a stop below each entry: sold at the stop in the first minute whose lowest bid reaches it, at
    that minute's open where it opens beyond."""
    bids = _rows(files[0])
    found = []
    for (entry_at, _, entry), leaving in zip(BY_HAND[::2], BY_HAND[1::2], strict=True):
        stop = (Decimal(entry) * (1 - part)).quantize(Decimal("0.001"), ROUND_HALF_EVEN)
        found.append((entry_at, "buy", entry))
        for row in bids:
            at = row["timestamp"][:16].replace("T", " ")
            if not entry_at < at < leaving[0]:
                continue
            if Decimal(row["low"]) <= stop:
                opened_beyond = Decimal(row["open"]) <= stop
                closes = datetime.fromisoformat(at + "+00:00").timestamp() + 60
                when = at if opened_beyond else _minute(int(closes) * NS)
                found.append((when, "sell", str(min(stop, Decimal(row["open"])).quantize(Decimal("0.001")))))
                break
        else:
            found.append(leaving)
    return found


# ---- processes


def _wait_for_minute(system: System, stamp: str) -> None:
    """Until the feed has published the bar that opens then."""
    ns = _ns(stamp)

    async def newest(bus: Any) -> int:
        found: list[Message] = [m for entry in await bus.last(Topic.CLOCK, 1) for m in entry.messages()]
        return max((m.now_ns for m in found), default=0)

    wait_until(lambda: on_bus(system, newest) >= ns, 60, f"{stamp} in the market")
