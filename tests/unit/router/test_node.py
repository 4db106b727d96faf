"""The risk router: what becomes of signals, commands and broker events."""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from typing import Any

import pytest

from barque.config import load_section
from barque.errors import ConfigError
from barque.messages import (
    CancelOrder,
    Flatten,
    Halt,
    OrderUnknown,
    RejectReason,
    Resume,
    SetLimit,
    SubmitOrder,
)
from router.config import RouterConfig
from router.core.node import RouterNode
from router.core.state import SLACK, WINDOW
from tests.support.builders import T0, a_fill, a_mark, an_acceptance, eurusd
from tests.support.routing import (
    a_cancel,
    a_router,
    a_wish,
    cancelled,
    command,
    feed,
    filled,
    holding,
    order_of,
    refusal_of,
    wish_to,
)


def router(**limits: str) -> RouterNode:
    return a_router(limits=limits)


# -- signals become orders -----------------------------------------------------------------------------------------------


def test_an_entry_becomes_one_order_whose_id_follows_from_the_signal() -> None:
    order = order_of(router(), a_wish("s1/bar/0", tag="t", reason="why"))
    assert order == SubmitOrder(
        order_id=blake2b(b"s1/bar/0|entry", digest_size=10).hexdigest(),
        cause="s1/bar/0",
        root=str(T0),
        strategy_id="s1",
        account="paper",
        symbol="EURUSD",
        ts_event_ns=T0,
        side="buy",
        quantity=Decimal(1),
        tag="t",
        reason="why",
        checks=("UnfitData",),
    )


def test_an_order_says_which_checks_it_has_passed() -> None:
    limited = router(max_position="5", max_orders_per_minute="100")
    assert order_of(limited, a_wish("s1/bar/0")).checks == ("UnfitData", "PositionSize 5", "OrderRate 100")


def test_a_signal_without_a_quantity_gets_the_configured_one() -> None:
    node = RouterNode(RouterConfig(default_quantity=Decimal(3)), [eurusd()], ["s1"], "feed")
    assert order_of(node, a_wish("a", quantity=None)).quantity == Decimal(3)


def test_quantities_are_rounded_towards_zero_and_prices_to_the_grid() -> None:
    signal = a_wish("a", quantity=Decimal("2.9"), order_type="limit", limit_price=Decimal("1.386764"))
    order = order_of(router(), signal)
    assert (order.quantity, order.limit_price) == (Decimal(2), Decimal("1.38676"))


def test_a_bracket_becomes_an_entry_and_two_exits_that_exclude_each_other() -> None:
    entry, profit, loss = feed(router(), a_wish("b", take_profit=Decimal("1.40"), stop_loss=Decimal("1.38")))
    assert (entry.parent_id, entry.oco_group) == (None, None)
    assert (profit.side, profit.order_type, profit.limit_price) == ("sell", "limit", Decimal("1.40"))
    assert (loss.side, loss.order_type, loss.stop_price) == ("sell", "stop", Decimal("1.38"))
    assert {profit.parent_id, loss.parent_id, profit.oco_group, loss.oco_group} == {entry.order_id}
    assert loss.order_id == blake2b(b"b|stop_loss", digest_size=10).hexdigest()


def test_an_exit_sells_what_the_strategy_itself_holds() -> None:
    node = holding(holding(router(), 3, "s1"), 5, "s2")
    order = order_of(node, wish_to("exit"))
    assert (order.side, order.quantity) == ("sell", Decimal(3))


def test_an_exit_asked_twice_before_it_fills_closes_once() -> None:
    node = holding(router(), -2)
    assert order_of(node, wish_to("exit", "1")).side == "buy"
    assert feed(node, wish_to("exit", "2")) == []
    assert node.counters["signals_moot"] == 1


def test_an_exit_of_a_flat_position_is_no_error() -> None:
    node = router()
    assert feed(node, wish_to("exit")) == []
    assert node.counters == {"signals_moot": 1}


def test_a_reduction_never_passes_zero() -> None:
    assert order_of(holding(router(), 2), wish_to("reduce", quantity=Decimal(5))).quantity == Decimal(2)


def test_a_target_trades_the_difference_and_counts_market_orders_under_way() -> None:
    node = holding(router(), 2)
    first = order_of(node, wish_to("target", "1", target=Decimal(-1)))
    assert (first.side, first.quantity) == ("sell", Decimal(3))
    assert feed(node, wish_to("target", "2", target=Decimal(-1))) == []
    third = order_of(node, wish_to("target", "3", target=Decimal(0)))
    assert (third.side, third.quantity) == ("buy", Decimal(1))


def test_resting_orders_do_not_count_towards_a_target() -> None:
    node = router()
    feed(node, a_wish("r", order_type="limit", limit_price=Decimal("1.0")))
    assert order_of(node, wish_to("target", target=Decimal(1))).quantity == Decimal(1)


def test_a_full_exit_first_cancels_the_legs_that_guarded_the_position() -> None:
    node = router()
    entry, profit, loss = feed(node, a_wish("b", take_profit=Decimal("1.40"), stop_loss=Decimal("1.38")))
    feed(node, filled(entry))
    said = feed(node, wish_to("exit"))
    assert [type(m) for m in said] == [CancelOrder, CancelOrder, SubmitOrder]
    assert [m.order_id for m in said[:2]] == [loss.order_id, profit.order_id]


def test_an_exit_leaves_the_legs_of_an_entry_that_may_still_fill() -> None:
    node = router()
    feed(node, a_wish("b", stop_loss=Decimal("1.38")))
    assert feed(node, wish_to("exit")) == []


def test_a_repeated_signal_is_counted_and_never_sent_again() -> None:
    node = router()
    order = order_of(node, a_wish("a"))
    feed(node, filled(order))
    assert feed(node, a_wish("a")) == []
    assert node.counters["signals_repeated"] == 1


def test_an_open_order_keeps_its_signal_known_beyond_the_window() -> None:
    node = router()
    feed(node, a_wish("a", order_type="limit", limit_price=Decimal(1)))
    feed(node, *(wish_to("exit", f"e{i}", strategy_id="s2") for i in range(WINDOW + SLACK + 1)))
    assert feed(node, a_wish("a", order_type="limit", limit_price=Decimal(1))) == []


# -- signals are refused -------------------------------------------------------------------------------------------------


def test_every_refusal_names_the_signal_and_the_reason() -> None:
    table: list[tuple[dict[str, Any], RejectReason]] = [
        ({"strategy_id": "s3"}, RejectReason.UNKNOWN_STRATEGY),
        ({"symbol": "EURUDS"}, RejectReason.UNKNOWN_SYMBOL),
        ({"valid_until_ns": T0 - 1}, RejectReason.EXPIRED),
        ({"side": None}, RejectReason.QUANTITY),
        ({"quantity": Decimal("0.5")}, RejectReason.QUANTITY),
        ({"quantity": Decimal(-1)}, RejectReason.QUANTITY),
        ({"quantity": Decimal("NaN")}, RejectReason.QUANTITY),
        ({"target": Decimal(1)}, RejectReason.QUANTITY),
        ({"action": "target", "quantity": None}, RejectReason.QUANTITY),
        ({"action": "target", "quantity": None, "target": Decimal("sNaN")}, RejectReason.QUANTITY),
        ({"quantity": None, "risk_fraction": Decimal("0.01")}, RejectReason.NO_EQUITY),
        ({"quantity": None, "risk_fraction": Decimal(2)}, RejectReason.QUANTITY),
        ({"action": "exit", "quantity": None, "notional": Decimal(1000)}, RejectReason.QUANTITY),
        ({"action": "target", "quantity": None, "target_fraction": Decimal("Infinity")}, RejectReason.QUANTITY),
        ({"order_type": "trailing_stop"}, RejectReason.PRICE),
        ({"order_type": "trailing_stop", "trail_amount": Decimal("0.000001")}, RejectReason.PRICE),
        ({"time_in_force": "gtd"}, RejectReason.UNSUPPORTED),
        ({"order_type": "limit"}, RejectReason.PRICE),
        ({"order_type": "stop", "stop_price": Decimal("0.000001")}, RejectReason.PRICE),
        ({"stop_loss": Decimal("1.4"), "take_profit": Decimal("1.3")}, RejectReason.PRICE),
        ({"side": "sell", "stop_loss": Decimal("1.3"), "take_profit": Decimal("1.4")}, RejectReason.PRICE),
        ({"order_type": "limit", "limit_price": Decimal("1.3"), "stop_loss": Decimal("1.35")}, RejectReason.PRICE),
    ]
    for changes, reason in table:
        rejection = refusal_of(router(), a_wish("bad", **changes))
        assert (rejection.signal_id, rejection.reason) == ("bad", reason), changes
        assert rejection.detail.startswith("signal bad: ")


def test_a_halted_book_refuses_every_signal_until_it_is_resumed() -> None:
    node = router()
    feed(node, command(Halt))
    assert refusal_of(node, a_wish("a")).reason is RejectReason.HALTED
    feed(node, command(Resume))
    assert order_of(node, a_wish("b"))


def test_the_position_limit_counts_open_and_unknown_orders_of_the_same_side() -> None:
    node = holding(router(max_position="3"), 1)
    order = order_of(node, a_wish("a"))
    lost = {name: getattr(order, name) for name in ("order_id", "cause", "root", "strategy_id", "account", "symbol")}
    feed(node, OrderUnknown(ts_event_ns=T0, **lost))
    assert order_of(node, a_wish("b", strategy_id="s2"))
    rejection = refusal_of(node, a_wish("c"))
    assert (rejection.reason, rejection.limit, rejection.actual) == (RejectReason.POSITION_LIMIT, "3", "4")
    assert order_of(node, a_wish("d", side="sell"))


def test_a_brackets_exits_count_once_and_only_when_they_can_trade() -> None:
    node = router(max_position="1")
    entry, *_ = feed(node, a_wish("b", take_profit=Decimal("1.40"), stop_loss=Decimal("1.38")))
    assert order_of(node, a_wish("s", side="sell", strategy_id="s2"))
    assert refusal_of(node, a_wish("s2", side="sell", strategy_id="s2")).actual == "2"
    feed(node, filled(entry))
    assert refusal_of(node, a_wish("s3", side="sell")).actual == "2"


def test_the_size_limit_holds_for_entries_and_never_for_exits() -> None:
    node = holding(router(max_order_quantity="2", max_position="0"), 7)
    rejection = refusal_of(node, a_wish("a", quantity=Decimal(3)))
    assert (rejection.reason, rejection.limit, rejection.actual) == (RejectReason.ORDER_SIZE_LIMIT, "2", "3")
    assert order_of(node, wish_to("exit")).quantity == Decimal(7)


def test_the_notional_limit_needs_a_price_and_uses_the_latest_mark() -> None:
    """Two contracts at the mid of 1.38685 are 277,370 USD."""
    node = router(max_notional="277000")
    assert refusal_of(node, a_wish("a")).reason is RejectReason.NO_PRICE
    assert order_of(node, a_wish("b", order_type="limit", limit_price=Decimal("1.2")))
    feed(node, a_mark(bid=1.3868, ask=1.3869))
    rejection = refusal_of(node, a_wish("c"))
    assert (rejection.reason, rejection.limit) == (RejectReason.NOTIONAL_LIMIT, "277000")
    assert Decimal(rejection.actual) == Decimal("277370")


def test_a_symbols_own_limit_comes_before_the_general_one_and_a_command_before_both() -> None:
    own = {"symbol": "EURUSD", "max_order_quantity": "5"}
    node = a_router(limits={"max_order_quantity": "1"}, symbol_limits=[own])
    assert order_of(node, a_wish("a", quantity=Decimal(5)))
    assert refusal_of(node, a_wish("b", symbol="USDJPY", quantity=Decimal(2))).limit == "1"
    feed(node, command(SetLimit, limit="max_order_quantity", value="2", symbol="EURUSD"))
    assert refusal_of(node, a_wish("c", quantity=Decimal(3))).limit == "2"
    feed(node, command(SetLimit, limit="max_order_quantity", value="none", symbol="EURUSD"))
    assert order_of(node, a_wish("d", quantity=Decimal(30)))


def test_a_limit_that_cannot_be_set_raises_an_alert() -> None:
    table = [
        ({"limit": "max_positon", "value": "1"}, "did you mean 'max_position'"),
        ({"limit": "max_position", "value": "lots"}, "'lots' is no limit"),
        ({"limit": "max_position", "value": "-1"}, "'-1' is no limit"),
        ({"limit": "max_position", "value": ""}, "'' is no limit; give a number that is not negative, or the word none, which"),
        ({"limit": "max_position", "value": " "}, "' ' is no limit"),
        ({"limit": "max_position", "value": "1", "symbol": "EURUDS"}, "did you mean 'EURUSD'"),
        ({"limit": "max_position", "value": "1", "strategy_id": "s3"}, "there is no strategy 's3'"),
        ({"limit": "max_leverage", "value": "1", "symbol": "EURUSD"}, "max_leverage is a limit over all symbols"),
        ({"limit": "margin_fraction", "value": "1", "strategy_id": "s1"}, "margin_fraction is the account's"),
    ]
    for fields, text in table:
        (alert,) = feed(router(), command(SetLimit, **fields))
        assert alert.name == "limit_not_set"
        assert text in alert.text


def test_an_empty_value_leaves_a_limit_in_force() -> None:
    node = a_router(limits={"max_order_quantity": "5"})
    assert [alert.name for alert in feed(node, command(SetLimit, limit="max_order_quantity", value=""))] == ["limit_not_set"]
    assert refusal_of(node, a_wish("a", quantity=Decimal(1_000))).limit == "5"


def test_a_misspelt_limit_in_the_file_is_named_with_the_nearest_key() -> None:
    with pytest.raises(ConfigError, match=r"router\.limits\.max_positon.*max_position"):
        load_section({"router": {"limits": {"max_positon": 1}}}, "router", RouterConfig)


# -- cancels and commands ------------------------------------------------------------------------------------------------


def test_a_cancel_request_without_an_order_cancels_all_of_the_strategy_newest_first() -> None:
    node = router()
    mine = feed(node, a_wish("a"), a_wish("b"))
    feed(node, a_wish("c", strategy_id="s2"))
    assert [m.order_id for m in feed(node, a_cancel())] == [mine[1].order_id, mine[0].order_id]
    assert feed(node, a_cancel("k2")) == []


def test_nobody_cancels_an_order_of_another_strategy() -> None:
    node = router()
    order = order_of(node, a_wish("a"))
    assert refusal_of(node, a_cancel(order_id=order.order_id, strategy_id="s2")).reason is RejectReason.UNKNOWN_ORDER


def test_flatten_cancels_every_order_and_closes_every_position() -> None:
    node = holding(holding(router(max_order_quantity="1"), 3, "s1"), -2, "s2")
    resting = order_of(node, a_wish("r", order_type="limit", limit_price=Decimal(1)))
    cancel, first, second = feed(node, command(Flatten))
    assert (type(cancel), cancel.order_id) == (CancelOrder, resting.order_id)
    assert (first.strategy_id, first.side, first.quantity) == ("s1", "sell", Decimal(3))
    assert (second.strategy_id, second.side, second.quantity) == ("s2", "buy", Decimal(2))
    assert feed(node, command(Flatten)) == []


def test_flatten_under_a_halt_cancels_only_and_says_so() -> None:
    node = holding(router(), 3)
    feed(node, a_wish("r"), command(Halt))
    cancel, alert = feed(node, command(Flatten))
    assert type(cancel) is CancelOrder
    assert (alert.name, alert.severity) == ("flatten_while_halted", "critical")


# -- what the broker says ------------------------------------------------------------------------------------------------


def test_a_fill_after_a_cancel_is_booked() -> None:
    node = router()
    order = order_of(node, a_wish("a", quantity=Decimal(2)))
    feed(node, an_acceptance(order_id=order.order_id), cancelled(order), filled(order))
    assert order_of(node, wish_to("exit")).quantity == Decimal(2)


def test_a_repeated_execution_moves_the_position_once() -> None:
    node = holding(holding(router(), 2), 2)
    assert order_of(node, wish_to("exit")).quantity == Decimal(2)
    assert node.counters["executions_repeated"] == 1


def test_fills_of_another_account_are_not_ours() -> None:
    node = router()
    feed(node, a_fill(account="other"))
    assert feed(node, wish_to("exit")) == []


def test_a_partly_filled_order_still_counts_with_the_rest() -> None:
    node = router(max_position="4")
    order = order_of(node, a_wish("a", quantity=Decimal(3)))
    feed(node, filled(order, Decimal(1)))
    assert refusal_of(node, a_wish("b", quantity=Decimal(2))).actual == "5"
