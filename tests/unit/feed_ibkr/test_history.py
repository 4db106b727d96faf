"""Questions to the Gateway's history and what its answers mean."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from barque.calendars import calendar
from barque.config import load_section
from barque.errors import ConfigError, VenueRefused
from barque.live_feed.source import HistoryQuery
from feed_ibkr.config import FeedIbkrConfig
from feed_ibkr.core.growing import GrowingBars
from feed_ibkr.core.history import Told, bar_of, opened_at, pages_of
from feed_ibkr.core.plan import streams_of
from tests.support.builders import MINUTE, NS, T0, a_bar, eurusd


def a_query(interval: str, seconds: int) -> HistoryQuery:
    return HistoryQuery(symbol="EURUSD", kind="bars", from_ns=T0, to_ns=T0 + seconds * NS, interval=interval)


def test_a_long_time_is_asked_for_in_pages_that_the_gateway_takes() -> None:
    pages = list(pages_of(a_query("1m", 2 * 86_400 + 3_600)))
    assert [(page.bar_size, page.duration) for page in pages] == [("1 min", "86400 S"), ("1 min", "86400 S"), ("1 min", "3600 S")]
    assert [page.end for page in pages] == [datetime(2014, 5, day, hour, tzinfo=UTC) for day, hour in ((2, 0), (3, 0), (3, 1))]
    assert [page.duration for page in pages_of(a_query("1h", 40 * 86_400))] == ["30 D", "10 D"]
    assert [page.duration for page in pages_of(a_query("5s", 60))] == ["60 S"]


def test_bars_that_the_gateway_has_not_are_refused_with_those_that_it_has() -> None:
    with pytest.raises(VenueRefused, match=r"no bars of 7m; it has 1s, 5s, .* 1d"):
        list(pages_of(a_query("7m", 60)))


def test_a_bars_time_in_each_form_in_which_it_comes() -> None:
    fx = calendar("FX")
    assert opened_at("1398902400", fx) == (T0, 0)
    assert opened_at(datetime(2014, 5, 1, tzinfo=UTC), fx) == (T0, 0)
    five_pm = int(datetime(2014, 4, 30, 21, tzinfo=UTC).timestamp()) * NS
    assert opened_at("20140501", fx) == opened_at(date(2014, 5, 1), fx) == (five_pm, five_pm + 86_400 * NS)
    assert opened_at("finished-20140501", fx) is None


def test_a_bar_without_a_volume_has_none() -> None:
    bar = bar_of("EURUSD", "1m", "bid", Told((T0, 0), 1.1, 1.3, 1.0, 1.2, -1.0, -1))
    assert (bar.ts_close_ns - T0, bar.volume, bar.tick_count) == (MINUTE, 0.0, 0)


def test_a_growing_bar_is_told_when_the_next_begins_and_once() -> None:
    bars = GrowingBars(after_ns=0)
    first = [a_bar(T0), a_bar(T0 + MINUTE, close=1.1), a_bar(T0 + MINUTE, close=1.2), a_bar(T0 + 2 * MINUTE), a_bar(T0 + MINUTE)]
    assert list(bars.past(first[0])) == []
    told = [bar for update in first[1:] for bar in bars.update(update)]
    assert told == [first[0], first[2]]


def test_after_a_renewal_the_past_is_told_from_where_it_was() -> None:
    bars = GrowingBars(after_ns=T0)
    told = [bar for i in range(4) for bar in bars.past(a_bar(T0 + i * MINUTE))]
    assert told == [a_bar(T0 + MINUTE), a_bar(T0 + 2 * MINUTE)], "the last may still be open"
    assert list(bars.update(a_bar(T0 + 4 * MINUTE))) == [a_bar(T0 + 3 * MINUTE)]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"streams": [{"symbol": "EURUSD", "kind": "bars"}]}, "brings quotes and trades, not bars"),
        ({"streams": [{"symbol": "EURUSD", "kind": "trades"}]}, "EURUSD has no trades"),
        ({"streams": [{"symbol": "EURUSD", "kind": "bars", "how": "five_seconds"}]}, "EURUSD has no trades"),
        ({"symbols": ["EURUSD", "EURUSD"]}, "EURUSD.quotes is there twice"),
        ({"streams": [{"symbol": "EURUSD", "kind": "bars", "how": "keep_up_to_date", "interval": "1s"}]}, "5s and longer"),
        ({"symbol": ["EURUSD"]}, "did you mean 'symbols'"),
    ],
)
def test_a_stream_that_cannot_be_is_refused_before_anything_is_connected(section: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        streams_of(load_section({"feed_ibkr": section}, "feed_ibkr", FeedIbkrConfig), [eurusd()])
