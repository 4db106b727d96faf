"""Result folders: exact, whole or not there, and never over somebody else's."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from barque.config import StrategyConfig
from barque.errors import ConfigError
from barque.messages import Alert, SetupChanged, SignalRejected
from barque.messages.orders import RejectReason
from barque_backtest import folder as module
from barque_backtest.folder import check_target, is_result, read_messages, read_result, write_folder
from barque_backtest.results import Result, summarise
from portfolio.config import AccountConfig
from tests.support.builders import T0, a_signal, an_acceptance, an_order
from tests.support.runs import a_run, bars, fill

REJECTION = SignalRejected(
    signal_id="x", cause="c", root="r", strategy_id="s1", symbol="ACME", ts_event_ns=T0, reason=RejectReason.NO_PRICE, detail="…"
)
SETUP = SetupChanged(
    id="x", cause="c", root="r", strategy_id="s1", symbol="ACME", ts_event_ns=T0, setup_id="1", side="buy", state="FOUND",
    levels={"entry": Decimal("1.10")},
)  # fmt: skip


def a_result() -> Result:
    run = a_run(
        [fill(1, "3", "10.10", commission=Decimal("0.123456789012")), fill(4, "-3", "11.70")],
        6,
        wishes=[a_signal(symbol="ACME"), a_signal(symbol="ACME", id="s1/2/0")],
        setups=[SETUP],
        requests=[an_order(symbol="ACME")],
        rejections=[REJECTION],
        order_events=[an_acceptance(symbol="ACME")],
        alerts=[Alert(name="x", ts_event_ns=T0, severity="info", source="s", text="</script><b>")],
    )
    return summarise(run, [[bars([10.0, 10.5, 11.0, 10.0, 12.0, 12.0])]])


def test_messages_come_back_exactly_as_they_were_said(tmp_path: Path) -> None:
    result = a_result()
    write_folder(result, tmp_path / "out")
    run = result.run
    for kind, said in (
        ("signals", run.wishes),
        ("setups", run.setups),
        ("orders", run.requests),
        ("rejections", run.rejections),
        ("order_events", run.order_events),
        ("fills", run.fills),
        ("alerts", run.alerts),
    ):
        assert read_messages(tmp_path / "out", kind) == said


def test_tables_can_be_read_by_any_parquet_reader(tmp_path: Path) -> None:
    write_folder(a_result(), tmp_path / "out")
    fills = parquet.read_table(tmp_path / "out" / "fills.parquet").to_pandas()
    assert fills["price"].tolist() == [10.10, 11.70]
    assert str(fills["time"].dtype) == "datetime64[ns, UTC]"
    trades = parquet.read_table(tmp_path / "out" / "trades.parquet").to_pylist()
    assert [(t["direction"], t["net_base"]) for t in trades] == [("long", pytest.approx(4.8 - 0.123456789012))]
    equity = parquet.read_table(tmp_path / "out" / "equity.parquet").to_pandas()
    assert equity.columns.tolist() == ["time", "total", "drawdown", "strategy.s1"]
    assert equity["total"].iloc[-1] == pytest.approx(10_004.676543)
    assert equity["drawdown"].max() == pytest.approx(0.423456789012 / 10_000, abs=1e-10)
    assert sorted(p.stem for p in (tmp_path / "out").glob("*.parquet")) == [
        "days",
        "equity",
        "fills",
        "orders",
        "signals",
        "trades",
    ]


def test_equity_that_is_not_known_is_null_and_everything_else_is_written(tmp_path: Path) -> None:
    """JPY earned in an account in CHF: the account cannot be valued from the second bar on, a strategy that did nothing can."""
    accounts = (AccountConfig(name="paper", currency="CHF", starting_cash=Decimal(1000)),)
    strategies = tuple(StrategyConfig(id=name, strategy="x", symbols=("USDJPY",)) for name in ("s1", "idle"))
    run = a_run([fill(2, "1", "90.000", symbol="USDJPY")], 3, accounts=accounts, strategies=strategies)
    write_folder(summarise(run, [[bars([90.0, 91.0, 92.0], symbol="USDJPY")]]), tmp_path / "out")
    equity = parquet.read_table(tmp_path / "out" / "equity.parquet").to_pydict()
    assert equity["total"] == [1000.0, None, None]
    assert equity["strategy.idle"] == [1000.0, 1000.0, 1000.0]
    assert read_result(tmp_path / "out")["statistics"]["total"]["end_equity"] is None


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    result = a_result()
    for name in ("a", "b"):
        write_folder(result, tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) > 10
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_an_older_result_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write_folder(a_result(), target)
    (target / "left-over").write_text("x")
    write_folder(a_result(), target)
    assert not (target / "left-over").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_somebody_elses_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ConfigError, match="not a backtest's result"):
        write_folder(a_result(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(ConfigError, match="not a folder"):
        check_target(tmp_path / "out")
    with pytest.raises(ConfigError, match="not a folder that may be written"):
        check_target(tmp_path / "out" / "deeper")


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    write_folder(a_result(), tmp_path)
    assert is_result(tmp_path)


def test_after_an_error_in_the_middle_the_older_result_is_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    write_folder(a_result(), target)
    before = (target / "result.json").read_bytes()

    def full(_: Result) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "render", full)
    with pytest.raises(ConfigError, match="No space left"):
        write_folder(a_result(), target)
    assert (target / "result.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_result_json_holds_the_configuration_that_was_run(tmp_path: Path) -> None:
    write_folder(a_result(), tmp_path / "out")
    found = read_result(tmp_path / "out")
    assert found["config"] == {"book": {"name": "test"}}
    assert found["statistics"]["total"]["fills"] == 2


@pytest.mark.parametrize(("text", "what"), [("{}", "format None"), ("[]", "no JSON object"), ("{", "cannot be read")])
def test_a_folder_that_is_no_result_says_why(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ConfigError, match=what):
        read_result(tmp_path)


def test_a_broken_line_of_messages_is_named(tmp_path: Path) -> None:
    write_folder(a_result(), tmp_path / "out")
    path = tmp_path / "out" / "messages" / "fills.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines()
    broken = json.loads(lines[1])
    del broken["price"]
    path.write_bytes(gzip.compress(lines[0] + b"\n" + json.dumps(broken).encode() + b"\n"))
    with pytest.raises(ConfigError, match=r"fills.jsonl.gz, line 2: .*price"):
        read_messages(tmp_path / "out", "fills")
