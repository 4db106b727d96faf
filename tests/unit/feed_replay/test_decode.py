"""Rows to messages, with values of the recordings themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.errors import ConfigError
from barque.messages import Bar, Quote, Trade
from feed_replay.core.decode import Labels, kind_of, row_decoder, time_ns
from tests.support.builders import MINUTE, NS, T0

EURUSD = Labels("EURUSD")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2014-05-01T00:00:00.292Z", T0 + 292 * 10**6),
        ("2014-05-01T00:00:00Z", T0),
        ("2014-05-01 00:00:00", T0),
        ("2014-05-01 00:00:00.000000", T0),
        ("2014-05-01 00:00:00+00:00", T0),
        ("2014-05-01T02:00:00.000000001+02:00", T0 + 1),
        ("2014-04-30T18:30:00-0530", T0),
        ("2014-04-30T17:00:00-07", T0),
        ("2014-05-01T00:01", T0 + MINUTE),
        ("2014-05-01", T0),
        ("2014-05-01T00:00:00.123456789Z", T0 + 123_456_789),
        ("2013-01-01 22:00:00.295000+00:00", 1_357_077_600_295_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1398902400", T0),
        ("1398902400292", T0 + 292 * 10**6),
        ("1398902400292001", T0 + 292_001_000),
        ("1398902400292001003", T0 + 292_001_003),
        (1_398_902_400, T0),
        (1_398_902_400_292_001_003, T0 + 292_001_003),
    ],
)
def test_a_timestamp_is_exact_to_the_nanosecond_and_utc_unless_it_says_otherwise(text: str | int, ns: int) -> None:
    assert time_ns(text) == ns


@given(st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)), st.sampled_from("T "), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_every_time_of_the_standard_library_is_read_as_it_was_written(when: datetime, separator: str, offset: int) -> None:
    utc = when.replace(tzinfo=UTC)
    since = utc - datetime(1970, 1, 1, tzinfo=UTC)
    micros = (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds
    assert time_ns(when.isoformat(separator)) == micros * 1_000
    hours, minutes = divmod(abs(offset), 60)
    zone = f"{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"
    assert time_ns((when + timedelta(minutes=offset)).isoformat(separator) + zone) == micros * 1_000


@given(st.integers(10**8, 4 * 10**9), st.sampled_from([1, 10**3, 10**6, 10**9]))
def test_an_integer_is_read_in_the_unit_its_size_says(seconds: int, per_second: int) -> None:
    assert time_ns(seconds * per_second) == time_ns(str(seconds * per_second)) == seconds * NS


@pytest.mark.parametrize(
    "value",
    [
        *("", "yesterday", "2014-05-01T24:00:00Z", "2014-05-01T00:60:00Z", "2014-05-01T00:00:60Z", "2014-13-01", "2014-02-30"),
        *("2014-05-01T00:00:00.1234567891Z", "1398902400.5", "1e9", "٢٠١٤-05-01", "2014-05-01T00:00:00 Z", 1.5, None, True),
    ],
)
def test_what_is_no_timestamp_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"timestamp|month|day"):
        time_ns(value)


def test_a_row_of_quotes() -> None:
    decode = row_decoder(["timestamp", "bid", "ask"], EURUSD)
    at = T0 + 292 * 10**6
    assert decode(["2014-05-01T00:00:00.292Z", "1.38676", "1.38686"]) == [
        Quote(symbol="EURUSD", ts_event_ns=at, ts_recv_ns=at, bid=1.38676, ask=1.38686)
    ]


def test_columns_may_come_in_any_order_with_sizes_or_with_more_than_is_needed() -> None:
    decode = row_decoder(["venue", "ask_size", "ask", "bid", "bid_size", "timestamp_utc"], EURUSD)
    [quote] = decode(["X", "3", "1.2", "1.1", "4.5", "2014-05-01"])
    assert quote == Quote(symbol="EURUSD", ts_event_ns=T0, ts_recv_ns=T0, bid=1.1, ask=1.2, bid_size=4.5, ask_size=3.0)


def test_a_row_of_trades() -> None:
    decode = row_decoder(["timestamp", "price", "size"], Labels("SPY"))
    at = 1_381_132_800_464 * 10**6
    assert decode(["2013-10-07T08:00:00.464Z", "167.41", "100"]) == [
        Trade(symbol="SPY", ts_event_ns=at, ts_recv_ns=at, price=167.41, size=100.0)
    ]


def test_a_bar_is_labelled_by_its_open_and_happens_at_its_close() -> None:
    decode = row_decoder(["timestamp_utc", "open", "high", "low", "close", "volume"], Labels("6EH4", "5m", "last"))
    [bar] = decode(["2014-05-01 00:00:00", "1.1076", "1.10785", "1.1075", "1.1078", "205"])
    assert bar == Bar(
        symbol="6EH4",
        interval="5m",
        price="last",
        ts_open_ns=T0,
        ts_close_ns=T0 + 5 * MINUTE,
        open=1.1076,
        high=1.10785,
        low=1.1075,
        close=1.1078,
        volume=205.0,
    )


def test_a_row_of_bid_and_ask_bars_is_two_messages_bid_first() -> None:
    sides = [f"{side}_{part}" for side in ("ask", "bid") for part in ("open", "high", "low", "close")]
    bid, ask = row_decoder(["timestamp", *sides], EURUSD)(["2014-05-01", "5", "8", "4", "7", "1", "4", "0.5", "3"])
    assert (bid.price, bid.open, bid.high, bid.low, bid.close) == ("bid", 1.0, 4.0, 0.5, 3.0)
    assert (ask.price, ask.open, ask.high, ask.low, ask.close) == ("ask", 5.0, 8.0, 4.0, 7.0)


def test_a_quote_that_is_no_number_is_left_to_the_bar_builders_quarantine() -> None:
    [quote] = row_decoder(["timestamp", "bid", "ask"], EURUSD)(["2014-05-01", "nan", "1.2"])
    assert isnan(quote.bid)


@pytest.mark.parametrize(
    "row", [["2014-05-01", "x", "1", "1", "1"], ["2014-05-01", "1", "nan", "1", "1"], ["?", "1", "1", "1", "1"]]
)
def test_a_bar_that_is_no_bar_is_refused(row: list[str]) -> None:
    with pytest.raises(ValueError, match=r"could not convert|numbers expected|timestamp"):
        row_decoder(["timestamp", "open", "high", "low", "close"], EURUSD)(row)


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        (["time", "bid", "ask"], "columns time, bid, ask: missing timestamp for quotes; expected one of: quotes: timestamp, bid"),
        (["timestamp", "bid"], "missing ask for quotes"),
        (["timestamp", "open", "high", "close"], "missing low for bars"),
        (["timestamp", "bid_open", "bid_high", "bid_low", "bid_close"], "missing ask_open, ask_high, ask_low, ask_close"),
        ([], r"columns \(none\): missing timestamp"),
    ],
)
def test_missing_columns_are_named_with_what_was_expected(columns: list[str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        kind_of(columns)


def test_an_interval_that_is_none_is_a_matter_of_configuration() -> None:
    with pytest.raises(ConfigError, match="key 'interval': '5min'"):
        row_decoder(["timestamp", "open", "high", "low", "close"], Labels("X", "5min"))
