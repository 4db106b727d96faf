"""The simulated terminal answers as the platform's reference says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from simulators.mt5 import Mt5Simulator, forex
from simulators.mt5 import constants as mt5

NS = 10**9
WINTER = int(datetime(2026, 1, 14, 12, tzinfo=UTC).timestamp())
SUMMER = int(datetime(2026, 7, 15, 12, tzinfo=UTC).timestamp())


class Clock:
    """Seconds UTC that a test moves."""

    def __init__(self, now_s: int = WINTER) -> None:
        self.now_s = now_s

    def __call__(self) -> int:
        return self.now_s * NS


def a_terminal(clock: Clock | None = None, **more: Any) -> Mt5Simulator:
    """EURUSD at 1.10000 / 1.10010, initialised."""
    sim = Mt5Simulator(more.pop("symbols", ["EURUSD"]), now_ns=clock or Clock(), **more)
    assert sim.module.initialize()
    sim.quote("EURUSD", 1.10000, 1.10010)
    return sim


def deal(**changes: Any) -> dict[str, Any]:
    base = {"action": mt5.TRADE_ACTION_DEAL, "symbol": "EURUSD", "volume": 0.1, "type": mt5.ORDER_TYPE_BUY, "price": 1.1001}
    return base | {"type_filling": mt5.ORDER_FILLING_IOC, "deviation": 10, "magic": 7, "comment": "tok"} | changes


def pending(**changes: Any) -> dict[str, Any]:
    base = {"action": mt5.TRADE_ACTION_PENDING, "type": mt5.ORDER_TYPE_BUY_LIMIT, "price": 1.09}
    return deal(**base) | {"type_filling": mt5.ORDER_FILLING_RETURN} | changes


# -- what it refuses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "retcode"),
    [
        (deal(volume=0.015), 10014),
        (deal(volume=0.001), 10014),
        (deal(volume=1_000.0), 10014),
        (deal(type_filling=mt5.ORDER_FILLING_RETURN), 10030),
        (deal(symbol="NOSUCH"), 10013),
        (deal(sl=1.09995), 10016),
        (deal(tp=1.09), 10016),
        (deal(volume=100.0), 10019),
        (deal(position=4711), 10036),
        (pending(price=1.1005), 10015),
        (pending(price=1.10005), 10015),
        (pending(type=mt5.ORDER_TYPE_SELL_LIMIT, price=1.09), 10015),
        (pending(type_time=mt5.ORDER_TIME_SPECIFIED, expiration=WINTER + 2 * 3600 - 1), 10022),
        (pending(type=mt5.ORDER_TYPE_BUY), 10035),
        ({"action": mt5.TRADE_ACTION_REMOVE, "order": 4711}, 10013),
        ({"action": 99, "symbol": "EURUSD"}, 10013),
    ],
)
def test_a_request_with_a_fault_is_refused_with_its_retcode_and_changes_nothing(request_: Any, retcode: int) -> None:
    sim = a_terminal(symbols=[forex("EURUSD", stops_level=10)])
    answer = sim.module.order_send(request_)
    assert answer.retcode == retcode
    assert not sim.book.trades() and not sim.book.open


@pytest.mark.parametrize(
    "malformed", [None, [1], deal(nonsense=1), deal(volume="0.1"), deal(magic=1.5), deal(comment="x" * 32), {"symbol": "EURUSD"}]
)
def test_a_malformed_request_is_none_with_last_error_minus_two(malformed: Any) -> None:
    sim = a_terminal()
    assert sim.module.order_send(malformed) is None
    assert sim.module.last_error()[0] == -2


def test_switches_and_closed_markets_have_their_own_retcodes() -> None:
    sim = a_terminal()
    sim.auto_trading = False
    assert sim.module.order_send(deal()).retcode == 10027
    sim.auto_trading = True
    sim.close_market("EURUSD")
    assert sim.module.order_send(deal()).retcode == 10018
    sim.close_market("EURUSD", closed=False)
    sim.server.off_quotes.add("EURUSD")
    assert sim.module.order_send(deal()).retcode == 10021
    sim.server.off_quotes.clear()
    sim.terminal.connected = False
    assert sim.module.order_send(deal()).retcode == 10031
    sim.terminal.connected = True
    sim.account.trade_allowed = False
    assert sim.module.order_send(deal()).retcode == 10017
    assert not sim.book.trades()


def test_instant_execution_requotes_beyond_the_deviation() -> None:
    sim = a_terminal(symbols=[forex("EURUSD", execution=mt5.SYMBOL_TRADE_EXECUTION_INSTANT)])
    answer = sim.module.order_send(deal(price=1.0999))
    assert (answer.retcode, answer.ask) == (10004, 1.1001)
    assert sim.module.order_send(deal(price=1.1)).retcode == 10009


# -- what it does ------------------------------------------------------------------------------------------------------


def test_a_market_order_is_a_deal_a_position_and_an_order_in_the_history() -> None:
    sim = a_terminal(symbols=[forex("EURUSD", commission_per_lot=7.0)])
    answer = sim.module.order_send(deal(volume=0.5))
    assert (answer.retcode, answer.volume, answer.price, answer.comment) == (10009, 0.5, 1.1001, "Request executed")
    position = sim.module.positions_get(ticket=answer.order)[0]
    assert (position.volume, position.price_open, position.magic, position.comment) == (0.5, 1.1001, 7, "tok")
    assert position.profit == pytest.approx(-5.0)  # 0.5 lots, 1 pip of spread
    (found,) = sim.module.history_deals_get(ticket=answer.order)
    assert (found.ticket, found.commission, found.entry, found.position_id) == (answer.deal, -3.5, 0, answer.order)
    assert sim.module.history_orders_get(ticket=answer.order)[0].state == mt5.ORDER_STATE_FILLED
    assert sim.module.account_info().balance == 99_996.5


def test_on_a_hedging_account_the_opposite_deal_opens_unless_it_names_the_position() -> None:
    sim = a_terminal()
    first = sim.module.order_send(deal()).order
    sim.module.order_send(deal(type=mt5.ORDER_TYPE_SELL, price=1.1))
    assert len(sim.module.positions_get()) == 2
    assert sim.book.net("EURUSD") == 0
    answer = sim.module.order_send(deal(type=mt5.ORDER_TYPE_SELL, price=1.1, position=first, volume=0.04))
    assert answer.retcode == 10009
    assert sim.module.positions_get(ticket=first)[0].volume == pytest.approx(0.06)
    assert sim.module.order_send(deal(type=mt5.ORDER_TYPE_SELL, price=1.1, position=first)).retcode == 10038


def test_on_a_netting_account_there_is_one_position_and_a_reversal_is_one_deal() -> None:
    sim = a_terminal(hedging=False)
    sim.module.order_send(deal(volume=0.1))
    sim.quote("EURUSD", 1.10200, 1.10210)
    answer = sim.module.order_send(deal(type=mt5.ORDER_TYPE_SELL, volume=0.3, price=1.102))
    (position,) = sim.module.positions_get()
    assert (position.type, position.volume, position.price_open) == (mt5.POSITION_TYPE_SELL, 0.2, 1.102)
    (found,) = sim.module.history_deals_get(ticket=answer.order)
    assert found.entry == mt5.DEAL_ENTRY_INOUT
    assert found.profit == pytest.approx(19.0)  # 0.1 lots, 19 pips


def test_close_by_ends_two_opposite_positions() -> None:
    sim = a_terminal()
    long = sim.module.order_send(deal()).order
    short = sim.module.order_send(deal(type=mt5.ORDER_TYPE_SELL, price=1.1)).order
    answer = sim.module.order_send({"action": mt5.TRADE_ACTION_CLOSE_BY, "position": long, "position_by": short})
    assert answer.retcode == 10009
    assert sim.module.positions_get() == ()
    assert sim.book.balance == pytest.approx(99_999.0)  # the spread, 1 pip of 0.1 lots
    assert [d.entry for d in sim.book.trades()][-2:] == [mt5.DEAL_ENTRY_OUT_BY] * 2


def test_pending_orders_trade_when_the_price_comes_and_stops_when_it_passes() -> None:
    sim = a_terminal()
    limit = sim.module.order_send(pending(price=1.0990, comment="limit")).order
    stop = sim.module.order_send(pending(type=mt5.ORDER_TYPE_BUY_STOP, price=1.1020, comment="stop")).order
    both = sim.module.order_send(
        pending(type=mt5.ORDER_TYPE_BUY_STOP_LIMIT, price=1.1040, stoplimit=1.1030, comment="stoplimit")
    ).order
    assert [o.ticket for o in sim.module.orders_get()] == [limit, stop, both]
    sim.quote("EURUSD", 1.0988, 1.0989)
    assert sim.book.orders_with("limit")[0].state == mt5.ORDER_STATE_FILLED
    assert sim.book.trades()[-1].price == 1.0989
    sim.quote("EURUSD", 1.1049, 1.1050)
    assert sim.book.trades()[-1].price == 1.1050  # a stop trades at the market
    assert sim.module.orders_get(ticket=both)[0].type == mt5.ORDER_TYPE_BUY_LIMIT
    sim.quote("EURUSD", 1.1028, 1.1029)
    assert [d.comment for d in sim.book.trades()] == ["limit", "stop", "stoplimit"]


def test_stop_loss_and_take_profit_leave_at_the_market_with_their_reason() -> None:
    sim = a_terminal()
    first = sim.module.order_send(deal(sl=1.0980, tp=1.1050)).order
    second = sim.module.order_send(deal(sl=1.0900)).order
    sim.module.order_send({"action": mt5.TRADE_ACTION_SLTP, "position": second, "sl": 1.0900, "tp": 1.1030})
    sim.quote("EURUSD", 1.1031, 1.1032)
    assert [p.ticket for p in sim.module.positions_get()] == [first]
    sim.quote("EURUSD", 1.0975, 1.0976)
    left = sim.book.trades()[-2:]
    assert [(d.reason, d.price, d.comment) for d in left] == [
        (mt5.DEAL_REASON_TP, 1.1031, "[tp 1.10300]"),
        (mt5.DEAL_REASON_SL, 1.0975, "[sl 1.09800]"),
    ]
    assert sim.module.positions_get() == ()


def test_modify_and_remove_reach_a_pending_order() -> None:
    sim = a_terminal()
    ticket = sim.module.order_send(pending()).order
    change = {"action": mt5.TRADE_ACTION_MODIFY, "order": ticket, "price": 1.08, "type_time": 0}
    assert sim.module.order_send(change).retcode == 10009
    assert sim.module.order_send(change).retcode == 10025
    assert sim.module.orders_get(ticket=ticket)[0].price_open == 1.08
    assert sim.module.order_send({"action": mt5.TRADE_ACTION_REMOVE, "order": ticket}).retcode == 10009
    assert sim.module.orders_get() == ()
    assert sim.module.history_orders_get(ticket=ticket)[0].state == mt5.ORDER_STATE_CANCELED


def test_what_liquidity_does_not_give_is_left_by_ioc_refused_by_fok_and_waits_as_return() -> None:
    sim = a_terminal()
    sim.server.liquidity["EURUSD"] = 0.04
    answer = sim.module.order_send(deal())
    assert (answer.retcode, answer.volume) == (10010, 0.04)
    assert sim.module.order_send(deal(type_filling=mt5.ORDER_FILLING_FOK)).retcode == 10006
    waiting = sim.module.order_send(pending(price=1.0999)).order
    sim.quote("EURUSD", 1.0998, 1.0999)
    (order,) = sim.module.orders_get(ticket=waiting)
    assert (order.state, order.volume_current) == (mt5.ORDER_STATE_PARTIAL, 0.06)
    sim.quote("EURUSD", 1.0998, 1.0999)
    sim.quote("EURUSD", 1.0998, 1.0999)
    assert [d.volume for d in sim.module.history_deals_get(ticket=waiting)] == [0.04, 0.04, 0.02]


def test_an_order_ends_at_its_time_of_the_servers_clock() -> None:
    clock = Clock()
    sim = a_terminal(clock)
    until = WINTER + 2 * 3600 + 60  # EET is two hours ahead
    ticket = sim.module.order_send(pending(type_time=mt5.ORDER_TIME_SPECIFIED, expiration=until)).order
    clock.now_s += 59
    assert len(sim.module.orders_get()) == 1
    clock.now_s += 1
    assert sim.module.orders_get() == ()
    assert sim.module.history_orders_get(ticket=ticket)[0].state == mt5.ORDER_STATE_EXPIRED


# -- times and history -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("now_s", "hours"), [(WINTER, 2), (SUMMER, 3)])
def test_all_times_are_the_servers_wall_clock(now_s: int, hours: int) -> None:
    sim = a_terminal(Clock(now_s))
    wall = now_s + hours * 3600
    assert sim.module.symbol_info_tick("EURUSD").time == wall
    ticket = sim.module.order_send(deal()).order
    assert sim.module.history_deals_get(ticket=ticket)[0].time == wall
    ticks = sim.module.copy_ticks_from("EURUSD", datetime.fromtimestamp(wall, UTC), 10, mt5.COPY_TICKS_ALL)
    assert ticks["time_msc"].tolist() == [wall * 1_000]
    assert ticks["flags"].tolist() == [134]


def test_bars_are_made_of_bids() -> None:
    clock = Clock()
    sim = a_terminal(clock)
    for seconds, bid in ((10, 1.2), (20, 1.0), (65, 1.05)):
        clock.now_s = WINTER + seconds
        sim.quote("EURUSD", bid, bid + 0.0002)
    rates = sim.module.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M1, 0, 10)
    wall = WINTER + 2 * 3600
    assert rates[["time", "open", "high", "low", "close", "tick_volume"]].tolist() == [
        (wall, 1.1, 1.2, 1.0, 1.0, 3),
        (wall + 60, 1.05, 1.05, 1.05, 1.05, 1),
    ]
    assert len(sim.module.copy_rates_from("EURUSD", mt5.TIMEFRAME_M1, wall, 5)) == 1
    assert len(sim.module.copy_rates_range("EURUSD", mt5.TIMEFRAME_H1, wall, wall + 60)) == 1


def test_a_loaded_past_is_served_by_time() -> None:
    sim = Mt5Simulator(["EURUSD"], now_ns=Clock())
    sim.module.initialize()
    times = (WINTER + np.arange(5, dtype=np.int64)) * NS
    sim.load("EURUSD", times, [1.0, 1.1, 1.2, 1.3, 1.4], [2.0] * 5)
    wall = WINTER + 2 * 3600
    assert sim.module.copy_ticks_range("EURUSD", wall + 1, wall + 3, -1)["bid"].tolist() == [1.1, 1.2, 1.3]
    assert len(sim.module.copy_ticks_from("EURUSD", wall + 2, 2, -1)) == 2
    assert sim.module.copy_ticks_from("NOSUCH", wall, 2, -1) is None


def test_groups_are_read_in_their_order() -> None:
    sim = Mt5Simulator(["EURUSD", "EURJPY", "USDJPY"], now_ns=Clock())
    sim.module.initialize()
    assert [s.name for s in sim.module.symbols_get(group="*JPY*, !EUR*")] == ["USDJPY"]
    assert [s.name for s in sim.module.symbols_get(group="!EUR*, *USD*")] == ["EURUSD", "USDJPY"]


# -- how it fails ------------------------------------------------------------------------------------------------------


def test_without_initialize_every_call_is_none_and_says_why() -> None:
    sim = Mt5Simulator(["EURUSD"])
    assert sim.module.account_info() is None
    assert sim.module.last_error() == (-10004, "No IPC connection")


def test_a_wrong_path_login_or_a_terminal_that_is_not_running_fail_to_initialize() -> None:
    sim = Mt5Simulator(["EURUSD"])
    module = sim.module
    assert not module.initialize("D:\\elsewhere\\terminal64.exe") and module.last_error()[0] == -10003
    assert not module.initialize(login=1, password="x", server="y") and module.last_error()[0] == -6
    assert module.account_info() is None
    sim.terminal.running = False
    assert not module.initialize() and module.last_error()[0] == -10005
    sim.terminal.running = True
    assert module.initialize(login=5001, password="demo", server="Simulated-Demo")


def test_a_pipe_that_breaks_before_a_request_leaves_no_trace_and_after_it_a_deal() -> None:
    sim = a_terminal()
    sim.fault("before", "ipc")
    assert sim.module.order_send(deal(comment="a")) is None and sim.module.last_error()[0] == -10004
    assert sim.module.positions_get() is None
    sim.module.shutdown()
    assert sim.module.initialize()
    sim.fault("during", "ipc")
    assert sim.module.order_send(deal(comment="b")) is None and sim.module.last_error()[0] == -10005
    sim.module.initialize()
    sim.fault("after", "ipc")
    assert sim.module.order_send(deal(comment="c")).retcode == 10009
    assert sim.module.positions_get() is None
    assert [sim.book.submissions(each) for each in "abc"] == [0, 1, 1]


def test_a_retcode_fault_answers_without_doing_or_after_doing() -> None:
    sim = a_terminal()
    sim.fault("before", "retcode", retcode=10004, times=2)
    sim.fault("during", "retcode", retcode=10012)
    codes = [sim.module.order_send(deal(comment=str(n))).retcode for n in range(4)]
    assert codes == [10004, 10004, 10012, 10009]
    assert [sim.book.submissions(str(n)) for n in range(4)] == [0, 0, 1, 1]


def test_swap_stays_with_the_position_until_it_is_closed() -> None:
    sim = a_terminal()
    ticket = sim.module.order_send(deal()).order
    sim.charge_swap(ticket, -1.2)
    assert sim.module.positions_get(ticket=ticket)[0].swap == -1.2
    answer = sim.module.order_send(deal(type=mt5.ORDER_TYPE_SELL, price=1.1, position=ticket))
    (found,) = sim.module.history_deals_get(ticket=answer.order)
    assert (found.swap, found.profit) == (-1.2, -1.0)
    assert sim.book.balance == pytest.approx(99_997.8)
