"""Where the archive keeps what, and that nothing is lost on the way there and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barque_archive.layout import (
    Span,
    bounds,
    by_period,
    folder_of,
    older,
    path_at,
    period_at,
    series_under,
    spans,
    start_of,
    unit_of,
)
from barque_archive.series import Series, duration_ns
from tests.support.builders import MINUTE, NS, T0
from tests.support.columns import some_bars, some_quotes

DAY = 1_440


@pytest.mark.parametrize(
    ("series", "folder"),
    [
        (Series("EURUSD", "quotes"), "symbol=EURUSD/kind=quotes"),
        (Series("BRK.B", "trades"), "symbol=BRK.B/kind=trades"),
        (Series("EURUSD", "bars", "1m", "bid"), "symbol=EURUSD/kind=bars/interval=1m/price=bid"),
        (Series("BTC/USD", "bars", "tick:100", "last"), "symbol=BTC%2FUSD/kind=bars/interval=tick%3A100/price=last"),
        (Series("..", "quotes"), "symbol=../kind=quotes"),
    ],
)
def test_a_series_has_a_folder_of_its_own(series: Series, folder: str) -> None:
    assert folder_of(Path("/a"), series) == Path("/a") / folder


SYMBOLS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)


@settings(deadline=None)
@given(names=st.lists(st.tuples(SYMBOLS, st.sampled_from(["1m", "tick:100", "1d"])), min_size=1, max_size=4, unique=True))
def test_whatever_a_symbol_is_called_it_comes_back(
    names: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("archive")
    series = [Series(symbol, "bars", interval, "bid") for symbol, interval in names] + [Series(names[0][0], "quotes")]
    for each in series:
        folder_of(root, each).mkdir(parents=True)
    assert series_under(root) == sorted(series)
    assert all(root in folder_of(root, each).resolve().parents for each in series)


@pytest.mark.parametrize(
    ("series", "unit"),
    [
        (Series("X", "quotes"), "D"),
        (Series("X", "bars", "1s", "bid"), "D"),
        (Series("X", "bars", "59s", "bid"), "D"),
        (Series("X", "bars", "60s", "bid"), "M"),
        (Series("X", "bars", "1w", "bid"), "M"),
        (Series("X", "bars", "tick:100", "bid"), "D"),
    ],
)
def test_a_file_is_a_day_or_of_slow_series_a_month(series: Series, unit: str) -> None:
    assert unit_of(series) == unit


@settings(deadline=None)
@given(st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1)))  # noqa: DTZ001
def test_a_period_has_the_name_of_its_date_and_holds_its_times(at: datetime) -> None:
    ns = (at.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * NS
    for unit, name in (("D", f"{at:%Y-%m-%d}"), ("M", f"{at:%Y-%m}")):
        assert period_at(ns, unit) == name  # type: ignore[arg-type]
        first, end = bounds(name, unit)  # type: ignore[arg-type]
        assert first <= ns < end
        assert (period_at(first, unit), period_at(end - 1, unit)) == (name, name)  # type: ignore[arg-type]
        assert period_at(end, unit) != name  # type: ignore[arg-type]


def test_bounds_of_what_is_no_period_are_refused() -> None:
    for name in ("2014-13", "notes", "", "2014", "NaT"):
        with pytest.raises(ValueError, match=name or "'' is no month"):
            bounds(name, "M")


def test_rows_are_cut_where_a_period_ends() -> None:
    days = [(name, len(part)) for name, part in by_period(some_bars([0, DAY - 1, DAY, 3 * DAY, 31 * DAY - 1, 31 * DAY]), "D")]
    assert days == [("2014-05-01", 2), ("2014-05-02", 1), ("2014-05-04", 1), ("2014-05-31", 1), ("2014-06-01", 1)]
    months = [name for name, _ in by_period(some_bars([0, DAY, 31 * DAY - 1, 31 * DAY]), "M")]
    assert months == ["2014-05", "2014-06"]
    assert list(by_period(some_quotes([]), "D")) == []


@settings(deadline=None)
@given(st.lists(st.integers(-(10**7), 10**7), min_size=1, max_size=50), st.sampled_from(["D", "M"]))
def test_cutting_loses_nothing(minutes: list[int], unit: str) -> None:
    rows = some_bars(sorted(minutes))
    parts = list(by_period(rows, unit))  # type: ignore[arg-type]
    assert np.concatenate([part.ts_open_ns for _, part in parts]).tolist() == rows.ts_open_ns.tolist()
    for name, part in parts:
        first, end = bounds(name, unit)  # type: ignore[arg-type]
        assert ((part.ts_open_ns >= first) & (part.ts_open_ns < end)).all()


def test_only_intervals_of_time_have_a_length() -> None:
    assert (duration_ns("5m"), duration_ns("1w"), duration_ns("tick:5")) == (5 * MINUTE, 7 * DAY * MINUTE, None)
    with pytest.raises(ValueError, match="not an interval"):
        duration_ns("M5")
    assert T0 % (DAY * MINUTE) == 0


@settings(deadline=None)
@given(st.sets(st.integers(-(10**17), 10**17), min_size=1, max_size=8))
def test_files_of_one_day_follow_one_another_in_the_order_of_their_names(times: set[int]) -> None:
    folder = Path("/a")
    day = bounds("2014-05-01", "D")[0]
    starts = sorted({day + at % (DAY * MINUTE) for at in times} | {day})
    paths = [path_at(folder, start, "D") for start in starts]
    assert sorted(paths) == paths
    assert [start_of(path, "D") for path in paths] == starts
    assert spans(paths, "D") == [
        Span(path, start, end) for path, start, end in zip(paths, starts, [*starts[1:], day + DAY * MINUTE], strict=True)
    ]
    assert older(paths, "D", starts[-1]) == paths[:-1]


def test_a_day_without_a_file_belongs_to_no_other() -> None:
    paths = [path_at(Path("/a"), bounds(day, "D")[0], "D") for day in ("2014-05-01", "2014-05-04")]
    assert [span.end_ns for span in spans(paths, "D")] == [bounds(day, "D")[1] for day in ("2014-05-01", "2014-05-04")]
    with pytest.raises(ValueError, match=r"may\.parquet is not named after a day or a time"):
        spans([Path("/a/may.parquet")], "D")
