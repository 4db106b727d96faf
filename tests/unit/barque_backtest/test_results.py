"""A whole result: figures of small runs worked out by hand, and JSON that any reader takes."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from barque.config import StrategyConfig
from barque.messages import Alert, EquityMarked, Fill, PositionChanged
from barque_archive.times import iso
from barque_backtest.results import CANDLES, Result, summarise, to_json
from barque_backtest.run import BacktestRun, clocks_of
from portfolio.config import AccountConfig
from tests.support.builders import MINUTE, T0, usdjpy
from tests.support.runs import a_run, bars, facts, fill

CLOSES = [10.0, 11.0, 12.0, 11.0, 13.0, 13.0]


def a_result() -> Result:
    """Bought 100 at 10 after the first bar, sold at 13 after the fifth, two dollars of commission."""
    fills = [fill(1, "100", "10.00", commission=Decimal(1)), fill(5, "-100", "13.00", commission=Decimal(1))]
    return summarise(a_run(fills, len(CLOSES)), [[bars(CLOSES)]])


def test_a_run_of_one_trade_worked_out_by_hand() -> None:
    total = a_result().total
    assert (total.start_equity, total.end_equity, total.net_profit) == (10_000.0, 10_298.0, 298.0)
    assert total.total_return == pytest.approx(0.0298)
    assert (total.trades, total.wins, total.fills, total.costs, total.turnover) == (1, 1, 2, 2.0, 2_300.0)
    assert total.average_trade == 298.0
    # equity: 9,999 10,099 10,199 10,099 10,298 10,298
    assert total.max_drawdown == pytest.approx(100 / 10_199)
    assert total.exposure == pytest.approx(4 / 6)


def test_equity_at_every_bar_is_kept_with_the_result() -> None:
    detail = a_result().curves["total"].detail
    assert detail is not None
    assert detail.equity.tolist() == [9_999.0, 10_099.0, 10_199.0, 10_099.0, 10_298.0, 10_298.0]


def test_a_trade_carries_its_excursions_and_its_profit_in_base_currency() -> None:
    (trip,) = a_result().trips
    assert (trip.worst_pnl, trip.best_pnl, trip.rate, trip.net_base) == (0.0, 300.0, 1.0, 298.0)


def test_money_of_another_currency_is_converted_at_the_rate_of_the_time() -> None:
    """10,000 USDJPY bought at 90, sold at 100: 100,000 JPY, worth 1,000 USD at 100."""
    fills = [fill(0, "0.1", "90.000", symbol="USDJPY"), fill(2, "-0.1", "100.000", symbol="USDJPY", commission=Decimal(5000))]
    run = a_run(fills, 3, strategies=(StrategyConfig(id="s1", strategy="x", symbols=("USDJPY",)),), instruments=(usdjpy(),))
    result = summarise(run, [[bars([90.0, 100.0, 125.0], symbol="USDJPY")]])
    (trip,) = result.trips
    assert (trip.gross_pnl, trip.net_base) == (Decimal(100_000), 950.0)
    assert result.total.costs == 50.0
    assert result.total.net_profit == 95_000 / 125  # what is left in JPY is worth less by the end
    assert result.total.turnover == pytest.approx(10_000.0 + 10_000.0)


def test_strategies_and_symbols_have_figures_of_their_own_that_add_up() -> None:
    fills = [fill(1, "100", "10.00"), fill(1, "-50", "10.00", strategy_id="s2"), fill(5, "-100", "13.00")]
    strategies = tuple(StrategyConfig(id=name, strategy="x", symbols=("ACME",)) for name in ("s1", "s2", "idle"))
    result = summarise(a_run(fills, 6, strategies=strategies), [[bars(CLOSES)]])
    assert {s.name: s.net_profit for s in result.strategies} == {"s1": 300.0, "s2": -150.0, "idle": 0.0}
    assert {s.name: s.net_profit for s in result.symbols} == {"ACME": 150.0}
    assert result.total.net_profit == 150.0
    assert [s.open_trades for s in result.strategies] == [0, 1, 0]


def test_starting_cash_is_that_of_the_accounts_that_traded() -> None:
    accounts = tuple(AccountConfig(name=n, currency="USD", starting_cash=Decimal(c)) for n, c in (("live", 7), ("paper", 500)))
    run = a_run([fill(1, "1", "10.00")], 6, accounts=accounts)
    assert summarise(run, [[bars(CLOSES)]]).total.start_equity == 500.0
    assert summarise(a_run([], 6, accounts=accounts), [[bars(CLOSES)]]).total.start_equity == 7.0


def test_without_an_account_there_is_money_and_no_return() -> None:
    result = summarise(a_run([fill(1, "100", "10.00")], 6, accounts=()), [[bars(CLOSES)]])
    assert (result.currency, result.total.net_profit, result.total.total_return) == ("USD", 300.0, None)
    assert "starting cash" in result.notes[0]


def test_money_that_cannot_be_converted_is_said_so() -> None:
    run = a_run([fill(1, "1", "90.000", symbol="USDJPY")], 6, accounts=(_account("CHF"),))
    result = summarise(run, [[bars([90.0, 91.0, 92.0], symbol="USDJPY")]])
    assert result.total.end_equity is None
    assert any("JPY" in note and "CHF" in note for note in result.notes)


@pytest.mark.parametrize("minutes", [0, 1, 6])
def test_a_run_without_fills_is_flat_and_json(minutes: int) -> None:
    columns = [[bars(CLOSES[:minutes])]] if minutes else []
    nothing = {} if minutes else {"first_ns": 0, "last_ns": 0, "end_ns": 0}
    found = to_json(summarise(a_run([], minutes, facts=facts(minutes, **nothing)), columns))
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text)["statistics"]["total"]["net_profit"] == 0.0
    assert found["statistics"]["total"]["sharpe"] is None


def test_json_has_the_facts_and_every_figure() -> None:
    found = json.loads(json.dumps(to_json(a_result()), allow_nan=False))
    assert found["config_digest"] == "0123456789abcdef"
    assert found["counts"] == {
        "signals": 0,
        "orders": 0,
        "rejections": 0,
        "fills": 2,
        "round_trips": 1,
        "alerts": 0,
        "dead_letters": 0,
    }
    assert found["data"]["bars"] == 6
    assert found["statistics"]["total"]["net_profit"] == 298.0
    assert [s["name"] for s in found["statistics"]["strategies"]] == ["s1"]
    assert found["months"] == [{"year": 2014, "month": 5, "return": pytest.approx(0.0298)}]


def test_candles_are_bounded_whatever_the_number_of_bars() -> None:
    count = 30_000
    result = summarise(a_run([], count), [[bars([10.0 + i % 7 for i in range(count)])]])
    (picture,) = result.pictures
    assert (picture.symbol, picture.price, picture.far_interval, picture.near_interval) == ("ACME", "last", "20m", "2m")
    assert len(picture.far) == 1_500
    assert len(picture.near) == 15_000
    assert len(picture.far) <= CANDLES
    assert len(result.curves["total"].picture) <= CANDLES


def test_the_clock_of_a_fill_is_that_of_the_valuation_after_it() -> None:
    def changed(each: Fill) -> PositionChanged:
        return PositionChanged(
            account="paper",
            strategy_id="s1",
            symbol="ACME",
            ts_event_ns=each.ts_event_ns,
            cause=each.exec_id,
            quantity=Decimal(1),
            average_price=Decimal(1),
            realised_pnl=Decimal(0),
            commission=Decimal(0),
            currency="USD",
        )

    def marked(minute: int) -> EquityMarked:
        money = dict.fromkeys(("cash", "equity", "unrealised_pnl", "realised_pnl"), Decimal(0))
        return EquityMarked(account="paper", ts_event_ns=T0 + minute * MINUTE, currency="USD", **money)

    fills = [fill(1, "1", "1.00"), fill(2, "1", "1.00"), fill(3, "1", "1.00")]
    said = [marked(1), changed(fills[0]), marked(2), marked(3), changed(fills[1]), changed(fills[2]), marked(4)]
    assert [(ns - T0) // MINUTE for ns in clocks_of(fills, said)] == [2, 2, 4]


def test_a_stopped_run_says_so() -> None:
    run: BacktestRun = a_run([], 6, facts=facts(6, interrupted=True))
    assert "stopped" in summarise(run, [[bars(CLOSES)]]).notes[0]


def _account(currency: str) -> AccountConfig:
    return AccountConfig(name="paper", currency=currency, starting_cash=Decimal(1000))


def test_critical_alerts_and_equity_below_zero_are_notes() -> None:
    """100 bought at 100 with 10,000: a price of 0.01 leaves 1, a commission of 2 takes more."""
    said = [("strategy_failed", "critical", "a"), ("strategy_notice", "info", "b"), ("strategy_failed", "critical", "c")]
    alerts = [
        Alert(name=name, severity=severity, text=text, ts_event_ns=T0 + n * MINUTE, source="strategy.s1")
        for n, (name, severity, text) in enumerate(said)
    ]
    bought = fill(1, "100", "100.00", commission=Decimal(2))
    result = summarise(a_run([bought], 3, alerts=alerts), [[bars([100.0, 100.0, 0.01])]])
    assert result.total.end_equity == -1.0
    assert any(note.startswith("equity came to zero or below") for note in result.notes)
    assert f"{iso(T0)}: a (1 more like it)" in result.notes
    assert a_result().notes == []


def test_who_cannot_trade_or_be_valued_is_a_note() -> None:
    other = AccountConfig(name="other", currency="USD", starting_cash=Decimal(10_000))
    notes = summarise(a_run([fill(1, "1", "10.00")], 2, accounts=(other,)), [[bars([10.0, 10.0])]]).notes
    assert [note.partition(":")[0] for note in notes] == ["account paper traded and has no [[portfolio.accounts]] entry"]
    (note,) = summarise(a_run([fill(1, "1", "10.00")], 3, accounts=()), [[bars([10.0, 12.0, 9.0])]]).notes
    assert note.startswith("no [[portfolio.accounts]] entry")
    notes = summarise(a_run([], 2, strategies=()), [[bars([10.0, 10.0])]]).notes
    assert notes == ["no [[strategies]] entry is enabled: nobody traded"]
