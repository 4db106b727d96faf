"""What becomes of orders at Interactive Brokers, through the real client over TCP; the simulator's own book is the judge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from barque.errors import VenueUnavailable
from barque.messages import RejectReason
from barque.venue import Accepted, Connected, Ended, Executed, Modified, Noted, Rejected, RequestRefused
from simulators.tws.noise import Noise
from simulators.tws.server import TwsSimulator
from tests.support.builders import NS
from tests.support.ibkr import Trader, unheard, until

D = Decimal


@pytest.fixture
async def tws() -> AsyncIterator[TwsSimulator]:
    async with TwsSimulator() as simulator:
        simulator.quote("EURUSD", 1.1000, 1.1001)
        simulator.quote("USDJPY", 150.00, 150.01)
        simulator.quote("SPY", 600.00, 600.02)
        yield simulator


# -- orders that fill ---------------------------------------------------------------------------------------------------


async def test_a_market_order_is_filled_once_and_its_commission_booked(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1")
        await until(lambda: any(each.execution.commission is not None for each in trader.of(Executed)))
        executed = {each.execution.exec_id for each in trader.of(Executed)}
        last = trader.of(Executed)[-1].execution
    assert trader.said("o1") == ["Accepted"]
    assert len(executed) == 1
    assert (last.order_id, last.side, last.quantity, last.price) == ("o1", "buy", D(1), D("1.1001"))
    assert (last.commission, last.commission_currency) == (D("2.2"), "USD")  # 0.2 basis points of 110,010 USD
    at_tws = trader.at_tws("o1")
    assert (at_tws.quantity, at_tws.filled, at_tws.submissions, at_tws.terms.tif) == (100_000, 100_000, 1, "GTC")


@pytest.mark.parametrize(
    ("terms", "wire"),
    [
        ({"order_type": "limit", "limit_price": D("1.09500")}, ("LMT", "1.095", None, None)),
        ({"order_type": "stop", "stop_price": D("1.10500")}, ("STP", None, "1.105", None)),
        (
            {"order_type": "stop_limit", "stop_price": D("1.10500"), "limit_price": D("1.10600")},
            ("STP LMT", "1.106", "1.105", None),
        ),
        ({"order_type": "trailing_stop", "trail_amount": D("0.00200")}, ("TRAIL", None, "0.002", None)),
        (
            {"order_type": "trailing_stop", "trail_amount": D("0.00200"), "stop_price": D("1.10300")},
            ("TRAIL", None, "0.002", "1.103"),
        ),
    ],
)
async def test_every_order_type_works_at_the_broker_with_its_prices(tws: TwsSimulator, terms: dict[str, Any], wire: Any) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1", **terms)
        await until(lambda: trader.of(Accepted))
        said = trader.at_tws("o1").terms
        shown = (await trader.venue.open_orders())[0]
    kind, limit, aux, trail_stop = wire
    assert said.order_type == kind
    assert [said.limit_price, said.aux_price, said.trail_stop_price] == [D(p) if p else None for p in (limit, aux, trail_stop)]
    assert (shown.order_id, shown.quantity, shown.filled, shown.order_type) == ("o1", D(1), D(0), terms["order_type"])
    assert (shown.limit_price, shown.stop_price) == (terms.get("limit_price"), None if trail_stop else terms.get("stop_price"))


@pytest.mark.parametrize(
    ("time_in_force", "wire"), [("day", "DAY"), ("gtc", "GTC"), ("ioc", "IOC"), ("fok", "FOK"), ("gtd", "GTD")]
)
async def test_every_time_in_force_is_said_at_the_wire(tws: TwsSimulator, time_in_force: str, wire: str) -> None:
    until_ns = (time.time_ns() // NS + 3_600) * NS
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"), time_in_force=time_in_force, valid_until_ns=until_ns)
        await until(lambda: trader.of(Accepted) or trader.of(Ended))
        said = trader.at_tws("o1").terms
    assert said.tif == wire
    at = datetime.fromtimestamp(until_ns / NS, UTC)
    assert said.good_till == (f"{at:%Y%m%d-%H:%M:%S}" if wire == "GTD" else "")


async def test_an_order_whose_time_is_over_is_expired_not_cancelled(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        soon = datetime.now(UTC) + timedelta(seconds=2)
        until_ns = int(soon.timestamp()) * NS
        await trader.place("o1", order_type="limit", limit_price=D("1.09"), time_in_force="gtd", valid_until_ns=until_ns)
        await until(lambda: trader.of(Ended))
    assert trader.of(Ended)[0].how == "expired"


async def test_a_price_off_the_exchanges_grid_goes_there_never_worse_than_asked_and_our_side_is_told(tws: TwsSimulator) -> None:
    """USDJPY is quoted in 0.001 and takes orders in 0.005."""
    async with Trader(tws) as trader:
        await trader.place("b", symbol="USDJPY", order_type="limit", limit_price=D("149.993"))
        await trader.place("s", symbol="USDJPY", side="sell", order_type="limit", limit_price=D("151.001"))
        await until(lambda: len(trader.of(Modified)) == 2)
    assert trader.at_tws("b").terms.limit_price == D("149.99")
    assert trader.at_tws("s").terms.limit_price == D("151.005")
    assert [trader.said(name) for name in ("b", "s")] == [["Accepted", "Modified"]] * 2
    assert [each.limit_price for each in trader.of(Modified)] == [D("149.99"), D("151.005")]


async def test_a_future_is_its_front_month_in_contracts_and_a_stock_in_shares(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("f", symbol="NQ", quantity=D(2))
        await trader.place("s", symbol="SPY", quantity=D(30), side="sell")
        await until(lambda: trader.filled("f") == 2 and trader.filled("s") == 30)
        positions = {each.symbol: each for each in await trader.venue.positions()}
    assert trader.at_tws("f").listing.symbol == "NQ"
    assert trader.at_tws("f").quantity == 2
    assert positions["NQ"].quantity == 2
    assert positions["NQ"].average_price == trader.at_tws("f").average  # not times the multiplier
    assert (positions["SPY"].quantity, positions["SPY"].average_price) == (-30, D(600))


# -- partial fills, cancels -------------------------------------------------------------------------------------------------


async def test_three_partial_fills_then_the_rest_is_cancelled_and_a_late_fill_still_counts(tws: TwsSimulator) -> None:
    tws.exchange.plan("EURUSD", [D(100_000), D(0)])
    async with Trader(tws) as trader:
        await trader.place("o1", quantity=D(5))
        for bid in (1.1001, 1.1002):
            await until(lambda: trader.of(Accepted))
            tws.mishaps.fill(trader.at_tws("o1"), 100_000, D(str(bid)))
        await until(lambda: trader.filled("o1") == 3)
        await trader.cancel("o1")
        await until(lambda: trader.of(Ended))
        tws.mishaps.fill(trader.at_tws("o1"), 50_000, D("1.1003"))
        await until(lambda: trader.filled("o1") == D("3.5"))
    assert trader.of(Ended)[0].how == "cancelled"
    assert trader.at_tws("o1").filled == 350_000


@pytest.mark.parametrize("code", [136, 161])
async def test_a_cancel_that_cannot_be_done_now_leaves_the_order_working(tws: TwsSimulator, code: int) -> None:
    tws.script.on("cancelOrder", n=1).error(code, "Cancel attempted when order is not in a cancellable state")
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"))
        await until(lambda: trader.of(Accepted))
        await trader.cancel("o1")
        await until(lambda: trader.of(RequestRefused))
        refused = trader.of(RequestRefused)[0]
        assert (refused.request, refused.reason) == ("cancel", RejectReason.ORDER_STATE)
        assert not trader.of(Ended)
        await trader.cancel("o1")
        await until(lambda: trader.of(Ended))


async def test_a_cancel_of_an_order_the_broker_does_not_find_is_no_proof_that_it_is_dead(tws: TwsSimulator) -> None:
    tws.script.on("cancelOrder", n=1).error(10147, "OrderId 1 that needs to be cancelled is not found.")
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"))
        await until(lambda: trader.of(Accepted))
        await trader.cancel("o1")
        await until(lambda: trader.of(RequestRefused))
        assert trader.of(RequestRefused)[0].reason is RejectReason.UNKNOWN_ORDER
        assert not trader.of(Ended)
        assert [each.order_id for each in await trader.venue.open_orders()] == ["o1"]


async def test_a_cancel_that_a_fill_has_overtaken_says_so_and_the_fill_is_reported(tws: TwsSimulator) -> None:
    """ib_async calls such an order cancelled."""
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"))
        await until(lambda: trader.of(Accepted))
        with unheard(tws):
            tws.mishaps.fill(trader.at_tws("o1"), 100_000, D("1.09"))
        await trader.cancel("o1")
        await until(lambda: trader.filled("o1") == 1)
    refused = trader.of(RequestRefused)[0]
    assert (refused.request, refused.reason) == ("cancel", RejectReason.ORDER_STATE)
    assert "Filled" in refused.detail
    assert not trader.of(Ended)


async def test_an_order_that_the_exchange_cancels_unasked_has_ended(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"))
        await until(lambda: trader.of(Accepted))
        tws.mishaps.cancel(trader.at_tws("o1"))
        await until(lambda: trader.of(Ended))
        await asyncio.sleep(0.05)
    assert trader.said("o1") == ["Accepted", "Ended"]


# -- refusals and notes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (201, "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. MINIMUM MARGIN", RejectReason.BUYING_POWER),
        (201, "Order rejected - reason:The exchange is closed.", RejectReason.MARKET_CLOSED),
        (201, "Order rejected - reason:No reason at all", RejectReason.VENUE),
        (110, "The price does not conform to the minimum price variation for this contract.", RejectReason.PRICE),
        (321, "Error validating request.-'bW' : cause - Something", RejectReason.VENUE),
        (200, "No security definition has been found for the request", RejectReason.UNKNOWN_SYMBOL),
        (434, "The order size cannot be zero.", RejectReason.QUANTITY),
        (387, "Unsupported order type for this exchange and security type.", RejectReason.UNSUPPORTED),
    ],
)
async def test_a_new_order_that_is_refused_is_rejected_with_the_brokers_words(
    tws: TwsSimulator, code: int, text: str, reason: RejectReason
) -> None:
    """ib_async leaves some of these working for ever."""
    tws.script.on("placeOrder").error(code, text)
    async with Trader(tws) as trader:
        await trader.place("o1")
        await until(lambda: trader.of(Rejected))
    assert trader.said("o1") == ["Rejected"]
    assert trader.of(Rejected)[0].reason is reason
    assert text in trader.of(Rejected)[0].detail


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (110, "The price does not conform to the minimum price variation for this contract."),
        (321, "Error validating request.-'bW' : cause - Something"),
        (329, "Order modify failed. Cannot change to the new order type."),
        (104, "Cannot modify a filled order."),
    ],
)
async def test_a_change_that_is_refused_leaves_the_order_working_as_it_was(tws: TwsSimulator, code: int, text: str) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"))
        await until(lambda: trader.of(Accepted))
        tws.script.on("placeOrder", n=1).error(code, text)
        await trader.modify("o1", limit_price=D("1.08"))
        await until(lambda: trader.of(RequestRefused))
        assert trader.of(RequestRefused)[0].request == "modify"
        assert trader.said("o1") == ["Accepted", "RequestRefused"]
        tws.quote("EURUSD", 1.0898, 1.0899)
        await until(lambda: trader.filled("o1") == 1)


async def test_a_change_is_told_once_it_stands_in_the_brokers_echo(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"), quantity=D(2))
        await until(lambda: trader.of(Accepted))
        await trader.modify("o1", limit_price=D("1.08"), quantity=D(3))
        await until(lambda: trader.of(Modified))
    told = trader.of(Modified)[0]
    assert (told.quantity, told.limit_price) == (D(3), D("1.08"))
    assert (trader.at_tws("o1").quantity, trader.at_tws("o1").terms.limit_price) == (300_000, D("1.08"))
    assert tws.book.submissions[trader.tokens["o1"]] == 1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (399, "Order Message:\nWarning: your order will not be placed at the exchange until 2026-11-30 09:30:00 US/Eastern"),
        (404, "Shares for this order are not immediately available for short sale."),
        (2109, "Order Event Warning:Attribute 'Outside Regular Trading Hours' is ignored"),
        (10349, "Order TIF was set to DAY based on order preset."),
        (110, "The price does not conform to the minimum price variation for this contract."),
        (321, "Error validating request.-'bW' : cause - Something about nothing that was asked"),
        (31_337, "A code that nobody has seen before"),
    ],
)
async def test_a_note_about_an_order_never_ends_it(tws: TwsSimulator, code: int, text: str) -> None:
    """ib_async calls an order cancelled for some of these, and it fills."""
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"))
        await until(lambda: trader.of(Accepted))
        tws.mishaps.notice(trader.at_tws("o1"), code, text)
        tws.quote("EURUSD", 1.0898, 1.0899)
        await until(lambda: trader.filled("o1") == 1)
    assert trader.said("o1") == (["Accepted", "Noted"] if code in (399, 404) else ["Accepted"])


async def test_an_inactive_order_is_held_and_may_come_back_to_life(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"))
        await until(lambda: trader.of(Accepted))
        tws.mishaps.deactivate(trader.at_tws("o1"))
        await until(lambda: trader.of(Noted))
        assert not trader.of(Noted)[0].works and not trader.of(Ended)
        assert [each.order_id for each in await trader.venue.open_orders()] == ["o1"]


# -- executions -------------------------------------------------------------------------------------------------------------


async def test_the_same_execution_twice_is_said_once(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1")
        await until(lambda: len(trader.of(Executed)) == 2)  # its commission is the second
        tws.mishaps.repeat(tws.book.executions[0])
        await trader.venue.executions_since(0)
        await asyncio.sleep(0.05)
        assert len(trader.of(Executed)) == 2


async def test_a_correction_names_what_it_replaces(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1")
        await until(lambda: trader.filled("o1") == 1)
        before = tws.book.executions[0]
        tws.mishaps.correct(before, D("1.09995"))
        await until(lambda: trader.of(Executed)[-1].execution.corrects)
        books = await trader.venue.executions_since(0)
    corrected = trader.of(Executed)[-1].execution
    assert corrected.corrects == before.exec_id
    assert (corrected.price, trader.filled("o1")) == (D("1.09995"), D(1))
    assert [each.corrects for each in books] == ["", before.exec_id]


async def test_a_commission_that_comes_late_completes_its_execution() -> None:
    async with TwsSimulator(noise=Noise(commission_delay_s=0.3)) as tws, Trader(tws) as trader:
        await trader.place("o1")
        await until(lambda: trader.of(Executed))
        assert trader.of(Executed)[0].execution.commission is None
        await until(lambda: len(trader.of(Executed)) == 2)
        assert trader.of(Executed)[1].execution.commission is not None


@pytest.mark.parametrize("seed", range(3))
async def test_under_every_noise_of_a_gateway_each_order_is_accepted_once_and_each_fill_counts_once(seed: int) -> None:
    async with TwsSimulator(noise=Noise.all(), seed=seed) as tws:
        tws.quote("EURUSD", 1.1000, 1.1001)
        async with Trader(tws) as trader:
            for index in range(8):
                tws.exchange.plan(f"bq.{index + 1}.o{index}", [D(60_000), D(40_000)])
                await trader.place(f"o{index}", side="buy" if index % 2 else "sell")
                tws.quote("EURUSD", 1.1000 + index / 10_000, 1.1001 + index / 10_000)
            await until(lambda: len(tws.book.orders) == 8)
            tws.quote("EURUSD", 1.1010, 1.1011)  # a portion of each fills with every quote
            await until(lambda: all(trader.filled(f"o{index}") == 1 for index in range(8)))
            await until(lambda: sum(each.execution.commission is not None for each in trader.of(Executed)) >= 16)
    assert all(trader.said(f"o{index}").count("Accepted") <= 1 for index in range(8))
    assert not trader.of(Rejected)
    assert not trader.of(Ended)
    assert set(tws.book.submissions.values()) == {1}


# -- brackets and groups ------------------------------------------------------------------------------------------------------


def a_bracket(trader: Trader, quantity: int = 2) -> list[Any]:
    """Buy at 1.09, out at 1.11 or 1.08."""
    entry = trader.an_order("e", quantity=D(quantity), order_type="limit", limit_price=D("1.09"))
    leg: dict[str, Any] = {"side": "sell", "quantity": D(quantity), "parent_id": "e", "oco_group": "e", "closes": True}
    profit = trader.an_order("tp", order_type="limit", limit_price=D("1.11"), **leg)
    return [entry, profit, trader.an_order("sl", order_type="stop", stop_price=D("1.08"), **leg)]


async def test_of_a_bracket_only_the_last_is_transmitted_and_a_fill_of_one_exit_cancels_the_other(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.send(*a_bracket(trader))
        await until(lambda: len(trader.of(Accepted)) == 3)
        assert [trader.at_tws(name).terms.transmit for name in ("e", "tp", "sl")] == [False, False, True]
        assert trader.at_tws("tp").terms.parent_id == trader.at_tws("sl").terms.parent_id == trader.at_tws("e").order_id
        tws.quote("EURUSD", 1.0899, 1.0900)
        await until(lambda: trader.filled("e") == 2)
        tws.quote("EURUSD", 1.1100, 1.1101)
        await until(lambda: trader.filled("tp") == 2 and trader.of(Ended))
    assert [each.order_id for each in trader.of(Ended)] == ["sl"]
    assert tws.book.position("EURUSD") == 0


async def test_a_part_of_one_exit_takes_as_much_from_the_other(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.send(*a_bracket(trader))
        await until(lambda: len(trader.of(Accepted)) == 3)
        tws.quote("EURUSD", 1.0899, 1.0900)
        await until(lambda: trader.filled("e") == 2)
        tws.mishaps.fill(trader.at_tws("tp"), 100_000, D("1.11"))
        await until(lambda: trader.of(Modified))
    told = trader.of(Modified)[0]
    assert (told.order_id, told.quantity) == ("sl", D(1))
    assert trader.at_tws("sl").remaining == 100_000


async def test_where_the_entry_is_refused_no_exit_is_left(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.send(*a_bracket(trader))
        await until(lambda: len(trader.of(Accepted)) == 3)
        tws.mishaps.reject(trader.at_tws("e"))
        await until(lambda: len(trader.of(Ended)) + len(trader.of(Rejected)) == 3)
    assert not tws.book.open_orders


async def test_a_connection_that_breaks_before_the_last_of_a_bracket_leaves_nothing_at_the_exchange(tws: TwsSimulator) -> None:
    tws.script.on("placeOrder", n=3).drop("before")
    async with Trader(tws) as trader:
        await trader.send(*a_bracket(trader))
        await until(lambda: "Connected" in [type(event).__name__ for event in trader.events])
        tws.quote("EURUSD", 1.0899, 1.0900)
        await asyncio.sleep(0.1)
    assert not tws.book.executions
    assert tws.book.position("EURUSD") == 0


async def test_an_exit_whose_entry_ended_without_a_fill_is_not_sent(tws: TwsSimulator) -> None:
    """It would open a position of its own."""
    async with Trader(tws) as trader:
        entry, profit, _ = a_bracket(trader)
        await trader.send(entry)
        await until(lambda: trader.of(Accepted))
        await trader.cancel("e")
        await until(lambda: trader.of(Ended))
        await trader.send(profit)
    assert trader.said("tp") == ["Rejected"]
    assert len(tws.book.orders) == 1


async def test_a_group_without_an_entry_cancels_its_others(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("a", order_type="limit", limit_price=D("1.09"), oco_group="g")
        await trader.place("b", side="sell", order_type="limit", limit_price=D("1.12"), oco_group="g")
        await until(lambda: len(trader.of(Accepted)) == 2)
        assert trader.at_tws("a").terms.oca_type == 2
        tws.quote("EURUSD", 1.0898, 1.0899)
        await until(lambda: trader.of(Ended))
    assert trader.of(Ended)[0].order_id == "b"


async def test_an_exit_is_changed_without_losing_its_bracket(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.send(*a_bracket(trader))
        await until(lambda: len(trader.of(Accepted)) == 3)
        await trader.modify("sl", stop_price=D("1.085"))
        await until(lambda: trader.of(Modified))
        said = trader.at_tws("sl").terms
    assert (said.aux_price, said.parent_id, said.oca_group) == (D("1.085"), trader.at_tws("e").order_id, "bq.e")


# -- margin --------------------------------------------------------------------------------------------------------------------


async def test_an_order_that_would_take_too_much_margin_is_tried_and_not_sent(tws: TwsSimulator) -> None:
    """The simulator asks 3 % of a currency position: 3,300 USD a contract, of 1,000,000."""
    async with Trader(tws, margin_fraction_max=0.01) as trader:
        await trader.place("small", quantity=D(3))
        await until(lambda: trader.filled("small") == 3)
        await trader.place("large", quantity=D(3))
        await until(lambda: trader.of(Rejected))
        await trader.place("exit", quantity=D(3), side="sell", closes=True)
        await until(lambda: trader.filled("exit") == 3)
    rejected = trader.of(Rejected)[0]
    assert (rejected.order_id, rejected.reason) == ("large", RejectReason.MARGIN_LIMIT)
    assert [order.ref for order in tws.book.orders] == [trader.tokens["small"], trader.tokens["exit"]]
    assert "initial margin would be" in rejected.detail


# -- others' orders, accounts ----------------------------------------------------------------------------------------------------


async def test_orders_of_others_are_in_the_books_and_cause_no_event(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader, Trader(tws, sender_client_id=99, feed_client_id=98) as other:
        await other.place("theirs", order_type="limit", limit_price=D("1.09"))
        await until(lambda: other.of(Accepted))
        shown = await trader.venue.open_orders()
        await other.place("filled")
        await until(lambda: other.filled("filled") == 1)
        executions = await trader.venue.executions_since(0)
        positions = await trader.venue.positions()
    assert [each.order_id for each in shown] == ["theirs"]
    assert [each.order_id for each in executions] == ["filled"]
    assert positions[0].quantity == 1
    assert not trader.of(Accepted)


async def test_a_trade_by_hand_is_told_though_nobody_asks_and_our_own_fills_cause_no_question(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1")
        await until(lambda: trader.filled("o1") == 1)
        await asyncio.sleep(1.3)
        assert len(tws.transcript.named("reqExecutions")) == 1  # of connecting
        tws.mishaps.enter_by_hand("EURUSD", "SELL", 30_000)
        await until(lambda: [each for each in trader.of(Executed) if not each.execution.order_id])
        theirs = next(each.execution for each in trader.of(Executed) if not each.execution.order_id)
        tws.mishaps.liquidate("EURUSD", "SELL", 20_000)
        await until(lambda: [each for each in trader.of(Executed) if each.execution.liquidation])
    assert (theirs.side, theirs.quantity, theirs.symbol, theirs.liquidation) == ("sell", D("0.3"), "EURUSD", "")


async def test_what_is_held_of_a_contract_that_is_not_configured_is_shown_by_the_gateways_name(tws: TwsSimulator) -> None:
    tws.quote("ES", 6000.00, 6000.25)
    async with Trader(tws) as trader:
        tws.mishaps.enter_by_hand("ES", "BUY", 2)
        await until(lambda: trader.of(Executed))
        (position,) = await trader.venue.positions()
        (execution,) = await trader.venue.executions_since(0)
        account = await trader.venue.account()
    assert (position.symbol, position.quantity, execution.symbol) == ("ESZ6", D(2), "ESZ6")
    assert D("6000.25") <= position.average_price < D("6000.30"), "their multiplier of 50 is taken out; costs may be in it"
    assert account.rates == {"USD": D(1)}


async def test_of_several_accounts_of_a_login_only_ours_is_traded_and_shown() -> None:
    async with TwsSimulator(accounts=("DU1234567", "DU7654321")) as tws:
        tws.quote("EURUSD", 1.1000, 1.1001)
        second: dict[str, Any] = {"account": "DU7654321", "sender_client_id": 99, "feed_client_id": 98}
        async with Trader(tws) as trader, Trader(tws, **second) as other:
            await other.place("o2")
            await until(lambda: other.filled("o2") == 1)
            assert await trader.venue.positions() == []
            assert await trader.venue.executions_since(0) == []
            await trader.place("o1", quantity=D(2))
            await until(lambda: trader.filled("o1") == 2)
            money = await trader.venue.account()
    assert (tws.book.position("EURUSD", "DU1234567"), tws.book.position("EURUSD", "DU7654321")) == (200_000, 100_000)
    assert money.account == "DU1234567"


async def test_open_pairs_are_taken_out_of_the_cash_so_that_only_profit_and_costs_remain(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1")
        await until(lambda: trader.filled("o1") == 1)
        held = await trader.venue.account()
        tws.quote("EURUSD", 1.1051, 1.1052)
        await trader.place("o2", side="sell")
        await until(lambda: trader.filled("o2") == 1)
        flat = await trader.venue.account()
    assert held.cash == {"USD": D("999997.80")}
    assert flat.cash == {"USD": D(1_000_000) + 500 - D("2.20") - D("2.21")}  # bought at 1.1001, sold at 1.1051
    assert tws.accounts["DU1234567"].cash["USD"] == flat.cash["USD"]


async def pnl_becomes(trader: Trader, *wanted: Decimal | None) -> None:
    """Of the day, unrealised, realised."""
    told: tuple[Decimal | None, ...] = ()
    deadline = time.monotonic() + 10
    while told != wanted:
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.05)
        with suppress(VenueUnavailable):
            money = await trader.venue.account()
            told = (money.daily_pnl, money.unrealised_pnl, money.realised_pnl)


async def test_profit_of_the_day_comes_with_the_accounts_figures_and_what_is_not_known_is_none(tws: TwsSimulator) -> None:
    """100,000 EUR bought at 1.1001 and marked at 1.20005; 2.20 USD of commission. Before it the wire says 1.8e308."""
    async with Trader(tws) as trader:
        await pnl_becomes(trader, D(0), D(0), None)
        await trader.place("o1")
        await until(lambda: len(trader.of(Executed)) == 2)
        tws.quote("EURUSD", 1.2000, 1.2001)
        await pnl_becomes(trader, D("9992.80"), D("9995.00"), D("-2.20"))
        tws.mishaps.drop_sockets()
        await until(lambda: len(trader.of(Connected)) == 1)
        await pnl_becomes(trader, D("9992.80"), D("9995.00"), D("-2.20"))


async def test_a_number_that_the_gateway_has_not_got_reaches_nobody(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1")
        await until(lambda: len(trader.of(Executed)) == 2)
        money = await trader.venue.account()
    figures = [money.equity, money.buying_power, *money.cash.values()]
    figures += [each.execution.commission for each in trader.of(Executed) if each.execution.commission is not None]
    assert all(abs(figure) < D(10) ** 9 for figure in figures)
