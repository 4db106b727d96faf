"""Sessions that break, stall, come back degraded or read-only: what the venue says, and that nothing is sent twice or lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, Literal

import pytest

from barque.errors import VenueUnavailable
from barque.messages import Alert, Fill, OrderRejected, OrderUnknown, SubmitOrder
from barque.venue import Accepted, Connected, Disconnected, Ended, Executed, Rejected, TradingDisabled
from simulators.tws import replies
from simulators.tws.server import TwsSimulator
from tests.support.builders import an_order
from tests.support.ibkr import ACCOUNT, Sender, Trader, unheard, until

D = Decimal
Drop = Literal["before", "after", "answered", "inside"]
DROPS: tuple[Drop, ...] = ("before", "after", "answered", "inside")


@pytest.fixture
async def tws() -> AsyncIterator[TwsSimulator]:
    async with TwsSimulator() as simulator:
        simulator.quote("EURUSD", 1.1000, 1.1001)
        yield simulator


def kinds(trader: Trader) -> list[str]:
    return [type(event).__name__ for event in trader.events if isinstance(event, Connected | Disconnected | TradingDisabled)]


# -- broken, and back -------------------------------------------------------------------------------------------------------


async def test_a_lost_connection_is_said_once_and_had_again(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        tws.mishaps.drop_sockets()
        await until(lambda: kinds(trader) == ["Disconnected", "Connected"])
        await trader.place("o1")
        await until(lambda: trader.filled("o1") == 1)


async def test_what_filled_meanwhile_is_in_the_books_of_the_next_session(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"), quantity=D(2))
        await until(lambda: trader.of(Accepted))
        await tws.refuse()
        tws.mishaps.drop_sockets()
        await until(lambda: "Disconnected" in kinds(trader))
        tws.mishaps.fill(trader.at_tws("o1"), 100_000, D("1.09"))
        await tws.listen()
        await until(lambda: "Connected" in kinds(trader))
        executions = await trader.venue.executions_since(0)
        shown = await trader.venue.open_orders()
    assert [(each.order_id, each.quantity) for each in executions] == [("o1", D(1))]
    assert [(each.order_id, each.quantity, each.filled) for each in shown] == [("o1", D(2), D(1))]


@pytest.mark.parametrize("blank", [False, True], ids=["referenced", "without_reference"])
async def test_an_order_that_was_refused_or_ran_out_of_time_meanwhile_ends_in_the_brokers_words(
    tws: TwsSimulator, blank: bool
) -> None:
    """The list of completed orders has no order ids, and often no references."""
    tws.blank_completed_refs = blank
    async with Trader(tws) as trader:
        for name in ("refused", "late", "withdrawn", "filled"):
            await trader.place(name, order_type="limit", limit_price=D("1.09"), time_in_force="day")
        await until(lambda: len(trader.of(Accepted)) == 4)
        orders = {name: trader.at_tws(name) for name in ("refused", "late", "withdrawn", "filled")}
        await tws.refuse()
        tws.mishaps.drop_sockets()
        await until(lambda: "Disconnected" in kinds(trader))
        tws.mishaps.reject(orders["refused"], "Order rejected - reason:The account is restricted")
        tws.exchange.end(orders["late"], "Cancelled", reason=None)
        tws.mishaps.cancel(orders["withdrawn"], "Cancelled by Trader")
        tws.mishaps.fill(orders["filled"], 100_000, D("1.09"))
        await tws.listen()
        await until(lambda: "Connected" in kinds(trader))
        await trader.venue.open_orders()
        await trader.venue.executions_since(0)
        await trader.venue.open_orders()
        await trader.venue.executions_since(0)
    (rejected,) = trader.of(Rejected)
    assert (rejected.order_id, rejected.detail) == ("refused", "Order rejected - reason:The account is restricted")
    ended = {each.order_id: each.how for each in trader.of(Ended)}
    assert ended == {"late": "expired", "withdrawn": "cancelled"}
    assert trader.filled("filled") == 1


async def test_completed_orders_that_are_never_told_keep_nothing_waiting(tws: TwsSimulator) -> None:
    """Row 10, request 99."""
    tws.script.on("reqCompletedOrders").silence()
    async with Trader(tws, request_timeout_s=0.3) as trader:
        started = time.monotonic()
        assert await trader.venue.executions_since(0) == []
        assert await trader.venue.executions_since(0) == []
    assert time.monotonic() - started < 3, "once in a connection"


async def test_a_restart_of_the_gateway_with_refusals_a_proxy_and_a_taken_client_id_ends_in_one_session(
    tws: TwsSimulator,
) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"))
        await until(lambda: trader.of(Accepted))
        accepted = tws._accepted
        await tws.mishaps.restart(refuse_s=0.4, socat_s=0.4, in_use_s=0.4)
        await until(lambda: kinds(trader) == ["Disconnected", "Connected"])
        attempts = tws._accepted - accepted
        assert trader.config.sender_client_id in [session.client_id for session in tws.ready_sessions()]
        assert len(tws.ready_sessions()) == 1
        await trader.cancel("o1")
        await until(lambda: "Ended" in trader.said("o1"))
    assert 3 <= attempts <= 12  # one at a time, further and further apart


async def test_after_ten_failed_attempts_it_says_so_and_goes_on_probing(tws: TwsSimulator) -> None:
    async with Trader(tws, safe_after_attempts=3, reconnect_max_s=0.1) as trader:
        await tws.refuse()
        tws.mishaps.drop_sockets()
        await until(lambda: len(trader.of(Disconnected)) == 2)
        assert "3 attempts" in trader.of(Disconnected)[1].detail
        assert "nothing listens there" in trader.of(Disconnected)[1].detail
        await tws.listen()
        await until(lambda: kinds(trader)[-1] == "Connected")


async def test_a_connection_that_is_half_dead_is_given_up(tws: TwsSimulator) -> None:
    """Its socket stays open, and nothing is answered any more."""
    async with Trader(tws) as trader:
        tws.mishaps.stall()
        await until(lambda: kinds(trader) == ["Disconnected", "Connected"])
    assert "does not answer any more" in trader.of(Disconnected)[0].detail


@pytest.mark.parametrize("request_name", ["reqOpenOrders", "reqExecutions", "reqPositions", "reqContractDetails"])
async def test_a_request_that_is_never_answered_ends_an_attempt_in_time_and_the_next_one_works(
    tws: TwsSimulator, request_name: str
) -> None:
    tws.script.on(request_name, n=1).silence()
    trader = Trader(tws, connect_timeout_s=0.4, request_timeout_s=0.4)
    started = time.monotonic()
    with pytest.raises(VenueUnavailable, match=r"could not be synchronised|no answer within|not be prepared"):
        await trader.venue.connect(trader.events.append, lambda: True)
    assert time.monotonic() - started < 5
    async with trader:
        assert trader.account is not None


async def test_books_that_are_not_answered_are_unavailable_in_time(tws: TwsSimulator) -> None:
    async with Trader(tws, request_timeout_s=0.3) as trader:
        for name, ask in [
            ("reqAllOpenOrders", trader.venue.open_orders),
            ("reqPositions", trader.venue.positions),
            ("reqAccountUpdates", trader.venue.account),
        ]:
            tws.script.on(name, n=1).silence()
            with pytest.raises(VenueUnavailable, match=r"no answer within 0\.3 s"):
                await ask()
            await ask()


async def test_a_mute_handshake_ends_in_time(tws: TwsSimulator) -> None:
    tws.script.on("handshake").silence()
    trader = Trader(tws, connect_timeout_s=0.4)
    with pytest.raises(VenueUnavailable, match="no answer to the handshake"):
        await trader.venue.connect(trader.events.append, lambda: True)


async def test_a_proxy_that_accepts_and_closes_is_noticed_at_once(tws: TwsSimulator) -> None:
    tws.mishaps.accept_then_close = True
    trader = Trader(tws, connect_timeout_s=20.0)
    started = time.monotonic()
    with pytest.raises(VenueUnavailable, match="accepted and closed again"):
        await trader.venue.connect(trader.events.append, lambda: True)
    assert time.monotonic() - started < 5


# -- degraded ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["kept", "lost"])
async def test_while_the_gateway_has_lost_ibkr_nothing_is_sent_and_fills_still_come(
    tws: TwsSimulator, data: Literal["kept", "lost"]
) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"))
        await until(lambda: trader.of(Accepted))
        for _ in range(3):  # it repeats itself
            tws.mishaps.lose_ibkr()
        await until(lambda: trader.of(Disconnected))
        with pytest.raises(VenueUnavailable, match="has lost Interactive Brokers"):
            await trader.place("o2")
        tws.mishaps.fill(trader.at_tws("o1"), 100_000, D("1.09"))
        await until(lambda: trader.filled("o1") == 1)
        tws.mishaps.restore_ibkr(data)
        await until(lambda: kinds(trader) == ["Disconnected", "Connected"])
        await trader.place("o3")
        await until(lambda: trader.filled("o3") == 1)
    assert [order.ref for order in tws.book.orders] == [trader.tokens["o1"], trader.tokens["o3"]]


async def test_a_gateway_that_has_lost_ibkr_when_we_come_is_no_session_yet(tws: TwsSimulator) -> None:
    tws.noise.farm_notices = False
    tws.script.on("reqExecutions", n=1).delay(0.3)
    tws.script.at(0.1).do(lambda: tws.error(1100, "Connectivity between IBKR and Trader Workstation has been lost."))
    trader = Trader(tws)
    with pytest.raises(VenueUnavailable, match="has lost Interactive Brokers"):
        await trader.venue.connect(trader.events.append, lambda: True)


async def test_a_gateway_that_has_lost_ibkr_when_we_come_back_is_connected_once_it_is_restored(tws: TwsSimulator) -> None:
    tws.noise.farm_notices = False
    async with Trader(tws) as trader:
        tws.script.on("reqExecutions", n=1).delay(0.4)
        tws.mishaps.drop_sockets()
        await until(lambda: tws.ready_sessions() and "Disconnected" in kinds(trader))
        await asyncio.sleep(0.1)
        tws.mishaps.lose_ibkr()
        await until(lambda: trader.venue._session is not None and trader.venue._session.state == "degraded")
        assert "Connected" not in kinds(trader)
        with pytest.raises(VenueUnavailable, match="has lost Interactive Brokers"):
            await trader.place("o1")
        tws.mishaps.restore_ibkr()
        await until(lambda: kinds(trader)[-1] == "Connected")
        await trader.place("o2")
        await until(lambda: trader.filled("o2") == 1)


async def test_a_broken_link_of_the_gateway_that_heals_by_itself_is_over_when_its_farm_is_back(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        tws.mishaps.farm(2110)
        await until(lambda: kinds(trader) == ["Disconnected"])
        tws.mishaps.farm(2104)
        await until(lambda: kinds(trader) == ["Disconnected", "Connected"])


async def test_farms_that_come_and_go_do_not_end_a_session(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        for code in (2103, 2104, 2105, 2106, 2107, 2108):
            tws.mishaps.farm(code)
        await trader.place("o1")
        await until(lambda: trader.filled("o1") == 1)
        assert not kinds(trader)


# -- read-only --------------------------------------------------------------------------------------------------------------


async def test_a_read_only_api_has_books_and_takes_no_orders(tws: TwsSimulator) -> None:
    tws.read_only = True
    async with Trader(tws) as trader:
        await until(lambda: trader.of(TradingDisabled))
        assert "Read-Only API" in trader.of(TradingDisabled)[0].detail
        assert (await trader.venue.account()).equity == 1_000_000
        assert await trader.venue.positions() == []
        with pytest.raises(VenueUnavailable, match="read-only"):
            await trader.venue.open_orders()


async def test_an_api_that_becomes_read_only_refuses_the_order_and_says_that_trading_is_disabled(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        tws.read_only = True
        await trader.place("o1")
        await until(lambda: trader.of(Rejected))
        assert trader.of(TradingDisabled)
        assert not tws.book.executions


async def test_a_session_that_finds_the_api_read_only_when_it_comes_back_says_so_after_connected(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        tws.read_only = True
        tws.mishaps.drop_sockets()
        await until(lambda: kinds(trader) == ["Disconnected", "Connected", "TradingDisabled"])


# -- order ids --------------------------------------------------------------------------------------------------------------


async def test_a_gateway_that_hands_out_an_id_it_has_used_leads_to_no_id_twice(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        for index in range(3):
            await trader.place(f"o{index}")
        await until(lambda: all(trader.filled(f"o{index}") == 1 for index in range(3)))
        tws.next_valid_id = 1
        tws.blank_completed_refs = True
        tws.mishaps.drop_sockets()
        await until(lambda: "Connected" in kinds(trader))
        await trader.place("o3")
        await until(lambda: trader.filled("o3") == 1)
    ids = [order.order_id for order in tws.book.orders]
    assert len(set(ids)) == 4
    assert ids == sorted(ids)


async def test_a_new_process_before_a_gateway_that_has_forgotten_everything_takes_no_id_twice(tws: TwsSimulator) -> None:
    """The day's executions are gone, completed orders have no reference, the next id begins at 1: the ledger's number remains."""
    async with Trader(tws) as trader:
        for index in range(3):
            await trader.place(f"o{index}")
        await until(lambda: all(trader.filled(f"o{index}") == 1 for index in range(3)))
    tws.next_valid_id, tws.blank_completed_refs = 1, True
    for account in tws.accounts.values():
        account.executions.clear()
    async with Trader(tws) as again:
        again.number = trader.number
        await again.place("o3")
        await until(lambda: again.filled("o3") == 1)
    assert len({order.order_id for order in tws.book.orders}) == 4


async def test_a_new_process_cancels_and_changes_what_an_earlier_one_sent(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        for name in ("a", "b"):
            await trader.place(name, order_type="limit", limit_price=D("1.09"))
        await until(lambda: len(trader.of(Accepted)) == 2)
    async with Trader(tws) as again:
        again.tokens, again.orders = trader.tokens, trader.orders
        await until(lambda: len(again.of(Accepted)) == 2)
        await again.modify("a", limit_price=D("1.08"))
        await again.cancel("b")
        await until(lambda: again.said("a") == ["Accepted", "Modified"] and again.said("b") == ["Accepted", "Ended"])
    assert trader.at_tws("a").terms.limit_price == D("1.08")
    assert not trader.at_tws("b").is_open
    assert set(tws.book.submissions.values()) == {1}


async def test_an_order_of_an_earlier_client_id_of_ours_is_shown_and_a_cancel_of_it_is_refused(tws: TwsSimulator) -> None:
    """Somebody changed `sender_client_id`: the order may still trade, and only the other client could withdraw it."""
    async with Trader(tws) as trader:
        await trader.place("a", order_type="limit", limit_price=D("1.09"))
        await until(lambda: trader.of(Accepted))
    async with Trader(tws, sender_client_id=99) as again:
        again.tokens, again.orders = trader.tokens, trader.orders
        assert [each.order_id for each in await again.venue.open_orders()] == ["a"]
        await again.cancel("a")
        await until(lambda: again.said("a") == ["RequestRefused"])
    assert trader.at_tws("a").is_open


async def test_an_id_that_jumps_ahead_is_followed(tws: TwsSimulator) -> None:
    tws.next_valid_id = 5_000_000
    async with Trader(tws) as trader:
        await trader.place("o1")
        await until(lambda: trader.filled("o1") == 1)
    assert tws.book.orders[0].order_id >= 5_000_000


async def test_an_id_that_was_used_after_all_is_not_tried_again(tws: TwsSimulator) -> None:
    tws.script.on("placeOrder", n=1).error(103, "Duplicate order id")
    async with Trader(tws) as trader:
        await trader.place("o1")
        await asyncio.sleep(0.2)
        assert trader.said("o1") == []  # the books tell what became of it
        assert len(tws.transcript.named("placeOrder")) == 1


# -- pacing ------------------------------------------------------------------------------------------------------------------


async def test_an_order_does_not_wait_behind_200_subscriptions(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        session = trader.venue._session
        assert session is not None
        asks = [
            asyncio.create_task(session.ask(f"time {index}", lambda ib: asyncio.sleep(0), timeout_s=30)) for index in range(200)
        ]
        await asyncio.sleep(0.05)
        started = time.monotonic()
        await trader.place("o1")
        waited = time.monotonic() - started
        for task in asks:
            task.cancel()
        await asyncio.gather(*asks, return_exceptions=True)
        await until(lambda: trader.filled("o1") == 1)
    assert waited < 0.5


async def test_a_process_that_may_no_longer_send_writes_nothing(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        trader.may_send = False
        with pytest.raises(VenueUnavailable, match="may no longer send"):
            await trader.place("o1")
        await asyncio.sleep(0.05)
    assert not tws.book.orders


# -- exactly once ------------------------------------------------------------------------------------------------------------


def submission(order_id: str, **changes: Any) -> SubmitOrder:
    return an_order(order_id=order_id, account=ACCOUNT, ts_event_ns=time.time_ns(), **changes)


@pytest.mark.parametrize("drop", DROPS)
async def test_wherever_the_socket_breaks_around_an_order_it_is_there_once_or_known_not_to_be(
    tws: TwsSimulator, drop: Drop
) -> None:
    tws.script.on("placeOrder", n=1).drop(drop)
    async with Sender(tws) as sender:
        await sender.connect()
        sender.tell(submission("o1"))
        await until(lambda: sender.state_of("o1") not in ("", "NEW", "SENDING"))
        await settled(sender, ["o1"])
    reached = drop != "before"
    assert sum(tws.book.submissions.values()) == reached
    assert sender.state_of("o1") == ("FILLED" if reached else "REJECTED")
    assert sum(fill.quantity for fill in sender.of(Fill) if not fill.corrects) == reached
    if drop == "before":
        assert [str(each.reason) for each in sender.of(OrderRejected)] == ["not_sent"]
    if drop == "after":
        assert sender.of(OrderUnknown)


async def test_a_socket_that_breaks_between_two_partial_fills_loses_none(tws: TwsSimulator) -> None:
    tws.exchange.plan("EURUSD", [D(60_000)])
    async with Sender(tws) as sender:
        await sender.connect()
        sender.tell(submission("o1", quantity=D(2)))
        await until(lambda: sender.of(Fill))
        await tws.refuse()
        tws.mishaps.cut_inside_frame(12)
        tws.mishaps.fill(tws.book.orders[0], 40_000)
        tws.mishaps.fill(tws.book.orders[0], 100_000)
        await tws.listen()
        await until(lambda: sender.state_of("o1") == "FILLED")
    booked = [fill for fill in sender.of(Fill) if not fill.corrects]
    assert sorted(fill.quantity for fill in booked) == [D("0.4"), D("0.6"), D(1)]
    assert len({fill.exec_id for fill in booked}) == 3


def a_bracket_at_the_market() -> list[SubmitOrder]:
    leg: dict[str, Any] = {"side": "sell", "parent_id": "e", "oco_group": "e", "closes": True}
    profit = submission("tp", order_type="limit", limit_price=D("1.15"), **leg)
    return [submission("e"), profit, submission("sl", order_type="stop", stop_price=D("1.05"), **leg)]


async def test_an_ordinary_take_profit_raises_no_alert(tws: TwsSimulator) -> None:
    tws.quote("EURUSD", 1.1000, 1.1001)
    async with Sender(tws) as sender:
        await sender.connect()
        await until(lambda: sender.node.ready)
        sender.tell(*a_bracket_at_the_market())
        await until(lambda: sender.state_of("e") == "FILLED")
        tws.quote("EURUSD", 1.1500, 1.1501)
        await settled(sender, ["tp", "sl"])
        sender.ahead_ns += 120 * 10**9
        await asyncio.sleep(0.3)
    assert (sender.state_of("tp"), sender.state_of("sl")) == ("FILLED", "CANCELLED")
    assert sender.of(Alert) == []


async def test_a_bracket_whose_margin_question_was_not_answered_in_time_leaves_whole_later(tws: TwsSimulator) -> None:
    tws.quote("EURUSD", 1.1000, 1.1001)
    tws.script.on("placeOrder", n=1).silence()
    async with Sender(tws, {"margin_fraction_max": 0.9}, quiet_s=5.0) as sender:
        await sender.connect()
        await until(lambda: sender.node.ready)
        sender.tell(*a_bracket_at_the_market())
        await until(lambda: sender.state_of("e") == "FILLED")
        await until(lambda: sender.state_of("sl") == "ACKED")
        assert len(tws.book.open_orders) == 2


async def settled(sender: Sender, order_ids: list[str]) -> None:
    """Until every order has ended; the core's clock runs ahead, so that quiet periods pass quickly."""
    give_up = time.monotonic() + 30
    while any(sender.state_of(name) not in ("FILLED", "REJECTED", "CANCELLED") for name in order_ids):
        assert time.monotonic() < give_up, {name: sender.state_of(name) for name in order_ids}
        sender.ahead_ns += 1_000_000_000
        await asyncio.sleep(0.1)


async def random_run(seed: int, count: int) -> None:
    """Orders, and a socket that breaks at a random moment around some of them."""
    luck = random.Random(seed)
    async with TwsSimulator(seed=seed) as tws:
        tws.quote("EURUSD", 1.1000, 1.1001)
        for n in range(1, count + 1):
            if luck.random() < 0.6:
                tws.script.on("placeOrder", n=n).drop(luck.choice(DROPS))
        names = [f"o{index}" for index in range(count)]
        for index in range(count):
            if luck.random() < 0.5:
                tws.exchange.plan(f"bq.{index + 1}.o{index}", [D(50_000), D(50_000)])
        async with Sender(tws) as sender:
            await sender.connect()
            for name in names:
                sender.tell(submission(name, side=luck.choice(["buy", "sell"])))
                await asyncio.sleep(luck.random() * 0.3)
                tws.quote("EURUSD", 1.1000, 1.1001)
                if luck.random() < 0.3:
                    tws.mishaps.drop_sockets()
            give_up = time.monotonic() + 60
            while any(sender.state_of(name) not in ("FILLED", "REJECTED") for name in names):
                assert time.monotonic() < give_up, (seed, {name: sender.state_of(name) for name in names})
                tws.quote("EURUSD", 1.1000, 1.1001)
                sender.ahead_ns += 1_000_000_000
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.3)
            booked: dict[str, Decimal] = {}
            for fill in sender.of(Fill):
                if not fill.corrects:
                    assert fill.exec_id not in booked, (seed, fill)
                    booked[fill.exec_id] = fill.signed_quantity
        assert max(tws.book.submissions.values(), default=1) == 1, seed
        truth = {each.exec_id: (each.quantity if each.order.is_buy else -each.quantity) / 100_000 for each in tws.book.executions}
        assert booked == truth, seed
        done = {order.ref.rpartition(".")[2] for order in tws.book.orders if order.filled == order.quantity}
        assert done == {name for name in names if sender.state_of(name) == "FILLED"}, seed


@pytest.mark.parametrize("seed", range(4))
async def test_each_order_is_at_the_broker_once_and_each_fill_booked_once_however_the_socket_breaks(seed: int) -> None:
    await random_run(seed, count=5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 150))
async def test_fifty_random_runs_of_broken_sockets(seed: int) -> None:
    await random_run(seed, count=8)


async def test_executions_are_told_when_a_status_speaks_of_a_fill_that_nobody_reported(tws: TwsSimulator) -> None:
    async with Trader(tws) as trader:
        await trader.place("o1", order_type="limit", limit_price=D("1.09"))
        await until(lambda: trader.of(Accepted))
        with unheard(tws):
            tws.mishaps.fill(trader.at_tws("o1"), 100_000, D("1.09"))
        await asyncio.sleep(0.05)
        assert not trader.of(Executed)
        tws.emit(replies.order_status(trader.at_tws("o1")), client_id=trader.config.sender_client_id)
        await until(lambda: trader.of(Executed))
    assert trader.filled("o1") == 1
