"""History: made up, loaded, and lived through."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from simulators.tws.catalogue import Catalogue
from simulators.tws.market import MAX_CELLS, Candle, Lane, Tick
from simulators.tws.past import DAY, Past, PastBar, loaded_cell, told

NS = 10**9
NOW_S = int(datetime(2026, 12, 3, 15, 0, tzinfo=UTC).timestamp())
CATALOGUE = Catalogue(date(2026, 12, 3))


def a_lane(name: str = "USDJPY") -> Lane:
    return Lane(CATALOGUE.named(name), NOW_S * NS)


def bars(what: str = "MIDPOINT", seconds: int = 60, hours: float = 2, seed: int = 1, name: str = "USDJPY") -> list[PastBar]:
    return Past(seed, keep_hours=False).bars(a_lane(name), what, seconds, NOW_S - round(3_600 * hours), NOW_S)


def test_the_same_seed_is_the_same_past_however_it_is_asked_for() -> None:
    whole = bars(hours=6)
    past = Past(1, keep_hours=False)
    late = past.bars(a_lane(), "MIDPOINT", 60, NOW_S - 3_600, NOW_S)
    early = past.bars(a_lane(), "MIDPOINT", 60, NOW_S - 6 * 3_600, NOW_S - 3_600)
    assert early + late == whole
    assert bars(hours=6, seed=2) != whole


def test_it_joins_the_first_price() -> None:
    assert bars("BID")[-1].close == 150.0


@pytest.mark.parametrize(("seconds", "small"), [(3_600, 60), (300, 60), (60, 5)])
def test_longer_bars_are_made_of_shorter_ones(seconds: int, small: int) -> None:
    longer, parts = bars(seconds=seconds, hours=4), bars(seconds=small, hours=4)
    assert len(longer) == 4 * 3_600 // seconds
    for bar in longer:
        inside = [part for part in parts if bar.start_s <= part.start_s < bar.start_s + seconds]
        assert (bar.open, bar.close) == (inside[0].open, inside[-1].close)
        assert bar.high == max(part.high for part in inside)
        assert bar.low == min(part.low for part in inside)


def test_bid_mid_and_ask_lie_in_order_and_only_trades_have_volume() -> None:
    for bid, mid, ask in zip(bars("BID"), bars("MIDPOINT"), bars("ASK"), strict=True):
        assert bid.low < mid.low < ask.low and bid.high < mid.high < ask.high
        assert (mid.volume, mid.count) == (-1, -1)
    assert all(bar.volume > 0 and bar.count > 0 for bar in bars("TRADES", name="SPY"))
    both = bars("BID_ASK")
    assert [bar.low for bar in both] == [bar.low for bar in bars("BID")]
    assert [bar.high for bar in both] == [bar.high for bar in bars("ASK")]


def test_regular_hours_are_kept_where_asked_for() -> None:
    found = Past(1, keep_hours=False).bars(a_lane("SPY"), "TRADES", 60, NOW_S - DAY, NOW_S, rth=True)
    starts = [datetime.fromtimestamp(bar.start_s, UTC) for bar in found]
    assert len(found) == 360 + 30, "six hours of Wednesday, half an hour of Thursday"
    assert all((each.hour, each.minute) >= (14, 30) and each.hour < 21 for each in starts)


def test_days_reach_back_years_and_minutes_a_month() -> None:
    past = Past(1, keep_hours=False)
    days = past.bars(a_lane(), "MIDPOINT", DAY, NOW_S - 400 * DAY, NOW_S)
    assert len(days) > 270
    assert past.bars(a_lane(), "MIDPOINT", 3_600, NOW_S - 60 * DAY, NOW_S - 50 * DAY) == []


def test_an_evening_session_belongs_to_the_day_on_which_it_ends() -> None:
    """Thursday 3 December begins on Wednesday at 17:15 in New York, 22:15 UTC."""
    lane = a_lane()
    lane.loaded = [
        loaded_cell(NOW_S - NOW_S % DAY - 6_300 + shift, 60, Candle(*[1.0] * 4), Candle(*[2.0] * 4)) for shift in (-60, 0)
    ]
    found = Past(1, keep_hours=True).bars(lane, "MIDPOINT", DAY, lane.loaded[0].start_s, NOW_S)
    assert [told(bar.start_s, DAY, 2, "UTC") for bar in found] == ["20261202", "20261203"]


def test_what_was_loaded_stands_before_what_happened() -> None:
    lane = a_lane()
    lane.loaded = [
        loaded_cell(NOW_S - 120 + 60 * n, 60, Candle(1.0 + n, 1.5 + n, 0.5 + n, 1.2 + n), Candle(*[2.0 + n] * 4))
        for n in range(2)
    ]
    lane.quote(Tick((NOW_S + 1) * NS, 5.0, 6.0, 1.0, 1.0))
    found = Past(1, keep_hours=False).bars(lane, "BID", 60, NOW_S - 120, NOW_S + 60)
    assert [(bar.open, bar.high, bar.low, bar.close) for bar in found] == [
        (1.0, 1.5, 0.5, 1.2),
        (2.0, 2.5, 1.5, 2.2),
        (5.0, 5.0, 5.0, 5.0),
    ]


def test_what_happened_long_ago_is_kept_by_the_minute() -> None:
    lane = a_lane()
    for second in range(0, 5 * (MAX_CELLS + 24), 5):
        lane.quote(Tick((NOW_S + second) * NS, 100.0 + second, 101.0 + second, 1.0, 1.0))
    assert (len(lane.cells), len(lane.minutes)) == (MAX_CELLS, 2)
    first, second_minute = Past(1, keep_hours=False).bars(lane, "BID", 60, NOW_S, NOW_S + 120)
    assert (first.open, first.high, first.low, first.close) == (100.0, 155.0, 100.0, 155.0)
    assert (second_minute.open, second_minute.close) == (160.0, 215.0)


@pytest.mark.parametrize(
    ("seconds", "form", "expected"),
    [(60, 2, str(NOW_S)), (60, 1, "20261203 10:00:00 US/Eastern"), (DAY, 1, "20261203"), (DAY, 2, "20261203")],
)
def test_times_of_bars_are_told_in_the_form_that_was_asked_for(seconds: int, form: int, expected: str) -> None:
    assert told(NOW_S, seconds, form, "US/Eastern") == expected
