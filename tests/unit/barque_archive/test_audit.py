"""Whether an archive can be relied upon: recordings that can, and data broken in every way that is looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from barque.calendars import calendar
from barque_archive.archive import Archive
from barque_archive.audit import Expectations, Finding, audit
from barque_archive.columns import BarColumns, MarketColumns, concat, take
from barque_archive.files import FileSource, Reading
from barque_archive.hours import Hours
from barque_archive.importing import import_into
from barque_archive.layout import files_of, folder_of
from barque_archive.partitions import Writing, write
from barque_archive.series import Series
from barque_archive.times import TimeFormat
from tests.support.builders import MINUTE, NS, T0
from tests.support.columns import some_bars, some_quotes, some_trades
from tests.support.data import data_file

BARS = Series("EURUSD", "bars", "1m", "bid")
HOUR = 60 * MINUTE
FX = Expectations(calendar=calendar("FX"), calendar_name="FX")
ALWAYS = Expectations(calendar=calendar("24/7"), calendar_name="24/7")


def store(root: Path, series: Series, columns: MarketColumns, period: str = "2014-05") -> None:
    """Rows as they are, in one file, however wrong they are."""
    folder = folder_of(root, series)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / f"{period}.parquet", series, columns, Writing())


def found(root: Path, series: Series, expected: Expectations = ALWAYS) -> dict[str, Finding]:
    """Findings by the name of their check."""
    return {finding.check: finding for finding in audit(Archive(root), series, expected).findings}


def a_file(name: str, symbol: str = "X", **reading: Any) -> Callable[[Path], list[Series]]:
    def bring(root: Path) -> list[Series]:
        source = FileSource(data_file(name), symbol, "1m", None, Reading(**reading))
        return import_into(root, source).series

    return bring


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("eurusd-oanda-ticks-2014-05-01.csv.gz", "FX"),
        ("eurusd-oanda-m1-2014-05-02.csv.gz", "FX"),
        ("usdjpy-fxcm-m1-bid-2013-02.csv.gz", "FX"),
        ("btcusd-perp-m1-2022-01.csv.gz", "24/7"),
    ],
)
def test_good_recordings_have_neither_errors_nor_warnings(name: str, hours: str, tmp_path: Path) -> None:
    expected = Expectations(calendar=calendar(hours), calendar_name=hours)
    for series in a_file(name)(tmp_path):
        report = audit(Archive(tmp_path), series, expected)
        assert {finding.severity for finding in report.findings} <= {"note"}
        assert report.errors == 0


def test_missing_minutes_are_counted_against_the_days_there_are() -> None:
    """The vendor's minutes of 1 May 2014: 1,363 of 1,440, the last at 23:59."""
    root = data_file("eurusd-oanda-m1-2014-05-01.csv.gz")
    source = FileSource(root, "X")
    opens = np.concatenate(
        [columns.ts_open_ns for columns in source if isinstance(columns, BarColumns) and columns.price == "bid"]
    )
    assert len(opens) == 1_363
    assert int((np.diff(opens) // MINUTE - 1).sum()) == 77


def test_missing_minutes_are_said(tmp_path: Path) -> None:
    series = a_file("eurusd-oanda-m1-2014-05-01.csv.gz")(tmp_path)[0]
    missing = found(tmp_path, series, FX)["missing"]
    assert (missing.severity, missing.rows, missing.text) == ("note", 77, "bars of open hours are missing, 5.35%")


# -- errors ----------------------------------------------------------------------------------------------------------------


def bad(field: str, row: int, value: float) -> BarColumns:
    bars = some_bars(range(10), volume=np.ones(10))
    values = getattr(bars, field).copy()
    values[row] = value
    return replace(bars, **{field: values})


@pytest.mark.parametrize(
    ("columns", "check", "text", "at"),
    [
        (bad("high", 3, 0.5), "bad_rows", "high is below the low, such as high: 0.5 is below the low 1.003", 3),
        (bad("close", 4, float("nan")), "bad_rows", "close is no positive number, such as close: nan", 4),
        (bad("volume", 2, -1.0), "bad_rows", "volume is no size, such as volume: -1.0", 2),
        (some_bars([1, 3, 2, 4]), "out_of_order", "rows are older than the row before them", 2),
        (some_bars([1, 2, 2, 4]), "duplicates", "bars have the time of the bar before them", 2),
        (
            some_bars([1, 2, 3], ts_close_ns=T0 + np.array([6, 7, 8]) * MINUTE),
            "overlaps",
            "bars open before the one before them closes: they are not all 1m",
            2,
        ),
    ],
)
def test_what_no_data_can_mean_is_an_error(columns: BarColumns, check: str, text: str, at: int, tmp_path: Path) -> None:
    store(tmp_path, BARS, columns)
    report = audit(Archive(tmp_path), BARS, ALWAYS)
    finding = next(finding for finding in report.findings if finding.check == check)
    assert (finding.severity, finding.at_ns) == ("error", T0 + at * MINUTE)
    assert finding.text.startswith(text)
    assert report.errors >= 1
    assert report.findings[0].severity == "error", "errors come first"


def test_errors_are_found_where_one_file_ends_and_the_next_begins(tmp_path: Path) -> None:
    day = 1_440
    store(tmp_path, BARS, some_bars([5, 31 * day + 3]), "2014-05")
    store(tmp_path, BARS, some_bars([31 * day + 3, 31 * day + 4]), "2014-06")
    findings = found(tmp_path, BARS)
    assert findings["duplicates"].rows == 1
    assert findings["files"].text == "2014-05.parquet has rows of other times"
    assert (findings["files"].rows, findings["files"].at_ns) == (1, T0 + (31 * day + 3) * MINUTE)


def test_crossed_quotes_are_errors_and_are_counted_over_files_as_one(tmp_path: Path) -> None:
    series = Series("EURUSD", "quotes")
    for day in range(2):
        store(
            tmp_path,
            series,
            some_quotes([day * 86_400 * NS + n for n in (0, 1)], [2.0, 2.0], ask=np.array([1.0, 3.0])),
            f"2014-05-0{day + 1}",
        )
    report = audit(Archive(tmp_path), series, ALWAYS)
    assert [(f.check, f.rows, f.text) for f in report.findings if f.severity == "error"] == [
        ("bad_rows", 2, "bid is above the ask, such as bid: 2.0 is above the ask 1.0")
    ]


def test_a_file_that_cannot_be_read_is_an_error_and_the_others_are_judged(tmp_path: Path) -> None:
    store(tmp_path, BARS, some_bars([1, 2]), "2014-05")
    (folder_of(tmp_path, BARS) / "2014-06.parquet").write_bytes(b"PAR1")
    parquet.write_table(pa.table({"x": [1]}), folder_of(tmp_path, BARS) / "2014-07.parquet")
    store(tmp_path, BARS, some_bars([1, 2]), "may")
    report = audit(Archive(tmp_path), BARS, ALWAYS)
    assert report.rows == 2
    assert [f.severity for f in report.findings if f.check == "files"] == ["error"] * 3


# -- what looks odd --------------------------------------------------------------------------------------------------------


def test_a_price_far_from_both_neighbours_is_a_spike_and_a_move_is_none(tmp_path: Path) -> None:
    series = Series("EURUSD", "trades")
    prices = [1.0, 1.0, 1.5, 1.0, 1.0, 1.3, 1.3, 1.3]
    store(tmp_path, series, some_trades(range(8), prices), "2014-05-01")
    spikes = found(tmp_path, series)["spikes"]
    assert (spikes.severity, spikes.rows, spikes.at_ns) == ("warning", 1, T0 + 2)
    assert spikes.text == "prices are more than 10% from both neighbours, such as 1.5 between 1 and 1"
    assert "spikes" not in found(tmp_path, series, replace(ALWAYS, spike_fraction=0.6))


def test_bars_without_volume_are_counted_where_others_have_some(tmp_path: Path) -> None:
    store(tmp_path, BARS, some_bars(range(4), volume=np.array([0.0, 1.0, 0.0, 2.0])))
    assert (found(tmp_path, BARS)["zero_volume"].severity, found(tmp_path, BARS)["zero_volume"].rows) == ("note", 2)
    store(tmp_path, BARS, some_bars(range(4), volume=np.zeros(4)))
    assert "zero_volume" not in found(tmp_path, BARS), "quotes have none at all"


def test_bars_that_stand_wider_than_they_say_are_of_another_interval(tmp_path: Path) -> None:
    store(tmp_path, BARS, some_bars(range(0, 500, 5)))
    assert found(tmp_path, BARS)["spacing"].text == "bars are never closer than 5 min, 1m is 60 s: is the interval right?"


def test_a_single_pair_of_neighbours_shows_that_the_interval_is_right(tmp_path: Path) -> None:
    store(tmp_path, BARS, some_bars([*range(0, 500, 5), 502]))
    assert "spacing" in found(tmp_path, BARS)
    store(tmp_path, BARS, some_bars([*range(0, 500, 5), 496]))
    assert "spacing" not in found(tmp_path, BARS)


def test_a_gap_in_open_hours_is_a_warning_with_where_it_begins(tmp_path: Path) -> None:
    """From Friday 2 May 2014, 18:00 UTC: 21:00 is 17:00 in New York, and FX closes until Sunday 21:00."""
    friday = (24 + 18) * 60
    sunday = friday + 3 * 60 + 48 * 60
    minutes = [*range(friday, friday + 30), *range(friday + 120, friday + 180), *range(sunday, sunday + 60)]
    store(tmp_path, BARS, some_bars(minutes))
    gaps = found(tmp_path, BARS, FX)["gaps"]
    assert (gaps.severity, gaps.rows, gaps.at_ns) == ("warning", 1, T0 + (friday + 30) * MINUTE)
    assert gaps.text == "gaps of 60 min and more in hours of FX: 90 min from 2014-05-02T18:30:00Z"
    assert found(tmp_path, BARS, FX)["missing"].rows == 90
    assert found(tmp_path, BARS, ALWAYS)["gaps"].rows == 2, "around the clock the weekend is a gap too"
    assert found(tmp_path, BARS, replace(FX, gap_ns=100 * MINUTE)).keys() == {"missing"}
    unknown = found(tmp_path, BARS, Expectations())["gaps"]
    assert (unknown.severity, unknown.rows) == ("note", 2)
    assert "no calendar is known" in unknown.text


def test_ticks_have_gaps_too(tmp_path: Path) -> None:
    series = Series("EURUSD", "quotes")
    store(tmp_path, series, some_quotes([0, MINUTE, 3 * HOUR, 3 * HOUR + 1]), "2014-05-01")
    assert found(tmp_path, series, FX)["gaps"].text == "gaps of 60 min and more in hours of FX: 2.98 h from 2014-05-01T00:01:00Z"


@pytest.mark.parametrize("hours", [-2, 5, -9])
def test_data_of_another_zone_are_known_by_their_weekends(hours: int, tmp_path: Path) -> None:
    """A month of USDJPY whose clock times are taken for those of a zone that is so many hours off."""
    bars = concat(list(FileSource(data_file("usdjpy-fxcm-m1-bid-2013-02.csv.gz"), "EURUSD", "1m", "bid")))
    assert isinstance(bars, BarColumns)
    february = take(bars, bars.ts_open_ns < 1_362_096_000 * NS - 24 * HOUR)
    shift = np.int64(hours * HOUR)
    moved = replace(february, ts_open_ns=february.ts_open_ns + shift, ts_close_ns=february.ts_close_ns + shift)
    import_into(tmp_path, _Ready(moved))
    findings = found(tmp_path, BARS, FX)
    assert findings["closed_hours"].severity == "warning"
    side = "late" if hours > 0 else "early"
    assert findings["time_zone"].text == f"times look {abs(hours)} h too {side} for FX: import again with their zone (--tz)"


class _Ready:
    """Columns as a source."""

    def __init__(self, *parts: MarketColumns) -> None:
        self.parts, self.series, self.fraction = parts, (BARS,), 1.0

    def __iter__(self) -> Any:
        return iter(self.parts)


def test_local_times_with_summer_time_taken_for_utc_are_told_from_one_shift(tmp_path: Path) -> None:
    """A year of FX hours by the clocks of Helsinki, which are 2 h and in summer 3 h ahead of UTC."""
    first = 1_388_534_400 * NS
    opens = np.arange(first, first + 360 * 24 * HOUR, 15 * MINUTE, dtype=np.int64)
    opens = opens[~Hours.of(calendar("FX"), int(opens[0]), int(opens[-1])).outside(opens)]
    transitions = (1_396_141_200 * NS, 1_414_285_200 * NS)
    summer = (opens >= transitions[0]) & (opens < transitions[1])
    clocks = opens + np.where(summer, 3, 2) * HOUR
    rows = np.argsort(clocks, kind="stable")[np.concatenate(([True], np.diff(np.sort(clocks)) > 0))]
    count = len(rows)
    bars = some_bars(range(count), interval="15m", ts_open_ns=clocks[rows], ts_close_ns=clocks[rows] + 15 * MINUTE)
    series = BARS._replace(interval="15m")
    source = _Ready(bars)
    source.series = (series,)
    import_into(tmp_path, source)
    text = found(tmp_path, series, FX)["time_zone"].text
    assert "differently by month" in text
    assert "2014-01 -2 h" in text
    assert "2014-07 -3 h" in text


def test_trades_before_and_after_hours_are_odd_but_no_zone_explains_them(tmp_path: Path) -> None:
    [series] = a_file("spy-trades-2013-10-07.csv.gz", "SPY")(tmp_path)
    findings = found(tmp_path, series, Expectations(calendar=calendar("XNYS"), calendar_name="XNYS"))
    assert findings.keys() == {"closed_hours"}
    assert findings["closed_hours"].rows == 9_097


def test_local_times_that_are_imported_with_their_zone_fit_their_market(tmp_path: Path) -> None:
    """SPY's hours by the clocks of New York: 09:30 to 16:00 is what XNYS is open."""
    path = tmp_path / "spy.csv"
    days = [f"2013-{month:02d}-{day:02d}" for month, first in ((3, 4), (7, 8), (11, 4)) for day in range(first, first + 5)]
    lines = [f"{day} {9 + (30 + m) // 60:02d}:{(30 + m) % 60:02d},1,1,1,1" for day in days for m in range(390)]
    path.write_text("timestamp,open,high,low,close\n" + "\n".join(lines) + "\n")
    hours = Expectations(calendar=calendar("XNYS"), calendar_name="XNYS")
    series = Series("SPY", "bars", "1m", "last")
    for zone, odd in (("America/New_York", False), ("", True)):
        root = tmp_path / (zone.replace("/", "-") or "utc")
        import_into(root, FileSource(path, "SPY", "1m", None, Reading(time=TimeFormat(tz=zone))))
        findings = found(root, series, hours)
        assert ("time_zone" in findings, "closed_hours" in findings) == (odd, odd)


# -- hours -----------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 20 * 48), min_size=1, max_size=30), st.sampled_from(["FX", "24/7", "XNYS"]))
def test_hours_of_columns_are_those_of_the_calendar(half_hours: list[int], name: str) -> None:
    market, step = calendar(name), 30 * MINUTE
    times = T0 + np.array(sorted(half_hours), np.int64) * step
    hours = Hours.of(market, int(times[0]), int(times[-1]))
    assert hours.outside(times).tolist() == [not market.is_open(int(at)) for at in times]
    elapsed = hours.open_time(times) - hours.open_time(times)[0]
    assert elapsed[-1] == step * sum(market.is_open(at) for at in range(int(times[0]), int(times[-1]), step))


def test_the_file_list_is_what_is_judged(tmp_path: Path) -> None:
    store(tmp_path, BARS, some_bars(range(3)))
    assert len(files_of(tmp_path, BARS)) == 1
    assert audit(Archive(tmp_path), BARS, Expectations()).findings == []
