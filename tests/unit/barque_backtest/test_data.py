"""What `--data` means: files by name, archives by what the book's strategies hear, and what is wrong where it cannot be."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from barque.errors import ConfigError
from barque_archive.importing import import_into
from barque_archive.series import Series
from barque_archive.sources import Source
from barque_backtest.data import Data, wanted_series
from barque_backtest.feeding import Span
from tests.support.backtests import ColumnsSource, a_book
from tests.support.builders import MINUTE, T0
from tests.support.columns import some_bars

BARS = "timestamp,open,high,low,close\n2014-05-01T00:00:00Z,1,2,1,1\n2014-05-01T00:01:00Z,1,2,1,1\n"
BOTH = "timestamp," + ",".join(f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close"))
QUOTES = "timestamp,bid,ask\n2014-05-01T00:00:00Z,1,2\n"


def a_strategy(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"id": f"s-{'-'.join(symbols)}".lower(), "strategy": "sma_cross", "symbols": list(symbols), **more}


BOOK = a_book(["EURUSD", "USDJPY", "GBPUSD"], [a_strategy("EURUSD"), a_strategy("USDJPY", interval="5m", intervals=["1h"])])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bars.csv").write_text(BARS)
    (tmp_path / "quotes.csv").write_text(QUOTES)
    (tmp_path / "both.csv").write_text(f"{BOTH}\n2014-05-01T00:00:00Z,1,2,1,1,1,2,1,1\n")
    return tmp_path


def opened(*typed: str, config: Mapping[str, Any] = BOOK, **more: Any) -> list[str]:
    return names(Data(config=config, typed=typed, **more)())


def names(sources: Sequence[Source]) -> list[str]:
    return [" + ".join(map(str, source.series)) for source in sources]


def fill(archive: Path, *texts: str) -> None:
    """An archive with two bars of each series."""
    for text in texts:
        symbol, interval, price = text.split(":")
        import_into(archive, ColumnsSource(some_bars(range(2), symbol=symbol, interval=interval, price=price)))


def refusal(*typed: str, config: Mapping[str, Any] = BOOK) -> str:
    with pytest.raises(ConfigError) as caught:
        Data(config=config, typed=typed)()
    return str(caught.value)


def test_a_file_says_by_its_columns_what_it_holds(folder: Path) -> None:
    assert opened("EURUSD=quotes.csv", "USDJPY=bars.csv", "GBPUSD=both.csv") == [
        "EURUSD quotes",
        "USDJPY bars 1m last",
        "GBPUSD bars 1m bid + GBPUSD bars 1m ask",
    ]


def test_what_a_file_does_not_say_is_given_before_the_equals_sign(folder: Path) -> None:
    assert opened("USDJPY:5m:mid=bars.csv", "GBPUSD:1m:ask=both.csv") == ["USDJPY bars 5m mid", "GBPUSD bars 1m ask"]


def test_an_archive_gives_what_strategies_hear_and_what_converts_their_money(folder: Path) -> None:
    fill(
        folder / "archive", "EURUSD:1m:bid", "EURUSD:1m:ask", "EURUSD:1h:bid", "USDJPY:5m:mid", "USDJPY:1d:mid", "GBPUSD:1h:last"
    )
    assert opened("archive") == [
        "EURUSD bars 1m ask",
        "EURUSD bars 1m bid",
        "USDJPY bars 5m mid",
        "GBPUSD bars 1h last",
    ]
    assert opened("EURUSD:1h=archive", "USDJPY:1d:mid=archive") == ["EURUSD bars 1h bid", "USDJPY bars 1d mid"]


def test_only_the_span_is_read_unless_somebody_wants_the_past(folder: Path) -> None:
    fill(folder / "archive", "EURUSD:1m:bid")
    span = Span(from_ns=T0 + MINUTE, to_ns=T0 + 2 * MINUTE)
    for place in ("EURUSD:1m:bid=archive", "EURUSD:1m:bid=bars.csv"):
        for with_past, rows in ((False, 1), (True, 2)):
            (source,) = Data(config=BOOK, typed=[place], span=span, with_past=with_past)()
            assert sum(len(columns) for columns in source) == rows


def known(*texts: str) -> list[Series]:
    found = []
    for text in texts:
        symbol, interval, price = text.split(":")
        found.append(Series(symbol, interval) if not price else Series(symbol, "bars", interval, price))  # type: ignore[arg-type]
    return found


def test_ticks_are_taken_where_bars_are_built_of_them_and_where_there_are_no_bars() -> None:
    there = known("EURUSD:quotes:", "EURUSD:1m:bid", "USDJPY:trades:", "USDJPY:1m:last")
    assert wanted_series(there, BOOK, "x") == known("EURUSD:1m:bid", "USDJPY:trades:")
    built = {**BOOK, "barbuilder": {"bars": [{"symbols": ["EURUSD"], "interval": "1m", "prices": ["mid"]}]}}
    assert wanted_series(there, built, "x") == known("EURUSD:quotes:", "USDJPY:trades:")


def test_where_there_is_neither_the_shortest_bars_are_taken_to_build_others_of() -> None:
    there = known("EURUSD:1m:bid", "USDJPY:1m:bid", "USDJPY:1m:ask", "USDJPY:3m:bid")
    assert wanted_series(there, BOOK, "x") == known("EURUSD:1m:bid", "USDJPY:1m:bid", "USDJPY:1m:ask")


def test_a_traded_symbol_without_data_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(ConfigError, match="x has nothing of it, but a strategy trades USDJPY; name its data: USDJPY=PATH"):
        wanted_series(known("EURUSD:1m:bid"), BOOK, "x")


def test_what_is_typed_wrong_is_said(folder: Path) -> None:
    fill(folder / "archive", "EURUSD:1m:bid")
    assert refusal("EURUSD=nothing.csv") == "option --data: nothing.csv does not exist"
    assert "expected SYMBOL=FILE" in refusal("postgre")
    assert refusal("bars.csv") == "option --data: bars.csv is a file; say of which symbol: SYMBOL=bars.csv"
    assert "symbol 'EURUS' has no [[instruments]] entry" in refusal("EURUS=bars.csv")
    assert "'5min' is not an interval" in refusal("EURUSD:5min=bars.csv")
    assert "'bit' is no price; did you mean 'bid'?" in refusal("EURUSD:1m:bit=bars.csv")
    assert "EURUSD bars 1m last is there twice" in refusal("EURUSD=bars.csv", "EURUSD:1m:last=bars.csv")
    assert "has no GBPUSD bars 1m" in refusal("GBPUSD=archive")


def test_without_data_the_configured_replay_is_played(folder: Path) -> None:
    files = [{"path": str(folder / "both.csv"), "symbol": "GBPUSD"}, {"path": str(folder / "bars.csv"), "symbol": "EURUSD"}]
    config = {**BOOK, "feed_replay": {"source": "files", "files": files}}
    assert opened(config=config) == ["GBPUSD bars 1m bid + GBPUSD bars 1m ask", "EURUSD bars 1m last"]
    assert Data(config=config).paths() == [folder / "both.csv", folder / "bars.csv"]
    assert "there is nothing to play" in refusal()
    assert "symbol 'GBP'" in refusal(config={**BOOK, "feed_replay": {"files": [files[0] | {"symbol": "GBP"}]}})


def test_it_can_be_sent_to_another_process_and_names_the_files_that_it_reads(folder: Path) -> None:
    data = Data(config=BOOK, typed=["EURUSD=bars.csv", "archive", "postgres"], span=Span(to_ns=T0))
    assert pickle.loads(pickle.dumps(data)) == data  # noqa: S301 (our own)
    assert data.paths() == [Path("bars.csv"), Path("archive")]
